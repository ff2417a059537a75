//! Tests the verdict on messages, codes and statuses, alone and combined.

use super::*;

#[test]
fn documented_error_messages_have_their_verdict() {
    for (message, expected) in [
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
            "Your ANTHROPIC_API_KEY belongs to a disabled organization · Update or unset the environment variable",
            "agent_auth",
        ),
        (
            "API Error: Claude Code is unable to respond to this request, which appears to violate our Usage Policy",
            "agent_refused",
        ),
        ("Your workspace is out of credits. Add credits to continue.", "agent_billing"),
        ("You hit your spend cap set in your workspace. Increase your spend cap to continue.", "agent_billing"),
        (
            "Your access token could not be refreshed because your refresh token was already used. Please log out and \
             event in again.",
            "agent_auth",
        ),
        ("Your access token could not be refreshed. Please log out and event in again.", "agent_auth"),
        ("HTTP 429", "slow_down"),
        ("HTTP 503", "overloaded"),
        ("429 files changed", "agent_failed"),
        ("HTTP 400: timeout has to be a number", "agent_failed"),
        ("unexpected status 400 Bad Request: x, url: http://127.0.0.1:4290/v1/responses", "agent_failed"),
        (
            "unexpected status 400 Bad Request: x, url: http://timeout.example/v1/responses, request id: req_7c529e01",
            "agent_failed",
        ),
        ("something new", "agent_failed"),
        ("", "agent_failed"),
    ] {
        assert_eq!(verdict_code_of_text(message), expected, "{message}");
    }
}

#[test]
fn timeout_in_model_or_tool_text_blames_no_provider() {
    let text = "HTTP 503: the request ended by a timeout";
    let message = serde_json::json!({ "id": "m", "content": [{ "type": "text", "text": text }] });
    let message = serde_json::json!({ "type": "assistant", "message": message }).to_string();
    let result = |is_error: bool, answer: &str| {
        serde_json::json!({ "type": "result", "subtype": "success", "is_error": is_error, "result": answer })
            .to_string()
    };
    let end_report = parse_claude_code([message.as_str(), result(true, "something new").as_str()]);
    assert_eq!(verdict_code(&end_report), "agent_failed");
    // The last line reports success, and the exit code is that of an interrupted program.
    let end_report = parse_claude_code([message.as_str(), result(false, text).as_str()]);
    assert_eq!(classify(&claude_code_end(&end_report)), Succeeded);
    let end = EndFacts { exit: Exit::Code(2), ..claude_code_end(&end_report) };
    assert_eq!(classify(&end), failed_with("Claude Code", "exit code 2", text));
    // Any program may write to stderr: without an end report, the agent is restarted and no provider is blamed.
    let end = EndFacts { end_report: None, stderr: text, last_message: text, exit: Exit::Code(1), ..end };
    let cause = "Claude Code crashed over its connection (exit code 1)".into();
    let (agent, exit) = ("Claude Code".into(), "exit code 1".into());
    let crashed = Transient { cause, failure: Failure::AgentFailed { agent, exit, last_words: text.into() } };
    assert_eq!(classify(&end), Retry(crashed));
    let item = serde_json::json!({ "id": "item_0", "type": "agent_message", "text": text });
    let item = serde_json::json!({ "type": "item.completed", "item": item }).to_string();
    let failed = serde_json::json!({ "type": "turn.failed", "error": { "message": "something new" } }).to_string();
    let reader = crate::agent::drivers::codex_reader(Path::new("/workspace"));
    assert_eq!(verdict_code(&end_report_of(reader, [item.as_str(), failed.as_str()]).unwrap()), "agent_failed");
}

#[test]
fn code_precedes_status_and_status_precedes_text() {
    let neutral = "success";
    for (code, status, message, expected) in [
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
        (neutral, Some(401), "x", "agent_auth"),
        (neutral, Some(402), "x", "agent_billing"),
        (neutral, Some(403), "x", "agent_auth"),
        (neutral, Some(404), "x", "model_unavailable"),
        (neutral, Some(408), "x", "overloaded"),
        (neutral, Some(413), "x", "context_too_long"),
        (neutral, Some(429), "x", "slow_down"),
        (neutral, Some(500), "x", "overloaded"),
        (neutral, Some(503), "x", "overloaded"),
        (neutral, Some(599), "x", "overloaded"),
        (neutral, Some(401), "Overloaded", "agent_auth"),
        (neutral, Some(503), "Invalid API key", "overloaded"),
        // Status 400 is ambiguous, so the text decides.
        (neutral, Some(400), "Overloaded", "overloaded"),
        (neutral, Some(400), "x", "agent_failed"),
    ] {
        let end_report =
            EndReport { codes: vec![code.into()], status, message: message.into(), ..EndReport::default() };
        assert_eq!(verdict_code(&end_report), expected, "{end_report:?}");
    }
}

#[test]
fn error_kind_decides_when_status_and_text_do_not() {
    for (kind, expected) in [
        ("org_disabled_credential", "agent_auth"),
        ("api_key_auth_disabled", "agent_auth"),
        ("provider_credentials", "agent_auth"),
        ("model_requires_usage_credits", "agent_billing"),
        ("long_context_credits_required", "agent_billing"),
        ("autocompact_thrashing", "context_too_long"),
        ("message_over_context_limit", "context_too_long"),
        ("safety_monitor_blocked", "agent_refused"),
        ("a_kind_of_tomorrow", "agent_failed"),
    ] {
        let codes = ["success", "api_error", "invalid_request", kind].map(str::to_owned).to_vec();
        let named = EndReport { codes, status: Some(400), message: "something new".into(), ..EndReport::default() };
        assert_eq!(verdict_code(&named), expected, "{kind}");
    }
}

#[test]
fn faults_of_claude_code_2_1_330_have_the_same_verdict() {
    // Measured with 2.1.330, and not recorded: the class of its message, and its result.
    for (class, result, expected) in [
        ("unknown", r#""api_error_status":null,"result":"API Error: JSON Parse error: Expected '}'""#, "unreachable"),
        (
            "unknown",
            r#""api_error_status":408,"api_error_type":"timeout","result":"API Error: 408 Too slow""#,
            "overloaded",
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
        let end_report = parse_claude_code([message.as_str(), end.as_str()]);
        assert_eq!(verdict_code(&end_report), expected, "{end_report:?}");
    }
}
