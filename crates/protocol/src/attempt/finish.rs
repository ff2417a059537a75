//! Calls that end an attempt: `yield` and `finish`.

use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::FinishId;
use serde::{Deserialize, Serialize};

/// Returns the job before its work is done. Idempotent: by `yield_id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct YieldRequest {
    /// Chosen by the runner once per attempt.
    pub yield_id: FinishId,
    /// Cause.
    pub outcome: YieldReason,
    /// The agent's question: required with `asks`, refused otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Agent of the attempt; absent if none started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The agent's own session id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Number of inputs that the agent has read.
    #[serde(default)]
    pub inputs: u32,
    /// Cost, if known. Includes the estimated part, `work.about_usd_micros`. Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_usd_micros: Option<u64>,
    /// Agent and its usage; absent if none started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<pullyard_domain::job::AgentReport>,
}

/// Why a runner returns its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "YieldOutcome")]
#[serde(rename_all = "snake_case")]
pub enum YieldReason {
    /// The agent asked a question.
    Asks,
    /// The job's `want` was `pause`.
    Paused,
}

/// Answer to a yield.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct YieldAnswer {
    /// Current status of the job.
    pub status: pullyard_domain::job::JobStatus,
    /// The attempt continues, because the job has inputs that the agent has not read.
    #[serde(default, rename = "goes_on")]
    pub has_unread_inputs: bool,
}

/// Ends the attempt. Idempotent: by `finish_id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishRequest {
    /// Chosen by the runner once per finish, and stored on its disk until the server answers.
    pub finish_id: FinishId,
    /// Outcome.
    pub outcome: FinishOutcome,
    /// Required with `failed`, refused otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Required with `completed` if the job's kind publishes a change. Allowed with `failed` if the attempt pushed before
    /// it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<FinishResult>,
    /// Required with `completed` if the job's kind reports; allowed for a step of a run that also reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<pullyard_domain::review::output::JobOutput>,
    /// Cost, if known. Includes the estimated part, `work.about_usd_micros`. Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_usd_micros: Option<u64>,
    /// Agent and its usage; absent if none started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<pullyard_domain::job::AgentReport>,
}

/// Outcome of an attempt, as reported by its runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishOutcome {
    /// The work is pushed and the pull request exists, or the output is complete.
    Completed,
    /// The attempt failed; see `failure`.
    Failed,
    /// The runner stopped because the job's `want` was `cancel`.
    Cancelled,
}

/// Result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishResult {
    /// The pushed branch.
    pub branch: String,
    /// The commit at its head, 40 or 64 hex digits.
    pub head: String,
    /// The pull request; absent for a step of a run with a branch of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<FinishPullRequest>,
    /// Files changed by the job's commit.
    pub files: u32,
    /// Lines added.
    pub insertions: u32,
    /// Lines removed.
    pub deletions: u32,
    /// Answers to review threads; absent if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replies: Option<pullyard_domain::job::Replies>,
}

/// The pull request that an attempt opened or continued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishPullRequest {
    /// Number at the forge.
    pub number: u64,
    /// Page of the pull request.
    pub url: String,
}

/// Answer to a finish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FinishAnswer {
    /// Current status of the job.
    pub status: pullyard_domain::job::JobStatus,
}
