//! Maps line numbers within a pull request's diff and across a later push.

use crate::record::Side;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    /// GitHub's position, counted from the line after the first hunk header.
    position: u64,
    old: Option<u64>,
    new: Option<u64>,
    hunk: usize,
    text: String,
}

#[derive(Debug, Default)]
pub(crate) struct FileDiff {
    headers: Vec<String>,
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiffLocation {
    pub(crate) side: Side,
    pub(crate) line: u64,
    pub(crate) position: u64,
    pub(crate) hunk: String,
}

impl FileDiff {
    pub(crate) fn parse(text: &str) -> Self {
        let mut diff = Self::default();
        let (mut old, mut new, mut position) = (0, 0, 0);
        for line in text.lines() {
            if let Some(((old_start, _), (new_start, _))) = parse_hunk_header(line) {
                (old, new) = (old_start, new_start);
                position = if diff.headers.is_empty() { 0 } else { position + 1 };
                diff.headers.push(line.to_owned());
                continue;
            }
            let Some(hunk) = diff.headers.len().checked_sub(1) else { continue };
            position += 1;
            let (at_old, at_new) = match line.as_bytes().first() {
                Some(b'+') => (None, Some(new)),
                Some(b'-') => (Some(old), None),
                Some(b'\\') => (None, None),
                _ => (Some(old), Some(new)),
            };
            old += u64::from(at_old.is_some());
            new += u64::from(at_new.is_some());
            diff.lines.push(Line { position, old: at_old, new: at_new, hunk, text: line.to_owned() });
        }
        diff
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn at_line(&self, side: Side, number: u64) -> Option<DiffLocation> {
        let of = |line: &Line| match side {
            Side::Left => line.old,
            Side::Right => line.new,
        };
        let line = self.lines.iter().find(|line| of(line) == Some(number))?;
        Some(self.location(line, side, number))
    }

    pub(crate) fn at_position(&self, position: u64) -> Option<DiffLocation> {
        let line = self.lines.iter().find(|line| line.position == position)?;
        match (line.new, line.old) {
            (Some(new), _) => Some(self.location(line, Side::Right, new)),
            (None, Some(old)) => Some(self.location(line, Side::Left, old)),
            (None, None) => None,
        }
    }

    fn location(&self, line: &Line, side: Side, number: u64) -> DiffLocation {
        let mut hunk = self.headers.get(line.hunk).cloned().unwrap_or_default();
        for above in self.lines.iter().filter(|above| above.hunk == line.hunk && above.position <= line.position) {
            hunk.push('\n');
            hunk.push_str(&above.text);
        }
        DiffLocation { side, line: number, position: line.position, hunk }
    }
}

/// Returns the new number of a line in a diff without context, or `None` if the line changed.
pub(crate) fn map_line(change: &str, line: u64) -> Option<u64> {
    let mut moved = i64::try_from(line).ok()?;
    for ((old, removed), (_, added)) in change.lines().filter_map(parse_hunk_header) {
        // Without removed lines, git's header names the line above the insertion.
        let first = if removed == 0 { old + 1 } else { old };
        if line < first {
            break;
        }
        if line < first + removed {
            return None;
        }
        moved += i64::try_from(added).ok()? - i64::try_from(removed).ok()?;
    }
    u64::try_from(moved).ok()
}

type Range = (u64, u64);

/// `@@ -old,count +new,count @@`
fn parse_hunk_header(line: &str) -> Option<(Range, Range)> {
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

    const CHANGE: &str =
        "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1,3 +1,4 @@ x\n a\n-b\n+B\n+C\n d\n@@ -10 +11 @@\n-k\n+K\n";

    #[test]
    fn diff_lines_have_numbers_and_a_position() {
        let diff = FileDiff::parse(CHANGE);
        let spot = diff.at_line(Side::Right, 3).unwrap();
        assert_eq!((spot.position, spot.hunk.as_str()), (4, "@@ -1,3 +1,4 @@ x\n a\n-b\n+B\n+C"));
        assert_eq!(diff.at_line(Side::Left, 2).unwrap().position, 2);
        assert_eq!(diff.at_line(Side::Left, 10).unwrap().position, 7);
        assert_eq!(diff.at_position(8).map(|spot| (spot.side, spot.line)), Some((Side::Right, 11)));
        assert_eq!(diff.at_line(Side::Right, 7), None);
    }

    #[test]
    fn unchanged_line_moves_and_changed_line_is_lost() {
        let change = "@@ -2 +2,2 @@\n@@ -5,0 +7,3 @@\n@@ -8,2 +12,0 @@\n";
        let found: Vec<_> = (1..=11).map(|line| map_line(change, line)).collect();
        let expected = [Some(1), None, Some(4), Some(5), Some(6), Some(10), Some(11), None, None, Some(12), Some(13)];
        assert_eq!(found, expected);
    }
}
