//! Tests Codex's work: text, commands, patches, usage and calls to other hosts.

use super::{ask, codex};
use crate::attempts::stage::WAITED_FOR_MS;
use crate::scene::{KEY, Scene};
use pullyard_demo_model::{Answer, Credential, Part, Usage};
use serde_json::json;

pub(crate) fn shell(command: &str) -> Answer {
    Answer::tool("exec_command", json!({ "cmd": command, "yield_time_ms": WAITED_FOR_MS }))
}

const PATCH: &str = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: greeting.txt\n+hello\n*** End Patch\nEOF\n";

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn commands_and_patches_run_in_the_worktree_in_order() {
    let scene = Scene::new().await;
    let call = Part::Tool { name: "exec_command".into(), arguments: json!({ "cmd": PATCH }) };
    scene.model.play([
        Answer::text("I write it.").and(call),
        shell("cat greeting.txt && echo and more >> greeting.txt"),
        Answer::text("All done."),
    ]);
    let ended = ask(&scene, "Write a greeting.").await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert_eq!(scene.read("greeting.txt").unwrap(), "hello\nand more\n", "{ended:?}");
    assert!(ended.one("thread.started")["thread_id"].is_string());
    let texts: Vec<_> = ended.items("agent_message").iter().map(|item| item["text"].clone()).collect();
    assert_eq!(texts, ["I write it.", "All done."]);
    let changed = ended.items("file_change");
    assert_eq!((changed.len(), &changed[0]["changes"][0]["kind"]), (1, &json!("add")), "{ended:?}");
    let commands = ended.items("command_execution");
    let last = commands.last().unwrap();
    assert_eq!((&last["exit_code"], &last["status"]), (&json!(0), &json!("completed")));
    assert!(last["aggregated_output"].as_str().unwrap().contains("hello"), "{last}");
    let turns = scene.model.turns();
    assert!(turns[0].mentions("Write a greeting.") && turns[2].mentions("hello"));
    assert!(turns.iter().all(|turn| turn.credential == Credential::Bearer));
    assert!(!ended.everything().contains(KEY));
    scene.end();
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn usage_covers_the_whole_turn() {
    let scene = Scene::new().await;
    let usage = |input, cached, output| Usage { input, cached, output };
    scene.model.play([shell("true").taking(usage(1_000, 10, 50)), Answer::text("Done.").taking(usage(2_000, 20, 70))]);
    let ended = ask(&scene, "Look.").await;
    let usage = &ended.one("turn.completed")["usage"];
    assert_eq!((&usage["input_tokens"], &usage["cached_input_tokens"]), (&json!(3_030), &json!(30)), "{usage}");
    assert_eq!(usage["output_tokens"], 120);
    scene.end();
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn unknown_model_metadata_is_only_a_warning() {
    let scene = Scene::new().await;
    scene.model.play([Answer::text("Done.")]);
    let mut run = codex(&scene);
    run.args(["-m", "a-model-of-tomorrow", "--", "Look."]);
    let ended = scene.run(run).await;
    assert_eq!((ended.code(), ended.items("error").len()), (0, 1), "{ended:?}");
    assert!(ended.items("error")[0]["message"].as_str().unwrap().contains("Model metadata"), "{ended:?}");
    scene.end();
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn tools_do_not_see_the_key() {
    let scene = Scene::new().await;
    scene.model.play([shell("env > seen.txt"), Answer::text("Done.")]);
    let ended = ask(&scene, "Look.").await;
    let seen = scene.read("seen.txt").unwrap();
    assert!(seen.contains("PATH=") && !seen.contains(KEY), "{ended:?}");
    scene.end();
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn without_quiet_settings_other_hosts_are_called() {
    let scene = Scene::new().await;
    scene.model.play([Answer::text("Done.")]);
    super::configure(&scene, &scene.model.openai_url());
    let path = scene.config().join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let loud = text.replace("check_for_update_on_startup = false", "").replace("enabled = false", "enabled = true");
    std::fs::write(&path, loud).unwrap();
    let mut run = scene.command(&crate::scene::program("PULLYARD_CODEX"));
    run.args(["exec", "--json", "--", "Look."]).env("CODEX_HOME", scene.config()).env("OPENAI_API_KEY", KEY);
    let ended = scene.run(run).await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(!scene.call_outs.seen().is_empty());
}
