//! Mutates inputs: bytes, numbers at their bounds, words of the target, repeated and spliced pieces.

use pullyard_testkit::SeededRng;

const NUMBERS: [&str; 10] =
    ["0", "-1", "1e400", "18446744073709551615", "18446744073709551616", "-0", "0.1", "9007199254740993", "1E9", "00"];

const WORDS: [&str; 16] = [
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"\\ud800\"",
    "\\u0000",
    "\u{202e}",
    "\u{2028}",
    "\u{feff}",
    "\u{0}",
    "\r\n",
    "\"",
    "\\",
    "[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
];

pub(super) struct Mutator {
    pub(super) words: &'static [&'static str],
}

impl Mutator {
    /// One of the inputs with one to four changes.
    pub(super) fn mutate(&self, corpus: &[Vec<u8>], dice: &mut SeededRng) -> Vec<u8> {
        let mut input = dice.choose(corpus).cloned().unwrap_or_default();
        for _ in 0..=dice.below(4) {
            self.change(&mut input, corpus, dice);
        }
        input
    }

    fn change(&self, input: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut SeededRng) {
        let at = dice.below(input.len() + 1);
        let end = (at + 1 + dice.below(16)).min(input.len());
        match dice.below(11) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
            1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = dice.below(256) as u8;
                }
            }
            2 => drop(input.drain(at.min(end)..end)),
            3 => {
                let piece = input[at.min(end)..end].to_vec();
                let times = 1 + dice.below(32);
                put(input, at, &piece.repeat(times));
            }
            4 => input.truncate(at),
            5 => put(input, at, dice.choose(&WORDS).unwrap_or(&"").as_bytes()),
            6 => put(input, at, dice.choose(self.words).unwrap_or(&"").as_bytes()),
            7 => {
                let other = dice.choose(corpus).cloned().unwrap_or_default();
                let from = dice.below(other.len() + 1);
                let to = (from + dice.below(256)).min(other.len());
                put(input, at, &other[from..to]);
            }
            8 => replace(input, at, dice.choose(&NUMBERS).unwrap_or(&"0"), u8::is_ascii_digit),
            // A JSON value without nested values.
            9 => {
                let words = if dice.below(2) == 0 { &WORDS[..] } else { &NUMBERS[..] };
                let word = dice.choose(words).unwrap_or(&"");
                replace(input, at, word, |byte| !b",:[]{}".contains(byte));
            }
            _ => {
                let other = dice.choose(corpus).cloned().unwrap_or_default();
                let cut = dice.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[cut..]);
            }
        }
    }
}

fn put(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(input.splice(at..at, piece.iter().copied()));
}

/// Replaces the next run of bytes that satisfy `is_part`, searched from `at`.
fn replace(input: &mut Vec<u8>, at: usize, replacement: &str, is_part: impl Fn(&u8) -> bool) {
    let Some(start) = input.iter().skip(at).position(&is_part).map(|after| at + after) else { return };
    let end = input.iter().skip(start).position(|byte| !is_part(byte)).map_or(input.len(), |after| start + after);
    drop(input.splice(start..end, replacement.bytes()));
}
