//! Tests the credentials, events and finish of an attempt; the test acts as the runner.

mod events;
mod finish;

use crate::prelude::*;
use pullyard_domain::project::Limits;
use pullyard_protocol::client::Error;

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

async fn report_phase(client: &AttemptClient, phase: Phase) {
    client.status(&StatusRequest { status: phase, inputs: None, waits_for: None }).await.unwrap();
}

/// Creates a job for ticket APP-1 and claims it; returns its task as well.
async fn claimed_job() -> (Story, JobId, AttemptClient, Value) {
    claimed_job_with_limits(Settings::default().limits).await
}

async fn claimed_job_with_limits(limits: Limits) -> (Story, JobId, AttemptClient, Value) {
    let setup = Setup { task: Task::Waiting, ..Setup::default() };
    let settings = Settings { limits, ..setup.settings.clone() };
    let story = Story::start_with(Setup { settings, ..setup }).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let task = story.wait_for_task(&job, 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    (story, job, client, task)
}

async fn kill_task(story: &Story, job: &JobId, task: &Value) {
    story.kill_task(task).await;
    story.wait_for_noted_death(job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_issued_only_while_the_attempt_holds_its_job() {
    let (story, job, client, task) = claimed_job().await;
    assert_eq!(client.credentials().await.unwrap().forge_token, story.forge_token());
    kill_task(&story, &job, &task).await;
    // The dead attempt holds the job until the grace period ends.
    client.credentials().await.unwrap();
    story.advance_and_sweep(GRACE).await;
    assert_eq!(refusal(client.credentials().await), lease_lost(false));
    story.wait_for_task(&job, 2).await;
    let (_, second) = story.claim(&job, "c2").await.unwrap();
    assert_eq!(refusal(client.credentials().await), lease_lost(false));
    second.credentials().await.unwrap();
    second.finish(&failed_finish("f1")).await.unwrap();
    assert_eq!(refusal(second.credentials().await), lease_lost(false));
}
