//! Finds forms of a secret that continue over several lines, in base64 or as plain text.
//! `base64` writes lines of 76 characters, PEM of 64. JSON writes a line break as two characters. A diff begins each
//! line with a sign, and programs that print files with a number.

use std::ops::Range;

/// The longest separator between two lines. Units: bytes.
const LONGEST_BREAK: usize = 24;
/// The shortest line that programs write. Units: characters.
const SHORTEST_LINE: usize = 16;
/// Number of equal characters on both sides that prove a break.
const MIN_OVERLAP: usize = 4;

/// A part of a form that was found in a text, as a range of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FormMatch {
    pub(super) in_text: Range<usize>,
    pub(super) in_form: Range<usize>,
}

/// The greatest length of a form with all its breaks. Units: bytes.
pub(super) fn max_length(form: &[u8]) -> usize {
    form.len() + max_breaks(form) * LONGEST_BREAK
}

fn max_breaks(form: &[u8]) -> usize {
    form.len() / SHORTEST_LINE + 2
}

/// Extends a match at `place` to both sides, up to the next breaks. Does not read before `from`.
pub(super) fn match_line(form: &[u8], bytes: &[u8], from: usize, (place, of): (usize, usize)) -> FormMatch {
    let preceding = bytes.get(from..place).unwrap_or_default().iter().rev();
    let before = preceding.zip(form.get(..of).unwrap_or_default().iter().rev()).take_while(|(a, b)| a == b).count();
    let after = common_prefix_len(form.get(of..), bytes.get(place..));
    FormMatch { in_text: place - before..place + after, in_form: of - before..of + after }
}

pub(super) fn match_lines(form: &[u8], bytes: &[u8], from: usize, line: FormMatch) -> FormMatch {
    let mut first = line;
    for _ in 0..max_breaks(form) {
        let shorter = || match_previous_line(form, bytes, from, &strip_escape(bytes, &first)?);
        match match_previous_line(form, bytes, from, &first).or_else(shorter) {
            Some(earlier) => first = earlier,
            None => break,
        }
    }
    let mut all = first;
    for _ in 0..max_breaks(form) {
        let rest = form.get(all.in_form.end..).unwrap_or_default();
        let Some(next) = skip_break(bytes, all.in_text.end, rest) else { break };
        let length = common_prefix_len(Some(rest), bytes.get(next..));
        all = FormMatch {
            in_text: all.in_text.start..next + length,
            in_form: all.in_form.start..all.in_form.end + length,
        };
    }
    all
}

fn common_prefix_len(one: Option<&[u8]>, other: Option<&[u8]>) -> usize {
    one.unwrap_or_default().iter().zip(other.unwrap_or_default()).take_while(|(a, b)| a == b).count()
}

fn match_previous_line(form: &[u8], bytes: &[u8], from: usize, line: &FormMatch) -> Option<FormMatch> {
    let (preceding, rest) = form.split_at_checked(line.in_form.start)?;
    let proof = preceding.get(preceding.len().saturating_sub(MIN_OVERLAP)..).filter(|proof| !proof.is_empty())?;
    (1..=LONGEST_BREAK).find_map(|gap| {
        let end = line.in_text.start.checked_sub(gap).filter(|end| *end > from)?;
        let is_one = bytes.get(from..end)?.ends_with(proof) && skip_break(bytes, end, rest) == Some(line.in_text.start);
        is_one.then(|| match_line(preceding, bytes, from, (end - proof.len(), line.in_form.start - proof.len())))
    })
}

/// The line without its first character, if that may be the letter of an escape sequence.
fn strip_escape(bytes: &[u8], line: &FormMatch) -> Option<FormMatch> {
    let around = bytes.get(line.in_text.start.checked_sub(1)?..)?;
    let is_escape = matches!(around, [b'\\', b'n' | b'r' | b't', ..]);
    is_escape.then(|| FormMatch {
        in_text: line.in_text.start + 1..line.in_text.end,
        in_form: line.in_form.start + 1..line.in_form.end,
    })
}

/// The position at which the rest of a form continues, if a break begins at `from`.
fn skip_break(bytes: &[u8], from: usize, rest: &[u8]) -> Option<usize> {
    let proof = rest.get(..MIN_OVERLAP).unwrap_or(rest);
    let mut to = from;
    while to - from <= LONGEST_BREAK && !proof.is_empty() {
        let after = bytes.get(to..)?;
        let (unit, begins) = break_unit(after).unwrap_or_default();
        // Numbers and signs at the start of a line are base64 characters too, so the first match counts.
        if to > from && after.starts_with(proof) {
            return Some(to);
        }
        if unit == 0 || (to == from && !begins) {
            // The last characters are too few to be certain, and too few to matter alone.
            return (to > from && !after.is_empty() && proof.starts_with(after)).then_some(to);
        }
        to += unit;
    }
    None
}

/// Length of the first part of a break, and whether a break may begin with it.
fn break_unit(bytes: &[u8]) -> Option<(usize, bool)> {
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

    fn match_around(known: &str, text: &str) -> FormMatch {
        let of = FORM.windows(known.len()).position(|part| part == known.as_bytes()).unwrap();
        let line = match_line(FORM, text.as_bytes(), 0, (text.find(known).unwrap(), of));
        match_lines(FORM, text.as_bytes(), 0, line)
    }

    #[test]
    fn form_continues_over_breaks_in_both_directions() {
        for between in ["\n", "\\r\\n", "\n+", "\n    ", "\n   12\t", "\" \\\n  \""] {
            let text = format!("x {}{between}{}=", "c2stYW50LWFwaTAzLVZxOF", "pyMUx4VDB1WXc1TmZLZEdo");
            for known in ["c2st", "LVZx", "pyMU", "ZEdo"] {
                let part = match_around(known, &text);
                assert_eq!((part.in_text, part.in_form), (2..text.len() - 1, 0..FORM.len()), "{known} in {text:?}");
            }
        }
    }

    #[test]
    fn part_ends_before_other_text() {
        let text = "YW50LWFwaTAzLVZxOF\nsomething else";
        assert_eq!(match_around("LWFw", text), FormMatch { in_text: 0..18, in_form: 4..22 });
        assert_eq!(match_around("LWFw", "YW50LWFwaTAzLVZxOF and so on").in_form, 4..22);
        assert_eq!(match_around("LWFw", "YW50LWFwaTAzLVZxOF").in_form, 4..22);
        assert_eq!(match_around("LWFw", "YW50LWFwaTAzLVZxOF\npyM"), FormMatch { in_text: 0..22, in_form: 4..25 });
    }

    #[test]
    fn number_of_breaks_is_limited() {
        let each: Vec<_> = FORM.chunks(4).map(String::from_utf8_lossy).collect();
        assert_eq!(match_around("c2st", &each.join("\n")).in_form, 0..20);
        assert!(max_length(FORM) < 4 * FORM.len());
    }
}
