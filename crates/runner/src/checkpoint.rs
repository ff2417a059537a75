//! Creates and restores checkpoints, from which another attempt can continue on any machine.
//! A checkpoint contains the agent's session (if it consists of files), the work as a patch, and facts about both.
//! `create` stores it as an artifact in the format of `archive`, `download` fetches it, `restore` applies it, and
//! `finished` publishes its work if only that was left to do.
//! Without a checkpoint the agent starts a new session, and the log says why. A job that requires its session fails.

mod archive;
mod create;
mod download;
pub(crate) mod finished;
mod loss;
pub(crate) mod restore;
pub(crate) mod state;
mod transcript;

pub(crate) use create::{FAILURE_TIMEOUT, YIELD_TIMEOUT, create_checkpoint, create_checkpoint_at_shutdown};

use crate::agent::agent_event::Tokens;
use crate::job::attempt::Attempt;
use pullyard_domain::id::JobId;
use pullyard_domain::job::AgentWrites;
use serde::{Deserialize, Serialize};

const FORMAT: u32 = 1;
const METADATA_FILE: &str = "about.json";
const FINISHED_FILE: &str = "finished.json";
const PATCH_FILE: &str = "work.patch";
const REPLIES_FILE: &str = "replies.json";
const OUTPUT_COPY: &str = "output.json";
const SESSION_FOLDER: &str = "session";
const ARTIFACT_NAME: &str = "checkpoint";
const MAX_METADATA_BYTES: u64 = 64 * 1024;
const MAX_FINISHED_BYTES: u64 = 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CheckpointMetadata {
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
    agent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    read: u32,
    #[serde(default)]
    tokens: Tokens,
    tree: String,
    start: String,
    branch: String,
    /// Hash of the prompt, which detects a changed task.
    task: String,
}

/// Whether the agent writes an output, which a checkpoint contains.
fn writes_output(attempt: &Attempt<'_>) -> bool {
    let reports = attempt.assignment.step.as_ref().is_some_and(|step| step.reports);
    reports || attempt.assignment.kind.spec().writes == AgentWrites::OutputFile
}
