//! Finds secrets in bytes: all forms of the known ones, and texts with the shape of a token.

use super::boundary::{self, CONTEXT};
use super::form_index::{FormIndex, MatchMode};
use super::forms::{self, Form};
use super::shapes::{Position, SHAPES, Shape, TokenBody};
use aho_corasick::{AhoCorasick, Input, MatchKind};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::LazyLock;

/// A longer token or block is cut here. Units: bytes.
pub(super) const LONGEST_SHAPE: usize = 16 * 1024;
/// Limit for the first part of a JSON Web Token. Units: bytes.
const LONGEST_HEADER: usize = 1024;
/// Limit for a label of PEM. Units: bytes.
const LONGEST_LABEL: usize = 64;
const DASHES: &[u8] = b"-----";
const LONGEST_BEGIN: usize = 11;
/// Limit for texts that are searched as a line. Units: bytes.
const LONGEST_LINE: usize = 160;
/// Kinds of matches: known secrets, and two groups of shapes.
const KINDS: usize = 3;

/// Finds the beginnings of shapes. If this cannot be built, every text counts as a secret.
static PREFIX_FINDERS: LazyLock<Option<PrefixFinders>> = LazyLock::new(|| {
    Some(PrefixFinders {
        all: PrefixFinder::build(|shape| Some(shape.prefix))?,
        // The finder is faster if its shortest pattern is longer.
        groups: [
            PrefixFinder::build(|shape| Some(shape.search_key).filter(|by| by.len() < 4))?,
            PrefixFinder::build(|shape| Some(shape.search_key).filter(|by| by.len() >= 4))?,
        ],
    })
});

struct PrefixFinders {
    /// All shapes, for a line: starting a search takes longer than the search itself.
    all: PrefixFinder,
    groups: [PrefixFinder; 2],
}

struct PrefixFinder {
    finder: AhoCorasick,
    /// For each pattern its shapes, and its offset in their beginning.
    shapes: Vec<Vec<(&'static Shape, usize)>>,
}

impl PrefixFinder {
    fn build(by: impl Fn(&Shape) -> Option<&'static str>) -> Option<Self> {
        let mut all: BTreeMap<&str, Vec<(&Shape, usize)>> = BTreeMap::new();
        for (shape, by) in SHAPES.iter().filter_map(|shape| Some((shape, by(shape)?))) {
            all.entry(by).or_default().push((shape, shape.prefix.find(by)?));
        }
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(all.keys());
        let built = built.inspect_err(|error| tracing::error!(error = %error, "cannot build the redactor: {error}"));
        Some(Self { finder: built.ok()?, shapes: all.into_values().collect() })
    }

    fn find(&self, text: Text<'_>, from: usize) -> Option<Candidate> {
        let mut at = from;
        loop {
            let found = self.finder.find(Input::new(text.bytes).range(at..))?;
            let shapes = self.shapes.get(found.pattern().as_usize())?.iter();
            let candidates = shapes.filter_map(|(shape, after)| {
                let begin = found.start().checked_sub(*after).filter(|begin| *begin >= from)?;
                text.bytes.get(begin..)?.starts_with(shape.prefix.as_bytes()).then_some((shape, begin))
            });
            let candidate =
                candidates.filter_map(|(shape, begin)| match_shape(shape, text, begin)).min_by_key(Candidate::order);
            if candidate.is_some() {
                return candidate;
            }
            at = found.start() + 1;
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ScanResult {
    Secret(Range<usize>),
    /// The result depends on the bytes that follow from here on.
    Undecided(usize),
    Clean,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completeness {
    Partial,
    Complete,
}

#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) context: &'a [u8],
    pub(super) completeness: Completeness,
}

pub(super) struct Scanner {
    index: FormIndex,
}

impl Scanner {
    pub(super) fn new(secrets: &BTreeSet<String>) -> Self {
        let forms: BTreeSet<Form> = secrets.iter().flat_map(|secret| forms::secret_forms(secret)).collect();
        Self { index: FormIndex::build(forms.into_iter().collect()) }
    }

    /// Bytes that must follow a position to exclude that a known secret begins there. Units: bytes.
    pub(super) fn lookahead(&self) -> usize {
        self.index.max_length().max(LONGEST_BEGIN)
    }

    pub(super) fn contains_known(&self, bytes: &[u8]) -> bool {
        self.index.find(bytes, 0, MatchMode::Whole).is_some()
    }

    pub(super) fn walk<'a>(&'a self, text: Text<'a>) -> SecretScan<'a> {
        SecretScan { scanner: self, text, ahead: [const { Lookahead::Unknown }; KINDS] }
    }

    fn find_kind(&self, kind: usize, text: Text<'_>, from: usize) -> Option<Candidate> {
        let Some(begins) = &*PREFIX_FINDERS else {
            let all = from..text.bytes.len();
            return Some(Candidate { begin: from, secret: Some(all) }).filter(|_| from < text.bytes.len());
        };
        let begins = match kind {
            0 => {
                let secret = self.index.find(text.bytes, from, MatchMode::Parts)?;
                return Some(Candidate { begin: secret.start, secret: Some(secret) });
            }
            1 if text.bytes.len() <= LONGEST_LINE => &begins.all,
            2 if text.bytes.len() <= LONGEST_LINE => return None,
            kind => begins.groups.get(kind - 1)?,
        };
        let Candidate { begin, secret } = begins.find(text, from)?;
        Some(Candidate { begin, secret: secret.map(|secret| self.include_preceding_secret(text, begin, secret)) })
    }

    /// For a match that begins later than its shape, such as a URL's password. A secret between the two is included.
    fn include_preceding_secret(&self, text: Text<'_>, begin: usize, range: Range<usize>) -> Range<usize> {
        let between = text.bytes.get(..range.start).filter(|_| begin + 1 < range.start);
        let between = between.map(|bytes| Text { bytes, completeness: Completeness::Complete, ..text });
        match between.map(|between| self.walk(between).next(begin + 1)) {
            Some(ScanResult::Secret(earlier)) => earlier.start..range.end,
            _ => range,
        }
    }
}

#[derive(Clone)]
struct Candidate {
    begin: usize,
    /// `None` if this depends on the bytes that follow.
    secret: Option<Range<usize>>,
}

impl Candidate {
    fn start(&self) -> usize {
        self.secret.as_ref().map_or(self.begin, |range| range.start)
    }

    /// Orders matches by position. At the same position, an uncertain match comes first, then a longer one.
    fn order(&self) -> (usize, Reverse<usize>) {
        (self.start(), Reverse(self.secret.as_ref().map_or(usize::MAX, |range| range.end)))
    }
}

/// Walks over the secrets in a text, and stores matches that are further ahead.
pub(super) struct SecretScan<'a> {
    scanner: &'a Scanner,
    text: Text<'a>,
    ahead: [Lookahead; KINDS],
}

#[derive(Clone)]
enum Lookahead {
    Unknown,
    Known(Option<Candidate>),
}

impl SecretScan<'_> {
    /// The first secret at or after `from`, the longer one of two at one position. `from` must not decrease.
    pub(super) fn next(&mut self, from: usize) -> ScanResult {
        let Self { scanner, text, .. } = *self;
        for (kind, ahead) in self.ahead.iter_mut().enumerate() {
            // Search again if the stored match begins before `from`.
            if !matches!(ahead, Lookahead::Known(candidate) if candidate.as_ref().is_none_or(|one| one.begin >= from)) {
                *ahead = Lookahead::Known(scanner.find_kind(kind, text, from));
            }
        }
        let candidates = self
            .ahead
            .iter()
            .filter_map(|ahead| if let Lookahead::Known(candidate) = ahead { candidate.as_ref() } else { None });
        let Some(first) = candidates.min_by_key(|candidate| candidate.order()) else { return ScanResult::Clean };
        let certain = match text.completeness {
            Completeness::Complete => text.bytes.len(),
            Completeness::Partial => text.bytes.len().saturating_sub(scanner.lookahead() - 1),
        };
        match &first.secret {
            Some(range) if range.start < certain => ScanResult::Secret(range.clone()),
            // So late, it may be a part of a longer secret, or of an earlier one.
            _ => ScanResult::Undecided(first.begin.min(certain).max(from)),
        }
    }
}

fn match_shape(shape: &Shape, text: Text<'_>, begin: usize) -> Option<Candidate> {
    let Text { bytes, completeness, .. } = text;
    if !is_valid_position(shape, text, begin) {
        return None;
    }
    let first = begin + shape.prefix.len();
    let after = bytes.get(first..).unwrap_or_default();
    let after = after.get(..LONGEST_SHAPE).unwrap_or(after);
    let cut = after.len() == LONGEST_SHAPE;
    if cannot_match(shape.body, after) {
        return None;
    }
    let end = match shape.body {
        TokenBody::Pem => pem_length(after),
        rest => after.iter().position(|byte| !rest.is_valid_byte(*byte)),
    };
    let length = match end {
        Some(length) => length,
        None if completeness == Completeness::Partial && !cut => return Some(Candidate { begin, secret: None }),
        None => after.len(),
    };
    let body = after.get(..length).unwrap_or_default();
    let enough = match shape.body {
        TokenBody::Word(least) | TokenBody::Dotted(least) | TokenBody::Plain(least) | TokenBody::Upper(least) => {
            length >= least
        }
        TokenBody::Pair(one, other) => {
            let mut lengths = body.split(|byte| *byte == b'.').map(<[u8]>::len);
            lengths.next().is_some_and(|length| length >= one) && lengths.next().is_some_and(|length| length >= other)
        }
        TokenBody::WebToken => length >= 30 && body.iter().filter(|byte| **byte == b'.').count() >= 2,
        TokenBody::Pem => body.windows(11).any(|part| part == b"PRIVATE KEY"),
        TokenBody::UrlPassword => {
            let colon = body.iter().position(|byte| *byte == b':')?;
            let is_one = after.get(length) == Some(&b'@') && colon + 1 < length;
            return is_one.then(|| Candidate { begin, secret: Some(first + colon + 1..first + length) });
        }
    };
    enough.then(|| Candidate { begin, secret: Some(begin..first + length) })
}

/// Whether the first bytes exclude a token, because reading the rest for each byte of a hostile text is slow.
fn cannot_match(body: TokenBody, after: &[u8]) -> bool {
    let ends = |byte: &u8| *byte == b'.' || !body.is_valid_byte(*byte);
    match body {
        TokenBody::Pair(one, other) => after.iter().position(ends).is_some_and(|dot| {
            let mut second = after.get(dot + 1..).unwrap_or_default().iter().take(other);
            after.get(dot) != Some(&b'.') || dot < one || second.any(ends)
        }),
        TokenBody::WebToken => after.len() >= LONGEST_HEADER && !after.iter().take(LONGEST_HEADER).any(ends),
        TokenBody::Pem => {
            let label = after.get(..LONGEST_LABEL).unwrap_or(after);
            match label.windows(DASHES.len()).position(|part| part == DASHES) {
                Some(end) => !label.get(..end).is_some_and(|label| label.ends_with(b"PRIVATE KEY")),
                None => label.len() == LONGEST_LABEL,
            }
        }
        _ => false,
    }
}

fn is_valid_position(shape: &Shape, text: Text<'_>, start: usize) -> bool {
    let looks = match shape.position {
        Position::Anywhere => return true,
        Position::WordStart => boundary::is_word_start,
        Position::UpperCaseStart => boundary::is_upper_word_start,
    };
    let near = text.bytes.get(start.saturating_sub(CONTEXT)..start).unwrap_or_default();
    if near.len() == CONTEXT || text.context.is_empty() { looks(near) } else { looks(&[text.context, near].concat()) }
}

fn pem_length(after: &[u8]) -> Option<usize> {
    const END: &[u8] = b"-----END ";
    let end = after.windows(END.len()).position(|part| part == END)? + END.len();
    let dashes = after.get(end..)?.windows(DASHES.len()).position(|part| part == DASHES)?;
    Some(end + dashes + DASHES.len())
}
