//! Suggests the key of a new ticket on the built-in board.

use crate::{Context, Error};
use pullyard_domain::id::{ProjectId, TicketKey};

/// The number after the highest one of the project: `ACME-8` after `ACME-7`. Reads all keys of the project. Another
/// caller may create the suggested ticket first.
pub async fn suggest_ticket_key(ctx: &Context, project: &ProjectId) -> Result<TicketKey, Error> {
    let prefix = format!("{}-", project.as_str().to_uppercase());
    let keys = ctx.store.list_all_ticket_keys(project).await?;
    let numbers = keys.iter().filter_map(|key| key.as_str().strip_prefix(&prefix)?.parse::<u64>().ok());
    let next = numbers.max().unwrap_or(0).saturating_add(1);
    TicketKey::new(format!("{prefix}{next}"))
        .map_err(|_| Error::Inconsistent("no key follows the project's tickets".into()))
}
