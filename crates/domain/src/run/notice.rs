//! Notices: messages about the events of a project.

mod of_run;
mod send;

pub use crate::project::endpoint::{Endpoint, EndpointKind, EndpointState, MAX_ENDPOINTS, Window};
pub use crate::project::notice_event::NoticeEvent;
pub use send::{Answer, DIGEST_SENTENCES, NoticeRecord, SendFacts, SendStep};

use crate::job::{Job, JobKind, JobStatus};
use crate::text::code::coded_enum;
use crate::text::failure::{Failure, FailureClass};
use crate::text::id::{EndpointId, JobId, NoticeId, ProjectId, RunId, ScheduleName, TicketKey};
use crate::text::time::Timestamp;
use crate::text::truncate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MAX_SENTENCE_CHARS: usize = 400;

impl NoticeEvent {
    /// The event of a job's new state. The end of a step's job is none, because its run decides what follows.
    pub fn of_job(before: &Job, job: &Job) -> Option<Self> {
        match job.status {
            status if status == before.status => None,
            status if job.step.is_some() && status != JobStatus::AwaitingInput => None,
            JobStatus::Completed => Some(Self::JobCompleted),
            JobStatus::Cancelled => Some(Self::JobCancelled),
            JobStatus::AwaitingInput => Some(Self::JobAsks),
            JobStatus::Failed => Some(match job.failure {
                Some(Failure::TimeLimit { .. } | Failure::Stalled { .. }) => Self::JobTimedOut,
                Some(Failure::CostLimit { .. } | Failure::TicketLimit { .. }) => Self::JobCostExceeded,
                _ => Self::JobFailed,
            }),
            _ => None,
        }
    }
}

/// A message, frozen when its event happens, and its way to each endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub id: NoticeId,
    pub event: NoticeEvent,
    pub at: Timestamp,
    pub data: NoticeData,
    pub to: BTreeMap<EndpointId, NoticeDelivery>,
    /// When it is sent to each endpoint for which it waits.
    pub waiting: BTreeMap<EndpointId, Timestamp>,
    pub rev: u64,
}

/// The facts of the event: no text of a prompt, a log, a change or a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NoticeData {
    pub project: ProjectId,
    pub job: Option<JobId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleName>,
    pub ticket: Option<TicketKey>,
    pub kind: Option<JobKind>,
    pub attempt: Option<u32>,
    /// The code of the failure.
    pub code: Option<String>,
    /// Where to fix the cause of the failure.
    pub class: Option<String>,
    pub sentence: String,
    /// Advice.
    pub help: String,
    /// The cost of the job or run. Units: millionths of a US dollar.
    pub spent_usd_micros: Option<u64>,
    /// The page about it.
    pub url: String,
    /// The pull request of a completed job, or of a run.
    pub pull_request: Option<String>,
}

/// The way of a notice to one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NoticeDelivery {
    pub state: DeliveryState,
    /// Sends without success.
    pub failures: u32,
    /// The last answer, or why there was none.
    pub answer: Option<String>,
    /// The notice that contains it.
    pub digest: Option<NoticeId>,
}

coded_enum! {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum DeliveryState {
        #[default]
        Waiting = "waiting";
        Sent = "sent";
        /// Another message contains it.
        Digest = "digest";
        /// It is not sent again.
        Dead = "dead";
    }
}

impl NoticeDelivery {
    /// `dead: it answered 500 Internal Server Error; failures: 10`.
    pub fn summary(&self) -> String {
        let answer = self.answer.as_ref().map(|answer| format!(": {answer}")).unwrap_or_default();
        let failures = if self.failures > 0 { format!("; failures: {}", self.failures) } else { String::new() };
        format!("{}{answer}{failures}", self.state.as_str())
    }
}

impl NoticeData {
    pub fn new(project: ProjectId, sentence: &str, help: &str, url: String) -> Self {
        let (sentence, help) = (truncate(sentence, MAX_SENTENCE_CHARS), truncate(help, MAX_SENTENCE_CHARS));
        let (job, run, schedule, ticket, kind, attempt, code, class, spent_usd_micros, pull_request) =
            Default::default();
        Self {
            project,
            job,
            run,
            schedule,
            ticket,
            kind,
            attempt,
            code,
            class,
            sentence,
            help,
            spent_usd_micros,
            url,
            pull_request,
        }
    }

    fn of_job(event: NoticeEvent, job: &Job, url: String) -> Self {
        let (name, by) = (job.id.short(), job.cancel.as_ref().map_or("A user", |cancel| &cancel.by));
        let failure = job.failure.as_ref().map(without_free_texts);
        let (sentence, help) = match (event, &failure, &job.result) {
            (NoticeEvent::JobAsks, ..) => {
                ("The agent asks a question.".into(), format!("Answer it: `pullyard jobs answer {name}`."))
            }
            (NoticeEvent::JobCancelled, ..) => {
                (format!("{by} cancelled the job."), format!("`pullyard jobs retry {name}` starts it again."))
            }
            (_, Some(failure), _) => (failure.sentence(), failure.help()),
            (_, None, Some(_)) => ("The job completed.".into(), "Review the pull request.".into()),
            (_, None, None) if job.pushed.is_some() => {
                let branch = job.pushed.as_ref().map_or(&job.branch, |pushed| &pushed.branch);
                (format!("The job pushed a commit to the branch {branch}."), "Nothing to do.".into())
            }
            (_, None, None) => ("The job completed.".into(), format!("Read its output: `pullyard jobs show {name}`.")),
        };
        Self {
            job: Some(job.id.clone()),
            ticket: job.ticket.clone(),
            kind: Some(job.kind),
            attempt: Some(job.attempt),
            code: failure.as_ref().map(|failure| failure.code().into()),
            class: failure.as_ref().map(|failure| failure.class().as_str().into()),
            spent_usd_micros: Some(job.spent_usd_micros),
            pull_request: job.result.as_ref().map(|result| result.url.clone()),
            ..Self::new(job.project.clone(), &sentence, &help, url)
        }
    }
}

/// The facts of failures that quote neither an agent nor a file, a log or a change.
const PLAIN_FACTS: [&str; 20] = [
    "code",
    "limit",
    "spent",
    "runner",
    "ago",
    "exit",
    "forge",
    "repo",
    "branch",
    "base",
    "command",
    "agent",
    "model",
    "rounds",
    "what",
    "why",
    "n",
    "pr",
    "state",
    "integration",
];

/// Classes in which `reason` is a text of Pullyard, its machines or a runner.
const PLAIN_REASONS: [FailureClass; 3] = [FailureClass::Infra, FailureClass::Runner, FailureClass::Key];

/// The failure with `…` instead of each text that may quote an agent, a file, a log or a change.
fn without_free_texts(failure: &Failure) -> Failure {
    let has_plain_reason = PLAIN_REASONS.contains(&failure.class());
    let masked = || {
        let mut facts = serde_json::to_value(failure).ok()?;
        for (name, fact) in facts.as_object_mut()? {
            let is_plain = PLAIN_FACTS.contains(&name.as_str()) || name == "reason" && has_plain_reason;
            if fact.is_string() && !is_plain {
                *fact = "…".into();
            }
        }
        serde_json::from_value(facts).ok()
    };
    masked().unwrap_or(Failure::Unknown { last_words: "…".into() })
}

impl Notice {
    /// `None` if no endpoint subscribes to the event.
    pub fn new<'a>(
        id: NoticeId,
        event: NoticeEvent,
        data: NoticeData,
        endpoints: impl IntoIterator<Item = &'a Endpoint>,
        now: Timestamp,
    ) -> Option<Self> {
        let subscribers = endpoints.into_iter().filter(|endpoint| endpoint.receives(event));
        let notice = Self::to_endpoints(id, event, data, subscribers.map(|endpoint| endpoint.id.clone()), now);
        (!notice.to.is_empty()).then_some(notice)
    }

    /// A notice for these endpoints, due now.
    pub fn to_endpoints(
        id: NoticeId,
        event: NoticeEvent,
        data: NoticeData,
        endpoints: impl IntoIterator<Item = EndpointId>,
        now: Timestamp,
    ) -> Self {
        let waiting: BTreeMap<_, _> = endpoints.into_iter().map(|endpoint| (endpoint, now)).collect();
        let to = waiting.keys().map(|endpoint| (endpoint.clone(), NoticeDelivery::default())).collect();
        Self { id, event, at: now, data, to, waiting, rev: 0 }
    }

    /// The notice of a job's new state. `job_url` is its page.
    pub fn of_job(before: &Job, job: &Job, endpoints: &[Endpoint], job_url: String, now: Timestamp) -> Option<Self> {
        let event = NoticeEvent::of_job(before, job)?;
        let id = NoticeId::for_job(&job.id, job.attempt, event.as_str());
        Self::new(id, event, NoticeData::of_job(event, job, job_url), endpoints, now)
    }

    /// Its ticket, job, run or schedule, for a list.
    pub fn subject(&self) -> String {
        let NoticeData { project, job, run, schedule, ticket, .. } = &self.data;
        match (ticket, job, run) {
            (Some(ticket), ..) => ticket.to_string(),
            (None, Some(job), _) => job.short(),
            (None, None, Some(run)) => run.short(),
            (None, None, None) => schedule.as_ref().map_or(project.to_string(), ToString::to_string),
        }
    }

    pub fn is_dead(&self) -> bool {
        self.to.values().any(|delivery| delivery.state == DeliveryState::Dead)
    }

    /// The endpoints that it did not reach.
    pub fn unreached(&self) -> impl Iterator<Item = &EndpointId> {
        let is_unreached = |state| matches!(state, DeliveryState::Dead | DeliveryState::Waiting);
        self.to.iter().filter(move |(_, delivery)| is_unreached(delivery.state)).map(|(endpoint, _)| endpoint)
    }

    /// Makes the notice due now at these endpoints. A due time that has passed stays: a send may be in flight, and
    /// another would be a second message in Slack.
    pub fn redeliver(mut self, endpoints: &[EndpointId], now: Timestamp) -> Self {
        for endpoint in endpoints {
            let Some(delivery) = self.to.get_mut(endpoint) else { continue };
            if delivery.state == DeliveryState::Dead {
                *delivery = NoticeDelivery::default();
            }
            let due = self.waiting.entry(endpoint.clone()).or_insert(now);
            *due = now.min(*due);
        }
        self
    }
}

#[cfg(test)]
mod tests;
