//! Loads a part of a job's log: the events before or after a given event.

use crate::{Context, Error};
use pullyard_domain::job::Job;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use serde::de::{DeserializeOwned, IgnoredAny};

/// Batches of the first query; each further query reads twice as many. A batch has thousands of events if no user
/// watches the job, and often one event if a user does.
const FIRST_BATCHES: i32 = 4;
const MAX_BATCHES: i32 = 64;

const PAGE_BATCHES: i32 = 20;

#[derive(Clone, Debug)]
pub struct JobEvents<E> {
    /// Attempt, arrival, event; oldest first.
    pub events: Vec<(u32, Timestamp, E)>,
    /// Attempt and number of the last event; the cursor of the next page.
    pub cursor: (u32, u64),
    /// The job has ended, and this page reaches its last event.
    pub is_complete: bool,
    /// The job's revision at the time of the read.
    pub rev: u64,
}

/// Loads at least `count` events before `end` (attempt, number), or all. Oldest first; `cursor` is the last event's.
/// While the attempt runs, the list ends before a missing batch.
pub async fn list_events_before<E: DeserializeOwned>(
    ctx: &Context,
    job: &Job,
    end: (u32, u64),
    count: usize,
) -> Result<JobEvents<E>, Error> {
    mark_watched(ctx, job).await;
    let (mut attempt, mut until) = (end.0.max(1), end.1);
    // Newest batch first.
    let mut batches: Vec<(u32, u64, Timestamp, Vec<E>)> = Vec::new();
    let mut read = 0;
    let mut limit = FIRST_BATCHES;
    loop {
        let page = ctx.store.list_event_batches_before::<E>(&job.id, attempt, until, limit).await?;
        let full = i32::try_from(page.len()).is_ok_and(|len| len >= limit);
        limit = (limit * 2).min(MAX_BATCHES);
        for mut batch in page.into_iter().rev() {
            let room = usize::try_from(until.saturating_sub(batch.first)).unwrap_or(usize::MAX);
            batch.events.truncate(room);
            let last = batch.first + batch.events.len() as u64;
            let (newest, running) = (batches.last(), attempt == job.attempt && job.status.is_active());
            // A batch is missing between this one and the newer ones: drop those.
            if running && newest.is_some_and(|(of, first, ..)| *of == attempt && last < *first) {
                batches.clear();
                read = 0;
            }
            read += batch.events.len();
            until = batch.first;
            batches.push((attempt, batch.first, batch.at, batch.events));
        }
        if read >= count || (!full && attempt <= 1) {
            break;
        }
        if !full {
            (attempt, until) = (attempt - 1, u64::MAX);
        }
    }
    let newest = batches.iter().find(|(.., events)| !events.is_empty());
    let cursor = newest.map_or((1, 0), |(attempt, first, _, events)| (*attempt, first + events.len() as u64 - 1));
    let ordered = batches.into_iter().rev();
    let events = ordered.flat_map(|(attempt, _, at, events)| events.into_iter().map(move |event| (attempt, at, event)));
    Ok(JobEvents { events: events.collect(), cursor, is_complete: job.status.is_terminal(), rev: job.rev })
}

/// Loads events after `cursor` (attempt, number). While the attempt runs, the list ends before a missing batch.
pub async fn list_events<E: DeserializeOwned>(
    ctx: &Context,
    id: &JobId,
    cursor: (u32, u64),
) -> Result<JobEvents<E>, Error> {
    let job = ctx.load_job(id).await?;
    mark_watched(ctx, &job).await;
    let (mut attempt, mut seq) = (cursor.0.max(1), cursor.1);
    let mut events = Vec::new();
    loop {
        let running = attempt == job.attempt && job.status.is_active();
        let batches = ctx.store.list_event_batches::<E>(id, attempt, seq, PAGE_BATCHES).await?;
        let full = i32::try_from(batches.len()).is_ok_and(|len| len >= PAGE_BATCHES);
        for batch in batches {
            if running && batch.first > seq + 1 {
                break;
            }
            // Batches may overlap; skip numbers that were read before.
            let known = usize::try_from((seq + 1).saturating_sub(batch.first)).unwrap_or(usize::MAX);
            seq = seq.max(batch.first + batch.events.len() as u64 - 1);
            let new = batch.events.into_iter().skip(known);
            events.extend(new.map(|event| (attempt, batch.at, event)));
        }
        if full || attempt >= job.attempt {
            let end = job.status.is_terminal() && !full;
            return Ok(JobEvents { events, cursor: (attempt, seq), is_complete: end, rev: job.rev });
        }
        (attempt, seq) = (attempt + 1, 0);
    }
}

/// Loads events from `start` (attempt, number) on; it may be inside a batch.
pub async fn list_events_from<E: DeserializeOwned>(
    ctx: &Context,
    job: &Job,
    start: (u32, u64),
) -> Result<JobEvents<E>, Error> {
    let (attempt, seq) = (start.0.max(1), start.1.max(1));
    let around = ctx.store.list_event_batches_before::<IgnoredAny>(&job.id, attempt, seq.saturating_add(1), 1).await?;
    let (first, len) = around.first().map_or((seq, 0), |batch| (batch.first, batch.events.len()));
    let mut read = list_events::<E>(ctx, &job.id, (attempt, first - 1)).await?;
    let before = usize::try_from(seq - first).unwrap_or(usize::MAX).min(len).min(read.events.len());
    read.events.drain(..before);
    Ok(read)
}

/// Marks the job as watched, so that its runner sends events sooner. Best effort; the next page repeats it.
async fn mark_watched(ctx: &Context, job: &Job) {
    let Some(until) = job.renew_watch(ctx.clock.now()) else { return };
    if let Err(error) = ctx.store.update_watched_until(&job.id, until).await {
        tracing::warn!(job.id = %job.id, error = %error, "viewer of a job not recorded");
    }
}
