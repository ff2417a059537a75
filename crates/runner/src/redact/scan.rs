//! Finds secrets in bytes: every form of the known ones, and whatever has the shape of a token, in one pass
//! over the words that any of them begins with.

use super::forms;
use super::shapes::{Rest, SHAPES, Shape};
use aho_corasick::{AhoCorasick, Input, MatchKind};
use std::collections::BTreeSet;
use std::ops::Range;

/// A token or a block that goes on for longer than this is cut here. Units: bytes.
const LONGEST_SHAPE: usize = 16 * 1024;

/// What a look for the next secret comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A secret stands here.
    Secret(Range<usize>),
    /// From here on it depends on what follows.
    Open(usize),
    /// None.
    Nothing,
}

/// Whether more will follow what is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rests {
    More,
    Ended,
}

/// What finds them.
pub(super) struct Scanner {
    /// First the beginnings of the shapes, in their order, then the forms. None when it can't be built: then
    /// everything is a secret.
    words: Option<AhoCorasick>,
    /// Only the forms.
    exact: Option<AhoCorasick>,
    longest: usize,
}

impl Scanner {
    pub(super) fn of(secrets: &BTreeSet<String>) -> Self {
        let forms: BTreeSet<Vec<u8>> = secrets.iter().flat_map(|secret| forms::of(secret)).collect();
        let begins = SHAPES.iter().map(|shape| shape.begins.as_bytes().to_vec());
        let longest = begins.clone().chain(forms.iter().cloned()).map(|word| word.len()).max().unwrap_or(1);
        let built = |words: Vec<Vec<u8>>| {
            let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(words);
            // Beyond four thousand million states: no set of secrets is that large.
            built.inspect_err(|error| tracing::error!(error = %error, "no redactor could be built: {error}")).ok()
        };
        Self {
            words: built(begins.chain(forms.iter().cloned()).collect()),
            exact: built(forms.into_iter().collect()),
            longest,
        }
    }

    /// How much has to follow a place before it is certain that no known secret begins there. Units: bytes.
    pub(super) fn lookahead(&self) -> usize {
        self.longest
    }

    pub(super) fn has_exact(&self, bytes: &[u8]) -> bool {
        self.exact.as_ref().is_none_or(|exact| exact.is_match(bytes))
    }

    /// The first secret at or after `from`; `before` stood before the bytes.
    pub(super) fn next(&self, bytes: &[u8], from: usize, before: Option<u8>, rests: Rests) -> Found {
        let Some(words) = &self.words else {
            return if from < bytes.len() { Found::Secret(from..bytes.len()) } else { Found::Nothing };
        };
        let mut at = from;
        while let Some(word) = words.find(Input::new(bytes).range(at..)) {
            if rests == Rests::More && word.start() + self.longest > bytes.len() {
                return Found::Open(word.start());
            }
            let Some(shape) = SHAPES.get(word.pattern().as_usize()) else {
                return Found::Secret(word.range());
            };
            let earlier = word.start().checked_sub(1).and_then(|index| bytes.get(index).copied()).or(before);
            match of_shape(shape, bytes, word.range(), earlier, rests) {
                Found::Nothing => at = word.start() + 1,
                found => return found,
            }
        }
        Found::Nothing
    }
}

/// Whether what begins like a token is one.
fn of_shape(shape: &Shape, bytes: &[u8], begin: Range<usize>, earlier: Option<u8>, rests: Rests) -> Found {
    let inside_a_word = earlier.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if inside_a_word && !matches!(shape.rest, Rest::UrlPassword | Rest::Pem) {
        return Found::Nothing;
    }
    let after = bytes.get(begin.end..).unwrap_or_default();
    let after = after.get(..LONGEST_SHAPE).unwrap_or(after);
    let cut = after.len() == LONGEST_SHAPE;
    let taken = match shape.rest {
        Rest::Pem => pem(after),
        rest => after.iter().position(|byte| !rest.takes(*byte)),
    };
    let length = match taken {
        Some(length) => length,
        None if rests == Rests::More && !cut => return Found::Open(begin.start),
        None => after.len(),
    };
    let body = after.get(..length).unwrap_or_default();
    let enough = match shape.rest {
        Rest::Word(least) | Rest::Dotted(least) | Rest::Upper(least) => length >= least,
        Rest::WebToken => length >= 30 && body.iter().filter(|byte| **byte == b'.').count() >= 2,
        Rest::Pem => body.windows(11).any(|part| part == b"PRIVATE KEY"),
        Rest::UrlPassword => {
            let colon = body.iter().position(|byte| *byte == b':');
            return match colon {
                Some(colon) if after.get(length) == Some(&b'@') && colon + 1 < length => {
                    Found::Secret(begin.end + colon + 1..begin.end + length)
                }
                _ => Found::Nothing,
            };
        }
    };
    if enough { Found::Secret(begin.start..begin.end + length) } else { Found::Nothing }
}

/// How long the rest of a block is: to the dashes after its second label.
fn pem(after: &[u8]) -> Option<usize> {
    const END: &[u8] = b"-----END ";
    let end = after.windows(END.len()).position(|part| part == END)? + END.len();
    let dashes = after.get(end..)?.windows(5).position(|part| part == b"-----")?;
    Some(end + dashes + 5)
}
