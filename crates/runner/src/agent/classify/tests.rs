//! Tests the verdict on an ended agent.

mod limits;
mod messages;
mod recorded_runs;

use super::*;
use crate::agent::adapter::LineParser;
use crate::agent::goldens;
use crate::inputs::orders::Order;
use Verdict::{Failed, Retry, SessionLost, Stopped, Succeeded};
use std::path::Path;

const NOW: i64 = 1_795_255_200_000;

fn claude_code_end(end_report: &EndReport) -> EndFacts<'_> {
    EndFacts {
        agent: "Claude Code",
        has_sessions: true,
        stop: None,
        exit: Exit::Code(if end_report.success { 0 } else { 1 }),
        end_report: Some(end_report),
        denied_tool: end_report.denied_tools.first().map(String::as_str),
        stderr: "",
        last_message: &end_report.message,
        has_changes: true,
        model: Some("the-model"),
        turn_limit: Some(2),
        cost_limit: Some(600_000),
        cost_upper_bound: 1_002_500,
        now: Timestamp::from_millis(NOW),
    }
}

fn success() -> EndReport {
    EndReport { success: true, codes: vec!["success".into()], message: "Done.".into(), ..EndReport::default() }
}

fn end_report_of<'l>(reader: impl LineParser, lines: impl IntoIterator<Item = &'l str>) -> Option<EndReport> {
    goldens::parse_lines(reader, lines).1.end_report
}

fn load_recorded_end_report(version: &str, name: &str) -> Option<EndReport> {
    let lines = goldens::run(version, name);
    let tree = Path::new("/workspace");
    match version.split_once('-') {
        Some(("codex", _)) => end_report_of(crate::agent::drivers::codex_reader(tree), lines.lines()),
        _ => end_report_of(crate::agent::drivers::claude_code_reader(tree), lines.lines()),
    }
}

fn verdict_code(end_report: &EndReport) -> &'static str {
    match classify(&claude_code_end(end_report)) {
        Retry(transient) if transient == Transient::overloaded() => "overloaded",
        Retry(transient) if transient == Transient::slow_down() => "slow_down",
        Retry(Transient { failure: Failure::AgentUnreachable { .. }, .. }) => "unreachable",
        Failed(failure) => failure.code(),
        other => panic!("{end_report:?}: {other:?}"),
    }
}

fn verdict_code_of_text(message: &str) -> &'static str {
    verdict_code(&EndReport { message: message.into(), ..EndReport::default() })
}

fn auth() -> Verdict {
    Failed(Failure::AgentAuth { runner: "the runner".into() })
}

fn model() -> Verdict {
    Failed(Failure::ModelUnavailable { model: "the-model".into() })
}

fn unreachable(reason: &str) -> Verdict {
    Retry(Transient::unreachable(reason))
}

fn failed_with(agent: &str, exit: &str, last_words: &str) -> Verdict {
    Failed(Failure::AgentFailed { agent: agent.into(), exit: exit.into(), last_words: last_words.into() })
}

fn parse_claude_code<'l>(lines: impl IntoIterator<Item = &'l str>) -> EndReport {
    end_report_of(crate::agent::drivers::claude_code_reader(Path::new("/workspace")), lines).unwrap()
}

#[test]
fn success_needs_a_terminal_line_and_exit_code_0_or_1() {
    let end_report = success();
    for exit in [Exit::Code(0), Exit::Code(1)] {
        assert_eq!(classify(&EndFacts { exit, ..claude_code_end(&end_report) }), Succeeded);
    }
    let stop = Stop::Order(Order::Cancel);
    assert_eq!(classify(&EndFacts { stop: Some(&stop), ..claude_code_end(&end_report) }), Stopped(stop));
    for exit in [Exit::Code(2), Exit::Code(137), Exit::Signal(15), Exit::Unknown] {
        let end = EndFacts { exit, ..claude_code_end(&end_report) };
        assert_eq!(classify(&end), failed_with("Claude Code", &exit.to_string(), "Done."));
    }
    let silent = EndFacts { end_report: None, exit: Exit::Code(0), ..claude_code_end(&end_report) };
    assert_eq!(classify(&silent), failed_with("Claude Code", "exit code 0", "Done."));
}

#[test]
fn denied_tool_fails_only_an_unchanged_worktree() {
    let (denied, done) = (EndReport { denied_tools: vec!["Bash".into(), "Write".into()], ..success() }, success());
    let end_facts = EndFacts { has_changes: false, ..claude_code_end(&denied) };
    assert_eq!(classify(&end_facts), Failed(Failure::PermissionDenied { tool: "Bash".into() }));
    assert_eq!(classify(&claude_code_end(&denied)), Succeeded);
    // The denial of an earlier turn counts as well.
    let earlier = EndFacts { has_changes: false, denied_tool: Some("Bash"), ..claude_code_end(&done) };
    assert_eq!(classify(&earlier), Failed(Failure::PermissionDenied { tool: "Bash".into() }));
    assert_eq!(classify(&EndFacts { has_changes: true, ..earlier }), Succeeded);
    // Without a change and a denial, the commit step reports the empty result.
    assert_eq!(classify(&EndFacts { has_changes: false, ..claude_code_end(&done) }), Succeeded);
}

#[test]
fn missing_session_on_stderr_is_session_lost() {
    let report = success();
    for (stderr, is_lost) in [
        ("No conversation found with session ID: 3333", true),
        ("Error: thread/resume: thread/resume failed: no rollout found for thread id 01a1 (code -32600)", true),
        ("Error: Session ID 2222 is already in use.", true),
        ("Error: listen EADDRINUSE: port 3000 is already in use", false),
        ("Session ID 2222\nport 3000 is already in use", false),
        ("--dangerously-skip-permissions cannot be used with root/sudo privileges", false),
        ("Not inside a trusted directory and --skip-git-repo-check was not specified.", false),
        ("error: unexpected argument '--x' found", false),
        ("thread 'main' panicked at src/main.rs:4:5: index out of bounds", false),
    ] {
        let end = EndFacts {
            end_report: None,
            stderr,
            last_message: stderr,
            exit: Exit::Code(1),
            ..claude_code_end(&report)
        };
        let expected = if is_lost { SessionLost } else { failed_with("Claude Code", "exit code 1", stderr) };
        assert_eq!(classify(&end), expected, "{stderr}");
    }
    for version in goldens::versions("claude_code") {
        let end_report = load_recorded_end_report(&version, "session_unknown").unwrap();
        assert_eq!(classify(&claude_code_end(&end_report)), SessionLost, "{version}");
    }
}

#[test]
fn crash_is_retried_only_after_a_connection_error() {
    let report = success();
    let verdict = |stderr: &str, exit| {
        classify(&EndFacts { end_report: None, stderr, last_message: "bye", exit, ..claude_code_end(&report) })
    };
    let retry = |exit: Exit| {
        let failure =
            Failure::AgentFailed { agent: "Claude Code".into(), exit: exit.to_string(), last_words: "bye".into() };
        Retry(Transient { cause: format!("Claude Code crashed over its connection ({exit})"), failure })
    };
    let stack = format!("Error: socket hang up\n{}}}\n\nNode.js v22.1.0\n", "    at TLSSocket.onHangUp\n".repeat(12));
    for stderr in [
        "Error: read ECONNRESET",
        "connect ETIMEDOUT 192.0.2.1:443",
        "connect ECONNREFUSED 192.0.2.1:443",
        "Error: getaddrinfo EAI_AGAIN api.anthropic.com",
        "error sending request: connection reset by peer (os error 104)",
        "ERROR stream disconnected",
        "HTTP 503",
        "Error: 529 {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}",
        "unexpected status 502 Bad Gateway",
        "429 Too Many Requests",
        "thread 'main' panicked at src/client.rs:4:5: Connection reset by peer",
        stack.as_str(),
    ] {
        for exit in [Exit::Code(1), Exit::Code(101), Exit::Signal(6), Exit::Signal(11)] {
            assert_eq!(verdict(stderr, exit), retry(exit), "{stderr}");
        }
        // Killed from outside, such as by the OOM killer; exited with 0; or an unknown status.
        for exit in [Exit::Signal(9), Exit::Code(137), Exit::Code(0), Exit::Unknown] {
            assert_eq!(verdict(stderr, exit), failed_with("Claude Code", &exit.to_string(), "bye"), "{stderr}");
        }
    }
    let long_ago = format!("read ECONNRESET\n{}", "something else\n".repeat(LAST_LINES));
    for stderr in [
        "",
        "thread 'main' panicked at src/main.rs:4:5: index out of bounds",
        "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\nread ECONNRESET",
        "Segmentation fault",
        "error: 502 tests failed",
        "Invalid API key\nread ECONNRESET",
        long_ago.as_str(),
    ] {
        for exit in [Exit::Code(1), Exit::Signal(6)] {
            assert_eq!(verdict(stderr, exit), failed_with("Claude Code", &exit.to_string(), "bye"), "{stderr}");
        }
    }
    // Any program may have printed this line, so it does not block other jobs, even after all retries.
    let Retry(crashed) = verdict("HTTP 503", Exit::Code(1)) else { panic!("it may be tried again") };
    assert_eq!(Failed(crashed.into_failure(3)), failed_with("Claude Code", "exit code 1", "bye"));
}

#[test]
fn failed_resume_loses_the_session_only_if_unreadable() {
    let retry_resume = |exit: Exit, last_words: &str| {
        let (agent, exit, last_words) = ("Claude Code".into(), exit.to_string(), last_words.into());
        let failure = Failure::AgentFailed { agent, exit, last_words };
        Retry(Transient { cause: "Claude Code could not open its session".into(), failure })
    };
    for (reason, is_lost) in [
        ("no rollout found for thread id 01a1", true),
        ("failed to resolve rollout path /home/codex/sessions/rollout-01a1.jsonl: file does not exist", true),
        ("failed to load rollout `/home/codex/sessions/rollout-01a1.jsonl`: it is not UTF-8", true),
        ("failed to read thread: thread-store internal error: rollout at /home/rollout-01a1.jsonl is empty", true),
        ("error resuming thread: thread-store internal error: failed to resume local thread recorder", true),
        ("Server overloaded; retry later.", false),
        ("timed out waiting for the thread", false),
        ("error sending request", false),
        ("unexpected status 503", false),
        ("failed to load configuration: model provider `x` not found", false),
        ("thread 01a1 is closing; retry after the thread is closed", false),
        ("internal error", false),
    ] {
        let message = format!("thread/resume failed: {reason}");
        let (report, stderr) = (success(), format!("Error: thread/resume: {message} (code -32600)"));
        let exit = Exit::Code(1);
        let end =
            EndFacts { end_report: None, stderr: &stderr, last_message: &stderr, exit, ..claude_code_end(&report) };
        let expected = if is_lost { SessionLost } else { retry_resume(exit, &stderr) };
        assert_eq!(classify(&end), expected, "{reason}");
    }
}

#[test]
fn stderr_loses_no_session_after_a_terminal_line() {
    for version in goldens::versions("claude_code") {
        let end_report = load_recorded_end_report(&version, "overloaded").unwrap();
        for stderr in [
            "port 3000 is already in use",
            "Error: Session ID 2222 is already in use.",
            "No conversation found with session ID: 3333",
        ] {
            let end = EndFacts { stderr, ..claude_code_end(&end_report) };
            assert_eq!(classify(&end), Retry(Transient::overloaded()), "{version}: {stderr}");
        }
    }
}

#[test]
fn command_is_classified_by_exit_code_alone() {
    let report = success();
    let command = |exit| EndFacts {
        agent: "The agent",
        has_sessions: false,
        end_report: None,
        exit,
        last_message: "bye",
        ..claude_code_end(&report)
    };
    assert_eq!(classify(&command(Exit::Code(0))), Succeeded);
    let Retry(transient) = classify(&command(Exit::Code(75))) else { panic!("75 may be tried again") };
    assert_eq!(Failed(transient.into_failure(3)), failed_with("The agent", "exit code 75", "bye"));
    assert_eq!(classify(&command(Exit::Code(3))), failed_with("The agent", "exit code 3", "bye"));
    assert_eq!(classify(&command(Exit::Signal(9))), failed_with("The agent", "signal 9", "bye"));
}
