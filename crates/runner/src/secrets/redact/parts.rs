//! Splits a text into plain parts and secrets.

use super::scan::{Found, Rests, Scanner, Text};
use std::ops::Range;

pub(super) enum Piece {
    Text(Range<usize>),
    Secret(Range<usize>),
}

/// Passes each certain part to `tell`. Returns the number of certain bytes.
pub(super) fn walk(scanner: &Scanner, text: Text<'_>, mut tell: impl FnMut(Piece)) -> usize {
    let (mut walk, mut at) = (scanner.walk(text), 0);
    loop {
        let certain = match walk.next(at) {
            Found::Secret(range) => {
                tell(Piece::Text(at..range.start));
                at = range.end;
                tell(Piece::Secret(range));
                continue;
            }
            Found::Open(start) => start,
            Found::Nothing => match text.rests {
                Rests::Ended => text.bytes.len(),
                Rests::More => at.max(text.bytes.len().saturating_sub(scanner.lookahead() - 1)),
            },
        };
        tell(Piece::Text(at..certain));
        return certain;
    }
}
