//! The order of the cards in a column: one number per ticket, compared among tickets of one status.
//! A card that enters a column gets the time as its rank, and a new card of the board the negative time: it is on top.
//! A card before another gets a rank halfway to its neighbour.

use crate::text::id::TicketKey;
use crate::text::time::Timestamp;
use crate::ticket::Ticket;

/// Nanoseconds: about thirty cards fit between two that were created one second apart.
const PER_MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000 * PER_MILLISECOND;

/// A place in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Last,
    Before(TicketKey),
}

pub fn rank_at(time: Timestamp) -> i64 {
    time.millis().saturating_mul(PER_MILLISECOND)
}

pub fn rank_of_new(time: Timestamp) -> i64 {
    -rank_at(time)
}

/// The rank of `ticket` before `next`, among the tickets of the column. `None` if no number is left.
pub fn rank_before<'a>(ticket: &TicketKey, next: &Ticket, column: impl IntoIterator<Item = &'a Ticket>) -> Option<i64> {
    let others = column.into_iter().filter(|other| other.key != *ticket && other.key != next.key);
    let earlier = others.filter(|other| other.card_order() < next.card_order());
    let Some(previous) = earlier.map(|other| other.rank).max() else {
        return Some(next.rank.saturating_sub(SECOND));
    };
    let gap = next.rank.saturating_sub(previous);
    (gap >= 2).then(|| previous + gap / 2)
}

impl Ticket {
    /// Sorts the cards of a column. Equal ranks sort by key, `APP-10` after `APP-2`.
    pub fn card_order(&self) -> (i64, &str, u64, &str) {
        let (prefix, number) = self.key.prefix_and_number();
        (self.rank, prefix, number, self.key.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::ticket_in;

    fn card(key: &str, rank: i64) -> Ticket {
        Ticket { key: TicketKey::new(key).unwrap(), rank, ..ticket_in("Todo") }
    }

    #[test]
    fn card_gets_a_rank_between_its_new_neighbours() {
        let column = [card("A-1", 100), card("A-2", 200), card("A-3", 300)];
        let rank = |moved: &str, next: usize| rank_before(&TicketKey::new(moved).unwrap(), &column[next], &column);
        assert_eq!(rank("A-9", 1), Some(150));
        assert_eq!(rank("A-3", 1), Some(150), "it has a rank in the column already");
        assert_eq!(rank("A-1", 1), Some(200 - SECOND), "it is the previous card itself");
        assert_eq!(rank("A-3", 0), Some(100 - SECOND));
    }

    #[test]
    fn new_card_is_above_earlier_and_moved_cards() {
        let [first, second] = [1, 2].map(|secs| Timestamp::from_millis(1_000 * secs));
        let mut ranks = [rank_at(first), rank_of_new(first), rank_of_new(second), rank_at(second)];
        ranks.sort_unstable();
        assert_eq!(ranks, [rank_of_new(second), rank_of_new(first), rank_at(first), rank_at(second)]);
        let column = [card("A-1", rank_of_new(second)), card("A-2", rank_of_new(first))];
        let between = rank_before(&TicketKey::new("A-9").unwrap(), &column[1], &column).unwrap();
        assert!((column[0].rank..column[1].rank).contains(&between), "{between}");
    }

    #[test]
    fn card_gets_no_rank_between_close_neighbours() {
        let column = [card("A-1", 100), card("A-2", 101), card("A-10", 101)];
        let moved = TicketKey::new("A-9").unwrap();
        assert_eq!(rank_before(&moved, &column[1], &column), None);
        assert_eq!(rank_before(&moved, &column[2], &column), None, "A-2 has the same rank and a smaller number");
    }
}
