//! Finds the forms of known secrets, and parts of base64 forms.
//! The time depends neither on their number nor on their length. Only every fourth, eighth or sixteenth position of a
//! text is sampled and looked up in an index of all forms.

use super::broken;
use super::forms::{Breaks, Form};
use std::ops::Range;

/// Number of bytes in one sample.
const GRAM: usize = 4;
/// Distances between samples, the longest first.
const STRIDES: [usize; 3] = [16, 8, 4];
/// A shorter part of a form reveals no secret. Units: characters.
const SHORTEST_PART: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    ForParts,
    ForTheWhole,
}

pub(super) struct Samples {
    forms: Vec<Form>,
    stride: usize,
    /// A bit for the hash of each gram, so that hardly any other sample has to be looked up.
    bits: Vec<u64>,
    places: Vec<Place>,
    longest: usize,
}

/// A gram and its position in a form.
#[derive(Clone, Copy)]
struct Place {
    gram: [u8; GRAM],
    form: u32,
    of: u32,
}

impl Samples {
    pub(super) fn of(forms: Vec<Form>) -> Self {
        let stride = STRIDES.into_iter().find(|stride| forms.iter().all(|form| is_met(form, *stride)));
        let [.., shortest] = STRIDES;
        let stride = stride.unwrap_or(shortest);
        let mut places = Vec::new();
        for (form, number) in forms.iter().zip(0..) {
            let grams = form.bytes.windows(GRAM).filter_map(|gram| gram.first_chunk().copied());
            let all = grams.zip(0..).map(|(gram, of)| Place { gram, form: number, of });
            // If a form never breaks, its beginning is enough: the first sampled position and its neighbour.
            places.extend(all.take(if form.breaks == Breaks::Never { stride + GRAM } else { usize::MAX }));
        }
        places.sort_by_key(|place| place.gram);
        let mut bits = vec![0; (places.len() / 2).next_power_of_two().clamp(1 << 10, 1 << 14)];
        for place in &places {
            let (word, bit) = bit_of(place.gram, bits.len());
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        let longest = forms.iter().map(longest).max().unwrap_or(1);
        Self { forms, stride, bits, places, longest }
    }

    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// The first match at or after `from`, and of several the longest.
    pub(super) fn next(&self, bytes: &[u8], from: usize, looks: Looks) -> Option<Range<usize>> {
        if self.places.is_empty() {
            return None;
        }
        match self.stride {
            16 => self.next_of::<16>(bytes, from, looks),
            8 => self.next_of::<8>(bytes, from, looks),
            _ => self.next_of::<4>(bytes, from, looks),
        }
    }

    fn next_of<const STRIDE: usize>(&self, bytes: &[u8], from: usize, looks: Looks) -> Option<Range<usize>> {
        let samples = bytes.get(from..)?.chunks(STRIDE).map(<[u8]>::first_chunk);
        let known = samples.enumerate().filter(|(_, gram)| gram.is_some_and(|gram| self.may_be(*gram)));
        let mut places = known.map(|(number, _)| from + number * STRIDE);
        places.find_map(|place| self.around(bytes, from, place, looks))
    }

    fn may_be(&self, gram: [u8; GRAM]) -> bool {
        let (word, bit) = bit_of(gram, self.bits.len());
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    fn around(&self, bytes: &[u8], from: usize, place: usize, looks: Looks) -> Option<Range<usize>> {
        let gram_at = |place: usize| bytes.get(place..).and_then(<[u8]>::first_chunk::<GRAM>).copied();
        let gram = gram_at(place)?;
        // A match that is long enough also covers the next sample on one side.
        let sides = [place.checked_add(GRAM), place.checked_sub(GRAM)].into_iter().flatten();
        if self.stride > GRAM && !sides.filter_map(gram_at).any(|gram| self.may_be(gram)) {
            return None;
        }
        let first = self.places.partition_point(|other| other.gram < gram);
        let same = self.places.get(first..)?.iter().take_while(|other| other.gram == gram);
        let found = same.filter_map(|Place { form, of, .. }| {
            let form = self.forms.get(usize::try_from(*form).ok()?)?;
            self.form_around(form, bytes, from, (place, usize::try_from(*of).ok()?), looks)
        });
        found.max_by_key(|found| (std::cmp::Reverse(found.start), found.end))
    }

    fn form_around(
        &self,
        form: &Form,
        bytes: &[u8],
        from: usize,
        (place, of): (usize, usize),
        looks: Looks,
    ) -> Option<Range<usize>> {
        if form.breaks == Breaks::Never {
            let start = place.checked_sub(of).filter(|start| *start >= from)?;
            return bytes.get(start..)?.starts_with(&form.bytes).then(|| start..start + form.bytes.len());
        }
        let line = broken::line(&form.bytes, bytes, from, (place, of));
        // A shorter line would be found at some positions and not at others.
        if line.of.len() < self.stride + GRAM - 1 {
            return None;
        }
        let part = broken::lines(&form.bytes, bytes, from, line);
        let parts_count = looks == Looks::ForParts && form.breaks == Breaks::ToParts;
        let counts = part.of == (0..form.bytes.len()) || (parts_count && part.of.len() >= SHORTEST_PART);
        counts.then_some(part.at)
    }
}

/// Whether every occurrence of a form contains a sample. With a break, one of its two parts must.
fn is_met(form: &Form, stride: usize) -> bool {
    let least = stride + GRAM - 1;
    let shortest = match form.breaks {
        Breaks::Never => least,
        Breaks::ToAWhole => 2 * least - 1,
        Breaks::ToParts => 2 * least,
    };
    form.bytes.len() >= shortest
}

fn longest(form: &Form) -> usize {
    if form.breaks == Breaks::Never { form.bytes.len() } else { broken::longest(&form.bytes) }
}

/// Word and bit for a gram. `words` is a power of two.
fn bit_of(gram: [u8; GRAM], words: usize) -> (usize, u64) {
    let hash = u64::from(u32::from_le_bytes(gram)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    (usize::try_from(hash >> 6).unwrap_or_default() & (words - 1), 1 << (hash & 63))
}
