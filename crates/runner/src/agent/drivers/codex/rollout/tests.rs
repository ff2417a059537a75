//! Tests the usage that is read from Codex's session files.

use super::*;
use crate::agent::goldens::{run, versions};

struct Sessions {
    dir: tempfile::TempDir,
    rollouts: Arc<Mutex<Rollouts>>,
    prices: Prices,
}

impl Sessions {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("2026/11/21")).unwrap();
        Self { dir, rollouts: Arc::default(), prices: Prices::parse("gpt-6.1-sol=2/0.5/10") }
    }

    fn begin(&self) {
        self.rollouts.lock().unwrap().begin_start(self.dir.path());
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("2026/11/21/rollout-x.jsonl")
    }

    fn write(&self, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.file()).unwrap();
        io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    }

    /// Sets the totals of the thread, as the last line of a run reports them.
    fn set_thread_total(&self, input: u64, output: u64, cache_write: u64) {
        let tokens = Tokens { input, cached: 0, output };
        let total = BilledTokens { tokens, cache_write, ..BilledTokens::default() };
        self.rollouts.lock().unwrap().reported_thread_total = Some(total);
    }

    fn reader(&self) -> RolloutReader {
        RolloutReader::new(self.dir.path().to_owned(), Arc::clone(&self.rollouts), self.prices.clone())
    }
}

fn golden_rollout() -> String {
    run(versions("codex").last().unwrap(), "rollout")
}

const REQUEST_USAGE: AgentEvent = AgentEvent::TokenUsage(Tokens { input: 100, cached: 0, output: 50 });

#[test]
fn each_request_is_counted_once_during_the_run() {
    for version in versions("codex") {
        let world = Sessions::new();
        world.begin();
        let recorded = run(&version, "rollout");
        let (first, rest) = recorded.split_at(recorded.len() / 2);
        world.write(first);
        let mut events = world.reader().poll();
        world.write(rest);
        events.extend(world.reader().poll());
        assert_eq!(world.reader().poll(), []);
        events.retain(|event| !matches!(event, AgentEvent::CallsAnswered(_)));
        // 100 × 2 + 50 × 10 millionths per request.
        let events_of_call =
            |cost| vec![REQUEST_USAGE, AgentEvent::Cost(cost), AgentEvent::CountedAnswer, AgentEvent::ToolCallsPending];
        let model = || vec![AgentEvent::Model("gpt-6.1-sol".into())];
        let last = vec![REQUEST_USAGE, AgentEvent::Cost(2_100), AgentEvent::CountedAnswer];
        assert_eq!(events, [model(), events_of_call(700), model(), events_of_call(1_400), last].concat());
    }
}

#[test]
fn model_continues_when_all_its_calls_have_results() {
    let world = Sessions::new();
    world.begin();
    let item = |kind: &str, call: &str| {
        format!("{}\n", json!({"type": "response_item", "payload": {"type": kind, "call_id": call}}))
    };
    world.write(&item("function_call", "a"));
    world.write(&item("custom_tool_call", "b"));
    world.write(&item("function_call_output", "a"));
    assert_eq!(world.reader().poll(), []);
    world.write(&item("custom_tool_call_output", "b"));
    assert_eq!(world.reader().poll(), [AgentEvent::CallsAnswered(true)]);
    // One read may contain a result and the next call.
    world.write(&(item("function_call", "c") + &item("function_call_output", "c") + &item("function_call", "d")));
    assert_eq!(world.reader().poll(), [AgentEvent::CallsAnswered(false)]);
    // The provider may send an id of any length.
    let long = "x".repeat(16 * 1024);
    world.write(&(item("function_call_output", "d") + &item("function_call", &long)));
    assert_eq!(world.reader().poll(), []);
    world.write(&item("function_call_output", &long));
    assert_eq!(world.reader().poll(), [AgentEvent::CallsAnswered(true)]);
    // A new start has its own calls.
    world.begin();
    assert_eq!(world.reader().poll(), []);
    world.write(&(item("function_call", "e") + &item("function_call_output", "e")));
    assert_eq!(world.reader().poll(), [AgentEvent::CallsAnswered(true)]);
}

#[test]
fn earlier_usage_is_not_counted_again() {
    let world = Sessions::new();
    world.write(&golden_rollout());
    world.begin();
    assert_eq!(world.reader().poll(), []);
    world.write(r#"{"type":"token_usage_record","payload":{"usage":{"input_tokens":7,"output_tokens":1}}}"#);
    world.write("\n");
    let used = AgentEvent::TokenUsage(Tokens { input: 7, cached: 0, output: 1 });
    assert!(world.reader().poll().contains(&used));
    world.begin();
    assert_eq!(world.reader().finish(), []);
}

#[test]
fn thread_totals_replace_missing_file_records() {
    let world = Sessions::new();
    world.begin();
    world.set_thread_total(100, 50, 0);
    assert!(world.reader().finish().contains(&REQUEST_USAGE));
    world.begin();
    world.set_thread_total(300, 150, 0);
    let events = world.reader().finish();
    assert!(events.contains(&AgentEvent::TokenUsage(Tokens { input: 200, cached: 0, output: 100 })), "{events:?}");
    // Without a known model there is only an upper bound of the cost.
    assert!(events.iter().any(|event| matches!(event, AgentEvent::CostUpperBound(_))));
    let Some(AgentEvent::Event(usage)) = events.last() else { panic!("{events:?}") };
    assert_eq!(usage.data.as_ref().unwrap()["cost_usd_micros"], Value::Null);
}

fn cost_events(model: &str, inputs: &[u64]) -> Vec<AgentEvent> {
    let world = Sessions::new();
    world.begin();
    cost_events_in(&world, model, inputs)
}

fn cost_events_in(world: &Sessions, model: &str, inputs: &[u64]) -> Vec<AgentEvent> {
    world.write(&format!("{}\n", json!({"type": "turn_context", "payload": {"model": model}})));
    for input in inputs {
        let usage = json!({"input_tokens": input, "cached_input_tokens": 0, "output_tokens": 0});
        world.write(&format!("{}\n", json!({"type": "token_usage_record", "payload": {"usage": usage}})));
    }
    let mut events = world.reader().poll();
    events.retain(|event| matches!(event, AgentEvent::Cost(_) | AgentEvent::CostUpperBound(_)));
    events
}

#[test]
fn long_request_price_applies_to_that_request_only() {
    let sums = [AgentEvent::Cost(400_000), AgentEvent::Cost(1_600_000), AgentEvent::Cost(1_800_000)];
    assert_eq!(cost_events("gpt-6-sol", &[200_000, 300_000, 100_000]), sums);
}

#[test]
fn cache_writes_have_their_own_price() {
    let world = Sessions::new();
    world.begin();
    let usage = json!({
        "input_tokens": 1_000, "cached_input_tokens": 300, "cache_write_input_tokens": 200, "output_tokens": 50,
    });
    world.write(&format!("{}\n", json!({"type": "turn_context", "payload": {"model": "gpt-6-sol"}})));
    world.write(&format!("{}\n", json!({"type": "token_usage_record", "payload": {"usage": usage}})));
    let events = world.reader().poll();
    // 500 × 2 + 200 × 2.5 + 300 × 0.2 + 50 × 10
    assert!(events.contains(&AgentEvent::Cost(2_060)), "{events:?}");
    // The thread's totals do not count these tokens again.
    world.begin();
    world.rollouts.lock().unwrap().reported_thread_total = Some(parse_count(&json!({
        "input_tokens": 1_100, "cached_input_tokens": 300, "cache_write_input_tokens": 240, "output_tokens": 50,
    })));
    let events = world.reader().finish();
    // 60 × 2 + 40 × 2.5
    assert!(events.contains(&AgentEvent::Cost(220)), "{events:?}");
}

#[test]
fn thread_that_replaces_a_lost_one_is_counted_from_zero() {
    let world = Sessions::new();
    world.begin();
    world.set_thread_total(300, 150, 0);
    assert!(world.reader().finish().contains(&AgentEvent::TokenUsage(Tokens { input: 300, cached: 0, output: 150 })));
    world.begin();
    world.rollouts.lock().unwrap().thread_count = BilledTokens::default();
    world.set_thread_total(100, 50, 0);
    let events = world.reader().finish();
    assert!(events.contains(&REQUEST_USAGE), "{events:?}");
    // The next start continues the new thread.
    world.begin();
    world.set_thread_total(200, 100, 0);
    let events = world.reader().finish();
    assert!(events.contains(&REQUEST_USAGE), "{events:?}");
}

#[test]
fn finish_reports_usage_and_cost() {
    let world = Sessions::new();
    world.begin();
    world.write(&golden_rollout());
    let events = world.reader().finish();
    let Some(AgentEvent::Event(usage)) = events.last() else { panic!("{events:?}") };
    let data = usage.data.as_ref().unwrap();
    assert_eq!((&data["input_tokens"], &data["cost_usd_micros"]), (&json!(300), &json!(2_100)));
}

#[test]
fn overlong_line_is_skipped_in_bounded_reads() {
    let world = Sessions::new();
    world.write("0123456789\nab\n");
    let read = |from| {
        let NewLines { bytes, end } = read_complete_lines(&world.file(), from, 4).unwrap();
        (String::from_utf8(bytes).unwrap(), end)
    };
    assert_eq!((read(0), read(4), read(8)), (("".into(), 4), ("".into(), 8), ("89\n".into(), 11)));
    assert_eq!((read(11), read(14)), (("ab\n".into(), 14), ("".into(), 14)));
}

#[test]
fn pipes_links_and_incomplete_lines_are_skipped() {
    let world = Sessions::new();
    world.begin();
    nix::unistd::mkfifo(&world.dir.path().join("2026/11/21/a.jsonl"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("/dev/zero", world.dir.path().join("2026/b.jsonl")).unwrap();
    std::os::unix::fs::symlink(world.dir.path(), world.dir.path().join("2026/loop")).unwrap();
    assert_eq!(list_session_files(world.dir.path()), Vec::<PathBuf>::new());
    world.write("{\"type\":\"token_usage_record\"");
    assert_eq!(world.reader().poll(), []);
    world.write(",\"payload\":{\"usage\":{\"input_tokens\":1}}}\nnonsense\n");
    assert!(world.reader().poll().contains(&AgentEvent::CountedAnswer));
}
