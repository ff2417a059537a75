//! A checkpoint: what an attempt that rests or breaks off leaves, so that another one can go on from it on any
//! machine. The agent's session, as far as its agent keeps one in files; its work, as a patch on the commit that it
//! started from; and what is known of both.
//!
//! It is one archive (`archive`), made by `keep` and kept as an artifact of the attempt, got by `fetch` and taken up
//! by `take`. Without one the agent begins again, and the log says why; only a job that asks for its session or none
//! fails for want of it.

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

/// The form of what is in the archive. Another one is not read.
const FORMAT: u32 = 1;
/// What is known of it.
const ABOUT: &str = "about.json";
/// The work, as git says it.
const PATCH: &str = "work.patch";
/// The agent's words for reviewers.
const REPLIES: &str = "replies.json";
/// The folder of the session's files.
const SESSION: &str = "session";
/// The name of the artifact, but for a number.
const NAME: &str = "checkpoint";
/// The most of `about.json` that is read. Units: bytes.
const LARGEST_ABOUT: u64 = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
    /// The agent that worked: what jobs ask for it by.
    agent: String,
    /// The agent's own id of the session; none where it keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// How many of the job's inputs the session has read.
    read: u32,
    #[serde(default)]
    tokens: Tokens,
    /// The work folder of then: the session speaks of it.
    tree: String,
    /// The commit that the work started from.
    start: String,
    branch: String,
    /// The hash of the task, to tell whether it is still the same.
    task: String,
}

/// The SHA-256 of a task, in hex.
pub(crate) fn hash_of(task: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(task).iter().map(|byte| format!("{byte:02x}")).collect()
}
