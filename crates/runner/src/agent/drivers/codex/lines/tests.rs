//! Tests how Codex's lines become events and the record of a run.

use super::*;
use crate::agent::goldens::{parse_lines, run, versions};
use crate::agent::run_state::RunState;

fn read_golden(version: &str, name: &str) -> (Vec<EventDraft>, RunState) {
    read(run(version, name).lines())
}

fn read<'a>(lines: impl IntoIterator<Item = &'a str>) -> (Vec<EventDraft>, RunState) {
    parse_lines(ExecJsonParser::new(Path::new("/workspace"), Arc::default()), lines)
}

#[test]
fn tool_run_becomes_events_and_a_record() {
    use EventKind::{Command, FileEdit, Result, Text, ToolCall, ToolResult};
    for version in versions("codex") {
        let (events, record) = read_golden(&version, "tools_and_edits");
        let kinds: Vec<EventKind> = events.iter().map(|event| event.kind).collect();
        assert_eq!(
            kinds,
            [
                Text, Command, ToolResult, Command, ToolResult, ToolCall, FileEdit, FileEdit, ToolResult, Command,
                ToolResult, Text, Result
            ]
        );
        assert_eq!(events[2].text.as_deref(), Some("hi\n"));
        assert_eq!(events[4].data, Some(json!({"exit_code": 3, "failed": true})));
        let edits: Vec<_> = events.iter().filter(|event| event.kind == FileEdit).collect();
        assert_eq!((edits[0].path.as_deref(), edits[0].name.as_deref()), (Some("b.txt"), Some("add")));
        assert_eq!((edits[1].path.as_deref(), edits[1].name.as_deref()), (Some("hello.txt"), Some("update")));
        assert_eq!(record.session.as_deref(), Some("01a1fbad-d7a7-71b0-93ec-bf8d23475498"));
        let end_report = record.end_report.unwrap();
        assert_eq!((end_report.success, end_report.message.as_str()), (true, "All done."));
        assert!(record.running_tools.is_empty());
    }
}

#[test]
fn failed_turn_ends_the_run_and_a_retry_does_not() {
    for version in versions("codex") {
        let (events, record) = read_golden(&version, "overloaded");
        assert_eq!(events[0].kind, EventKind::Log);
        assert!(events[0].text.as_deref().unwrap().starts_with("Reconnecting... 1/1"));
        let end_report = record.end_report.unwrap();
        assert!(!end_report.success && end_report.message.starts_with("unexpected status 529"), "{end_report:?}");
        let (_, record) = read_golden(&version, "terminated");
        assert!(record.end_report.is_none() && !record.running_tools.is_empty());
    }
}

#[test]
fn reconnect_is_a_retry_and_the_final_error_is_not() {
    for version in versions("codex") {
        for name in ["overloaded", "reset", "connection_refused", "rate_limited"] {
            let recorded = run(&version, name);
            let errors: Vec<&str> = recorded.lines().filter(|line| line.contains(r#""type":"error""#)).collect();
            let is_retrying = errors.iter().map(|line| read([*line]).1.last_activity.is_retrying);
            assert_eq!(is_retrying.collect::<Vec<_>>(), [true, false], "{version} {name}");
        }
    }
    // Codex waits without a limit unless that feature is disabled.
    let waiting_line = r#"{"type":"error","message":"Reconnecting... waiting for network (Connection failed: error sending request)"}"#;
    assert!(read([waiting_line]).1.last_activity.is_retrying);
}

#[test]
fn warning_is_no_failure_and_text_ends_open_calls() {
    let (events, record) = read([
        r#"{"type":"item.completed","item":{"id":"i0","type":"error","message":"Model metadata not found"}}"#,
        r#"{"type":"item.started","item":{"id":"i1","type":"command_execution","command":"x"}}"#,
        r#"{"type":"item.completed","item":{"id":"i2","type":"agent_message","text":"Denied."}}"#,
    ]);
    assert_eq!((events[0].kind, events[0].text.as_deref()), (EventKind::Log, Some("Model metadata not found")));
    assert!(record.running_tools.is_empty() && record.end_report.is_none());
}

#[test]
fn completed_item_without_start_is_call_and_result() {
    let (events, record) = read([
        r#"{"type":"item.completed","item":{"id":"i1","type":"command_execution","command":"x","aggregated_output":"y","exit_code":0,"status":"completed"}}"#,
        r#"{"type":"item.completed","item":{"id":"i2","type":"mcp_tool_call","tool":"search","server":"s"}}"#,
    ]);
    let kinds: Vec<EventKind> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Command, EventKind::ToolResult, EventKind::ToolCall, EventKind::ToolResult]);
    assert_eq!((events[0].call.as_deref(), events[2].name.as_deref()), (Some("i1"), Some("search")));
    assert!(record.running_tools.is_empty());
}

#[test]
fn calls_of_a_second_start_have_their_own_ids() {
    let mut rollouts = Rollouts::default();
    let no_folder = Path::new("/nonexistent");
    rollouts.begin_start(no_folder);
    rollouts.begin_start(no_folder);
    let mut reader = ExecJsonParser::new(no_folder, Arc::new(Mutex::new(rollouts)));
    let events = reader
        .parse_line(br#"{"type":"item.started","item":{"id":"item_0","type":"command_execution","command":"x"}}"#);
    assert!(events.contains(&AgentEvent::ToolStarted("item_0.2".into())), "{events:?}");
}

#[test]
fn overlong_or_excess_call_ids_are_logged_and_not_tracked() {
    let mut reader = ExecJsonParser::new(Path::new("/nonexistent"), Arc::default());
    let mut is_tracked = |id: &str| {
        let line =
            format!(r#"{{"type":"item.started","item":{{"id":"{id}","type":"command_execution","command":"x"}}}}"#);
        let events = reader.parse_line(line.as_bytes());
        assert!(
            events.iter().any(|event| matches!(event, AgentEvent::Event(draft) if draft.call.as_deref() == Some(id))),
            "{id}"
        );
        events.contains(&AgentEvent::ToolStarted(id.into()))
    };
    assert!(is_tracked(&"x".repeat(16 * 1024)), "the longest tracked id");
    assert!(!is_tracked(&"x".repeat(16 * 1024 + 1)), "its id is too long");
    let tracked = (0..5_000).filter(|number| is_tracked(&format!("item_{number}"))).count();
    assert_eq!(tracked + 1, 1_024);
}

#[test]
fn unknown_lines_become_raw_events() {
    for odd in [
        r#"{"type":"new.thing"}"#,
        r#"{"type":"item.completed","item":{"id":"i","type":"new_item"}}"#,
        r#"{"type":"item.completed"}"#,
        r#"{"type":"thread.started"}"#,
        "garbage",
        "17",
    ] {
        let (events, record) = read([odd]);
        assert_eq!((events.len(), events[0].kind), (1, EventKind::Raw), "{odd}");
        assert!(record.end_report.is_none());
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(line in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        ExecJsonParser::new(Path::new("/workspace"), Arc::default()).parse_line(&line);
    }
}
