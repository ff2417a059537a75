//! Tests secrets that contain terminal colour codes.

use super::*;

const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
/// Codes between two parts of a secret: those of `grep` around its match, and others.
const CODES: &[&str] = &[
    "\x1b[01;31m\x1b[K",
    "\x1b[m\x1b[K",
    "\x1b[0m",
    "\x1b[38;5;196m",
    "\x1b[48:2::1:2:3m",
    "\x1b(B\x1b[m",
    "\x1b[1m\x1b[31m",
];

#[test]
fn secret_with_colour_codes_is_redacted() {
    let redactor = redactor_for(&["the-secret"]);
    for secret in ["the-secret", TOKEN, "0aGUtc2VjcmV0"] {
        for at in 1..secret.len() {
            let (first, rest) = secret.split_at(at);
            for code in CODES {
                let text = format!("\x1b[32ma\x1b[0m ({first}{code}{rest}\x1b[1m) and \x1b[35mon");
                assert_eq!(
                    redactor.redact_text(&text),
                    format!("\x1b[32ma\x1b[0m ({MARK}\x1b[1m) and \x1b[35mon"),
                    "{text:?}"
                );
            }
        }
    }
    let found = "key=\x1b[01;31m\x1b[Kthe-sec\x1b[m\x1b[Kret\x1b[0m.";
    assert_eq!(redactor.redact_text(found), "key=\x1b[01;31m\x1b[K[redacted]\x1b[0m.");
}

#[test]
fn coloured_key_is_redacted_beyond_its_token_shape() {
    let key =
        "sk-ant-api03-Vq8Zr1LxT0uYw5NfKdGhJ2mPbCsE7aRiOk3lXv9QnWt6My4HgDzBjUeFcIpSAoq8Zr1LxT0uYw5NfKdGhJ2mPbCsE7-gAA";
    for redactor in [redactor_for(&[key]), redactor_for(&[])] {
        let text = format!("{}\x1b[01;31m{}\x1b[m{}", &key[..50], &key[50..60], &key[60..]);
        assert_eq!(redactor.redact_text(&text), MARK);
    }
}

#[test]
fn secret_that_looks_like_part_of_a_code_is_redacted() {
    let redactor = redactor_for(&["ab\x1b[0mcdefgh"]);
    for (text, expected) in [
        (format!("\x1b[{TOKEN} end"), format!("\x1b[{MARK} end")),
        (format!("\x1b({TOKEN} end"), format!("\x1b({MARK} end")),
        ("key=ab\x1b[0mcdefgh.".to_owned(), format!("key={MARK}.")),
    ] {
        assert_eq!(redactor.redact_text(&text), expected);
        let mut stream = redactor.stream();
        let mut clean: Vec<u8> = text.bytes().flat_map(|byte| stream.push(&[byte])).collect();
        clean.extend(stream.finish());
        assert_eq!(String::from_utf8_lossy(&clean), expected);
    }
}

#[test]
fn coloured_text_without_a_secret_stays_unchanged() {
    let redactor = redactor_for(&["the-secret"]);
    for text in [
        "\x1b[32mgreen\x1b[0m and \x1b[1mthe-\x1b[0msecond",
        "the-sec\x1b[1",
        "\x1b",
        "\x1b[",
        "\x1b]0;a title\x07 the-sec",
        &format!("the-sec\x1b[{}mret", "1;".repeat(100)),
        "\x1b\x1b\x1b[\x1b[1m",
    ] {
        assert_eq!(redactor.redact_text(text), text, "{text:?}");
    }
}

#[test]
fn colour_redaction_is_independent_of_stream_pieces() {
    let redactor = redactor_for(&["the-secret"]);
    let (one, other) = TOKEN.split_at(12);
    let plain = "plain words ".repeat(500);
    let text = [
        plain.as_str(),
        "the-secret the-se\x1b[31mcr\x1b[met ",
        &plain,
        &format!("{one}\x1b[7m{other} \x1b[1mbold\x1b[0m"),
        &plain,
        "the-\x1b[2msecret",
        &plain,
    ]
    .concat();
    let expected = redactor.redact_text(&text);
    assert_eq!(expected.matches(MARK).count(), 4, "{expected:?}");
    assert!(!expected.contains("secr") && !expected.contains(other), "{expected:?}");
    for size in (1..100).chain([500, 4_095, 4_096, 4_097, 6_000, 20_000]) {
        let mut stream = redactor.stream();
        let mut clean: Vec<u8> = text.as_bytes().chunks(size).flat_map(|piece| stream.push(piece)).collect();
        clean.extend(stream.finish());
        assert!(clean == expected.as_bytes(), "in pieces of {size}");
    }
}

#[test]
fn secret_with_escaped_colours_is_redacted_in_json() {
    let redactor = redactor_for(&["the-secret"]);
    let coloured = r#"{"text":"key=\u001b[01;31m\u001b[Kthe-sec\u001B[m\u001b[Kret"}"#;
    assert_eq!(redactor.redact_line(coloured), r#"{"text":"key=\u001b[01;31m\u001b[K[redacted]"}"#);
    for line in [r#"{"b": 1.50, "a": "\u001b[1mbold"}"#, "plain", "[\"the\"]", "\x1b[1mthe-\x1b[m \\u001b"] {
        assert_eq!(redactor.redact_line(line), line);
    }
    assert_eq!(redactor.redact_line(r#"{"b": 1.50, "a": "the-secret"}"#), r#"{"b": 1.50, "a": "[redacted]"}"#);
}
