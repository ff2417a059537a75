//! Tests keys with line breaks, raw or in base64, as `base64`, terminals, editors and diffs print them.

use super::*;

/// As long as a real model key.
const KEY: &str =
    "sk-ant-api03-Vq8Zr1LxT0uYw5NfKdGhJ2mPbCsE7aRiOk3lXv9QnWt6My4HgDzBjUeFcIpSAoq8Zr1LxT0uYw5NfKdGhJ2mPbCsE7-gAA";
/// A line with fewer characters of a form may remain, because it reveals no secret.
const MAX_LEFTOVER: usize = 19;

const MIN_CHARS_AT_BREAK: usize = 4;

const BREAKS: &[&str] = &[
    "\n",
    "\r\n",
    "\r",
    "\\n",
    "\\r\\n",
    "\\\\n",
    "%0A",
    "\n+",
    "\n-",
    "\n ",
    "\n    ",
    "\\n+",
    "\n> ",
    "\n    12\t",
    "\n    12→",
    "\n13:",
    "\",\n  \"",
    "\" \\\n  \"",
];

fn wrap(encoded: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in encoded.as_bytes().chunks(width) {
        lines.push(String::from_utf8(line.to_vec()).unwrap());
    }
    lines
}

fn check_redacted(clean: &str, from: &str) {
    let key_part = find_base64_part(KEY, clean, MAX_LEFTOVER);
    assert_eq!(key_part, None, "{from:?} became {clean:?}");
}

fn for_each_wrapped_form(mut check: impl FnMut(&str)) {
    for before in ["", "u", "us", "user:", "{\"key\": \""] {
        let encoded = STANDARD.encode(format!("{before}{KEY}\n"));
        for width in [60, 64, 76] {
            for between in BREAKS {
                check(&wrap(&encoded, width).join(between));
            }
        }
    }
}

#[test]
fn base64_key_is_found_with_every_line_break() {
    let redactor = redactor_for(&[KEY]);
    for_each_wrapped_form(|broken| {
        let text = format!("it is\n{broken}\nand on");
        let clean = redactor.redact_text(&text);
        check_redacted(&clean, &text);
        assert!(clean.starts_with("it is\n") && clean.ends_with("and on"), "{clean:?}");
        assert!(redactor.contains_secret(text.as_bytes()), "{text:?}");
    });
}

#[test]
fn base64_key_is_found_in_lines_of_19_characters() {
    let redactor = redactor_for(&[KEY]);
    for before in ["", "u", "us", "user:"] {
        let encoded = STANDARD.encode(format!("{before}{KEY}\n"));
        for width in 19..=100 {
            for between in ["\n", "\r\n"] {
                let text = format!("it is\n{}\nand on", wrap(&encoded, width).join(between));
                check_redacted(&redactor.redact_text(&text), &text);
                assert!(redactor.contains_secret(text.as_bytes()), "{text:?}");
            }
        }
    }
}

#[test]
fn early_break_hides_no_part_of_a_base64_key() {
    let redactor = redactor_for(&[KEY]);
    let encoded = STANDARD.encode(KEY);
    for first in 1..20 {
        let (one, rest) = encoded.split_at(first);
        let text = format!("{one}\n{}", wrap(rest, 76).join("\n"));
        check_redacted(&redactor.redact_text(&text), &text);
    }
}

#[test]
fn broken_base64_key_is_redacted_in_a_stream() {
    let redactor = redactor_for(&[KEY]);
    let text = format!("it is\n{}\nand on", wrap(&STANDARD.encode(KEY), 76).join("\r\n"));
    for size in 1..text.len() {
        let mut stream = redactor.stream();
        let mut clean: Vec<u8> = text.as_bytes().chunks(size).flat_map(|piece| stream.push(piece)).collect();
        clean.extend(stream.finish());
        assert_eq!(String::from_utf8(clean).unwrap(), "it is\n[redacted]E=\nand on", "in pieces of {size}");
    }
}

#[test]
fn single_lines_of_a_base64_key_are_redacted() {
    let redactor = redactor_for(&[KEY]);
    for before in ["", "u", "us", "user:"] {
        let encoded = STANDARD.encode(format!("{before}{KEY}\n"));
        for width in [60, 64, 76] {
            for line in wrap(&encoded, width) {
                for (begin, end) in [("", ""), ("  ", "\n"), ("   12\t", ""), ("\"", "\",")] {
                    let text = format!("{begin}{line}{end}");
                    check_redacted(&redactor.redact_text(&text), &text);
                }
            }
        }
    }
    // Two lines together reveal nothing either.
    let encoded = STANDARD.encode(KEY);
    for lines in wrap(&encoded, 24).chunks(2) {
        let text = lines.join("\n");
        check_redacted(&redactor.redact_text(&text), &text);
    }
}

#[test]
fn part_of_a_key_does_not_block_publishing() {
    let redactor = redactor_for(&[KEY]);
    let encoded = STANDARD.encode(KEY);
    assert!(!redactor.contains_secret(&encoded.as_bytes()[..40]));
    assert!(!redactor.contains_secret(&encoded.as_bytes()[40..]));
}

#[test]
fn other_base64_text_keeps_its_lines() {
    let redactor = redactor_for(&[KEY]);
    let text = STANDARD.encode("something else that is encoded, in several lines, and holds no key of anybody");
    for width in [20, 64, 76] {
        let broken = wrap(&text, width).join("\n");
        assert_eq!(redactor.redact_text(&broken), broken);
    }
}

#[test]
fn raw_key_is_found_with_every_line_break() {
    let redactor = redactor_for(&[KEY]);
    for width in 37..KEY.len() {
        for between in BREAKS {
            let text = format!("it is\n{}\nand on", wrap(KEY, width).join(between));
            assert_eq!(redactor.redact_text(&text), "it is\n[redacted]\nand on", "{text:?}");
            assert!(redactor.contains_secret(text.as_bytes()), "{text:?}");
        }
    }
}

#[test]
fn secret_of_16_bytes_is_found_with_one_break() {
    for length in 16..=KEY.len() {
        let secret = &KEY[KEY.len() - length..];
        let redactor = redactor_for(&[secret]);
        for first in MIN_CHARS_AT_BREAK..=length - MIN_CHARS_AT_BREAK {
            let (one, rest) = secret.split_at(first);
            for between in ["\n", "\r\n    ", "\\n"] {
                let text = format!("it is {one}{between}{rest} and on");
                assert_eq!(redactor.redact_text(&text), "it is [redacted] and on", "{text:?}");
            }
        }
    }
}

#[test]
fn broken_raw_key_is_redacted_in_a_stream() {
    let redactor = redactor_for(&[KEY]);
    let text = format!("it is\n{}\nand on", wrap(KEY, 60).join("\r\n    "));
    for size in 1..text.len() {
        let mut stream = redactor.stream();
        let mut clean: Vec<u8> = text.as_bytes().chunks(size).flat_map(|piece| stream.push(piece)).collect();
        clean.extend(stream.finish());
        assert_eq!(String::from_utf8(clean).unwrap(), "it is\n[redacted]\nand on", "in pieces of {size}");
    }
}

#[test]
fn raw_parts_and_short_broken_secrets_stay() {
    let redactor = redactor_for(&["postgres-of-the-company-and-more", "short-secret"]);
    for text in ["postgres-of-the-company\nis ours", "postgres-of-the-company\n-and-less", "short\n-secret"] {
        assert_eq!(redactor.redact_text(text), text);
        assert!(!redactor.contains_secret(text.as_bytes()), "{text:?}");
    }
}
