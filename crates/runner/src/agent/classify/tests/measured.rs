//! Tests the verdict on every recorded run of every version. A run without a row fails the test.

use super::*;
use std::collections::BTreeSet;

/// A failure without its message, which differs between versions.
fn broken_off(exit: &str) -> Verdict {
    failed_with("Claude Code", exit, "")
}

fn of_claude_code() -> Vec<(&'static str, Verdict)> {
    let until = Timestamp::parse("2026-12-01T00:00:00Z").unwrap();
    let overloaded = || Again(Transient::overloaded());
    let cost = Failure::CostLimit { spent: "$1.00".into(), limit: "$0.60".into() };
    vec![
        ("tools_and_edits", Done),
        ("resume_after", Done),
        // It retried the request and succeeded.
        ("stream_cut", Done),
        // It changed a file despite the denial.
        ("denied", Done),
        ("overloaded", overloaded()),
        ("resume_before", overloaded()),
        ("server_error", overloaded()),
        ("rate_limited", Again(Transient::slow_down())),
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
        ("interrupted_in_tool", broken_off("exit code 1")),
        ("interrupted_in_stream", broken_off("exit code 1")),
        ("interrupted_waiting", broken_off("exit code 1")),
    ]
}

fn of_codex() -> Vec<(&'static str, Verdict)> {
    // SIGTERM killed it during a command, so it has no terminal line.
    let terminated = ("terminated", broken_off("signal 15"));
    let (overloaded, slow_down) = (|| Again(Transient::overloaded()), || Again(Transient::slow_down()));
    vec![
        ("tools_and_edits", Done),
        ("resume_after", Done),
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

/// A recording of Codex's session file, which has no terminal line.
const NO_RUN: &str = "rollout";

/// The verdict on a recorded run without its message. Checks that the message is the terminal line's text.
fn judged(ended: &Ended<'_>, run: &str) -> Verdict {
    let said = ended.terminal.map(|terminal| terminal.words.as_str()).unwrap_or_default();
    match classify(ended) {
        Again(Transient { failure: Failure::AgentUnreachable { reason }, .. }) => {
            assert_eq!(reason, said, "{run}");
            assert!(!said.is_empty(), "{run}");
            unreachable("")
        }
        Failed(Failure::AgentFailed { agent, exit, last_words }) => {
            assert_eq!(last_words, said, "{run}");
            failed_with(&agent, &exit, "")
        }
        other => other,
    }
}

#[test]
fn every_recorded_run_has_its_expected_verdict() {
    for (agent, rows) in [("claude_code", of_claude_code()), ("codex", of_codex())] {
        for version in goldens::versions(agent) {
            for (name, expected) in &rows {
                let (run, terminal, nothing) = (format!("{version}/{name}"), recorded(&version, name), well());
                let ended = match &terminal {
                    Some(terminal) => Ended { last_words: &terminal.words, ..claude(terminal) },
                    None => Ended { terminal: None, exit: Exit::Signal(15), last_words: "", ..claude(&nothing) },
                };
                assert_eq!(&judged(&ended, &run), expected, "{run}: {terminal:?}");
            }
        }
    }
    for version in goldens::versions("claude_code") {
        let denied = recorded(&version, "denied").unwrap();
        let kept = Ended { changed: false, ..claude(&denied) };
        assert_eq!(classify(&kept), Failed(Failure::PermissionDenied { tool: "Bash".into() }), "{version}");
    }
}

#[test]
fn every_recorded_run_has_a_row() {
    let names = |rows: Vec<(&'static str, Verdict)>| -> BTreeSet<String> {
        rows.into_iter().map(|(name, _)| name.to_owned()).collect()
    };
    for version in goldens::versions("claude_code") {
        assert_eq!(goldens::runs(&version), names(of_claude_code()), "{version}");
    }
    for version in goldens::versions("codex") {
        let mut recorded = goldens::runs(&version);
        assert!(recorded.remove(NO_RUN), "{version}");
        assert_eq!(recorded, names(of_codex()), "{version}");
    }
}
