//! Splits a text into plain parts and secrets.

use super::scan::{Completeness, ScanResult, Scanner, Text};
use std::ops::Range;

/// Replaces a secret.
pub(super) const MARK: &str = "[redacted]";

pub(super) enum Segment {
    Text(Range<usize>),
    Secret(Range<usize>),
}

/// Passes each certain part to `visit`. Returns the number of certain bytes.
pub(super) fn for_each_segment(scanner: &Scanner, text: Text<'_>, mut visit: impl FnMut(Segment)) -> usize {
    let (mut walk, mut at) = (scanner.walk(text), 0);
    loop {
        let certain = match walk.next(at) {
            ScanResult::Secret(range) => {
                visit(Segment::Text(at..range.start));
                at = range.end;
                visit(Segment::Secret(range));
                continue;
            }
            ScanResult::Undecided(start) => start,
            ScanResult::Clean => match text.completeness {
                Completeness::Complete => text.bytes.len(),
                Completeness::Partial => at.max(text.bytes.len().saturating_sub(scanner.lookahead() - 1)),
            },
        };
        visit(Segment::Text(at..certain));
        return certain;
    }
}
