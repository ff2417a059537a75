//! The runner: takes one job, lets an agent work on it in a worktree of its own, pushes what the agent
//! made, opens the pull request, and tells the control plane how it ended. Around that, the daemon of a
//! self-hosted runner, which claims jobs and runs each in a process of its own.
//!
//! Deliberately not here: which job is run when, what an ending means for the ticket, and every call
//! of a forge's REST API (crate `pullyard-forge`). It speaks to the control plane only over the wire.

mod agent;
mod api;
mod args;
mod artifacts;
mod checkpoint;
mod command;
mod daemon;
mod deadline;
mod error;
mod exit;
mod git;
mod inputs;
mod job;
mod left;
mod options;
mod process;
mod publish;
mod secrets;
mod stop;

pub use agent::Waits;
pub use agent::agent_variables;
pub use args::RunJob;
pub use command::Command;
pub use daemon::{Check, Config, Start};
pub use error::Error;
pub use exit::Exit;
pub use job::run_job;
pub use options::{Afterwards, Isolation, Options, ProcessNamespace};
