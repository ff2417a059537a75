use super::*;
use crate::agent::agent_event::ReportedUsage;
use std::time::Duration;

fn record(events: &[AgentEvent]) -> RunState {
    let mut record = RunState::default();
    for event in events {
        record.apply(event, Instant::now());
    }
    record
}

fn end_event(success: bool, message: &str) -> AgentEvent {
    AgentEvent::EndReport(EndReport { success, message: message.into(), ..EndReport::default() })
}

#[test]
fn failure_outweighs_a_later_success() {
    let state = record(&[end_event(true, "fine"), end_event(false, "overloaded"), end_event(true, "fine again")]);
    assert_eq!(state.end_report.unwrap().message, "overloaded");
}

#[test]
fn first_denial_is_recorded_across_turns() {
    let denied = |success: bool, tools: &[&str]| {
        let denied = tools.iter().map(|tool| (*tool).to_owned()).collect();
        AgentEvent::EndReport(EndReport { success, denied_tools: denied, ..EndReport::default() })
    };
    let state = record(&[denied(true, &["Bash", "Write"]), end_event(true, "fine")]);
    assert!(state.end_report.unwrap().denied_tools.is_empty());
    assert_eq!(state.denied_tool.as_deref(), Some("Bash"));
    let state = record(&[end_event(true, "fine"), denied(false, &["Write"]), denied(true, &["Bash"])]);
    assert_eq!(state.denied_tool.as_deref(), Some("Write"));
    assert_eq!(record(&[end_event(true, "fine")]).denied_tool, None);
}

#[test]
fn limit_message_yields_to_another_failure() {
    let (limit, other) = (end_event(false, "You've hit your session limit"), end_event(false, "it was interrupted"));
    for events in [vec![&limit, &other], vec![&other, &limit], vec![&limit, &other, &limit]] {
        let events: Vec<AgentEvent> = events.into_iter().cloned().collect();
        assert_eq!(record(&events).end_report.unwrap().message, "it was interrupted", "{events:?}");
    }
    assert_eq!(record(&[limit, end_event(true, "fine")]).end_report.unwrap().message, "You've hit your session limit");
}

#[test]
fn retry_is_no_sign_of_life_and_other_signs_are() {
    let start = Instant::now();
    let at = |secs: u64| start + Duration::from_secs(secs);
    let retry = || AgentEvent::Retrying(EventDraft::text(EventKind::Log, "The model could not be reached."));
    let text = AgentEvent::Event(EventDraft::text(EventKind::Text, "hello"));
    let used = AgentEvent::TokenUsage(Tokens { input: 1, cached: 0, output: 1 });
    for (events, last, is_retrying) in [
        (vec![retry()], 0, true),
        (vec![retry(), retry(), retry()], 0, true),
        (vec![AgentEvent::Activity, retry()], 1, true),
        (vec![AgentEvent::Activity, retry(), used], 1, true),
        (vec![retry(), AgentEvent::PartialMessage], 2, false),
        (vec![retry(), retry(), text], 3, false),
        (vec![retry(), end_event(false, "overloaded")], 2, false),
    ] {
        let mut record = RunState::default();
        record.last_activity.at = start;
        events.iter().zip(1..).for_each(|(event, secs)| record.apply(event, at(secs)));
        assert_eq!((record.last_activity.at, record.last_activity.is_retrying), (at(last), is_retrying), "{events:?}");
    }
    assert_eq!(record(&[AgentEvent::Activity, retry()]).last_activity.event, "The model could not be reached.");
}

#[test]
fn stderr_during_a_retry_is_no_sign_of_life() {
    let warning = EventDraft::text(EventKind::Log, "retrying");
    let note = |events: &[AgentEvent]| {
        let shared = SharedRunState::default();
        events.iter().for_each(|event| shared.apply(event));
        // A time in the future shows whether `last` was set, without comparing two clock reads.
        let before = Instant::now() + Duration::from_secs(3_600);
        shared.lock().last_activity.at = before;
        shared.note_error("retrying", &warning);
        let record = shared.lock();
        (record.last_activity.at != before, record.last_activity.is_retrying, record.last_activity.event.clone())
    };
    let retry = || AgentEvent::Retrying(EventDraft::text(EventKind::Log, "again"));
    assert_eq!(note(&[retry()]), (false, true, "retrying".into()));
    assert_eq!(note(&[retry(), AgentEvent::Activity]), (true, false, "retrying".into()));
}

#[test]
fn late_input_reopens_the_run_until_its_next_end() {
    let end = || end_event(true, "fine");
    assert!(!record(&[AgentEvent::InputSent("m".into()), AgentEvent::ModelAnswer]).has_ended());
    assert!(record(&[AgentEvent::InputSent("m".into()), AgentEvent::ModelAnswer, end()]).has_ended());
    let later_turn = [end(), AgentEvent::InputSent("m".into())];
    assert!(!record(&later_turn).has_ended());
    assert!(!record(&[&later_turn[..], &[AgentEvent::ModelAnswer]].concat()).has_ended());
    assert!(record(&[&later_turn[..], &[AgentEvent::ModelAnswer, end()]].concat()).has_ended());
}

#[test]
fn end_is_noticed_although_another_turn_follows() {
    let before = record(&[AgentEvent::ModelAnswer]).end_count;
    assert!(!record(&[AgentEvent::ModelAnswer, AgentEvent::InputSent("m".into())]).has_ended_since(before));
    let later_turn = [AgentEvent::ModelAnswer, end_event(false, "interrupted"), AgentEvent::InputSent("m".into())];
    assert!(record(&later_turn).has_ended_since(before));
    // Now wait for the end of that second turn.
    let before = record(&later_turn).end_count;
    assert!(!record(&[&later_turn[..], &[AgentEvent::ModelAnswer]].concat()).has_ended_since(before));
    assert!(
        record(&[&later_turn[..], &[AgentEvent::ModelAnswer, end_event(false, "again")]].concat())
            .has_ended_since(before)
    );
}

#[test]
fn late_count_starts_no_turn_and_acknowledges_no_input() {
    // A count from the session file may belong to the answer before the input.
    let late = record(&[AgentEvent::InputSent("m".into()), AgentEvent::CountedAnswer]);
    assert_eq!((late.turns, late.read_inputs.len()), (1, 0));
    let after = record(&[AgentEvent::ModelAnswer, end_event(true, "fine"), AgentEvent::CountedAnswer]);
    assert!(after.has_ended() && after.has_succeeded());
    assert_eq!(after.turns, 2);
}

#[test]
fn answer_with_tool_calls_is_not_the_last() {
    assert!(record(&[AgentEvent::ModelAnswer, AgentEvent::ToolCallsPending]).tool_calls_pending);
    let last = record(&[AgentEvent::ModelAnswer, AgentEvent::ToolCallsPending, AgentEvent::ModelAnswer]);
    assert_eq!((last.turns, last.tool_calls_pending), (2, false));
}

#[test]
fn unknown_cost_is_unreported_and_bounded() {
    let state = record(&[AgentEvent::Cost(10), AgentEvent::CostUpperBound(30)]);
    assert_eq!((state.cost, state.cost_upper_bound), (None, 30));
}

#[test]
fn newer_sums_replace_older_ones() {
    let sum = |turns: u32, cost| {
        let tokens = Tokens { input: 10 * u64::from(turns), cached: 0, output: 1 };
        AgentEvent::ReportedUsage(ReportedUsage { turns, tokens, cost, may_continue: true })
    };
    let state = record(&[sum(2, Some(20)), sum(3, Some(15))]);
    assert_eq!((state.turns, state.tokens.input, state.cost), (3, 30, Some(15)));
    // The bound for limits never decreases.
    assert_eq!(
        (state.cost_upper_bound, state.displayed_cost, state.tool_calls_pending),
        (20, DisplayedCost::Exact(15), true)
    );
    assert_eq!(record(&[sum(1, None)]).cost, None);
}

#[test]
fn estimated_cost_is_shown_until_a_cost_is_reported() {
    let mut state = record(&[AgentEvent::CostEstimate(Some(30))]);
    assert_eq!((state.cost, state.cost_upper_bound, state.displayed_cost), (None, 0, DisplayedCost::Estimate(30)));
    assert_eq!(state.unreported_cost(), Some(30));
    state.apply(&AgentEvent::Cost(20), Instant::now());
    assert_eq!((state.cost, state.cost_upper_bound, state.displayed_cost), (Some(20), 20, DisplayedCost::Exact(20)));
    assert_eq!(state.unreported_cost(), None);
    // It continues with inputs: the earlier cost still counts for limits and records.
    state.apply(&AgentEvent::CostEstimate(Some(25)), Instant::now());
    assert_eq!((state.cost, state.cost_upper_bound, state.displayed_cost), (Some(20), 20, DisplayedCost::Estimate(25)));
    assert_eq!(state.unreported_cost(), Some(5));
    state.apply(&AgentEvent::CostEstimate(None), Instant::now());
    assert_eq!((state.cost, state.displayed_cost, state.unreported_cost()), (Some(20), DisplayedCost::Unknown, None));
}

#[test]
fn last_words_prefer_result_then_stderr_then_output() {
    let mut state = record(&[AgentEvent::Event(EventDraft::text(EventKind::Text, "hello\n\n"))]);
    assert_eq!(state.last_message(), "hello");
    state.note_event(Stream::Err, &EventDraft::text(EventKind::Log, "oops"));
    assert_eq!((state.last_message().as_str(), state.last_activity.event.as_str()), ("oops", "oops"));
    state.apply(&end_event(false, "No credit"), Instant::now());
    assert_eq!(state.last_message(), "No credit");
    assert_eq!(record(&[]).last_message(), "it said nothing");
}

#[test]
fn last_words_are_stored_completely() {
    let text_event = |text: &str| AgentEvent::Event(EventDraft::text(EventKind::Text, text));
    // The lines before the last one give its context.
    assert_eq!(record(&[text_event("a key:\nits end\n")]).last_message(), "a key:\nits end");
    let long = "x".repeat(1_000);
    assert_eq!(record(&[text_event(&long)]).last_message(), long);
    assert_eq!(record(&[text_event(&long)]).last_activity.event, long);
    assert_eq!(record(&[end_event(false, &long)]).last_message(), long);
    assert_eq!(record(&[end_event(false, "one\ntwo\r\n")]).last_message(), "one two");
}

#[test]
fn overlong_last_words_end_with_the_last_line() {
    let last_message =
        |text: String| record(&[AgentEvent::Event(EventDraft::text(EventKind::Text, text))]).last_message();
    let lines = format!("{}the last line", "ü line\n".repeat(20_000));
    let message = last_message(lines);
    assert!(
        message.len() <= MAX_MESSAGE_BYTES && message.starts_with("ü line\n") && message.ends_with("the last line")
    );
    let message = last_message(format!("before\nbegins {}", "ü".repeat(MAX_MESSAGE_BYTES)));
    assert!(message.len() <= MAX_MESSAGE_BYTES && message.starts_with("begins ü"), "{}", message.len());
}

#[test]
fn stderr_is_cut_to_its_end() {
    let mut state = record(&[]);
    for number in 0..10_000 {
        state.append_stderr(&format!("ü line {number}"));
    }
    assert!(state.stderr.len() <= 2 * STDERR_TAIL_BYTES + 100);
    assert!(state.stderr.ends_with("line 9999\n"));
}
