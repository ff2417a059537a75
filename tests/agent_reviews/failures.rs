//! Tests reviews whose agent, runner or forge fails.

use super::world::{FAULT_LINE, World, finding};
use crate::prelude::*;
use pullyard_domain::project::OfflinePolicy;

#[tokio::test(flavor = "multi_thread")]
async fn wrong_output_is_repaired_twice_and_then_fails() {
    let world = World::new().await;
    world.set_output_of_start(1, "no JSON");
    world.set_output_of_start(2, r#"{"v":1,"summary":"S","findings":[{"path":"a","severity":"fatal"}]}"#);
    world.set_findings(&[finding(FAULT_LINE, "It overflows")]);
    world.completed_review(&[]).await;
    assert_eq!((world.starts(), world.reviews().await.len(), world.comments().await.len()), (3, 1, 1));
    let repair = world.prompt(3);
    assert!(repair.contains("`/findings/0/severity`"), "{repair}");

    for start in 4..=6 {
        world.set_output_of_start(start, "{}");
    }
    let failed = world.review(&["--full"]).await;
    let code = failed.failure.map(|failure| failure.code);
    assert_eq!((failed.status, code.as_deref()), (JobStatus::Failed, Some("output_invalid")));
    assert_eq!((world.starts(), world.reviews().await.len()), (6, 1));
    world.user.run(&["jobs", "output", failed.id.as_str()]).await.assert_exit(5, "has no output");
}

#[tokio::test(flavor = "multi_thread")]
async fn review_is_posted_once_although_its_runner_dies_after_it() {
    let world = World::with_settings(|settings| settings.offline = OfflinePolicy::Requeue, "feature", "").await;
    world.set_findings(&[finding(FAULT_LINE, "It overflows")]);
    let path = format!("/pulls/{}/", world.number);
    let calls = |method: &str| CallFilter { method: Some(method.into()), path: path.clone() };
    let forge = world.story.local.forge();
    forge.inject_fault(calls("POST"), 1, Fault::HangUpAfter);
    let out = world.user.ok(&["review", &world.label()]).await;
    let job: JobId = out.trim_end().parse().unwrap();
    let task = world.story.wait_for_task(&job, 1).await;
    wait_until("the review is posted", async || {
        let snapshot = forge.pull_snapshot(REPOSITORY, world.number).await.unwrap().unwrap();
        if snapshot.comments.is_empty() { Err("none".to_owned()) } else { Ok(()) }
    })
    .await;
    // The runner cannot look for its review before it is killed.
    forge.inject_fault(calls("GET"), 1_000, Fault::status(503));
    world.story.kill_task(&task).await;
    world.story.wait_for_noted_death(&job).await;
    forge.clear_faults();
    let ended = wait_until("the second attempt ends the job", async || {
        if world.story.local.count_running_tasks().await == 0 {
            world.story.advance_and_sweep(Duration::from_secs(20)).await;
        }
        let job = world.story.api.job(&job).await.unwrap();
        if job.status.is_terminal() { Ok(job) } else { Err(format!("{job:?}")) }
    })
    .await;
    assert_eq!((ended.status, ended.attempt), (JobStatus::Completed, 2), "{ended:?}");
    assert_eq!((world.starts(), world.reviews().await.len(), world.comments().await.len()), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_during_a_review_does_not_lose_it() {
    let world = World::new().await;
    world.set_findings(&[finding(FAULT_LINE, "It overflows")]);
    world.block_agents();
    let head = world.head().await;
    let out = world.user.ok(&["review", &world.label()]).await;
    world.wait_for_start(1).await;
    world.commit("src/other.rs", "fn other() {}\n").await;
    world.unblock_agents();
    let job = world.story.wait_for_end(&out.trim_end().parse().unwrap()).await;
    assert_eq!(job.status, JobStatus::Completed, "{job:?}");
    let reviews = world.reviews().await;
    assert_eq!(reviews.len(), 1);
    assert!(reviews[0]["body"].as_str().unwrap().contains(head.get(..10).unwrap()), "{}", reviews[0]["body"]);
    // The new head is not reviewed yet.
    world.completed_review(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn force_push_during_a_review_moves_its_findings_to_the_text() {
    let world = World::new().await;
    world.set_findings(&[finding(FAULT_LINE, "It overflows")]);
    world.block_agents();
    let head = world.head().await;
    let out = world.user.ok(&["review", &world.label()]).await;
    world.wait_for_start(1).await;
    let author = ["-c", "user.name=ana", "-c", "user.email=ana@example.test"];
    let commit = [&author[..], &["commit-tree", "feature^{tree}", "-p", "main", "-m", "Other"]].concat();
    let commit = world.story.git(&commit).await;
    world.story.git(&["update-ref", "refs/heads/feature", &commit]).await;
    world.unblock_agents();
    let job = world.story.wait_for_end(&out.trim_end().parse().unwrap()).await;
    assert_eq!(job.status, JobStatus::Completed, "{job:?}");
    let reviews = world.reviews().await;
    assert_eq!((reviews.len(), world.comments().await.len()), (1, 0));
    let text = reviews[0]["body"].as_str().unwrap();
    assert!(text.contains(head.get(..10).unwrap()) && text.contains("`src/retry.rs:3` It overflows"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_request_closed_during_its_review_gets_none() {
    let world = World::new().await;
    world.set_findings(&[finding(FAULT_LINE, "It overflows")]);
    world.block_agents();
    let out = world.user.ok(&["review", &world.label()]).await;
    world.wait_for_start(1).await;
    let path = format!("/pulls/{}", world.number);
    world.story.call_forge(Method::PATCH, &path, json!({ "state": "closed" })).await;
    world.unblock_agents();
    let job = world.story.wait_for_end(&out.trim_end().parse().unwrap()).await;
    assert_eq!(job.failure.map(|failure| failure.code).as_deref(), Some("pull_request_closed"));
    assert_eq!(world.reviews().await.len(), 0);
}
