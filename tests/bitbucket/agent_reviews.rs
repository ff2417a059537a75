//! Tests a review by an agent on Bitbucket Cloud, which takes its comments one by one.

use super::World;
use crate::prelude::*;

/// Opens a pull request with two lines, and reports both.
fn reviewing_agent(_: &Story, _: &str) -> String {
    let finding = |line: u32| {
        json!({
            "path": "work.txt", "line": line, "severity": "low", "category": "bug",
            "title": format!("Fault {line}"), "body": "Wrong.",
        })
    };
    let output = json!({ "v": 1, "summary": "Two faults.", "findings": [finding(1), finding(2)] });
    format!(
        "#!/bin/sh\ncat > /dev/null\nif [ $PULLYARD_KIND = review ]; then\n  echo '{output}' > .pullyard/output.json\n\
         else\n  printf 'one\\ntwo\\n' > work.txt\nfi\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn review_is_complete_once_after_a_lost_answer() {
    let world = World::new(Task::Runner, reviewing_agent).await;
    let (_, pull) = world.run_ticket("e1", 1).await;
    // The first comment is stored, but its answer is lost.
    let calls = CallFilter { method: Some("POST".into()), path: "/comments".into() };
    world.story.local.forge().inject_fault(calls, 1, Fault::HangUpAfter);
    let out = world.user.ok(&["review", &pull.url]).await;
    let job: JobId = out.trim_end().parse().unwrap();
    let ended = world.story.wait_for_end(&job).await;
    assert_eq!(ended.status, JobStatus::Completed, "{ended:?}");

    let refused = world.user.run(&["analyses", "run", "--repo", super::SHOP, "--issues"]).await;
    refused.assert_exit(2, "Bitbucket has no issues");

    let all = world.get(&format!("/pullrequests/{}/comments?pagelen=100", pull.number)).await;
    let text = |comment: &Value| comment["content"]["raw"].as_str().unwrap().to_owned();
    let texts: Vec<_> = all["values"].as_array().unwrap().iter().map(text).collect();
    let count = |part: &str| texts.iter().filter(|text| text.contains(part)).count();
    assert_eq!(["Fault 1", "Fault 2", "Two faults."].map(count), [1, 1, 1], "{texts:?}");
    let output = world.user.ok(&["jobs", "output", job.as_str()]).await;
    assert!(output.contains("Posted 2 findings inline. Worst: low.") && !output.contains("<!--"), "{output}");
    assert!(world.user.ok(&["pulls"]).await.contains(&pull.url));
}
