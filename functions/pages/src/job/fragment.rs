//! Changes of a job for its open page since the page's last request.

use super::live::{Cursor, LiveUpdate};
use super::log_query::LogQuery;
use super::reader::JobReaders;
use super::snapshot::Snapshot;
use super::tabs::{Records, Tabs};
use super::{LAST_EVENTS, missing, unreadable};
use crate::job::head::JobHead;
use crate::log::{self, Arrived, Entry, LogPart, happened};
use crate::prelude::*;
use crate::revise_request::{ReviseRequest, load_revise_request};
use pullyard_domain::id::JobId;
use pullyard_domain::job::LiveUpdates;
use pullyard_protocol::event::EventKind;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "job_fragment.html")]
struct LogFragment {
    head: JobHead,
    /// Only until the first event, because reviews are read before an attempt begins.
    request: Option<ReviseRequest>,
    tabs: Option<Tabs>,
    entries: Vec<Entry>,
    used: Option<String>,
}

pub(super) async fn show(
    visit: &PageContext,
    readers: &JobReaders,
    id: JobId,
    query: LogQuery,
) -> Result<Response, Fault> {
    let begin = query.after.as_deref().map_or(Ok(Cursor::START), |after| Cursor::parse("after", after))?;
    let may_hold = query.wait.is_some_and(|wait| wait > 0) && visit.ctx.live_updates == LiveUpdates::LongPoll;
    let shared = if may_hold { readers.wait(&visit.ctx, &id, begin).await } else { None };
    // If the reader failed, the page polls at its usual interval.
    let is_held = shared.is_some();
    let snapshot = match shared.filter(|shared| shared.events_after(begin.event).is_some()) {
        Some(shared) => shared,
        None => Arc::new(Snapshot::load(&visit.ctx, &id, begin.event).await.map_err(|error| unreadable(error, &id))?),
    };
    if !visit.visitor.may_access(&snapshot.subject.view.job.project) {
        return Err(missing(&id));
    }
    render(visit, &snapshot, begin, is_held).await
}

fn changes_records(event: &Arrived, begin: Cursor) -> bool {
    let (attempt, _, event) = event;
    let names_artifact = event.data.as_ref().is_some_and(|data| data.get("artifact").is_some());
    event.kind == EventKind::Phase || names_artifact || *attempt != begin.event.0
}

async fn render(visit: &PageContext, snapshot: &Snapshot, begin: Cursor, is_held: bool) -> Result<Response, Fault> {
    let subject = &snapshot.subject;
    let job = &subject.view.job;
    let new = snapshot.events_after(begin.event).unwrap_or_default();
    let inputs =
        if job.inputs > begin.inputs { visit.ctx.store.list_inputs(&job.id, begin.inputs).await? } else { Vec::new() };
    let known_inputs = inputs.last().map_or(begin.inputs, |input| input.seq);
    let cursor = Cursor { event: snapshot.cursor, inputs: known_inputs, rev: is_held.then_some(job.rev) };
    let live = LiveUpdate::new(&subject.view, new.len(), cursor, snapshot.is_complete);
    let new_usage = log::newest_usage(new, begin.event.0);
    let (left_out, events) = new.split_at(new.len().saturating_sub(LAST_EVENTS));
    // Pages get changes often, so read the records only when the timeline or the tabs may have changed.
    let has_changed = !job.status.is_active() || new.iter().any(|event| changes_records(event, begin));
    let records = if has_changed { Some(snapshot.records(&visit.ctx).await?) } else { None };
    let mut head = subject.head(visit, records.map_or(events, |records| &records.events));
    head.add_isolation(records.map_or(&[], |records| &records.attempts));
    // An ended job shows usage in the attempt's record or in a row.
    let without_usage =
        records.filter(|_| head.ended_for_good).map(Records::attempts_without_usage).unwrap_or_default();
    let used = match new_usage {
        // The row belongs to an earlier part of the log and stays there.
        None if without_usage.contains(&begin.event.0) => None,
        _ if head.ended_for_good => Some(String::new()),
        used => used,
    };
    let mut entries = log::to_entries(&LogPart {
        job,
        events,
        inputs: &inputs,
        known_inputs,
        last_attempt: begin.event.0,
        without_usage: &without_usage,
        full: None,
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
        tabs: records.map(|records| Tabs::new(&subject.view, records, "log")),
        entries,
        used,
    };
    Ok(live.add_to(render_page(StatusCode::OK, &fragment)))
}
