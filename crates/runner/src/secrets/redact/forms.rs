//! Lists the forms in which programs write a secret: plain, in base64 at any offset, in URLs, in JSON, HTML and shells.

use super::hex::Hex;
use super::quoted;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;
use std::fmt::Write;

/// A shorter value is ordinary text. Units: bytes.
const SHORTEST: usize = 8;
/// Each line of a secret is a secret too, from this length on. Units: bytes.
const SHORTEST_LINE: usize = 32;
/// A secret is searched across lines from this length on, because programs do not break shorter ones. Units: bytes.
const SHORTEST_BROKEN: usize = 16;
/// How lines begin that all keys have: labels, and the header of OpenSSH. Code may well contain these.
const OF_ALL_KEYS: [&str; 2] = ["-----", "b3BlbnNzaC1rZXktdjEA"];

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Form {
    pub(super) bytes: Vec<u8>,
    pub(super) breaks: Breaks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Breaks {
    Never,
    /// The secret itself. Only the whole counts, because a part may be ordinary text.
    ToAWhole,
    /// Base64, a part of which counts as well.
    ToParts,
}

pub(super) fn is_secret(value: &str) -> bool {
    value.trim().len() >= SHORTEST
}

pub(super) fn of(secret: &str) -> BTreeSet<Form> {
    let secret = secret.trim();
    let mut forms = BTreeSet::new();
    let is_own = |line: &&str| !OF_ALL_KEYS.iter().any(|begin| line.starts_with(begin));
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE).filter(is_own);
    for part in std::iter::once(secret).chain(lines) {
        // A secret with several lines has breaks of its own.
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

/// The base64 characters that depend on the secret alone if so many bytes, modulo three, precede it, as in
/// `user:secret`.
fn base64_after(before: usize, secret: &[u8]) -> (String, String) {
    let mut all = vec![0; before];
    all.extend_from_slice(secret);
    // A character has six bits. The first ones contain bits of the preceding bytes, the last one bits of the following.
    let first = (before * 8).div_ceil(6);
    let shared_end = usize::from(!all.len().is_multiple_of(3));
    let own = |encoded: String| {
        let end = encoded.len().saturating_sub(shared_end);
        encoded.get(first..end).unwrap_or_default().to_owned()
    };
    (own(STANDARD_NO_PAD.encode(&all)), own(URL_SAFE_NO_PAD.encode(&all)))
}

#[derive(Clone, Copy)]
struct Style {
    /// Characters that it does not encode, in addition to letters, digits and `-._`.
    leaves: &'static str,
    space: &'static str,
}

const STYLES: [Style; 9] = [
    // The strictest encoding, then the same for queries.
    Style { leaves: "", space: "%20" },
    Style { leaves: "", space: "+" },
    Style { leaves: "~", space: "%20" },
    Style { leaves: "~", space: "+" },
    // Python's `quote`.
    Style { leaves: "~/", space: "%20" },
    // JavaScript's `encodeURIComponent` and `encodeURI`.
    Style { leaves: "~!*'()", space: "%20" },
    Style { leaves: "~!*'();,/?:@&=+$#", space: "%20" },
    // Forms of browsers, and of Python if it does not encode the slash.
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
