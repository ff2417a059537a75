//! The log of a job: its last part, earlier parts, and changes for open pages.

use super::live::{self, Cursor, LogQuery};
use super::{LAST_EVENTS, Shell, Subject, changes, fragment, load_subject, log_search, output};
use crate::job::head::JobHead;
use crate::log::{self, Arrived, Entry, LogPart, position};
use crate::prelude::*;
use crate::revise_request;
use pullyard_domain::job::{Input, JobStatus, Publishes};
use pullyard_domain::text::id::JobId;
use pullyard_protocol::event::Event;

const MAX_SEARCH_CHARS: usize = 200;

#[derive(Template)]
#[template(path = "job.html")]
struct LogPage {
    frame: Frame,
    head: JobHead,
    request: Option<revise_request::ReviseRequest>,
    entries: Vec<Entry>,
    used: String,
    earlier: Option<String>,
    later_url: Option<String>,
    cursor: Cursor,
    next_poll: u32,
}

struct Part {
    events: Vec<Arrived>,
    next: Option<((u32, u64), Timestamp)>,
    cursor: (u32, u64),
    is_complete: bool,
    full: Option<(u32, u64)>,
    from_begin: bool,
}

fn time((_, arrived, event): &Arrived) -> Timestamp {
    log::happened(*arrived, event)
}

/// A completed job opens with its changes or its output, any other job with its log. A short id redirects.
pub(crate) async fn show_job(
    visit: PageContext,
    Path(id): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Fault> {
    let Ok(id) = JobId::new(id.as_str()) else {
        return Ok(redirect(&format!("/jobs/{}", visit.find_job_by_short_id(&id).await?)));
    };
    if visit.wants_fragment() {
        return fragment::show(&visit, id, query).await;
    }
    let subject = load_subject(&visit, id).await?;
    let is_plain = query.after.is_none() && query.before.is_none() && query.at.is_none();
    if is_plain && subject.view.job.status == JobStatus::Completed {
        return match subject.view.job.publishes() {
            Publishes::Change if !subject.view.job.kind.reviews() => changes::render(&visit, &subject, None).await,
            Publishes::Change | Publishes::Review | Publishes::Nothing => output::render(&visit, &subject).await,
        };
    }
    show_page(&visit, &subject, &query).await
}

pub(crate) async fn show(
    visit: PageContext,
    Path(id): Path<JobId>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Fault> {
    let subject = load_subject(&visit, id).await?;
    let text = query.q.as_deref().map(str::trim).filter(|text| !text.is_empty());
    if let Some(text) = text.map(|text| text.chars().take(MAX_SEARCH_CHARS).collect::<String>()) {
        return log_search::show(&visit, &subject, &query, &text).await;
    }
    show_page(&visit, &subject, &query).await
}

async fn show_page(visit: &PageContext, subject: &Subject, query: &LogQuery) -> Result<Response, Fault> {
    let job = &subject.view.job;
    let last = subject.load_last_events(&visit.ctx).await?;
    let inputs = if job.inputs > 0 { visit.ctx.store.list_inputs(&job.id, 0).await? } else { Vec::new() };
    let part = load_part(visit, subject, query, &last).await?;
    let known_inputs = inputs.last().map_or(0, |input| input.seq);
    let head = subject.head(visit, &last);
    let records = subject.load_records(&visit.ctx, last).await?;
    let without_usage = if job.status.is_terminal() { records.attempts_without_usage() } else { Vec::new() };
    let begins_later = part.events.first().is_some_and(|first| position(first) > (1, 1));
    let first = part.events.first().filter(|_| begins_later).map(time);
    let until = part.next.map(|(_, until)| until);
    let sent_here =
        |input: &Input| first.is_none_or(|first| first <= input.at) && until.is_none_or(|until| input.at <= until);
    let inputs: Vec<Input> = inputs.into_iter().filter(sent_here).collect();
    let mut entries = log::to_entries(&LogPart {
        inputs: &inputs,
        known_inputs,
        without_usage: &without_usage,
        full: part.full,
        ..LogPart::new(job, &part.events)
    });
    let mut next = part.next.map(|(next, _)| next);
    let mut has_earlier = begins_later;
    if part.from_begin {
        next = log::keep_first(&mut entries).or(next);
    } else {
        has_earlier |= log::keep_last(&mut entries);
    }
    log::fold(&mut entries);
    // An earlier part has no live changes: they belong to the end of the log.
    let is_still = part.is_complete || next.is_some();
    let address = format!("/jobs/{}/log", job.id);
    let first = entries.first().filter(|_| has_earlier).map(|entry| entry.position);
    let used = log::newest_usage(&records.events, 0).filter(|_| !job.status.is_terminal()).unwrap_or_default();
    let Shell { frame, head } = subject.shell(visit, head, &records, "log");
    let page = LogPage {
        frame,
        head,
        request: revise_request::load_revise_request(&visit.ctx, &subject.view).await?,
        entries,
        used,
        earlier: first.map(|(attempt, seq)| format!("{address}?before={attempt}.{seq}")),
        later_url: next.map(|(attempt, seq)| format!("{address}?at={attempt}.{seq}")),
        cursor: Cursor { event: part.cursor, inputs: known_inputs },
        next_poll: if is_still { 0 } else { live::next_poll(&visit.ctx, job.status, 0) },
    };
    Ok(render_page(StatusCode::OK, &page))
}

async fn load_part(visit: &PageContext, subject: &Subject, query: &LogQuery, last: &[Arrived]) -> Result<Part, Fault> {
    let job = &subject.view.job;
    if let Some(before) = &query.before {
        let end = Cursor::parse("before", before)?.event;
        let until = (end.0, end.1.saturating_add(1));
        let mut read = control::list_events_before::<Event>(&visit.ctx, job, until, LAST_EVENTS + 1).await?;
        let next = read.events.pop_if(|event| position(event) == end).map(|event| (end, time(&event)));
        let events = read.events.split_off(read.events.len().saturating_sub(LAST_EVENTS));
        let next = next.or(Some((end, subject.view.now)));
        return Ok(Part { events, next, cursor: end, is_complete: true, full: None, from_begin: false });
    }
    let start = match (&query.at, &query.after) {
        (Some(at), _) => Some((Cursor::parse("at", at)?.event, true)),
        (None, Some(after)) => {
            let (attempt, seq) = Cursor::parse("after", after)?.event;
            Some(((attempt, seq.saturating_add(1)), false))
        }
        (None, None) => None,
    };
    let Some((start, is_full)) = start else {
        let cursor = last.last().map_or(Cursor::START.event, position);
        let is_complete = job.status.is_terminal();
        return Ok(Part { events: last.to_vec(), next: None, cursor, is_complete, full: None, from_begin: false });
    };
    let mut read = control::list_events_from::<Event>(&visit.ctx, job, start).await?;
    while read.events.len() <= LAST_EVENTS && !read.is_complete {
        let more = control::list_events::<Event>(&visit.ctx, &job.id, read.cursor).await?;
        if more.events.is_empty() {
            break;
        }
        read.events.extend(more.events);
        (read.cursor, read.is_complete) = (more.cursor, more.is_complete);
    }
    let next = read.events.get(LAST_EVENTS).map(|event| (position(event), time(event)));
    read.events.truncate(LAST_EVENTS);
    let full = is_full.then_some(start);
    Ok(Part { events: read.events, next, cursor: read.cursor, is_complete: read.is_complete, full, from_begin: true })
}
