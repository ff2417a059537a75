//! Finds secrets that contain terminal codes, as in the output of `grep --color`.
//! From shortly before the first code on, a text is searched without its codes first. The search with codes comes
//! second, because it may match only a part of a token. Codes inside a secret are redacted with it; all other codes
//! remain.

use super::MARK;
use super::boundary::CONTEXT;
use super::parts::{Piece, walk};
use super::scan::{Rests, Scanner, Text};
use std::ops::Range;

const ESCAPE: u8 = 0x1b;
/// Limit for the numbers of a code. Units: bytes.
const LONGEST_NUMBERS: usize = 32;
/// How much is searched before the first code, because a token may have begun there. Longer known secrets raise it.
/// Units: bytes.
const NEAR: usize = 4 * 1024;

#[derive(Default)]
pub(super) struct Colours {
    begun: bool,
    held: Vec<u8>,
    /// The last bytes that were passed on, without codes.
    before: Vec<u8>,
}

impl Colours {
    /// Adds a piece. Appends the bytes that contain no such secret to `clean`.
    pub(super) fn clean(&mut self, scanner: &Scanner, piece: &[u8], rests: Rests, clean: &mut Vec<u8>) {
        if self.begun {
            self.held.extend_from_slice(piece);
        } else {
            self.pass(scanner, piece, rests, clean);
        }
        if !self.begun {
            return;
        }
        let plain = Plain::of(&self.held, rests);
        let text = Text { bytes: &plain.bytes, before: &self.before, rests };
        let part = |from: usize, to: usize| plain.bytes.get(from..to).unwrap_or_default();
        let mut codes = plain.codes.iter().peekable();
        let certain = walk(scanner, text, |piece| match piece {
            Piece::Text(range) => {
                let mut from = range.start;
                while let Some((at, code)) = codes.next_if(|(at, _)| *at <= range.end) {
                    clean.extend_from_slice(part(from, *at));
                    clean.extend_from_slice(self.held.get(code.clone()).unwrap_or_default());
                    from = *at;
                }
                clean.extend_from_slice(part(from, range.end));
            }
            Piece::Secret(range) => {
                while codes.next_if(|(at, _)| *at < range.end).is_some() {}
                clean.extend_from_slice(MARK.as_bytes());
            }
        });
        let of_codes = plain.codes.iter().filter(|(at, _)| *at <= certain).map(|(_, code)| code.len());
        let certain_held = certain + of_codes.sum::<usize>();
        self.held.drain(..certain_held);
        self.remember(part(0, certain));
    }

    /// Handles a piece while no code was found: passes on the bytes that are far enough from the first code.
    fn pass(&mut self, scanner: &Scanner, piece: &[u8], rests: Rests, clean: &mut Vec<u8>) {
        let (first, before) = (first_escape(piece), self.held.len());
        self.begun = first.is_some();
        let near = if self.begun || rests == Rests::More { scanner.lookahead().max(NEAR) } else { 0 };
        let certain = (before + first.unwrap_or(piece.len())).saturating_sub(near);
        let (passed, rest) = piece.split_at_checked(certain.saturating_sub(before)).unwrap_or((piece, &[]));
        let (from, of_held) = (clean.len(), certain.min(before));
        clean.extend_from_slice(self.held.get(..of_held).unwrap_or_default());
        clean.extend_from_slice(passed);
        self.held.drain(..of_held);
        self.held.extend_from_slice(rest);
        self.remember(clean.get(from..).unwrap_or_default());
    }

    fn remember(&mut self, passed: &[u8]) {
        let last = passed.get(passed.len().saturating_sub(CONTEXT)..).unwrap_or_default();
        self.before.extend_from_slice(last);
        self.before.drain(..self.before.len().saturating_sub(CONTEXT));
    }
}

/// Redacts a whole text; `None` if it contains no secret with a code.
pub(super) fn redacted(scanner: &Scanner, bytes: &[u8]) -> Option<Vec<u8>> {
    first_escape(bytes)?;
    let mut clean = Vec::with_capacity(bytes.len());
    Colours::default().clean(scanner, bytes, Rests::Ended, &mut clean);
    (clean != bytes).then_some(clean)
}

/// Few texts contain an escape character, and `contains` is far faster than `position`.
fn first_escape(bytes: &[u8]) -> Option<usize> {
    bytes.contains(&ESCAPE).then(|| bytes.iter().position(|byte| *byte == ESCAPE)).flatten()
}

struct Plain {
    bytes: Vec<u8>,
    /// For each code, the position in `bytes` that it precedes, and its range in the text.
    codes: Vec<(usize, Range<usize>)>,
}

impl Plain {
    /// Splits a text. Stops at an incomplete code at its end if more follows.
    fn of(text: &[u8], rests: Rests) -> Self {
        let (mut bytes, mut codes, mut at) = (Vec::with_capacity(text.len()), Vec::new(), 0);
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            at += match begins(rest) {
                Begins::Code(length) => {
                    codes.push((bytes.len(), at..at + length));
                    length
                }
                Begins::Open if rests == Rests::More => break,
                Begins::Open | Begins::Text => {
                    let after = rest.get(1..).unwrap_or_default();
                    let length = 1 + first_escape(after).unwrap_or(after.len());
                    bytes.extend_from_slice(rest.get(..length).unwrap_or_default());
                    length
                }
            };
        }
        Self { bytes, codes }
    }
}

enum Begins {
    Code(usize),
    Open,
    Text,
}

/// A code is an escape character, a bracket, numbers and a letter, or it selects a character set as `tput sgr0` does.
fn begins(text: &[u8]) -> Begins {
    match text {
        [ESCAPE] | [ESCAPE, b'[' | b'('] => Begins::Open,
        [ESCAPE, b'(', last, ..] if last.is_ascii_alphanumeric() => Begins::Code(3),
        [ESCAPE, b'[', rest @ ..] => {
            let is_of_numbers = |byte: &&u8| matches!(byte, b'0'..=b'9' | b';' | b':' | b'?');
            let numbers = rest.iter().take(LONGEST_NUMBERS).take_while(is_of_numbers).count();
            match rest.get(numbers) {
                Some(last) if last.is_ascii_alphabetic() => Begins::Code(numbers + 3),
                Some(_) => Begins::Text,
                None => Begins::Open,
            }
        }
        _ => Begins::Text,
    }
}
