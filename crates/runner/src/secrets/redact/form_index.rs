//! Finds the forms of known secrets, and parts of base64 forms.
//! The time depends neither on their number nor on their length. Only every fourth, eighth or sixteenth position of a
//! text is sampled and looked up in an index of all forms.

use super::forms::{Form, LineBreaks};
use super::line_breaks;
use std::ops::Range;

const GRAM: usize = 4;
const STRIDES: [usize; 3] = [16, 8, 4];
/// A shorter part of a form reveals no secret. Units: characters.
const SHORTEST_PART: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MatchMode {
    Parts,
    Whole,
}

pub(super) struct FormIndex {
    forms: Vec<Form>,
    stride: usize,
    /// A bit for the hash of each gram (four bytes of a form), so that hardly any other sample has to be looked up.
    bits: Vec<u64>,
    entries: Vec<IndexEntry>,
    longest: usize,
}

#[derive(Clone, Copy)]
struct IndexEntry {
    gram: [u8; GRAM],
    form: u32,
    offset: u32,
}

impl FormIndex {
    pub(super) fn build(forms: Vec<Form>) -> Self {
        let stride = STRIDES.into_iter().find(|stride| forms.iter().all(|form| is_always_sampled(form, *stride)));
        let [.., shortest] = STRIDES;
        let stride = stride.unwrap_or(shortest);
        let mut entries = Vec::new();
        for (form, number) in forms.iter().zip(0..) {
            let grams = form.bytes.windows(GRAM).filter_map(|gram| gram.first_chunk().copied());
            let all = grams.zip(0..).map(|(gram, offset)| IndexEntry { gram, form: number, offset });
            // If a form never breaks, its beginning is enough: the first sampled position and its neighbour.
            entries.extend(all.take(if form.breaks == LineBreaks::Never { stride + GRAM } else { usize::MAX }));
        }
        entries.sort_by_key(|entry| entry.gram);
        let mut bits = vec![0; (entries.len() / 2).next_power_of_two().clamp(1 << 10, 1 << 14)];
        for entry in &entries {
            let (word, bit) = bit_position(entry.gram, bits.len());
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        let longest = forms.iter().map(max_length).max().unwrap_or(1);
        Self { forms, stride, bits, entries, longest }
    }

    pub(super) fn max_length(&self) -> usize {
        self.longest
    }

    /// The first match at or after `from`, and of several the longest.
    pub(super) fn find(&self, bytes: &[u8], from: usize, mode: MatchMode) -> Option<Range<usize>> {
        if self.entries.is_empty() {
            return None;
        }
        match self.stride {
            16 => self.find_with_stride::<16>(bytes, from, mode),
            8 => self.find_with_stride::<8>(bytes, from, mode),
            _ => self.find_with_stride::<4>(bytes, from, mode),
        }
    }

    fn find_with_stride<const STRIDE: usize>(
        &self,
        bytes: &[u8],
        from: usize,
        mode: MatchMode,
    ) -> Option<Range<usize>> {
        let samples = bytes.get(from..)?.chunks(STRIDE).map(<[u8]>::first_chunk);
        let possible = samples.enumerate().filter(|(_, gram)| gram.is_some_and(|gram| self.may_contain(*gram)));
        let mut places = possible.map(|(number, _)| from + number * STRIDE);
        places.find_map(|place| self.match_at(bytes, from, place, mode))
    }

    fn may_contain(&self, gram: [u8; GRAM]) -> bool {
        let (word, bit) = bit_position(gram, self.bits.len());
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    fn match_at(&self, bytes: &[u8], from: usize, place: usize, mode: MatchMode) -> Option<Range<usize>> {
        let gram_at = |place: usize| bytes.get(place..).and_then(<[u8]>::first_chunk::<GRAM>).copied();
        let gram = gram_at(place)?;
        // A match that is long enough also covers the next sample on one side.
        let sides = [place.checked_add(GRAM), place.checked_sub(GRAM)].into_iter().flatten();
        if self.stride > GRAM && !sides.filter_map(gram_at).any(|gram| self.may_contain(gram)) {
            return None;
        }
        let first = self.entries.partition_point(|other| other.gram < gram);
        let same = self.entries.get(first..)?.iter().take_while(|other| other.gram == gram);
        let matches = same.filter_map(|IndexEntry { form, offset: of, .. }| {
            let form = self.forms.get(usize::try_from(*form).ok()?)?;
            self.match_form_at(form, bytes, from, (place, usize::try_from(*of).ok()?), mode)
        });
        matches.max_by_key(|range| (std::cmp::Reverse(range.start), range.end))
    }

    fn match_form_at(
        &self,
        form: &Form,
        bytes: &[u8],
        from: usize,
        (place, of): (usize, usize),
        mode: MatchMode,
    ) -> Option<Range<usize>> {
        if form.breaks == LineBreaks::Never {
            let start = place.checked_sub(of).filter(|start| *start >= from)?;
            return bytes.get(start..)?.starts_with(&form.bytes).then(|| start..start + form.bytes.len());
        }
        let line = line_breaks::match_line(&form.bytes, bytes, from, (place, of));
        // A shorter line would be found at some positions and not at others.
        if line.in_form.len() < self.stride + GRAM - 1 {
            return None;
        }
        let part = line_breaks::match_lines(&form.bytes, bytes, from, line);
        let parts_count = mode == MatchMode::Parts && form.breaks == LineBreaks::Parts;
        let counts = part.in_form == (0..form.bytes.len()) || (parts_count && part.in_form.len() >= SHORTEST_PART);
        counts.then_some(part.in_text)
    }
}

/// Whether every occurrence of a form contains a sample. With a break, one of its two parts must.
fn is_always_sampled(form: &Form, stride: usize) -> bool {
    let least = stride + GRAM - 1;
    let shortest = match form.breaks {
        LineBreaks::Never => least,
        LineBreaks::WholeOnly => 2 * least - 1,
        LineBreaks::Parts => 2 * least,
    };
    form.bytes.len() >= shortest
}

fn max_length(form: &Form) -> usize {
    if form.breaks == LineBreaks::Never { form.bytes.len() } else { line_breaks::max_length(&form.bytes) }
}

fn bit_position(gram: [u8; GRAM], word_count: usize) -> (usize, u64) {
    let hash = u64::from(u32::from_le_bytes(gram)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    (usize::try_from(hash >> 6).unwrap_or_default() & (word_count - 1), 1 << (hash & 63))
}
