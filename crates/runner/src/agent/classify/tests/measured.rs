//! What each recorded run of an agent means; a run without a row fails.

use super::*;
use std::collections::BTreeSet;

/// Every run that was recorded, and what its end means.
fn measured() -> Vec<(&'static str, &'static str, Verdict)> {
    let until = Timestamp::parse("2026-12-01T00:00:00Z").unwrap();
    let (overloaded, slow_down) = (Again(Transient::Overloaded), Again(Transient::SlowDown));
    let cost = Failure::CostLimit { spent: "$1.00".into(), limit: "$0.60".into() };
    vec![
        ("claude_code-2.1.197", "tools_and_edits", Done),
        ("claude_code-2.1.197", "resume_after", Done),
        // It asked again without a stream, and got its answer.
        ("claude_code-2.1.197", "stream_cut", Done),
        // It did something all the same.
        ("claude_code-2.1.197", "denied", Done),
        ("claude_code-2.1.197", "overloaded", overloaded.clone()),
        ("claude_code-2.1.197", "resume_before", overloaded.clone()),
        ("claude_code-2.1.197", "server_error", overloaded.clone()),
        ("claude_code-2.1.197", "rate_limited", slow_down.clone()),
        ("claude_code-2.1.197", "usage_limit", Failed(Failure::AgentQuota { time: Until(Some(until)) })),
        ("claude_code-2.1.197", "reset", unreachable("API Error: Unable to connect to API (ECONNRESET)")),
        (
            "claude_code-2.1.197",
            "connection_refused",
            unreachable("API Error: Unable to connect to API (ConnectionRefused)"),
        ),
        ("claude_code-2.1.197", "no_answer", unreachable("Request timed out")),
        ("claude_code-2.1.197", "wrong_key", auth()),
        ("claude_code-2.1.197", "no_key", auth()),
        ("claude_code-2.1.197", "no_credit", Failed(Failure::AgentBilling {})),
        ("claude_code-2.1.197", "prompt_too_long", Failed(Failure::ContextTooLong {})),
        ("claude_code-2.1.197", "no_model", model()),
        ("claude_code-2.1.197", "turns", Failed(Failure::TurnLimit { limit: 2 })),
        ("claude_code-2.1.197", "budget", Failed(cost)),
        ("claude_code-2.1.197", "session_unknown", SessionLost),
        ("claude_code-2.1.197", "interrupted_in_tool", failed_with("Claude Code", "exit code 1", BROKEN_OFF)),
        ("claude_code-2.1.197", "interrupted_in_stream", failed_with("Claude Code", "exit code 1", BROKEN_OFF_WAITING)),
        ("claude_code-2.1.197", "interrupted_waiting", failed_with("Claude Code", "exit code 1", BROKEN_OFF_WAITING)),
        ("codex-0.169.0", "tools_and_edits", Done),
        ("codex-0.169.0", "resume_after", Done),
        ("codex-0.169.0", "overloaded", overloaded.clone()),
        ("codex-0.169.0", "unavailable", overloaded.clone()),
        ("codex-0.169.0", "resume_before", overloaded.clone()),
        ("codex-0.169.0", "server_error", overloaded.clone()),
        ("codex-0.169.0", "at_capacity", overloaded),
        ("codex-0.169.0", "rate_limited", slow_down.clone()),
        ("codex-0.169.0", "rate_limited_in_stream", slow_down),
        ("codex-0.169.0", "quota", Failed(Failure::AgentBilling {})),
        ("codex-0.169.0", "wrong_key", auth()),
        ("codex-0.169.0", "context_too_long", Failed(Failure::ContextTooLong {})),
        ("codex-0.169.0", "no_model", model()),
        ("codex-0.169.0", "reset", unreachable("stream disconnected before completion: error sending request")),
        (
            "codex-0.169.0",
            "stream_cut",
            unreachable("stream disconnected before completion: stream closed before response.completed"),
        ),
        ("codex-0.169.0", "connection_refused", unreachable("Connection failed: error sending request")),
        // It died of SIGTERM in a command, and said nothing more.
        ("codex-0.169.0", "terminated", failed_with("Claude Code", "signal 15", "")),
    ]
}

#[test]
fn every_fault_that_was_measured_has_its_meaning() {
    for (agent, name, expected) in measured() {
        let (terminal, nothing) = (recorded(agent, name), well());
        let ended = match &terminal {
            Some(terminal) => claude(terminal),
            None => Ended { terminal: None, exit: Exit::Signal(15), last_words: "", ..claude(&nothing) },
        };
        assert_eq!(classify(&ended), expected, "{agent}/{name}: {terminal:?}");
    }
    let denied = recorded("claude_code-2.1.197", "denied").unwrap();
    let kept = Ended { changed: false, ..claude(&denied) };
    assert_eq!(classify(&kept), Failed(Failure::PermissionDenied { tool: "Bash".into() }));
}

#[test]
fn every_run_that_was_recorded_has_a_row_among_those_that_were_measured() {
    // What Codex keeps of a session: no lines of a run, and it has no end.
    const NO_RUN: (&str, &str) = ("codex-0.169.0", "rollout.jsonl");
    let names = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let of_version = |version: String| {
        let recorded = names(&goldens().join(&version));
        recorded.into_iter().map(move |name| (version.clone(), name)).collect::<Vec<_>>()
    };
    let mut recorded: BTreeSet<_> = names(&goldens()).into_iter().flat_map(of_version).collect();
    let rows = measured().into_iter().map(|(version, name, _)| (version.to_owned(), format!("{name}.jsonl")));
    let no_run = (NO_RUN.0.to_owned(), NO_RUN.1.to_owned());
    // Runs of the other transport have a folder of their own, and rows of theirs.
    assert!(recorded.remove(&("codex-0.169.0".to_owned(), "app_server".to_owned())));
    assert_eq!(recorded, rows.chain([no_run]).collect::<BTreeSet<_>>());
    let recorded: BTreeSet<_> = names(&goldens().join("codex-0.169.0/app_server")).into_iter().collect();
    let rows = SERVED_ALIKE.into_iter().chain(served_alone().into_iter().map(|(name, _)| name));
    assert_eq!(recorded, rows.map(|name| format!("{name}.jsonl")).collect::<BTreeSet<_>>());
}

/// How a recorded start of Codex as a server is judged, which ends with 0 whatever came of it.
fn served(name: &str) -> Verdict {
    let terminal = recorded("codex-0.169.0/app_server", name).unwrap_or_else(|| panic!("{name} has no end"));
    let words = terminal.words.clone();
    classify(&Ended { exit: Exit::Code(0), failed_exit: 0, last_words: &words, ..claude(&terminal) })
}

/// Runs that were recorded of both transports.
const SERVED_ALIKE: [&str; 16] = [
    "tools_and_edits",
    "resume_before",
    "resume_after",
    "at_capacity",
    "connection_refused",
    "context_too_long",
    "no_model",
    "overloaded",
    "quota",
    "rate_limited",
    "rate_limited_in_stream",
    "reset",
    "server_error",
    "stream_cut",
    "unavailable",
    "wrong_key",
];

/// Those that were recorded of Codex as a server alone.
fn served_alone() -> Vec<(&'static str, Verdict)> {
    let interrupted = || failed_with("Claude Code", "exit code 0", "its turn was interrupted");
    vec![
        ("quota_status", Failed(Failure::AgentBilling {})),
        ("usage_limit", Failed(Failure::AgentQuota { time: Until(None) })),
        ("session_unknown", SessionLost),
        ("interrupted_in_tool", interrupted()),
        ("interrupted_waiting", interrupted()),
        ("agents_of_the_agent", Done),
        ("steered", Done),
        ("told_after_its_end", Done),
    ]
}

#[test]
fn codex_as_a_server_means_the_same_by_every_fault() {
    for name in SERVED_ALIKE {
        let terminal = recorded("codex-0.169.0", name).unwrap();
        let words = terminal.words.clone();
        assert_eq!(served(name), classify(&Ended { last_words: &words, ..claude(&terminal) }), "{name}");
    }
    for (name, expected) in served_alone() {
        assert_eq!(served(name), expected, "{name}");
    }
    // Whoever ended it otherwise was not it.
    let terminal = recorded("codex-0.169.0/app_server", "overloaded").unwrap();
    for exit in [Exit::Code(1), Exit::Signal(15)] {
        let verdict = classify(&Ended { exit, failed_exit: 0, ..claude(&terminal) });
        assert!(matches!(verdict, Again(Transient::Doubtful { .. })), "{verdict:?}");
    }
}
