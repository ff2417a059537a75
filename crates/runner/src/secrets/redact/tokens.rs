//! Finds texts with the shape of a well-known token in a file, also behind the quoting and encoding of settings files.

use super::credentials::is_repetitive;
use super::forms;
use super::scan::{Completeness, Scanner, Text};
use super::segments::{Segment, for_each_segment};
use super::shapes::SHAPES;
use super::url_credentials::is_common_password;
use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode;
use std::collections::BTreeSet;

/// A shorter run of base64 contains no token. Units: bytes.
const MIN_ENCODED_BYTES: usize = 24;
/// A repetitive text up to this length is a placeholder. Units: bytes.
const MAX_PLACEHOLDER_BYTES: usize = 128;
/// Beginnings of compressed files: gzip, zip, bzip2, xz, Zstandard, 7z.
const COMPRESSED: [&[u8]; 6] = [b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf"];
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
static STANDARD_ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
static URL_SAFE_ENGINE: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Whether the bytes are compressed, so that a search finds nothing in them.
pub(crate) fn is_compressed(bytes: &[u8]) -> bool {
    COMPRESSED.iter().any(|magic| bytes.starts_with(magic))
}

/// The tokens in a file. Searches the bytes, and the bytes without NULs, quotes, escapes and base64.
pub(crate) fn find_tokens(bytes: &[u8]) -> BTreeSet<String> {
    let mut search = TokenSearch { scanner: Scanner::new(&BTreeSet::new()), tokens: BTreeSet::new() };
    search.add(bytes);
    let is_binary = bytes.contains(&0) || std::str::from_utf8(bytes).is_err();
    // UTF-16 has a NUL beside each letter.
    let without_nul: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    if is_binary {
        search.add(&without_nul);
        // In a database, a field may follow another one without a separator.
        search.add(&separate_tokens(&without_nul));
    }
    let unescaped = unescape(&without_nul);
    search.add(&unescaped);
    search.add(&percent_decode(&unescaped).collect::<Vec<u8>>());
    search.add(&without(&unescaped, b"\"'`\\"));
    search.add_base64(&unescaped);
    // Base64 with line breaks.
    search.add_base64(&without(&unescaped, b"\r\n\t \"'\\+,"));
    search.tokens
}

struct TokenSearch {
    scanner: Scanner,
    tokens: BTreeSet<String>,
}

impl TokenSearch {
    fn add(&mut self, bytes: &[u8]) {
        let text = Text { bytes, context: &[], completeness: Completeness::Complete };
        let tokens = &mut self.tokens;
        for_each_segment(&self.scanner, text, |segment| {
            let Segment::Secret(range) = segment else { return };
            let token = String::from_utf8_lossy(bytes.get(range).unwrap_or_default()).into_owned();
            let is_placeholder = token.len() <= MAX_PLACEHOLDER_BYTES && is_repetitive(&token);
            if forms::is_secret(&token) && !is_placeholder && !is_common_password(&token) {
                tokens.insert(token);
            }
        });
    }

    fn add_base64(&mut self, bytes: &[u8]) {
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
        let mut from = 0;
        for run in bytes.split(|byte| !is_base64(byte)) {
            let start = from;
            from += run.len() + 1;
            // Else each byte of a long gap would read the gap again.
            if run.is_empty() {
                continue;
            }
            let before = bytes.get(..start).unwrap_or_default().trim_ascii_end();
            let is_basic =
                before.get(before.len().saturating_sub(5)..).is_some_and(|end| end.eq_ignore_ascii_case(b"basic"));
            // Most long words are no base64, and decoding each would be slow.
            if !is_basic && (run.len() < MIN_ENCODED_BYTES || !run.iter().any(u8::is_ascii_uppercase)) {
                continue;
            }
            let is_url_safe = run.iter().any(|byte| matches!(byte, b'-' | b'_'));
            let engine = if is_url_safe { &URL_SAFE_ENGINE } else { &STANDARD_ENGINE };
            // Letters before the encoded text shift its groups of four.
            for begin in 0..4 {
                let part = run.get(begin..).unwrap_or_default();
                let length = if part.len() % 4 == 1 { part.len() - 1 } else { part.len() };
                let Ok(decoded) = engine.decode(part.get(..length).unwrap_or_default()) else { continue };
                self.add(&decoded);
                if is_basic && begin == 0 {
                    self.add_basic_password(&decoded);
                }
            }
        }
    }

    /// The password of a header `Authorization: Basic`, which needs no shape.
    fn add_basic_password(&mut self, decoded: &[u8]) {
        let Some((_, password)) = std::str::from_utf8(decoded).ok().and_then(|text| text.split_once(':')) else {
            return;
        };
        if !password.is_empty() && !password.contains(char::is_control) {
            self.tokens.insert(password.to_owned());
        }
    }
}

/// Puts a space before each beginning of a token.
fn separate_tokens(bytes: &[u8]) -> Vec<u8> {
    let prefixes: Vec<&str> = SHAPES.iter().map(|shape| shape.prefix).filter(|prefix| *prefix != "://").collect();
    let separated: Vec<String> = prefixes.iter().map(|prefix| format!(" {prefix}")).collect();
    match AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&prefixes) {
        Ok(finder) => finder.replace_all_bytes(bytes, &separated),
        Err(_) => bytes.to_vec(),
    }
}

fn without(bytes: &[u8], removed: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| !removed.contains(byte)).collect()
}

/// Replaces `\u0067`, `\x67` and `\/` by their characters, `\n` by a line break, and removes escaped line breaks.
fn unescape(bytes: &[u8]) -> Vec<u8> {
    let hex = |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let mut output = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let (written, length) = match (first, after) {
            (b'\\', [b'u', digits @ ..]) => (digits.get(..4).and_then(hex).and_then(char::from_u32), 6),
            (b'\\', [b'x', digits @ ..]) => (digits.get(..2).and_then(hex).and_then(char::from_u32), 4),
            (b'\\', [b'n' | b'r' | b't', ..]) => (Some('\n'), 2),
            (b'\\', [b'/', ..]) => (Some('/'), 2),
            (b'\\', [b'\\', ..]) => (Some('\\'), 2),
            (b'\\', [b'"', ..]) => (Some('"'), 2),
            (b'\\', [b'\r', b'\n', ..]) => {
                rest = rest.get(3..).unwrap_or_default();
                continue;
            }
            (b'\\', [b'\n', ..]) => {
                rest = rest.get(2..).unwrap_or_default();
                continue;
            }
            _ => (None, 1),
        };
        match written {
            Some(c) => {
                output.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = rest.get(length..).unwrap_or_default();
            }
            None => {
                output.push(*first);
                rest = after;
            }
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose;

    const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

    fn check(content: impl AsRef<[u8]>, expected: &[&str]) {
        let tokens = find_tokens(content.as_ref());
        let case = String::from_utf8_lossy(content.as_ref()).into_owned();
        assert_eq!(tokens.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{case}");
    }

    #[test]
    fn token_is_found_behind_quoting_and_encoding() {
        let encoded = general_purpose::STANDARD.encode(format!("ci:{TOKEN}"));
        let utf16: Vec<u8> = TOKEN.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for content in [
            TOKEN.to_owned(),
            format!("curl -H \"Authorization: Bearer {TOKEN}\""),
            format!("{{\"a\":\"{}\"}}", TOKEN.replace("gh", "\\u0067h")),
            format!("$'{}'", TOKEN.replace("gh", "\\x67h")),
            format!("https://x.test/?key={}", TOKEN.replace('_', "%5F")),
            TOKEN.replace("ghp_", "'ghp_'\"\""),
            TOKEN.replace("abc", "\\\nabc"),
            encoded.clone(),
            general_purpose::URL_SAFE_NO_PAD.encode(format!("x{TOKEN}")),
            format!("{}\n  {}", &encoded[..20], &encoded[20..]),
        ] {
            let tokens = find_tokens(content.as_bytes());
            assert!(tokens.contains(TOKEN), "{content}: {tokens:?}");
        }
        assert!(find_tokens(&utf16).contains(TOKEN));
        let record = [b"SQLite format 3\0\x01host.testname".as_slice(), b"npm_0123456789abcdefghij0123456789abcdef\0"];
        check(record.concat(), &["npm_0123456789abcdefghij0123456789abcdef"]);
    }

    #[test]
    fn password_of_a_basic_header_needs_no_shape() {
        check(general_purpose::STANDARD.encode("ci:planted-pass"), &[]);
        check(
            format!("Authorization: Basic {}", general_purpose::STANDARD.encode("ci:planted-pass")),
            &["planted-pass"],
        );
    }

    /// Hours if each byte reads all bytes before it.
    #[test]
    fn gaps_are_searched_in_linear_time() {
        for pattern in [" ", "\n", "\\", "\\\n"] {
            check(pattern.repeat(1 << 20), &[]);
        }
        let encoded = general_purpose::STANDARD.encode("ci:planted-pass");
        check(format!("Basic{}{encoded}", " ".repeat(1 << 20)), &["planted-pass"]);
    }

    #[test]
    fn ordinary_text_and_placeholders_have_no_token() {
        for content in [
            "Read `GITHUB_TOKEN` and run task-with-a-very-long-name-and-many-parts.".to_owned(),
            format!("export TOKEN=ghp_{}", "x".repeat(36)),
            "postgres://postgres:postgres@localhost/app".to_owned(),
            include_str!("shapes.rs").to_owned(),
            include_str!("tokens.rs").split("#[cfg(test)]").next().unwrap_or_default().to_owned(),
        ] {
            check(content, &[]);
        }
        check(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xfe", &[]);
    }

    #[test]
    fn compressed_files_are_recognised() {
        for (content, compressed) in [
            (b"\x1f\x8b\x08".as_slice(), true),
            (b"PK\x03\x04x", true),
            (b"BZh9", true),
            (b"\x89PNG", false),
            (b"", false),
        ] {
            assert_eq!(is_compressed(content), compressed);
        }
    }
}
