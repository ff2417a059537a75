//! Tests inputs that would take minutes or hours without the redactor's limits.

use super::*;

const LENGTH: usize = 128 * 1024;

#[test]
fn repeated_token_prefixes_are_read_once() {
    for begin in ["SG.", "SG.aaaaaaaaaaaaaaaa.", "eyJ-", "-----BEGIN ", "-----BEGIN A PUBLIC KEY-----", "://a:"] {
        let text = begin.repeat(LENGTH / begin.len());
        assert!(knowing(&[]).text(&text) == text, "{begin}");
        let last = format!("{text} ghp_0123456789abcdefghijABCDEFGHIJ012345");
        assert!(knowing(&[]).text(&last) == format!("{text} {MARK}"), "{begin}");
    }
    for begin in ["sk-", "-----BEGIN PRIVATE KEY-----"] {
        let text = begin.repeat(LENGTH / begin.len());
        assert!(!knowing(&[]).text(&text).contains(begin), "{begin}");
    }
}

#[test]
fn repetitive_value_of_an_agent_file_is_not_learned() {
    let redactor = knowing(&[]);
    let repeats = "A".repeat(8 * 1024);
    redactor.learn_file_of_agent(&json!({"token": repeats, "refresh_token": "planted-refresh-token"}).to_string());
    assert!(!redactor.knows_one_in(repeats.as_bytes()));
    assert!(redactor.knows_one_in(b"a planted-refresh-token"));
}

#[test]
fn secrets_learned_from_agent_files_are_bounded() {
    let redactor = knowing(&[]);
    for number in 0..1_000 {
        let token: String = (0..512).map(|part| format!("{:08x}", (number * 512 + part) * 2_654_435_761_u64)).collect();
        redactor.learn_file_of_agent(&json!({"token": token}).to_string());
    }
    let known = redactor.0.read().unwrap().of_agent;
    assert!((MOST_OF_AGENT / 2..=MOST_OF_AGENT).contains(&known), "{known}");
    redactor.learn("planted-secret");
    assert_eq!(redactor.text("a planted-secret"), "a [redacted]");
}

#[test]
fn relearned_token_uses_no_further_space() {
    let redactor = knowing(&[]);
    let token =
        |from: u64| -> String { (from..from + 64).map(|part| format!("{:08x}", part * 2_654_435_761)).collect() };
    let (known, new) = (token(0), token(64));
    assert!(known.len() <= new.len(), "the second token must not fit by chance");
    for _ in 0..=MOST_OF_AGENT / known.len() {
        redactor.learn_file_of_agent(&json!({ "token": known }).to_string());
    }
    redactor.learn_file_of_agent(&json!({ "token": new }).to_string());
    assert!(redactor.knows_one_in(known.as_bytes()) && redactor.knows_one_in(new.as_bytes()));
}
