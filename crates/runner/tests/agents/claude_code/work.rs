//! Tests Claude Code's work: tools, usage and calls to other hosts.

use super::{ALWAYS, SESSION, ask, bare, claude};
use crate::scene::{KEY, Scene};
use pullyard_demo_model::{Answer, Credential, Part, Usage};
use serde_json::{Value, json};

fn write(path: &str, content: &str) -> Part {
    Part::Tool { name: "Write".into(), arguments: json!({ "file_path": path, "content": content }) }
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn tools_run_in_the_worktree_and_are_reported_in_order() {
    let scene = Scene::new().await;
    let path = scene.repository().join("greeting.txt");
    let command = json!({ "command": "cat greeting.txt && echo and more >> greeting.txt", "description": "look" });
    scene.model.play([
        Answer::text("I write it.").and(write(path.to_str().unwrap(), "hello\n")),
        Answer::tool("Bash", command),
        Answer::text("All done."),
    ]);
    let mut run = claude(&scene);
    run.args(["--session-id", SESSION, "--append-system-prompt", "Mind the gap."]);
    let ended = ask(run, "Write a greeting.").await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert_eq!(scene.read("greeting.txt").unwrap(), "hello\nand more\n");

    let init = ended.one("system");
    assert_eq!((&init["subtype"], &init["session_id"]), (&json!("init"), &json!(SESSION)));
    assert_eq!((&init["cwd"], &init["mcp_servers"]), (&json!(scene.repository()), &json!([])));
    assert!(init["claude_code_version"].is_string() && init["tools"].as_array().unwrap().contains(&json!("Bash")));

    // One event per block; all blocks of a message have its id.
    let blocks: Vec<_> = ended.of("assistant").iter().map(|event| event["message"]["id"].clone()).collect();
    assert_eq!(blocks.len(), 4, "{blocks:?}");
    assert_eq!((&blocks[0], blocks[0] == blocks[2]), (&blocks[1], false));
    let results = ended.of("user");
    assert_eq!(results.len(), 2);
    assert!(results[1].to_string().contains("hello"), "{}", results[1]);
    let requests = scene.model.turns();
    assert!(requests[0].mentions("Write a greeting.") && requests[0].mentions("Mind the gap."));
    assert!(requests.iter().all(|request| request.credential == Credential::ApiKey));
    assert!(requests[2].mentions("hello"), "the next request lacks the tool's output");

    let result = ended.one("result");
    assert_eq!((&result["subtype"], &result["is_error"]), (&json!("success"), &json!(false)));
    assert_eq!((&result["result"], &result["num_turns"]), (&json!("All done."), &json!(3)));
    assert_eq!((&result["terminal_reason"], &result["permission_denials"]), (&json!("completed"), &json!([])));
    assert!(!ended.everything().contains(KEY));
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn result_reports_usage_by_model() {
    let scene = Scene::new().await;
    let usage = |input, output| Usage { input, cached: 0, output };
    let look = Answer::tool("Bash", json!({ "command": "true", "description": "look" }));
    scene.model.play([look.taking(usage(1_000, 50)), Answer::text("Done.").taking(usage(2_000, 70))]);
    let ended = ask(claude(&scene), "Look.").await;
    let result = ended.one("result");
    let models: Vec<&Value> = result["modelUsage"].as_object().unwrap().values().collect();
    assert_eq!(models.len(), 1, "{result}");
    assert_eq!((&models[0]["inputTokens"], &models[0]["outputTokens"]), (&json!(3_000), &json!(120)));
    let cost = result["total_cost_usd"].as_f64().unwrap();
    assert!(cost > 0.0 && models[0]["costUSD"].as_f64() == Some(cost), "{result}");
    // Usage in earlier events is that of the start of each answer.
    assert!(ended.of("assistant").iter().all(|event| event["message"]["usage"]["output_tokens"] == json!(1)));
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn without_quiet_settings_other_hosts_are_called() {
    let scene = Scene::new().await;
    scene.model.play([Answer::text("Done.")]);
    let mut run = bare(&scene);
    run.args(ALWAYS);
    let ended = ask(run, "Look.").await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    // The proxy does see calls, so its silence elsewhere is meaningful.
    assert!(!scene.call_outs.seen().is_empty());
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn message_during_a_tool_is_read_at_the_next_request() {
    let scene = Scene::new().await;
    // Claude Code does not report that it read the message; the sleep gives a loaded machine time to read it.
    let command = "touch started; while [ ! -e go ]; do sleep 0.05; done; sleep 2";
    let wait = json!({ "command": command, "description": "wait" });
    scene.model.play([Answer::tool("Bash", wait), Answer::text("As you like.")]);
    let mut running = crate::running::Running::start(claude(&scene));
    running.say("Wait.").await;
    scene.appears("started").await;
    running.say("Make it blue.").await;
    scene.write("go", "");
    let ended = running.end().await;
    assert_eq!((ended.code(), ended.of("result").len()), (0, 1), "{ended:?}");
    assert!(scene.model.turns()[1].mentions("Make it blue."));
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn declined_answer_is_reported_as_refusal() {
    let scene = Scene::new().await;
    scene.model.keep(Answer::text("I can't").declining());
    let ended = ask(claude(&scene), "Do it.").await;
    let result = ended.one("result");
    assert_eq!((ended.code(), &result["is_error"], &result["stop_reason"]), (1, &json!(true), &json!("refusal")));
    assert_eq!(super::error_class(&ended), Some(json!("invalid_request")));
    // 2.1.197 sends one request, 2.1.330 repeats it once with an explanation.
    let asked = scene.model.turns().len();
    assert!((1..=2).contains(&asked), "it asked {asked} times");
    scene.end();
}
