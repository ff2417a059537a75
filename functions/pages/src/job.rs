//! The page of one job: state, reason, and live log.

pub(crate) mod commands;

use crate::artifacts;
use crate::board::{Link, ticket_url};
use crate::fault::Fault;
use crate::form::new_form_key;
use crate::frame::{Frame, render_page};
use crate::hints::{Page, name_buttons};
use crate::labels::{self, Pill, TimeLabel};
use crate::log::{self, Entry};
use crate::revise_request;
use crate::text::{self, Help, SafeText, block, http_url, line};
use crate::visit::{FRAGMENT, PageContext};
use askama::Template;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use pullyard_control::{self as control, Error, JobView};
use pullyard_domain::explanation;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{DesiredState, Job, JobStatus, Placement};
use pullyard_domain::pull_request::PullRequestState;
use pullyard_entry::{Path, Problem, Query};
use pullyard_protocol::event::Event;
use serde::Deserialize;

/// Events on the first page. The script, or a link, loads the rest.
const FIRST_PAGE_EVENTS: usize = 2_000;

/// Attempt and number of the last event seen.
const CURSOR_HEADER: HeaderName = HeaderName::from_static("pullyard-cursor");

const START_CURSOR: (u32, u64) = (1, 0);

/// Delay until the script polls again. Units: milliseconds; 0 is never.
const NEXT_HEADER: HeaderName = HeaderName::from_static("pullyard-next");

#[derive(Deserialize)]
pub(crate) struct JobQuery {
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    frame: Frame,
    head: JobHead,
    asked: Option<revise_request::ReviseRequest>,
    kept: Option<artifacts::JobRecords>,
    entries: Vec<Entry>,
    used: String,
    later: bool,
    rest: Option<String>,
    live: LiveUpdate,
}

#[derive(Template)]
#[template(path = "job_fragment.html")]
struct JobFragment {
    head: JobHead,
    /// Only until the first event, because reviews are read before an attempt begins.
    asked: Option<revise_request::ReviseRequest>,
    kept: Option<artifacts::JobRecords>,
    entries: Vec<Entry>,
    used: Option<String>,
}

struct JobHead {
    address: String,
    id: String,
    short: String,
    title: SafeText,
    pill: Pill,
    sentence: SafeText,
    help: Option<Help>,
    failed: bool,
    fault: Option<&'static str>,
    revises: Option<(Option<String>, SafeText)>,
    ticket: Option<(String, SafeText)>,
    repository: Option<SafeText>,
    branch: SafeText,
    place: String,
    attempt: u32,
    took: String,
    created: TimeLabel,
    started: Option<TimeLabel>,
    ended: Option<TimeLabel>,
    pull_request: Option<Link>,
    changed: Option<String>,
    ended_for_good: bool,
    may_cancel: bool,
    may_pause: bool,
    may_continue: bool,
    question: Option<SafeText>,
    may_answer: bool,
    /// When the agent will read a message that is sent now.
    hears: Option<&'static str>,
    /// Kind of the message form, which the script replaces on a change: empty, `answer`, or `say` with the status.
    speaks: String,
    may_retry: bool,
    held: bool,
    once: String,
}

struct LiveUpdate {
    cursor: String,
    next: u32,
}

impl JobHead {
    fn new(view: &JobView, became: Option<PullRequestState>, visit: &PageContext) -> Self {
        let JobView { job, title, repository, waits, revises, now } = view;
        let (sentence, help) = explanation::explain_job(job, waits.as_ref(), became, *now);
        let result = job.result.as_ref();
        let may_answer = visit.visitor.may_run_jobs() && job.question.is_some();
        let hears = job.delivery_hint().filter(|_| visit.visitor.may_run_jobs() && job.want != DesiredState::Cancel);
        let speaks = match (may_answer, hears) {
            (true, _) => "answer".to_owned(),
            (false, Some(_)) => format!("say {}", job.status.as_str()),
            (false, None) => String::new(),
        };
        Self {
            address: format!("/jobs/{}", job.id),
            id: job.id.to_string(),
            short: job.id.short(),
            title: line(title),
            pill: labels::pill(job.status),
            sentence: line(&sentence),
            help: (help != "Nothing to do.").then(|| text::help(&name_buttons(&help, Page::Job))),
            failed: job.failure.is_some(),
            fault: job.failure.as_ref().filter(|_| waits.is_none()).map(|failure| failure.class().label()),
            revises: revises.as_ref().map(|of| (http_url(&of.url), line(&of.label))),
            ticket: job.ticket.as_ref().map(|key| (ticket_url(&job.project, key), line(key.as_str()))),
            repository: repository.as_ref().map(|repository| line(repository.as_str())),
            branch: line(result.map_or(&job.branch, |result| &result.branch)),
            place: match (job.place, visit.ctx.task_isolation.as_str()) {
                (Placement::Fargate, "none") => "a process on this machine".into(),
                (Placement::Fargate, _) => {
                    format!("a {} {} task", job.task.size.as_str(), job.task.capacity.display_name())
                }
                (Placement::Runners, _) => "a runner".into(),
            },
            attempt: job.attempt,
            took: labels::job_duration(job, *now),
            created: labels::format_time(job.created, *now),
            started: job.run.as_ref().map(|run| labels::format_time(run.started, *now)),
            ended: job.ended_at.map(|at| labels::format_time(at, *now)),
            pull_request: result.and_then(|result| {
                Some(Link { address: http_url(&result.url)?, words: format!("#{}", result.number) })
            }),
            changed: result.map(|result| {
                format!(
                    "{} +{} \u{2212}{}",
                    labels::format_count(result.files.into(), "file"),
                    result.insertions,
                    result.deletions
                )
            }),
            ended_for_good: job.status.is_terminal(),
            may_pause: visit.visitor.may_run_jobs() && may_pause(job),
            may_continue: visit.visitor.may_run_jobs() && (job.status == JobStatus::Paused || job.pause.is_some()),
            question: job.question.as_ref().map(|question| block(&question.text)),
            may_answer,
            hears,
            speaks,
            may_cancel: visit.visitor.may_run_jobs() && !job.status.is_terminal() && job.cancel.is_none(),
            may_retry: visit.visitor.may_run_jobs() && matches!(job.status, JobStatus::Failed | JobStatus::Cancelled),
            held: job.status.is_active(),
            once: new_form_key(),
        }
    }
}

/// The job waits for a runner or is being worked on, without a pending request.
fn may_pause(job: &Job) -> bool {
    let at_work =
        matches!(job.status, JobStatus::Ready | JobStatus::Claimed | JobStatus::Preparing | JobStatus::Executing);
    at_work && job.pause.is_none() && job.cancel.is_none()
}

pub(crate) async fn show(
    visit: PageContext,
    id: Result<Path<JobId>, Problem>,
    query: Result<Query<JobQuery>, Problem>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let (Path(id), Query(JobQuery { after })) = (id?, query?);
    let gone = || Fault::not_found(&format!("There is no job {id}."));
    let view = match control::job_view(&visit.ctx, &id).await {
        Err(Error::NotFound { .. }) => return Err(gone()),
        view => view?,
    };
    // Another project's job counts as missing.
    if !visit.visitor.may_access(&view.job.project) {
        return Err(gone());
    }
    let begin = after.as_deref().map_or(Ok(START_CURSOR), parse_cursor)?;
    let became = control::load_pull_request_state(&visit.ctx, &view.job).await?;
    if headers.get(header::ACCEPT).is_some_and(|accept| accept == FRAGMENT) {
        let read = control::list_events::<Event>(&visit.ctx, &id, begin).await?;
        let live = LiveUpdate::new(&view, &read.events, read.cursor, read.is_complete);
        let head = JobHead::new(&view, became, &visit);
        // Polls come every second. Without new events there are no new artifacts, so skip the read.
        let quiet = view.job.status.is_active() && read.events.is_empty();
        let records = if quiet { None } else { artifacts::load_records(&visit.ctx, &id).await? };
        // An ended job shows usage in the attempt's record or in a row.
        let unsaid =
            records.as_ref().filter(|_| head.ended_for_good).map(|records| records.unsaid.clone()).unwrap_or_default();
        let used = match log::newest_usage(&read.events, begin.0) {
            // The row belongs to an earlier part of the log and stays there.
            None if unsaid.contains(&begin.0) => None,
            _ if head.ended_for_good => Some(String::new()),
            used => used,
        };
        let entries = log::to_entries(&view.job, &read.events, begin.0, &unsaid);
        // The page may have begun before the reviews were read.
        let request =
            if begin == START_CURSOR { revise_request::load_revise_request(&visit.ctx, &view).await? } else { None };
        let fragment = JobFragment { head, asked: request, kept: records, entries, used };
        return Ok(with_live_headers(render_page(StatusCode::OK, &fragment), &live));
    }
    let (mut events, mut cursor) = (Vec::new(), begin);
    let live = loop {
        let read = control::list_events::<Event>(&visit.ctx, &id, cursor).await?;
        let live = LiveUpdate::new(&view, &read.events, read.cursor, read.is_complete);
        let (fresh, end) = (!read.events.is_empty(), read.is_complete);
        cursor = read.cursor;
        events.extend(read.events);
        if end || !fresh || events.len() >= FIRST_PAGE_EVENTS {
            break LiveUpdate {
                next: if fresh && !end && events.len() >= FIRST_PAGE_EVENTS { 1 } else { live.next },
                ..live
            };
        }
    };
    let request = revise_request::load_revise_request(&visit.ctx, &view).await?;
    let records = artifacts::load_records(&visit.ctx, &id).await?;
    let head = JobHead::new(&view, became, &visit);
    let title = format!("{} {}", view.job.id.short(), view.title);
    let unsaid =
        records.as_ref().filter(|_| head.ended_for_good).map(|records| records.unsaid.as_slice()).unwrap_or_default();
    let last_attempt = if after.is_some() { begin.0 } else { 0 };
    let entries = log::to_entries(&view.job, &events, last_attempt, unsaid);
    let page = JobPage {
        frame: visit.frame(&title, "jobs", Some(&view.job.project)),
        entries,
        used: log::newest_usage(&events, begin.0).filter(|_| !head.ended_for_good).unwrap_or_default(),
        later: after.is_some_and(|after| after != "1.0"),
        rest: (live.next == 1).then(|| format!("{}?after={}", head.address, live.cursor)),
        head,
        asked: request,
        kept: records,
        live,
    };
    Ok(render_page(StatusCode::OK, &page))
}

fn with_live_headers(mut response: Response, live: &LiveUpdate) -> Response {
    let headers = response.headers_mut();
    if let Ok(cursor) = HeaderValue::from_str(&live.cursor) {
        headers.insert(CURSOR_HEADER, cursor);
    }
    headers.insert(NEXT_HEADER, HeaderValue::from(live.next));
    response
}

impl LiveUpdate {
    /// Short while events arrive, longer while the job waits, 0 at the end.
    fn new<E>(view: &JobView, read: &[E], cursor: (u32, u64), end: bool) -> Self {
        let next = match (end, view.job.status) {
            (true, _) => 0,
            _ if read.len() >= 500 => 100,
            // A watched runner sends its next batch about then.
            (_, status) if status.is_active() && !read.is_empty() => 500,
            (_, status) if status.is_active() || status.is_terminal() => 1_000,
            _ => 2_000,
        };
        Self { cursor: format!("{}.{}", cursor.0, cursor.1), next }
    }
}

fn parse_cursor(text: &str) -> Result<(u32, u64), Fault> {
    let cursor = text.split_once('.').and_then(|(attempt, seq)| Some((attempt.parse().ok()?, seq.parse().ok()?)));
    cursor.ok_or_else(|| Problem::bad_parameter("after", "use the cursor of an earlier page").into())
}
