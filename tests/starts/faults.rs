//! Tests every way in which ECS fails a start or a task: transient, permanent, reported late or never.

use super::{START_WITHIN, context, dispatch, named, tell, waits};
use crate::story::{Setup, Story, Task, begin_all, completed, is, until};
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use pullyard_emulator::ecs::Outcome;
use pullyard_local::Hints;
use pullyard_protocol::attempt::Phase;
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than any back-off of a start.
const PUT_OFF: Duration = Duration::from_secs(301);
/// Longer than the grace period for a finish after a death.
const GRACE: Duration = Duration::from_secs(16);

/// Waits until start `number` has failed and returns the fault.
async fn failed_start(story: &Story, job: &JobId, number: u64) -> Value {
    until("the start has failed", async || {
        let dispatch = story.stored(job).await["dispatch"].take();
        let failed = dispatch["number"] == number && dispatch["starting"] == false;
        if failed { Ok(dispatch["fault"].clone()) } else { Err(dispatch.to_string()) }
    })
    .await
}

/// Verifies that a job survives each fault in turn and is claimed in the end.
async fn check_passing(forms: &[(&[Outcome], &str)]) {
    let story = Story::waiting().await;
    story.local.aws().ecs().script(forms.iter().flat_map(|(outcomes, _)| outcomes.to_vec()).collect());
    let job = story.job_for("e1", "APP-1", 1).await;
    for ((outcomes, code), number) in forms.iter().zip(1..) {
        failed_start(&story, &job, number).await;
        let seen = story.api.job(&job).await.unwrap();
        assert_eq!((seen.status, seen.attempt), (JobStatus::Ready, 0), "{outcomes:?}");
        assert_eq!(seen.waits.unwrap().code, *code, "{outcomes:?}");
        assert_eq!(story.api.why(&job).await.unwrap().code.as_deref(), Some(*code), "{outcomes:?}");
        story.quiet().await;
        story.wake(&job).await;
        story.quiet().await;
        assert_eq!(story.tasks_of(&job).await.len(), 0, "{outcomes:?}");
        story.pass(PUT_OFF).await;
    }
    story.task_of(&job, 1).await;
    assert_eq!(story.claim(&job, "c1").await.unwrap().0.attempt, 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_capacity_in_any_form_uses_up_no_attempt() {
    let forms = [
        "RESOURCE:CPU",
        "RESOURCE:MEMORY",
        "RESOURCE:ENI",
        "AGENT",
        "Capacity is unavailable at this time. Please try again later or in a different availability zone",
        "You've reached the limit on the number of tasks you can run concurrently",
        "You’ve reached the limit on the number of vCPUs you can run concurrently.",
    ];
    let outcomes = forms.map(|reason| [Outcome::Failure(reason)]);
    check_passing(&outcomes.each_ref().map(|outcome| (&outcome[..], "fargate_capacity"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_in_any_form_uses_up_no_attempt() {
    let within = "Error retrieving security group information for [sg-1]: Request limit exceeded. (ErrorCode: RequestLimitExceeded)";
    let forms: [&[Outcome]; 4] = [
        // One outcome per try of the SDK.
        &[Outcome::Throttled; 4],
        &[Outcome::RateExceeded],
        &[Outcome::Exception("InvalidParameterException", within)],
        &[Outcome::Failure("Rate exceeded")],
    ];
    check_passing(&forms.map(|outcomes| (outcomes, "fargate_throttled"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permanent_ecs_refusal_fails_the_job_with_its_reason() {
    let story = Story::waiting().await;
    let forms = [
        Outcome::Exception("ClientException", "TaskDefinition is inactive"),
        Outcome::Exception("AccessDeniedException", "User is not authorized to perform: ecs:RunTask"),
        Outcome::Exception("InvalidParameterException", "The specified capacity provider was not found."),
        Outcome::Exception("ClusterNotFoundException", "Cluster not found."),
        Outcome::Failure("MISSING"),
    ];
    for (n, outcome) in forms.into_iter().enumerate() {
        let (Outcome::Exception(_, words) | Outcome::Failure(words)) = outcome else { continue };
        story.local.aws().ecs().script(vec![outcome; 3]);
        let job = story.job_for(&format!("e{n}"), &format!("APP-{n}"), 1).await;
        for number in 1..=3 {
            let fault = failed_start(&story, &job, number).await;
            assert_eq!((&fault["kind"], &fault["times"]), (&json!("refused"), &json!(number)), "{outcome:?}");
            story.pass(PUT_OFF).await;
        }
        let ended = story.ended(&job).await;
        assert_eq!((ended.status, ended.attempt), (JobStatus::Failed, 0), "{outcome:?}");
        let failure = ended.failure.unwrap();
        assert_eq!(failure.code, "task_never_started", "{outcome:?}");
        assert!(failure.facts.to_string().contains(words), "{outcome:?}: {}", failure.facts);
        assert_eq!(story.tasks_of(&job).await.len(), 0, "{outcome:?}");
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_repeat_of_a_start_conflicts_and_one_task_claims() {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    let ctx = context(&story).await;
    // One outcome per try of the SDK.
    story.local.aws().ecs().script(vec![Outcome::AnswerLost; 4]);
    let job = story.job_for("e1", "APP-1", 1).await;
    dispatch(&ctx, &job).await;
    assert_eq!(story.tasks_of(&job).await.len(), 1);
    assert!(story.stored(&job).await["dispatch"]["task"].is_null(), "every answer was lost");
    // A deployment in between changes the API URL, which is part of the request.
    let other = story.instance_at("http://127.0.0.1:9/other", "dispatch", "effects.fifo").await;
    dispatch(&other, &job).await;
    let fault = failed_start(&story, &job, 1).await;
    assert!(fault["reason"].as_str().unwrap().contains("clientToken"), "{fault}");
    assert_eq!(story.tasks_of(&job).await.len(), 1, "no second task for the same dispatch");
    story.clock.advance(Duration::from_secs(6));
    dispatch(&ctx, &job).await;
    let tasks = story.tasks_of(&job).await;
    assert_eq!(tasks.len(), 2);
    let claims = [story.claim_as(&tasks[0], &job, "c1").await, story.claim_as(&tasks[1], &job, "c2").await];
    assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1, "exactly one task gets the job");
    assert_eq!(story.stored(&job).await["attempt"], 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_task_is_replaced_and_its_later_stop_is_ignored() {
    let story = Story::waiting().await;
    story.local.aws().ecs().script(vec![Outcome::NeverStarts]);
    let job = story.job_for("e1", "APP-1", 1).await;
    let stuck = story.task_of(&job, 1).await;
    named(&story, &job).await;
    story.pass(START_WITHIN - Duration::from_secs(10)).await;
    story.quiet().await;
    assert_eq!(story.stored(&job).await["dispatch"]["starting"], true, "the start failed too early");
    story.pass(Duration::from_secs(10)).await;
    story.job_until(&job, waits("start_failed")).await;
    let asked = json!({ "cluster": "pullyard", "tasks": [stuck["taskArn"]] });
    assert_eq!(story.ecs("DescribeTasks", asked).await["tasks"][0]["lastStatus"], "PENDING");
    story.pass(Duration::from_secs(6)).await;
    story.task_of(&job, 2).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    let before = story.stored(&job).await;
    story.ecs("StopTask", json!({ "cluster": "pullyard", "task": stuck["taskArn"], "reason": "Timed out" })).await;
    story.task_stopped(&stuck).await;
    story.quiet().await;
    assert_eq!(story.stored(&job).await, before);
    client.credentials().await.unwrap();
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn death_before_the_claim_counts_once_in_any_event_order() {
    let story = Story::waiting().await;
    let ctx = context(&story).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let task = story.task_of(&job, 1).await;
    named(&story, &job).await;
    let change = |status: &str, version: u32| {
        json!({ "detail": {
            "taskArn": task["taskArn"], "lastStatus": status, "startedBy": job.as_str(), "version": version,
            "stopCode": "TaskFailedToStart", "stoppedReason": "CannotPullContainerError: not found",
        } })
    };
    tell(&ctx, &change("STOPPED", 5)).await;
    let fault = failed_start(&story, &job, 1).await;
    assert_eq!((&fault["kind"], &fault["times"]), (&json!("died"), &json!(1)));
    assert!(fault["reason"].as_str().unwrap().contains("CannotPullContainerError"), "{fault}");
    let before = story.stored(&job).await;
    for (status, version) in [("RUNNING", 3), ("PENDING", 2), ("STOPPED", 5), ("DEPROVISIONING", 4), ("STOPPED", 5)] {
        tell(&ctx, &change(status, version)).await;
        assert_eq!(story.stored(&job).await, before, "{status}");
    }
    story.pass(Duration::from_secs(6)).await;
    story.task_of(&job, 2).await;
    named(&story, &job).await;
    let before = story.stored(&job).await;
    tell(&ctx, &change("STOPPED", 5)).await;
    assert_eq!(story.stored(&job).await, before, "the old task's event does not affect the next start");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreported_death_is_found_at_the_start_deadline() {
    let story = Story::waiting().await;
    story.local.aws().ecs().lose_events(true);
    let job = story.job_for("e1", "APP-1", 1).await;
    let task = story.task_of(&job, 1).await;
    named(&story, &job).await;
    story.kill(&task).await;
    story.task_stopped(&task).await;
    story.pass(START_WITHIN).await;
    assert_eq!(failed_start(&story, &job, 1).await["kind"], "silent");
    story.pass(Duration::from_secs(6)).await;
    story.task_of(&job, 2).await;
    assert_eq!(story.claim(&job, "c1").await.unwrap().0.attempt, 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finish_after_a_noted_death_counts_within_the_grace() {
    for late in [false, true] {
        let story = Story::waiting().await;
        let job = story.job_for("e1", "APP-1", 1).await;
        let task = story.task_of(&job, 1).await;
        let (_, client) = story.claim(&job, "c1").await.unwrap();
        begin_all(&client, Phase::Syncing).await;
        story.kill(&task).await;
        story.died(&job).await;
        if !late {
            assert_eq!(client.finish(&completed("late", 7)).await.unwrap().status, JobStatus::Completed);
            assert_eq!(story.ended(&job).await.result.unwrap().number, 7);
        } else {
            // The job ends only after its push window.
            story.pass(GRACE).await;
            story.job_until(&job, is(JobStatus::Syncing)).await;
            story.pass(Duration::from_secs(120)).await;
            story.adopts_nothing(&job).await;
            assert_eq!(story.ended(&job).await.failure.unwrap().code, "runner_crashed");
            assert_eq!(client.finish(&completed("late", 7)).await.unwrap_err().code(), Some("lease_lost"));
            let attempt = story.item(&format!("JOB#{job}"), "ATTEMPT#0001").await;
            assert_eq!(attempt["late_result"]["number"], 7, "{attempt}");
        }
        story.end().await;
    }
}
