//! The growing delay before the sweeper repeats a failed step of an item.

use std::time::Duration;

/// Delay after the sweeper failed `tries` times on an item: 1 min, doubling up to 1 h.
pub fn back_off(tries: u32) -> Duration {
    Duration::from_secs(60u64.saturating_mul(1 << tries.min(6)).min(3_600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_items_back_off_from_a_minute_to_an_hour() {
        let waits: Vec<_> = (0..9).map(|tries| back_off(tries).as_secs() / 60).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(back_off(u32::MAX), Duration::from_secs(3_600));
    }
}
