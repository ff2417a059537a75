//! Redacts data that arrives in pieces.
//! Bytes that may begin a secret are held until the rest arrives.

use super::MARK;
use super::boundary::CONTEXT;
use super::colours::{self, Colours};
use super::parts::{Piece, walk};
use super::scan::{Found, Rests, Scanner, Text};
use std::sync::Arc;

pub(crate) struct Stream {
    scanner: Arc<Scanner>,
    colours: Colours,
    held: Vec<u8>,
    /// The last bytes that were returned.
    before: Vec<u8>,
}

impl Stream {
    pub(super) fn new(scanner: Arc<Scanner>) -> Self {
        Self { scanner, colours: Colours::default(), held: Vec::new(), before: Vec::new() }
    }

    /// Adds a piece, and returns the bytes that certainly contain no secret.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.clean(piece, Rests::More)
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.clean(&[], Rests::Ended)
    }

    fn clean(&mut self, piece: &[u8], rests: Rests) -> Vec<u8> {
        self.colours.clean(&self.scanner, piece, rests, &mut self.held);
        let mut clean = Vec::with_capacity(self.held.len());
        let text = Text { bytes: &self.held, before: &self.before, rests };
        let certain = write(&self.scanner, text, &mut clean);
        let last = self.held.get(certain.saturating_sub(CONTEXT)..certain).unwrap_or_default();
        self.before.extend_from_slice(last);
        self.before.drain(..self.before.len().saturating_sub(CONTEXT));
        self.held.drain(..certain);
        clean
    }
}

/// Searches for a known secret in data that arrives in pieces.
pub(crate) struct Search {
    scanner: Arc<Scanner>,
    held: Vec<u8>,
}

impl Search {
    pub(super) fn new(scanner: Arc<Scanner>) -> Self {
        Self { scanner, held: Vec::new() }
    }

    /// Adds a piece, and returns whether a secret was found.
    pub(crate) fn push(&mut self, piece: &[u8]) -> bool {
        self.held.extend_from_slice(piece);
        let found = self.scanner.has_exact(&self.held);
        self.held.drain(..self.held.len().saturating_sub(self.scanner.lookahead()));
        found
    }
}

/// Redacts a whole text; `None` if it contains no secret.
pub(super) fn redacted(scanner: &Scanner, bytes: &[u8]) -> Option<Vec<u8>> {
    let uncoloured = colours::redacted(scanner, bytes);
    let bytes = uncoloured.as_deref().unwrap_or(bytes);
    let text = Text { bytes, before: &[], rests: Rests::Ended };
    if scanner.walk(text).next(0) == Found::Nothing {
        return uncoloured;
    }
    let mut clean = Vec::with_capacity(bytes.len());
    write(scanner, text, &mut clean);
    Some(clean)
}

/// Writes the certain bytes, with a mark for each secret. Returns the number of bytes that were processed.
fn write(scanner: &Scanner, text: Text<'_>, clean: &mut Vec<u8>) -> usize {
    walk(scanner, text, |piece| {
        clean.extend_from_slice(match piece {
            Piece::Text(range) => text.bytes.get(range).unwrap_or_default(),
            Piece::Secret(_) => MARK.as_bytes(),
        });
    })
}
