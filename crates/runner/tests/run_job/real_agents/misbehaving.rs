//! Tests agent behaviour that the real programs do not show on demand, with a script in their place.

mod fake_agent;
mod lines;
mod processes;
