//! A key, as it is or in base64, whose lines are broken: by `base64`, by a terminal, by what shows a file or a
//! difference.

use super::*;

/// As long as a model's key is.
const KEY: &str =
    "sk-ant-api03-Vq8Zr1LxT0uYw5NfKdGhJ2mPbCsE7aRiOk3lXv9QnWt6My4HgDzBjUeFcIpSAoq8Zr1LxT0uYw5NfKdGhJ2mPbCsE7-gAA";
/// What may be left of a form, where a line has no more of it: no secret comes back from so little.
const TOO_LITTLE: usize = 19;

/// So many characters on both sides of a break show that it is one.
const PROOF_OF_A_BREAK: usize = 4;

/// Everything that stands between two lines of it.
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

/// In lines of so many characters.
fn lines_of(encoded: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in encoded.as_bytes().chunks(width) {
        lines.push(String::from_utf8(line.to_vec()).unwrap());
    }
    lines
}

/// Fails if a part of the key, in base64 at any place, is left.
fn gone(clean: &str, from: &str) {
    let left = parts_left(KEY, clean, TOO_LITTLE);
    assert_eq!(left, None, "of {from:?} there is left {clean:?}");
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
fn a_key_in_base64_is_found_however_its_lines_are_broken() {
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
fn a_key_in_base64_is_found_in_lines_of_19_characters_and_more() {
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
fn a_break_in_the_first_characters_of_it_hides_nothing() {
    let redactor = knowing(&[KEY]);
    let encoded = STANDARD.encode(KEY);
    for first in 1..20 {
        let (one, rest) = encoded.split_at(first);
        let said = format!("{one}\n{}", lines_of(rest, 76).join("\n"));
        gone(&redactor.text(&said), &said);
    }
}

#[test]
fn a_break_in_a_key_that_comes_in_pieces_hides_nothing() {
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
fn lines_that_are_told_one_by_one_hide_nothing() {
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
    // Nor do two at a time.
    let encoded = STANDARD.encode(KEY);
    for lines in lines_of(&encoded, 24).chunks(2) {
        let said = lines.join("\n");
        gone(&redactor.text(&said), &said);
    }
}

#[test]
fn a_part_of_one_keeps_no_work_from_being_published() {
    let redactor = knowing(&[KEY]);
    let encoded = STANDARD.encode(KEY);
    assert!(!redactor.knows_one_in(&encoded.as_bytes()[..40]));
    assert!(!redactor.knows_one_in(&encoded.as_bytes()[40..]));
}

#[test]
fn what_is_no_key_in_base64_stays_with_its_lines() {
    let redactor = knowing(&[KEY]);
    let text = STANDARD.encode("something else that is encoded, in several lines, and holds no key of anybody");
    for width in [20, 64, 76] {
        let broken = lines_of(&text, width).join("\n");
        assert_eq!(redactor.text(&broken), broken);
    }
}

#[test]
fn a_key_itself_is_found_however_its_lines_are_broken() {
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
fn a_secret_of_16_bytes_and_more_is_found_wherever_it_is_broken_once() {
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
fn a_break_in_a_key_itself_that_comes_in_pieces_hides_nothing() {
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
fn of_a_secret_itself_no_part_is_taken_out_and_a_short_one_is_not_looked_for_in_lines() {
    let redactor = knowing(&["postgres-of-the-company-and-more", "short-secret"]);
    for said in ["postgres-of-the-company\nis ours", "postgres-of-the-company\n-and-less", "short\n-secret"] {
        assert_eq!(redactor.text(said), said);
        assert!(!redactor.knows_one_in(said.as_bytes()), "{said:?}");
    }
}
