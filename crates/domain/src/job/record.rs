//! The record of an attempt: how it went, and which agent worked in it, kept after it.

use super::Run;
use crate::checks::CheckRun;
use crate::failure::Failure;
use crate::id::JobId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How one attempt went, kept after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its job.
    pub job: JobId,
    /// Its number.
    pub number: u32,
    /// Who ran it.
    pub run: Run,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub ended: AttemptEnd,
    /// Which agent worked and what it took; none when none began, or its runner did not come to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
    /// What it cost, if that is known. Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_usd_micros: Option<u64>,
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum AttemptEnd {
    /// Its work is in a pull request.
    Completed {},
    /// It failed, and its job with it.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// It was cancelled, and its job with it.
    Cancelled {},
    /// Its agent asked something; its job waits for the answer.
    Asked {},
    /// It stopped for a pause; its job can go on.
    Paused {},
    /// A platform fault ended it; its job went back.
    Requeued {
        /// Why.
        failure: Failure,
    },
}

/// Which agent worked in an attempt, under what, and what it took: its usage, session and provenance.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// `claude_code`, `codex` or `command`.
    pub agent: String,
    /// The version the agent's program said it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The model the agent said it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The agent's own id of the session, by which it can go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What stood between the agent and the machine: `none`, `external`.
    pub isolation: String,
    /// How often its program was started: once, and once for each transient fault.
    pub starts: u32,
    /// Requests to the model.
    #[serde(default)]
    pub turns: u32,
    /// Tokens read, those from a cache among them.
    #[serde(default)]
    pub input_tokens: u64,
    /// Of these, from a cache.
    #[serde(default)]
    pub cached_input_tokens: u64,
    /// Tokens written, those of its reasoning among them.
    #[serde(default)]
    pub output_tokens: u64,
    /// What came of the checks on what it made, in the order in which they were run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckRun>,
}

impl Work {
    /// The same with every word of the runner's cut, so that what is stored stays small.
    #[must_use]
    pub fn clipped(self) -> Self {
        let cut = |text: String| crate::text::clipped(&text, 200);
        Self {
            agent: cut(self.agent),
            version: self.version.map(cut),
            model: self.model.map(cut),
            session: self.session.map(cut),
            isolation: cut(self.isolation),
            checks: CheckRun::kept(self.checks),
            ..self
        }
    }
}
