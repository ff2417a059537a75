//! Lists a project's ledger entries by filter, page by page.

use crate::{Context, Error};
use pullyard_domain::delivery::Delivery;
use pullyard_domain::id::ProjectId;
use pullyard_domain::listing::DeliveryFilter;
use pullyard_domain::time::Timestamp;
use std::time::Duration;

const RETENTION: Duration = Duration::from_secs(30 * 24 * 3_600);

const DAY: Duration = Duration::from_secs(24 * 3_600);

const MAX_DELIVERIES_READ: usize = 500;

const PAGE_SIZE: usize = 100;

#[derive(Clone, Debug)]
pub struct DeliveryList {
    pub deliveries: Vec<Delivery>,
    pub next: Option<String>,
    /// Time of the oldest entry read. This page has all matches back to it.
    pub oldest_read: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ListPosition {
    day: Timestamp,
    after: Option<String>,
}

/// Reads at most 500 entries, then returns how far back it read and a cursor.
/// Errors: `BadCursor` for a cursor that this version did not issue.
pub async fn list_deliveries(
    ctx: &Context,
    project: &ProjectId,
    filter: &DeliveryFilter,
    after: Option<&str>,
    limit: usize,
) -> Result<DeliveryList, Error> {
    let now = ctx.clock.now();
    let retained_since = now.minus(RETENTION);
    let oldest = start_of_day(filter.since.map_or(retained_since, |since| since.max(retained_since)));
    // Another process's clock may be a little ahead.
    let newest = now.plus(Duration::from_secs(60));
    let newest = start_of_day(filter.until.map_or(newest, |until| until.min(newest)));
    let mut place = match after {
        None => ListPosition { day: newest, after: None },
        Some(cursor) => {
            let place = ListPosition::parse(cursor).filter(|place| place.day <= newest);
            place.ok_or(pullyard_store::Error::BadCursor)?
        }
    };
    let together = if filter.is_time_range_only() { limit } else { PAGE_SIZE };
    let mut list = DeliveryList { deliveries: Vec::new(), next: None, oldest_read: None };
    let mut looked_at = 0;
    while place.day >= oldest {
        if list.deliveries.len() == limit || looked_at >= MAX_DELIVERIES_READ {
            list.next = next_cursor(ctx, project, place, oldest).await?;
            return Ok(list);
        }
        let page = together.min(MAX_DELIVERIES_READ - looked_at);
        let (found, older) = list_day(ctx, project, &place, page).await?;
        looked_at += found.len();
        let last = found.len();
        let mut cut = None;
        for (number, delivery) in found.into_iter().enumerate() {
            list.oldest_read = Some(delivery.at);
            if !filter.matches(&delivery) {
                continue;
            }
            let is_last = number + 1 == last;
            let cursor = ctx.store.cursor_after_delivery(&delivery);
            list.deliveries.push(delivery);
            if list.deliveries.len() == limit && !is_last {
                cut = Some(cursor);
                break;
            }
        }
        place = match cut.or(older) {
            Some(after) => ListPosition { after: Some(after), ..place },
            None => place.previous_day(),
        };
    }
    Ok(list)
}

async fn list_day(
    ctx: &Context,
    project: &ProjectId,
    place: &ListPosition,
    limit: usize,
) -> Result<(Vec<Delivery>, Option<String>), Error> {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let (ids, older) = ctx.store.list_delivery_ids(project, &place.day.day(), place.after.as_deref(), limit).await?;
    Ok((ctx.store.load_deliveries(&ids).await?, older))
}

/// The cursor of this place, or of the next older one with an entry, so that no page is empty.
async fn next_cursor(
    ctx: &Context,
    project: &ProjectId,
    mut place: ListPosition,
    oldest: Timestamp,
) -> Result<Option<String>, Error> {
    while place.day >= oldest {
        let (ids, _) = ctx.store.list_delivery_ids(project, &place.day.day(), place.after.as_deref(), 1).await?;
        if !ids.is_empty() {
            return Ok(Some(place.to_cursor()));
        }
        place = place.previous_day();
    }
    Ok(None)
}

fn start_of_day(at: Timestamp) -> Timestamp {
    let day = i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.millis() - at.millis().rem_euclid(day))
}

impl ListPosition {
    fn previous_day(&self) -> Self {
        Self { day: self.day.minus(DAY), after: None }
    }

    /// `20261120`, then the cursor within the day.
    fn to_cursor(&self) -> String {
        format!("{}{}", self.day.day().replace('-', ""), self.after.as_deref().unwrap_or_default())
    }

    fn parse(cursor: &str) -> Option<Self> {
        let (day, after) = cursor.split_at_checked(8)?;
        let (year, rest) = day.split_at_checked(4)?;
        let (month, date) = rest.split_at_checked(2)?;
        let start = Timestamp::parse(&format!("{year}-{month}-{date}T00:00:00Z")).ok()?;
        let place = Self { day: start, after: (!after.is_empty()).then(|| after.to_owned()) };
        (place.to_cursor() == cursor).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_round_trips_and_rejects_malformed_text() {
        let day = Timestamp::parse("2026-11-20T00:00:00Z").unwrap();
        for after in [None, Some("MDAx-_".to_owned())] {
            let place = ListPosition { day, after };
            assert_eq!(ListPosition::parse(&place.to_cursor()), Some(place));
        }
        assert_eq!(start_of_day(Timestamp::parse("2026-11-20T23:59:59.999Z").unwrap()), day);
        for bad in ["", "x", "2026112", "20261320", "20260230", "2026-11-", "２０261120", "+0261120"] {
            assert_eq!(ListPosition::parse(bad), None, "{bad}");
        }
    }
}
