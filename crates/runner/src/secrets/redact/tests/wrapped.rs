//! Tests keys with line breaks, raw or in base64, as `base64`, terminals, editors and diffs print them.

use super::*;

/// As long as a real model key.
const KEY: &str =
    "sk-ant-api03-Vq8Zr1LxT0uYw5NfKdGhJ2mPbCsE7aRiOk3lXv9QnWt6My4HgDzBjUeFcIpSAoq8Zr1LxT0uYw5NfKdGhJ2mPbCsE7-gAA";
/// A line with fewer characters of a form may remain, because it reveals no secret.
const TOO_LITTLE: usize = 19;

/// The required number of characters on each side of a break.
const PROOF_OF_A_BREAK: usize = 4;

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

fn lines_of(encoded: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in encoded.as_bytes().chunks(width) {
        lines.push(String::from_utf8(line.to_vec()).unwrap());
    }
    lines
}

/// Checks that no part of the key, in base64 at any alignment, remains.
fn gone(clean: &str, from: &str) {
    let left = parts_left(KEY, clean, TOO_LITTLE);
    assert_eq!(left, None, "{from:?} became {clean:?}");
}

fn each_broken_form(mut check: impl FnMut(&str)) {
    for before in ["", "u", "us", "user:", "{\"key\": \""] {
        let encoded = STANDARD.encode(format!("{before}{KEY}\n"));
        for width in [60, 64, 76] {
            for between in BREAKS {
                check(&lines_of(&encoded, width).join(between));
            }
        }
    }
}

#[test]
fn base64_key_is_found_with_every_line_break() {
    let redactor = knowing(&[KEY]);
    each_broken_form(|broken| {
        let said = format!("it is\n{broken}\nand on");
        let clean = redactor.text(&said);
        gone(&clean, &said);
        assert!(clean.starts_with("it is\n") && clean.ends_with("and on"), "{clean:?}");
        assert!(redactor.knows_one_in(said.as_bytes()), "{said:?}");
    });
}

#[test]
fn base64_key_is_found_in_lines_of_19_characters() {
    let redactor = knowing(&[KEY]);
    for before in ["", "u", "us", "user:"] {
        let encoded = STANDARD.encode(format!("{before}{KEY}\n"));
        for width in 19..=100 {
            for between in ["\n", "\r\n"] {
                let said = format!("it is\n{}\nand on", lines_of(&encoded, width).join(between));
                gone(&redactor.text(&said), &said);
                assert!(redactor.knows_one_in(said.as_bytes()), "{said:?}");
            }
        }
    }
}

#[test]
fn early_break_hides_no_part_of_a_base64_key() {
    let redactor = knowing(&[KEY]);
    let encoded = STANDARD.encode(KEY);
    for first in 1..20 {
        let (one, rest) = encoded.split_at(first);
        let said = format!("{one}\n{}", lines_of(rest, 76).join("\n"));
        gone(&redactor.text(&said), &said);
    }
}

#[test]
fn broken_base64_key_is_redacted_in_a_stream() {
    let redactor = knowing(&[KEY]);
    let said = format!("it is\n{}\nand on", lines_of(&STANDARD.encode(KEY), 76).join("\r\n"));
    for size in 1..said.len() {
        let mut stream = redactor.stream();
        let mut clean: Vec<u8> = said.as_bytes().chunks(size).flat_map(|piece| stream.push(piece)).collect();
        clean.extend(stream.end());
        assert_eq!(String::from_utf8(clean).unwrap(), "it is\n[redacted]E=\nand on", "in pieces of {size}");
    }
}

#[test]
fn single_lines_of_a_base64_key_are_redacted() {
    let redactor = knowing(&[KEY]);
    for before in ["", "u", "us", "user:"] {
        let encoded = STANDARD.encode(format!("{before}{KEY}\n"));
        for width in [60, 64, 76] {
            for line in lines_of(&encoded, width) {
                for (begin, end) in [("", ""), ("  ", "\n"), ("   12\t", ""), ("\"", "\",")] {
                    let said = format!("{begin}{line}{end}");
                    gone(&redactor.text(&said), &said);
                }
            }
        }
    }
    // Two lines together reveal nothing either.
    let encoded = STANDARD.encode(KEY);
    for lines in lines_of(&encoded, 24).chunks(2) {
        let said = lines.join("\n");
        gone(&redactor.text(&said), &said);
    }
}

#[test]
fn part_of_a_key_does_not_block_publishing() {
    let redactor = knowing(&[KEY]);
    let encoded = STANDARD.encode(KEY);
    assert!(!redactor.knows_one_in(&encoded.as_bytes()[..40]));
    assert!(!redactor.knows_one_in(&encoded.as_bytes()[40..]));
}

#[test]
fn other_base64_text_keeps_its_lines() {
    let redactor = knowing(&[KEY]);
    let text = STANDARD.encode("something else that is encoded, in several lines, and holds no key of anybody");
    for width in [20, 64, 76] {
        let broken = lines_of(&text, width).join("\n");
        assert_eq!(redactor.text(&broken), broken);
    }
}

#[test]
fn raw_key_is_found_with_every_line_break() {
    let redactor = knowing(&[KEY]);
    for width in 37..KEY.len() {
        for between in BREAKS {
            let said = format!("it is\n{}\nand on", lines_of(KEY, width).join(between));
            assert_eq!(redactor.text(&said), "it is\n[redacted]\nand on", "{said:?}");
            assert!(redactor.knows_one_in(said.as_bytes()), "{said:?}");
        }
    }
}

#[test]
fn secret_of_16_bytes_is_found_with_one_break() {
    for length in 16..=KEY.len() {
        let secret = &KEY[KEY.len() - length..];
        let redactor = knowing(&[secret]);
        for first in PROOF_OF_A_BREAK..=length - PROOF_OF_A_BREAK {
            let (one, rest) = secret.split_at(first);
            for between in ["\n", "\r\n    ", "\\n"] {
                let said = format!("it is {one}{between}{rest} and on");
                assert_eq!(redactor.text(&said), "it is [redacted] and on", "{said:?}");
            }
        }
    }
}

#[test]
fn broken_raw_key_is_redacted_in_a_stream() {
    let redactor = knowing(&[KEY]);
    let said = format!("it is\n{}\nand on", lines_of(KEY, 60).join("\r\n    "));
    for size in 1..said.len() {
        let mut stream = redactor.stream();
        let mut clean: Vec<u8> = said.as_bytes().chunks(size).flat_map(|piece| stream.push(piece)).collect();
        clean.extend(stream.end());
        assert_eq!(String::from_utf8(clean).unwrap(), "it is\n[redacted]\nand on", "in pieces of {size}");
    }
}

#[test]
fn raw_parts_and_short_broken_secrets_stay() {
    let redactor = knowing(&["postgres-of-the-company-and-more", "short-secret"]);
    for said in ["postgres-of-the-company\nis ours", "postgres-of-the-company\n-and-less", "short\n-secret"] {
        assert_eq!(redactor.text(said), said);
        assert!(!redactor.knows_one_in(said.as_bytes()), "{said:?}");
    }
}
