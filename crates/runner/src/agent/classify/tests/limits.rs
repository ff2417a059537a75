//! Tests account limits: which messages report one, when it ends, and which exits confirm it.

use super::*;

#[test]
fn reached_limit_yields_to_more_specific_causes() {
    let reached = "You've reached your Fable 5 limit";
    let spent = "You've reached your spending limit, add credits";
    let a_minute = "You've reached your limit of 50 requests per minute";
    for (status, code, message, expected) in [
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
        let codes = code.map(String::from).into_iter().collect();
        let end_report = EndReport { status, codes, message: message.into(), ..EndReport::default() };
        assert_eq!(verdict_code(&end_report), expected, "{status:?} {code:?} {message}");
    }
}

#[test]
fn every_known_wording_of_a_limit_is_recognized() {
    for message in [
        "You've hit your limit",
        "You've hit your session limit · resets 3pm",
        "You've hit your weekly limit",
        "You've hit your Opus limit",
        "You've hit your monthly spend limit.",
        "You've hit your usage limit. Try again in 3 hours.",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
        // Each of these matches one pattern only.
        "The usage limit has been reached",
        "You will regain access on 2026-12-01 at 00:00 UTC.",
        "Your monthly spend limit is reached",
        "You're out of extra usage",
        "5-hour limit reached ∙ resets 3pm",
        "Session limit reached",
        "Weekly limit reached · resets 10am (Asia/Seoul) · /upgrade to Max",
        "You've reached your Fable 5 limit. Run /usage-credits to continue or switch models.",
    ] {
        assert_eq!(verdict_code_of_text(message), "agent_quota", "{message}");
    }
    for message in ["You've hit your head", "No limit, but you've hit your head", "You hit your head.\nNo limit."] {
        assert_eq!(verdict_code_of_text(message), "agent_failed", "{message}");
    }
    // A limit per minute ends before a job would wait for it.
    for message in [
        "You have reached your rate limit",
        "Rate limit reached for gpt-5 in organization org-1 on tokens per min. Please try again in 1.2s.",
        "This request would exceed your organization's rate limit of 50,000 input tokens per minute",
    ] {
        assert_eq!(verdict_code_of_text(message), "slow_down", "{message}");
    }
}

#[test]
fn codex_limit_ends_at_the_time_in_its_message() {
    // The current time is 10:00.
    for (message, end) in [
        ("You've hit your usage limit. Try again at 3:05 PM.", "2026-11-21T15:05:00Z"),
        (
            "You’ve hit your usage limit. Visit https://chatgpt.com/codex/settings/usage to purchase more credits or try \
             again at Dec 3rd, 2026 3:05 AM.",
            "2026-12-03T03:05:00Z",
        ),
    ] {
        let line = serde_json::json!({ "type": "turn.failed", "error": { "message": message } }).to_string();
        let reader = crate::agent::drivers::codex_reader(Path::new("/workspace"));
        let end_report = end_report_of(reader, [line.as_str()]).unwrap();
        let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
        let quota = Failure::AgentQuota { time: Until(Some(Timestamp::parse(end).unwrap())) };
        assert_eq!(classify(&EndFacts { now, ..claude_code_end(&end_report) }), Failed(quota), "{message}");
    }
}

#[test]
fn limit_counts_while_its_last_report_is_rejected() {
    const OVERLOADED: &str =
        r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":529,"result":"529 Overloaded"}"#;
    const LIMITED: &str =
        r#"{"type":"result","subtype":"success","is_error":true,"result":"You've hit your session limit"}"#;
    let until = |time| Failed(Failure::AgentQuota { time: Until(time) });
    let end = Timestamp::parse("2026-12-01T00:00:00Z").unwrap();
    for (reports, result, expected) in [
        (vec!["allowed"], OVERLOADED, Retry(Transient::overloaded())),
        (vec!["allowed_warning"], OVERLOADED, Retry(Transient::overloaded())),
        (vec!["rejected", "allowed"], OVERLOADED, Retry(Transient::overloaded())),
        (vec!["rejected"], OVERLOADED, until(Some(end))),
        (vec!["allowed", "rejected"], OVERLOADED, until(Some(end))),
        (vec!["rejected"], LIMITED, until(Some(end))),
        // The reported reset belongs to another limit.
        (vec!["allowed"], LIMITED, until(None)),
    ] {
        let mut lines: Vec<String> = reports
            .iter()
            .map(|status| {
                let info = format!(r#"{{"status":"{status}","resetsAt":{}}}"#, end.millis() / 1_000);
                format!(r#"{{"type":"rate_limit_event","rate_limit_info":{info}}}"#)
            })
            .collect();
        lines.push(result.into());
        let reader = crate::agent::drivers::claude_code_reader(Path::new("/workspace"));
        let end_report = end_report_of(reader, lines.iter().map(String::as_str)).unwrap();
        assert_eq!(classify(&claude_code_end(&end_report)), expected, "{reports:?} {result}");
    }
}

#[test]
fn account_with_extra_usage_is_not_at_its_limit() {
    // The plan's limit is rejected, but extra usage answers the requests.
    let report = |extra: bool| {
        let info = serde_json::json!({
            "status": "rejected", "resetsAt": 1_795_600_000_u64, "rateLimitType": "seven_day",
            "overageStatus": if extra { "allowed" } else { "rejected" }, "isUsingOverage": extra,
        });
        serde_json::json!({"type": "rate_limit_event", "rate_limit_info": info}).to_string()
    };
    let ends = |result: &str, status: u16| {
        let end = serde_json::json!({
            "type": "result", "subtype": "success", "is_error": true, "api_error_status": status, "result": result,
        });
        end.to_string()
    };
    let verdict = |lines: &[String]| classify(&claude_code_end(&parse_claude_code(lines.iter().map(String::as_str))));
    let overloaded = ends("529 Overloaded", 529);
    assert_eq!(verdict(&[report(true), overloaded.clone()]), Retry(Transient::overloaded()));
    assert_eq!(verdict(&[report(false), report(true), overloaded.clone()]), Retry(Transient::overloaded()));
    let quota = |time| Failed(Failure::AgentQuota { time: Until(time) });
    let reset = Timestamp::from_millis(1_795_600_000_000);
    assert_eq!(verdict(&[report(true), report(false), overloaded]), quota(Some(reset)));
    let out = ends("You're out of extra usage · resets Dec 1, 3am (UTC)", 429);
    let december = Timestamp::parse("2026-12-01T03:00:00Z").unwrap();
    assert_eq!(verdict(&[report(true), out]), quota(Some(december)));
}

#[test]
fn claude_code_limit_ends_at_the_time_in_its_message() {
    for (message, end) in [
        ("You've hit your session limit · resets 3pm (UTC)", Some("2026-11-21T15:00:00Z")),
        ("You've reached your Fable 5 limit · resets Nov 24, 3am (UTC)", Some("2026-11-24T03:00:00Z")),
        ("You've hit your weekly limit · resets 7pm (Europe/London)", None),
    ] {
        let end_report =
            EndReport { codes: vec!["rate_limit".into()], message: message.into(), ..EndReport::default() };
        let time = Until(end.map(|end| Timestamp::parse(end).unwrap()));
        assert_eq!(classify(&claude_code_end(&end_report)), Failed(Failure::AgentQuota { time }), "{message}");
    }
}

/// Lines that a tool prints to pose as Claude Code at its limit.
const CLAIMS: [&str; 2] = [
    r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1935903600}}"#,
    r#"{"type":"result","subtype":"success","is_error":true,"result":"You've hit your session limit"}"#,
];
const SUCCESS: &str =
    r#"{"type":"result","subtype":"success","is_error":false,"result":"Done.","permission_denials":[]}"#;

#[test]
fn provider_failure_is_doubtful_unless_exit_code_is_1() {
    for (message, others) in [
        ("You've hit your session limit", true),
        ("API Error: Request rejected (429) · slow down", true),
        ("API Error: Repeated 529 Overloaded errors. The API is at capacity", true),
        ("API Error: Unable to connect to API (ECONNRESET)", true),
        ("Credit balance is too low", false),
        ("Invalid API key", false),
        ("Prompt is too long", false),
        ("something new", false),
    ] {
        let end_report = EndReport { message: message.into(), ..EndReport::default() };
        for exit in [Exit::Code(0), Exit::Code(2), Exit::Code(143), Exit::Signal(9), Exit::Unknown] {
            let verdict = classify(&EndFacts { exit, ..claude_code_end(&end_report) });
            let cause = format!("Claude Code said that it failed, and ended with {exit}");
            let doubtful = matches!(&verdict, Retry(transient) if transient.cause == cause);
            assert_eq!(doubtful, others, "{message} {exit}: {verdict:?}");
        }
        let believed = classify(&claude_code_end(&end_report));
        let is_doubtful = matches!(&believed, Retry(transient) if transient.cause.contains("said that it failed"));
        assert!(!is_doubtful, "{message}: {believed:?}");
    }
}

#[test]
fn limit_printed_by_a_tool_is_agent_failed() {
    // Measured: the agent continues, and its exit code matches its own last line.
    let end_report = parse_claude_code(CLAIMS.into_iter().chain([SUCCESS]));
    let Retry(transient) = classify(&EndFacts { exit: Exit::Code(0), ..claude_code_end(&end_report) }) else {
        panic!("{end_report:?}")
    };
    assert_eq!(transient.into_failure(3).code(), "agent_failed");
    // Measured: the agent also fails if the tool interrupts it.
    for version in goldens::versions("claude_code") {
        let interrupted = goldens::run(&version, "interrupted_in_tool");
        for claims in [&CLAIMS[..], &CLAIMS[..1]] {
            let end_report = parse_claude_code(claims.iter().copied().chain(interrupted.lines()));
            assert_eq!(verdict_code(&end_report), "agent_failed", "{version}: {end_report:?}");
        }
    }
}
