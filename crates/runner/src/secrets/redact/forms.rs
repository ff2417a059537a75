//! The forms in which programs write a secret: as it is, in base64 wherever it stands in what is encoded, in
//! URLs, and quoted in JSON, in HTML and for a shell.

use super::hex::Hex;
use super::quoted;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Shorter values are words that people write. Units: bytes.
const SHORTEST: usize = 8;
/// Lines of a secret of many lines are secrets from this length on. Units: bytes.
const SHORTEST_LINE: usize = 32;
/// A secret is looked for in several lines from this length on: nobody breaks a shorter one. Units: bytes.
const SHORTEST_BROKEN: usize = 16;
/// How lines begin that all such keys have: labels, and the head of what OpenSSH writes. Work may well speak of them.
const OF_ALL_KEYS: [&str; 2] = ["-----", "b3BlbnNzaC1rZXktdjEA"];

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Form {
    pub(super) bytes: Vec<u8>,
    pub(super) breaks: Breaks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Breaks {
    Never,
    /// It is the secret itself: its lines count together alone, since a part of one may be a word that people write.
    ToAWhole,
    /// It is base64, a part of which counts as well.
    ToParts,
}

/// Whether a value is long enough to be looked for.
pub(super) fn is_secret(value: &str) -> bool {
    value.trim().len() >= SHORTEST
}

/// Every form of a secret; all are at least as long as a secret has to be.
pub(super) fn of(secret: &str) -> BTreeSet<Form> {
    let secret = secret.trim();
    let mut forms = BTreeSet::new();
    let is_own = |line: &&str| !OF_ALL_KEYS.iter().any(|begin| line.starts_with(begin));
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE).filter(is_own);
    for part in std::iter::once(secret).chain(lines) {
        // One of several lines has breaks of its own.
        let may_break = part.len() >= SHORTEST_BROKEN && !part.contains('\n');
        let breaks = if may_break { Breaks::ToAWhole } else { Breaks::Never };
        forms.insert(Form { bytes: part.as_bytes().to_vec(), breaks });
        let mut add = |text: String, breaks| {
            if text != part {
                forms.insert(Form { bytes: text.into_bytes(), breaks });
            }
        };
        for skipped in 0..3 {
            let (standard, url_safe) = base64_after(skipped, part.as_bytes());
            add(standard, Breaks::ToParts);
            add(url_safe, Breaks::ToParts);
        }
        for style in STYLES {
            for hex in [Hex::Upper, Hex::Lower] {
                add(percent(part, style, hex), Breaks::Never);
            }
        }
        for text in quoted::all(part) {
            add(text, Breaks::Never);
        }
    }
    forms.retain(|form| form.bytes.len() >= SHORTEST);
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

/// How a language writes a text into a URL.
#[derive(Clone, Copy)]
struct Style {
    /// What it leaves as it is, beside letters, digits and `-._`.
    leaves: &'static str,
    space: &'static str,
}

/// Those of languages and browsers.
const STYLES: [Style; 9] = [
    // The strictest; and for queries.
    Style { leaves: "", space: "%20" },
    Style { leaves: "", space: "+" },
    Style { leaves: "~", space: "%20" },
    Style { leaves: "~", space: "+" },
    // Python's `quote`.
    Style { leaves: "~/", space: "%20" },
    // JavaScript's `encodeURIComponent` and `encodeURI`.
    Style { leaves: "~!*'()", space: "%20" },
    Style { leaves: "~!*'();,/?:@&=+$#", space: "%20" },
    // What browsers send of a form, and what Python sends of one where it leaves the slash.
    Style { leaves: "*", space: "+" },
    Style { leaves: "~/", space: "+" },
];

fn percent(text: &str, style: Style, hex: Hex) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let written = match (byte, hex) {
            (b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_', _) => {
                encoded.push(char::from(byte));
                Ok(())
            }
            (b' ', _) => encoded.write_str(style.space),
            (left, _) if style.leaves.as_bytes().contains(&left) => {
                encoded.push(char::from(left));
                Ok(())
            }
            (_, Hex::Upper) => write!(encoded, "%{byte:02X}"),
            (_, Hex::Lower) => write!(encoded, "%{byte:02x}"),
        };
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    encoded
}
