//! Tests every way in which ECS fails a start or a task: transient, permanent, reported late or never.

use super::{START_WITHIN, dispatch, function_context, handle_state_change, is_waiting_for, wait_for_task_arn};
use crate::prelude::*;

const MAX_BACK_OFF: Duration = Duration::from_secs(301);
/// Longer than the grace period for a finish after a death.
const GRACE: Duration = Duration::from_secs(16);

async fn wait_for_failed_start(story: &Story, job: &JobId, number: u64) -> Value {
    wait_until("the start has failed", async || {
        let dispatch = story.load_job_item(job).await["dispatch"].take();
        let failed = dispatch["number"] == number && dispatch["starting"] == false;
        if failed { Ok(dispatch["fault"].clone()) } else { Err(dispatch.to_string()) }
    })
    .await
}

async fn check_transient_faults(forms: &[(&[RunTaskOutcome], &str)]) {
    let story = Story::start_with_waiting_tasks().await;
    story.local.aws().ecs().queue_outcomes(forms.iter().flat_map(|(outcomes, _)| outcomes.to_vec()).collect());
    let job = story.create_job("e1", "APP-1", 1).await;
    for ((outcomes, code), number) in forms.iter().zip(1..) {
        wait_for_failed_start(&story, &job, number).await;
        let seen = story.api.job(&job).await.unwrap();
        assert_eq!((seen.status, seen.attempt), (JobStatus::Ready, 0), "{outcomes:?}");
        assert_eq!(seen.waits.unwrap().code, *code, "{outcomes:?}");
        assert_eq!(story.api.explain_job(&job).await.unwrap().code.as_deref(), Some(*code), "{outcomes:?}");
        story.wait_for_empty_queues().await;
        // A hint about a free place starts the job before it is due.
        if *code != "machine_full" {
            story.send_wake_up(&job).await;
            story.wait_for_empty_queues().await;
        }
        assert_eq!(story.list_tasks(&job).await.len(), 0, "{outcomes:?}");
        story.advance_and_sweep(MAX_BACK_OFF).await;
    }
    story.wait_for_task(&job, 1).await;
    assert_eq!(story.claim(&job, "c1").await.unwrap().0.attempt, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_capacity_in_any_form_uses_up_no_attempt() {
    let forms = [
        "AGENT",
        "Capacity is unavailable at this time. Please try again later or in a different availability zone",
        "You've reached the limit on the number of tasks you can run concurrently",
        "You’ve reached the limit on the number of vCPUs you can run concurrently.",
    ];
    let outcomes = forms.map(|reason| [RunTaskOutcome::Failure(reason)]);
    check_transient_faults(&outcomes.each_ref().map(|outcome| (&outcome[..], "fargate_capacity"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_machine_uses_up_no_attempt() {
    let outcomes = ["RESOURCE:CPU", "RESOURCE:MEMORY"].map(|reason| [RunTaskOutcome::Failure(reason)]);
    check_transient_faults(&outcomes.each_ref().map(|outcome| (&outcome[..], "machine_full"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_in_any_form_uses_up_no_attempt() {
    let within = "Error retrieving security group information for [sg-1]: Request limit exceeded. (ErrorCode: RequestLimitExceeded)";
    let forms: [&[RunTaskOutcome]; 4] = [
        // One outcome per try of the SDK.
        &[RunTaskOutcome::Exception("ThrottlingException", "Rate exceeded"); 4],
        &[RunTaskOutcome::Exception("InvalidParameterException", "Rate exceeded")],
        &[RunTaskOutcome::Exception("InvalidParameterException", within)],
        &[RunTaskOutcome::Failure("Rate exceeded")],
    ];
    check_transient_faults(&forms.map(|outcomes| (outcomes, "fargate_throttled"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_of_the_account_uses_up_no_attempt() {
    let outcomes = [
        ("AccessDeniedException", "User is not authorized to perform: ecs:RunTask"),
        ("BlockedException", "Your account has been blocked."),
        ("ClusterNotFoundException", "Cluster not found."),
    ]
    .map(|(code, message)| [RunTaskOutcome::Exception(code, message)]);
    check_transient_faults(&outcomes.each_ref().map(|outcome| (&outcome[..], "start_failed"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permanent_ecs_refusal_fails_the_job_with_its_reason() {
    let story = Story::start_with_waiting_tasks().await;
    let forms = [
        RunTaskOutcome::Exception("ClientException", "TaskDefinition is inactive"),
        RunTaskOutcome::Exception("InvalidParameterException", "The specified capacity provider was not found."),
        RunTaskOutcome::Failure("MISSING"),
    ];
    for (n, outcome) in forms.into_iter().enumerate() {
        let (RunTaskOutcome::Exception(_, reason) | RunTaskOutcome::Failure(reason)) = outcome else { continue };
        story.local.aws().ecs().queue_outcomes(vec![outcome; 3]);
        let job = story.create_job(&format!("e{n}"), &format!("APP-{n}"), 1).await;
        for number in 1..=3 {
            let fault = wait_for_failed_start(&story, &job, number).await;
            assert_eq!((&fault["kind"], &fault["times"]), (&json!("refused"), &json!(number)), "{outcome:?}");
            story.advance_and_sweep(MAX_BACK_OFF).await;
        }
        let ended = story.wait_for_end(&job).await;
        assert_eq!((ended.status, ended.attempt), (JobStatus::Failed, 0), "{outcome:?}");
        let failure = ended.failure.unwrap();
        assert_eq!(failure.code, "task_never_started", "{outcome:?}");
        assert!(failure.facts.to_string().contains(reason), "{outcome:?}: {}", failure.facts);
        assert_eq!(story.list_tasks(&job).await.len(), 0, "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_repeat_of_a_start_conflicts_and_one_task_claims() {
    let story = Story::start_with(Setup { task: Task::Waiting, hints: HintDelivery::Drop, ..Setup::default() }).await;
    let ctx = function_context(&story).await;
    // One outcome per try of the SDK.
    story.local.aws().ecs().queue_outcomes(vec![RunTaskOutcome::ResponseLost; 4]);
    let job = story.create_job("e1", "APP-1", 1).await;
    dispatch(&ctx, &job).await;
    assert_eq!(story.list_tasks(&job).await.len(), 1);
    assert!(story.load_job_item(&job).await["dispatch"]["task"].is_null(), "every answer was lost");
    // A deployment in between changes the API URL, which is part of the request.
    let other = story.function_context_at("http://127.0.0.1:9/other", "dispatch", "effects.fifo").await;
    dispatch(&other, &job).await;
    let fault = wait_for_failed_start(&story, &job, 1).await;
    assert!(fault["reason"].as_str().unwrap().contains("clientToken"), "{fault}");
    assert_eq!(story.list_tasks(&job).await.len(), 1, "no second task for the same dispatch");
    story.clock.advance(Duration::from_secs(6));
    dispatch(&ctx, &job).await;
    let tasks = story.list_tasks(&job).await;
    assert_eq!(tasks.len(), 2);
    let claims =
        [story.claim_with_task(&tasks[0], &job, "c1").await, story.claim_with_task(&tasks[1], &job, "c2").await];
    assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1, "exactly one task gets the job");
    assert_eq!(story.load_job_item(&job).await["attempt"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_task_is_replaced_and_its_later_stop_is_ignored() {
    let story = Story::start_with_waiting_tasks().await;
    story.local.aws().ecs().queue_outcomes(vec![RunTaskOutcome::StaysPending]);
    let job = story.create_job("e1", "APP-1", 1).await;
    let stuck = story.wait_for_task(&job, 1).await;
    wait_for_task_arn(&story, &job).await;
    story.advance_and_sweep(START_WITHIN - Duration::from_secs(10)).await;
    story.wait_for_empty_queues().await;
    assert_eq!(story.load_job_item(&job).await["dispatch"]["starting"], true, "the start failed too early");
    story.advance_and_sweep(Duration::from_secs(10)).await;
    story.wait_for_job(&job, is_waiting_for("start_failed")).await;
    let request = json!({ "cluster": "pullyard", "tasks": [stuck["taskArn"]] });
    assert_eq!(story.call_ecs("DescribeTasks", request).await["tasks"][0]["lastStatus"], "PENDING");
    story.advance_and_sweep(Duration::from_secs(6)).await;
    story.wait_for_task(&job, 2).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    let before = story.load_job_item(&job).await;
    story.call_ecs("StopTask", json!({ "cluster": "pullyard", "task": stuck["taskArn"], "reason": "Timed out" })).await;
    story.wait_for_stopped_task(&stuck).await;
    story.wait_for_empty_queues().await;
    assert_eq!(story.load_job_item(&job).await, before);
    client.credentials().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn death_before_the_claim_counts_once_in_any_event_order() {
    let story = Story::start_with_waiting_tasks().await;
    let ctx = function_context(&story).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let task = story.wait_for_task(&job, 1).await;
    wait_for_task_arn(&story, &job).await;
    let change = |status: &str, version: u32| {
        json!({ "detail": {
            "taskArn": task["taskArn"], "lastStatus": status, "startedBy": job.as_str(), "version": version,
            "stopCode": "TaskFailedToStart", "stoppedReason": "CannotPullContainerError: not found",
        } })
    };
    handle_state_change(&ctx, &change("STOPPED", 5)).await;
    let fault = wait_for_failed_start(&story, &job, 1).await;
    assert_eq!((&fault["kind"], &fault["times"]), (&json!("died"), &json!(1)));
    assert!(fault["reason"].as_str().unwrap().contains("CannotPullContainerError"), "{fault}");
    let before = story.load_job_item(&job).await;
    for (status, version) in [("RUNNING", 3), ("PENDING", 2), ("STOPPED", 5), ("DEPROVISIONING", 4), ("STOPPED", 5)] {
        handle_state_change(&ctx, &change(status, version)).await;
        assert_eq!(story.load_job_item(&job).await, before, "{status}");
    }
    story.advance_and_sweep(Duration::from_secs(6)).await;
    story.wait_for_task(&job, 2).await;
    wait_for_task_arn(&story, &job).await;
    let before = story.load_job_item(&job).await;
    handle_state_change(&ctx, &change("STOPPED", 5)).await;
    assert_eq!(story.load_job_item(&job).await, before, "the old task's event does not affect the next start");
}

#[tokio::test(flavor = "multi_thread")]
async fn unreported_death_is_found_at_the_start_deadline() {
    let story = Story::start_with_waiting_tasks().await;
    story.local.aws().ecs().set_drop_events(true);
    let job = story.create_job("e1", "APP-1", 1).await;
    let task = story.wait_for_task(&job, 1).await;
    wait_for_task_arn(&story, &job).await;
    story.kill_task(&task).await;
    story.wait_for_stopped_task(&task).await;
    story.advance_and_sweep(START_WITHIN).await;
    assert_eq!(wait_for_failed_start(&story, &job, 1).await["kind"], "silent");
    story.advance_and_sweep(Duration::from_secs(6)).await;
    story.wait_for_task(&job, 2).await;
    assert_eq!(story.claim(&job, "c1").await.unwrap().0.attempt, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn finish_after_a_noted_death_counts_within_the_grace() {
    for late in [false, true] {
        let (story, job) = Story::with_job().await;
        let task = story.wait_for_task(&job, 1).await;
        let (_, client) = story.claim(&job, "c1").await.unwrap();
        enter_phases(&client, Phase::Syncing).await;
        story.kill_task(&task).await;
        story.wait_for_noted_death(&job).await;
        if !late {
            assert_eq!(client.finish(&completed_finish("late", 7)).await.unwrap().status, JobStatus::Completed);
            assert_eq!(story.wait_for_end(&job).await.result.unwrap().number, 7);
        } else {
            // The attempt ends only after its push window.
            story.advance_and_sweep(GRACE).await;
            story.wait_for_job(&job, has_status(JobStatus::Syncing)).await;
            story.advance_and_sweep(Duration::from_secs(120)).await;
            story.wait_for_job(&job, has_status(JobStatus::Ready)).await;
            assert_eq!(client.finish(&completed_finish("late", 7)).await.unwrap_err().code(), Some("lease_lost"));
            let attempt = story.load_item(&format!("JOB#{job}"), "ATTEMPT#0001").await;
            assert_eq!((&attempt["ended"]["how"], &attempt["late_result"]["number"]), (&json!("requeued"), &json!(7)));
        }
    }
}
