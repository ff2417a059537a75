//! Calls of an attempt's runner: `POST /v1/jobs/{job}/attempts/{n}/{start,status,events,credentials,yield,finish}` and
//! `GET …/{inputs,checkpoint}`.
//! `start` uses the task's bootstrap token, later calls use the lease that it returns. A superseded attempt gets 409
//! `lease_lost`. Runners receive only durations, because clocks differ, and count them from before the request.

mod assignment;
mod finish;

pub use assignment::{
    Agent, AssignedAnalysis, AssignedPatch, AssignedRepository, AssignedStep, AssignedTicket, Assignment,
    ContinuedPullRequest, Input, Limits, PullRequestText, ResumeState, RevisedComment, RevisedPullRequest,
    RevisedReview,
};
pub use finish::{
    FinishAnswer, FinishOutcome, FinishPullRequest, FinishRequest, FinishResult, YieldAnswer, YieldReason, YieldRequest,
};

use crate::event::Event;
use crate::limits;
use pullyard_domain::job::artifact::MissingReason;
use pullyard_domain::text::id::{ClaimId, InstanceId, JobId, Sha256Hex};
use serde::{Deserialize, Serialize};

/// Claims the attempt. Idempotent: by `claim_id`; a repeat returns the same assignment and lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// Id of the self-hosted runner's claim; on Fargate, chosen once per process.
    pub claim_id: ClaimId,
    /// Instance of the self-hosted runner; on Fargate, chosen once per process.
    pub instance: InstanceId,
    /// ARN of the ECS task, from the container metadata endpoint; absent outside ECS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::LINE))]
    pub task: Option<String>,
}

/// Answer to `GET …/inputs?after=N`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InputsAnswer {
    /// Inputs with a larger number, oldest first.
    pub inputs: Vec<Input>,
}

/// Answer to `GET …/checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckpointAnswer {
    /// Newest checkpoint that can be downloaded, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// Newer checkpoint that cannot be downloaded, if any. Older servers omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingCheckpoint>,
}

/// A checkpoint that was reserved but cannot be downloaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MissingCheckpoint {
    /// Job of the checkpoint: this job, or a job that it retries.
    pub job: JobId,
    /// Attempt of the checkpoint.
    pub attempt: u32,
    /// Cause.
    pub why: MissingReason,
}

/// A checkpoint from which another attempt resumes. `Debug` omits its URL.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Checkpoint {
    /// Job of the checkpoint: this job, or a job that it retries.
    pub job: JobId,
    /// Attempt of the checkpoint.
    pub attempt: u32,
    /// Size. Units: bytes.
    pub size_bytes: u64,
    /// Hash of the content.
    pub sha256: Sha256Hex,
    /// Download URL. A credential, valid for five minutes.
    pub get_url: String,
}

debug_only!(Checkpoint { job, attempt });

/// Reports the phase of the attempt. A repeat of the phase reports a wait; in `syncing` it also renews the push window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusRequest {
    /// The phase that begins.
    pub status: Phase,
    /// Only for `syncing`: number of inputs that the agent has read or cannot read. The push is refused while the job
    /// has more. Absent if the agent reads no inputs while it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<u32>,
    /// What the attempt waits for in this phase, such as the forge's error. Absent if it does not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::NAME))]
    pub waits_for: Option<String>,
}

/// Phases of an attempt, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Fetches the source and creates the worktree.
    Preparing,
    /// The agent works.
    Executing,
    /// About to push.
    Syncing,
}

/// Answer to a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StatusAnswer {
    /// Requested state of the job.
    pub want: pullyard_domain::job::DesiredState,
    /// Only for `syncing`: no other party ends the attempt for this long, by the server's clock. The runner stops
    /// pushing well before, counted from its request. Absent if `want` is `pause` and the push may not begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_for_secs: Option<u64>,
    /// Only for `syncing`: the push may not begin, because the job has inputs that the agent has not read.
    #[serde(default, rename = "goes_on")]
    pub has_unread_inputs: bool,
}

/// A batch of events; an empty one is a heartbeat. The runner never changes a batch that it sent, so a repeat is safe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsRequest {
    /// Number of the first event; the others follow without gaps.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub first_seq: u64,
    /// At most 1,000.
    #[schemars(length(max = 1000))]
    pub events: Vec<Event>,
    /// Number of inputs that the agent has read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<u32>,
    /// Cost of the attempt, from a runner that stops without a finish, such as before its machine ends. Absent if the
    /// attempt continues or its cost is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_usd_micros: Option<u64>,
}

/// Answer to a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EventsAnswer {
    /// Next number that the server expects.
    pub next_seq: u64,
    /// Requested state of the job.
    pub want: pullyard_domain::job::DesiredState,
    /// Number of inputs of the job. The runner fetches those that its agent has not read.
    #[serde(default)]
    pub inputs: u32,
    /// A user watches the job: send small batches.
    pub watched: bool,
    /// Longest delay of the next batch.
    pub send_every_ms: u64,
}

/// The secrets of the attempt. `Debug` omits them, so that they never reach a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Credentials {
    /// For git and the forge's REST API, limited to the needs of the job. Empty if the repository's jobs use the token of
    /// their runner.
    pub forge_token: String,
    /// Lifetime of the token. Each call returns a new one. Absent for a token that does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<u64>,
    /// Model credentials that the project configures for the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model: Vec<ModelCredential>,
    /// SSH key that signs the commits, if the project configures one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
}

/// A credential for the agent's model. `Debug` omits its value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ModelCredential {
    /// Kind of credential.
    pub key: pullyard_domain::agent::ModelKey,
    /// The secret.
    pub value: String,
}

debug_only!(ModelCredential { key });
debug_only!(Credentials {});

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_reason_for_a_missing_checkpoint_is_parsed() {
        let job = format!("job_{}", "a".repeat(26));
        let read = |reason: &str| {
            let answer = json!({ "missing": { "job": job, "attempt": 2, "why": reason } });
            serde_json::from_value::<CheckpointAnswer>(answer).unwrap().missing.unwrap().why
        };
        assert_eq!(read("not_uploaded"), MissingReason::NotUploaded);
        assert_eq!(read("expired"), MissingReason::Expired);
        assert_eq!(read("too_far_back"), MissingReason::TooFarBack);
        assert_eq!(read("eaten_by_the_dog"), MissingReason::Unknown);
    }
}
