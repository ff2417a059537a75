//! Creates and restores checkpoints, from which another attempt can continue on any machine.
//! A checkpoint contains the agent's session (if it consists of files), the work as a patch, and facts about both.
//! `content` has its files and records.
//! `create` stores it as an artifact in the format of `archive`, `download` fetches it, `restore` applies it, and
//! `finished` finds out whether only its publication is left to do.
//! Without a checkpoint the agent starts a new session, and the log says why. A job that requires its session fails.

mod archive;
pub(crate) mod available;
pub(crate) mod content;
mod create;
mod download;
mod finished;
mod loss;
pub(crate) mod restore;
pub(crate) mod state;
mod transcript;

pub(crate) use create::{FAILURE_TIMEOUT, YIELD_TIMEOUT, create_checkpoint, create_checkpoint_at_shutdown};

use crate::attempt::Attempt;
use pullyard_domain::job::AgentWrites;

/// Whether the agent writes an output, which a checkpoint contains.
fn writes_output(attempt: &Attempt<'_>) -> bool {
    let reports = attempt.assignment.step.as_ref().is_some_and(|step| step.reports);
    reports || attempt.assignment.kind.spec().writes == AgentWrites::OutputFile
}
