//! Calls of an attempt's runner: `POST /v1/jobs/{job}/attempts/{n}/{start,status,events,credentials,yield,finish}` and
//! `GET …/{inputs,checkpoint}`; its artifacts are in `artifact`.
//!
//! `start` uses the task's bootstrap token, later calls the lease that it returns. A superseded attempt gets 409
//! `lease_lost`. Runners receive only durations, because clocks differ; they count from before the request.

use crate::event::Event;
#[cfg(feature = "schema")]
use crate::limits;
use pullyard_domain::artifact::WhyMissing;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{ClaimId, FinishId, InstanceId, JobId, RepositoryName, Sha256Hex, TicketKey};
use pullyard_domain::job::Kind;
use pullyard_domain::project::Resume as Policy;
use serde::{Deserialize, Serialize};

/// Claims the attempt. Repeating it with the same `claim_id` returns the same assignment and lease.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// Chosen by the runner, once per process.
    pub claim_id: ClaimId,
    /// This life of the runner process.
    pub instance: InstanceId,
    /// The ECS task's ARN, from the container metadata endpoint; absent outside ECS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::LINE)))]
    pub task: Option<String>,
}

/// Everything a runner needs to do the job.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The job.
    pub job: JobId,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// Bearer credential of every further call of this attempt.
    pub lease: String,
    /// What kind of work it is.
    pub kind: Kind,
    /// The ticket, if the job has one.
    pub ticket: Option<AssignedTicket>,
    /// Where the source is and where the pull request goes.
    pub repository: AssignedRepository,
    /// The branch that the work starts from and the pull request asks to merge into.
    pub base: String,
    /// The branch to make and push, if `continues` does not apply.
    pub branch: String,
    /// An earlier pull request of the same ticket. While the forge says it is open, the work goes on
    /// on its branch and no other pull request is made; closed or merged, `branch` is used.
    pub continues: Option<Continues>,
    /// The pull request that a revise job appends a commit to; absent for other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revises: Option<Revises>,
    /// What an earlier attempt left to go on with, and what people said since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// Where the session of its agent is lost, also while it works, or what was kept of it can't be used, the job fails;
    /// else its agent begins again, and the log says so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub requires_session: bool,
    /// An earlier attempt, or the job that this one does again, may have left a checkpoint: `GET …/checkpoint`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub checkpoint: bool,
    /// An earlier attempt was lost that may have pushed: this one looks for its commit on the branch, and links or opens
    /// the pull request of it. No agent begins, and no command is run. Where there is no such commit, it fails; what the
    /// job is then called is how the earlier one was lost.
    #[serde(default, skip_serializing_if = "is_false")]
    pub adopts: bool,
    /// The whole prompt for the agent.
    pub prompt: String,
    /// Which agent, and how it is started.
    pub agent: Agent,
    /// Title and text of a new pull request.
    pub pull_request: PullRequestText,
    /// What is run before the agent and on its work; absent where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<pullyard_domain::checks::JobCommands>,
    /// Whose name stands on its commits; absent where it is the runner's usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<pullyard_domain::commits::Author>,
    /// What the attempt may use up.
    pub limits: Limits,
    /// How often an `events` call is due, with or without events in it.
    pub heartbeat_secs: u64,
}

impl std::fmt::Debug for Assignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The lease never reaches a log.
        f.debug_struct("Assignment").field("job", &self.job).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

impl Assignment {
    /// Whether the job fails if the agent's session is lost. Older servers send it only for a job that rested.
    pub fn fails_without_session(&self) -> bool {
        self.requires_session || self.resume.as_ref().is_some_and(|resume| resume.policy == Policy::Require)
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What an earlier attempt left to go on with.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The agent that worked; none where none had begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The agent's own id of its session, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// How many of the inputs that session has read.
    pub read: u32,
    /// What becomes of the job where the session can't be found.
    pub policy: Policy,
    /// Everything that people said, oldest first.
    pub inputs: Vec<Input>,
}

/// Something that a person said to the job's agent.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its number, from 1.
    pub seq: u32,
    /// Who said it.
    pub by: String,
    /// The question that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// What.
    pub text: String,
}

/// `GET …/inputs?after=N`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputsAnswer {
    /// Those after that number, oldest first.
    pub inputs: Vec<Input>,
}

/// `GET …/checkpoint`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointAnswer {
    /// The newest that is to be had; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// One that was kept later and is not to be had; `checkpoint` is of before it. An older server says nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingCheckpoint>,
}

/// A checkpoint that was kept and is not to be had.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingCheckpoint {
    /// The job whose attempt kept it: this one, or one that it does again.
    pub job: JobId,
    /// That attempt.
    pub attempt: u32,
    /// Why.
    pub why: WhyMissing,
}

/// What another attempt can go on from. The type has no `Debug` of its address.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The job whose attempt left it: this one, or one that it does again.
    pub job: JobId,
    /// That attempt.
    pub attempt: u32,
    /// How large it is. Units: bytes.
    pub size_bytes: u64,
    /// What is in it.
    pub sha256: Sha256Hex,
    /// Where it is got. A secret for five minutes.
    pub get_url: String,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint").field("job", &self.job).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

/// Gives the job back before its work is done. Repeating it with the same `yield_id` gets the same answer.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YieldRequest {
    /// Chosen by the runner, once per attempt.
    pub yield_id: FinishId,
    /// Why.
    pub outcome: YieldOutcome,
    /// What the agent asks: required when it asks, refused otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Which agent worked; absent when none began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The agent's own id of its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// How many of the job's inputs the agent has read.
    #[serde(default)]
    pub inputs: u32,
    /// What the attempt cost, if that is known; what of it is only about right stands in `work`. Units: millionths of a
    /// US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_usd_micros: Option<u64>,
    /// Which agent worked, and what it took; absent when none began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<pullyard_domain::job::Work>,
}

/// Why a runner gives its job back.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum YieldOutcome {
    /// The agent asked something.
    Asks,
    /// The runner stopped because the job's `want` was `pause`.
    Paused,
}

/// The answer to a yield.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct YieldAnswer {
    /// The job's status now.
    pub status: pullyard_domain::job::Status,
    /// The attempt is not over: somebody said something that the agent has not read, and it goes on with that.
    #[serde(default)]
    pub goes_on: bool,
}

/// The ticket a job is for.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedTicket {
    /// Its key in the ticket tool.
    pub key: TicketKey,
    /// Its title when the job was made.
    pub title: String,
    /// Its page, if the tool gave one.
    pub url: Option<String>,
}

/// The repository of a job.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedRepository {
    /// The kind of forge.
    pub forge: pullyard_domain::project::ForgeKind,
    /// The forge's REST base, without a trailing slash.
    pub api_url: String,
    /// `owner/name`.
    pub name: RepositoryName,
    /// For git over HTTPS.
    pub clone_url: String,
}

impl AssignedRepository {
    /// The forge's name in sentences about the job.
    pub fn forge_name(&self) -> String {
        self.forge.at(&self.api_url)
    }
}

/// A pull request to go on with.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continues {
    /// Its number at the forge.
    pub number: u64,
    /// Its head branch.
    pub branch: String,
}

/// A pull request to revise, and what is to be answered on it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revises {
    /// Its number at the forge.
    pub number: u64,
    /// Its page.
    pub url: String,
    /// Its head branch when the job was made; the forge may know it by another name by now.
    pub branch: String,
    /// Its head when the job was made. The work starts from the newest, not from this.
    pub head: String,
    /// The reviews it is for; their authors are asked again.
    pub reviews: Vec<RevisedReview>,
    /// The comments that the prompt tells of; each of their threads gets one answer.
    pub comments: Vec<RevisedComment>,
    /// Earlier jobs whose work this one does again: a thread that one of them answered has its answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retries: Vec<JobId>,
}

/// A review that a job answers.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisedReview {
    /// The forge's id.
    pub id: u64,
    /// The login of who wrote it.
    pub author: String,
}

/// An inline comment that a job answers.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisedComment {
    /// The forge's id.
    pub id: u64,
    /// The id of its thread's first comment.
    pub thread: u64,
    /// The file.
    pub path: String,
    /// The line; absent for the whole file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// Which agent drives the work.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// `claude_code`, `codex`, `command`, or `auto`: the first of Claude Code and Codex that is installed.
    pub capability: String,
    /// Program and arguments of the `command` agent; a relative program is found in the worktree.
    pub command: Vec<String>,
    /// The model to ask for, as the agent names it; its own default if none.
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

/// What an attempt may use up.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// From the claim to the last call.
    pub wall_secs: u64,
    /// Without any event from the agent.
    pub stall_secs: u64,
    /// What the agent may cost, by its own count. Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd_micros: Option<u64>,
    /// Requests to the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
    /// Of the attempt's work folder. Units: MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_mib: Option<u64>,
}

/// Says how far the attempt is.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRequest {
    /// The phase that begins now.
    pub status: Phase,
    /// Only for `syncing`: how many of the job's inputs the agent was told, or can't be. Left out where it is told
    /// nothing while it works; else a push does not begin while there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<u32>,
}

/// The phases a runner reports, in their order.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Fetching the source and making the worktree.
    Preparing,
    /// The agent works.
    Executing,
    /// About to push.
    Syncing,
}

/// The answer to a status.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// What the job's people want of it now.
    pub want: pullyard_domain::job::Want,
    /// Only for `syncing`: nobody else ends the attempt for this long, counted from the server's clock.
    /// The runner stops pushing well before, counted from when it sent the request. Absent where `want` is `pause`:
    /// nothing is to be pushed now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_for_secs: Option<u64>,
    /// Only for `syncing`: it has not begun, for people said something that the agent was not told.
    #[serde(default)]
    pub goes_on: bool,
}

/// A batch of events; immutable once sent, so that a repeat is a repeat. An empty one is a heartbeat.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsRequest {
    /// The number of the first event; each event's number is one more than the one before.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000_000)))]
    pub first_seq: u64,
    /// At most 1,000.
    #[cfg_attr(feature = "schema", schemars(length(max = 1000)))]
    pub events: Vec<Event>,
    /// How many of the job's inputs the agent has heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<u32>,
}

/// The answer to a batch.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsAnswer {
    /// The number the server expects next.
    pub next_seq: u64,
    /// What the job's people want of it now.
    pub want: pullyard_domain::job::Want,
    /// How many inputs people gave the job: fetch those that the agent has not read.
    #[serde(default)]
    pub inputs: u32,
    /// Somebody is looking: send small batches.
    pub watched: bool,
    /// Send the next batch after at most this long.
    pub send_every_ms: u64,
}

/// Asks for the secrets of this attempt. No fields.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialsRequest {}

/// The secrets of this attempt. Never logged; the type has no `Debug` of its content.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// For git and the forge's REST API, limited to what the job needs.
    pub forge_token: String,
    /// How long the token works; a new one is given at each call. None for one that is always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<u64>,
    /// What the agent proves itself with to its model, where the project says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model: Vec<ModelCredential>,
    /// The SSH key that signs its commits, where the project says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
}

/// One secret for an agent's model. The type has no `Debug` of its content.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCredential {
    /// What it is.
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

/// Ends the attempt. Repeating it with the same `finish_id` gets the same answer.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishRequest {
    /// Chosen by the runner, once per finish, and kept on disk until the server answered.
    pub finish_id: FinishId,
    /// How it ended.
    pub outcome: FinishOutcome,
    /// Required when failed, refused otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Required when completed; may be there when a pushed attempt failed afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<FinishResult>,
    /// What the attempt cost, if that is known; what of it is only about right stands in `work`. Units: millionths of a
    /// US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_usd_micros: Option<u64>,
    /// Which agent worked, and what it took; absent when none began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<pullyard_domain::job::Work>,
}

/// How an attempt ended, as its runner saw it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishOutcome {
    /// The work is pushed and the pull request is there.
    Completed,
    /// It did not get there; `failure` says why.
    Failed,
    /// The runner stopped because the job's `want` was `cancel`.
    Cancelled,
}

/// What the attempt made.
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
    /// How the threads of reviewers were answered; absent where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replies: Option<pullyard_domain::job::Replies>,
}

/// The pull request an attempt made or went on with.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishPullRequest {
    /// Its number at the forge.
    pub number: u64,
    /// Its page.
    pub url: String,
}

/// The answer to a finish.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishAnswer {
    /// The job's status now.
    pub status: pullyard_domain::job::Status,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn why_a_checkpoint_is_missing_is_read_also_where_only_a_newer_server_knows_the_reason() {
        let job = format!("job_{}", "a".repeat(26));
        let read = |why: &str| {
            let answer = json!({ "missing": { "job": job, "attempt": 2, "why": why } });
            serde_json::from_value::<CheckpointAnswer>(answer).unwrap().missing.unwrap().why
        };
        assert_eq!(read("not_uploaded"), WhyMissing::NotUploaded);
        assert_eq!(read("expired"), WhyMissing::Expired);
        assert_eq!(read("too_far_back"), WhyMissing::TooFarBack);
        assert_eq!(read("eaten_by_the_dog"), WhyMissing::Unknown);
    }
}
