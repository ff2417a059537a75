//! Finds secrets that contain terminal codes, as in the output of `grep --color`.
//! From shortly before the first code on, a text is searched without its codes first. The search with codes comes
//! second, because it may match only a part of a token. Codes inside a secret are redacted with it; others remain.

use super::boundary::CONTEXT;
use super::scan::{Completeness, Scanner, Text};
use super::segments::MARK;
use super::segments::{Segment, for_each_segment};
use std::ops::Range;

const ESCAPE: u8 = 0x1b;
/// Limit for the numbers of a code. Units: bytes.
const LONGEST_NUMBERS: usize = 32;
/// How much is searched before the first code, because a token may have begun there. Longer known secrets raise it.
/// Units: bytes.
const MIN_HELD_BYTES: usize = 4 * 1024;

#[derive(Default)]
pub(super) struct TerminalCodeFilter {
    has_code: bool,
    buffer: Vec<u8>,
    context: Vec<u8>,
}

impl TerminalCodeFilter {
    /// Adds a piece. Appends the bytes that contain no such secret to `clean`.
    pub(super) fn redact(&mut self, scanner: &Scanner, piece: &[u8], completeness: Completeness, clean: &mut Vec<u8>) {
        if self.has_code {
            self.buffer.extend_from_slice(piece);
        } else {
            self.pass_through(scanner, piece, completeness, clean);
        }
        if !self.has_code {
            return;
        }
        let plain = SplitText::split(&self.buffer, completeness);
        let text = Text { bytes: &plain.bytes, context: &self.context, completeness };
        let part = |from: usize, to: usize| plain.bytes.get(from..to).unwrap_or_default();
        let mut codes = plain.codes.iter().peekable();
        let certain = for_each_segment(scanner, text, |piece| match piece {
            Segment::Text(range) => {
                let mut from = range.start;
                while let Some((at, code)) = codes.next_if(|(at, _)| *at <= range.end) {
                    clean.extend_from_slice(part(from, *at));
                    clean.extend_from_slice(self.buffer.get(code.clone()).unwrap_or_default());
                    from = *at;
                }
                clean.extend_from_slice(part(from, range.end));
            }
            Segment::Secret(range) => {
                while codes.next_if(|(at, _)| *at < range.end).is_some() {}
                clean.extend_from_slice(MARK.as_bytes());
            }
        });
        let of_codes = plain.codes.iter().filter(|(at, _)| *at <= certain).map(|(_, code)| code.len());
        let certain_held = certain + of_codes.sum::<usize>();
        self.buffer.drain(..certain_held);
        self.update_context(part(0, certain));
    }

    /// Handles a piece while no code was found: passes on the bytes that are far enough from the first code.
    fn pass_through(&mut self, scanner: &Scanner, piece: &[u8], completeness: Completeness, clean: &mut Vec<u8>) {
        let (first, before) = (find_escape(piece), self.buffer.len());
        self.has_code = first.is_some();
        let near = if self.has_code || completeness == Completeness::Partial {
            scanner.lookahead().max(MIN_HELD_BYTES)
        } else {
            0
        };
        let certain = (before + first.unwrap_or(piece.len())).saturating_sub(near);
        let (passed, rest) = piece.split_at_checked(certain.saturating_sub(before)).unwrap_or((piece, &[]));
        let (from, of_held) = (clean.len(), certain.min(before));
        clean.extend_from_slice(self.buffer.get(..of_held).unwrap_or_default());
        clean.extend_from_slice(passed);
        self.buffer.drain(..of_held);
        self.buffer.extend_from_slice(rest);
        self.update_context(clean.get(from..).unwrap_or_default());
    }

    fn update_context(&mut self, passed: &[u8]) {
        let last = passed.get(passed.len().saturating_sub(CONTEXT)..).unwrap_or_default();
        self.context.extend_from_slice(last);
        self.context.drain(..self.context.len().saturating_sub(CONTEXT));
    }
}

/// Redacts a whole text; `None` if it contains no secret with a code.
pub(super) fn redact(scanner: &Scanner, bytes: &[u8]) -> Option<Vec<u8>> {
    find_escape(bytes)?;
    let mut clean = Vec::with_capacity(bytes.len());
    TerminalCodeFilter::default().redact(scanner, bytes, Completeness::Complete, &mut clean);
    (clean != bytes).then_some(clean)
}

/// Few texts contain an escape character, and `contains` is far faster than `position`.
fn find_escape(bytes: &[u8]) -> Option<usize> {
    bytes.contains(&ESCAPE).then(|| bytes.iter().position(|byte| *byte == ESCAPE)).flatten()
}

struct SplitText {
    bytes: Vec<u8>,
    /// For each code, the position in `bytes` that it precedes, and its range in the text.
    codes: Vec<(usize, Range<usize>)>,
}

impl SplitText {
    /// Splits a text. Stops at an incomplete code at its end if more follows.
    fn split(text: &[u8], completeness: Completeness) -> Self {
        let (mut bytes, mut codes, mut at) = (Vec::with_capacity(text.len()), Vec::new(), 0);
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            at += match parse_code(rest) {
                CodeStart::Code(length) => {
                    codes.push((bytes.len(), at..at + length));
                    length
                }
                CodeStart::Open if completeness == Completeness::Partial => break,
                CodeStart::Open | CodeStart::Text => {
                    let after = rest.get(1..).unwrap_or_default();
                    let length = 1 + find_escape(after).unwrap_or(after.len());
                    bytes.extend_from_slice(rest.get(..length).unwrap_or_default());
                    length
                }
            };
        }
        Self { bytes, codes }
    }
}

enum CodeStart {
    Code(usize),
    Open,
    Text,
}

/// A code is an escape character, a bracket, numbers and a letter, or it selects a character set as `tput sgr0` does.
fn parse_code(text: &[u8]) -> CodeStart {
    match text {
        [ESCAPE] | [ESCAPE, b'[' | b'('] => CodeStart::Open,
        [ESCAPE, b'(', last, ..] if last.is_ascii_alphanumeric() => CodeStart::Code(3),
        [ESCAPE, b'[', rest @ ..] => {
            let is_of_numbers = |byte: &&u8| matches!(byte, b'0'..=b'9' | b';' | b':' | b'?');
            let numbers = rest.iter().take(LONGEST_NUMBERS).take_while(is_of_numbers).count();
            match rest.get(numbers) {
                Some(last) if last.is_ascii_alphabetic() => CodeStart::Code(numbers + 3),
                Some(_) => CodeStart::Text,
                None => CodeStart::Open,
            }
        }
        _ => CodeStart::Text,
    }
}
