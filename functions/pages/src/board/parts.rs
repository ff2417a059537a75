//! Chooses the cards of a column that a page shows, so that a large board transfers less than 100 KB.

use std::ops::Range;

pub(super) const MAX_CARDS: usize = 60;
pub(super) const MAX_OPEN: usize = 48;

pub(super) struct Hidden {
    pub(super) range: Range<usize>,
    /// The first card of the open column that the link shows.
    pub(super) from: usize,
}

/// The largest number of cards per column with which all columns fit into `room`.
pub(super) fn share(sizes: &[usize], room: usize) -> usize {
    let fits = |share: &usize| sizes.iter().map(|size| size.min(share)).sum::<usize>() <= room;
    (1..=room).rev().find(fits).unwrap_or(1)
}

/// Hides the middle of a long column. Of two cards, it shows the last too, because a card is dropped below all others.
pub(super) fn hide_middle(size: usize, share: usize) -> Vec<Hidden> {
    if size <= share {
        return Vec::new();
    }
    let last = (share + 1) / 3;
    vec![Hidden { range: share - last..size - last, from: 0 }]
}

/// Hides the cards of the open column before `from` and after its page.
pub(super) fn hide_outside(size: usize, from: usize) -> Vec<Hidden> {
    let from = from.min(size);
    let end = size.min(from + MAX_OPEN);
    vec![Hidden { range: 0..from, from: from.saturating_sub(MAX_OPEN) }, Hidden { range: end..size, from: end }]
}
