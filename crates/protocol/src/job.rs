//! Jobs: `/v1/jobs`, `/v1/jobs/{id}`, `…/why`.

use crate::limits;
use pullyard_domain::job::{JobKind, JobResult, JobStatus, Placement, Priority, PushedCommit};
use pullyard_domain::project::task::Task;
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::text::failure::FailureClass;
use pullyard_domain::text::id::{JobId, ProjectId, RepositoryName, RunId, TicketKey};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp, WireTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Body of `POST /v1/jobs`: requests a job for a ticket, from a prompt, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateJob {
    /// Project.
    pub project: ProjectId,
    /// Kind of work: `implement` (the default), or `read`, which answers the prompt and has no ticket.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: JobKind,
    /// Ticket of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketKey>,
    /// Instructions, in addition to the ticket's text or instead of a ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::PROMPT))]
    pub prompt: Option<String>,
    /// Repository; absent: the ticket's, or the project's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// Branch to start from; absent: the repository's default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Agent: a capability that docs/agents.md lists; absent: the repository's, or the project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Model of the agent; absent: the one configured with that agent, or the agent's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Labels that the runner must have, besides those of project, repository and ticket; at most 10 in all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(max = pullyard_domain::project::labels::MAX_LABELS))]
    pub labels: BTreeSet<String>,
    /// Priority; absent: as a label of the ticket says, such as `priority:high`, or normal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

fn is_default(kind: &JobKind) -> bool {
    *kind == JobKind::default()
}

/// Body of `POST /v1/jobs/{id}/cancel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelJob {
    /// Reason, in one line for users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = pullyard_domain::job::MAX_REASON_CHARS), regex(pattern = limits::LINE))]
    pub reason: Option<String>,
}

/// Body of `POST /v1/jobs/{id}/answer`: a user's message to the job's agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "AnswerJob")]
#[serde(deny_unknown_fields)]
pub struct SendInput {
    /// Message.
    #[schemars(length(min = 1, max = pullyard_domain::job::MAX_INPUT_CHARS))]
    pub text: String,
}

/// A pause of a job, requested or in effect. The runner needs time to stop the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Pause {
    /// Name of the requester.
    pub by: String,
    /// Time of the request; once the job is paused, the time when that happened.
    #[serde(with = "WireTime")]
    pub at: Timestamp,
}

/// An open question of a job's agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Question {
    /// Text of the agent.
    pub text: String,
    /// Time of the question.
    #[serde(with = "WireTime")]
    pub at: Timestamp,
}

/// A cancellation of a job, requested or in effect. The runner needs time to stop the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Cancel {
    /// Name of the requester.
    pub by: String,
    /// Reason, if given.
    pub reason: Option<String>,
    /// Time of the request.
    #[serde(with = "WireTime")]
    pub at: Timestamp,
    /// Deadline for the runner to stop; null once the job has ended.
    #[serde(with = "OptionalWireTime")]
    pub until: Option<Timestamp>,
}

/// Filters for a list of jobs; `None` or empty does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Kind of work.
    pub kind: Option<JobKind>,
    /// One of these statuses.
    pub statuses: Vec<JobStatus>,
    /// Ticket.
    pub ticket: Option<TicketKey>,
    /// Created at this time or later.
    pub since: Option<Timestamp>,
    /// Created before this time.
    pub until: Option<Timestamp>,
    /// Page size: 1 to 50.
    pub limit: Option<usize>,
    /// Cursor.
    pub after: Option<String>,
}

/// A job as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Job {
    /// Job id.
    pub id: JobId,
    /// Project.
    pub project: ProjectId,
    /// Kind of work.
    pub kind: JobKind,
    /// Status.
    pub status: JobStatus,
    /// Title in one line.
    pub title: String,
    /// Ticket of the job.
    pub ticket: Option<TicketKey>,
    /// Repository of the job.
    pub repository: Option<RepositoryName>,
    /// Run of whose plan the job does a step; absent for other jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// That step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Pull request that the job revises; absent for other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<RevisedPullRequest>,
    /// Place of its attempts: Fargate or self-hosted runners.
    pub place: Placement,
    /// Size and capacity of the Fargate task; absent on a self-hosted runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Priority in the queue; absent: normal.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// Labels that its runner must have. Only in the answer to `GET /v1/jobs/{id}`, where absent means none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// Number of claimed attempts.
    pub attempt: u32,
    /// Branch of its commit, or before the push the branch that the job creates; for the kind `read`, the branch that it reads.
    pub branch: String,
    /// Creation time.
    #[serde(with = "WireTime")]
    pub created: Timestamp,
    /// When the current attempt was claimed.
    #[serde(with = "OptionalWireTime")]
    pub started: Option<Timestamp>,
    /// End.
    #[serde(with = "OptionalWireTime")]
    pub ended: Option<Timestamp>,
    /// Failure, if the job failed.
    pub failure: Option<Explanation>,
    /// Only of an ended job: a sentence that a lost attempt may have pushed. The branch may exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unverified_push: Option<String>,
    /// Reason for the wait, if the job waits.
    pub waits: Option<Explanation>,
    /// Cancellation, requested or in effect.
    #[serde(default)]
    pub cancel: Option<Cancel>,
    /// Pause, requested or in effect.
    #[serde(default)]
    pub pause: Option<Pause>,
    /// Open question of the agent.
    #[serde(default)]
    pub question: Option<Question>,
    /// Number of inputs from users.
    #[serde(default)]
    pub inputs: u32,
    /// Number of inputs that an agent has read, as its runner reported.
    #[serde(default, rename = "heard")]
    pub read_inputs: u32,
    /// The ended job that this one retries.
    #[serde(default)]
    pub retry_of: Option<JobId>,
    /// Result of the job.
    pub result: Option<JobResult>,
    /// Instead of `result`, for the step of a run with a branch of its own; beside it once its pull request is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<PushedCommit>,
}

/// The pull request that a job revises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RevisedPullRequest {
    /// Number.
    pub number: u64,
    /// Readable name: `acme/app#7`.
    pub label: String,
    /// Page of the pull request.
    pub url: String,
}

/// A code with its sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Explained")]
pub struct Explanation {
    /// Stable code for programs.
    pub code: String,
    /// Sentence for users.
    pub sentence: String,
    /// Advice.
    pub help: String,
    /// The facts behind the sentence.
    pub facts: serde_json::Value,
    /// Class of a failure. Absent for a wait, and from an older server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<FailureClass>,
}

/// Answer to `GET /v1/jobs?project=P&status=S,S&ticket=KEY&since=T&until=T&limit=N&after=CURSOR`, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobPage {
    /// At most 50, or `limit`. A page may be empty without being the last.
    pub jobs: Vec<Job>,
    /// Cursor of the next page; null on the last page.
    pub next: Option<String>,
    /// Creation time of the oldest job examined; a page examines at most 500.
    #[serde(default, rename = "looked_back_to", with = "OptionalWireTime")]
    pub searched_to: Option<Timestamp>,
}

/// Answer to `GET /v1/jobs/{id}/output`: what the job reports besides changes. It is hostile text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "JobOutput")]
pub struct OutputAnswer {
    /// Job id.
    pub job: JobId,
    /// Output, by the job's kind; null if there is none, or none yet. Outputs are deleted after 90 days.
    pub output: Option<JobOutput>,
}

/// Answer to `GET /v1/jobs/{id}/why`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Why")]
pub struct JobExplanation {
    /// Status of the job.
    pub status: JobStatus,
    /// One sentence that explains the status.
    pub sentence: String,
    /// Advice.
    pub help: String,
    /// Code of the wait or failure, if any.
    pub code: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn failure_class_is_optional_for_older_servers() {
        let older = json!({ "code": "no_changes", "sentence": "It did nothing.", "help": "Retry.", "facts": {} });
        let explanation: Explanation = serde_json::from_value(older.clone()).unwrap();
        assert_eq!(explanation.class, None);
        assert_eq!(serde_json::to_value(&explanation).unwrap(), older);
        let newer = serde_json::to_value(Explanation { class: Some(FailureClass::Agent), ..explanation }).unwrap();
        assert_eq!(newer["class"], "agent");
        assert_eq!(serde_json::from_value::<Explanation>(newer).unwrap().class, Some(FailureClass::Agent));
    }
}
