//! Tests how Claude Code resumes sessions by id, in the same and in other folders.

use super::{SESSION, ask, claude};
use crate::running::Ended;
use crate::scene::Scene;
use pullyard_demo_model::Answer;
use serde_json::json;

async fn begun() -> Scene {
    let scene = Scene::new().await;
    scene.model.play([Answer::text("Forty-two.")]);
    let mut run = claude(&scene);
    run.args(["--session-id", SESSION]);
    let ended = ask(run, "What is the answer?").await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    scene
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn resumed_session_has_its_id_and_history() {
    let scene = begun().await;
    scene.model.play([Answer::text("Because.")]);
    let mut run = claude(&scene);
    run.args(["--resume", SESSION]);
    let ended = ask(run, "Why?").await;
    assert_eq!((ended.code(), &ended.one("result")["session_id"]), (0, &json!(SESSION)), "{ended:?}");
    let turns = scene.model.turns();
    let told = turns.last().unwrap();
    assert!(["What is the answer?", "Forty-two.", "Why?"].iter().all(|words| told.mentions(words)));
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn session_of_another_folder_is_lost_or_resumed_by_version() {
    let scene = begun().await;
    scene.model.keep(Answer::text("Because."));
    let folder = scene.dir.path().join("outside");
    let mut run = claude(&scene);
    run.args(["--resume", SESSION]).current_dir(&folder);
    let ended = ask(run, "Why?").await;
    let turns = scene.model.turns();
    if ended.code() == 0 {
        // 2.1.330 searches the whole configuration folder.
        assert_eq!(ended.one("result")["session_id"], json!(SESSION), "{ended:?}");
        assert_eq!(ended.of("system")[0]["cwd"], json!(folder.canonicalize().unwrap()), "{ended:?}");
        let told = turns.last().unwrap();
        assert!(["What is the answer?", "Forty-two.", "Why?"].iter().all(|words| told.mentions(words)));
    } else {
        // 2.1.197 searches only the project of the current folder.
        is_lost(&ended);
        assert_eq!(turns.len(), 1);
    }
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn unknown_session_is_not_found() {
    let scene = begun().await;
    let mut run = claude(&scene);
    run.args(["--resume", "7d0c0e0e-0f3c-4d55-9d2f-3f8a3d6c1a02"]);
    is_lost(&ask(run, "Why?").await);
    assert_eq!(scene.model.turns().len(), 1);
    scene.end();
}

fn is_lost(ended: &Ended) {
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.everything().contains("No conversation found with session ID"), "{ended:?}");
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn used_session_id_is_refused_for_a_new_session() {
    let scene = begun().await;
    let mut run = claude(&scene);
    run.args(["--session-id", SESSION]);
    let ended = ask(run, "Why?").await;
    assert_eq!((ended.code(), ended.events.len()), (1, 0), "{ended:?}");
    assert!(ended.errors.contains("is already in use"), "{}", ended.errors);
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn home_folder_stays_empty() {
    let scene = begun().await;
    let home = std::fs::read_dir(scene.dir.path().join("home")).unwrap().flatten();
    assert_eq!(home.map(|entry| entry.path()).collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new());
    assert!(scene.config().join("projects").is_dir());
    scene.end();
}

#[tokio::test]
#[ignore = "needs Claude Code: .ci/agents"]
async fn moved_transcript_resumes_in_another_folder_and_config() {
    let scene = begun().await;
    let folder = |tree: &std::path::Path| {
        let name = tree.canonicalize().unwrap().to_string_lossy().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        std::path::Path::new("projects").join(name)
    };
    let (tree, config) = (scene.outside("a.tree"), scene.outside("config"));
    std::fs::create_dir(&tree).unwrap();
    let (from, to) = (scene.config().join(folder(&scene.repository())), config.join(folder(&tree)));
    std::fs::create_dir_all(&to).unwrap();
    let name = format!("{SESSION}.jsonl");
    std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    scene.model.play([Answer::text("Because.")]);
    let mut run = claude(&scene);
    run.args(["--resume", SESSION]).current_dir(&tree).env("CLAUDE_CONFIG_DIR", &config);
    let ended = ask(run, "Why?").await;
    assert_eq!((ended.code(), &ended.one("result")["session_id"]), (0, &json!(SESSION)), "{ended:?}");
    let turns = scene.model.turns();
    let told = turns.last().unwrap();
    assert!(["What is the answer?", "Forty-two.", "Why?"].iter().all(|words| told.mentions(words)));
    scene.end();
}
