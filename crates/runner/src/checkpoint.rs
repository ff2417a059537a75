//! Checkpoints: what an attempt stores so that another one can continue on any machine.
//!
//! A checkpoint has the agent's session, if it consists of files, the work as a patch, and facts about both. `keep`
//! makes the archive (`archive`) and stores it as an artifact, `fetch` downloads it, `take` restores it.
//!
//! Without a checkpoint the agent begins again, and the log reports why. Only a job that requires its session fails.

mod archive;
mod fetch;
mod keep;
mod lost;
pub(crate) mod take;
mod transcript;
pub(crate) mod working;

pub(crate) use keep::{FAILED_LIMIT, REST_LIMIT, keep, keep_at_shutdown};

use crate::agent::sign::Tokens;
use pullyard_domain::id::JobId;
use serde::{Deserialize, Serialize};

/// Version of the archive's format. Other versions are rejected.
const FORMAT: u32 = 1;
const ABOUT: &str = "about.json";
const PATCH: &str = "work.patch";
/// The agent's replies to reviewers.
const REPLIES: &str = "replies.json";
const SESSION: &str = "session";
/// The artifact's name, without its number.
const NAME: &str = "checkpoint";
/// Longest `about.json` that is read. Units: bytes.
const LARGEST_ABOUT: u64 = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
    /// The capability of the agent that worked.
    agent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// How many of the job's inputs the session has read.
    read: u32,
    #[serde(default)]
    tokens: Tokens,
    /// The former worktree, which the session mentions.
    tree: String,
    /// The commit that the work started from.
    start: String,
    branch: String,
    /// Hash of the prompt, which detects a changed task.
    task: String,
}

pub(crate) fn hash_of(task: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(task).iter().map(|byte| format!("{byte:02x}")).collect()
}
