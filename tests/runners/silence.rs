//! Tests jobs of runners that stop sending heartbeats or lose a process.

use crate::prelude::*;
use pullyard_domain::text::Quoted;

#[tokio::test(flavor = "multi_thread")]
async fn silent_runner_fails_its_job_and_returns_with_a_heartbeat() {
    let (story, kite) = Story::with_one_runner().await;
    story.local.sweep().await.unwrap();
    story.create_job("e1", "APP-1", 1).await;
    let (job, client) = story.claim_and_start(&kite, "c1", Phase::Executing).await;
    kite.heartbeat(&[&job]).await;
    story.pass_in_steps(50).await;
    story.assert_runner_status("kite", RunnerStatus::Online).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    story.pass_in_steps(50).await;
    story.assert_runner_status("kite", RunnerStatus::Offline).await;
    let ended = story.wait_for_end(&job).await;
    let failure = ended.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.facts["runner"].as_str()), ("runner_offline", Some("kite")));
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    assert_eq!(client.credentials().await.err().unwrap().code(), Some("lease_lost"));
    assert!(kite.claim("c2").await.is_none(), "an offline runner must send a heartbeat first");
    kite.heartbeat(&[]).await;
    story.assert_runner_status("kite", RunnerStatus::Online).await;
    let next = story.create_job("e2", "APP-2", 2).await;
    assert_eq!(kite.claim("c2").await.unwrap().job, next);
}

#[tokio::test(flavor = "multi_thread")]
async fn job_lost_during_its_push_is_requeued() {
    let (story, kite) = Story::with_one_runner().await;
    story.local.sweep().await.unwrap();
    story.create_job("e1", "APP-1", 1).await;
    let (job, _) = story.claim_and_start(&kite, "c1", Phase::Syncing).await;
    // Offline after 90 s, and within the push window of 120 s.
    story.pass_in_steps(100).await;
    story.assert_runner_status("kite", RunnerStatus::Offline).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Syncing);
    story.pass_in_steps(30).await;
    // The project's policy would fail the job, but the next attempt may find a pushed commit.
    story.wait_for_job(&job, has_status(JobStatus::Ready)).await;
    kite.heartbeat(&[]).await;
    let claimed = kite.claim("c2").await.unwrap();
    let (assignment, client) = story.start_claimed(&claimed, "c2").await.unwrap();
    assert_eq!((&assignment.job, assignment.attempt), (&job, 2));
    enter_phases(&client, Phase::Preparing).await;
    // The attempt cannot read the forge, so the failure mentions a possible push.
    let repo = RepositoryName::new("acme/app").unwrap();
    let denied = Failure::SourceDenied { forge: "GitHub".into(), repo, reason: Quoted(None) };
    client.finish(&FinishRequest { failure: Some(denied), ..failed_finish("f2") }).await.unwrap();
    let ended = story.wait_for_end(&job).await;
    let failure = ended.failure.unwrap();
    assert_eq!(failure.code, "source_denied");
    let explanation = story.api.explain_job(&job).await.unwrap();
    assert!(
        explanation.sentence.ends_with(" A lost attempt may have pushed.")
            && explanation.help.starts_with("Check the forge for the branch `"),
        "{explanation:?}"
    );
    let attempts = story.api.attempts(&job).await.unwrap().attempts;
    let lost = attempts.into_iter().find(|attempt| attempt.attempt == 1).unwrap().failure.unwrap();
    assert_eq!((lost.code.as_str(), lost.facts["runner"].as_str()), ("runner_offline", Some("kite")));
    let user = User::of(&story);
    let output = user.ok(&["jobs", "show", job.as_str()]).await;
    assert!(output.contains("\npushed\tA lost attempt may have pushed.\n"), "{output}");
    let look = format!("check the forge first: a lost attempt may have pushed; `pullyard why {}`", job.short());
    user.run(&["jobs", "logs", job.as_str(), "-f"]).await.assert_exit(6, &look);
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeper_outage_fails_no_job_of_a_silent_runner() {
    let (story, kite) = Story::with_one_runner().await;
    story.local.sweep().await.unwrap();
    story.create_job("e1", "APP-1", 1).await;
    let (job, client) = story.claim_and_start(&kite, "c1", Phase::Executing).await;
    // Neither the sweeper nor the API runs for ten minutes.
    story.advance_and_sweep(Duration::from_secs(600)).await;
    story.assert_runner_status("kite", RunnerStatus::Offline).await;
    story.pass_in_steps(50).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    kite.heartbeat(&[&job]).await;
    story.pass_in_steps(30).await;
    client.credentials().await.unwrap();
    // A runner that stays silent through the next window loses its job.
    story.advance_and_sweep(Duration::from_secs(600)).await;
    story.pass_in_steps(100).await;
    assert_eq!(story.wait_for_end(&job).await.failure.unwrap().code, "runner_offline");
}

#[tokio::test(flavor = "multi_thread")]
async fn job_missing_from_heartbeats_fails_as_crashed() {
    let (story, kite) = Story::with_one_runner().await;
    story.local.sweep().await.unwrap();
    story.create_job("e1", "APP-1", 1).await;
    story.create_job("e2", "APP-2", 2).await;
    let (one, _) = story.claim_and_start(&kite, "c1", Phase::Executing).await;
    let (two, _) = story.claim_and_start(&kite, "c2", Phase::Executing).await;
    // A heartbeat sent before the claim's answer omits the job.
    for _ in 0..3 {
        kite.heartbeat(&[&two]).await;
        story.pass_in_steps(10).await;
        assert_eq!(story.api.job(&one).await.unwrap().status, JobStatus::Executing);
    }
    story.pass_in_steps(40).await;
    kite.heartbeat(&[&two]).await;
    story.local.sweep().await.unwrap();
    assert_eq!(story.wait_for_end(&one).await.failure.unwrap().code, "runner_crashed");
    assert_eq!(story.api.job(&two).await.unwrap().status, JobStatus::Executing);
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_without_a_heartbeat_is_shown_as_never_heard() {
    let (story, kite) = Story::with_one_runner().await;
    story.assert_runner_status("kite", RunnerStatus::Online).await;
    story.clock.advance(Duration::from_secs(91));
    story.assert_runner_status("kite", RunnerStatus::NeverHeard).await;
    kite.heartbeat(&[]).await;
    story.clock.advance(Duration::from_secs(91));
    story.assert_runner_status("kite", RunnerStatus::Offline).await;
}
