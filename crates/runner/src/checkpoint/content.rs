//! The files of a checkpoint: their names, limits and records.

use crate::agent::agent_event::Tokens;
use pullyard_domain::agent::checks::CheckRun;
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::review::published::work_notes::WorkNotes;
use pullyard_domain::text::id::JobId;
use serde::{Deserialize, Serialize};

pub(super) const FORMAT: u32 = 1;
pub(super) const METADATA_FILE: &str = "about.json";
pub(super) const FINISHED_FILE: &str = "finished.json";
pub(crate) const PATCH_FILE: &str = "work.patch";
pub(crate) const REPLIES_FILE: &str = "replies.json";
pub(super) const OUTPUT_COPY: &str = "output.json";
pub(super) const SESSION_FOLDER: &str = "session";
pub(super) const ARTIFACT_NAME: &str = "checkpoint";
pub(super) const MAX_METADATA_BYTES: u64 = 64 * 1024;
pub(super) const MAX_FINISHED_BYTES: u64 = 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckpointMetadata {
    pub(super) format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) job: Option<JobId>,
    pub(crate) agent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<String>,
    pub(super) read: u32,
    #[serde(default)]
    pub(super) tokens: Tokens,
    pub(super) tree: String,
    pub(crate) start: String,
    pub(super) branch: String,
    /// Hash of the prompt, which detects a changed task.
    pub(super) task: String,
}

/// The data that the publication of a commit needs besides its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FinishedWork {
    /// Tree of the commit.
    pub(crate) tree: String,
    /// Number of inputs that the agent had read.
    pub(crate) read: u32,
    #[serde(default)]
    pub(crate) checks: Vec<CheckRun>,
    /// The agent's last message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) summary: Option<String>,
    #[serde(default)]
    pub(crate) notes: WorkNotes,
    /// The validated output of a step that reports. Stored, because a check of the project may change the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<JobOutput>,
}
