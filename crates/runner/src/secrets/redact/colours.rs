//! Secrets within which a terminal's colour changes, such as what `grep --color` prints of one that it was asked for a
//! part of: from shortly before the first code of a terminal on, a text is looked through without its codes before it
//! is looked through as it is, where a part of a token may pass for all of it. Codes within a secret go with it, all
//! others stay.

use super::MARK;
use super::boundary::CONTEXT;
use super::parts::{Piece, walk};
use super::scan::{Rests, Scanner, Text};
use std::ops::Range;

const ESCAPE: u8 = 0x1b;
/// No code has more numbers. Units: bytes.
const LONGEST_NUMBERS: usize = 32;
/// So much before the first code is looked through, or more where a known secret may be longer: a token may have begun
/// there. Units: bytes.
const NEAR: usize = 4 * 1024;

#[derive(Default)]
pub(super) struct Colours {
    begun: bool,
    held: Vec<u8>,
    /// The last of what is not held any more, without codes.
    before: Vec<u8>,
}

impl Colours {
    /// Takes a piece; puts what is certain to hold no such secret behind what is there.
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

    /// Before there was a code: passes on what stands far enough before the first one.
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

/// The whole text without secrets in which a colour changes; none when it has none.
pub(super) fn redacted(scanner: &Scanner, bytes: &[u8]) -> Option<Vec<u8>> {
    first_escape(bytes)?;
    let mut clean = Vec::with_capacity(bytes.len());
    Colours::default().clean(scanner, bytes, Rests::Ended, &mut clean);
    (clean != bytes).then_some(clean)
}

/// Few texts have one: to see that there is none is far faster than to look for where it is.
fn first_escape(bytes: &[u8]) -> Option<usize> {
    bytes.contains(&ESCAPE).then(|| bytes.iter().position(|byte| *byte == ESCAPE)).flatten()
}

/// A text and its codes apart.
struct Plain {
    bytes: Vec<u8>,
    /// Before which of the bytes each stood, and where in the text.
    codes: Vec<(usize, Range<usize>)>,
}

impl Plain {
    /// Of a text up to a code at its end that is not whole yet.
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
    /// A code of so many bytes.
    Code(usize),
    Open,
    Text,
}

/// A code is an escape, a bracket, numbers, and a letter; or names the letters that follow, as `tput sgr0` does.
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
