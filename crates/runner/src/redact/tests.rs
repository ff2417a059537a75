use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use pullyard_protocol::event::EventKind;
use serde_json::json;
use std::sync::LazyLock;

const SECRET: &str = "s3cr3t/+ü \"value\"";

fn knowing(secrets: &[&str]) -> Redactor {
    let redactor = Redactor::new([]);
    secrets.iter().for_each(|secret| redactor.learn(secret));
    redactor
}

fn check(text: &str, expected: &str) {
    assert_eq!(knowing(&[SECRET]).text(text), expected, "{text}");
}

#[test]
fn a_known_secret_is_taken_out_in_every_form() {
    check("nothing to see", "nothing to see");
    check(&format!("it is {SECRET}!"), "it is [redacted]!");
    check(&format!("{SECRET}{SECRET}"), "[redacted][redacted]");
    check("?key=s3cr3t%2F%2B%C3%BC%20%22value%22&x", "?key=[redacted]&x");
    check("key=s3cr3t%2f%2b%c3%bc+%22value%22", "key=[redacted]");
    check(r#"{"key":"s3cr3t/+ü \"value\""}"#, r#"{"key":"[redacted]"}"#);
}

#[test]
fn a_known_secret_is_found_in_base64_wherever_it_stands() {
    let redactor = knowing(&[SECRET]);
    for user in ["", "u", "us", "use", "user:"] {
        for rest in ["", "x", "xy", "xyz"] {
            let encoded = STANDARD.encode(format!("{user}{SECRET}{rest}"));
            let said = format!("Authorization: Basic {encoded}");
            let clean = redactor.text(&said);
            assert!(clean.contains(MARK), "{user}|{rest}: {clean}");
            // What is left of it says nothing of the secret: at most the bits that it shares with its neighbours.
            let left = clean.replace(MARK, "");
            assert!(left.len() <= said.len() - 20, "{user}|{rest}: {clean}");
        }
    }
}

#[test]
fn a_key_of_many_lines_is_found_line_by_line() {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj";
    let redactor = knowing(&[&format!("-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----\n")]);
    assert_eq!(redactor.text(&format!("  {line}  ")), "  [redacted]  ");
    assert_eq!(redactor.text("a plain line"), "a plain line");
}

#[test]
fn what_has_the_shape_of_a_token_is_taken_out() {
    let long = format!("ghs_{}", "Ab1.".repeat(130));
    for token in [
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        &long,
        "github_pat_11AAAAAAA0123456789_abcdefghijklmnopqrstuvwxyz",
        "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789",
        "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "xoxb-1234567890-abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "rnt_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ] {
        for (before, after) in [("", ""), ("token=", " and on"), ("\"", "\""), ("(", ").")] {
            let said = format!("{before}{token}{after}");
            let clean = knowing(&[]).text(&said).into_owned();
            assert!(clean.starts_with(&format!("{before}{MARK}")), "{said}: {clean}");
            assert!(!clean.contains(token.get(4..20).unwrap()), "{clean}");
        }
    }
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----";
    assert_eq!(knowing(&[]).text(&format!("{pem} rest")), "[redacted] rest");
    assert_eq!(
        knowing(&[]).text("git clone https://me:hunter2@forge.example/x"),
        "git clone https://me:[redacted]@forge.example/x"
    );
}

#[test]
fn what_only_looks_a_little_like_a_token_stays() {
    for text in [
        "task-management-of-a-very-long-name-that-goes-on",
        "ghp_short",
        "risk-free-and-more-words-that-go-on-for-long-enough",
        "sk-learn",
        "https://forge.example:8080/a@b",
        "http://[::1]:80/",
        "eyJhbGciOiJIUzI1NiJ9",
        "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
        "AKIA",
    ] {
        assert_eq!(knowing(&[]).text(text), text);
    }
}

#[test]
fn words_too_short_for_a_secret_are_not_learned() {
    assert_eq!(knowing(&["main", ""]).text("the main branch"), "the main branch");
}

#[test]
fn the_environments_secrets_are_known_by_their_names() {
    for name in ["ANTHROPIC_API_KEY", "npm_token", "DB_PASSWORD", "CLAUDE_CODE_OAUTH_TOKEN", "AWS_SECRET_ACCESS_KEY"] {
        assert!(is_name_of_secret(name), "{name}");
    }
    for name in ["HOME", "PATH", "TOKENIZER", "KEYBOARD", "LANG"] {
        assert!(!is_name_of_secret(name), "{name}");
    }
}

#[test]
fn events_and_failures_lose_them_in_every_field() {
    let redactor = knowing(&["the-secret"]);
    let mut said = Said::new(EventKind::ToolCall);
    said.text = Some("a the-secret".into());
    said.name = Some("the-secret".into());
    said.path = Some("x/the-secret".into());
    said.call = Some("the-secret".into());
    said.data = Some(json!({ "the-secret": [{ "deep": "the-secret!" }, 5, null] }));
    let clean = redactor.said(said);
    assert!(!format!("{clean:?}").contains("the-secret"), "{clean:?}");
    assert_eq!(clean.data, Some(json!({ "[redacted]": [{ "deep": "[redacted]!" }, 5, null] })));

    let failure =
        Failure::AgentFailed { agent: "a".into(), exit: "exit code 1".into(), last_words: "key the-secret".into() };
    let Failure::AgentFailed { last_words, .. } = redactor.failure(failure) else { panic!("another failure") };
    assert_eq!(last_words, "key [redacted]");
    assert_eq!(redactor.failure(Failure::NoChanges {}), Failure::NoChanges {});
    let all = Failure::samples();
    assert!(all.iter().all(|sample| redactor.failure(sample.clone()) == *sample));
}

#[test]
fn only_known_secrets_keep_work_from_being_published() {
    let redactor = knowing(&["the-secret"]);
    assert!(redactor.knows_one_in(b"x the-secret y"));
    assert!(redactor.knows_one_in(STANDARD.encode("user:the-secret").as_bytes()));
    assert!(!redactor.knows_one_in(b"ghp_0123456789abcdefghijABCDEFGHIJ012345"));
}

#[test]
fn clones_learn_together() {
    let one = knowing(&[]);
    let other = one.clone();
    one.learn("the-secret");
    assert_eq!(other.text("the-secret"), MARK);
}

/// Pieces of texts in which secrets, whole ones and halves, stand beside one another.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "the-secret",
        "the-secret-and-more",
        "the-sec",
        "ret",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "ghp_01",
        "ü",
        " ",
        "://u:pw@h",
        "://u:pw",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "dGhlLXNlY3JldA==",
        "eyJ",
        "a.b",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn however_a_text_is_cut_the_same_comes_out(text in texts(), cuts in prop::collection::vec(0usize..200, 0..8)) {
        static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| knowing(&["the-secret", "the-secret-and-more"]));
        let redactor = &*REDACTOR;
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        let (mut stream, mut out, mut from) = (redactor.stream(), Vec::new(), 0);
        for cut in cuts {
            out.extend(stream.push(&text.as_bytes()[from..cut]));
            from = cut;
        }
        out.extend(stream.end());
        let whole = redactor.text(&text).into_owned();
        prop_assert_eq!(String::from_utf8(out).unwrap(), whole.clone());
        prop_assert!(!whole.contains("the-secret"));
    }
}
