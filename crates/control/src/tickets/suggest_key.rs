//! Suggests the key of a new ticket on the built-in board.

use crate::{Context, Error};
use pullyard_domain::text::id::{ProjectId, TicketKey};

/// Higher numbers are ignored: one such ticket would otherwise use up all numbers.
const MAX_COUNTED: u64 = 99_999_999;

const MAX_NUMBER: u64 = 999_999_999;

/// Returns the next free key: `ACME-8` after `ACME-7`. Another caller may use it first.
/// `None` if the numbers are used up.
pub async fn suggest_ticket_key(ctx: &Context, project: &ProjectId) -> Result<Option<TicketKey>, Error> {
    Ok(numbered_key(project, suggest_number(ctx, project).await?))
}

/// Returns the number after the highest one of a present or deleted ticket.
/// Reads the keys from an index, so a ticket of the last second may have the number already.
pub(crate) async fn suggest_number(ctx: &Context, project: &ProjectId) -> Result<u64, Error> {
    let keys = ctx.store.list_all_ticket_keys(project).await?;
    // Loaded after the keys, so that a ticket which is deleted now counts in one of the two.
    let deleted = ctx.load_project(project).await?.deleted_number;
    Ok(keys.iter().filter_map(|key| number_of(project, key)).fold(deleted, u64::max) + 1)
}

pub(crate) fn numbered_key(project: &ProjectId, number: u64) -> Option<TicketKey> {
    TicketKey::new(format!("{}{number}", key_prefix(project))).ok().filter(|_| number <= MAX_NUMBER)
}

/// The number of a key in the form of suggested keys.
pub(crate) fn number_of(project: &ProjectId, key: &TicketKey) -> Option<u64> {
    let number = key.as_str().strip_prefix(&key_prefix(project))?.parse().ok()?;
    (number <= MAX_COUNTED).then_some(number)
}

fn key_prefix(project: &ProjectId) -> String {
    format!("{}-", project.as_str().to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_keys_with_a_usable_number_count() {
        let project = ProjectId::new("acme").unwrap();
        for (key, number) in [
            ("ACME-7", Some(7)),
            ("ACME-007", Some(7)),
            ("ACME-99999999", Some(MAX_COUNTED)),
            ("ACME-100000000", None),
            ("ACME-18446744073709551615", None),
            ("ACME-x7", None),
            ("ACME2-7", None),
            ("APP-7", None),
        ] {
            assert_eq!(number_of(&project, &TicketKey::new(key).unwrap()), number, "{key}");
        }
        assert_eq!(numbered_key(&project, 8).unwrap().as_str(), "ACME-8");
        assert_eq!(numbered_key(&project, MAX_NUMBER + 1), None);
    }
}
