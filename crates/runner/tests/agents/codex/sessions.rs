//! Tests how Codex resumes sessions by id, with usage for the whole session.

use super::{ask, resuming};
use crate::scene::Scene;
use pullyard_demo_model::{Answer, Usage};
use serde_json::json;

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn resumed_session_has_its_id_and_total_usage() {
    let scene = Scene::new().await;
    let usage = |input, output| Usage { input, cached: 0, output };
    scene
        .model
        .play([Answer::text("Forty-two.").taking(usage(100, 10)), Answer::text("Because.").taking(usage(200, 30))]);
    let first = ask(&scene, "What is the answer?").await;
    let id = first.one("thread.started")["thread_id"].as_str().unwrap().to_owned();
    let mut run = resuming(&scene);
    run.args([id.as_str(), "Why?"]);
    let second = scene.run(run).await;
    assert_eq!((second.code(), &second.one("thread.started")["thread_id"]), (0, &json!(id)), "{second:?}");
    let usage = &second.one("turn.completed")["usage"];
    // The usage is that of the session, not of this run.
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(300), &json!(40)));
    let turns = scene.model.turns();
    assert!(["What is the answer?", "Forty-two.", "Why?"].iter().all(|words| turns[1].mentions(words)));
    scene.end();
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn unknown_session_is_refused_on_stderr() {
    let scene = Scene::new().await;
    let mut run = resuming(&scene);
    run.args(["01a1fba9-c4e7-7861-a3f8-1c342e3e1e3c", "Why?"]);
    let ended = scene.run(run).await;
    assert_eq!((ended.code(), ended.events.len()), (1, 0), "{ended:?}");
    assert!(ended.errors.contains("no rollout found for thread id"), "{}", ended.errors);
    scene.end();
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn moved_rollout_resumes_in_another_folder_and_config() {
    let scene = Scene::new().await;
    scene.model.play([Answer::text("Forty-two."), Answer::text("Because.")]);
    let first = ask(&scene, "What is the answer?").await;
    let id = first.one("thread.started")["thread_id"].as_str().unwrap().to_owned();
    let (tree, config) = (scene.outside("tree"), scene.outside("config"));
    let git = std::process::Command::new("git").args(["init", "--quiet"]).arg(&tree).status();
    assert!(git.unwrap().success());
    std::fs::create_dir(&config).unwrap();
    std::fs::copy(scene.config().join("config.toml"), config.join("config.toml")).unwrap();
    let moved = std::process::Command::new("cp").arg("-r").arg(scene.config().join("sessions")).arg(&config).status();
    assert!(moved.unwrap().success());
    let mut run = resuming(&scene);
    run.args([id.as_str(), "Why?"]).current_dir(&tree).env("CODEX_HOME", &config);
    let second = scene.run(run).await;
    assert_eq!((second.code(), &second.one("thread.started")["thread_id"]), (0, &json!(id)), "{second:?}");
    let turns = scene.model.turns();
    assert!(["What is the answer?", "Forty-two.", "Why?"].iter().all(|words| turns[1].mentions(words)));
    scene.end();
}
