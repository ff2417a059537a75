//! Suggests the key of a new ticket on the built-in board.

use crate::{Context, Error};
use pullyard_domain::id::{ProjectId, TicketKey};

const PAGE_SIZE: i32 = 1_000;

/// The number after the highest one of the project: `ACME-8` after `ACME-7`. Reads all keys of the project. Another
/// caller may create the suggested ticket first.
pub async fn suggest_ticket_key(ctx: &Context, project: &ProjectId) -> Result<TicketKey, Error> {
    let prefix = format!("{}-", project.as_str().to_uppercase());
    let mut highest = 0;
    let mut after: Option<String> = None;
    loop {
        let (keys, next) = ctx.store.list_ticket_keys(project, after.as_deref(), PAGE_SIZE).await?;
        let numbers = keys.iter().filter_map(|key| key.as_str().strip_prefix(&prefix)?.parse::<u64>().ok());
        highest = numbers.fold(highest, u64::max);
        if next.is_none() {
            let key = format!("{prefix}{}", highest.saturating_add(1));
            return TicketKey::new(key).map_err(|_| Error::Inconsistent("no key follows the project's tickets".into()));
        }
        after = next;
    }
}
