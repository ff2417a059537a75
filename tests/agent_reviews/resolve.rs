//! Tests jobs that fix what their review finds.

use super::world::{BRANCH, FAULT_LINE, FILE, World, finding};
use crate::prelude::*;
use crate::pulls::link_new_ticket;

const FIX: &str = "sed -i 's/base << tries/base << tries.min(6)/' src/retry.rs
    echo 1 > test.rs; echo '{\"v\":1,\"commits\":[{\"message\":\"Add a test\",\"paths\":[\"test.rs\"]},
      {\"message\":\"Limit the delay\",\"paths\":[]}]}' > .pullyard/commits.json";
const VERDICTS: &str = r#"{"v":1,"findings":[{"index":0,"verdict":"fixed","text":"Limited."},
    {"index":1,"verdict":"declined","text":"It is on purpose."}]}"#;

async fn world() -> World {
    let world = World::new().await;
    world.set_findings(&[finding(FAULT_LINE, "The delay overflows"), finding(2, "The base is small")]);
    world.set_output_of_start(2, VERDICTS);
    world.set_fix_of_start(2, FIX);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn finding_is_fixed_pushed_and_reported() {
    let world = world().await;
    let (user, label, before) = (&world.user, world.label(), world.head().await);
    let ran = user.run(&["resolve", &label, "-m", "Keep it short.", "--watch"]).await.assert_exit(0, "Completed");
    let job: JobId = ran.out.lines().next().unwrap().parse().unwrap();
    assert!(ran.out.ends_with("Fixed 1 of 2 findings. Posted 1 finding inline. Worst: high. $2.24\n"), "{ran:?}");
    assert!(ran.err.contains(&format!("pull request #{}, 2 files", world.number)), "{ran:?}");

    let log = world.story.git(&["log", "--format=%s", &format!("{before}..{BRANCH}")]).await;
    assert_eq!(log, "Limit the delay\nAdd a test");
    let code = world.story.git(&["show", &format!("{BRANCH}:{FILE}")]).await;
    assert!(code.contains("tries.min(6)"), "{code}");
    assert!(!world.prompt(1).contains("Keep it short.") && world.prompt(2).contains("Keep it short."));
    assert!(
        world.prompt(1).starts_with("You review the pull request")
            && world.input(2, "findings.json").contains("overflows")
    );

    let (reviews, comments) = (world.reviews().await, world.comments().await);
    assert_eq!((reviews.len(), comments.len()), (1, 1), "{reviews:?} {comments:?}");
    let head = world.head().await;
    let text = reviews[0]["body"].as_str().unwrap();
    let fixed = format!("Fixed in {}:\n\n- high, src/retry.rs: The delay overflows Limited.", &head[..10]);
    assert!(text.contains(&fixed), "{text}");
    assert!(comments[0]["body"].as_str().unwrap().contains("Not changed. It is on purpose."), "{comments:?}");

    let output = user.ok(&["jobs", "output", job.as_str()]).await;
    assert!(output.starts_with(&format!("Reviewed {}, the whole change.", &head[..10])), "{output}");
    user.ok(&["jobs", "diff", job.as_str()]).await;
    // The pushed head counts as reviewed, but may be resolved again.
    user.run(&["review", &label]).await.assert_exit(3, "(already_reviewed)");
    let again = user.ok(&["resolve", &label]).await;
    let again = world.story.wait_for_end(&again.trim_end().parse().unwrap()).await;
    assert_eq!((again.kind, again.status, again.result), (JobKind::Resolve, JobStatus::Completed, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn resolve_holds_the_ticket_of_its_pull_request() {
    let world = world().await;
    let (user, label) = (&world.user, world.label());
    link_new_ticket(&world.story, world.number, "APP-1").await;
    world.block_agents();
    let job: JobId = user.ok(&["resolve", &label]).await.trim_end().parse().unwrap();
    world.wait_for_start(1).await;
    assert_eq!(world.story.ticket("APP-1").await.active_job, Some(job.clone()));
    user.run(&["resolve", &label]).await.assert_exit(3, "(review_running)");
    user.run(&["review", &label]).await.assert_exit(3, "(review_running)");
    let held = user.json(&["revise", &label, "-m", "Use tabs."]).await;
    assert_eq!(held["code"], "held_for_job", "{held}");
    world.unblock_agents();
    assert_eq!(world.story.wait_for_end(&job).await.status, JobStatus::Completed);
    // The revision follows.
    wait_until("the revision begins", async || {
        let jobs = world.story.revisions().await;
        if jobs.is_empty() { Err("no revision".to_owned()) } else { Ok(()) }
    })
    .await;
    user.run(&["resolve", &label]).await.assert_exit(3, "(job_active)");
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_request_is_not_linked_while_a_job_resolves_it() {
    let world = world().await;
    let (user, label) = (&world.user, world.label());
    world.block_agents();
    let job: JobId = user.ok(&["resolve", &label]).await.trim_end().parse().unwrap();
    world.wait_for_start(1).await;
    world.story.send_ticket_event("told-APP-1", "APP-1", TODO, 1).await;
    user.run(&["link", &label, "APP-1"]).await.assert_exit(3, "(job_in_repository)");
    world.unblock_agents();
    world.story.wait_for_end(&job).await;
    user.ok(&["link", &label, "APP-1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_resolve_is_retried_as_one() {
    let world = world().await;
    world.set_output_of_start(1, "{}");
    for start in 2..=3 {
        world.set_output_of_start(start, "{}");
    }
    let job: JobId = world.user.ok(&["resolve", &world.label()]).await.trim_end().parse().unwrap();
    let failed = world.story.wait_for_end(&job).await;
    assert_eq!(failed.failure.map(|failure| failure.code), Some("output_invalid".into()));
    assert_eq!((world.starts(), world.reviews().await.len()), (3, 0));
    world.set_output_of_start(5, VERDICTS);
    world.set_fix_of_start(5, FIX);
    let retried: JobId = world.user.ok(&["jobs", "retry", job.as_str()]).await.trim_end().parse().unwrap();
    let retried = world.story.wait_for_end(&retried).await;
    assert_eq!((retried.kind, retried.status), (JobKind::Resolve, JobStatus::Completed), "{retried:?}");
    assert_eq!(retried.retry_of, Some(job));
    assert!(retried.result.is_some());
}
