//! Conversions from domain values to the API's answers.

/// The `Explanation` of a value of a vocabulary.
macro_rules! explain {
    ($it:expr) => {{
        let it = $it;
        let (code, sentence, help) = (it.code().into(), it.sentence(), it.help());
        let facts = $crate::wire::facts_to_json(it);
        pullyard_protocol::job::Explanation { code, sentence, help, facts, class: None }
    }};
}

pub(crate) mod run;

use pullyard_control::review::PullRequestView;
use pullyard_control::{Answer, JobView, RevisedPullRequest, SpendingView, TicketView};
use pullyard_domain::job::{self as domain, AttemptEnd, Placement, explanation};
use pullyard_domain::project::spending;
use pullyard_domain::review::pull_request;
use pullyard_domain::run::due;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::comment;
use pullyard_protocol::artifact::{Attempt, AttemptOutcome};
use pullyard_protocol::decision::Decision;
use pullyard_protocol::delivery::{Delivery, ReviewSubject};
use pullyard_protocol::job::{self, Cancel, Explanation, Job, Pause, Question};
use pullyard_protocol::pull_request::{AgentReview, AgentReviews, PullRequest};
use pullyard_protocol::ticket::{Comment, LimitRaise, LimitUse, Ticket};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

pub(crate) fn decision(answer: Answer) -> Decision {
    Decision::new(answer.delivery, &answer.reason, answer.job)
}

/// Fields of facts that are times. The table stores them as numbers.
const TIME_FIELDS: [&str; 7] = ["at", "day", "decided_at", "next", "now", "occurred_at", "time"];

/// Facts as JSON, with their times in RFC 3339.
fn facts_to_json(facts: &impl Serialize) -> Value {
    let mut json = serde_json::to_value(facts).unwrap_or_default();
    format_times(&mut json);
    json
}

fn format_times(facts: &mut Value) {
    match facts {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    // The last seen event has its time before its id.
                    Value::Array(parts) if name == "seen" => parts.iter_mut().for_each(format_time),
                    _ if TIME_FIELDS.contains(&name.as_str()) => format_time(value),
                    _ => format_times(value),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(format_times),
        _ => {}
    }
}

/// Removes the keys that a plan leaves out.
fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        Value::Array(all) => all.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

fn format_time(value: &mut Value) {
    if let Some(millis) = value.as_i64() {
        *value = Timestamp::from_millis(millis).to_string().into();
    }
}

fn failure(failure: &Failure) -> Explanation {
    Explanation { class: Some(failure.class()), ..explain!(failure) }
}

pub(crate) fn job(view: JobView) -> Job {
    let JobView { job, title, repository, waits, revises, .. } = view;
    let waits = waits.map(|wait| explain!(&wait));
    let failure = job.failure.as_ref().map(|cause| {
        let (sentence, help) = explanation::explain_failure(&job, cause);
        Explanation { sentence, help, ..failure(cause) }
    });
    let (run, step) = job.step.clone().map(|step| (step.run, step.name)).unzip();
    let branch = job.commit_branch().to_owned();
    let (until, unverified_push) = (job.stop_deadline(), explanation::unresolved_push_note(&job));
    Job {
        waits,
        cancel: job.cancel.map(|cancel| Cancel { by: cancel.by, reason: cancel.reason, at: cancel.at, until }),
        pause: job.pause.map(|pause| Pause { by: pause.by, at: pause.at }),
        question: job.question.map(|question| Question { text: question.text, at: question.at }),
        inputs: job.inputs,
        read_inputs: job.read_inputs,
        retry_of: job.retry_of,
        failure,
        run,
        step,
        unverified_push: unverified_push.map(str::to_owned),
        started: job.run.as_ref().map(|run| run.started),
        result: job.result,
        pushed: job.pushed,
        id: job.id,
        project: job.project,
        kind: job.kind,
        status: job.status,
        title,
        ticket: job.ticket,
        repository,
        pull_request: revises.map(|RevisedPullRequest { number, label, url }| job::RevisedPullRequest {
            number,
            label,
            url,
        }),
        place: job.place,
        priority: job.priority,
        labels: BTreeSet::new(),
        task: (job.place == Placement::Fargate).then_some(job.task),
        attempt: job.attempt,
        branch,
        created: job.created,
        ended: job.ended_at,
    }
}

pub(crate) fn attempt(attempt: domain::AttemptRecord) -> Attempt {
    let domain::AttemptRecord { number, run, ended_at, ended, work, spent_usd_micros, .. } = attempt;
    let (outcome, cause) = match ended {
        AttemptEnd::Completed {} => (AttemptOutcome::Completed, None),
        AttemptEnd::Cancelled {} => (AttemptOutcome::Cancelled, None),
        AttemptEnd::Failed { failure } => (AttemptOutcome::Failed, Some(failure)),
        AttemptEnd::Requeued { failure } => (AttemptOutcome::Requeued, Some(failure)),
        AttemptEnd::Asked {} => (AttemptOutcome::Asked, None),
        AttemptEnd::Paused {} => (AttemptOutcome::Paused, None),
    };
    Attempt {
        attempt: number,
        runner: run.runner,
        task: run.task,
        started: run.started,
        ended: Some(ended_at),
        how: outcome,
        failure: cause.as_ref().map(failure),
        work,
        spent_usd_micros,
    }
}

pub(crate) fn running_attempt(job: &domain::Job) -> Option<Attempt> {
    let run = job.run.clone().filter(|_| job.status.is_active())?;
    Some(Attempt {
        attempt: job.attempt,
        runner: run.runner,
        task: run.task,
        started: run.started,
        ended: None,
        how: AttemptOutcome::Running,
        failure: None,
        work: None,
        spent_usd_micros: None,
    })
}

pub(crate) fn ticket(view: TicketView) -> Ticket {
    let TicketView { ticket, text, waits, sync_note, pull_request } = view;
    Ticket {
        waits: waits.map(|wait| explain!(&wait)),
        synced: due::ticket(&ticket).is_none(),
        sync_note,
        tracker: ticket.tracker,
        badges: ticket.shown.badge.iter().map(|badge| badge.display_name().to_owned()).collect(),
        pull_request: ticket.shown.pull_request.map(|link| link.url),
        pull_request_state: pull_request,
        last_job: ticket.last_job.map(|last| last.id),
        project: ticket.project,
        key: ticket.key,
        title: text.title,
        description: text.description,
        status: ticket.status,
        labels: text.labels,
        url: text.url,
        repository: text.repository,
        active_job: ticket.active_job,
    }
}

pub(crate) fn comment(comment: comment::Comment) -> Comment {
    let comment::Comment { number, author, text, created, edited, .. } = comment;
    Comment { number, author, text, created, edited }
}

pub(crate) fn limit_use(view: SpendingView) -> LimitUse {
    let SpendingView { subject, spending, limits, raises } = view;
    LimitUse {
        subject,
        sentence: spending.describe(&limits),
        spent_usd_micros: spending.spent_usd_micros,
        reserved_usd_micros: spending.taken_usd_micros.saturating_sub(spending.spent_usd_micros),
        limit_usd_micros: limits.usd_micros,
        jobs: spending.jobs,
        max_jobs: limits.jobs,
        attempts: spending.attempts,
        raises: raises.into_iter().map(limit_raise).collect(),
    }
}

fn limit_raise(raise: spending::Raise) -> LimitRaise {
    let spending::Raise { by, usd_micros, jobs, until, .. } = raise;
    LimitRaise { by, usd_micros, jobs, until }
}

pub(crate) fn pull_request(view: PullRequestView) -> PullRequest {
    let PullRequestView { pull_request, job, deferred_until, sentence, help } = view;
    let next_at = pull_request.review_wanted_at();
    PullRequest {
        label: pull_request.label(),
        project: pull_request.project,
        integration: pull_request.id.integration,
        repository: pull_request.repository_name,
        number: pull_request.id.number,
        url: pull_request.url,
        branch: pull_request.branch,
        state: pull_request.state,
        ticket: pull_request.ticket,
        job,
        revised: pull_request.revised.map(|revised| revised.at),
        held_until: deferred_until,
        reviews: agent_reviews(pull_request.reviews, next_at),
        sentence,
        help,
    }
}

fn agent_reviews(reviews: pull_request::AgentReviews, next_at: Option<Timestamp>) -> AgentReviews {
    let pull_request::AgentReviews { active_job, ended, count, spent_usd_micros, automatic: _ } = reviews;
    let ended = ended.into_iter().map(|review| AgentReview {
        job: review.job,
        at: review.at,
        status: review.status,
        spent_usd_micros: review.spent_usd_micros,
        posted: review.posted.as_ref().map(|commit| commit.counts.sentence()),
        head: review.posted.map(|commit| commit.head),
    });
    AgentReviews { active_job, next_at, count, spent_usd_micros, ended: ended.collect() }
}

pub(crate) fn delivery(delivery: pullyard_domain::review::delivery::Delivery) -> Delivery {
    let facts = match delivery.review.as_ref().and_then(|subject| subject.facts.as_ref()) {
        Some(review) => facts_to_json(review),
        None => facts_to_json(&delivery.facts),
    };
    Delivery {
        verdict: delivery.reason.verdict(),
        code: delivery.reason.code().into(),
        sentence: delivery.reason.sentence(),
        help: delivery.reason.help(),
        id: delivery.id,
        project: delivery.project,
        source: delivery.source,
        event: delivery.event,
        ticket: delivery.ticket,
        at: delivery.at,
        job: delivery.job,
        facts,
        review: delivery.review.map(|review| ReviewSubject {
            pull_request: review.label,
            url: review.url,
            review: review.review,
            author: review.author,
        }),
    }
}
