//! Taking secrets out of what comes in pieces: a secret that two pieces share is found as well, because what
//! may be its beginning is held until the rest is there.

use super::MARK;
use super::scan::{Found, Rests, Scanner};
use std::sync::Arc;

/// One text that comes in pieces.
pub(crate) struct Stream {
    scanner: Arc<Scanner>,
    held: Vec<u8>,
    before: Option<u8>,
}

impl Stream {
    pub(super) fn new(scanner: Arc<Scanner>) -> Self {
        Self { scanner, held: Vec::new(), before: None }
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
        let certain = walk(&self.scanner, &self.held, self.before, rests, &mut clean);
        if let Some(last) = certain.checked_sub(1).and_then(|index| self.held.get(index)) {
            self.before = Some(*last);
        }
        self.held.drain(..certain);
        clean
    }
}

/// The whole text without secrets; none when it has none.
pub(super) fn redacted(scanner: &Scanner, bytes: &[u8]) -> Option<Vec<u8>> {
    if scanner.next(bytes, 0, None, Rests::Ended) == Found::Nothing {
        return None;
    }
    let mut clean = Vec::with_capacity(bytes.len());
    walk(scanner, bytes, None, Rests::Ended, &mut clean);
    Some(clean)
}

/// Writes what is certain, with a mark for each secret; how many bytes that was.
fn walk(scanner: &Scanner, bytes: &[u8], before: Option<u8>, rests: Rests, clean: &mut Vec<u8>) -> usize {
    let part = |from: usize, to: usize| bytes.get(from..to).unwrap_or_default();
    let mut at = 0;
    loop {
        match scanner.next(bytes, at, before, rests) {
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
                let certain = match rests {
                    Rests::Ended => bytes.len(),
                    Rests::More => at.max(bytes.len().saturating_sub(scanner.lookahead() - 1)),
                };
                clean.extend_from_slice(part(at, certain));
                return certain;
            }
        }
    }
}
