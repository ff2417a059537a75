//! Reads a part of a job's log: its end, what precedes an event, or what follows one.

use crate::jobs::views::{JobEvents, list_events, mark_watched};
use crate::{Context, Error};
use pullyard_domain::job::Job;
use pullyard_domain::time::Timestamp;
use serde::de::{DeserializeOwned, IgnoredAny};

/// Batches of the first query; each further query reads twice as many. A batch of a job without a viewer has up to
/// thousands of events, and that of a watched job often has one.
const FIRST_BATCHES: i32 = 4;
const MAX_BATCHES: i32 = 64;

/// At least `count` events before `end` (attempt, number), oldest first, or all of them. `cursor` is the last one's.
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

/// The events from `start` (attempt, number), which may be inside a batch.
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
