//! Searches a part of a job's log.

use crate::jobs::event_pages::{list_events, list_events_from};
use crate::{Context, Error};
use pullyard_domain::job::Job;
use pullyard_domain::text::time::Timestamp;
use serde::de::{DeserializeOwned, IgnoredAny};

/// Pages per search. A page has at most 20 batches of 64 KB, so a search reads at most 4 MB.
const MAX_PAGES: usize = 3;

#[derive(Clone, Debug)]
pub struct EventSearch<E> {
    /// Attempt, arrival, event; oldest first.
    pub matches: Vec<(u32, Timestamp, E)>,
    /// Attempt and number of the last searched event, if the log has more.
    pub next: Option<(u32, u64)>,
    /// The number of events of each attempt, from the first one.
    pub totals: Vec<u64>,
}

/// Searches the next part of the log after `cursor` (attempt, number).
pub async fn search_events<E: DeserializeOwned>(
    ctx: &Context,
    job: &Job,
    mut cursor: (u32, u64),
    is_match: impl Fn(&E) -> bool,
) -> Result<EventSearch<E>, Error> {
    let mut found = EventSearch { matches: Vec::new(), next: None, totals: Vec::new() };
    for attempt in 1..=job.attempt {
        let newest = ctx.store.list_event_batches_before::<IgnoredAny>(&job.id, attempt, u64::MAX, 1).await?;
        found.totals.push(newest.last().map_or(0, |batch| batch.first + batch.events.len() as u64 - 1));
    }
    let end = (job.attempt, found.totals.last().copied().unwrap_or_default());
    for page in 0..MAX_PAGES {
        let page = if page == 0 {
            // The caller may have stopped inside a batch.
            list_events_from::<E>(ctx, job, (cursor.0, cursor.1.saturating_add(1))).await?
        } else {
            list_events::<E>(ctx, &job.id, cursor).await?
        };
        let is_end = page.events.is_empty() || page.cursor >= end;
        found.matches.extend(page.events.into_iter().filter(|(.., event)| is_match(event)));
        cursor = page.cursor;
        found.next = (!is_end).then_some(cursor);
        if is_end {
            break;
        }
    }
    Ok(found)
}
