//! The same against a model server that somebody else wrote, so that a mistake of ours in what we believe of the
//! providers' answers is not a mistake in both the server and the test.

use crate::attempts::stage::{BOTH, Stage};
use crate::scene::program;
use crate::world::BRANCH;
use pullyard_protocol::attempt::FinishOutcome;
use serde_json::json;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A running `aimock` with these fixtures.
struct Independent {
    _server: Child,
    url: String,
}

impl Independent {
    async fn with(stage: &Stage, fixtures: serde_json::Value) -> Self {
        let path = stage.world.outside("fixtures.json");
        std::fs::write(&path, fixtures.to_string()).unwrap();
        let mut server = Command::new(program("PULLYARD_AIMOCK"))
            .args(["--port", "0", "--strict", "--fixtures"])
            .arg(&path)
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
        let url = timeout(crate::running::PATIENCE, listening).await.unwrap();
        // Whatever else it says is read, so that it is never held up.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { _server: server, url }
    }

    fn equip(&self, command: &mut Command) {
        command.env("ANTHROPIC_BASE_URL", &self.url).env("OPENAI_BASE_URL", format!("{}/v1", self.url));
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn work_becomes_a_pull_request() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        let (name, arguments) = match agent.capability() {
            "codex" => ("exec_command", json!({ "cmd": "echo hello > greeting.txt" })),
            _ => ("Bash", json!({ "command": "echo hello > greeting.txt", "description": "run" })),
        };
        let turn = |n: u32, response| json!({ "match": { "turnIndex": n }, "response": response });
        let calls = json!({ "toolCalls": [{ "name": name, "arguments": arguments }] });
        let fixtures = json!({ "fixtures": [turn(0, calls), turn(1, json!({ "content": "All done." }))] });
        let other = Independent::with(&stage, fixtures).await;
        let ran = stage.run_with(|command| other.equip(command)).await;
        let finish = stage.world.api.finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        assert_eq!(stage.world.file(BRANCH, "greeting.txt").unwrap(), "hello\n");
        assert!(stage.world.api.texts().contains("All done."));
        drop(other);
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn refusals_are_told_apart() {
    let refusals = [
        (529, "overloaded_error", "Overloaded", "agent_overloaded"),
        (401, "authentication_error", "invalid x-api-key", "agent_auth"),
    ];
    for agent in BOTH {
        for (status, kind, message, code) in refusals {
            let stage = Stage::of(agent).await;
            let error = json!({ "error": { "message": message, "type": kind }, "status": status });
            let fixtures = json!({ "fixtures": [{ "match": {}, "response": error }] });
            let other = Independent::with(&stage, fixtures).await;
            let ran = stage
                .run_with(|command| {
                    other.equip(command);
                    command.env("PULLYARD_AGENT_RETRY_SECS", "");
                })
                .await;
            assert_eq!(stage.world.api.failure(), code, "{agent:?} {status} {}", ran.log);
            drop(other);
        }
    }
}
