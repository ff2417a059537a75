mod measured;

use super::*;
use crate::agent::adapter::Reader;
use crate::orders::Order;
use Verdict::{Again, Done, Failed, SessionLost, Stopped};
use std::path::{Path, PathBuf};

const BROKEN_OFF: &str = "[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=tool_use";
/// The same of one that was interrupted while it waited for its model.
const BROKEN_OFF_WAITING: &str = "[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=null";
const NOW: i64 = 1_795_255_200_000;

fn claude(terminal: &Terminal) -> Ended<'_> {
    Ended {
        agent: "Claude Code",
        says_its_end: true,
        failed_exit: 1,
        stopped: None,
        exit: Exit::Code(if terminal.well { 0 } else { 1 }),
        terminal: Some(terminal),
        stderr: "",
        last_words: &terminal.words,
        changed: true,
        model: Some("the-model"),
        turns: Some(2),
        cost: Some(600_000),
        spent: 1_002_500,
        now: Timestamp::from_millis(NOW),
    }
}

fn well() -> Terminal {
    Terminal { well: true, marks: vec!["success".into()], words: "Done.".into(), ..Terminal::default() }
}

/// The terminal line among these.
fn end_of<'l>(mut reader: impl Reader, lines: impl IntoIterator<Item = &'l str>) -> Option<Terminal> {
    let shared = crate::agent::record::Shared::new();
    for line in lines {
        reader.read(line.as_bytes()).iter().for_each(|sign| shared.note(sign));
    }
    shared.record().terminal.clone()
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

/// The terminal line of a recorded run.
fn recorded(agent: &str, name: &str) -> Option<Terminal> {
    let path = goldens().join(agent).join(format!("{name}.jsonl"));
    let lines = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tree = Path::new("/workspace");
    match agent.split_once('-') {
        Some(("codex", version)) if version.ends_with("/app_server") => {
            end_of(crate::agent::codex::recorded_for_tests(tree), lines.lines())
        }
        Some(("codex", _)) => end_of(crate::agent::codex::lines_for_tests(tree), lines.lines()),
        _ => end_of(crate::agent::claude_code::lines_for_tests(tree), lines.lines()),
    }
}

/// What an end means, in a word.
fn meaning(terminal: &Terminal) -> &'static str {
    match classify(&claude(terminal)) {
        Again(Transient::Overloaded) => "overloaded",
        Again(Transient::SlowDown) => "slow_down",
        Again(Transient::Unreachable { .. }) => "unreachable",
        Failed(failure) => failure.code(),
        other => panic!("{terminal:?}: {other:?}"),
    }
}

/// The same of one that nothing but its words tells of.
fn meaning_of(words: &str) -> &'static str {
    meaning(&Terminal { words: words.into(), ..Terminal::default() })
}

fn auth() -> Verdict {
    Failed(Failure::AgentAuth { runner: "the runner".into() })
}

fn model() -> Verdict {
    Failed(Failure::ModelUnavailable { model: "the-model".into() })
}

fn unreachable(reason: &str) -> Verdict {
    Again(Transient::Unreachable { reason: reason.into() })
}

fn failed_with(agent: &str, exit: &str, last_words: &str) -> Verdict {
    Failed(Failure::AgentFailed { agent: agent.into(), exit: exit.into(), last_words: last_words.into() })
}

#[test]
fn words_that_were_read_of_and_not_recorded_have_their_meaning() {
    for (words, expected) in [
        ("API Error: Repeated 529 Overloaded errors. The API is at capacity", "overloaded"),
        (
            "stream disconnected before completion: Transport error: network error: error decoding response body",
            "unreachable",
        ),
        ("Server is temporarily limiting requests (not your usage limit)", "slow_down"),
        ("API Error: Request rejected (429) · slow down", "slow_down"),
        ("http 429 Too Many Requests", "slow_down"),
        ("unexpected status 408 Request Timeout: upstream, url: https://api.openai.com/v1/responses", "overloaded"),
        ("http 408 Request Timeout", "overloaded"),
        ("http 504 Gateway Timeout", "overloaded"),
        ("unexpected status 402 Payment Required: x, url: https://api.openai.com/v1/responses", "agent_billing"),
        ("unexpected status 413 Payload Too Large: x, url: https://api.openai.com/v1/responses", "context_too_long"),
        ("API Error: Failed to parse JSON", "unreachable"),
        ("the tests failed to parse JSON", "agent_failed"),
        ("API Error: JSON Parse error: Expected '}'", "unreachable"),
        ("API Error: JSON Parse error: Unexpected EOF", "unreachable"),
        ("the tests end with JSON Parse error: Unexpected EOF", "agent_failed"),
        (
            "API Error: API returned an empty or malformed response (HTTP 200) — check for a proxy or gateway \
             intercepting the request",
            "unreachable",
        ),
        (
            "API Error: API returned an empty or malformed response (HTTP 200) — check for a proxy or gateway \
             intercepting the request. Response: content-type json, empty body, 0 bytes, request-id absent, server \
             other. This was the non-streaming retry of streaming request (no Anthropic request-id), which failed \
             with: no_events, StreamNoEventsError; 0 stream events received.",
            "unreachable",
        ),
        ("the page said: API returned an empty or malformed response", "agent_failed"),
        ("Connection error: network timeout", "unreachable"),
        ("connect ETIMEDOUT 192.0.2.1:443", "unreachable"),
        ("read ECONNRESET", "unreachable"),
        ("API Error: Unable to connect to API (ENOTFOUND)", "unreachable"),
        ("unexpected status 502 Bad Gateway: x, url: https://api.openai.com/v1/responses", "overloaded"),
        ("the timeout of the request has passed", "unreachable"),
        ("Request timed out", "unreachable"),
        ("Failed to authenticate. API Error: 401 x", "agent_auth"),
        (
            "API Error: Claude Code is unable to respond to this request, which appears to violate our Usage Policy",
            "agent_refused",
        ),
        ("Your workspace is out of credits. Add credits to continue.", "agent_billing"),
        ("You hit your spend cap set in your workspace. Increase your spend cap to continue.", "agent_billing"),
        (
            "Your access token could not be refreshed because your refresh token was already used. Please log out and \
             sign in again.",
            "agent_auth",
        ),
        ("Your access token could not be refreshed. Please log out and sign in again.", "agent_auth"),
        ("something new", "agent_failed"),
        ("", "agent_failed"),
    ] {
        assert_eq!(meaning_of(words), expected, "{words}");
    }
}

#[test]
fn a_status_or_a_timeout_that_is_all_an_agent_says_of_its_failure_passes() {
    for (words, expected) in [
        ("HTTP 429", "slow_down"),
        ("request failed with status code 429", "slow_down"),
        ("HTTP 502", "overloaded"),
        ("HTTP 503", "overloaded"),
        ("503", "overloaded"),
        ("API Error: 529 {\"type\":\"error\"}", "overloaded"),
        ("the gateway answered with a 503 response", "overloaded"),
        ("request timeout", "unreachable"),
        ("Timeout", "unreachable"),
    ] {
        assert_eq!(meaning_of(words), expected, "{words}");
    }
    for words in [
        "line 5031",
        "the tests fail in line 503",
        "429 files changed",
        "error: 502 tests failed",
        "timeouts are configured",
        "unknown field `timeout`",
        "HTTP 400: timeout has to be a number",
        "status 418: the backend said HTTP 503",
    ] {
        assert_eq!(meaning_of(words), "agent_failed", "{words}");
    }
    // A status that was told apart means nothing that passes.
    let refused = Terminal { status: Some(400), words: "timeout: HTTP 503".into(), ..Terminal::default() };
    assert_eq!(meaning(&refused), "agent_failed");
}

#[test]
fn what_the_model_or_a_program_says_of_a_timeout_is_nothing_that_passes() {
    let said = "HTTP 503: the request ended by a timeout";
    let message = serde_json::json!({ "id": "m", "content": [{ "type": "text", "text": said }] });
    let message = serde_json::json!({ "type": "assistant", "message": message }).to_string();
    let result = |is_error: bool, words: &str| {
        serde_json::json!({ "type": "result", "subtype": "success", "is_error": is_error, "result": words }).to_string()
    };
    let heard = said_by_claude([message.as_str(), result(true, "something new").as_str()]);
    assert_eq!(meaning(&heard), "agent_failed");
    // Its last word says that all went well, and its exit code something else.
    let heard = said_by_claude([message.as_str(), result(false, said).as_str()]);
    assert_eq!(classify(&claude(&heard)), Done);
    let ended = Ended { exit: Exit::Code(1), ..claude(&heard) };
    assert_eq!(classify(&ended), failed_with("Claude Code", "exit code 1", said));
    // Without a last word, any program may have written to where it writes: it is started again, and no provider is blamed for it.
    let ended = Ended { terminal: None, stderr: said, last_words: said, ..ended };
    let crashed = Transient::Crashed { agent: "Claude Code".into(), exit: Exit::Code(1), last_words: said.into() };
    assert_eq!(classify(&ended), Again(crashed));
    let item = serde_json::json!({ "id": "item_0", "type": "agent_message", "text": said });
    let item = serde_json::json!({ "type": "item.completed", "item": item }).to_string();
    let failed = serde_json::json!({ "type": "turn.failed", "error": { "message": "something new" } }).to_string();
    let reader = crate::agent::codex::lines_for_tests(Path::new("/workspace"));
    assert_eq!(meaning(&end_of(reader, [item.as_str(), failed.as_str()]).unwrap()), "agent_failed");
}

#[test]
fn a_limit_that_was_reached_counts_where_nothing_surer_says_what_is_wrong() {
    let reached = "You've reached your Fable 5 limit";
    let spent = "You've reached your spending limit, add credits";
    let a_minute = "You've reached your limit of 50 requests per minute";
    for (status, mark, words, expected) in [
        (None, None, reached, "agent_quota"),
        (Some(429), None, reached, "agent_quota"),
        (Some(429), Some("rate_limit"), reached, "agent_quota"),
        (None, Some("rate_limit"), reached, "agent_quota"),
        (Some(402), None, spent, "agent_billing"),
        (None, None, "unexpected status 402 Payment Required: You've reached your spending limit", "agent_billing"),
        (None, None, "You've reached your limit: your credit balance is too low", "agent_billing"),
        (Some(404), None, "You've reached your limit of models", "model_unavailable"),
        (None, None, "unexpected status 404 Not Found: you reached your limit of models", "model_unavailable"),
        (Some(413), None, "You've reached your limit of 32 MB", "context_too_long"),
        (None, None, "unexpected status 413 Payload Too Large: reached your size limit", "context_too_long"),
        (Some(529), None, "Overloaded: you've reached your limit", "overloaded"),
        (Some(429), None, a_minute, "slow_down"),
        (Some(429), Some("rate_limit"), a_minute, "slow_down"),
        (None, None, "You've reached your rate limit", "slow_down"),
    ] {
        let marks = mark.map(String::from).into_iter().collect();
        let terminal = Terminal { status, marks, words: words.into(), ..Terminal::default() };
        assert_eq!(meaning(&terminal), expected, "{status:?} {mark:?} {words}");
    }
}

#[test]
fn a_limit_is_one_whatever_it_is_called() {
    for words in [
        "You've hit your limit",
        "You've hit your session limit · resets 3pm",
        "You've hit your weekly limit",
        "You've hit your Opus limit",
        "You've hit your monthly spend limit.",
        "You've hit your usage limit. Try again in 3 hours.",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
        // Each of these is known by one pattern alone.
        "The usage limit has been reached",
        "You will regain access on 2026-12-01 at 00:00 UTC.",
        "Your monthly spend limit is reached",
        "You're out of extra usage",
        "5-hour limit reached ∙ resets 3pm",
        "Session limit reached",
        "Weekly limit reached · resets 10am (Asia/Seoul) · /upgrade to Max",
        "You've reached your Fable 5 limit. Run /usage-credits to continue or switch models.",
    ] {
        assert_eq!(meaning_of(words), "agent_quota", "{words}");
    }
    for words in ["You've hit your head", "No limit, but you've hit your head", "You hit your head.\nNo limit."] {
        assert_eq!(meaning_of(words), "agent_failed", "{words}");
    }
    // Of requests in a minute, which is over before anybody waits for it.
    for words in [
        "You have reached your rate limit",
        "Rate limit reached for gpt-5 in organization org-1 on tokens per min. Please try again in 1.2s.",
        "This request would exceed your organization's rate limit of 50,000 input tokens per minute",
    ] {
        assert_eq!(meaning_of(words), "slow_down", "{words}");
    }
}

#[test]
fn a_limit_whose_end_codex_says_by_the_clock_ends_then() {
    // It is ten in the morning.
    for (said, end) in [
        ("You've hit your usage limit. Try again at 3:05 PM.", "2026-11-21T15:05:00Z"),
        (
            "You’ve hit your usage limit. Visit https://chatgpt.com/codex/settings/usage to purchase more credits or try \
             again at Dec 3rd, 2026 3:05 AM.",
            "2026-12-03T03:05:00Z",
        ),
    ] {
        let line = serde_json::json!({ "type": "turn.failed", "error": { "message": said } }).to_string();
        let reader = crate::agent::codex::lines_for_tests(Path::new("/workspace"));
        let terminal = end_of(reader, [line.as_str()]).unwrap();
        let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
        let quota = Failure::AgentQuota { time: Until(Some(Timestamp::parse(end).unwrap())) };
        assert_eq!(classify(&Ended { now, ..claude(&terminal) }), Failed(quota), "{said}");
    }
}

#[test]
fn what_an_address_or_an_id_happens_to_hold_makes_no_failure_one_that_passes() {
    for words in [
        "unexpected status 400 Bad Request: x, url: http://127.0.0.1:4290/v1/responses",
        "unexpected status 400 Bad Request: x, url: http://127.0.0.1:5290/v1/responses",
        "unexpected status 400 Bad Request: x, url: https://api.openai.com/v1/responses, request id: req_7c529e01",
        "unexpected status 400 Bad Request: x, url: https://api.openai.com/v1/responses, request id: req_7c429e01",
        "unexpected status 400 Bad Request: x, url: http://timeout.example/v1/responses",
    ] {
        assert_eq!(meaning_of(words), "agent_failed", "{words}");
    }
}

#[test]
fn a_mark_is_believed_before_a_status_and_a_status_before_words() {
    let unmarked = "success";
    for (mark, status, words, expected) in [
        ("authentication_failed", None, "Rate limit reached", "agent_auth"),
        ("authentication_failed", Some(503), "You've hit your limit", "agent_auth"),
        ("billing_error", Some(429), "Overloaded", "agent_billing"),
        ("model_not_found", Some(500), "Overloaded", "model_unavailable"),
        ("prompt_too_long", Some(401), "Invalid API key", "context_too_long"),
        ("refusal", Some(429), "Rate limit reached", "agent_refused"),
        ("error_max_turns", Some(529), "Overloaded", "turn_limit"),
        ("error_max_budget_usd", Some(529), "Overloaded", "cost_limit"),
        ("rate_limit", Some(503), "Overloaded", "slow_down"),
        ("server_error", Some(429), "Rate limit reached", "overloaded"),
        ("overloaded", Some(401), "Invalid API key", "overloaded"),
        ("connection_failed", None, "x", "unreachable"),
        ("connection_failed", Some(429), "Overloaded", "unreachable"),
        ("connection_failed", None, "You've hit your session limit", "agent_quota"),
        ("no_response", None, "x", "unreachable"),
        ("stream_idle_timeout", None, "x", "unreachable"),
        ("computer_slept", None, "x", "unreachable"),
        ("usage_limit_reached", Some(429), "x", "agent_quota"),
        (unmarked, Some(401), "x", "agent_auth"),
        (unmarked, Some(402), "x", "agent_billing"),
        (unmarked, Some(403), "x", "agent_auth"),
        (unmarked, Some(404), "x", "model_unavailable"),
        (unmarked, Some(408), "x", "overloaded"),
        (unmarked, Some(413), "x", "context_too_long"),
        (unmarked, Some(429), "x", "slow_down"),
        (unmarked, Some(500), "x", "overloaded"),
        (unmarked, Some(503), "x", "overloaded"),
        (unmarked, Some(599), "x", "overloaded"),
        (unmarked, Some(401), "Overloaded", "agent_auth"),
        (unmarked, Some(503), "Invalid API key", "overloaded"),
        // A status that may mean anything leaves it to the words.
        (unmarked, Some(400), "Overloaded", "overloaded"),
        (unmarked, Some(400), "x", "agent_failed"),
    ] {
        let terminal = Terminal { marks: vec![mark.into()], status, words: words.into(), ..Terminal::default() };
        assert_eq!(meaning(&terminal), expected, "{terminal:?}");
    }
}

#[test]
fn faults_that_a_newer_claude_code_tells_otherwise_mean_the_same() {
    // Measured with 2.1.330: the class of its message, and its result.
    for (class, result, expected) in [
        (
            "server_error",
            r#""api_error":"connection_failed","api_error_status":null,"result":"API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)""#,
            "unreachable",
        ),
        (
            "server_error",
            r#""api_error":"connection_failed","api_error_status":null,"result":"API Error: Connection dropped (ECONNRESET). Check the gateway set in ANTHROPIC_BASE_URL, then try again.""#,
            "unreachable",
        ),
        (
            "server_error",
            r#""api_error_status":null,"result":"Request timed out. If the API is slow to answer, or a proxy or gateway holds responses, set API_TIMEOUT_MS above 1500.""#,
            "unreachable",
        ),
        ("unknown", r#""api_error_status":null,"result":"API Error: JSON Parse error: Expected '}'""#, "unreachable"),
        (
            "server_error",
            r#""api_error_status":529,"api_error_type":"overloaded_error","result":"API Error: Repeated 529 Overloaded errors. The API is at capacity — this is usually temporary. Try again in a moment. If it persists, check your inference gateway (127.0.0.1:44851).""#,
            "overloaded",
        ),
        (
            "unknown",
            r#""api_error_status":408,"api_error_type":"timeout","result":"API Error: 408 Too slow""#,
            "overloaded",
        ),
        (
            "rate_limit",
            r#""api_error_status":429,"api_error_type":"rate_limit_error","result":"API Error: Request rejected (429) · slow""#,
            "slow_down",
        ),
        (
            "invalid_request",
            r#""api_error_status":null,"stop_reason":"refusal","result":"API Error: Opus 5.5's safeguards flagged this message (https://www.anthropic.com/legal/aup). This sometimes happens with safe, normal conversations.""#,
            "agent_refused",
        ),
    ] {
        let message = format!(
            r#"{{"type":"assistant","error":"{class}","message":{{"id":"m","model":"<synthetic>","content":[]}}}}"#
        );
        let end = format!(
            r#"{{"type":"result","subtype":"success","is_error":true,"terminal_reason":"api_error",{result}}}"#
        );
        let terminal = said_by_claude([message.as_str(), end.as_str()]);
        assert_eq!(meaning(&terminal), expected, "{terminal:?}");
    }
}

#[test]
fn a_limit_counts_while_the_last_report_of_it_says_rejected() {
    const OVERLOADED: &str =
        r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":529,"result":"529 Overloaded"}"#;
    const LIMITED: &str =
        r#"{"type":"result","subtype":"success","is_error":true,"result":"You've hit your session limit"}"#;
    let until = |time| Failed(Failure::AgentQuota { time: Until(time) });
    let end = Timestamp::parse("2026-12-01T00:00:00Z").unwrap();
    for (reports, result, expected) in [
        (vec!["allowed"], OVERLOADED, Again(Transient::Overloaded)),
        (vec!["allowed_warning"], OVERLOADED, Again(Transient::Overloaded)),
        (vec!["rejected", "allowed"], OVERLOADED, Again(Transient::Overloaded)),
        (vec!["rejected"], OVERLOADED, until(Some(end))),
        (vec!["allowed", "rejected"], OVERLOADED, until(Some(end))),
        (vec!["rejected"], LIMITED, until(Some(end))),
        // When another limit ends is not when this one does.
        (vec!["allowed"], LIMITED, until(None)),
    ] {
        let mut lines: Vec<String> = reports
            .iter()
            .map(|status| {
                let about = format!(r#"{{"status":"{status}","resetsAt":{}}}"#, end.millis() / 1_000);
                format!(r#"{{"type":"rate_limit_event","rate_limit_info":{about}}}"#)
            })
            .collect();
        lines.push(result.into());
        let reader = crate::agent::claude_code::lines_for_tests(Path::new("/workspace"));
        let terminal = end_of(reader, lines.iter().map(String::as_str)).unwrap();
        assert_eq!(classify(&claude(&terminal)), expected, "{reports:?} {result}");
    }
}

#[test]
fn an_account_that_draws_on_extra_usage_is_not_at_its_limit() {
    // Its plan rejects, and its requests are answered all the same.
    let report = |extra: bool| {
        let about = serde_json::json!({
            "status": "rejected", "resetsAt": 1_795_600_000_u64, "rateLimitType": "seven_day",
            "overageStatus": if extra { "allowed" } else { "rejected" }, "isUsingOverage": extra,
        });
        serde_json::json!({"type": "rate_limit_event", "rate_limit_info": about}).to_string()
    };
    let ends = |words: &str, status: u16| {
        let end = serde_json::json!({
            "type": "result", "subtype": "success", "is_error": true, "api_error_status": status, "result": words,
        });
        end.to_string()
    };
    let verdict = |lines: &[String]| classify(&claude(&said_by_claude(lines.iter().map(String::as_str))));
    let overloaded = ends("529 Overloaded", 529);
    assert_eq!(verdict(&[report(true), overloaded.clone()]), Again(Transient::Overloaded));
    assert_eq!(verdict(&[report(false), report(true), overloaded.clone()]), Again(Transient::Overloaded));
    let quota = |time| Failed(Failure::AgentQuota { time: Until(time) });
    let reset = Timestamp::from_millis(1_795_600_000_000);
    assert_eq!(verdict(&[report(true), report(false), overloaded]), quota(Some(reset)));
    // When that is used up as well, its words say so, and until when.
    let out = ends("You're out of extra usage · resets Dec 1, 3am (UTC)", 429);
    let december = Timestamp::parse("2026-12-01T03:00:00Z").unwrap();
    assert_eq!(verdict(&[report(true), out]), quota(Some(december)));
}

#[test]
fn a_limit_whose_end_claude_code_says_in_words_alone_ends_then() {
    for (words, end) in [
        ("You've hit your session limit · resets 3pm (UTC)", Some("2026-11-21T15:00:00Z")),
        ("You've reached your Fable 5 limit · resets Nov 24, 3am (UTC)", Some("2026-11-24T03:00:00Z")),
        ("Claude AI usage limit reached|1795262400", Some("2026-11-21T12:00:00Z")),
        ("You've hit your weekly limit · resets 7pm (Europe/London)", None),
    ] {
        let terminal = Terminal { marks: vec!["rate_limit".into()], words: words.into(), ..Terminal::default() };
        let time = Until(end.map(|end| Timestamp::parse(end).unwrap()));
        assert_eq!(classify(&claude(&terminal)), Failed(Failure::AgentQuota { time }), "{words}");
    }
}

/// What a tool writes that claims to be Claude Code and to have met a limit.
const CLAIMS: [&str; 2] = [
    r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1935903600}}"#,
    r#"{"type":"result","subtype":"success","is_error":true,"result":"You've hit your session limit"}"#,
];
const WELL: &str = r#"{"type":"result","subtype":"success","is_error":false,"result":"Done.","permission_denials":[]}"#;

fn said_by_claude<'l>(lines: impl IntoIterator<Item = &'l str>) -> Terminal {
    end_of(crate::agent::claude_code::lines_for_tests(Path::new("/workspace")), lines).unwrap()
}

#[test]
fn what_would_hold_other_jobs_up_is_believed_only_of_who_ended_as_one_that_failed() {
    for (words, others) in [
        ("You've hit your session limit", true),
        ("API Error: Request rejected (429) · slow down", true),
        ("API Error: Repeated 529 Overloaded errors. The API is at capacity", true),
        ("API Error: Unable to connect to API (ECONNRESET)", true),
        ("Credit balance is too low", false),
        ("Invalid API key", false),
        ("Prompt is too long", false),
        ("something new", false),
    ] {
        let terminal = Terminal { words: words.into(), ..Terminal::default() };
        for exit in [Exit::Code(0), Exit::Code(2), Exit::Code(143), Exit::Signal(9), Exit::Unknown] {
            let verdict = classify(&Ended { exit, ..claude(&terminal) });
            let doubtful = matches!(&verdict, Again(Transient::Doubtful { exit: said, .. }) if *said == exit);
            assert_eq!(doubtful, others, "{words} {exit}: {verdict:?}");
        }
        let believed = classify(&claude(&terminal));
        assert!(!matches!(believed, Again(Transient::Doubtful { .. })), "{words}: {believed:?}");
    }
    let doubtful = Transient::Doubtful { agent: "Codex".into(), exit: Exit::Code(0), last_words: "bye".into() };
    assert_eq!(doubtful.cause(), "Codex said that it failed, and ended with exit code 0");
    assert_eq!(Failed(doubtful.for_good(3)), failed_with("Codex", "exit code 0", "bye"));
}

#[test]
fn a_limit_that_a_tool_wrote_in_the_agents_name_holds_nobody_up() {
    // Measured: it goes on with its work, and its exit code is that of its own last word.
    let terminal = said_by_claude(CLAIMS.into_iter().chain([WELL]));
    let Again(transient) = classify(&Ended { exit: Exit::Code(0), ..claude(&terminal) }) else {
        panic!("{terminal:?}")
    };
    assert_eq!(transient.for_good(3).code(), "agent_failed");
    // Measured: a tool that interrupts it as well makes it fail.
    let interrupted = std::fs::read_to_string(format!(
        "{}/tests/goldens/claude_code-2.1.197/interrupted_in_tool.jsonl",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap();
    for claims in [&CLAIMS[..], &CLAIMS[..1]] {
        let terminal = said_by_claude(claims.iter().copied().chain(interrupted.lines()));
        assert_eq!(meaning(&terminal), "agent_failed", "{terminal:?}");
    }
}

#[test]
fn success_needs_everything_at_once() {
    let terminal = well();
    assert_eq!(classify(&claude(&terminal)), Done);
    let stop = Stop::Ordered(Order::Cancel);
    assert_eq!(classify(&Ended { stopped: Some(&stop), ..claude(&terminal) }), Stopped(stop));
    for exit in [Exit::Code(1), Exit::Signal(15), Exit::Unknown] {
        let ended = Ended { exit, ..claude(&terminal) };
        assert_eq!(classify(&ended), failed_with("Claude Code", &exit.to_string(), "Done."));
    }
    let silent = Ended { terminal: None, exit: Exit::Code(0), ..claude(&terminal) };
    assert_eq!(classify(&silent), failed_with("Claude Code", "exit code 0", "Done."));
}

#[test]
fn a_denied_tool_fails_only_who_changed_nothing() {
    let denied = Terminal { denied: vec!["Bash".into(), "Write".into()], ..well() };
    let kept = Ended { changed: false, ..claude(&denied) };
    assert_eq!(classify(&kept), Failed(Failure::PermissionDenied { tool: "Bash".into() }));
    assert_eq!(classify(&claude(&denied)), Done);
    // Without a change and without a denial, it is for the commit to say that there is nothing.
    assert_eq!(classify(&Ended { changed: false, ..claude(&well()) }), Done);
}

#[test]
fn a_session_that_is_not_there_is_lost_and_nothing_else_before_an_end_is_tried_again() {
    let nothing = well();
    for (stderr, lost) in [
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
        let ended = Ended { terminal: None, stderr, last_words: stderr, exit: Exit::Code(1), ..claude(&nothing) };
        let expected = if lost { SessionLost } else { failed_with("Claude Code", "exit code 1", stderr) };
        assert_eq!(classify(&ended), expected, "{stderr}");
    }
    let terminal = recorded("claude_code-2.1.197", "session_unknown").unwrap();
    assert_eq!(classify(&claude(&terminal)), SessionLost);
}

#[test]
fn a_crash_whose_last_words_speak_of_what_passes_is_tried_again_and_no_other_one() {
    let nothing = well();
    let judged =
        |stderr: &str, exit| classify(&Ended { terminal: None, stderr, last_words: "bye", exit, ..claude(&nothing) });
    let again = |exit| Again(Transient::Crashed { agent: "Claude Code".into(), exit, last_words: "bye".into() });
    let stack = format!("Error: socket hang up\n{}}}\n\nNode.js v22.1.0\n", "    at TLSSocket.onHangUp\n".repeat(12));
    for words in [
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
            assert_eq!(judged(words, exit), again(exit), "{words}");
        }
        // Killed from outside, as where memory has run out; ended as if all were well; or nobody knows.
        for exit in [Exit::Signal(9), Exit::Code(137), Exit::Code(0), Exit::Unknown] {
            assert_eq!(judged(words, exit), failed_with("Claude Code", &exit.to_string(), "bye"), "{words}");
        }
    }
    let long_ago = format!("read ECONNRESET\n{}", "something else\n".repeat(LAST_LINES));
    for words in [
        "",
        "thread 'main' panicked at src/main.rs:4:5: index out of bounds",
        "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\nread ECONNRESET",
        "Segmentation fault",
        "error: 502 tests failed",
        "Invalid API key\nread ECONNRESET",
        long_ago.as_str(),
    ] {
        for exit in [Exit::Code(1), Exit::Signal(6)] {
            assert_eq!(judged(words, exit), failed_with("Claude Code", &exit.to_string(), "bye"), "{words}");
        }
    }
    // What any program may have printed holds up no other job, however often it was tried.
    let Again(crashed) = judged("HTTP 503", Exit::Code(1)) else { panic!("it may be tried again") };
    assert_eq!(Failed(crashed.for_good(3)), failed_with("Claude Code", "exit code 1", "bye"));
}

#[test]
fn a_session_that_does_not_open_is_lost_only_where_it_is_not_there_or_can_not_be_read() {
    let not_resumed = |exit, last_words: &str| {
        Again(Transient::NotResumed { agent: "Claude Code".into(), exit, last_words: last_words.into() })
    };
    for (reason, lost) in [
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
        let words = format!("thread/resume failed: {reason}");
        let marked = Terminal { marks: vec![NOT_RESUMED.into()], words: words.clone(), ..Terminal::default() };
        let exit = Exit::Code(0);
        let served = Ended { exit, failed_exit: 0, ..claude(&marked) };
        let expected = if lost { SessionLost } else { not_resumed(exit, &words) };
        assert_eq!(classify(&served), expected, "{reason}");
        assert!(!is_of_the_account(&marked), "{reason}");
        // The other transport says the same among its errors.
        let (nothing, stderr) = (well(), format!("Error: thread/resume: {words} (code -32600)"));
        let exit = Exit::Code(1);
        let ran = Ended { terminal: None, stderr: &stderr, last_words: &stderr, exit, ..claude(&nothing) };
        let expected = if lost { SessionLost } else { not_resumed(exit, &stderr) };
        assert_eq!(classify(&ran), expected, "{reason}");
    }
    // What is wrong with its account is that, whenever it says so.
    let words = "thread/resume failed: your access token could not be refreshed".to_owned();
    let marked = Terminal { marks: vec![NOT_RESUMED.into()], words, ..Terminal::default() };
    assert_eq!(classify(&Ended { exit: Exit::Code(0), failed_exit: 0, ..claude(&marked) }), auth());
    // After all tries it is named as what it said.
    let last = Transient::NotResumed { agent: "Codex".into(), exit: Exit::Code(0), last_words: "no".into() };
    assert_eq!(last.for_good(3).code(), "agent_failed");
}

#[test]
fn where_it_said_how_it_ended_its_errors_lose_no_session() {
    let terminal = recorded("claude_code-2.1.197", "overloaded").unwrap();
    for stderr in [
        "port 3000 is already in use",
        "Error: Session ID 2222 is already in use.",
        "No conversation found with session ID: 3333",
    ] {
        assert_eq!(classify(&Ended { stderr, ..claude(&terminal) }), Again(Transient::Overloaded), "{stderr}");
    }
}

#[test]
fn a_command_is_judged_by_its_exit_code_alone() {
    let nothing = well();
    let command = |exit| Ended {
        agent: "The agent",
        says_its_end: false,
        terminal: None,
        exit,
        last_words: "bye",
        ..claude(&nothing)
    };
    assert_eq!(classify(&command(Exit::Code(0))), Done);
    let Again(transient) = classify(&command(Exit::Code(75))) else { panic!("75 may be tried again") };
    assert_eq!(Failed(transient.for_good(3)), failed_with("The agent", "exit code 75", "bye"));
    assert_eq!(classify(&command(Exit::Code(3))), failed_with("The agent", "exit code 3", "bye"));
    assert_eq!(classify(&command(Exit::Signal(9))), failed_with("The agent", "signal 9", "bye"));
}

#[test]
fn what_was_tried_often_enough_is_the_providers() {
    assert_eq!(Transient::Overloaded.for_good(3), Failure::AgentOverloaded { n: 3 });
    assert_eq!(Transient::SlowDown.for_good(3), Failure::AgentOverloaded { n: 3 });
    let unreachable = Transient::Unreachable { reason: "x".into() };
    assert_eq!(unreachable.for_good(3), Failure::AgentUnreachable { reason: "x".into() });
}
