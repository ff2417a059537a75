//! Calls of an attempt's runner: `POST /v1/jobs/{job}/attempts/{n}/{start,status,events,credentials,yield,finish}` and
//! `GET …/{inputs,checkpoint}`.
//! `start` uses the task's bootstrap token, later calls use the lease that it returns. A superseded attempt gets 409
//! `lease_lost`. Runners receive only durations, because clocks differ, and count them from before the request.

use crate::event::Event;
#[cfg(feature = "schema")]
use crate::limits;
use pullyard_domain::artifact::MissingReason;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{ClaimId, FinishId, InstanceId, JobId, RepositoryName, Sha256Hex, TicketKey};
use pullyard_domain::job::JobKind;
use pullyard_domain::project::Resume as Policy;
use serde::{Deserialize, Serialize};

/// Claims the attempt. Idempotent: by `claim_id`; a repeat returns the same assignment and lease.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// Id of the self-hosted runner's claim; on Fargate, chosen once per process.
    pub claim_id: ClaimId,
    /// Instance of the self-hosted runner; on Fargate, chosen once per process.
    pub instance: InstanceId,
    /// ARN of the ECS task, from the container metadata endpoint; absent outside ECS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::LINE)))]
    pub task: Option<String>,
}

/// Everything that a runner needs for the job.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// Job id.
    pub job: JobId,
    /// Number of this attempt, from 1.
    pub attempt: u32,
    /// Bearer credential for all later calls of this attempt.
    pub lease: String,
    /// Kind of work.
    pub kind: JobKind,
    /// The job's ticket, if any.
    pub ticket: Option<AssignedTicket>,
    /// Repository of the source and of the pull request.
    pub repository: AssignedRepository,
    /// Branch that the work starts from and that the pull request targets.
    pub base: String,
    /// Branch to create and push, unless `continues` applies.
    pub branch: String,
    /// Earlier pull request of the same ticket. While it is open, the work continues there; otherwise it uses `branch`.
    pub continues: Option<ContinuedPullRequest>,
    /// Pull request to which a revise job adds a commit; absent for other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revises: Option<RevisedPullRequest>,
    /// Session of an earlier attempt and the inputs of users; absent if there are neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<ResumeState>,
    /// The job fails if its agent's session is lost or unusable. Otherwise the agent starts again, which is logged.
    #[serde(default, skip_serializing_if = "is_false")]
    pub requires_session: bool,
    /// An earlier attempt, or the retried job, may have left a checkpoint: `GET …/checkpoint`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub checkpoint: bool,
    /// The attempt only searches for the push of a lost attempt, and links or opens the pull request. It runs no agent
    /// and no commands. Without such a push, the job fails with the failure of the lost attempt.
    #[serde(default, skip_serializing_if = "is_false")]
    pub adopts: bool,
    /// Complete prompt for the agent.
    pub prompt: String,
    /// Agent and how to start it.
    pub agent: Agent,
    /// Title and body of a new pull request.
    pub pull_request: PullRequestText,
    /// Setup and check commands; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<pullyard_domain::checks::JobCommands>,
    /// What sandboxed agents and commands may connect to, besides the model: domains and names of registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<String>,
    /// Author of the commits; absent for the runner's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<pullyard_domain::commits::Author>,
    /// Limits of the attempt.
    pub limits: Limits,
    /// Interval of `events` calls; a batch without events counts.
    pub heartbeat_secs: u64,
}

impl std::fmt::Debug for Assignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The lease must not reach a log.
        f.debug_struct("Assignment").field("job", &self.job).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

impl Assignment {
    /// Whether the job fails if the agent's session is lost. Older servers send this only for a job that was suspended.
    pub fn fails_without_session(&self) -> bool {
        self.requires_session || self.resume.as_ref().is_some_and(|resume| resume.policy == Policy::Require)
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// State from which an attempt resumes the work of an earlier one.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", schemars(rename = "Resume"))]
pub struct ResumeState {
    /// Agent of the earlier attempt; absent if none started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The agent's own session id, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Number of inputs that the session has read.
    pub read: u32,
    /// Whether the job fails or the agent starts again if the session is lost.
    pub policy: Policy,
    /// All inputs of the job, oldest first.
    pub inputs: Vec<Input>,
}

/// A user's message to the job's agent.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Number, from 1.
    pub seq: u32,
    /// Name of the sender.
    pub by: String,
    /// Question that it answers, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Message.
    pub text: String,
}

/// Answer to `GET …/inputs?after=N`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputsAnswer {
    /// Inputs with a larger number, oldest first.
    pub inputs: Vec<Input>,
}

/// Answer to `GET …/checkpoint`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointAnswer {
    /// Newest checkpoint that can be downloaded, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// Newer checkpoint that cannot be downloaded, if any. Older servers omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingCheckpoint>,
}

/// A checkpoint that was reserved but cannot be downloaded.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingCheckpoint {
    /// Job of the checkpoint: this job, or a job that it retries.
    pub job: JobId,
    /// Attempt of the checkpoint.
    pub attempt: u32,
    /// Cause.
    pub why: MissingReason,
}

/// A checkpoint from which another attempt resumes. `Debug` omits its URL.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint").field("job", &self.job).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

/// Returns the job before its work is done. Idempotent: by `yield_id`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", schemars(rename = "YieldOutcome"))]
#[serde(rename_all = "snake_case")]
pub enum YieldReason {
    /// The agent asked a question.
    Asks,
    /// The job's `want` was `pause`.
    Paused,
}

/// Answer to a yield.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct YieldAnswer {
    /// Current status of the job.
    pub status: pullyard_domain::job::JobStatus,
    /// The attempt continues, because the job has inputs that the agent has not read.
    #[serde(default)]
    pub goes_on: bool,
}

/// Ticket of a job.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedTicket {
    /// Key in the ticket tool.
    pub key: TicketKey,
    /// Title when the job was created.
    pub title: String,
    /// Page of the ticket, if known.
    pub url: Option<String>,
}

/// Repository of a job.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedRepository {
    /// Kind of forge.
    pub forge: pullyard_domain::project::ForgeKind,
    /// REST base of the forge, without a trailing slash.
    pub api_url: String,
    /// `owner/name`.
    pub name: RepositoryName,
    /// URL for git over HTTPS.
    pub clone_url: String,
}

impl AssignedRepository {
    /// The forge's name in sentences about the job.
    pub fn forge_name(&self) -> String {
        self.forge.display_name_at(&self.api_url)
    }
}

/// A pull request that the job continues.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", schemars(rename = "Continues"))]
pub struct ContinuedPullRequest {
    /// Number at the forge.
    pub number: u64,
    /// Head branch.
    pub branch: String,
}

/// A pull request to revise, with the reviews to answer.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", schemars(rename = "Revises"))]
pub struct RevisedPullRequest {
    /// Number at the forge.
    pub number: u64,
    /// Page of the pull request.
    pub url: String,
    /// Head branch when the job was created; the forge may have renamed it since.
    pub branch: String,
    /// Head commit when the job was created. The work starts from the newest head instead.
    pub head: String,
    /// Reviews that the job answers. It requests a new review from their authors.
    pub reviews: Vec<RevisedReview>,
    /// Comments that the prompt contains. Each thread gets one answer.
    pub comments: Vec<RevisedComment>,
    /// Retried jobs. A thread that one of these jobs answered gets no second answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retries: Vec<JobId>,
}

/// A review that a job answers.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisedReview {
    /// Id at the forge.
    pub id: u64,
    /// Login of the author.
    pub author: String,
}

/// An inline comment that a job answers.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisedComment {
    /// Id at the forge.
    pub id: u64,
    /// Id of the first comment of the thread.
    pub thread: u64,
    /// File.
    pub path: String,
    /// Line; absent for the whole file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// The agent of a job.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// `claude_code`, `codex`, `command`, or `auto`: the first of Claude Code and Codex that is installed.
    pub capability: String,
    /// Program and arguments of the `command` agent; a relative program is found in the worktree.
    pub command: Vec<String>,
    /// Model, as the agent names it; absent for the agent's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Title and text of a pull request.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestText {
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
}

/// Limits of an attempt.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time from the claim to the last call.
    pub wall_secs: u64,
    /// Time without an event from the agent.
    pub stall_secs: u64,
    /// Cost by the agent's own count. Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd_micros: Option<u64>,
    /// Requests to the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
    /// Size of the attempt's work folder. Units: MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_mib: Option<u64>,
}

/// Reports the phase of the attempt.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRequest {
    /// The phase that begins.
    pub status: Phase,
    /// Only for `syncing`: number of inputs that the agent has read or cannot read. The push is refused while the job
    /// has more. Absent if the agent reads no inputs while it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<u32>,
}

/// Phases of an attempt, in order.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// Requested state of the job.
    pub want: pullyard_domain::job::DesiredState,
    /// Only for `syncing`: no other party ends the attempt for this long, by the server's clock. The runner stops
    /// pushing well before, counted from its request. Absent if `want` is `pause` and the push may not begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_for_secs: Option<u64>,
    /// Only for `syncing`: the push may not begin, because the job has inputs that the agent has not read.
    #[serde(default)]
    pub goes_on: bool,
}

/// A batch of events; an empty one is a heartbeat. The runner never changes a batch that it sent, so a repeat is safe.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsRequest {
    /// Number of the first event; the others follow without gaps.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000_000)))]
    pub first_seq: u64,
    /// At most 1,000.
    #[cfg_attr(feature = "schema", schemars(length(max = 1000)))]
    pub events: Vec<Event>,
    /// Number of inputs that the agent has read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<u32>,
}

/// Answer to a batch.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Requests the secrets of the attempt. No fields.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialsRequest {}

/// The secrets of the attempt. `Debug` omits them, so that they never reach a log.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// For git and the forge's REST API, limited to the needs of the job.
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCredential {
    /// Kind of credential.
    pub key: pullyard_domain::agent::ModelKey,
    /// The secret.
    pub value: String,
}

impl std::fmt::Debug for ModelCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ModelCredential {{ key: {:?}, .. }}", self.key)
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials { .. }")
    }
}

/// Ends the attempt. Idempotent: by `finish_id`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishRequest {
    /// Chosen by the runner once per finish, and stored on its disk until the server answers.
    pub finish_id: FinishId,
    /// Outcome.
    pub outcome: FinishOutcome,
    /// Required with `failed`, refused otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Required with `completed`. Allowed with `failed` if the attempt pushed before it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<FinishResult>,
    /// Cost, if known. Includes the estimated part, `work.about_usd_micros`. Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_usd_micros: Option<u64>,
    /// Agent and its usage; absent if none started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<pullyard_domain::job::AgentReport>,
}

/// Outcome of an attempt, as reported by its runner.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishOutcome {
    /// The work is pushed and the pull request exists.
    Completed,
    /// The attempt failed; see `failure`.
    Failed,
    /// The runner stopped because the job's `want` was `cancel`.
    Cancelled,
}

/// Result of an attempt.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishResult {
    /// The pushed branch.
    pub branch: String,
    /// The commit at its head, 40 or 64 hex digits.
    pub head: String,
    /// The pull request.
    pub pull_request: FinishPullRequest,
    /// Files changed against the base.
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishPullRequest {
    /// Number at the forge.
    pub number: u64,
    /// Page of the pull request.
    pub url: String,
}

/// Answer to a finish.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishAnswer {
    /// Current status of the job.
    pub status: pullyard_domain::job::JobStatus,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_reason_for_a_missing_checkpoint_is_parsed() {
        let job = format!("job_{}", "a".repeat(26));
        let read = |why: &str| {
            let answer = json!({ "missing": { "job": job, "attempt": 2, "why": why } });
            serde_json::from_value::<CheckpointAnswer>(answer).unwrap().missing.unwrap().why
        };
        assert_eq!(read("not_uploaded"), MissingReason::NotUploaded);
        assert_eq!(read("expired"), MissingReason::Expired);
        assert_eq!(read("too_far_back"), MissingReason::TooFarBack);
        assert_eq!(read("eaten_by_the_dog"), MissingReason::Unknown);
    }
}
