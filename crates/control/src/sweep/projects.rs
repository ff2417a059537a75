//! Lists all projects, starting with another one each minute, so that each gets its turn when time is short.

use super::deadlines::RoundTimer;
use crate::{Context, Error};
use pullyard_domain::text::id::ProjectId;
use pullyard_domain::text::time::Timestamp;
use std::time::Duration;

pub(super) async fn list_projects_rotated(
    ctx: &Context,
    time: &RoundTimer<'_>,
    until: Duration,
) -> Result<Vec<ProjectId>, Error> {
    let mut all = time.run_before(until, "read the projects", ctx.store.list_all_project_ids()).await?;
    let first = first_index(all.len(), ctx.clock.now());
    all.rotate_left(first);
    Ok(all)
}

/// The first index of this minute. Multiples of the golden ratio spread evenly over any count.
fn first_index(count: usize, now: Timestamp) -> usize {
    let minute = u64::try_from(now.millis() / 60_000).unwrap_or_default();
    let share = u128::from(minute.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let count = u128::try_from(count).unwrap_or_default();
    usize::try_from((share * count) >> 64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_project_is_reached_within_a_few_rounds() {
        for (count, reached) in [(1, 1), (2, 1), (7, 2), (997, 100), (1_500, 1_400)] {
            let mut seen = vec![false; count];
            for minute in 0..4 * count.div_ceil(reached) {
                let now = Timestamp::from_millis(29_000_000 * 60_000 + i64::try_from(minute).unwrap() * 60_000);
                let first = first_index(count, now);
                for nth in 0..reached {
                    seen[(first + nth) % count] = true;
                }
            }
            assert!(seen.iter().all(|seen| *seen), "{reached} of {count}");
        }
        assert_eq!(first_index(0, Timestamp::from_millis(0)), 0);
    }
}
