//! Tests the verdict on every recorded run of every version. A run without a row fails the test.

use super::*;
use std::collections::BTreeSet;

/// A failure without its message, which differs between versions.
fn failure_without_text(exit: &str) -> Verdict {
    failed_with("Claude Code", exit, "")
}

fn claude_code_rows() -> Vec<(&'static str, Verdict)> {
    let until = Timestamp::parse("2026-12-01T00:00:00Z").unwrap();
    let overloaded = || Retry(Transient::overloaded());
    let cost = Failure::CostLimit { spent: "$1.00".into(), limit: "$0.60".into() };
    vec![
        ("tools_and_edits", Succeeded),
        ("resume_after", Succeeded),
        // It retried the request and succeeded.
        ("stream_cut", Succeeded),
        // It changed a file despite the denial.
        ("denied", Succeeded),
        ("overloaded", overloaded()),
        ("resume_before", overloaded()),
        ("server_error", overloaded()),
        ("rate_limited", Retry(Transient::slow_down())),
        ("usage_limit", Failed(Failure::AgentQuota { time: Until(Some(until)) })),
        ("reset", unreachable("")),
        ("connection_refused", unreachable("")),
        ("no_answer", unreachable("")),
        ("wrong_key", auth()),
        ("no_key", auth()),
        ("no_credit", Failed(Failure::AgentBilling {})),
        ("prompt_too_long", Failed(Failure::ContextTooLong {})),
        ("no_model", model()),
        ("turns", Failed(Failure::TurnLimit { limit: 2 })),
        ("budget", Failed(cost)),
        ("session_unknown", SessionLost),
        ("interrupted_in_tool", failure_without_text("exit code 1")),
        ("interrupted_in_stream", failure_without_text("exit code 1")),
        ("interrupted_waiting", failure_without_text("exit code 1")),
    ]
}

fn codex_rows() -> Vec<(&'static str, Verdict)> {
    // SIGTERM killed it during a command, so it has no end report.
    let terminated = ("terminated", failure_without_text("signal 15"));
    let (overloaded, slow_down) = (|| Retry(Transient::overloaded()), || Retry(Transient::slow_down()));
    vec![
        ("tools_and_edits", Succeeded),
        ("resume_after", Succeeded),
        ("overloaded", overloaded()),
        ("unavailable", overloaded()),
        ("resume_before", overloaded()),
        ("server_error", overloaded()),
        ("at_capacity", overloaded()),
        ("rate_limited", slow_down()),
        ("rate_limited_in_stream", slow_down()),
        ("quota", Failed(Failure::AgentBilling {})),
        ("wrong_key", auth()),
        ("context_too_long", Failed(Failure::ContextTooLong {})),
        ("no_model", model()),
        ("reset", unreachable("")),
        ("stream_cut", unreachable("")),
        ("connection_refused", unreachable("")),
        terminated,
    ]
}

/// A recording of Codex's session file, which has no end report.
const SESSION_FILE: &str = "rollout";

/// The verdict on a recorded run without its message. Checks that the message is the text of the end report.
fn verdict_without_text(end: &EndFacts<'_>, run: &str) -> Verdict {
    let message = end.end_report.map(|end_report| end_report.message.as_str()).unwrap_or_default();
    match classify(end) {
        Retry(Transient { failure: Failure::AgentUnreachable { reason }, .. }) => {
            assert_eq!(reason, message, "{run}");
            assert!(!message.is_empty(), "{run}");
            unreachable("")
        }
        Failed(Failure::AgentFailed { agent, exit, last_words }) => {
            assert_eq!(last_words, message, "{run}");
            failed_with(&agent, &exit, "")
        }
        other => other,
    }
}

#[test]
fn every_recorded_run_has_its_expected_verdict() {
    for (agent, rows) in [("claude_code", claude_code_rows()), ("codex", codex_rows())] {
        for version in goldens::versions(agent) {
            for (name, expected) in &rows {
                let (run, end_report, nothing) =
                    (format!("{version}/{name}"), load_recorded_end_report(&version, name), success());
                let end = match &end_report {
                    Some(end_report) => EndFacts { last_message: &end_report.message, ..claude_code_end(end_report) },
                    None => EndFacts {
                        end_report: None,
                        exit: Exit::Signal(15),
                        last_message: "",
                        ..claude_code_end(&nothing)
                    },
                };
                assert_eq!(&verdict_without_text(&end, &run), expected, "{run}: {end_report:?}");
            }
        }
    }
    for version in goldens::versions("claude_code") {
        let denied = load_recorded_end_report(&version, "denied").unwrap();
        let end_facts = EndFacts { has_changes: false, ..claude_code_end(&denied) };
        assert_eq!(classify(&end_facts), Failed(Failure::PermissionDenied { tool: "Bash".into() }), "{version}");
    }
}

#[test]
fn every_recorded_run_has_a_row() {
    let names = |rows: Vec<(&'static str, Verdict)>| -> BTreeSet<String> {
        rows.into_iter().map(|(name, _)| name.to_owned()).collect()
    };
    for version in goldens::versions("claude_code") {
        assert_eq!(goldens::runs(&version), names(claude_code_rows()), "{version}");
    }
    for version in goldens::versions("codex") {
        let mut recorded = goldens::runs(&version);
        assert!(recorded.remove(SESSION_FILE), "{version}");
        assert_eq!(recorded, names(codex_rows()), "{version}");
    }
}
