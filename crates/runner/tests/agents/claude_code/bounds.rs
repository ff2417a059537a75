//! What it is not allowed, and what stops it: permissions, turns, money, and flags that it refuses.

use super::{ALWAYS, QUIET, ask, bare, claude};
use crate::scene::Scene;
use pullyard_demo_model::{Answer, Usage};
use serde_json::json;
use std::os::unix::fs::MetadataExt;
use tokio::process::Command;

fn shell(command: &str) -> Answer {
    Answer::tool("Bash", json!({ "command": command, "description": "run" }))
}

/// With no other tools than these allowed.
fn with_tools(scene: &Scene, tools: &str) -> Command {
    let mut run = bare(scene);
    run.args(ALWAYS.iter().filter(|flag| !flag.starts_with("--allowedTools"))).args(["--allowedTools", tools]);
    run.envs(QUIET.map(|name| (name, "1")));
    run
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn a_denied_tool_is_not_run_and_the_result_calls_itself_a_success() {
    let scene = Scene::new().await;
    scene.write("do.sh", "echo done > done.txt");
    scene.model.play([shell("sh do.sh"), Answer::text("I could not.")]);
    let ended = ask(with_tools(&scene, "Read"), "Do it.").await;
    assert_eq!((ended.code(), scene.read("done.txt")), (0, None), "{ended:?}");
    let result = ended.one("result");
    assert_eq!((&result["subtype"], &result["is_error"]), (&json!("success"), &json!(false)));
    assert_eq!(result["permission_denials"][0]["tool_name"], "Bash", "{result}");
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn where_edits_are_accepted_commands_that_edit_are_too() {
    let scene = Scene::new().await;
    scene.model.play([shell("touch done.txt"), Answer::text("Done.")]);
    let ended = ask(with_tools(&scene, "Read"), "Do it.").await;
    let denials = &ended.one("result")["permission_denials"];
    assert_eq!((denials, scene.read("done.txt")), (&json!([]), Some(String::new())), "{ended:?}");
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn the_limit_of_turns_ends_it_with_its_own_subtype() {
    let scene = Scene::new().await;
    scene.model.keep(shell("echo again >> again.txt"));
    let mut run = claude(&scene);
    run.args(["--max-turns", "2"]);
    let ended = ask(run, "Go on for ever.").await;
    let result = ended.one("result");
    assert_eq!((ended.code(), &result["subtype"], &result["is_error"]), (1, &json!("error_max_turns"), &json!(true)));
    assert_eq!((&result["terminal_reason"], result.get("result")), (&json!("max_turns"), None));
    assert_eq!(result["errors"], json!(["Reached maximum number of turns (2)"]));
    assert_eq!(scene.model.turns().len(), 2);
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn the_limit_of_money_ends_it_before_the_next_request() {
    let scene = Scene::new().await;
    scene.model.keep(shell("true").taking(Usage { input: 1_000, cached: 0, output: 50_000 }));
    let mut run = claude(&scene);
    run.args(["--max-budget-usd", "0.5"]);
    let ended = ask(run, "Go on for ever.").await;
    let result = ended.one("result");
    assert_eq!((ended.code(), &result["subtype"]), (1, &json!("error_max_budget_usd")), "{result}");
    assert!(result["total_cost_usd"].as_f64().unwrap() >= 0.5);
    // What it took is not where one would look for it.
    assert_eq!((&result["usage"]["output_tokens"], scene.model.turns().len()), (&json!(0), 1));
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn without_verbose_it_refuses_and_says_so_on_standard_error_alone() {
    let scene = Scene::new().await;
    let mut run = bare(&scene);
    run.args(ALWAYS.iter().filter(|flag| **flag != "--verbose"));
    let ended = ask(run, "Look.").await;
    assert_eq!((ended.code(), ended.events.len(), ended.odd.len()), (1, 0, 0), "{ended:?}");
    assert!(ended.errors.contains("--verbose"), "{}", ended.errors);
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn as_root_it_refuses_to_skip_permissions() {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        // Only root is refused.
        return;
    }
    let scene = Scene::new().await;
    let mut run = claude(&scene);
    run.arg("--dangerously-skip-permissions");
    let ended = ask(run, "Look.").await;
    assert_eq!((ended.code(), ended.events.len()), (1, 0), "{ended:?}");
    assert!(ended.errors.contains("cannot be used with root"), "{}", ended.errors);
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn without_a_key_nobody_is_asked() {
    let scene = Scene::new().await;
    let mut run = claude(&scene);
    run.env_remove("ANTHROPIC_API_KEY");
    let ended = ask(run, "Look.").await;
    let result = ended.one("result");
    assert_eq!((ended.code(), &result["is_error"]), (1, &json!(true)), "{ended:?}");
    assert!(result["result"].as_str().unwrap().contains("Not logged in"), "{result}");
    assert_eq!(super::error_class(&ended), Some(json!("authentication_failed")));
    assert!(scene.model.turns().is_empty());
    scene.end();
}
