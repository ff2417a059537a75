//! Taking secrets out of what comes in pieces: a secret that two pieces share is found as well, because what
//! may be its beginning is held until the rest is there.

use super::MARK;
use super::boundary::CONTEXT;
use super::scan::{Found, Rests, Scanner, Text};
use std::sync::Arc;

/// One text that comes in pieces.
pub(crate) struct Stream {
    scanner: Arc<Scanner>,
    held: Vec<u8>,
    /// The last of what is not held any more.
    before: Vec<u8>,
}

impl Stream {
    pub(super) fn new(scanner: Arc<Scanner>) -> Self {
        Self { scanner, held: Vec::new(), before: Vec::new() }
    }

    /// Takes a piece; gives what is certain to hold no secret.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        self.clean(Rests::More)
    }

    /// The rest, when nothing follows.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.clean(Rests::Ended)
    }

    fn clean(&mut self, rests: Rests) -> Vec<u8> {
        let mut clean = Vec::with_capacity(self.held.len());
        let text = Text { bytes: &self.held, before: &self.before, rests };
        let certain = walk(&self.scanner, text, &mut clean);
        let last = self.held.get(certain.saturating_sub(CONTEXT)..certain).unwrap_or_default();
        self.before.extend_from_slice(last);
        self.before.drain(..self.before.len().saturating_sub(CONTEXT));
        self.held.drain(..certain);
        clean
    }
}

/// Whether a known secret stands in what comes in pieces.
pub(crate) struct Search {
    scanner: Arc<Scanner>,
    held: Vec<u8>,
}

impl Search {
    pub(super) fn new(scanner: Arc<Scanner>) -> Self {
        Self { scanner, held: Vec::new() }
    }

    /// Takes a piece. Whether a secret ends in it.
    pub(crate) fn push(&mut self, piece: &[u8]) -> bool {
        self.held.extend_from_slice(piece);
        let found = self.scanner.has_exact(&self.held);
        self.held.drain(..self.held.len().saturating_sub(self.scanner.lookahead()));
        found
    }
}

/// The whole text without secrets; none when it has none.
pub(super) fn redacted(scanner: &Scanner, bytes: &[u8]) -> Option<Vec<u8>> {
    let text = Text { bytes, before: &[], rests: Rests::Ended };
    if scanner.walk(text).next(0) == Found::Nothing {
        return None;
    }
    let mut clean = Vec::with_capacity(bytes.len());
    walk(scanner, text, &mut clean);
    Some(clean)
}

/// Writes what is certain, with a mark for each secret; how many bytes that was.
fn walk(scanner: &Scanner, text: Text<'_>, clean: &mut Vec<u8>) -> usize {
    let part = |from: usize, to: usize| text.bytes.get(from..to).unwrap_or_default();
    let (mut walk, mut at) = (scanner.walk(text), 0);
    loop {
        match walk.next(at) {
            Found::Secret(range) => {
                clean.extend_from_slice(part(at, range.start));
                clean.extend_from_slice(MARK.as_bytes());
                at = range.end;
            }
            Found::Open(start) => {
                clean.extend_from_slice(part(at, start));
                return start;
            }
            Found::Nothing => {
                let certain = match text.rests {
                    Rests::Ended => text.bytes.len(),
                    Rests::More => at.max(text.bytes.len().saturating_sub(scanner.lookahead() - 1)),
                };
                clean.extend_from_slice(part(at, certain));
                return certain;
            }
        }
    }
}
