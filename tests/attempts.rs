//! Tests the claim, lease and phases of an attempt; the test acts as the runner.

mod events;
mod finish;

use crate::story::{Setup, Story, Task, begin_all, failed, told};
use futures::future::join_all;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{DesiredState, JobStatus};
use pullyard_domain::project::{Limits, Settings};
use pullyard_protocol::attempt::{Phase, StatusRequest};
use pullyard_protocol::client::{AttemptClient, Error};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than every grace period of the sweeper, shorter than a job's time limit.
const GRACE: Duration = Duration::from_secs(16);

/// Status and code of a refusal, and whether the result was recorded anyway.
fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> (u16, String, Option<bool>) {
    match answer.unwrap_err() {
        Error::Problem(problem) => (problem.status, problem.code, problem.recorded),
        other => panic!("{other}"),
    }
}

fn lease_lost(recorded: bool) -> (u16, String, Option<bool>) {
    (409, "lease_lost".into(), Some(recorded))
}

async fn begin(client: &AttemptClient, phase: Phase) {
    client.status(&StatusRequest { status: phase, inputs: None }).await.unwrap();
}

/// Creates a job for ticket APP-1 and claims it; returns its task as well.
async fn claimed() -> (Story, JobId, AttemptClient, Value) {
    claimed_under(Settings::default().limits).await
}

async fn claimed_under(limits: Limits) -> (Story, JobId, AttemptClient, Value) {
    let setup = Setup { task: Task::Waiting, ..Setup::default() };
    let settings = Settings { limits, ..setup.settings.clone() };
    let story = Story::with(Setup { settings, ..setup }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let task = story.task_of(&job, 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    (story, job, client, task)
}

async fn dies(story: &Story, job: &JobId, task: &Value) {
    story.kill(task).await;
    story.died(job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_is_repeatable_and_a_second_claim_is_refused() {
    let (story, job, client, _) = claimed().await;
    let first = story.claim(&job, "c1").await.unwrap().0;
    let again = story.claim(&job, "c1").await.unwrap().0;
    assert_eq!(first, again);
    assert_eq!(refusal(story.claim(&job, "c2").await.map(|_| ())), lease_lost(false));
    begin_all(&client, Phase::Syncing).await;
    assert_eq!(story.claim(&job, "c1").await.unwrap().0, first);
    assert_eq!(refusal(story.claim(&job, "c2").await.map(|_| ())), lease_lost(false));
    client.finish(&failed("f1")).await.unwrap();
    assert_eq!(refusal(story.claim(&job, "c1").await.map(|_| ())), lease_lost(false));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_64_concurrent_claims_wins() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.task_of(&job, 1).await;
    let claims = (0..64).map(|n| format!("c{n}")).collect::<Vec<_>>();
    let answers = join_all(claims.iter().map(|claim| story.claim(&job, claim))).await;
    let mut winner = None;
    for (claim, answer) in claims.iter().zip(answers) {
        match answer {
            Ok(won) => assert!(winner.replace((claim, won)).is_none(), "two claims were granted"),
            lost => assert_eq!(refusal(lost.map(|_| ())), lease_lost(false)),
        }
    }
    let (claim, (assignment, client)) = winner.unwrap();
    let stored = story.stored(&job).await;
    assert_eq!((&stored["attempt"], stored["run"]["claim"].as_str()), (&json!(1), Some(claim.as_str())));
    assert_eq!(story.claim(&job, claim).await.unwrap().0, assignment);
    client.credentials().await.unwrap();
    story.end().await;
}

fn spoiled(token: &str) -> Vec<String> {
    let (kind, sealed) = token.split_at(4);
    let (body, mac) = sealed.split_once('.').unwrap();
    let turned = |text: &str| {
        let first = if text.starts_with('A') { "B" } else { "A" };
        format!("{first}{}", &text[1..])
    };
    let other_kind = if kind == "pyb_" { "pyl_" } else { "pyb_" };
    vec![
        String::new(),
        kind.into(),
        body.into(),
        sealed.into(),
        format!("{kind}{body}"),
        format!("{kind}{body}."),
        format!("{kind}.{mac}"),
        format!("{kind}{}.{mac}", turned(body)),
        format!("{kind}{body}.{}", turned(mac)),
        format!("{kind}{body}.{}", &mac[..mac.len() - 2]),
        format!("{kind}{body}.{mac}{mac}"),
        format!("{kind}{}.{mac}", &body[..body.len() - 4]),
        format!("{other_kind}{sealed}"),
        format!("{kind}{}.{mac}", "A".repeat(4_000)),
        token.to_uppercase(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_unexpired_bootstrap_token_claims_its_job() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let other = story.job_for("e2", "APP-2", 1).await;
    let (task, other_task) = (story.task_of(&job, 1).await, story.task_of(&other, 1).await);
    let bootstrap = told(&task, "PULLYARD_BOOTSTRAP");
    let call = async |job: &JobId, attempt: u32, token: Option<&str>| {
        let body = json!({ "claim_id": "c1", "instance": "i1" }).to_string().into_bytes();
        story.raw(Method::POST, &format!("/v1/jobs/{job}/attempts/{attempt}/start"), token, body).await.0
    };
    for token in spoiled(&bootstrap) {
        assert_eq!(call(&job, 1, Some(&token)).await, 401, "{token}");
    }
    assert_eq!(call(&job, 1, None).await, 401);
    assert_eq!(call(&job, 1, Some(story.local.admin_token())).await, 401);
    assert_eq!(call(&job, 1, Some(&told(&other_task, "PULLYARD_BOOTSTRAP"))).await, 401);
    assert_eq!(call(&other, 1, Some(&bootstrap)).await, 401);
    assert_eq!(call(&job, 2, Some(&bootstrap)).await, 401);
    assert_eq!(call(&job, 0, Some(&bootstrap)).await, 401);
    assert_eq!(story.stored(&job).await["status"], "ready");
    assert_eq!(call(&job, 1, Some(&bootstrap)).await, 200);
    story.clock.advance(Duration::from_secs(601));
    assert_eq!(call(&job, 1, Some(&bootstrap)).await, 401, "the expired token is accepted");
    assert_eq!(
        call(&other, 1, Some(&told(&other_task, "PULLYARD_BOOTSTRAP"))).await,
        401,
        "the expired token is accepted"
    );
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_routes_accept_only_the_attempts_own_lease() {
    let (story, job, _, task) = claimed().await;
    let lease = story.claim(&job, "c1").await.unwrap().0.lease;
    let other = story.job_for("e2", "APP-2", 1).await;
    let other_lease = story.claim(&other, "c2").await.unwrap().0.lease;
    let bodies = [
        ("status", json!({ "status": "preparing" })),
        ("events", json!({ "first_seq": 1, "events": [] })),
        ("credentials", json!({})),
        ("artifacts", json!({ "kind": "patch", "name": "a", "size_bytes": 1, "sha256": "a".repeat(64) })),
        ("finish", json!({ "finish_id": "f1", "outcome": "cancelled" })),
    ];
    for (route, body) in &bodies {
        let call = async |job: &JobId, attempt: u32, token: Option<&str>| {
            let path = format!("/v1/jobs/{job}/attempts/{attempt}/{route}");
            story.raw(Method::POST, &path, token, body.to_string().into_bytes()).await.0
        };
        for token in spoiled(&lease) {
            assert_eq!(call(&job, 1, Some(&token)).await, 401, "{route} {token}");
        }
        assert_eq!(call(&job, 1, None).await, 401, "{route}");
        assert_eq!(call(&job, 1, Some(story.local.admin_token())).await, 401, "{route}");
        assert_eq!(call(&job, 1, Some(&told(&task, "PULLYARD_BOOTSTRAP"))).await, 401, "{route}");
        assert_eq!(call(&job, 1, Some(&other_lease)).await, 401, "{route}");
        assert_eq!(call(&other, 1, Some(&lease)).await, 401, "{route}");
        assert_eq!(call(&job, 2, Some(&lease)).await, 401, "{route}");
    }
    // A lease gives no access to other routes.
    for path in ["/v1/jobs?project=acme".to_owned(), format!("/v1/jobs/{job}"), "/v1/projects/acme".into()] {
        assert_eq!(story.raw(Method::GET, &path, Some(&lease), Vec::new()).await.0, 401, "{path}");
    }
    assert_eq!(story.stored(&job).await["status"], "claimed");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phases_advance_in_order_and_the_current_one_repeats() {
    let (story, job, client, _) = claimed().await;
    let say = async |phase| client.status(&StatusRequest { status: phase, inputs: None }).await;
    let wrong = || (409, "wrong_status".to_owned(), None);
    let phases = [Phase::Preparing, Phase::Executing, Phase::Syncing];
    let statuses = [JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing];
    for (at, phase) in phases.into_iter().enumerate() {
        for later in phases.into_iter().skip(at + 1) {
            assert_eq!(refusal(say(later).await), wrong(), "{later:?} before {phase:?}");
        }
        let answers = join_all((0..4).map(|_| say(phase))).await;
        for answer in answers {
            let answer = answer.unwrap();
            assert_eq!(answer.want, DesiredState::Run);
            assert_eq!(answer.push_for_secs.is_some(), phase == Phase::Syncing);
        }
        for earlier in phases.into_iter().take(at) {
            assert_eq!(refusal(say(earlier).await), wrong(), "{earlier:?} after {phase:?}");
        }
        assert_eq!(story.api.job(&job).await.unwrap().status, statuses[at]);
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_syncing_does_not_extend_the_push_window() {
    let (story, _, client, _) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    let left = async || {
        client.status(&StatusRequest { status: Phase::Syncing, inputs: None }).await.unwrap().push_for_secs.unwrap()
    };
    assert!((100..=120).contains(&left().await));
    story.clock.advance(Duration::from_secs(60));
    assert!((40..=60).contains(&left().await));
    story.clock.advance(Duration::from_secs(61));
    assert_eq!(left().await, 0);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_issued_only_while_the_attempt_holds_its_job() {
    let (story, job, client, task) = claimed().await;
    assert_eq!(client.credentials().await.unwrap().forge_token, story.forge_token());
    dies(&story, &job, &task).await;
    // The dead attempt holds the job until the grace period ends.
    client.credentials().await.unwrap();
    story.pass(GRACE).await;
    assert_eq!(refusal(client.credentials().await), lease_lost(false));
    story.task_of(&job, 2).await;
    let (_, second) = story.claim(&job, "c2").await.unwrap();
    assert_eq!(refusal(client.credentials().await), lease_lost(false));
    second.credentials().await.unwrap();
    second.finish(&failed("f1")).await.unwrap();
    assert_eq!(refusal(second.credentials().await), lease_lost(false));
    story.end().await;
}
