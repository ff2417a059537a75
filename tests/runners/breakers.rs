//! Tests breakers of model accounts on self-hosted runners.

use super::RunnerProcess;
use crate::prelude::*;
use pullyard_domain::agent::breaker::START_SPREAD;
use pullyard_domain::text::Until;
use pullyard_protocol::attempt::FinishAnswer;

/// The finish of an attempt whose account reached its limit.
fn quota_finish(id: &str, ends: Option<Timestamp>) -> FinishRequest {
    FinishRequest { failure: Some(Failure::AgentQuota { time: Until(ends) }), ..failed_finish(id) }
}

fn unreachable_finish(id: &str) -> FinishRequest {
    FinishRequest {
        failure: Some(Failure::AgentUnreachable { reason: "connection refused".into() }),
        ..failed_finish(id)
    }
}

async fn advance_with_heartbeat(story: &Story, process: &RunnerProcess, secs: u64) {
    story.clock.advance(Duration::from_secs(secs));
    process.heartbeat(&[]).await;
}

async fn run_attempt(
    story: &Story,
    process: &RunnerProcess,
    claim: &str,
    end: &FinishRequest,
) -> (JobId, FinishAnswer) {
    let (job, client) = story.claim_and_start(process, claim, Phase::Executing).await;
    let answer = client.finish(end).await.unwrap();
    assert_eq!(client.finish(end).await.unwrap(), answer, "a repeated finish gets the same answer");
    (job, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_over_its_limit_claims_nothing_until_it_resets() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", None, None).await;
    let kite = story.register_runner(&token, "kite", "i1").await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let ends = story.clock.now().plus(Duration::from_secs(7_200));
    let (limited_job, answer) = run_attempt(&story, &kite, "c1", &quota_finish("f1", Some(ends))).await;
    assert_eq!((limited_job, answer.status), (job.clone(), JobStatus::Ready));
    // The ticket is unchanged, because the job did not fail.
    let ticket = story.ticket("APP-1").await;
    assert_eq!((ticket.active_job.as_ref(), ticket.badges.len()), (Some(&job), 0));
    story.assert_waits(&job, "limit_reached").await;
    let second = story.create_job("e2", "APP-2", 2).await;
    story.assert_waits(&second, "limit_reached").await;
    assert!(kite.claim("c2").await.is_none());
    // The breaker is per runner, because another runner may use another account.
    let gull = story.register_runner(&token, "gull", "i1").await;
    story.assert_waits(&second, "starting_now").await;
    assert_eq!(gull.claim("g1").await.unwrap().job, job, "the job kept its place in the queue");
    // After the limit, jobs start spread over `START_SPREAD`.
    advance_with_heartbeat(&story, &kite, 7_000).await;
    assert!(kite.claim("c3").await.is_none());
    advance_with_heartbeat(&story, &kite, 210).await;
    advance_with_heartbeat(&story, &kite, START_SPREAD.as_secs()).await;
    let third = story.create_job("e3", "APP-3", 3).await;
    let (_, client) = story.claim_and_start(&kite, "c4", Phase::Executing).await;
    assert_eq!(client.finish(&failed_finish("f4")).await.unwrap().status, JobStatus::Failed);
    assert_eq!(kite.claim("c6").await.unwrap().job, third);
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_provider_backs_off_and_fails_the_job_after_a_day() {
    let (story, kite) = Story::with_one_runner().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let mut waited = Duration::ZERO;
    for (number, secs) in [300, 600, 1_200, 2_400, 3_600, 3_600].into_iter().enumerate() {
        let (_, answer) =
            run_attempt(&story, &kite, &format!("c{number}"), &unreachable_finish(&format!("f{number}"))).await;
        assert_eq!(answer.status, JobStatus::Ready, "{number}");
        story.assert_waits(&job, "provider_unavailable").await;
        advance_with_heartbeat(&story, &kite, secs - 60).await;
        assert!(kite.claim(&format!("too-early-{number}")).await.is_none(), "{number}");
        advance_with_heartbeat(&story, &kite, 61).await;
        advance_with_heartbeat(&story, &kite, START_SPREAD.as_secs()).await;
        waited += Duration::from_secs(secs) + START_SPREAD;
    }
    // The job fails after a day with the last failure of its attempts.
    advance_with_heartbeat(&story, &kite, 24 * 3_600 - waited.as_secs()).await;
    assert_eq!(run_attempt(&story, &kite, "c9", &unreachable_finish("f9")).await.1.status, JobStatus::Failed);
    assert_eq!(story.wait_for_end(&job).await.failure.unwrap().code, "agent_unreachable");
}
