//! Finds forms of a secret that continue over several lines, in base64 or as plain text.
//! `base64` writes lines of 76 characters, PEM of 64. JSON writes a line break as two characters. A diff begins each
//! line with a sign, and programs that print files with a number.

use std::ops::Range;

/// The longest separator between two lines. Units: bytes.
const LONGEST_BREAK: usize = 24;
/// The shortest line that programs write. Units: characters.
const SHORTEST_LINE: usize = 16;
/// Number of equal characters on both sides that prove a break.
const PROOF: usize = 4;

/// A part of a form: its range `of` in the form, found in the range `at` of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) at: Range<usize>,
    pub(super) of: Range<usize>,
}

/// The greatest length of a form with all its breaks. Units: bytes.
pub(super) fn longest(form: &[u8]) -> usize {
    form.len() + most_breaks(form) * LONGEST_BREAK
}

fn most_breaks(form: &[u8]) -> usize {
    form.len() / SHORTEST_LINE + 2
}

/// Extends a match at `place` to both sides, up to the next breaks. Does not read before `from`.
pub(super) fn line(form: &[u8], bytes: &[u8], from: usize, (place, of): (usize, usize)) -> Part {
    let known = bytes.get(from..place).unwrap_or_default().iter().rev();
    let before = known.zip(form.get(..of).unwrap_or_default().iter().rev()).take_while(|(a, b)| a == b).count();
    let after = equal(form.get(of..), bytes.get(place..));
    Part { at: place - before..place + after, of: of - before..of + after }
}

pub(super) fn lines(form: &[u8], bytes: &[u8], from: usize, line: Part) -> Part {
    let mut first = line;
    for _ in 0..most_breaks(form) {
        let shorter = || line_before(form, bytes, from, &without_escape(bytes, &first)?);
        match line_before(form, bytes, from, &first).or_else(shorter) {
            Some(earlier) => first = earlier,
            None => break,
        }
    }
    let mut all = first;
    for _ in 0..most_breaks(form) {
        let rest = form.get(all.of.end..).unwrap_or_default();
        let Some(next) = after_break(bytes, all.at.end, rest) else { break };
        let length = equal(Some(rest), bytes.get(next..));
        all = Part { at: all.at.start..next + length, of: all.of.start..all.of.end + length };
    }
    all
}

fn equal(one: Option<&[u8]>, other: Option<&[u8]>) -> usize {
    one.unwrap_or_default().iter().zip(other.unwrap_or_default()).take_while(|(a, b)| a == b).count()
}

/// The line of the form that precedes this one, before a break.
fn line_before(form: &[u8], bytes: &[u8], from: usize, line: &Part) -> Option<Part> {
    let (known, rest) = form.split_at_checked(line.of.start)?;
    let proof = known.get(known.len().saturating_sub(PROOF)..).filter(|proof| !proof.is_empty())?;
    (1..=LONGEST_BREAK).find_map(|gap| {
        let end = line.at.start.checked_sub(gap).filter(|end| *end > from)?;
        let is_one = bytes.get(from..end)?.ends_with(proof) && after_break(bytes, end, rest) == Some(line.at.start);
        is_one.then(|| self::line(known, bytes, from, (end - proof.len(), line.of.start - proof.len())))
    })
}

/// The line without its first character, if that may be the letter of an escape sequence.
fn without_escape(bytes: &[u8], line: &Part) -> Option<Part> {
    let around = bytes.get(line.at.start.checked_sub(1)?..)?;
    let is_escape = matches!(around, [b'\\', b'n' | b'r' | b't', ..]);
    is_escape.then(|| Part { at: line.at.start + 1..line.at.end, of: line.of.start + 1..line.of.end })
}

/// The position at which the rest of a form continues, if a break begins at `from`.
fn after_break(bytes: &[u8], from: usize, rest: &[u8]) -> Option<usize> {
    let proof = rest.get(..PROOF).unwrap_or(rest);
    let mut to = from;
    while to - from <= LONGEST_BREAK && !proof.is_empty() {
        let left = bytes.get(to..)?;
        let (unit, begins) = unit(left).unwrap_or_default();
        // Numbers and signs at the start of a line are base64 characters too, so the first match counts.
        if to > from && left.starts_with(proof) {
            return Some(to);
        }
        if unit == 0 || (to == from && !begins) {
            // The last characters are too few to be certain, and too few to matter alone.
            return (to > from && !left.is_empty() && proof.starts_with(left)).then_some(to);
        }
        to += unit;
    }
    None
}

/// Length of the first part of a break, and whether a break may begin with it.
fn unit(bytes: &[u8]) -> Option<(usize, bool)> {
    let (first, rest) = bytes.split_first()?;
    match first {
        b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\'' => Some((1, true)),
        b'\\' => {
            let more = rest.iter().take_while(|byte| **byte == b'\\').count();
            let escapes = rest.get(more).is_some_and(|byte| matches!(byte, b'n' | b'r' | b't'));
            Some((if escapes { more + 2 } else { more + 1 }, true))
        }
        b'%' if matches!(rest, [b'0', b'A' | b'a' | b'D' | b'd', ..]) => Some((3, true)),
        b'0'..=b'9' | b'+' | b'-' | b'>' | b'|' | b':' | b'#' | b'*' | b',' | 0x80.. => Some((1, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"c2stYW50LWFwaTAzLVZxOFpyMUx4VDB1WXc1TmZLZEdo";

    /// The match around the first occurrence of `known` in the text.
    fn found(known: &str, text: &str) -> Part {
        let of = FORM.windows(known.len()).position(|part| part == known.as_bytes()).unwrap();
        let line = line(FORM, text.as_bytes(), 0, (text.find(known).unwrap(), of));
        lines(FORM, text.as_bytes(), 0, line)
    }

    #[test]
    fn form_continues_over_breaks_in_both_directions() {
        for between in ["\n", "\\r\\n", "\n+", "\n    ", "\n   12\t", "\" \\\n  \""] {
            let text = format!("x {}{between}{}=", "c2stYW50LWFwaTAzLVZxOF", "pyMUx4VDB1WXc1TmZLZEdo");
            for known in ["c2st", "LVZx", "pyMU", "ZEdo"] {
                let part = found(known, &text);
                assert_eq!((part.at, part.of), (2..text.len() - 1, 0..FORM.len()), "{known} in {text:?}");
            }
        }
    }

    #[test]
    fn part_ends_before_other_text() {
        let text = "YW50LWFwaTAzLVZxOF\nsomething else";
        assert_eq!(found("LWFw", text), Part { at: 0..18, of: 4..22 });
        assert_eq!(found("LWFw", "YW50LWFwaTAzLVZxOF and so on").of, 4..22);
        assert_eq!(found("LWFw", "YW50LWFwaTAzLVZxOF").of, 4..22);
        assert_eq!(found("LWFw", "YW50LWFwaTAzLVZxOF\npyM"), Part { at: 0..22, of: 4..25 });
    }

    #[test]
    fn number_of_breaks_is_limited() {
        let each: Vec<_> = FORM.chunks(4).map(String::from_utf8_lossy).collect();
        assert_eq!(found("c2st", &each.join("\n")).of, 0..20);
        assert!(longest(FORM) < 4 * FORM.len());
    }
}
