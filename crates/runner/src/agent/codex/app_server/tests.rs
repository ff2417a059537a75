mod ends;
mod interrupts;

use super::*;
use crate::agent::adapter::{Meter, Voice};
use crate::agent::codex::prices::Prices;
use crate::agent::codex::rollout::Look;
use crate::agent::goldens::{newest_run, run, versions};
use crate::agent::record::{Record, Shared as Heard};
use crate::options::Isolation;
use std::path::{Path, PathBuf};

/// Of the recorded runs in which people say something.
const MARK: &str = "7d0c0e0e-0f3c-4d55-9d2f-3f8a3d6c1a01";

/// The reader of a recorded start: the answer to its prompt stands there under the id `turn`, those to its questions
/// under `question`.
pub(in crate::agent::codex) struct Recorded {
    conversation: Conversation,
    speech: Speech,
    question: String,
}

impl Recorded {
    pub(in crate::agent::codex) fn new(tree: &Path) -> Self {
        let (conversation, speech) = begun(tree);
        Self { conversation, speech, question: String::new() }
    }

    /// What a line says that is read at this time.
    fn read_at(&mut self, line: &[u8], now: Instant) -> Vec<Sign> {
        let own = |id: &str| format!("\"id\":\"{id}\"");
        let line = String::from_utf8_lossy(line).replace("\"id\":\"question\"", &own(&self.question));
        // No recorded thread, turn or item is called so.
        let line = line.replace("\"id\":\"turn\"", &own(&self.conversation.prompt_id));
        let signs = self.conversation.read_at(line.as_bytes(), now);
        if let Some(asked) = written(&signs).into_iter().find(|asked| asked["method"] == TURNS) {
            self.question = asked["id"].as_str().unwrap().to_owned();
        }
        signs
    }
}

impl Reader for Recorded {
    fn read(&mut self, line: &[u8]) -> Vec<Sign> {
        self.read_at(line, Instant::now())
    }
}

fn start(tree: &Path) -> Start<'_> {
    Start {
        prompt: "Fix it.",
        instructions: "",
        session: None,
        model: None,
        turns_left: None,
        cost_left: None,
        home: tree,
        tree,
        isolation: Isolation::None,
    }
}

fn begun(tree: &Path) -> (Conversation, Speech) {
    conversation(&start(tree), Arc::default())
}

/// What is handed to its input.
fn written(signs: &[Sign]) -> Vec<Value> {
    let bytes = signs.iter().filter_map(|sign| match sign {
        Sign::Write(bytes) | Sign::WriteIn(_, bytes) => Some(bytes.as_slice()),
        _ => None,
    });
    bytes.flat_map(objects).collect()
}

fn objects(bytes: &[u8]) -> Vec<Value> {
    let lines = std::str::from_utf8(bytes).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of the newest version, to be taken apart; what those of each version come to is for the tests that go
/// through `versions`.
fn lines_of(name: &str) -> Vec<String> {
    newest_run("codex", &format!("app_server/{name}")).lines().map(str::to_owned).collect()
}

/// The same of one version.
fn lines_by(version: &str, name: &str) -> Vec<String> {
    run(version, &format!("app_server/{name}")).lines().map(str::to_owned).collect()
}

/// A start that hears lines, and what they come to.
struct Beginning {
    reader: Recorded,
    heard: Heard,
    said: Vec<Said>,
    written: Vec<Value>,
}

impl Beginning {
    fn new() -> Self {
        let reader = Recorded::new(Path::new("/workspace"));
        Self { reader, heard: Heard::new(), said: Vec::new(), written: Vec::new() }
    }

    fn hear<'a>(&mut self, lines: impl IntoIterator<Item = &'a String>) {
        self.hear_at(Instant::now(), lines);
    }

    fn hear_at<'a>(&mut self, now: Instant, lines: impl IntoIterator<Item = &'a String>) {
        for line in lines {
            let signs = self.reader.read_at(line.as_bytes(), now);
            self.written.extend(written(&signs));
            for sign in signs {
                self.heard.note(&sign);
                if let Sign::Said(said) | Sign::TriesAgain(said) = sign {
                    self.said.push(said);
                }
            }
        }
    }

    fn record(&self) -> Record {
        self.heard.record().clone()
    }

    /// How often it was asked how its newest turn stands.
    fn questions(&self) -> usize {
        self.written.iter().filter(|asked| asked["method"] == TURNS).count()
    }

    /// The turns that an interrupt is for.
    fn interrupts(&mut self) -> Vec<String> {
        let asked = objects(&self.reader.speech.interrupt().unwrap());
        assert!(asked.iter().all(|asked| asked["method"] == "turn/interrupt"));
        let ids: std::collections::BTreeSet<String> = asked.iter().map(|asked| asked["id"].to_string()).collect();
        assert_eq!(ids.len(), asked.len(), "each has an id of its own");
        asked.iter().map(|asked| asked["params"]["turnId"].as_str().unwrap().to_owned()).collect()
    }
}

/// The turn of which a recorded line says that it began.
fn turn_of(lines: &[String]) -> String {
    let started: Value = serde_json::from_str(&lines[place(lines, &["turn/started"])]).unwrap();
    started["params"]["turn"]["id"].as_str().unwrap().to_owned()
}

fn golden(name: &str) -> Beginning {
    let mut start = Beginning::new();
    start.hear(&lines_of(name));
    start
}

/// The place of the first line that says this.
fn place(lines: &[String], words: &[&str]) -> usize {
    lines.iter().position(|line| words.iter().all(|words| line.contains(words))).unwrap()
}

#[test]
fn a_run_with_tools_is_told_in_our_words() {
    use EventKind::{Command, FileEdit, Log, Result, Text, ToolCall, ToolResult};
    for version in versions("codex") {
        let mut start = Beginning::new();
        start.hear(&lines_by(&version, "tools_and_edits"));
        let said = &start.said;
        let kinds: Vec<EventKind> = said.iter().map(|event| event.kind).collect();
        assert_eq!(
            kinds,
            [
                Log, Text, Command, ToolResult, Command, ToolResult, ToolCall, FileEdit, FileEdit, ToolResult, Text,
                Result
            ]
        );
        assert_eq!(said[3].text.as_deref(), Some("hi\n"));
        assert_eq!(said[5].data, Some(json!({"exit_code": 3, "failed": true})));
        assert_eq!((said[7].path.as_deref(), said[7].name.as_deref()), (Some("b.txt"), Some("add")));
        assert_eq!((said[8].path.as_deref(), said[8].name.as_deref()), (Some("hello.txt"), Some("update")));
        let record = start.record();
        assert_eq!(record.session.as_deref(), Some("01a202f8-c7be-7d12-b800-0cb90b57c3be"));
        assert_eq!(record.model.as_deref(), Some("gpt-6.1-sol"));
        let terminal = record.terminal.unwrap();
        assert_eq!((terminal.well, terminal.words.as_str()), (true, "All done."));
        assert!(record.tools.is_empty());
    }
}

#[test]
fn what_is_asked_of_it_follows_when_its_thread_is_open() {
    let tree = Path::new("/workspace");
    let [us, initialized, thread] = objects(&opening(&start(tree))).try_into().unwrap();
    assert_eq!((&us["method"], &initialized["method"]), (&json!("initialize"), &json!("initialized")));
    assert_eq!(thread["method"], "thread/start");
    let params = &thread["params"];
    assert_eq!((&params["cwd"], &params["sandbox"]), (&json!("/workspace"), &json!("workspace-write")));
    // Nobody could be asked for leave.
    assert_eq!(params["approvalPolicy"], "never");
    let again = Start { session: Some("01a2"), model: Some("gpt-5.5"), isolation: Isolation::External, ..start(tree) };
    let resumed = objects(&opening(&again)).pop().unwrap();
    assert_eq!((&resumed["method"], &resumed["params"]["threadId"]), (&json!("thread/resume"), &json!("01a2")));
    let params = &resumed["params"];
    assert_eq!((&params["model"], &params["sandbox"]), (&json!("gpt-5.5"), &json!("danger-full-access")));
    assert_eq!(params["approvalPolicy"], "never");

    let mut start = Beginning::new();
    let lines = lines_of("tools_and_edits");
    let open = place(&lines, &["\"id\":\"thread\""]);
    start.hear(&lines[..open]);
    assert_eq!(start.written, <[Value; 0]>::default());
    start.hear(&lines[open..=open]);
    let [asked] = start.written.try_into().unwrap();
    assert_eq!((&asked["method"], &asked["params"]["input"][0]["text"]), (&json!("turn/start"), &json!("Fix it.")));
}

#[test]
fn what_people_say_waits_until_it_has_begun_and_goes_with_its_mark() {
    let (mut conversation, mut speech) = begun(Path::new("/workspace"));
    assert_eq!(speech.tell("Greet in Latin.", "m1"), b"");
    let lines = lines_of("tools_and_edits");
    let (open, runs) = (place(&lines, &["\"id\":\"thread\""]), place(&lines, &["turn/started"]));
    let [prompt] = written(&conversation.read(lines[open].as_bytes())).try_into().unwrap();
    assert_eq!(prompt["params"]["input"][0]["text"], "Fix it.");
    // What it is for comes first, and it has not begun with that.
    assert_eq!(speech.tell("Greet in Latin.", "m3"), b"");
    let [told, another] = written(&conversation.read(lines[runs].as_bytes())).try_into().unwrap();
    assert_eq!(another["id"], "m3");
    for (told, mark) in [(told, "m1"), (objects(&speech.tell("Greet in Latin.", "m2")).remove(0), "m2")] {
        assert_eq!((&told["method"], &told["id"]), (&json!("turn/start"), &json!(mark)));
        let params = &told["params"];
        assert_eq!(
            (&params["threadId"], &params["clientUserMessageId"]),
            (&prompt["params"]["threadId"], &json!(mark))
        );
        assert_eq!(params["input"][0]["text"], "Greet in Latin.");
    }
}

#[test]
fn words_in_the_middle_of_a_turn_are_heard_once_the_model_answers() {
    let (mut start, lines) = (Beginning::new(), lines_of("steered"));
    let told = place(&lines, &["item/started", MARK]);
    start.hear(&lines[..told]);
    assert!(!start.record().has_taken_up(MARK));
    start.hear(&lines[told..=told]);
    let record = start.record();
    assert!(record.has_taken_up(MARK) && record.heard.is_empty());
    // What its files tell by then is of the answer before.
    start.heard.note(&Sign::Counted);
    assert_eq!(start.record().heard, <[String; 0]>::default());
    start.hear(&lines[told + 1..]);
    let record = start.record();
    assert_eq!((record.heard, record.ends), (vec![MARK.to_owned()], 1));
    assert_eq!(record.terminal.unwrap().words, "Salve.");
}

#[test]
fn words_after_its_end_begin_another_turn() {
    let (mut start, lines) = (Beginning::new(), lines_of("told_after_its_end"));
    let (ended, told) = (place(&lines, &["\"id\":\"question\""]), place(&lines, &["item/started", MARK]));
    start.hear(&lines[..ended]);
    assert!(!start.record().has_ended(), "it is not asked yet");
    start.hear(&lines[ended..=ended]);
    assert!(start.record().has_ended_well());
    start.hear(&lines[ended + 1..=told]);
    assert!(!start.record().has_ended());
    start.hear(&lines[told + 1..]);
    let record = start.record();
    assert!(record.has_ended_well() && record.ends == 2 && record.heard == [MARK]);
    // It tells only what it said since.
    let results: Vec<_> = start.said.iter().filter(|said| said.kind == EventKind::Result).collect();
    assert_eq!(results.iter().map(|said| said.text.as_deref().unwrap()).collect::<Vec<_>>(), ["All done.", "Salve."]);
}

#[test]
fn a_request_that_is_made_again_is_told_and_is_no_sign_of_life() {
    for name in ["overloaded", "reset", "connection_refused", "rate_limited"] {
        let lines = lines_of(name);
        let errors: Vec<&String> = lines.iter().filter(|line| line.contains(r#""method":"error""#)).collect();
        let tries_again = errors.iter().map(|line| {
            let mut start = Beginning::new();
            start.hear(lines.iter().take_while(|other| *other != *line));
            start.hear([*line]);
            assert!(start.said.last().unwrap().text.is_some(), "{line}");
            start.record().tries_again
        });
        assert_eq!(tries_again.collect::<Vec<_>>(), [true, false], "{name}");
    }
    // That of an agent of the agent is not told at all.
    let elsewhere = r#"{"method":"error","params":{"error":{"message":"x"},"willRetry":true,"threadId":"other"}}"#;
    let mut conversation = begun(Path::new("/workspace")).0;
    assert_eq!(conversation.read(elsewhere.as_bytes()), []);
}

#[test]
fn calls_of_another_start_have_other_ids_although_their_provider_counts_anew() {
    let counted: Arc<Mutex<Rollouts>> = Arc::default();
    let dir = tempfile::tempdir().unwrap();
    let mut calls = Vec::new();
    for _ in 0..2 {
        counted.lock().unwrap().begin(dir.path());
        let (mut conversation, _) = conversation(&start(Path::new("/workspace")), Arc::clone(&counted));
        for line in lines_of("tools_and_edits") {
            calls.extend(conversation.read(line.as_bytes()).into_iter().filter_map(|sign| match sign {
                Sign::ToolBegan(call) => Some(call),
                _ => None,
            }));
        }
    }
    let (first, second) = calls.split_at(3);
    assert_eq!(second, first.iter().map(|call| format!("{call}.2")).collect::<Vec<_>>());
}

#[test]
fn an_agent_of_the_agent_is_heard_of_by_its_call_alone() {
    let start = golden("agents_of_the_agent");
    let commands: Vec<_> = start.said.iter().filter(|said| said.kind == EventKind::Command).collect();
    assert_eq!(commands.len(), 1, "{commands:?}");
    assert!(commands[0].text.as_deref().unwrap().contains("echo child"));
    let calls: Vec<_> = start.said.iter().filter(|said| said.kind == EventKind::ToolCall).collect();
    assert_eq!(calls[0].name.as_deref(), Some("spawnAgent"));
    let record = start.record();
    assert!(record.has_ended_well() && record.ends == 1 && record.tools.is_empty());
}

#[test]
fn a_request_for_leave_is_refused_and_told() {
    let mut start = Beginning::new();
    let asks = r#"{"method":"item/commandExecution/requestApproval","id":0,"params":{"threadId":"t","itemId":"c"}}"#;
    start.hear([&asks.to_owned()]);
    let [refused] = start.written.try_into().unwrap();
    assert_eq!((&refused["id"], refused["error"].is_object()), (&json!(0), true));
    assert_eq!((start.said.len(), start.said[0].kind), (1, EventKind::Log));
}

#[test]
fn what_can_not_be_opened_is_an_end_that_names_what_failed() {
    let words = |lines: &[&str], session: Option<&str>| {
        let tree = Path::new("/workspace");
        let (mut conversation, _) = conversation(&Start { session, ..start(tree) }, Arc::default());
        let heard = Heard::new();
        for line in lines {
            conversation.read(line.as_bytes()).iter().for_each(|sign| heard.note(sign));
        }
        let terminal = heard.record().terminal.clone().unwrap();
        assert!(!terminal.well);
        terminal.words
    };
    let lines = lines_of("session_unknown");
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert!(words(&lines, Some("01a1")).starts_with("thread/resume failed: no rollout found for thread id 01a1"));
    let error = |id: &str| format!(r#"{{"id":"{id}","error":{{"code":-32600,"message":"no"}}}}"#);
    assert_eq!(words(&[&error("initialize")], None), "initialize failed: no");
    assert_eq!(words(&[&error("thread")], None), "thread/start failed: no");
    assert_eq!(words(&[r#"{"id":"thread","result":{}}"#], None), "thread/start failed: it named no thread");
    let mut start = Beginning::new();
    let open = r#"{"id":"thread","result":{"thread":{"id":"t"}}}"#;
    start.hear([&open.to_owned(), &error("turn")]);
    assert_eq!(start.record().terminal.unwrap().words, "turn/start failed: no");
}

#[test]
fn what_keeps_a_session_from_being_opened_is_marked_as_that() {
    for (session, marks) in [(Some("01a1"), vec![NOT_RESUMED.to_owned()]), (None, Vec::new())] {
        let (mut conversation, _) = conversation(&Start { session, ..start(Path::new("/workspace")) }, Arc::default());
        for refused in [r#"{"id":"thread","error":{"code":-32603,"message":"no"}}"#, r#"{"id":"thread","result":{}}"#] {
            let signs = conversation.read(refused.as_bytes());
            let Some(Sign::Ended(terminal)) = signs.last() else { panic!("{signs:?}") };
            assert_eq!(terminal.marks, marks, "{refused}");
        }
    }
}

#[test]
fn what_it_refuses_to_take_up_ends_nothing() {
    let (mut start, lines) = (Beginning::new(), lines_of("tools_and_edits"));
    start.hear(&lines[..=place(&lines, &["turn/started"])]);
    for id in [MARK, "initialize", "thread", "turn", "interrupt"] {
        start.hear([&format!(r#"{{"id":"{id}","error":{{"code":-32600,"message":"no"}}}}"#)]);
    }
    assert!(start.record().terminal.is_none());
}

#[test]
fn where_the_files_tell_nothing_its_thread_does() {
    let counted = Arc::default();
    let (mut conversation, _) = conversation(&start(Path::new("/workspace")), Arc::clone(&counted));
    for line in lines_of("resume_after") {
        conversation.read(line.as_bytes());
    }
    let nowhere = PathBuf::from("/nonexistent");
    let look = |counted: &Arc<Mutex<Rollouts>>| Look::new(nowhere.clone(), Arc::clone(counted), Prices::with(""));
    let used = |input, output| Sign::Used(Tokens { input, cached: 0, output });
    assert!(look(&counted).finish().contains(&used(300, 150)));
}

#[test]
fn pieces_are_no_more_than_a_sign_of_life() {
    let pieces: Vec<String> = lines_of("tools_and_edits").into_iter().filter(|line| line.contains("/delta")).collect();
    assert_eq!(pieces.len(), 4);
    for piece in pieces {
        let (mut conversation, _) = begun(Path::new("/workspace"));
        let open = br#"{"id":"thread","result":{"thread":{"id":"01a202f8-c7be-7d12-b800-0cb90b57c3be"}}}"#;
        // Before its thread is open, and of an agent of the agent, too.
        assert_eq!(conversation.read(piece.as_bytes()), [Sign::Piece]);
        conversation.read(open);
        assert_eq!(conversation.read(piece.as_bytes()), [Sign::Piece]);
        let another = piece.replace("01a202f8-c7be-7d12-b800-0cb90b57c3be", "another");
        assert_eq!(conversation.read(another.as_bytes()), [Sign::Piece]);
    }
}

#[test]
fn nothing_unknown_is_lost_and_nothing_fails() {
    for odd in [
        r#"{"method":"new/thing"}"#,
        r#"{"method":"item/completed","params":{"item":{"id":"i","type":"newItem"}}}"#,
        r#"{"method":"item/completed"}"#,
        r#"{"method":"turn/started"}"#,
        r#"{"new":1}"#,
        "garbage",
        "17",
    ] {
        let mut start = Beginning::new();
        start.hear([&odd.to_owned()]);
        assert_eq!((start.said.len(), start.said[0].kind), (1, EventKind::Raw), "{odd}");
        assert!(start.record().terminal.is_none());
    }
}

proptest::proptest! {
    #[test]
    fn no_line_is_too_strange(line in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        begun(Path::new("/workspace")).0.read(&line);
    }
}

#[test]
fn no_skill_that_words_name_is_told_to_its_model() {
    let told = String::from_utf8(super::speech::turn("m1", "t", "> Use $evil.", None)).unwrap();
    assert!(told.contains("> Use $\u{2060}evil.") && !told.contains("$evil"), "{told}");
}
