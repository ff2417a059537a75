//! Failures of an agent that exceeded a limit.

use pullyard_domain::failure::Failure;

pub(super) fn turn_limit_failure(limit: u32) -> Failure {
    Failure::TurnLimit { limit: u64::from(limit) }
}

/// Units: millionths of a US dollar.
pub(super) fn cost_limit_failure(spent: u64, limit: u64) -> Failure {
    Failure::CostLimit { spent: format_dollars(spent), limit: format_dollars(limit) }
}

/// Formats an amount: whole cents, and more digits only below a cent.
pub(super) fn format_dollars(micros: u64) -> String {
    if micros > 0 && micros < 10_000 {
        return format!("${}.{:06}", micros / 1_000_000, micros % 1_000_000);
    }
    let cents = micros.saturating_add(5_000) / 10_000;
    format!("${}.{:02}", cents / 100, cents % 100)
}
