//! Finds lines in a pull request's diff, and their numbers after a later push.

use std::ops::Range;

use crate::record::Side;

/// The lines of the hunk that shows this line of a file, on its side of the file's diff.
pub(crate) fn find_hunk(diff: &str, side: Side, line: u64) -> Option<Range<u64>> {
    let mut hunks = diff.lines().filter_map(parse_hunk_header).map(|(old, new)| match side {
        Side::Left => old.0..old.0 + old.1,
        Side::Right => new.0..new.0 + new.1,
    });
    hunks.find(|lines| lines.contains(&line))
}

/// Returns the new number of a line in a diff without context, or `None` if the line changed.
pub(crate) fn map_line(change: &str, line: u64) -> Option<u64> {
    let mut new_line = i64::try_from(line).ok()?;
    for ((old, removed), (_, added)) in change.lines().filter_map(parse_hunk_header) {
        // Without removed lines, git's header names the line above the insertion.
        let first = if removed == 0 { old + 1 } else { old };
        if line < first {
            break;
        }
        if line < first + removed {
            return None;
        }
        new_line += i64::try_from(added).ok()? - i64::try_from(removed).ok()?;
    }
    u64::try_from(new_line).ok()
}

/// The first line and the number of lines.
type Lines = (u64, u64);

fn parse_hunk_header(line: &str) -> Option<(Lines, Lines)> {
    let mut parts = line.strip_prefix("@@ -")?.split(' ');
    let (old, new) = (parts.next()?, parts.next()?.strip_prefix('+')?);
    if parts.next()? != "@@" {
        return None;
    }
    let range = |text: &str| {
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    Some((range(old)?, range(new)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diff_contains_the_lines_of_its_hunks() {
        let diff =
            "--- a/f\n+++ b/f\n@@ -1,3 +1,4 @@ x\n a\n-b\n+B\n+C\n d\n@@ -10 +11 @@\n-k\n+K\n@@ -20,2 +20,0 @@\n";
        let found = |side| (0..=22).filter(|line| find_hunk(diff, side, *line).is_some()).collect::<Vec<_>>();
        assert_eq!(found(Side::Right), [1, 2, 3, 4, 11]);
        assert_eq!(found(Side::Left), [1, 2, 3, 10, 20, 21]);
        assert_eq!(find_hunk(diff, Side::Right, 2), Some(1..5));
    }

    #[test]
    fn unchanged_line_moves_and_changed_line_is_lost() {
        let change = "@@ -2 +2,2 @@\n@@ -5,0 +7,3 @@\n@@ -8,2 +12,0 @@\n";
        let found: Vec<_> = (1..=11).map(|line| map_line(change, line)).collect();
        let expected = [Some(1), None, Some(4), Some(5), Some(6), Some(10), Some(11), None, None, Some(12), Some(13)];
        assert_eq!(found, expected);
    }
}
