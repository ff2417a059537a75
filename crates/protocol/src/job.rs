//! Jobs: `/v1/jobs`, `/v1/jobs/{id}`, `…/why`.

#[cfg(feature = "schema")]
use crate::limits;
use pullyard_domain::failure::Class;
use pullyard_domain::id::{JobId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::job::{Kind, Place, Status};
use pullyard_domain::task::Task;
use pullyard_domain::time::{Timestamp, rfc3339};
use serde::{Deserialize, Serialize};

/// `POST /v1/jobs`: a job that a person asks for, for a ticket, from a prompt, or both.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateJob {
    /// Whose.
    pub project: ProjectId,
    /// The ticket it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketKey>,
    /// What to do, beside or instead of the ticket's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::PROMPT)))]
    pub prompt: Option<String>,
    /// Where; the ticket's or the project's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// The branch to start from; the repository's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Which agent: `claude_code`, `codex`, `auto` or `command`; the repository's when absent, or its project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Which model of it; when absent, the one that was named with that agent, or its own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// `POST /v1/jobs/{id}/cancel`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelJob {
    /// Why, in one line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = pullyard_domain::job::LONGEST_REASON), regex(pattern = limits::LINE)))]
    pub reason: Option<String>,
}

/// `POST /v1/jobs/{id}/pause`. No fields.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseJob {}

/// `POST /v1/jobs/{id}/continue`. No fields.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContinueJob {}

/// `POST /v1/jobs/{id}/answer`: something that a person says to the job's agent.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerJob {
    /// What.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = pullyard_domain::job::LONGEST_INPUT)))]
    pub text: String,
}

/// Who paused a job. Until it stands still, its runner is stopping it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Their name.
    pub by: String,
    /// When they said so, or since when it stands still.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub at: Timestamp,
}

/// What a job's agent asked, while nobody has answered.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// In its words.
    pub text: String,
    /// When.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub at: Timestamp,
}

/// `POST /v1/jobs/{id}/retry`. No fields.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryJob {}

/// Who cancelled a job. Until it has ended, its runner is stopping it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Their name.
    pub by: String,
    /// In their words.
    pub reason: Option<String>,
    /// When.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub at: Timestamp,
    /// By when its runner should have stopped; none once it has ended.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub until: Option<Timestamp>,
}

/// Filters for a list of jobs; `None` or empty does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// One of these statuses.
    pub statuses: Vec<Status>,
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// Whose.
    pub project: ProjectId,
    /// What kind of work.
    pub kind: Kind,
    /// Where it is.
    pub status: Status,
    /// One line that names the work.
    pub title: String,
    /// The ticket it is for.
    pub ticket: Option<TicketKey>,
    /// Where the work goes.
    pub repository: Option<RepositoryName>,
    /// The pull request that it revises; absent for other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<RevisedPullRequest>,
    /// Where it runs.
    pub place: Place,
    /// What its Fargate task is like; absent where a self-hosted runner runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// How many attempts were claimed.
    pub attempt: u32,
    /// The branch it makes.
    pub branch: String,
    /// When it was made.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub created: Timestamp,
    /// When the present attempt was claimed.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub ended: Option<Timestamp>,
    /// Why it failed.
    pub failure: Option<Explained>,
    /// The loss that it was put back for, so that what the lost attempt may have pushed is looked for: no agent works on
    /// it since, and it fails by that where nothing comes of it. Absent where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopts: Option<Explained>,
    /// Where it failed, and an attempt of it was lost that may have pushed: why nobody came to say what became of that. Its
    /// branch may be there. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlooked: Option<Explained>,
    /// It has ended, an attempt of it may have pushed before, and nobody came to say what became of that: in words. Its
    /// branch may be there. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold_push: Option<String>,
    /// What it waits for, while it does.
    pub waits: Option<Explained>,
    /// Who cancelled it, or wants it to stop.
    #[serde(default)]
    pub cancel: Option<Cancel>,
    /// Who paused it, or wants it to pause.
    #[serde(default)]
    pub pause: Option<Pause>,
    /// What its agent asked, while nobody has answered.
    #[serde(default)]
    pub question: Option<Question>,
    /// How many inputs people gave it.
    #[serde(default)]
    pub inputs: u32,
    /// How many of them an agent of it has heard, as its runner said.
    #[serde(default)]
    pub heard: u32,
    /// The ended job whose work it does again.
    #[serde(default)]
    pub retry_of: Option<JobId>,
    /// What it made.
    pub result: Option<JobResult>,
}

impl Job {
    /// When the agent will read a message that is sent now; `None` if never.
    pub fn hears_when(&self) -> Option<&'static str> {
        self.status.hears_when(self.adopts.is_some())
    }
}

/// The pull request that a job revises.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisedPullRequest {
    /// Its number.
    pub number: u64,
    /// As people name it: `acme/app#7`.
    pub label: String,
    /// Its page.
    pub url: String,
}

/// A code with its sentence.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// Stable, for programs.
    pub code: String,
    /// What is so.
    pub sentence: String,
    /// What to do about it.
    pub help: String,
    /// The facts behind it.
    pub facts: serde_json::Value,
    /// Of a failure, what kind of person acts on it; a wait has none, nor has what an older server says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
}

/// What a job made.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// The branch it pushed.
    pub branch: String,
    /// The commit at its head.
    pub head: String,
    /// The pull request's number.
    pub number: u64,
    /// The pull request's page.
    pub url: String,
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

/// `GET /v1/jobs?project=P&status=S,S&ticket=KEY&since=T&until=T&limit=N&after=CURSOR`: newest first.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    /// At most 50, or as many as were asked for. May be none while there are older ones to look at.
    pub jobs: Vec<Job>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<String>,
    /// When the oldest job that was looked at was made: a page looks at 500 at most.
    #[serde(default, with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub looked_back_to: Option<Timestamp>,
}

/// `GET /v1/jobs/{id}/why`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Where the job is.
    pub status: Status,
    /// One plain sentence on why it is there.
    pub sentence: String,
    /// What to do about it.
    pub help: String,
    /// The code of a wait or failure, if it is one.
    pub code: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_that_only_adopts_is_heard_by_no_agent_and_one_of_an_older_server_as_its_status_says() {
        let older = json!({
            "id": format!("job_{}", "a".repeat(26)), "project": "acme", "kind": "implement", "status": "preparing",
            "title": "Greet", "ticket": null, "repository": null, "place": "runners", "attempt": 2, "branch": "b",
            "created": "2026-11-20T12:04:01.000Z", "started": null, "ended": null, "failure": null, "waits": null,
            "result": null,
        });
        let job: Job = serde_json::from_value(older).unwrap();
        assert_eq!((&job.adopts, job.hears_when()), (&None, Some("Its agent hears it when it begins.")));
        let told = serde_json::to_value(&job).unwrap();
        assert!(["adopts", "unlooked", "untold_push"].iter().all(|field| told.get(*field).is_none()), "{told}");
        let loss = json!({ "code": "runner_offline", "sentence": "It is gone.", "help": "Retry.", "facts": {} });
        let adopting = Job { adopts: serde_json::from_value(loss).unwrap(), ..job };
        assert!(adopting.hears_when().unwrap().starts_with("No agent works on it any more"), "{adopting:?}");
        assert_eq!(Job { status: Status::Failed, ..adopting }.hears_when(), None);
    }

    #[test]
    fn whose_fault_it_was_is_said_and_what_an_older_server_says_reads_without() {
        let older = json!({ "code": "no_changes", "sentence": "It did nothing.", "help": "Retry.", "facts": {} });
        let said: Explained = serde_json::from_value(older.clone()).unwrap();
        assert_eq!(said.class, None);
        assert_eq!(serde_json::to_value(&said).unwrap(), older);
        let newer = serde_json::to_value(Explained { class: Some(Class::Agent), ..said }).unwrap();
        assert_eq!(newer["class"], "agent");
        assert_eq!(serde_json::from_value::<Explained>(newer).unwrap().class, Some(Class::Agent));
    }
}
