use super::Row;
use crate::fixtures::job_id;
use crate::text::decision::Reason;
use crate::text::failure::Failure;
use crate::text::id::RepositoryName;
use crate::text::time::Timestamp;
use crate::text::wait::Wait;
use crate::text::{Quoted, Span, truncate};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

type RowText = (&'static str, String, String);

fn reason_text(reason: &Reason) -> RowText {
    (reason.code(), reason.sentence(), reason.help())
}

fn wait_text(wait: &Wait) -> RowText {
    (wait.code(), wait.sentence(), wait.help())
}

fn failure_text(failure: &Failure) -> RowText {
    (failure.code(), failure.sentence(), failure.help())
}

#[track_caller]
fn check((code, sentence, help): RowText, limit: usize) {
    assert!(code.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{code}");
    for text in [&sentence, &help] {
        assert!(text.chars().count() <= limit, "{code} is too long: {text}");
        assert!(!text.contains(char::is_control), "{code} has a control character: {text:?}");
        assert!(text.ends_with(['.', '?']), "{code} has no full stop: {text}");
    }
}

#[test]
fn every_row_has_a_short_sentence_and_help() {
    let reasons = Reason::samples().iter().map(reason_text).collect::<Vec<_>>();
    let waits = Wait::samples().iter().map(wait_text).collect::<Vec<_>>();
    let failures = Failure::samples().iter().map(failure_text).collect::<Vec<_>>();
    for row_text in [reasons, waits, failures].into_iter().flatten() {
        assert!(!row_text.1.contains(['{', '}']) && !row_text.2.contains(['{', '}']), "unfilled fact: {row_text:?}");
        check(row_text, 140);
    }
}

#[test]
fn every_row_survives_serialization() {
    for failure in Failure::samples() {
        let text = serde_json::to_string(&failure).unwrap();
        assert!(text.contains(failure.code()), "{text}");
        assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), failure);
    }
    for reason in Reason::samples() {
        let text = serde_json::to_string(&reason).unwrap();
        assert_eq!(serde_json::from_str::<Reason>(&text).unwrap(), reason);
    }
    for wait in Wait::samples() {
        let text = serde_json::to_string(&wait).unwrap();
        assert_eq!(serde_json::from_str::<Wait>(&text).unwrap(), wait);
    }
}

#[test]
fn documented_rows_match_codes_and_classes() {
    let of = |row: &Row| (row.code, row.class.clone());
    let expected: Vec<_> = Reason::samples().iter().map(|r| (r.code(), r.verdict().as_str().to_owned())).collect();
    assert_eq!(Reason::rows().iter().map(of).collect::<Vec<_>>(), expected);
    let expected: Vec<_> =
        Failure::samples().iter().map(|f| (f.code(), format!("{:?}", f.class()).to_lowercase())).collect();
    assert_eq!(Failure::rows().iter().map(of).collect::<Vec<_>>(), expected);
    let expected: Vec<_> =
        Wait::samples().iter().map(|w| (w.code(), format!("{:?}", w.class()).to_lowercase())).collect();
    assert_eq!(Wait::rows().iter().map(of).collect::<Vec<_>>(), expected);
}

#[test]
fn sentences_format_their_facts() {
    let failure = Failure::AgentFailed {
        agent: "codex".into(),
        exit: "exit code 1".into(),
        last_words: "I give\nup {really}".into(),
    };
    assert_eq!(failure.sentence(), "codex stopped with exit code 1: \"I give up {really}\".");
    let wait = Wait::FargateThrottled { next: Timestamp::from_millis(1_795_154_401_000) };
    assert_eq!(wait.sentence(), "AWS is throttling task starts; next try at 2026-11-20 06:00 UTC.");
    let reason = Reason::Accepted { job: job_id("j") };
    assert_eq!(reason.sentence(), format!("Created job {}.", job_id("j").short()));
    assert_eq!(Failure::TurnLimit { limit: 500 }.sentence(), "The agent used all 500 turns.");
    let limit = Span(3_600);
    assert_eq!(Failure::TimeLimit { limit }.sentence(), "The job reached its time limit of 60 min.");
}

#[test]
fn branch_protected_quotes_the_forge_and_parses_without_it() {
    let of_before: Failure = serde_json::from_str(r#"{"code":"branch_protected","branch":"x"}"#).unwrap();
    assert_eq!(of_before, Failure::BranchProtected { branch: "x".into(), reason: Quoted(None) });
    assert_eq!(of_before.sentence(), "`x` is protected against this account.");
    let text = serde_json::to_string(&of_before).unwrap();
    assert!(!text.contains("reason"), "an older version must parse it: {text}");
    let failure_with =
        |reason: &str| Failure::BranchProtected { branch: "x".into(), reason: Quoted(Some(reason.into())) };
    let failure = failure_with("Commits must have\nverified signatures.");
    let sentence = "`x` is protected against this account: \"Commits must have verified signatures\".";
    assert_eq!(failure.sentence(), sentence);
    assert!(failure.help().contains("`commits.signing_secret`"), "{}", failure.help());
    assert_eq!(failure_with(" ").sentence(), of_before.sentence());
    assert_eq!(failure_with("x".repeat(9_000).as_str()).clipped(), failure_with(&format!("{}…", "x".repeat(199))));
}

#[test]
fn source_denied_quotes_the_forge_and_parses_without_it() {
    let old = r#"{"code":"source_denied","forge":"GitHub","repo":"acme/app"}"#;
    let of_before: Failure = serde_json::from_str(old).unwrap();
    let with = |reason: Option<&str>| {
        let repo = RepositoryName::new("acme/app").unwrap();
        Failure::SourceDenied { forge: "GitHub".into(), repo, reason: Quoted(reason.map(str::to_owned)) }
    };
    assert_eq!(of_before, with(None));
    assert_eq!(of_before.sentence(), "GitHub refused the credentials for acme/app.");
    assert_eq!(serde_json::to_string(&of_before).unwrap(), old, "an older version must parse it");
    let failure = with(Some("The organization has\nan IP allow list."));
    let sentence = "GitHub refused the credentials for acme/app: \"The organization has an IP allow list\".";
    assert_eq!(failure.sentence(), sentence);
}

#[test]
fn stored_age_of_an_older_version_is_ignored() {
    let time = Timestamp::from_millis(1_795_154_401_000);
    let old = r#"{"code":"held_until","ago":60,"time":1795154401000}"#;
    let held: Reason = serde_json::from_str(old).unwrap();
    let sentence = "A pull request is revised at most once an hour; this review will be part of the next revision at \
                    2026-11-20 06:00 UTC.";
    assert_eq!(held.sentence(), sentence);
    assert_eq!(
        serde_json::to_string(&held).unwrap(),
        serde_json::to_string(&Reason::HeldUntil { ago: None, time }).unwrap()
    );
    for (reason, row) in Reason::samples().iter().zip(Reason::rows()) {
        assert!(!reason.sentence().contains(" ago"), "a stored sentence would keep its age: {row:?}");
    }
}

/// Text that a request body, a ticket tool, an agent or AWS may contain.
fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\\PC\\n\\r\\t\\x00-\\x1f\\x7f-\\u{9f}\u{202e}]{0,300}",
        "[\\x00-\\x1f \\n]{40,400}",
        (
            1..9_000usize,
            prop_oneof![
                Just("x"),
                Just("ü"),
                Just("日"),
                Just("👩‍🚀"),
                Just("{}"),
                Just("\n"),
                Just("\u{1b}[31m"),
                Just("`\".")
            ]
        )
            .prop_map(|(times, unit)| unit.repeat(times)),
    ]
}

/// Every row with this number or text as each fact, or else with the longest id that the fact takes.
fn hostile_rows<T: Serialize + DeserializeOwned>(samples: Vec<T>, text: &str, n: u64) -> Vec<T> {
    let ids = ["日".repeat(64), format!("{}/{}", "o".repeat(100), "n".repeat(100)), "p".repeat(40)];
    let facts: Vec<Value> = [Value::from(n), Value::from(text)].into_iter().chain(ids.map(Value::from)).collect();
    let row = |sample: T| {
        let mut value = serde_json::to_value(sample).unwrap();
        let names: Vec<String> = value.as_object().unwrap().keys().filter(|name| *name != "code").cloned().collect();
        for name in names {
            for fact in &facts {
                let mut next = value.clone();
                next[&name] = fact.clone();
                if serde_json::from_value::<T>(next.clone()).is_ok() {
                    value = next;
                    break;
                }
            }
        }
        serde_json::from_value(value).unwrap()
    };
    samples.into_iter().map(row).collect()
}

/// A sentence with its longest facts. Units: characters.
const MAX_HOSTILE_CHARS: usize = 400;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn hostile_facts_keep_sentences_well_formed(
        text in hostile_text(), n in prop_oneof![0..9u64, any::<u64>(), Just(u64::MAX)],
    ) {
        for reason in hostile_rows(Reason::samples(), &text, n) {
            check(reason_text(&reason), MAX_HOSTILE_CHARS);
            check(reason_text(&reason.clipped()), MAX_HOSTILE_CHARS);
        }
        for failure in hostile_rows(Failure::samples(), &text, n) {
            check(failure_text(&failure), MAX_HOSTILE_CHARS);
            check(failure_text(&failure.clipped()), MAX_HOSTILE_CHARS);
        }
        for wait in hostile_rows(Wait::samples(), &text, n) {
            // A wait may contain another wait and its own cause, and its command has all labels, quoted.
            check(wait_text(&wait), 100 * MAX_HOSTILE_CHARS);
            check(wait_text(&wait.clipped()), 100 * MAX_HOSTILE_CHARS);
        }
    }

    #[test]
    fn clipped_codes_are_small_and_clipping_is_idempotent(text in hostile_text()) {
        for failure in hostile_rows(Failure::samples(), &text, 3) {
            let cut = failure.clipped();
            prop_assert_eq!(cut.clone().clipped(), cut.clone());
            // A character takes up to four bytes; quotes and backslashes are escaped.
            prop_assert!(serde_json::to_string(&cut).unwrap().len() < 3 * 4 * 200 + 300);
        }
        for reason in hostile_rows(Reason::samples(), &text, 3) {
            let cut = reason.clipped();
            prop_assert_eq!(cut.clone().clipped(), cut);
        }
    }

    #[test]
    fn clipped_text_is_printable_and_within_its_limit(text in hostile_text(), most in 1..300usize) {
        let output = truncate(&text, most);
        prop_assert!(output.chars().count() <= most && !output.contains(char::is_control));
        let hides = output.contains(['\u{202e}', '\u{200b}', '\u{2028}', '\u{feff}']);
        prop_assert!(!hides);
        // Invisible and bidirectional characters are replaced and trimmed like control characters.
        let full_length = truncate(&text, usize::MAX).chars().count();
        prop_assert_eq!(output.chars().count(), full_length.min(most));
        prop_assert!(full_length <= most || output.ends_with('…'));
    }
}

#[test]
fn class_label_is_shown_only_beside_a_sentence_without_it() {
    let no_changes = Failure::NoChanges { left_out: Quoted(None) };
    assert_eq!(no_changes.class().label_beside(&no_changes.sentence()), None);
    let stopped = Failure::AgentFailed { agent: "codex".into(), exit: "exit code 1".into(), last_words: "no".into() };
    assert_eq!(stopped.class().label_beside(&stopped.sentence()), Some("the agent"));
}
