//! Lists a project's ledger entries by filter, page by page.

use crate::{Context, Error};
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::review::listing::DeliveryFilter;
use pullyard_domain::text::id::ProjectId;
use pullyard_domain::text::time::Timestamp;

const MAX_DELIVERIES_READ: usize = 500;

/// For a filter by verdict, which the decisions page repeats every 30 seconds.
const MAX_READ_BY_VERDICT: usize = 200;

const PAGE_SIZE: usize = 100;

#[derive(Clone, Debug)]
pub struct DeliveryList {
    pub deliveries: Vec<Delivery>,
    pub next: Option<String>,
    /// Time of the oldest entry read. This page has all matches back to it.
    pub oldest_read: Option<Timestamp>,
    /// Entries back to `oldest_read` that do not match the filter.
    pub unmatched: usize,
}

/// Reads at most 500 entries, or 200 without another filter than verdicts, then returns how far back it read and a cursor. `since` is not part of the query, because
/// it moves on while a user turns pages, and the store refuses a cursor outside the query's range.
/// Errors: `BadCursor` for a cursor that this version did not issue.
pub async fn list_deliveries(
    ctx: &Context,
    project: &ProjectId,
    filter: &DeliveryFilter,
    after: Option<&str>,
    limit: usize,
) -> Result<DeliveryList, Error> {
    // One entry more than the limit shows whether this page is the last.
    let page = if filter.is_time_range_only() { limit + 1 } else { PAGE_SIZE };
    let mut list =
        DeliveryList { deliveries: Vec::new(), next: after.map(str::to_owned), oldest_read: None, unmatched: 0 };
    let max_read = if filter.is_by_verdict_only() { MAX_READ_BY_VERDICT } else { MAX_DELIVERIES_READ };
    let mut others = Vec::new();
    let mut read_count = 0;
    loop {
        let (ids, older) = ctx.store.list_delivery_ids(project, filter.until, list.next.as_deref(), page).await?;
        let deliveries = ctx.store.load_deliveries(&ids).await?;
        read_count += page;
        list.oldest_read = deliveries.last().map(|delivery| delivery.at).or(list.oldest_read);
        let is_in_range = |oldest: Timestamp| filter.since.is_none_or(|since| since <= oldest);
        list.next = older.filter(|_| list.oldest_read.is_none_or(is_in_range));
        let (matches, rest) = deliveries.into_iter().partition::<Vec<_>, _>(|delivery| filter.matches(delivery));
        list.deliveries.extend(matches);
        others.extend(rest.into_iter().map(|delivery| delivery.at));
        if list.deliveries.len() > limit {
            list.deliveries.truncate(limit);
            let last = list.deliveries.last();
            list.oldest_read = last.map(|delivery| delivery.at);
            list.next = last.map(|delivery| ctx.store.cursor_after_delivery(delivery));
        }
        if list.deliveries.len() == limit || list.next.is_none() || read_count >= max_read {
            others.retain(|at| list.oldest_read.is_none_or(|oldest| *at >= oldest));
            list.unmatched = others.len();
            return Ok(list);
        }
    }
}
