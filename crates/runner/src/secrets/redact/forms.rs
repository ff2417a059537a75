//! Lists the forms in which programs write a secret: plain, in base64 at any offset, in URLs, in JSON, HTML and shells.

use super::escapes::{self, HexCase};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;

/// A shorter value is ordinary text. Units: bytes.
const MIN_SECRET_BYTES: usize = 8;
/// Each line of a secret is a secret too, from this length on. Units: bytes.
const MIN_LINE_BYTES: usize = 32;
/// A secret is searched across lines from this length on, because programs do not break shorter ones. Units: bytes.
const MIN_BROKEN_BYTES: usize = 16;
/// How lines begin that all keys have: labels, and the header of OpenSSH. Code may well contain these.
const COMMON_KEY_PREFIXES: [&str; 2] = ["-----", "b3BlbnNzaC1rZXktdjEA"];

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Form {
    pub(super) bytes: Vec<u8>,
    pub(super) breaks: LineBreaks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LineBreaks {
    Never,
    /// The secret itself. Only the whole counts, because a part may be ordinary text.
    WholeOnly,
    /// Base64, a part of which counts as well.
    Parts,
}

pub(super) fn is_secret(value: &str) -> bool {
    value.trim().len() >= MIN_SECRET_BYTES
}

pub(super) fn secret_forms(secret: &str) -> BTreeSet<Form> {
    let secret = secret.trim();
    let mut forms = BTreeSet::new();
    let is_own = |line: &&str| !COMMON_KEY_PREFIXES.iter().any(|begin| line.starts_with(begin));
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= MIN_LINE_BYTES).filter(is_own);
    for part in std::iter::once(secret).chain(lines) {
        // A secret with several lines has breaks of its own.
        let may_break = part.len() >= MIN_BROKEN_BYTES && !part.contains('\n');
        let breaks = if may_break { LineBreaks::WholeOnly } else { LineBreaks::Never };
        forms.insert(Form { bytes: part.as_bytes().to_vec(), breaks });
        let mut add = |text: String, breaks| {
            if text != part {
                forms.insert(Form { bytes: text.into_bytes(), breaks });
            }
        };
        for skipped in 0..3 {
            let (standard, url_safe) = base64_at_offset(skipped, part.as_bytes());
            add(standard, LineBreaks::Parts);
            add(url_safe, LineBreaks::Parts);
        }
        for style in URL_ENCODINGS {
            for hex in [HexCase::Upper, HexCase::Lower] {
                add(percent_encode(part, style, hex), LineBreaks::Never);
            }
        }
        for text in escapes::escape_all(part) {
            add(text, LineBreaks::Never);
        }
    }
    forms.retain(|form| form.bytes.len() >= MIN_SECRET_BYTES);
    forms
}

/// The base64 characters that depend on the secret alone, if so many bytes (modulo three) precede it.
fn base64_at_offset(before: usize, secret: &[u8]) -> (String, String) {
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
struct UrlEncoding {
    /// Characters that it does not encode, in addition to letters, digits and `-._`.
    unescaped: &'static str,
    space: &'static str,
}

const URL_ENCODINGS: [UrlEncoding; 9] = [
    // The strictest encoding, then the same for queries.
    UrlEncoding { unescaped: "", space: "%20" },
    UrlEncoding { unescaped: "", space: "+" },
    UrlEncoding { unescaped: "~", space: "%20" },
    UrlEncoding { unescaped: "~", space: "+" },
    // Python's `quote`.
    UrlEncoding { unescaped: "~/", space: "%20" },
    // JavaScript's `encodeURIComponent` and `encodeURI`.
    UrlEncoding { unescaped: "~!*'()", space: "%20" },
    UrlEncoding { unescaped: "~!*'();,/?:@&=+$#", space: "%20" },
    // Forms of browsers, and of Python if it does not encode the slash.
    UrlEncoding { unescaped: "*", space: "+" },
    UrlEncoding { unescaped: "~/", space: "+" },
];

fn percent_encode(text: &str, style: UrlEncoding, hex: HexCase) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if byte == b' ' {
            encoded.push_str(style.space);
        } else if is_plain || style.unescaped.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&match hex {
                HexCase::Upper => format!("%{byte:02X}"),
                HexCase::Lower => format!("%{byte:02x}"),
            });
        }
    }
    encoded
}
