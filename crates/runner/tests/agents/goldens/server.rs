//! The stories of Codex as a server. The answers to what opens it and to its prompt have the ids `initialize`, `thread`
//! and `turn`, those to how its newest turn stands `question`: the tests put their own in their place.
//!
//! What an agent of the agent says comes in another order each time: that recording was made by hand, and stays.

use super::Recording;
use super::codex::{MODEL, PATCH, answer, faults, shell, words};
use super::normal::Normal;
use crate::codex::configure;
use crate::codex::server::{Server, request, thread};
use crate::scene::{Nobody, Scene};
use pullyard_demo_model::{Answer, Part, Refusal, Step};
use serde_json::{Value, json};

/// Of what people say in these stories.
const MARK: &str = "7d0c0e0e-0f3c-4d55-9d2f-3f8a3d6c1a01";
const UNKNOWN: &str = "01a1fba9-c4e7-7861-a3f8-1c342e3e1e3c";
/// What the thread of the run with tools is called, by which the runner's own tests know it.
const WITH_TOOLS: &str = "01a202f8-c7be-7d12-b800-0cb90b57c3be";
const RUNS: &str = "touch started; while :; do sleep 0.1; done";
const WAITS: &str = "touch started; while [ ! -e go ]; do sleep 0.05; done; echo went";

pub(super) async fn record() -> Vec<Recording> {
    let mut recordings = Vec::new();
    for (name, step) in faults() {
        recordings.push(fault(name, step).await);
    }
    let used_up = Refusal::openai(429, "usage_limit_reached", None, "The usage limit has been reached");
    for (name, refusal) in [("quota_status", Refusal::openai_quota()), ("usage_limit", used_up)] {
        recordings.push(fault(name, refusal.into()).await);
    }
    recordings.extend([connection_refused().await, session_unknown().await, tools_and_edits().await]);
    recordings.extend(resumed().await);
    recordings.extend([interrupted_in_tool().await, interrupted_waiting().await]);
    recordings.extend([steered().await, told_after_its_end().await]);
    recordings
}

fn named(name: &str, normal: &mut Normal, lines: &[String]) -> Recording {
    Recording::new(&format!("app_server/{name}"), normal.lines(lines))
}

fn normal(scene: &Scene, threads: &[&str]) -> Normal {
    Normal::of(scene, &[MARK, UNKNOWN], threads)
}

fn with_model(scene: &Scene) -> Value {
    let mut params = thread(scene, "never");
    params["model"] = json!(MODEL);
    params
}

/// What the runner's own driver wants to hear nothing of.
fn wants() -> Value {
    let unwanted =
        ["item/commandExecution/outputDelta", "remoteControl/status/changed", "thread/started", "turn/diff/updated"];
    json!({ "experimentalApi": false, "requestAttestation": false, "optOutNotificationMethods": unwanted })
}

/// The thread of this id, when it goes on.
fn taken_up(scene: &Scene, id: &str) -> Value {
    let mut params = with_model(scene);
    params["threadId"] = json!(id);
    params["excludeTurns"] = json!(true);
    params
}

/// A server that was given a prompt.
async fn prompted(scene: &Scene, method: &str, params: Value, prompt: &str) -> Server {
    let mut server = Server::of(Server::answers_who_wants(scene, wants(), method, params).await);
    let input = json!([{ "type": "text", "text": prompt }]);
    let params = json!({ "threadId": server.thread, "input": input });
    server.running.send(&request("turn", "turn/start", params)).await;
    server
}

async fn begun(scene: &Scene, prompt: &str) -> Server {
    prompted(scene, "thread/start", with_model(scene), prompt).await
}

/// Waits for the end of so many turns, and asks how the last of them stands.
async fn asked(server: &mut Server, turns: usize) {
    server.completed(turns).await;
    let params = json!({ "threadId": server.thread, "limit": 1, "itemsView": "notLoaded" });
    server.running.send(&request("question", "thread/turns/list", params)).await;
    let answers = |events: &[Value]| events.iter().filter(|event| event["id"] == "question").count() >= turns;
    server.running.wait_until("it does not say how its turn stands", answers).await;
}

/// Its lines after the end of one turn.
async fn lines(mut server: Server) -> Vec<String> {
    asked(&mut server, 1).await;
    server.running.end().await.lines
}

async fn fault(name: &str, step: Step) -> Recording {
    let scene = Scene::new().await;
    scene.model.keep(step);
    let said = lines(begun(&scene, "Look.").await).await;
    let recording = named(name, &mut normal(&scene, &[]), &said);
    scene.end();
    recording
}

async fn connection_refused() -> Recording {
    let scene = Scene::new().await;
    let nobody = Nobody::somewhere();
    configure(&scene, &format!("{}/v1", nobody.url));
    let said = lines(begun(&scene, "Look.").await).await;
    let recording = named("connection_refused", &mut normal(&scene, &[]).with_server(&nobody.url), &said);
    scene.end();
    recording
}

async fn session_unknown() -> Recording {
    let scene = Scene::new().await;
    let params = taken_up(&scene, UNKNOWN);
    let (running, _) = Server::answers_who_wants(&scene, wants(), "thread/resume", params).await;
    let ended = running.end().await;
    let recording = named("session_unknown", &mut normal(&scene, &[]), &ended.lines);
    scene.end();
    recording
}

async fn tools_and_edits() -> Recording {
    let scene = Scene::new().await;
    scene.model.play([
        answer(vec![Part::Text("I will write it.".into()), shell("echo hi > hello.txt; cat hello.txt")]),
        answer(vec![shell("exit 3")]),
        answer(vec![shell(PATCH)]),
        words("All done."),
    ]);
    let said = lines(begun(&scene, "Write a greeting.").await).await;
    let recording = named("tools_and_edits", &mut normal(&scene, &[WITH_TOOLS]), &said);
    scene.end();
    recording
}

async fn resumed() -> [Recording; 2] {
    let scene = Scene::new().await;
    scene.model.play([answer(vec![shell("echo a > a")])]);
    scene.model.keep(Refusal::openai(503, "server_error", None, "busy"));
    let first = begun(&scene, "Look.").await;
    let id = first.thread.clone();
    let before = lines(first).await;
    scene.model.play([answer(vec![shell("echo b > b")]), words("went on")]);
    let after = lines(prompted(&scene, "thread/resume", taken_up(&scene, &id), "Go on.").await).await;
    let mut normal = normal(&scene, &[]);
    let recordings =
        [("resume_before", before), ("resume_after", after)].map(|(name, lines)| named(name, &mut normal, &lines));
    scene.end();
    recordings
}

/// Interrupts the turn that runs.
async fn interrupted(scene: Scene, name: &str, mut server: Server) -> Recording {
    let turn = server.runs().await;
    let params = json!({ "threadId": server.thread, "turnId": turn });
    server.running.send(&request("interrupt", "turn/interrupt", params)).await;
    let said = lines(server).await;
    let recording = named(name, &mut normal(&scene, &[]), &said);
    scene.end();
    recording
}

async fn interrupted_in_tool() -> Recording {
    let scene = Scene::new().await;
    scene.model.play([answer(vec![shell(RUNS)])]);
    let mut server = begun(&scene, "Wait.").await;
    scene.appears("started").await;
    // It says what its answer used while the tool runs.
    let used = |event: &Value| event["method"] == "account/rateLimits/updated";
    server.running.wait_until("it does not say what it used", |events| events.iter().any(used)).await;
    interrupted(scene, "interrupted_in_tool", server).await
}

async fn interrupted_waiting() -> Recording {
    let scene = Scene::new().await;
    scene.model.keep(Step::Hang);
    let server = begun(&scene, "Wait.").await;
    scene.model.wait_for_turns(1).await;
    interrupted(scene, "interrupted_waiting", server).await
}

/// With words for it while a command runs.
async fn steered() -> Recording {
    let scene = Scene::new().await;
    scene.model.play([answer(vec![shell(WAITS)]), words("Salve.")]);
    let mut server = begun(&scene, "Go.").await;
    scene.appears("started").await;
    server.say("Greet in Latin.", MARK).await;
    scene.write("go", "");
    let said = lines(server).await;
    let recording = named("steered", &mut normal(&scene, &[]), &said);
    scene.end();
    recording
}

async fn told_after_its_end() -> Recording {
    let scene = Scene::new().await;
    let answers: [Answer; 2] = [words("All done."), words("Salve.")];
    scene.model.play(answers);
    let mut server = begun(&scene, "Go.").await;
    asked(&mut server, 1).await;
    server.say("Greet in Latin.", MARK).await;
    asked(&mut server, 2).await;
    let ended = server.running.end().await;
    let recording = named("told_after_its_end", &mut normal(&scene, &[]), &ended.lines);
    scene.end();
    recording
}
