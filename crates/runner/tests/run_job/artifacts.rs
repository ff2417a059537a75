//! Tests the artifacts of a run, and that no artifact problem fails a job.

use crate::prelude::*;
use crate::world::World;

/// Prints text, reports a tool result too large for an event, and writes a binary file.
const AGENT: &str = r#"cat > /dev/null
echo 'Looking.'
printf '{"kind":"tool_result","call":"c1","text":"'
head -c 100000 /dev/zero | tr '\0' 'x'
echo '"}'
printf 'a\000b\377' > picture.bin
echo '{"kind":"result","text":"Done."}'"#;

fn text(world: &World, name: &str) -> String {
    String::from_utf8(world.api.bucket_object(name).unwrap_or_else(|| panic!("{name} was not stored"))).unwrap()
}

#[tokio::test]
async fn run_stores_patch_output_and_final_message() {
    let world = World::with_agent(AGENT).await;
    world.completes().await;
    assert_eq!(text(&world, "final-message.md"), "Done.");
    let log = text(&world, "agent-output.jsonl");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["text"]), (3, &Value::from("Looking.")));
    assert_eq!(lines[1]["text"].as_str().unwrap().len(), 100_000, "cut");
    // The event is cut and names the artifact that has all of it.
    let events = world.api.events();
    let result = events.iter().find(|event| event.call.as_deref() == Some("c1")).unwrap();
    let text_of_event = result.text.as_ref().unwrap();
    assert!(text_of_event.len() < 70_000 && text_of_event.ends_with("all in agent-output.jsonl]"));
    // The patch applies to the base and gives the branch, binary files included.
    let patch = world.outside_path("changes.patch");
    std::fs::write(&patch, world.api.bucket_object("changes.patch").unwrap()).unwrap();
    world.git_line(&["read-tree", "main"]);
    world.git_line(&["apply", "--cached", patch.to_str().unwrap()]);
    let tree = world.git_line(&["rev-parse", &format!("{BRANCH}^{{tree}}")]);
    assert_eq!(world.git_line(&["write-tree"]), tree);
    assert!(world.api.bucket_object("provider-payload.txt").is_none(), "raw capture is off");
    assert_eq!(world.api.calls("stored").len(), 3);
    assert!(world.worktrees().is_empty());
}

#[tokio::test]
async fn refused_artifact_does_not_fail_the_job() {
    let world = World::with_agent(AGENT).await;
    world.api.change_script(|script| script.refuse("artifacts", 422, "artifact_too_large"));
    let ran = world.run().await;
    assert_eq!((ran.code, world.api.only_finish().outcome), (Some(0), FinishOutcome::Completed), "{}", ran.log);
    assert!(ran.log.contains("artifact not stored"), "{}", ran.log);
    assert_eq!(world.api.calls("artifacts").len(), 3, "one request for each");
    let texts: Vec<_> = world.api.events().into_iter().filter_map(|event| event.text).collect();
    for name in ["changes.patch", "final-message.md", "agent-output.jsonl"] {
        let (prefix, code) = (format!("{name} is not kept: "), "artifact_too_large");
        assert!(texts.iter().any(|text| text.starts_with(&prefix) && text.contains(code)), "{name}: {texts:?}");
    }
}
