//! Tests how Claude Code's lines become events and the record of a run.

use super::*;
use crate::agent::goldens::{parse_lines, run, versions};
use crate::agent::run_state::{DisplayedCost, RunState};

fn read_golden(version: &str, name: &str) -> (Vec<EventDraft>, RunState) {
    read(run(version, name).lines())
}

fn golden_versions() -> Vec<String> {
    versions("claude_code")
}

fn read<'a>(lines: impl IntoIterator<Item = &'a str>) -> (Vec<EventDraft>, RunState) {
    parse_lines(StreamJsonParser::new(Path::new("/workspace")), lines)
}

fn kinds(events: &[EventDraft]) -> Vec<EventKind> {
    events.iter().map(|event| event.kind).collect()
}

#[test]
fn tool_run_becomes_events_and_a_record() {
    use EventKind::{Command, FileEdit, Result, Text, ToolCall, ToolResult, Usage};
    for version in golden_versions() {
        let (events, record) = read_golden(&version, "tools_and_edits");
        assert_eq!(
            kinds(&events),
            [
                Text, ToolCall, FileEdit, ToolResult, Command, ToolCall, ToolResult, ToolResult, ToolCall, FileEdit,
                ToolResult, Text, Usage, Result
            ]
        );
        let edit = &events[2];
        assert_eq!((edit.path.as_deref(), edit.name.as_deref()), (Some("hello.txt"), Some("add")));
        assert_eq!(events[9].name.as_deref(), Some("update"));
        let (command, result) = (&events[4], &events[6]);
        assert_eq!(command.text.as_deref(), Some("echo one; echo two >&2; exit 3"));
        assert_eq!(
            (command.call.clone(), result.data.clone().unwrap()),
            (result.call.clone(), json!({"failed": true}))
        );
        assert_eq!(result.text.as_deref(), Some("Exit code 3\none\ntwo"));

        assert_eq!(record.session.as_deref(), Some("fdb0ce43-b309-486d-a9f2-6b73d8934b64"));
        // Some versions append the size of the context.
        let model = record.model.as_deref().unwrap();
        assert_eq!(model.strip_suffix("[1m]").unwrap_or(model), "claude-opus-4-8", "{version}");
        assert_eq!((record.turns, record.tool_calls_pending, record.cost), (4, false, Some(7_000)));
        assert_eq!(record.tokens, Tokens { input: 400, cached: 0, output: 200 });
        assert!(record.running_tools.is_empty());
        let end_report = record.end_report.unwrap();
        assert!(end_report.success && end_report.denied_tools.is_empty());
        assert_eq!(
            (end_report.message.as_str(), end_report.codes),
            ("All done.", vec!["success".into(), "completed".into()])
        );
    }
}

#[test]
fn api_retry_is_logged_and_is_no_sign_of_life() {
    for version in golden_versions() {
        for name in ["reset", "overloaded", "connection_refused", "rate_limited"] {
            let recorded = run(&version, name);
            let retry = recorded.lines().find(|line| line.contains("api_retry")).unwrap();
            let events = StreamJsonParser::new(Path::new("/workspace")).parse_line(retry.as_bytes());
            let [AgentEvent::Retrying(draft)] = &events[..] else { panic!("{version} {name}: {events:?}") };
            let text = draft.text.as_deref().unwrap();
            assert!(text.contains("Claude Code tries again in"), "{draft:?}");
            match name {
                "overloaded" => {
                    assert_eq!(text, "The model answered 529. Claude Code tries again in 0.6 s (1 of 1).", "{version}");
                }
                "reset" => assert!(text.starts_with("The model could not be reached."), "{version}"),
                _ => {}
            }
            // A later line ended the retry.
            assert!(!read_golden(&version, name).1.last_activity.is_retrying, "{version} {name}");
        }
    }
    let request = r#"{"type":"system","subtype":"status","status":"requesting"}"#;
    assert_eq!(StreamJsonParser::new(Path::new("/workspace")).parse_line(request.as_bytes()), []);
    let other = r#"{"type":"system","subtype":"status","status":"compacting"}"#;
    assert_eq!(StreamJsonParser::new(Path::new("/workspace")).parse_line(other.as_bytes()), [AgentEvent::Activity]);
}

#[test]
fn cost_is_estimated_until_the_result_reports_it() {
    for version in golden_versions() {
        let recorded = run(&version, "tools_and_edits");
        let lines: Vec<&str> = recorded.lines().collect();
        let (end, work) = lines.split_last().unwrap();
        let (_, record) = read(work.iter().copied());
        assert_eq!((record.turns, record.cost, record.displayed_cost), (4, None, DisplayedCost::Estimate(7_000)));
        let (_, record) = read(lines.iter().copied());
        assert_eq!((record.cost, record.displayed_cost), (Some(7_000), DisplayedCost::Exact(7_000)), "{end}");
        let first = work.iter().position(|line| line.contains("message_delta")).unwrap();
        let (_, record) = read(work[..=first].iter().copied());
        assert_eq!((record.turns, record.displayed_cost), (1, DisplayedCost::Estimate(1_750)));
    }
}

#[test]
fn later_answers_add_an_estimate_to_the_reported_cost() {
    let result = r#"{"type":"result","subtype":"success","is_error":false,"result":"Done.","total_cost_usd":0.5}"#;
    let answer = |model: &str| {
        let start = json!({"type": "message_start", "message": {"id": "m", "model": model}});
        let delta = json!({"type": "message_delta", "usage": {"input_tokens": 1_000_000, "output_tokens": 0}});
        [start, delta].map(|event| json!({"type": "stream_event", "event": event}).to_string())
    };
    let displayed_cost = |lines: &[&str]| read(lines.iter().copied()).1.displayed_cost;
    let [start, delta] = answer("claude-opus-4-8");
    assert_eq!(displayed_cost(&[result, &start, &delta]), DisplayedCost::Estimate(5_500_000));
    // An unpriced answer makes the cost unknown until the next result.
    let [unpriced, delta] = answer("a-model-of-ours");
    assert_eq!(displayed_cost(&[&start, &delta, &unpriced, &delta]), DisplayedCost::Unknown);
    assert_eq!(displayed_cost(&[&unpriced, &delta, &start, &delta]), DisplayedCost::Unknown);
    assert_eq!(displayed_cost(&[&unpriced, &delta, result, &start, &delta]), DisplayedCost::Estimate(5_500_000));
}

#[test]
fn subagent_answer_is_priced_by_its_own_model() {
    let line = |parent: Option<&str>, event: Value| {
        json!({"type": "stream_event", "parent_tool_use_id": parent, "event": event}).to_string()
    };
    let start = |model: &str| json!({"type": "message_start", "message": {"model": model}});
    let delta = || json!({"type": "message_delta", "usage": {"input_tokens": 1_000_000}});
    let lines = [
        line(None, start("claude-opus-4-8")),
        line(Some("t"), start("claude-haiku-4-5-20251001")),
        line(None, delta()),
        line(Some("t"), delta()),
    ];
    let (_, record) = read(lines.iter().map(String::as_str));
    assert_eq!(record.displayed_cost, DisplayedCost::Estimate(6_000_000));
}

/// A result with its usage since the previous result, as 2.1.330 reports it.
fn result_with_usage_since(index: u64, since: Option<(u64, u64, f64)>, total: (u64, u64, f64)) -> String {
    let models = |(input, output, cost): (u64, u64, f64)| {
        let used = json!({"inputTokens": input, "outputTokens": output, "costUSD": cost});
        json!({"claude-opus-5-5": used})
    };
    let mut result = json!({
        "type": "result", "subtype": "success", "is_error": false, "result": "Done.", "result_index": index,
        "modelUsage": models(total), "total_cost_usd": total.2,
    });
    if let Some(since) = since {
        result["model_usage_since_last_result"] = models(since);
    }
    result.to_string()
}

fn answer_events(input: u64, output: u64) -> [String; 2] {
    let start = json!({"type": "message_start", "message": {"model": "claude-opus-5-5"}});
    let delta = json!({"type": "message_delta", "usage": {"input_tokens": input, "output_tokens": output}});
    [start, delta].map(|event| json!({"type": "stream_event", "event": event}).to_string())
}

#[test]
fn usage_before_this_start_is_not_counted_again() {
    // Measured: earlier starts used 3,000 and 110 tokens for 0.0142 dollars.
    let [start, delta] = answer_events(700, 16);
    let first = result_with_usage_since(0, Some((700, 16, 0.00312)), (3_700, 126, 0.01732));
    let [start_again, more] = answer_events(100, 1);
    let second = result_with_usage_since(1, Some((100, 1, 0.00042)), (3_800, 127, 0.01774));
    let read_lines = |lines: &[&String]| read(lines.iter().map(|line| line.as_str())).1;
    let record = read_lines(&[&start, &delta, &first]);
    assert_eq!((record.tokens, record.cost), (Tokens { input: 700, cached: 0, output: 16 }, Some(3_120)));
    assert_eq!(record.displayed_cost, DisplayedCost::Exact(3_120));
    let record = read_lines(&[&start, &delta, &first, &start_again, &more, &second]);
    assert_eq!((record.tokens, record.cost), (Tokens { input: 800, cached: 0, output: 17 }, Some(3_540)));
    let record = read_lines(&[&first, &second]);
    assert_eq!((record.tokens, record.cost), (Tokens { input: 800, cached: 0, output: 17 }, Some(3_540)));
    // The provider was unreachable, so the usage is zero.
    let nothing = json!({"type": "result", "model_usage_since_last_result": {}, "total_cost_usd": 0.0142}).to_string();
    let record = read_lines(&[&nothing]);
    assert_eq!((record.tokens, record.cost), (Tokens::default(), Some(0)));
}

#[test]
fn session_totals_are_not_counted_for_one_start() {
    let read_lines = |lines: &[&String]| read(lines.iter().map(|line| line.as_str())).1;
    // Claude Code sends only totals after an internal error.
    let bare = result_with_usage_since(1, None, (3_700, 126, 0.01732));
    let record = read_lines(&[&bare]);
    assert_eq!((record.tokens, record.cost), (Tokens::default(), Some(0)));
    let first = result_with_usage_since(0, Some((700, 16, 0.00312)), (3_700, 126, 0.01732));
    assert_eq!(read_lines(&[&first, &bare]).cost, Some(3_120));
    // The answers after the first result count, at an estimated cost.
    let [start, delta] = answer_events(100, 1);
    let record = read_lines(&[&first, &start, &delta, &bare]);
    assert_eq!((record.tokens, record.cost), (Tokens { input: 800, cached: 0, output: 17 }, Some(3_120)));
    assert_eq!((record.displayed_cost, record.unreported_cost()), (DisplayedCost::Estimate(3_540), Some(420)));
}

#[test]
fn missing_or_negative_cost_is_unknown() {
    for cost in ["null", "-0.5"] {
        let model = format!(r#"{{"m":{{"inputTokens":1,"costUSD":{cost}}}}}"#);
        let (_, record) = read([format!(r#"{{"type":"result","model_usage_since_last_result":{model}}}"#).as_str()]);
        assert_eq!((record.tokens.input, record.cost), (1, None), "{cost}");
    }
}

#[test]
fn result_without_numbers_keeps_the_known_usage() {
    let [start, delta] = answer_events(1_000_000, 0);
    for fields in [
        json!({}),
        json!({"total_cost_usd": null, "modelUsage": null}),
        json!({"total_cost_usd": -1, "modelUsage": {"claude-opus-5-5": {"inputTokens": -5, "outputTokens": "3"}}}),
        json!({"total_cost_usd": "0", "modelUsage": [1]}),
    ] {
        let mut result = json!({"type": "result", "subtype": "success", "is_error": false, "result": "Done."});
        for (name, value) in fields.as_object().unwrap() {
            result[name] = value.clone();
        }
        let (_, record) = read([start.as_str(), delta.as_str(), result.to_string().as_str()]);
        assert!(record.end_report.as_ref().is_some_and(|end_report| end_report.success), "{fields}");
        assert_eq!((record.tokens.input, record.cost), (1_000_000, None), "{fields}");
        assert_eq!(record.unreported_cost(), Some(4_000_000), "{fields}");
    }
    // 2.1.197 reports zeros after an internal error, regardless of its usage.
    let zeros = json!({
        "type": "result", "subtype": "error_during_execution", "is_error": true, "num_turns": 0, "total_cost_usd": 0,
        "usage": {"input_tokens": 0, "output_tokens": 0}, "modelUsage": {}, "errors": ["boom"],
    })
    .to_string();
    let used = json!({"claude-opus-5-5": {"inputTokens": 1_000_000, "costUSD": 3.5}});
    let result = json!({
        "type": "result", "subtype": "success", "is_error": false, "result": "Done.", "total_cost_usd": 3.5,
        "modelUsage": used,
    })
    .to_string();
    let read_lines = |lines: &[&String]| read(lines.iter().map(|line| line.as_str())).1;
    let record = read_lines(&[&start, &delta, &zeros]);
    assert!(record.end_report.as_ref().is_some_and(|end_report| !end_report.success));
    assert_eq!((record.tokens.input, record.cost, record.unreported_cost()), (1_000_000, None, Some(4_000_000)));
    // The reported cost stays, and later answers add an estimate.
    let record = read_lines(&[&start, &delta, &result, &zeros]);
    assert_eq!((record.tokens.input, record.cost, record.unreported_cost()), (1_000_000, Some(3_500_000), None));
    let record = read_lines(&[&start, &delta, &result, &start, &delta, &zeros]);
    assert_eq!((record.tokens.input, record.cost), (2_000_000, Some(3_500_000)));
    assert_eq!(record.unreported_cost(), Some(4_000_000));
    // The tokens of an unpriced model count as well.
    let unpriced = start.replace("claude-opus-5-5", "a-model-of-ours");
    let record = read_lines(&[&unpriced, &delta, &zeros]);
    assert_eq!((record.tokens.input, record.cost, record.unreported_cost()), (1_000_000, None, None));
    assert_eq!(read_lines(&[&zeros]).cost, Some(0));
}

#[test]
fn token_counts_saturate_at_their_maximum() {
    let (max, all) = (u64::MAX, Tokens { input: u64::MAX, cached: u64::MAX, output: u64::MAX });
    let used = json!({
        "inputTokens": max, "cacheReadInputTokens": max, "cacheCreationInputTokens": max, "outputTokens": max,
    });
    for name in ["modelUsage", "model_usage_since_last_result"] {
        let (_, record) = read([json!({"type": "result", name: {"m": used, "n": used}}).to_string().as_str()]);
        assert_eq!(record.tokens, all, "{name}");
    }
    let usage = json!({
        "input_tokens": max, "cache_read_input_tokens": max, "cache_creation_input_tokens": max,
        "output_tokens": max,
    });
    let delta = json!({"type": "stream_event", "event": {"type": "message_delta", "usage": usage}}).to_string();
    let (_, record) = read([delta.as_str(), delta.as_str()]);
    assert_eq!(record.tokens, all);
}

#[test]
fn result_reports_denials_and_interruptions() {
    for version in golden_versions() {
        let (_, record) = read_golden(&version, "denied");
        let end_report = record.end_report.unwrap();
        assert_eq!((end_report.success, end_report.denied_tools), (true, vec!["Bash".to_owned()]), "{version}");
        // The result of the next turn no longer lists the denial.
        let turns = [run(&version, "denied"), run(&version, "resume_after")].concat();
        let (_, record) = read(turns.lines());
        let end_report = record.end_report.unwrap();
        assert_eq!((record.end_count, end_report.success, end_report.denied_tools), (2, true, Vec::new()), "{version}");
        assert_eq!(record.denied_tool.as_deref(), Some("Bash"), "{version}");
        for name in ["interrupted_in_tool", "interrupted_waiting", "interrupted_in_stream"] {
            let (_, record) = read_golden(&version, name);
            assert!(record.running_tools.is_empty() && !record.end_report.unwrap().success, "{version}/{name}");
        }
    }
}

#[test]
fn message_in_two_lines_is_one_turn() {
    let line =
        |block: &str| format!(r#"{{"type":"assistant","message":{{"id":"m1","model":"x","content":[{block}]}}}}"#);
    let (text, tool) =
        (line(r#"{"type":"text","text":"a"}"#), line(r#"{"type":"tool_use","id":"t","name":"Bash","input":{}}"#));
    let (events, record) = read([text.as_str(), tool.as_str()]);
    assert_eq!((events.len(), record.turns, record.tool_calls_pending), (2, 1, true));
    assert_eq!(record.running_tools.len(), 1);
    assert_eq!(running_tools(&[message("m1", None, Some("a")), message("m1", None, Some("b"))]), ["a", "b"]);
}

/// A message of the agent, or of its subagent `parent`, that calls a tool or contains text.
fn message(id: &str, parent: Option<&str>, call: Option<&str>) -> String {
    let block = match call {
        Some(call) => json!({"type": "tool_use", "id": call, "name": "Bash", "input": {}}),
        None => json!({"type": "text", "text": "a"}),
    };
    let message = json!({"id": id, "model": "x", "content": [block]});
    json!({"type": "assistant", "parent_tool_use_id": parent, "message": message}).to_string()
}

fn running_tools(lines: &[String]) -> Vec<String> {
    let (_, record) = read(lines.iter().map(String::as_str));
    record.running_tools.into_iter().collect()
}

#[test]
fn repeated_answer_ends_the_calls_of_the_broken_one() {
    let (broken, repeated) = (message("m1", None, Some("a")), message("m2", None, Some("b")));
    assert_eq!(running_tools(&[broken.clone(), repeated.clone()]), ["b"]);
    // The broken call ends before the new answer counts, which may be the last turn.
    let mut reader = StreamJsonParser::new(Path::new("/workspace"));
    reader.parse_line(broken.as_bytes());
    let events = reader.parse_line(repeated.as_bytes());
    assert_eq!(events[..3], [AgentEvent::Activity, AgentEvent::ToolEnded("a".into()), AgentEvent::ModelAnswer]);
    let last = message("m2", None, None);
    let (_, record) = read([broken.as_str(), last.as_str()]);
    assert!(record.running_tools.is_empty() && !record.tool_calls_pending);
}

#[test]
fn subagent_and_caller_end_no_calls_of_each_other() {
    let (call, subagent_call) = (message("m1", None, Some("agent")), message("s1", Some("agent"), Some("a")));
    let subagent_answer = message("s2", Some("agent"), None);
    assert_eq!(running_tools(&[call.clone(), subagent_call.clone(), subagent_answer]), ["a", "agent"]);
    // A subagent may outlive its caller's tool call, which is answered immediately.
    assert_eq!(running_tools(&[call, subagent_call, message("m2", None, None)]), ["a"]);
}

#[test]
fn end_of_a_limit_is_recorded() {
    let (_, record) = read([
        r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1795154401}}"#,
        r#"{"type":"result","subtype":"success","is_error":true,"result":"You've hit your limit"}"#,
    ]);
    assert_eq!(record.end_report.unwrap().limit_resets_at, Some(Timestamp::from_millis(1_795_154_401_000)));
}

#[test]
fn api_error_kind_is_a_mark() {
    let refused = r#"{"type":"result","subtype":"success","is_error":true,"api_error":"connection_failed"}"#;
    let (_, record) = read([refused]);
    assert!(record.end_report.unwrap().has_code("connection_failed"));
}

#[test]
fn partial_messages_are_signs_of_life_without_events() {
    let delta = r#"{"type":"stream_event","event":{"type":"message_delta","usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":3}}}"#;
    let part = r#"{"type":"stream_event","event":{"type":"content_block_delta"}}"#;
    let (events, record) = read([delta, part]);
    assert_eq!((events, record.tokens), (vec![], Tokens { input: 15, cached: 5, output: 3 }));
    // Without this event, a long thought would count as a stall.
    assert_eq!(
        StreamJsonParser::new(Path::new("/workspace")).parse_line(part.as_bytes()),
        [AgentEvent::PartialMessage]
    );
}

#[test]
fn unknown_lines_become_raw_events() {
    let lines = [
        r#"{"type":"new_thing","x":1}"#,
        r#"{"type":"system","subtype":"compact_boundary"}"#,
        r#"{"type":"assistant"}"#,
        r#"{"type":"user","message":{"content":[{"type":"image"}]}}"#,
        r#"{"no":"type"}"#,
        "[1,2]",
        "half a li",
    ];
    let (events, record) = read(lines);
    assert_eq!(kinds(&events), [EventKind::Raw; 7]);
    assert_eq!(events[0].data, Some(json!({"type": "new_thing", "x": 1})));
    assert_eq!(events[6].text.as_deref(), Some("half a li"));
    assert!(record.end_report.is_none());
    for broken in [
        r#"{"type":"result"}"#,
        r#"{"type":"result","modelUsage":{"m":{"inputTokens":-1}},"total_cost_usd":"x","errors":[1]}"#,
        r#"{"type":"assistant","message":{"content":"text"}}"#,
        r#"{"type":"user","message":{"content":[{"type":"tool_result","content":[{}]}]}}"#,
    ] {
        let (_, record) = read([broken]);
        assert!(record.end_report.is_none_or(|end_report| !end_report.success), "{broken}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(line in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        StreamJsonParser::new(Path::new("/workspace")).parse_line(&line);
    }
}

#[test]
fn replayed_input_is_acknowledged_by_the_next_answer() {
    let replay = r#"{"type":"user","isReplay":true,"uuid":"u1","message":{"role":"user","content":[{"type":"text","text":"Use tabs."}]}}"#;
    let (events, record) = read([replay]);
    assert!(events.is_empty() && record.read_inputs.is_empty() && record.has_sent_input("u1"));
    let answer = r#"{"type":"assistant","message":{"id":"m","model":"x","content":[{"type":"text","text":"I do."}]}}"#;
    let (events, record) = read([replay, answer]);
    assert_eq!((kinds(&events), record.read_inputs), (vec![EventKind::Text], vec!["u1".to_owned()]));
}
