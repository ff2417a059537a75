//! What an agent may say to keep the redactor busy: without their bounds these would take minutes, or hours.

use super::*;

const LENGTH: usize = 128 * 1024;

#[test]
fn a_text_whose_every_byte_may_begin_a_token_is_read_once() {
    for begin in ["SG.", "SG.aaaaaaaaaaaaaaaa.", "eyJ-", "-----BEGIN ", "-----BEGIN A PUBLIC KEY-----", "://a:"] {
        let text = begin.repeat(LENGTH / begin.len());
        assert!(knowing(&[]).text(&text) == text, "{begin}");
        // And behind them all the same.
        let last = format!("{text} ghp_0123456789abcdefghijABCDEFGHIJ012345");
        assert!(knowing(&[]).text(&last) == format!("{text} {MARK}"), "{begin}");
    }
    for begin in ["sk-", "-----BEGIN PRIVATE KEY-----"] {
        let text = begin.repeat(LENGTH / begin.len());
        assert!(!knowing(&[]).text(&text).contains(begin), "{begin}");
    }
}

#[test]
fn what_repeats_itself_in_an_agents_file_is_no_token() {
    let redactor = knowing(&[]);
    let repeats = "A".repeat(8 * 1024);
    redactor.learn_file_of_agent(&json!({"token": repeats, "refresh_token": "planted-refresh-token"}).to_string());
    assert!(!redactor.knows_one_in(repeats.as_bytes()));
    assert!(redactor.knows_one_in(b"a planted-refresh-token"));
}

#[test]
fn what_an_agents_files_teach_has_a_bound() {
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
fn what_an_agents_file_taught_before_takes_no_more_room_when_it_is_read_again() {
    let redactor = knowing(&[]);
    let token =
        |from: u64| -> String { (from..from + 64).map(|part| format!("{:08x}", part * 2_654_435_761)).collect() };
    let (known, new) = (token(0), token(64));
    assert!(known.len() <= new.len(), "what is left of the room would be enough");
    for _ in 0..=MOST_OF_AGENT / known.len() {
        redactor.learn_file_of_agent(&json!({ "token": known }).to_string());
    }
    redactor.learn_file_of_agent(&json!({ "token": new }).to_string());
    assert!(redactor.knows_one_in(known.as_bytes()) && redactor.knows_one_in(new.as_bytes()));
}
