//! Creates, lists and explains jobs.

use super::page::{check_limit, parse_time, split_list};
use crate::routes::prelude::*;
use axum::http::StatusCode;
use pullyard_control::{Answer, JobView};
use pullyard_domain::job::{JobKind, JobStatus, explanation};
use pullyard_domain::review::listing::{JobFilter, JobSearch};
use pullyard_domain::text::decision::Verdict;
use pullyard_domain::text::id::{JobId, TicketKey};
use pullyard_domain::text::time::Timestamp;
use pullyard_entry::openapi::CreatedOrExisting;
use pullyard_protocol::decision::Decision;
use pullyard_protocol::event::{Event, EventPage, EventRecord};
use pullyard_protocol::job::{CreateJob, Job, JobExplanation, JobPage, OutputAnswer};
use std::time::Duration;

/// A page of a project's jobs. Statuses are separated by commas; times are RFC 3339.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct JobQuery {
    /// The project.
    project: ProjectId,
    /// Only jobs of this kind.
    kind: Option<JobKind>,
    /// Only jobs with one of these statuses.
    status: Option<String>,
    /// Only jobs of this ticket.
    ticket: Option<TicketKey>,
    /// Only jobs created at this time or later.
    #[schemars(with = "Option<Timestamp>")]
    since: Option<String>,
    /// Only jobs created before this time.
    #[schemars(with = "Option<Timestamp>")]
    until: Option<String>,
    /// The maximum number of jobs.
    #[schemars(range(min = 1, max = 50))]
    limit: Option<usize>,
    /// The cursor of an earlier page.
    after: Option<String>,
}

impl JobQuery {
    fn filter(&self) -> Result<JobFilter, Problem> {
        let status = |name: &str| {
            let status = JobStatus::ALL.into_iter().find(|status| status.as_str() == name);
            status.ok_or_else(|| Problem::bad_parameter("status", "use statuses of jobs, separated by commas"))
        };
        Ok(JobFilter {
            kind: self.kind,
            statuses: split_list(self.status.as_ref()).map(status).collect::<Result<_, _>>()?,
            ticket: self.ticket.clone(),
            since: parse_time("since", self.since.as_ref())?,
            until: parse_time("until", self.until.as_ref())?,
        })
    }
}

/// `201` for a new job, `200` for a repeated request, `409` with the code of the guard that refuses.
pub(crate) async fn create(
    caller: Caller<scope::Jobs>,
    IdempotencyKey(key): IdempotencyKey,
    StrictJson(new): StrictJson<CreateJob>,
) -> Result<CreatedOrExisting<Decision>, Problem> {
    caller.authorize_project(&new.project)?;
    let request = limits::parse_job_request(new)?;
    to_response(control::create_job(&caller.ctx, &request, &caller.requester(), key).await?)
}

/// A guard's refusal is an error here, unlike in the ledger, because the caller wants a job.
pub(crate) fn to_response(answer: Answer) -> Result<CreatedOrExisting<Decision>, Problem> {
    match answer.reason.verdict() {
        Verdict::Accepted => Ok(CreatedOrExisting::Created(wire::decision(answer))),
        Verdict::Duplicate => Ok(CreatedOrExisting::Existing(wire::decision(answer))),
        _ => Err(Problem::refusal(StatusCode::CONFLICT, &answer.reason)),
    }
}

pub(crate) async fn list(caller: Caller<scope::Read>, Query(query): Query<JobQuery>) -> Result<Json<JobPage>, Problem> {
    caller.authorize_project(&query.project)?;
    let search = JobSearch { filter: query.filter()?, ..JobSearch::default() };
    let limit = check_limit(query.limit)?;
    let page = control::search_jobs(&caller.ctx, &query.project, &search, query.after.as_deref(), limit).await?;
    // A full page ends at its last job, although more were read.
    let last = page.jobs.last().filter(|_| page.jobs.len() == limit).map(|last| last.view.job.created);
    let jobs = page.jobs.into_iter().map(|found| wire::job(found.view)).collect();
    Ok(Json(JobPage { jobs, next: page.next, searched_to: last.or(page.oldest_read) }))
}

/// Another project's job counts as missing.
pub(crate) async fn load_visible<S>(caller: &Caller<S>, job: &JobId) -> Result<JobView, Problem> {
    let view = control::job_view(&caller.ctx, job).await?;
    match caller.authorize_project(&view.job.project) {
        Ok(()) => Ok(view),
        Err(_) => Err(Problem::not_found(format!("There is no job {job}."))),
    }
}

pub(crate) async fn show(caller: Caller<scope::Read>, Path(job): Path<JobId>) -> Result<Json<Job>, Problem> {
    let view = load_visible(&caller, &job).await?;
    let labels = control::load_runner_labels(&caller.ctx, &view.job).await?;
    Ok(Json(Job { labels, ..wire::job(view) }))
}

pub(crate) async fn explain_job(
    caller: Caller<scope::Read>,
    Path(job): Path<JobId>,
) -> Result<Json<JobExplanation>, Problem> {
    let JobView { job, waits, now, .. } = load_visible(&caller, &job).await?;
    let pull_request = control::load_pull_request_state(&caller.ctx, &job).await?;
    let (sentence, help) = explanation::explain_job(&job, waits.as_ref(), pull_request, now);
    let waits = waits.map(|wait| wait.code().to_owned());
    let code = waits.or_else(|| job.failure.as_ref().map(|failure| failure.code().to_owned()));
    Ok(Json(JobExplanation { status: job.status, sentence, help, code }))
}

pub(crate) async fn output(caller: Caller<scope::Read>, Path(job): Path<JobId>) -> Result<Json<OutputAnswer>, Problem> {
    load_visible(&caller, &job).await?;
    let output = control::load_output(&caller.ctx, &job).await?;
    Ok(Json(OutputAnswer { job, output }))
}

/// Oldest first. The cursor is `ATTEMPT.NUMBER` of the last event seen.
pub(crate) async fn events(
    caller: Caller<scope::Read>,
    Path(job): Path<JobId>,
    Query(CursorQuery { after }): Query<CursorQuery>,
) -> Result<Json<EventPage>, Problem> {
    load_visible(&caller, &job).await?;
    let cursor = match &after {
        None => (1, 0),
        Some(text) => text
            .split_once('.')
            .and_then(|(attempt, seq)| Some((attempt.parse().ok()?, seq.parse().ok()?)))
            .ok_or_else(|| Problem::bad_parameter("after", "use the cursor of an earlier page"))?,
    };
    let page = control::list_events::<Event>(&caller.ctx, &job, cursor).await?;
    let to_record = |(attempt, arrived, event): (u32, _, Event)| EventRecord {
        attempt,
        at: Timestamp::minus(arrived, Duration::from_millis(event.age_ms)),
        event,
    };
    Ok(Json(EventPage {
        events: page.events.into_iter().map(to_record).collect(),
        cursor: format!("{}.{}", page.cursor.0, page.cursor.1),
        end: page.is_complete,
    }))
}
