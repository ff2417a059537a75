//! Tests inputs that would take minutes or hours without the redactor's limits.

use super::*;

const TEXT_BYTES: usize = 128 * 1024;

#[test]
fn repeated_token_prefixes_are_read_once() {
    for begin in ["SG.", "SG.aaaaaaaaaaaaaaaa.", "eyJ-", "-----BEGIN ", "-----BEGIN A PUBLIC KEY-----", "://a:"] {
        let text = begin.repeat(TEXT_BYTES / begin.len());
        assert!(redactor_for(&[]).redact_text(&text) == text, "{begin}");
        let last = format!("{text} ghp_0123456789abcdefghijABCDEFGHIJ012345");
        assert!(redactor_for(&[]).redact_text(&last) == format!("{text} {MARK}"), "{begin}");
    }
    for begin in ["sk-", "-----BEGIN PRIVATE KEY-----"] {
        let text = begin.repeat(TEXT_BYTES / begin.len());
        assert!(!redactor_for(&[]).redact_text(&text).contains(begin), "{begin}");
    }
}

#[test]
fn repetitive_value_of_an_agent_file_is_not_learned() {
    let redactor = redactor_for(&[]);
    let repeats = "A".repeat(8 * 1024);
    redactor.add_agent_file_tokens(&json!({"token": repeats, "refresh_token": "planted-refresh-token"}).to_string());
    assert!(!redactor.contains_secret(repeats.as_bytes()));
    assert!(redactor.contains_secret(b"a planted-refresh-token"));
}

#[test]
fn secrets_learned_from_agent_files_are_bounded() {
    let redactor = redactor_for(&[]);
    for number in 0..1_000 {
        let token: String = (0..512).map(|part| format!("{:08x}", (number * 512 + part) * 2_654_435_761_u64)).collect();
        redactor.add_agent_file_tokens(&json!({"token": token}).to_string());
    }
    let known = redactor.0.read().unwrap().agent_bytes;
    assert!((MAX_AGENT_SECRET_BYTES / 2..=MAX_AGENT_SECRET_BYTES).contains(&known), "{known}");
    redactor.add_secret("planted-secret");
    assert_eq!(redactor.redact_text("a planted-secret"), "a [redacted]");
}

#[test]
fn relearned_token_uses_no_further_space() {
    let redactor = redactor_for(&[]);
    let token =
        |from: u64| -> String { (from..from + 64).map(|part| format!("{:08x}", part * 2_654_435_761)).collect() };
    let (known, new) = (token(0), token(64));
    assert!(known.len() <= new.len(), "the second token must not fit by chance");
    for _ in 0..=MAX_AGENT_SECRET_BYTES / known.len() {
        redactor.add_agent_file_tokens(&json!({ "token": known }).to_string());
    }
    redactor.add_agent_file_tokens(&json!({ "token": new }).to_string());
    assert!(redactor.contains_secret(known.as_bytes()) && redactor.contains_secret(new.as_bytes()));
}
