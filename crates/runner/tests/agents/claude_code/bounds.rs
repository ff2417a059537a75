//! Tests Claude Code's permissions, limits and refused flags.

use super::{ALWAYS, QUIET, ask, bare, claude};
use crate::scene::Scene;
use pullyard_demo_model::{Answer, Usage};
use serde_json::json;
use std::os::unix::fs::MetadataExt;
use tokio::process::Command;

fn shell(command: &str) -> Answer {
    Answer::tool("Bash", json!({ "command": command, "description": "run" }))
}

fn with_tools(scene: &Scene, tools: &str) -> Command {
    let mut run = bare(scene);
    run.args(ALWAYS.iter().filter(|flag| !flag.starts_with("--allowedTools"))).args(["--allowedTools", tools]);
    run.envs(QUIET.map(|name| (name, "1")));
    run
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn denied_tool_does_not_run_but_the_result_is_success() {
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
async fn accept_edits_also_allows_editing_commands() {
    let scene = Scene::new().await;
    scene.model.play([shell("touch done.txt"), Answer::text("Done.")]);
    let ended = ask(with_tools(&scene, "Read"), "Do it.").await;
    let denials = &ended.one("result")["permission_denials"];
    assert_eq!((denials, scene.read("done.txt")), (&json!([]), Some(String::new())), "{ended:?}");
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn turn_limit_ends_with_its_own_subtype() {
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
async fn budget_ends_the_run_before_the_next_request() {
    let scene = Scene::new().await;
    scene.model.keep(shell("true").taking(Usage { input: 1_000, cached: 0, output: 50_000 }));
    let mut run = claude(&scene);
    run.args(["--max-budget-usd", "0.5"]);
    let ended = ask(run, "Go on for ever.").await;
    let result = ended.one("result");
    assert_eq!((ended.code(), &result["subtype"]), (1, &json!("error_max_budget_usd")), "{result}");
    assert!(result["total_cost_usd"].as_f64().unwrap() >= 0.5);
    // `usage` reports zero tokens in this case.
    assert_eq!((&result["usage"]["output_tokens"], scene.model.turns().len()), (&json!(0), 1));
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn missing_verbose_flag_is_refused_on_stderr() {
    let scene = Scene::new().await;
    let mut run = bare(&scene);
    run.args(ALWAYS.iter().filter(|flag| **flag != "--verbose"));
    let ended = ask(run, "Look.").await;
    assert_eq!((ended.code(), ended.events.len(), ended.odd.len()), (1, 0, 0), "{ended:?}");
    assert!(ended.errors.contains("--verbose"), "{}", ended.errors);
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn skip_permissions_is_refused_for_root() {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        // Claude Code refuses only root.
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
async fn missing_key_fails_without_a_request() {
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
