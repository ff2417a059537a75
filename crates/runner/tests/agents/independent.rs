//! Runs the agents against the model server `aimock`, because our own server may share a mistake with our tests.
//!
//! Only our own server covers errors within a stream, headers besides `retry-after`, further fields of a refusal, and
//! cuts or silence in an answer without a stream.

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
            // Each answer belongs to one turn.
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
        // Drain the output so that the server never blocks.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { server, url }
    }

    fn equip(&self, command: &mut Command) {
        command.env("ANTHROPIC_BASE_URL", &self.url).env("OPENAI_BASE_URL", format!("{}/v1", self.url));
    }

    fn start(&self, stage: &Stage) -> Child {
        stage.world.spawn(|command| {
            stage.equip(command);
            self.equip(command);
        })
    }

    /// Starts a runner without retries of the agent.
    fn start_once(&self, stage: &Stage) -> Child {
        stage.world.spawn(|command| {
            stage.equip(command);
            self.equip(command);
            command.env("PULLYARD_AGENT_RETRY_SECS", "");
        })
    }

    /// The requests to the model, from the server's journal.
    async fn journal(&self) -> Vec<Value> {
        let journal = reqwest::get(format!("{}/__aimock/journal", self.url)).await.unwrap();
        let journal: Value = serde_json::from_slice(&journal.bytes().await.unwrap()).unwrap();
        let entries = journal.as_array().unwrap_or_else(|| panic!("{journal}"));
        entries.iter().filter(|entry| entry["method"] == "POST").cloned().collect()
    }

    async fn asked(&self) -> usize {
        self.journal().await.len()
    }

    async fn heard(&self) -> String {
        serde_json::to_string(&self.journal().await).unwrap()
    }

    async fn wait_for(&self, times: usize) {
        let look = async {
            while self.asked().await < times {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, look).await.unwrap();
    }

    /// Kills the server. The returned socket reserves its address.
    async fn vanish(mut self) -> TcpSocket {
        self.server.kill().await.unwrap();
        let taken = TcpSocket::new_v4().unwrap();
        // Old connections may still be closing.
        taken.set_reuseaddr(true).unwrap();
        taken.bind(self.url.strip_prefix("http://").unwrap().parse().unwrap()).unwrap();
        taken
    }

    async fn end(mut self, stage: Stage) {
        // The server answers a request without a fixture as if it were overloaded.
        let journal = self.journal().await;
        let strange: Vec<_> = journal.iter().filter(|entry| entry["response"]["fixture"].is_null()).collect();
        assert!(strange.is_empty(), "{:?}: {strange:?}", stage.agent);
        self.server.kill().await.unwrap();
        stage.end();
    }
}

/// Runs the scenario with both agents in parallel, because most of it is waiting.
async fn both<S: Future<Output = ()>>(story: impl Fn(Agent) -> S) {
    tokio::join!(story(Agent::ClaudeCode), story(Agent::Codex));
}

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

/// The answer in the turn with this number, from zero.
fn turn(n: u32, response: Value) -> Value {
    json!({ "match": { "turnIndex": n }, "response": response })
}

fn always(response: Value) -> Value {
    json!({ "match": {}, "response": response })
}

/// Delays the answer beyond all time limits.
fn silent(mut fixture: Value) -> Value {
    fixture["latency"] = json!(600_000);
    fixture
}

/// Lets the stream fall silent after its first event.
fn faltering(mut fixture: Value) -> Value {
    fixture["streamingProfile"] = json!({ "ttft": 0, "tps": 0.001 });
    fixture
}

/// Cuts the stream after four events. Events are sent one by one, because unread data is lost with the connection on a
/// loaded machine.
fn cut(mut fixture: Value) -> Value {
    fixture["latency"] = json!(500);
    fixture["chunkSize"] = json!(8);
    fixture["truncateAfterChunks"] = json!(4);
    fixture
}
