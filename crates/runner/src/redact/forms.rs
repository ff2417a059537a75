//! The forms in which programs write a secret: as it is, in base64 wherever it stands in what is encoded, in
//! URLs and in JSON.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Shorter values are words that people write. Units: bytes.
const SHORTEST: usize = 8;
/// Lines of a secret of many lines are secrets from this length on: `-----BEGIN` is not one. Units: bytes.
const SHORTEST_LINE: usize = 32;

/// Whether a value is long enough to be looked for.
pub(super) fn is_secret(value: &str) -> bool {
    value.trim().len() >= SHORTEST
}

/// Every form of a secret; all are at least as long as a secret has to be.
pub(super) fn of(secret: &str) -> BTreeSet<Vec<u8>> {
    let secret = secret.trim();
    let mut forms = BTreeSet::new();
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
    for part in std::iter::once(secret).chain(lines) {
        forms.insert(part.as_bytes().to_vec());
        for skipped in 0..3 {
            let (standard, url_safe) = base64_after(skipped, part.as_bytes());
            forms.extend([standard.into_bytes(), url_safe.into_bytes()]);
        }
        for hex in [Hex::Upper, Hex::Lower] {
            forms.insert(percent(part, hex, "%20").into_bytes());
            forms.insert(percent(part, hex, "+").into_bytes());
        }
        let json = serde_json::Value::from(part).to_string();
        let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
        forms.insert(inner.as_bytes().to_vec());
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// What of the base64 of something that holds the secret is the secret's alone, when so many bytes modulo
/// three stand before it: in `user:secret`, say.
fn base64_after(before: usize, secret: &[u8]) -> (String, String) {
    let mut all = vec![0; before];
    all.extend_from_slice(secret);
    // A character has six bits; the first ones hold bits of what stands before, the last one of what follows.
    let first = (before * 8).div_ceil(6);
    let shared_end = usize::from(!all.len().is_multiple_of(3));
    let own = |encoded: String| {
        let end = encoded.len().saturating_sub(shared_end);
        encoded.get(first..end).unwrap_or_default().to_owned()
    };
    (own(STANDARD_NO_PAD.encode(&all)), own(URL_SAFE_NO_PAD.encode(&all)))
}

#[derive(Clone, Copy)]
enum Hex {
    Upper,
    Lower,
}

fn percent(text: &str, hex: Hex, space: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let written = match (byte, hex) {
            (b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~', _) => {
                encoded.push(char::from(byte));
                Ok(())
            }
            (b' ', _) => encoded.write_str(space),
            (_, Hex::Upper) => write!(encoded, "%{byte:02X}"),
            (_, Hex::Lower) => write!(encoded, "%{byte:02x}"),
        };
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    encoded
}
