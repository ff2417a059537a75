//! The failure of an agent that exceeded its cost limit.

use pullyard_domain::project::budget::format_usd;
use pullyard_domain::text::failure::Failure;

/// The failure of an agent whose next request would pass the limit. Units: millionths of a US dollar.
pub(super) fn next_cost_failure(spent: u64, next: u64, limit: u64) -> Failure {
    if spent >= limit {
        return cost_limit_failure(spent, limit);
    }
    let spent = format!("{}, and its next request may cost {}", format_dollars(spent), format_dollars(next));
    Failure::CostLimit { spent, limit: format_dollars(limit) }
}

/// Units: millionths of a US dollar.
pub(super) fn cost_limit_failure(spent: u64, limit: u64) -> Failure {
    Failure::CostLimit { spent: format_dollars(spent), limit: format_dollars(limit) }
}

/// Formats an amount: whole cents, and more digits only below a cent.
pub(super) fn format_dollars(micros: u64) -> String {
    if (1..10_000).contains(&micros) { format!("$0.{micros:06}") } else { format_usd(micros) }
}
