//! Answer to `start`: everything that a runner needs for a job.

pub use pullyard_domain::job::ContinuedPullRequest;
use pullyard_domain::job::JobKind;
use pullyard_domain::project::Resume as Policy;
use pullyard_domain::project::plan::SpawnLimits;
use pullyard_domain::review::analysis::{AnalysisReport, ItemKind};
use pullyard_domain::text::id::{JobId, RepositoryName, TicketKey};
use pullyard_domain::text::time::{Timestamp, WireTime};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a runner needs for the job.
#[derive(Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
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
    /// Pull request to which a revise or resolve job adds commits, or which a review job reviews; absent for other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revises: Option<RevisedPullRequest>,
    /// What an analysis reads; absent for other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AssignedAnalysis>,
    /// Session of an earlier attempt and the inputs of users; absent if there are neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<ResumeState>,
    /// The job fails if its agent's session is lost or unusable. Otherwise the agent starts again, which is logged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub requires_session: bool,
    /// An earlier attempt, or the retried job, may have left a checkpoint: `GET …/checkpoint`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checkpoint: bool,
    /// Complete prompt for the agent; of a resolve job, for the one that fixes.
    pub prompt: String,
    /// The prompt has instructions of a user: a resolve job without findings starts its agent nevertheless.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_instructions: bool,
    /// Words of which the answer of a read job has to name one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<String>,
    /// What the step of a run adds to its job; absent for other jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<AssignedStep>,
    /// Agent and how to start it.
    pub agent: Agent,
    /// Title and body of a new pull request.
    pub pull_request: PullRequestText,
    /// Setup and check commands; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<pullyard_domain::agent::checks::JobCommands>,
    /// What sandboxed agents and commands may connect to, besides the model: domains and names of registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<String>,
    /// Author of the commits; absent for the runner's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<pullyard_domain::project::commits::Author>,
    /// Limits of the attempt.
    pub limits: Limits,
    /// Interval of `events` calls; a batch without events counts.
    pub heartbeat_secs: u64,
}

debug_only!(Assignment { job, attempt });

impl Assignment {
    /// Whether the job fails if the agent's session is lost. Older servers send this only for a job that was suspended.
    pub fn fails_without_session(&self) -> bool {
        self.requires_session || self.resume.as_ref().is_some_and(|resume| resume.policy == Policy::Require)
    }
}

/// State from which an attempt resumes the work of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Resume")]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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

/// Ticket of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AssignedTicket {
    /// Key in the ticket tool.
    pub key: TicketKey,
    /// Title when the job was created.
    pub title: String,
    /// Page of the ticket, if known.
    pub url: Option<String>,
}

/// Repository of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AssignedRepository {
    /// Kind of forge.
    pub forge: pullyard_domain::project::forge::ForgeKind,
    /// REST base of the forge, without a trailing slash.
    pub api_url: String,
    /// `owner/name`.
    pub name: RepositoryName,
    /// URL for git over HTTPS.
    pub clone_url: String,
    /// Id of the account that writes for Pullyard; absent if the forge hides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<u64>,
}

impl AssignedRepository {
    /// The forge's name in sentences about the job.
    pub fn forge_name(&self) -> String {
        self.forge.display_name_at(&self.api_url)
    }
}

/// A pull request to revise, with the reviews to answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Revises")]
pub struct RevisedPullRequest {
    /// Number at the forge.
    pub number: u64,
    /// Page of the pull request.
    pub url: String,
    /// Head branch when the job was created; the forge may have renamed it since.
    pub branch: String,
    /// Head commit when the job was created. The work starts from the newest head instead.
    pub head: String,
    /// For a review: the commit that the last review reached. Absent: the whole change is reviewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Reviews that the job answers. It requests a new review from their authors.
    pub reviews: Vec<RevisedReview>,
    /// Comments that the prompt contains. Each thread gets one answer.
    pub comments: Vec<RevisedComment>,
    /// Retried jobs. A thread that one of these jobs answered gets no second answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retries: Vec<JobId>,
}

/// A review that a job answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RevisedReview {
    /// Id at the forge.
    pub id: u64,
    /// Login of the author.
    pub author: String,
}

/// An inline comment that a job answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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

/// An analysis of open pull requests and issues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AssignedAnalysis {
    /// Time of the server.
    #[serde(with = "WireTime")]
    pub now: Timestamp,
    /// Kinds of item to list.
    pub what: BTreeSet<ItemKind>,
    /// Whether a user named them: then each must be listed, and items whose summary failed are summarised again.
    #[serde(default)]
    pub named: bool,
    /// No further agent starts that would exceed it. Units: millionths of a US dollar.
    pub cost_usd_micros: u64,
    /// Report of the last completed analysis, if it is still stored. Items without a change keep its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<AnalysisReport>,
}

/// The agent of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Agent {
    /// The code of an agent, or `auto`: the first that is installed and has a key.
    pub capability: String,
    /// Program and arguments of the `command` agent; a relative program is found in the worktree.
    pub command: Vec<String>,
    /// Model, as the agent names it; absent for the agent's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// What the step of a run adds to its job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct AssignedStep {
    /// The agent changes files and writes an output.
    pub reports: bool,
    /// An unchanged tree completes a job that does both.
    pub may_change_nothing: bool,
    /// Steps that the output may add to the run; `turns` counts those that are left, with this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spawn: Option<SpawnLimits>,
    /// Names that steps of earlier turns have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<String>,
    /// The commit is pushed to `branch` without a pull request.
    pub has_own_branch: bool,
    /// The branch from which a branch of its own starts; absent for `base`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_from: Option<String>,
    /// Commits of earlier steps that the agent gets as patches.
    pub patches: Vec<AssignedPatch>,
    /// Values of the plan's parameters, which setup and checks get as variables: `due-date` as
    /// `PULLYARD_PARAM_DUE_DATE`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

/// The commit of an earlier step on a branch of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AssignedPatch {
    /// Name of the step.
    pub step: String,
    /// File of the patch, below `.pullyard/input`.
    pub file: String,
    /// Branch of the commit.
    pub branch: String,
    /// The commit.
    pub head: String,
}

/// Title and text of a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PullRequestText {
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// Whether it is opened as a draft.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draft: bool,
}

/// Limits of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Limits {
    /// Time from the claim to the last call.
    pub wall_secs: u64,
    /// Time without an event from the agent.
    pub stall_secs: u64,
    /// Cost of the requests to the model: counted by the runner's proxy in a sandbox, else by the agent. Units: millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd_micros: Option<u64>,
    /// Requests to the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
}
