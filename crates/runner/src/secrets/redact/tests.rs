//! Tests redaction of known secrets and of tokens by their shape.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use pullyard_domain::text::{Quoted, Span};
use pullyard_protocol::event::EventKind;
use serde_json::json;
use std::sync::LazyLock;

mod coloured;
mod escaped;
mod hostile;
mod quoted;
mod wrapped;

const SECRET: &str = "s3cr3t/+ü \"value\"";

fn redactor_for(secrets: &[&str]) -> Redactor {
    let redactor = Redactor::new([]);
    secrets.iter().for_each(|secret| redactor.add_secret(secret));
    redactor
}

fn check(text: &str, expected: &str) {
    assert_eq!(redactor_for(&[SECRET]).redact_text(text), expected, "{text}");
}

#[test]
fn known_secret_is_redacted_in_every_form() {
    check("nothing to see", "nothing to see");
    check(&format!("it is {SECRET}!"), "it is [redacted]!");
    check(&format!("{SECRET}{SECRET}"), "[redacted][redacted]");
    check("?key=s3cr3t%2F%2B%C3%BC%20%22value%22&x", "?key=[redacted]&x");
    check("key=s3cr3t%2f%2b%c3%bc+%22value%22", "key=[redacted]");
    check(r#"{"key":"s3cr3t/+ü \"value\""}"#, r#"{"key":"[redacted]"}"#);
}

#[test]
fn known_secret_is_found_in_every_url_encoding() {
    let secret = "s3/cr3t!*'()~:@ +=";
    for written in [
        // Python's `quote` and `quote_plus`, JavaScript's `encodeURIComponent` and `encodeURI`, and form encoding.
        "s3/cr3t%21%2A%27%28%29~%3A%40%20%2B%3D",
        "s3%2Fcr3t%21%2A%27%28%29~%3A%40+%2B%3D",
        "s3%2Fcr3t!*'()~%3A%40%20%2B%3D",
        "s3/cr3t!*'()~:@%20+=",
        "s3%2Fcr3t%21*%27%28%29%7E%3A%40+%2B%3D",
        "s3%2fcr3t%21%2a%27%28%29%7e%3a%40%20%2b%3d",
    ] {
        assert_eq!(redactor_for(&[secret]).redact_text(&format!("?key={written}&x")), "?key=[redacted]&x", "{written}");
    }
}

#[test]
fn known_secret_is_found_in_base64_at_any_alignment() {
    let redactor = redactor_for(&[SECRET]);
    for user in ["", "u", "us", "use", "user:"] {
        for rest in ["", "x", "xy", "xyz"] {
            let encoded = STANDARD.encode(format!("{user}{SECRET}{rest}"));
            let text = format!("Authorization: Basic {encoded}");
            let clean = redactor.redact_text(&text);
            assert!(clean.contains(MARK), "{user}|{rest}: {clean}");
            // The remainder has at most the bits that the secret shares with its neighbours.
            let remainder = clean.replace(MARK, "");
            assert!(remainder.len() <= text.len() - 20, "{user}|{rest}: {clean}");
        }
    }
}

#[test]
fn lines_of_a_known_key_are_found_alone() {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj";
    let redactor = redactor_for(&[&format!("-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----\n")]);
    assert_eq!(redactor.redact_text(&format!("  {line}  ")), "  [redacted]  ");
    assert_eq!(redactor.redact_text("a plain line"), "a plain line");
}

#[test]
fn token_shapes_are_redacted() {
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
            let text = format!("{before}{token}{after}");
            let clean = redactor_for(&[]).redact_text(&text).into_owned();
            assert!(clean.starts_with(&format!("{before}{MARK}")), "{text}: {clean}");
            assert!(!clean.contains(token.get(4..20).unwrap()), "{clean}");
        }
    }
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----";
    assert_eq!(redactor_for(&[]).redact_text(&format!("{pem} rest")), "[redacted] rest");
    assert_eq!(
        redactor_for(&[]).redact_text("git clone https://me:hunter2@forge.example/x"),
        "git clone https://me:[redacted]@forge.example/x"
    );
}

#[test]
fn text_similar_to_a_token_stays() {
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
        assert_eq!(redactor_for(&[]).redact_text(text), text);
    }
}

#[test]
fn values_too_short_for_a_secret_are_not_learned() {
    assert_eq!(redactor_for(&["main", ""]).redact_text("the main branch"), "the main branch");
}

#[test]
fn secret_has_8_bytes_and_a_line_of_one_has_32() {
    let redactor = redactor_for(&["hunter2x", " short-1 "]);
    for before in 0..20 {
        let before = ".".repeat(before);
        assert_eq!(redactor.redact_text(&format!("{before}hunter2x")), format!("{before}{MARK}"));
    }
    assert_eq!(redactor.redact_text("it is short-1"), "it is short-1");
    let (long, short) = ("0123456789abcdefghijABCDEFGHIJ+/", "another-line-of-the-same-secret");
    assert_eq!((long.len(), short.len()), (32, 31));
    let redactor = redactor_for(&[&format!("{long}\n{short}")]);
    assert_eq!(redactor.redact_text(&format!("{long} and {short}")), format!("{MARK} and {short}"));
    assert_eq!(redactor.redact_text(&format!("{long}\n{short}")), MARK);
}

#[test]
fn every_secret_word_marks_a_variable_name() {
    for word in [
        "KEY",
        "KEYS",
        "APIKEY",
        "TOKEN",
        "SECRET",
        "SECRETS",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "PASS",
        "PWD",
        "PAT",
        "AUTH",
        "CREDENTIAL",
        "CREDENTIALS",
        "CREDS",
        "DSN",
    ] {
        for name in [format!("X_{word}_PROD"), format!("x.{}2", word.to_lowercase())] {
            assert!(is_secret_name(&name), "{name}");
        }
    }
    for ending in ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIALS", "BOOTSTRAP"] {
        for name in [format!("X_MY{ending}"), format!("X_{ending}")] {
            assert!(is_secret_name(&name), "{name}");
        }
    }
}

#[test]
fn secret_variables_are_recognized_by_name() {
    for name in [
        "ANTHROPIC_API_KEY",
        "npm_token",
        "DB_PASSWORD",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "OPENAI_APIKEY",
        "GITHUB_PAT",
        "AZURE_DEVOPS_EXT_PAT",
        "SIGNING_PASSPHRASE",
        "SECRET_BASE",
        "DJANGO_SECRET_PROD",
        "TOKEN_OF_THE_FORGE",
        "API_KEY_2",
        "API_KEY2",
        "GITHUB_PAT_1",
        "PASSWORD1",
        "KEY_STAGING",
        "DB_PASS",
        "SMTP_PASS_2",
        "MYSQL_PWD",
        "API_KEYS",
        "AWS_CREDS",
        "SENTRY_DSN",
        "NPM_CONFIG__AUTH",
        "DOCKER_AUTH_CONFIG",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in [
        "HOME",
        "PATH",
        "TOKENIZER",
        "KEYBOARD",
        "LANG",
        "PATTERN",
        "CLASSPATH",
        "GIT_PATCH",
        "PATCH_LEVEL",
        "XPAT",
        "PULLYARD_CODEX_AUTH",
        "SSH_KEY_PATH",
        "SECRET_NAME",
        "TOKEN_URL",
        "MAX_TOKENS",
        "PWD",
        "OLDPWD",
        "SSH_AUTH_SOCK",
        "AUTH_METHOD",
        "GIT_AUTHOR_NAME",
        "MONKEY_BUSINESS",
        "COMPASS",
        "BYPASS",
        "2",
    ] {
        assert!(!is_secret_name(name), "{name}");
    }
}

#[test]
fn every_field_of_events_and_failures_is_redacted() {
    let redactor = redactor_for(&["the-secret"]);
    let mut draft = EventDraft::new(EventKind::ToolCall);
    draft.text = Some("a the-secret".into());
    draft.name = Some("the-secret".into());
    draft.path = Some("x/the-secret".into());
    draft.call = Some("the-secret".into());
    draft.data = Some(json!({ "the-secret": [{ "deep": "the-secret!" }, 5, null] }));
    let clean = redactor.redact_draft(draft);
    assert!(!format!("{clean:?}").contains("the-secret"), "{clean:?}");
    assert_eq!(clean.data, Some(json!({ "[redacted]": [{ "deep": "[redacted]!" }, 5, null] })));

    let failure =
        Failure::AgentFailed { agent: "a".into(), exit: "exit code 1".into(), last_words: "key the-secret".into() };
    let Failure::AgentFailed { last_words, .. } = redactor.redact_failure(failure) else { panic!("another failure") };
    assert_eq!(last_words, "key [redacted]");
    let no_changes = Failure::NoChanges { left_out: Quoted(None) };
    assert_eq!(redactor.redact_failure(no_changes.clone()), no_changes);
    let all = Failure::samples();
    assert!(all.iter().all(|sample| redactor.redact_failure(sample.clone()) == *sample));
}

#[test]
fn numeric_secret_is_redacted_in_json() {
    let mut value = json!({ "pin": 471108150815_u64, "n": [-471108150815_i64, 4711, 0.5], "id": 471108150816_u64 });
    redactor_for(&["471108150815"]).redact_value(&mut value);
    assert_eq!(value, json!({ "pin": MARK, "n": [MARK, 4711, 0.5], "id": 471108150816_u64 }));
}

#[test]
fn failure_quotes_the_last_line_without_secret_parts() {
    let redactor = redactor_for(&["the-secret"]);
    let quoted = |text: &str| {
        let last_words = text.to_owned();
        let failure = Failure::AgentFailed { agent: "a".into(), exit: "exit code 1".into(), last_words };
        let Failure::AgentFailed { last_words, .. } = redactor.redact_failure(failure).clipped() else {
            panic!("another failure")
        };
        last_words
    };
    assert_eq!(quoted("one\ntwo\n\n"), "two");
    // The last line alone would not look like a key.
    assert_eq!(quoted("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq"), MARK);
    let cut = quoted(&format!("{}the-secret and on", "x".repeat(195)));
    assert!(cut.chars().count() <= 200 && !cut.contains("the"), "{cut}");
}

#[test]
fn stall_failure_quotes_the_last_line_redacted() {
    let redactor = redactor_for(&["the-secret"]);
    let texts =
        [("one\ntwo the-secret\n\n", "two [redacted]"), ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq", MARK)];
    for (text, expected) in texts {
        let (limit, event) = (Span(600), text.to_owned());
        for failure in [Failure::Stalled { limit, event: event.clone() }, Failure::ProviderStalled { limit, event }] {
            match redactor.redact_failure(failure) {
                Failure::Stalled { event, .. } | Failure::ProviderStalled { event, .. } => assert_eq!(event, expected),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn tokens_of_a_credentials_file_are_learned_one_by_one() {
    let file =
        r#"{"auth_mode":"chatgpt","tokens":{"access_token":"planted-access","refresh_token":"planted-refresh"}}"#;
    for redactor in [redactor_for(&[file]), Redactor::new([file.to_owned()])] {
        assert_eq!(redactor.redact_text("it is planted-refresh, by chatgpt"), "it is [redacted], by chatgpt");
    }
    let redactor = redactor_for(&[]);
    redactor.add_file_tokens(file);
    assert_eq!(redactor.redact_text("planted-access"), MARK);
    redactor.add_file_tokens("planted-elsewhere");
    assert_eq!(redactor.redact_text("planted-elsewhere"), "planted-elsewhere");
}

#[test]
fn password_of_a_known_url_is_learned() {
    let redactor = redactor_for(&["postgres://app:pl%40nted-pw@db.example/app"]);
    assert_eq!(redactor.redact_text("PGPASSWORD=pl@nted-pw psql"), "PGPASSWORD=[redacted] psql");
    let header = STANDARD.encode("app:pl@nted-pw");
    assert!(redactor.contains_secret(format!("Proxy-Authorization: Basic {header}").as_bytes()));
    assert_eq!(redactor.redact_text("db.example and app"), "db.example and app");
}

#[test]
fn cut_text_ends_without_the_start_of_a_secret() {
    let redactor = redactor_for(&["the-secret"]);
    for secret in ["the-secret", "ghp_0123456789abcdefghijABCDEFGHIJ012345"] {
        for cut in 0..secret.len() {
            let text = format!("{}{}", "x ".repeat(5_000), &secret[..cut]);
            let prefix = String::from_utf8(redactor.redact_prefix(text.as_bytes())).unwrap();
            assert!(prefix.len() > 5_000 && prefix.bytes().all(|byte| b"x ".contains(&byte)), "{secret} up to {cut}");
        }
    }
    let text = format!("the-secret {}", "x".repeat(5_000));
    assert!(redactor.redact_prefix(text.as_bytes()).starts_with(b"[redacted] xxx"));
}

#[test]
fn search_finds_secrets_across_pieces() {
    let redactor = redactor_for(&["the-secret"]);
    let text = format!("{}the-secret{}", "x".repeat(1_000), "y".repeat(1_000));
    for size in [1, 3, 7, 1_003, 5_000] {
        let mut search = redactor.search();
        let mut pieces = text.as_bytes().chunks(size);
        assert!(pieces.any(|piece| search.push(piece)), "in pieces of {size}");
    }
    let mut search = redactor.search();
    assert!(
        !text
            .replace("the-secret", "ghp_0123456789abcdefghijABCDEFGHIJ012345")
            .as_bytes()
            .chunks(7)
            .any(|piece| search.push(piece))
    );
}

#[test]
fn only_known_secrets_block_publishing() {
    let redactor = redactor_for(&["the-secret"]);
    assert!(redactor.contains_secret(b"x the-secret y"));
    assert!(redactor.contains_secret(STANDARD.encode("user:the-secret").as_bytes()));
    assert!(!redactor.contains_secret(b"ghp_0123456789abcdefghijABCDEFGHIJ012345"));
}

#[test]
fn clones_share_learned_secrets() {
    let one = redactor_for(&[]);
    let other = one.clone();
    one.add_secret("the-secret");
    assert_eq!(other.redact_text("the-secret"), MARK);
}

fn find_base64_part(secret: &str, text: &str, length: usize) -> Option<String> {
    let all = (0..3).map(|before| STANDARD.encode(format!("{}{secret}", "\0".repeat(before))));
    let mut parts = all.flat_map(|form| {
        // The ends depend on the neighbouring characters.
        let form = form[4..form.len() - 4].to_owned();
        (0..form.len().saturating_sub(length) + 1).map(move |from| form[from..from + length].to_owned())
    });
    parts.find(|part| text.contains(part.as_str()))
}

fn arbitrary_text() -> impl Strategy<Value = String> {
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
        "dGhlLXNl\nY3JldA==",
        "dGhl\r\nLXNlY3JldA==",
        "dGhlLXNlY3Jl",
        "\\n",
        "\x1b[32m",
        "%3A",
        "\n",
        "eyJ",
        "a.b",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "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",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn redaction_is_independent_of_stream_pieces(text in arbitrary_text(), cuts in prop::collection::vec(0usize..200, 0..8)) {
        static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| redactor_for(&["the-secret", "the-secret-and-more"]));
        let redactor = &*REDACTOR;
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        let (mut stream, mut out, mut from) = (redactor.stream(), Vec::new(), 0);
        for cut in cuts {
            out.extend(stream.push(&text.as_bytes()[from..cut]));
            from = cut;
        }
        out.extend(stream.finish());
        let expected = redactor.redact_text(&text).into_owned();
        prop_assert_eq!(String::from_utf8(out).unwrap(), expected.clone());
        prop_assert!(!expected.contains("the-secret"));
    }
}

#[test]
fn common_parts_of_private_keys_are_no_secret() {
    let head = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW";
    let own = "QyNTUxOQAAACB0aGUgcHVibGljIHBhcnQgb2YgYSBrZXkgdGhhdCBpcyBub25lAAAAoA";
    let key = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{head}\n{own}\n-----END OPENSSH PRIVATE KEY-----\n");
    let redactor = redactor_for(&[&key]);
    for common in ["-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----", head] {
        assert!(!redactor.contains_secret(common.as_bytes()), "{common}");
    }
    assert!(redactor.contains_secret(own.as_bytes()) && redactor.contains_secret(key.as_bytes()));
}
