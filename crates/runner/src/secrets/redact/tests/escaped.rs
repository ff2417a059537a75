//! Tests token shapes after colour codes, escapes and encodings.

use super::*;

const TOKENS: &[&str] = &[
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "github_pat_11AAAAAAA0123456789_abcdefghijklmnopqrstuvwxyz",
    "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789",
    "glpat-0123456789abcdefghij",
    "AKIAIOSFODNN7EXAMPLE",
    "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789",
    "xoxb-1234567890-abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "rnt_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
];

#[test]
fn token_after_a_colour_or_escape_is_redacted() {
    for token in TOKENS {
        for before in [
            "\x1b[32m",
            "\x1b[1;31m",
            "\\x1b[0m",
            "\\u001b[0m",
            "\\n",
            "\\r\\n",
            "\\\\n",
            "\\t",
            "%3A",
            "%3a",
            "token%3D",
            "\\u003a",
            "\\x3d",
            "\\033[32m",
            "&#61;",
        ] {
            let text = format!("{before}{token}\x1b[0m");
            assert_eq!(redactor_for(&[]).redact_text(&text), format!("{before}{MARK}\x1b[0m"), "{text:?}");
            // The previous piece may end just before the token.
            let mut stream = redactor_for(&[]).stream();
            let mut clean = stream.push(format!("{}{before}", "x".repeat(500)).as_bytes());
            clean.extend(stream.push(token.as_bytes()));
            clean.extend(stream.push(b"\x1b[0m"));
            clean.extend(stream.finish());
            assert!(!String::from_utf8_lossy(&clean).contains(token), "{text:?}");
        }
    }
}

#[test]
fn unambiguous_token_is_redacted_inside_a_word() {
    for token in &TOKENS[..4] {
        assert_eq!(redactor_for(&[]).redact_text(&format!("Bearer{token} ")), format!("Bearer{MARK} "));
    }
    assert_eq!(redactor_for(&[]).redact_text("idAKIAIOSFODNN7EXAMPLE"), format!("id{MARK}"));
}

#[test]
fn words_that_contain_a_token_prefix_stay() {
    for text in [
        "SLOVAKIACZECHREPUBLICUNITEDKINGDOM",
        "task_live_reload_of_a_configuration_that_has_a_long_name",
        "SG.one.two",
        "com.example.MSG.internal_package_of_words.and_another_that_is_very_long_indeed",
        "ATBBEGINNING",
        "array[0msk]",
        "the year is maya29.something",
    ] {
        assert_eq!(redactor_for(&[]).redact_text(text), text);
    }
}

#[test]
fn tokens_of_further_vendors_are_redacted() {
    for token in [
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "rk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "xapp-1-A0123456789-1234567890123-0123456789abcdef0123456789abcdef",
        "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",
        "dckr_pat_0123456789abcdefghijABCDEFG",
        "ATBB0123456789abcdefghijABCDEFGHIJ01",
        "ya29.a0AfH6SMBx0123456789abcdefghijABCDEFGHIJ",
        "GOCSPX-0123456789abcdefghijABCDEFGH",
    ] {
        for before in ["", "token=", "\\n", "\x1b[32m"] {
            let text = format!("{before}{token} and on");
            assert_eq!(redactor_for(&[]).redact_text(&text), format!("{before}{MARK} and on"), "{text}");
        }
    }
}

#[test]
fn token_as_user_is_redacted_with_its_password() {
    let text = format!("https://{}:x-oauth-basic@forge.example/x", TOKENS[0]);
    assert_eq!(redactor_for(&[]).redact_text(&text), format!("https://{MARK}@forge.example/x"));
    assert_eq!(redactor_for(&["the-secret"]).redact_text("https://the-secret:pw@h/x"), format!("https://{MARK}@h/x"));
}

/// Each prefix with the minimum number of characters after it.
const MIN_LENGTHS: [(&str, usize); 36] = [
    ("ghp_", 30),
    ("gho_", 30),
    ("ghu_", 30),
    ("ghs_", 30),
    ("ghr_", 30),
    ("github_pat_", 30),
    ("dckr_pat_", 20),
    ("glpat-", 20),
    ("sk-ant-", 20),
    ("sk_live_", 20),
    ("rk_live_", 20),
    ("GOCSPX-", 20),
    ("sk-", 32),
    ("AKIA", 16),
    ("ASIA", 16),
    ("ATBB", 28),
    ("AIza", 35),
    ("ya29.", 20),
    ("npm_", 36),
    ("pypi-", 40),
    ("hf_", 30),
    ("xapp-", 20),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("ATATT", 40),
    ("ATCTT", 40),
    ("lin_api_", 30),
    ("rnt_", 32),
    ("pat_", 32),
    ("pyb_", 32),
    ("pyl_", 32),
    ("pyc_", 32),
    ("pys_", 32),
];

#[test]
fn shortest_token_of_each_kind_is_redacted() {
    let redactor = redactor_for(&[]);
    let zeros = |length: usize| "0".repeat(length);
    let check_redacted =
        |word: String| assert_eq!(redactor.redact_text(&format!("{word} and on")), format!("{MARK} and on"), "{word}");
    let stays = |word: String| assert_eq!(redactor.redact_text(&word), word, "{word}");
    for (begin, least) in MIN_LENGTHS {
        check_redacted(format!("{begin}{}", zeros(least)));
        stays(format!("{begin}{}", zeros(least - 1)));
    }
    let pair = |one: usize, other: usize| format!("SG.{}.{}", zeros(one), zeros(other));
    check_redacted(pair(16, 32));
    stays(pair(15, 32));
    stays(pair(16, 31));
    check_redacted(format!("eyJa.b.{}", zeros(26)));
    stays(format!("eyJa.b.{}", zeros(25)));
    stays(format!("eyJa.{}", zeros(60)));
    // The two shapes above, keys, and passwords in URLs. A new shape needs a row.
    assert_eq!(shapes::SHAPES.len(), MIN_LENGTHS.len() + 4);
}
