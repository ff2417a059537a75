//! The same against a model server that somebody else wrote, so that a mistake of ours in what we believe of the
//! providers' answers is not a mistake in both the server and the test.
//!
//! What it can't do is told by our own server alone: an error within a stream that has begun, a provider's headers
//! beside `retry-after`, what a refusal says beside its message, type and code, and a cut or a silence in an answer
//! that is no stream.

mod faults;
mod limits;
mod sessions;
mod stops;
mod work;

use crate::attempts::stage::{Agent, Stage, WAITED_FOR_MS};
use crate::running::PATIENCE;
use crate::scene::program;
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A running `aimock` with these fixtures.
struct Independent {
    server: Child,
    url: String,
}

impl Independent {
    async fn with(stage: &Stage, fixtures: &[Value]) -> Self {
        let path = stage.world.dir.path().join("fixtures.json");
        std::fs::write(&path, json!({ "fixtures": fixtures }).to_string()).unwrap();
        let mut server = Command::new(program("PULLYARD_AIMOCK"))
            .args(["--port", "0", "--strict", "--fixtures"])
            .arg(&path)
            // An answer is for its turn and no other.
            .env("AIMOCK_STRICT_TURN_INDEX", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let listening = async {
            loop {
                let line = lines.next_line().await.unwrap().unwrap();
                if let Some((_, url)) = line.split_once("listening on ") {
                    return url.trim().to_owned();
                }
            }
        };
        let url = timeout(PATIENCE, listening).await.unwrap();
        // Whatever else it says is read, so that it is never held up.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { server, url }
    }

    fn equip(&self, command: &mut Command) {
        command.env("ANTHROPIC_BASE_URL", &self.url).env("OPENAI_BASE_URL", format!("{}/v1", self.url));
    }

    /// A runner whose agents ask it.
    fn start(&self, stage: &Stage) -> Child {
        stage.world.spawn(|command| {
            stage.equip(command);
            self.equip(command);
        })
    }

    /// The same, and nothing is begun again.
    fn start_once(&self, stage: &Stage) -> Child {
        stage.world.spawn(|command| {
            stage.equip(command);
            self.equip(command);
            command.env("PULLYARD_AGENT_RETRY_SECS", "");
        })
    }

    /// What the model was asked, by its own account.
    async fn journal(&self) -> Vec<Value> {
        let journal = reqwest::get(format!("{}/__aimock/journal", self.url)).await.unwrap();
        let journal: Value = serde_json::from_slice(&journal.bytes().await.unwrap()).unwrap();
        let entries = journal.as_array().unwrap_or_else(|| panic!("{journal}"));
        entries.iter().filter(|entry| entry["method"] == "POST").cloned().collect()
    }

    async fn asked(&self) -> usize {
        self.journal().await.len()
    }

    /// All that the model was told.
    async fn heard(&self) -> String {
        serde_json::to_string(&self.journal().await).unwrap()
    }

    /// Waits until the model was asked so many times.
    async fn wait_for(&self, times: usize) {
        let look = async {
            while self.asked().await < times {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, look).await.unwrap();
    }

    /// Its end in the middle of a story. Nobody else gets its address while what is returned is held.
    async fn vanish(mut self) -> TcpSocket {
        self.server.kill().await.unwrap();
        let taken = TcpSocket::new_v4().unwrap();
        // Connections that it had are still on their way out.
        taken.set_reuseaddr(true).unwrap();
        taken.bind(self.url.strip_prefix("http://").unwrap().parse().unwrap()).unwrap();
        taken
    }

    /// Its end, and the scene's.
    async fn end(mut self, stage: Stage) {
        // What it has no answer for it refuses as if it were overloaded.
        let journal = self.journal().await;
        let strange: Vec<_> = journal.iter().filter(|entry| entry["response"]["fixture"].is_null()).collect();
        assert!(strange.is_empty(), "{:?}: {strange:?}", stage.agent);
        self.server.kill().await.unwrap();
        stage.end();
    }
}

/// The same story with each agent, both at once: most of it is waiting.
async fn both<S: Future<Output = ()>>(story: impl Fn(Agent) -> S) {
    tokio::join!(story(Agent::ClaudeCode), story(Agent::Codex));
}

/// The model has a command run.
fn shell(agent: Agent, command: &str) -> Value {
    let (name, arguments) = match agent {
        Agent::Codex => ("exec_command", json!({ "cmd": command, "yield_time_ms": WAITED_FOR_MS })),
        Agent::ClaudeCode => ("Bash", json!({ "command": command, "description": "run" })),
    };
    json!({ "toolCalls": [{ "name": name, "arguments": arguments }] })
}

fn words(words: &str) -> Value {
    json!({ "content": words })
}

/// What is answered in the turn with this number, from zero.
fn turn(n: u32, response: Value) -> Value {
    json!({ "match": { "turnIndex": n }, "response": response })
}

/// What is answered in any turn.
fn always(response: Value) -> Value {
    json!({ "match": {}, "response": response })
}

/// The same, so long after it was asked that nobody waits for it.
fn silent(mut fixture: Value) -> Value {
    fixture["latency"] = json!(600_000);
    fixture
}

/// The same, that falls silent after the first event of its stream.
fn faltering(mut fixture: Value) -> Value {
    fixture["streamingProfile"] = json!({ "ttft": 0, "tps": 0.001 });
    fixture
}

/// The same, whose connection breaks after four events of its stream. They are sent one by one: what nobody has read
/// yet is thrown away with the connection, and on a loaded machine nobody would have got anything.
fn cut(mut fixture: Value) -> Value {
    fixture["latency"] = json!(500);
    fixture["chunkSize"] = json!(8);
    fixture["truncateAfterChunks"] = json!(4);
    fixture
}
