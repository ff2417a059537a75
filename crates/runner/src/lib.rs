//! The runner: takes one job, lets an agent work on it in a worktree of its own, pushes what the agent
//! made, opens the pull request, and tells the control plane how it ended. Around that, the daemon of a
//! self-hosted runner, which claims jobs and runs each in a process of its own.
//!
//! Deliberately not here: which job is run when, what an ending means for the ticket, and every call
//! of a forge's REST API (crate `pullyard-forge`). It speaks to the control plane only over the wire.

mod access;
mod agent;
mod args;
mod artifacts;
mod attempt;
mod beside;
mod blobs;
mod checkpoint;
mod checks;
mod command;
mod commit;
mod conflicts;
mod daemon;
mod deadline;
mod ecs;
mod enclosure;
mod error;
mod exit;
mod finish;
mod git;
mod group;
mod ids;
mod job;
mod leak;
mod left;
mod left_out;
mod made;
mod minted;
mod nested;
mod onto;
mod options;
mod orders;
mod outbox;
mod parent;
mod patch;
mod people;
mod protected;
mod pull_request;
mod push;
mod quoted;
mod redact;
mod renewal;
mod replies;
mod reporter;
mod retry;
mod said;
mod setup;
mod signals;
mod start;
mod stop;
mod stray;
mod talk;
mod target;
mod trailers;
mod workspace;

pub use agent::Waits;
pub use agent::agent_variables;
pub use args::RunJob;
pub use command::Command;
pub use daemon::{Check, Config, Start};
pub use error::Error;
pub use exit::Exit;
pub use job::run_job;
pub use options::{Afterwards, Isolation, Options, ProcessNamespace};
