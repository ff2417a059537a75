//! Changes of a job for its open page since the page's last request.

use super::live::{self, Cursor, LogQuery};
use super::tabs::{Records, Tabs};
use super::{LAST_EVENTS, load_subject};
use crate::job::head::JobHead;
use crate::log::{self, Arrived, Entry, LogPart, happened};
use crate::prelude::*;
use crate::revise_request::{ReviseRequest, load_revise_request};
use pullyard_domain::text::id::JobId;
use pullyard_protocol::event::{Event, EventKind};

#[derive(Template)]
#[template(path = "job_fragment.html")]
struct LogFragment {
    head: JobHead,
    /// Only until the first event, because reviews are read before an attempt begins.
    request: Option<ReviseRequest>,
    entries: Vec<Entry>,
    used: Option<String>,
}

fn changes_records(event: &Arrived, begin: Cursor) -> bool {
    let (attempt, _, event) = event;
    event.kind == EventKind::Phase || *attempt != begin.event.0
}

pub(super) async fn show(visit: &PageContext, id: JobId, query: LogQuery) -> Result<Response, Fault> {
    let begin = query.after.as_deref().map_or(Ok(Cursor::START), |after| Cursor::parse("after", after))?;
    let subject = load_subject(visit, id).await?;
    let job = &subject.view.job;
    let page = control::list_events::<Event>(&visit.ctx, &job.id, begin.event).await?;
    let new = page.events.as_slice();
    let inputs =
        if job.inputs > begin.inputs { visit.ctx.store.list_inputs(&job.id, begin.inputs).await? } else { Vec::new() };
    let known_inputs = inputs.last().map_or(begin.inputs, |input| input.seq);
    let cursor = Cursor { event: page.cursor, inputs: known_inputs };
    // The job was read before its events, and may have ended in between.
    let is_complete = page.is_complete && job.status.is_terminal();
    let next = if is_complete { 0 } else { live::next_poll(&visit.ctx, job.status, new.len()) };
    let new_usage = log::newest_usage(new, begin.event.0);
    let (left_out, events) = new.split_at(new.len().saturating_sub(LAST_EVENTS));
    // Pages get changes often, so read the records only when the timeline or the tabs may have changed.
    let has_changed = !job.status.is_active() || new.iter().any(|event| changes_records(event, begin));
    let records = if has_changed {
        let last = subject.load_last_events(&visit.ctx).await?;
        Some(subject.load_records(&visit.ctx, last).await?)
    } else {
        None
    };
    let records = records.as_ref();
    let mut head = subject.head(visit, records.map_or(events, |records| &records.events));
    head.add_isolation(records.map_or(&[], |records| &records.attempts));
    head.tabs = records.map(|records| Tabs::new(&subject.view, records, "log")).unwrap_or_default();
    // An ended job shows usage in the attempt's record or in a row.
    let ended = records.filter(|_| job.status.is_terminal());
    let without_usage = ended.map(Records::attempts_without_usage).unwrap_or_default();
    let used = match new_usage {
        // The row belongs to an earlier part of the log and stays there.
        None if without_usage.contains(&begin.event.0) => None,
        _ if job.status.is_terminal() => Some(String::new()),
        used => used,
    };
    let mut entries = log::to_entries(&LogPart {
        inputs: &inputs,
        known_inputs,
        last_attempt: begin.event.0,
        without_usage: &without_usage,
        ..LogPart::new(job, events)
    });
    let is_cut = log::keep_last(&mut entries) || !left_out.is_empty();
    log::fold(&mut entries);
    if let Some((attempt, arrived, first)) = new.first().filter(|_| is_cut) {
        entries.insert(0, log::gap(job, (*attempt, first.seq), happened(*arrived, first)));
    }
    let fragment = LogFragment {
        head,
        // The page may have begun before the reviews were read.
        request: if begin.event == Cursor::START.event {
            load_revise_request(&visit.ctx, &subject.view).await?
        } else {
            None
        },
        entries,
        used,
    };
    Ok(live::add_headers(render_page(StatusCode::OK, &fragment), cursor, next))
}
