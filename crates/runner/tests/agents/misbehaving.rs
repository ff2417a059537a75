//! What the agents' own programs won't do on demand: a stand-in that says and does whatever a test wants, started by
//! the runner as the real ones are.

mod lines;
mod processes;
mod stand_in;
