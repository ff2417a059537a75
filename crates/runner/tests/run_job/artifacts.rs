//! Tests the artifacts of a run, and that no artifact problem fails a job.

use crate::world::{BRANCH, World};
use pullyard_protocol::attempt::FinishOutcome;
use serde_json::Value;

/// Prints text, reports a tool result too large for an event, and writes a binary file.
const AGENT: &str = r#"cat > /dev/null
echo 'Looking.'
printf '{"kind":"tool_result","call":"c1","text":"'
head -c 100000 /dev/zero | tr '\0' 'x'
echo '"}'
printf 'a\000b\377' > picture.bin
echo '{"kind":"result","text":"Done."}'"#;

fn text(world: &World, name: &str) -> String {
    String::from_utf8(world.api.kept(name).unwrap_or_else(|| panic!("{name} was not stored"))).unwrap()
}

#[tokio::test]
async fn run_stores_patch_output_and_final_message() {
    let world = World::with_agent(AGENT).await;
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed);
    assert_eq!(text(&world, "final-message.md"), "Done.");
    let log = text(&world, "agent-output.jsonl");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["text"]), (3, &Value::from("Looking.")));
    assert_eq!(lines[1]["text"].as_str().unwrap().len(), 100_000, "cut");
    // The event is cut and names the artifact with the rest.
    assert_eq!(text(&world, "output-1.txt").len(), 100_000);
    let events = world.api.events();
    let result = events.iter().find(|event| event.call.as_deref() == Some("c1")).unwrap();
    assert_eq!(result.data.as_ref().unwrap()["artifact"], "output-1.txt");
    assert!(result.text.as_ref().unwrap().len() < 70_000);
    // The patch applies to the base and gives the branch, binary files included.
    let patch = world.outside("changes.patch");
    std::fs::write(&patch, world.api.kept("changes.patch").unwrap()).unwrap();
    let index = world.outside("index").display().to_string();
    let git = |args: &[&str]| {
        let git = std::process::Command::new("git")
            .arg("--git-dir")
            .arg(&world.repository.git_dir)
            .args(args)
            .env("GIT_INDEX_FILE", &index)
            .output()
            .unwrap();
        assert!(git.status.success(), "{args:?}: {}", String::from_utf8_lossy(&git.stderr));
        String::from_utf8_lossy(&git.stdout).trim().to_owned()
    };
    git(&["read-tree", "main"]);
    git(&["apply", "--cached", patch.to_str().unwrap()]);
    assert_eq!(git(&["write-tree"]), git(&["rev-parse", &format!("{BRANCH}^{{tree}}")]));
    assert!(world.api.kept("provider-payload.txt").is_none(), "raw capture is off");
    assert_eq!(world.api.calls("stored").len(), 4);
    assert!(world.worktrees().is_empty());
}

#[tokio::test]
async fn raw_capture_stores_lines_unchanged() {
    let world = World::with_agent("cat > /dev/null; echo '{\"kind\":\"usage\",\"odd\":1}'; echo x > work.txt").await;
    let ran = world
        .run_with(|command| {
            command.env("PULLYARD_RAW_CAPTURE", "true");
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(text(&world, "provider-payload.txt"), "{\"kind\":\"usage\",\"odd\":1}\n");
}

#[tokio::test]
async fn failed_run_stores_its_output() {
    let world = World::with_agent("cat > /dev/null; echo 'I give up.'; exit 3").await;
    world.run().await;
    assert_eq!(world.api.failure(), "agent_failed");
    assert_eq!(text(&world, "final-message.md"), "I give up.");
    assert!(world.api.kept("agent-output.jsonl").is_some());
    assert!(world.api.kept("changes.patch").is_none());
}

#[tokio::test]
async fn busy_bucket_is_retried() {
    let world = World::with_agent("cat > /dev/null; echo x > work.txt").await;
    world.api.script(|script| {
        script.lose.insert("put", 2);
    });
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert!(text(&world, "changes.patch").contains("+x"));
    assert_eq!(world.api.calls("put").len(), 3);
}

#[tokio::test]
async fn refused_artifact_does_not_fail_the_job() {
    for (status, code) in [(422, "artifact_too_large"), (404, "not_found"), (403, "not_allowed")] {
        let world = World::with_agent(AGENT).await;
        world.api.script(|script| script.refuse("artifacts", status, code));
        let ran = world.run().await;
        assert_eq!((ran.code, world.api.finish().outcome), (Some(0), FinishOutcome::Completed), "{}", ran.log);
        assert!(ran.log.contains("artifact not stored"), "{}", ran.log);
        assert_eq!(world.api.calls("artifacts").len(), 4, "one request for each");
        let said: Vec<_> = world.api.events().into_iter().filter_map(|event| event.text).collect();
        for name in ["changes.patch", "final-message.md", "agent-output.jsonl"] {
            let words = format!("{name} is not kept: ");
            assert!(said.iter().any(|said| said.starts_with(&words) && said.contains(code)), "{name}: {said:?}");
        }
    }
}
