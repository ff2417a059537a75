//! Tests the demo with the real Claude Code and Codex and a fake model server; `.ci/agents` installs them.

use super::{pullyard, text, warnings};
use crate::prelude::*;

/// Time limit for a loaded machine; each job starts its agent from scratch.
const TIME_LIMIT: Duration = Duration::from_secs(900);

fn program(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run .ci/agents"))
}

/// A fake model that answers the demo's tickets and review with calls of this tool.
async fn model(folder: &Path, tool: &str, argument: &str) -> (Child, String) {
    let matched = |turn: u32, message: Option<&str>| json!({ "turnIndex": turn, "userMessage": message });
    // First match wins. A review's prompt contains the ticket's text as well, so reviews come first.
    let edits = [
        ("with `Bonsoir`", "sed -i s/Bonjour/Bonsoir/ greeting.txt"),
        ("with `Bonjour`", "sed -i s/Hello/Bonjour/ greeting.txt"),
        ("with `The Acme shop`", "sed -i 's/A small shop/The Acme shop/' README.md"),
    ];
    let edits = edits.map(|(message, command)| {
        let arguments = json!({ argument: command, "description": "edit" });
        json!({ "match": matched(0, Some(message)),
            "response": { "toolCalls": [{ "name": tool, "arguments": arguments }] } })
    });
    let mut fixtures = edits.to_vec();
    fixtures.push(json!({ "match": { "turnIndex": 1 }, "response": { "content": "All done." } }));
    let path = folder.join("fixtures.json");
    std::fs::write(&path, json!({ "fixtures": fixtures }).to_string()).unwrap();
    let mut server = Command::new(program("PULLYARD_AIMOCK"))
        .args(["--port", "0", "--fixtures"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().expect("the server ended before it printed its address");
        if let Some((_, url)) = line.split_once("listening on ") {
            // Drain stdout, so that the server never blocks on a full pipe.
            let url = url.trim().to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (server, url);
        }
    }
}

async fn check(agent: &str, tool: &str, argument: &str) {
    let folder = TempDir::new().unwrap();
    let demo_folder = folder.path().join("demo");
    let (_model, url) = model(folder.path(), tool, argument).await;
    let mut demo = pullyard(&["demo", "--agent", agent, "--keep", demo_folder.to_str().unwrap()]);
    demo.env("ANTHROPIC_API_KEY", "sk-ant-demo").env("ANTHROPIC_BASE_URL", &url);
    demo.env("OPENAI_API_KEY", "sk-demo").env("OPENAI_BASE_URL", format!("{url}/v1"));
    let output = tokio::time::timeout(TIME_LIMIT, demo.output()).await.expect("the demo did not end").unwrap();
    let (stdout, complaints) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), complaints.as_str()), (Some(0), ""), "{stdout}");
    let last = stdout.lines().last().unwrap();
    assert!(last.ends_with("An AI was called.") && last.contains("2 tickets, 3 jobs, 2 pull requests"), "{last}");
    assert!(stdout.contains(&format!("the agent is {agent}")) && stdout.contains("is merged"), "{stdout}");
    let summary: Value = serde_json::from_slice(&std::fs::read(demo_folder.join("demo.json")).unwrap()).unwrap();
    assert_eq!((&summary["ok"], &summary["ai_called"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!(warnings(&demo_folder), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Claude Code and aimock: .ci/agents"]
async fn demo_completes_with_claude_code() {
    check("claude_code", "Bash", "command").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Codex and aimock: .ci/agents"]
async fn demo_completes_with_codex() {
    check("codex", "exec_command", "cmd").await;
}
