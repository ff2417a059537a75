//! Codex as a server: what our driver of it rests on.

use super::work::shell;
use super::{ALWAYS, configure};
use crate::running::{Ended, Running};
use crate::scene::{KEY, Scene, program};
use nix::sys::signal::Signal;
use pullyard_demo_model::{Answer, Refusal, Usage};
use serde_json::{Value, json};

const RUNS: &str = "touch started; while [ ! -e go ]; do sleep 0.05; done";

/// A server with an open thread.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) thread: String,
}

impl Server {
    /// With what every run has, after its thread was opened or refused.
    pub(crate) async fn answers(scene: &Scene, method: &str, params: Value) -> (Running, Value) {
        Self::answers_who_wants(scene, Value::Null, method, params).await
    }

    /// The same to a client that wants this.
    pub(crate) async fn answers_who_wants(
        scene: &Scene,
        wants: Value,
        method: &str,
        params: Value,
    ) -> (Running, Value) {
        if !scene.config().join("config.toml").exists() {
            configure(scene, &scene.model.openai_url());
        }
        let mut run = scene.command(&program("PULLYARD_CODEX"));
        run.arg("app-server").args(&ALWAYS[1..]).args(["--disable=apps", "--disable=instant_interrupt"]);
        run.env("CODEX_HOME", scene.config()).env("OPENAI_API_KEY", KEY).env("RUST_LOG", "off");
        let mut running = Running::start(run);
        let client = json!({ "name": "pullyard", "title": "Pullyard", "version": "0.1.0" });
        let mut us = json!({ "clientInfo": client });
        if !wants.is_null() {
            us["capabilities"] = wants;
        }
        running.send(&request("initialize", "initialize", us)).await;
        running.send(&json!({ "method": "initialized" })).await;
        running.send(&request("thread", method, params)).await;
        let answer = answer(&mut running, "thread").await;
        (running, answer)
    }

    async fn open(scene: &Scene) -> Self {
        Self::of(Self::answers(scene, "thread/start", thread(scene, "never")).await)
    }

    pub(crate) fn of((running, answer): (Running, Value)) -> Self {
        let thread = answer["result"]["thread"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Self { running, thread }
    }

    pub(crate) async fn say(&mut self, words: &str, mark: &str) {
        let input = json!([{ "type": "text", "text": words }]);
        let params = json!({ "threadId": self.thread, "clientUserMessageId": mark, "input": input });
        self.running.send(&request(mark, "turn/start", params)).await;
        let answer = answer(&mut self.running, mark).await;
        assert!(answer["error"].is_null(), "{answer}");
    }

    /// Waits for the end of so many turns. The last of them.
    pub(crate) async fn completed(&mut self, times: usize) -> Value {
        let ends = |events: &[Value]| of(events, "turn/completed").len() >= times;
        self.running.wait_until("its turn has not ended", ends).await;
        of(&self.running.events(), "turn/completed").last().unwrap()["turn"].clone()
    }

    /// The turn that runs.
    pub(crate) async fn runs(&mut self) -> String {
        self.running.wait_until("no turn began", |events| !of(events, "turn/started").is_empty()).await;
        of(&self.running.events(), "turn/started")[0]["turn"]["id"].as_str().unwrap().to_owned()
    }

    /// Its newest turn, as it keeps it.
    async fn newest_turn(&mut self) -> Value {
        let params = json!({ "threadId": self.thread, "limit": 1, "itemsView": "notLoaded" });
        self.running.send(&request("question", "thread/turns/list", params)).await;
        answer(&mut self.running, "question").await["result"]["data"][0].clone()
    }
}

pub(crate) fn request(id: &str, method: &str, params: Value) -> Value {
    json!({ "id": id, "method": method, "params": params })
}

pub(crate) fn thread(scene: &Scene, leave: &str) -> Value {
    json!({ "cwd": scene.repository(), "approvalPolicy": leave, "sandbox": "workspace-write" })
}

/// What was said under this name.
fn of(events: &[Value], method: &str) -> Vec<Value> {
    let said = events.iter().filter(|event| event["method"] == method);
    said.map(|event| event["params"].clone()).collect()
}

async fn answer(running: &mut Running, id: &str) -> Value {
    let is_it = |event: &&Value| event["id"] == id && event["method"].is_null();
    running.wait_until(&format!("{id} was not answered"), |events| events.iter().any(|event| is_it(&event))).await;
    running.events().iter().find(is_it).unwrap().clone()
}

fn marks(ended: &Ended) -> Vec<Value> {
    let begun = of(&ended.events, "item/started");
    begun
        .iter()
        .filter(|said| said["item"]["type"] == "userMessage")
        .map(|said| said["item"]["clientId"].clone())
        .collect()
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn words_join_a_turn_before_its_next_request_and_begin_another_one_after_it() {
    let scene = Scene::new().await;
    scene.model.play([shell(RUNS), Answer::text("Salve."), Answer::text("Ave.")]);
    let mut server = Server::open(&scene).await;
    server.say("Write a greeting.", "m1").await;
    scene.appears("started").await;
    server.say("Greet in Latin.", "m2").await;
    scene.write("go", "");
    server.completed(1).await;
    server.say("Shorter.", "m3").await;
    server.completed(2).await;
    let ended = server.running.end().await;
    assert_eq!((ended.code(), ended.odd.len()), (0, 0), "{ended:?}");
    assert_eq!(marks(&ended), ["m1", "m2", "m3"], "{ended:?}");
    let turns = scene.model.turns();
    let mention = |words: &str| turns.iter().map(|turn| turn.mentions(words)).collect::<Vec<_>>();
    assert_eq!((mention("Greet in Latin."), mention("Shorter.")), (vec![false, true, true], vec![false, false, true]));
    // The words before the answer that heard them: what it used was told before they were taken up.
    let place = |is: &dyn Fn(&Value) -> bool| ended.events.iter().position(is).unwrap();
    let used = place(&|event| event["method"] == "thread/tokenUsage/updated");
    let taken_up = place(&|event| event["params"]["item"]["clientId"] == "m2");
    let heard = place(&|event| event["params"]["item"]["text"] == "Salve.");
    assert!(used < taken_up && taken_up < heard, "{ended:?}");
    scene.end();
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn an_interrupt_ends_its_tool_and_asks_the_model_nothing_more() {
    let scene = Scene::new().await;
    scene.model.play([shell(RUNS)]);
    let mut server = Server::open(&scene).await;
    server.say("Wait.", "m1").await;
    scene.appears("started").await;
    let turn = server.runs().await;
    let params = json!({ "threadId": server.thread, "turnId": turn });
    server.running.send(&request("interrupt", "turn/interrupt", params)).await;
    assert_eq!(server.completed(1).await["status"], "interrupted");
    assert_eq!(server.newest_turn().await["status"], "interrupted");
    let ended = server.running.end().await;
    assert_eq!((ended.code(), scene.model.turns().len()), (0, 1), "{ended:?}");
    scene.end();
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn how_a_turn_ended_is_known_once_it_is_told_and_no_matter_for_the_exit() {
    for (answers, status) in [(true, "completed"), (false, "failed")] {
        let scene = Scene::new().await;
        if answers {
            scene.model.play([Answer::text("Done.")]);
        } else {
            scene.model.keep(Refusal::openai_wrong_key());
        }
        let mut server = Server::open(&scene).await;
        server.say("Look.", "m1").await;
        let told = server.completed(1).await;
        let kept = server.newest_turn().await;
        assert_eq!((&kept["id"], &kept["status"], &kept["error"]), (&told["id"], &json!(status), &told["error"]));
        assert_eq!(kept["error"].is_null(), answers, "{kept}");
        assert_eq!(server.running.end().await.code(), 0);
        scene.end();
    }
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn a_thread_goes_on_in_another_process_and_its_count_goes_on() {
    let scene = Scene::new().await;
    let usage = |input, output| Usage { input, cached: 0, output };
    scene
        .model
        .play([Answer::text("Forty-two.").taking(usage(100, 10)), Answer::text("Because.").taking(usage(200, 30))]);
    let mut first = Server::open(&scene).await;
    first.say("What is the answer?", "m1").await;
    first.completed(1).await;
    let id = first.thread.clone();
    assert_eq!(first.running.end().await.code(), 0);
    let mut params = thread(&scene, "never");
    params["threadId"] = json!(id);
    let mut second = Server::of(Server::answers(&scene, "thread/resume", params).await);
    assert_eq!(second.thread, id);
    second.say("Why?", "m2").await;
    second.completed(1).await;
    let ended = second.running.end().await;
    let used = of(&ended.events, "thread/tokenUsage/updated");
    let total = &used.last().unwrap()["tokenUsage"]["total"];
    assert_eq!((&total["inputTokens"], &total["outputTokens"]), (&json!(300), &json!(40)), "{ended:?}");
    let turns = scene.model.turns();
    assert!(["What is the answer?", "Forty-two.", "Why?"].iter().all(|words| turns[1].mentions(words)));
    scene.end();
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn an_unknown_thread_is_refused() {
    let scene = Scene::new().await;
    let mut params = thread(&scene, "never");
    params["threadId"] = json!("01a1fba9-c4e7-7861-a3f8-1c342e3e1e3c");
    let (running, answer) = Server::answers(&scene, "thread/resume", params).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("no rollout found for thread id"), "{answer}");
    assert_eq!(running.end().await.code(), 0);
    scene.end();
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn the_end_of_its_input_and_sigterm_end_it_and_its_tool_without_another_request() {
    for signal in [None, Some(Signal::SIGTERM)] {
        let scene = Scene::new().await;
        scene.model.play([shell(RUNS)]);
        let mut server = Server::open(&scene).await;
        server.say("Wait.", "m1").await;
        scene.appears("started").await;
        if let Some(signal) = signal {
            server.running.signal(signal);
        }
        let ended = server.running.end().await;
        assert_eq!((ended.code(), of(&ended.events, "turn/completed").len()), (0, 0), "{signal:?} {ended:?}");
        assert_eq!(scene.model.turns().len(), 1, "{signal:?}");
        scene.end();
    }
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn leave_is_denied_by_an_error() {
    let scene = Scene::new().await;
    scene.model.play([shell("touch done"), Answer::text("I may not.")]);
    let mut server = Server::of(Server::answers(&scene, "thread/start", thread(&scene, "untrusted")).await);
    server.say("Write it.", "m1").await;
    let asks = |event: &&Value| !event["id"].is_null() && !event["method"].is_null();
    server.running.wait_until("it did not ask", |events| events.iter().any(|event| asks(&event))).await;
    let asked = server.running.events().iter().find(asks).unwrap().clone();
    assert_eq!(asked["method"], "item/commandExecution/requestApproval");
    let error = json!({ "code": -32_601, "message": "nobody answers this here" });
    server.running.send(&json!({ "id": asked["id"], "error": error })).await;
    assert_eq!(server.completed(1).await["status"], "completed");
    assert_eq!((server.running.end().await.code(), scene.read("done")), (0, None));
    scene.end();
}
