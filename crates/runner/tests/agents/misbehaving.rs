//! Tests agent behaviour that the real programs do not show on demand, with a script in their place.

mod lines;
mod processes;
mod stand_in;
