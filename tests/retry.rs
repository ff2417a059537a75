//! Tests retries of ended jobs.

use crate::prelude::*;
use futures::future::join_all;
use pullyard_domain::job::artifact;
use pullyard_domain::project::Repository;
use pullyard_domain::text::Span;
use pullyard_protocol::ticket::EditTicket;

const TIME_LIMIT: Failure = Failure::TimeLimit { limit: Span(60) };

async fn fail_job(story: &Story, job: &JobId) {
    let (_, client) = story.claim(job, "c1").await.unwrap();
    assert_eq!(finish_attempt(&client, FinishOutcome::Failed, Some(no_changes())).await, JobStatus::Failed);
}

async fn retry_job(story: &Story, job: &JobId) -> JobId {
    story.api.retry_job(job, None).await.unwrap().job.unwrap()
}

/// Creates a job that stores a checkpoint and then exceeds its time limit.
async fn fail_with_checkpoint(story: &Story) -> JobId {
    let job = story.create_job("e1", "APP-1", 1).await;
    let (_, client) = story.claim(&job, "c0").await.unwrap();
    enter_phases(&client, Phase::Executing).await;
    store_checkpoint(&client).await;
    finish_attempt(&client, FinishOutcome::Failed, Some(TIME_LIMIT)).await;
    job
}

async fn store_checkpoint(client: &AttemptClient) {
    store_artifact(client, artifact::ArtifactKind::Checkpoint, "checkpoint.tar.zst", b"a tree and a session").await;
}

async fn finish_attempt(client: &AttemptClient, outcome: FinishOutcome, failure: Option<Failure>) -> JobStatus {
    let finish_id = FinishId::new("f1").unwrap();
    let finish =
        FinishRequest { finish_id, outcome, failure, result: None, output: None, spent_usd_micros: None, work: None };
    client.finish(&finish).await.unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_of_failed_job_completes_and_updates_its_ticket() {
    let story = Story::begin_story().await;
    story.set_agent_command(&["true"]).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    assert_eq!(story.wait_for_end(&job).await.status, JobStatus::Failed);
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));

    story.set_agent_command(&["./agent.sh"]).await;
    let decision = story.api.retry_job(&job, None).await.unwrap();
    assert_eq!(decision.verdict, Verdict::Accepted);
    let retry = decision.job.unwrap();
    let ticket = story.ticket("APP-1").await;
    assert!([TRIGGER, REVIEW].contains(&ticket.status.as_str()), "{ticket:?}");
    let ended = story.wait_for_end(&retry).await;
    assert_eq!((ended.status, ended.retry_of.as_ref()), (JobStatus::Completed, Some(&job)), "{:?}", ended.failure);
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len(), ticket.last_job), (REVIEW, 0, Some(retry)));
    assert_eq!(ticket.pull_request, Some(ended.result.unwrap().url));
    let entry = story.api.delivery(&decision.delivery).await.unwrap();
    assert_eq!((entry.verdict, entry.ticket.unwrap().as_str()), (Verdict::Accepted, "APP-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_is_in_trigger_status_without_badge_during_retry() {
    let (story, job) = Story::with_job().await;
    fail_job(&story, &job).await;
    story.wait_for_settled_ticket("APP-1").await;
    let edit = EditTicket { description: Some("Do it better.".into()), ..EditTicket::default() };
    story.api.edit_ticket(&story.project, &TicketKey::new("APP-1").unwrap(), &edit, None).await.unwrap();
    let retry = retry_job(&story, &job).await;
    story.wait_for_empty_queues().await;
    let ticket = story.ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len(), ticket.synced), (TRIGGER, 0, true));
    assert_eq!(ticket.active_job.as_ref(), Some(&retry));
    // The ticket tool reports our own update as an event.
    assert_eq!(story.send_ticket_event("e2", "APP-1", TRIGGER, 5).await.code, "echo");
    assert!(story.claim(&retry, "c2").await.unwrap().0.prompt.contains("Do it better."));
    let cancelled = story.api.cancel_job(&retry, &CancelJob::default()).await.unwrap();
    assert_eq!(cancelled.retry_of, Some(job));
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_of_cancelled_prompt_has_the_same_prompt_and_base() {
    let story = Story::start_with_waiting_tasks().await;
    story.git(&["branch", "next", "main"]).await;
    let request = CreateJob {
        kind: JobKind::Implement,
        project: story.project.clone(),
        ticket: None,
        prompt: Some("Paint it black.".into()),
        repository: Some(RepositoryName::new(crate::story::REPOSITORY).unwrap()),
        base: Some("next".into()),
        agent: None,
        model: None,
        labels: Default::default(),
        priority: None,
    };
    let job = story.api.create_job(&request, None).await.unwrap().job.unwrap();
    story.api.cancel_job(&job, &CancelJob::default()).await.unwrap();
    let retry = retry_job(&story, &job).await;
    let (assignment, _) = story.claim(&retry, "c1").await.unwrap();
    assert!(assignment.prompt.contains("Paint it black."), "{}", assignment.prompt);
    assert_eq!((assignment.base.as_str(), assignment.repository.name.as_str()), ("next", crate::story::REPOSITORY));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_failed_or_cancelled_jobs_are_retried_under_guards() {
    let (story, job) = Story::with_job().await;
    let (status, code, sentence) = problem_of(story.api.retry_job(&job, None).await);
    assert_eq!((status, code.as_str()), (409, "not_over"));
    let only = "only a failed or cancelled job can be retried.";
    assert_eq!(sentence, format!("Job {} is ready; {only}", job.short()));
    fail_job(&story, &job).await;
    let decisions = join_all((0..8).map(|_| story.api.retry_job(&job, None))).await;
    let successes = decisions.iter().filter(|decision| decision.is_ok()).count();
    assert_eq!(successes, 1, "exactly one concurrent retry succeeds");
    for refused in decisions.into_iter().filter(Result::is_err) {
        let (status, code, _) = problem_of(refused);
        assert!(status == 409 && code == "job_active" || status == 503, "{status} {code}");
    }
    let retry = story.ticket("APP-1").await.active_job.unwrap();
    story.api.cancel_job(&retry, &CancelJob::default()).await.unwrap();
    story.wait_for_settled_ticket("APP-1").await;
    story.update_settings(|settings| settings.held_by = Some("ann".into())).await;
    assert_eq!(problem_of(story.api.retry_job(&job, None).await).1, "project_held");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_uses_the_same_repository_after_renames() {
    let (story, job) = Story::with_job().await;
    fail_job(&story, &job).await;
    story.wait_for_settled_ticket("APP-1").await;
    let store = story.store().await;
    let before = store.list_repositories(&story.project).await.unwrap().remove(0);
    let after = Repository { name: RepositoryName::new("acme/shop").unwrap(), ..before.clone() };
    assert_eq!(store.rename_repository(&before, &after).await.unwrap(), Write::Applied);
    let other = Repository { id: before.id + 1, ..before.clone() };
    assert_eq!(store.put_repository(&other, None).await.unwrap(), Write::Applied);
    let retry = retry_job(&story, &job).await;
    assert_eq!(store.load_job(&retry).await.unwrap().unwrap().repository, before.id);

    story.api.cancel_job(&retry, &CancelJob::default()).await.unwrap();
    story.wait_for_end(&retry).await;
    for name in [&after.name, &other.name] {
        story.api.remove_repository(&story.project, name).await.unwrap();
    }
    let (status, code, _) = problem_of(story.api.retry_job(&job, None).await);
    assert_eq!((status, code.as_str()), (409, "repository_not_integrated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn same_idempotency_key_returns_the_same_retry() {
    let (story, job) = Story::with_job().await;
    fail_job(&story, &job).await;
    let answers = join_all((0..8).map(|_| story.api.retry_job(&job, Some("k1")))).await;
    let jobs =
        answers.into_iter().map(|answer| answer.unwrap().job.unwrap()).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(story.jobs().await.len(), 2);
    let later = story.api.retry_job(&job, Some("k1")).await.unwrap();
    assert_eq!((later.verdict, later.job.as_ref()), (Verdict::Duplicate, jobs.first()));
    let other = story.create_job("e2", "APP-2", 1).await;
    fail_job(&story, &other).await;
    assert_eq!(problem_of(story.api.retry_job(&other, Some("k1")).await).1, "idempotency_key_reused");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_continues_from_the_checkpoint_of_the_failed_job() {
    let story = Story::begin_story().await;
    let agent = "cat > /dev/null; [ -e half.txt ] && cat half.txt > whole.txt && exit 0; echo half > half.txt; exit 3";
    story.set_agent_command(&["sh", "-c", agent]).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    assert_eq!(story.wait_for_end(&job).await.failure.unwrap().code, "agent_failed");
    let retry = retry_job(&story, &job).await;
    let ended = story.wait_for_end(&retry).await;
    assert_eq!(ended.status, JobStatus::Completed, "{:?}", ended.failure);
    let head = ended.result.unwrap().head;
    assert_eq!(story.git(&["show", &format!("{head}:whole.txt")]).await.trim(), "half");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_gets_checkpoint_after_limit_not_secret_or_cancel() {
    let story = Story::start_with_waiting_tasks().await;
    let secret = Failure::SecretInChange { path: "key.pem".into() };
    for (key, outcome, failure, has_checkpoint) in [
        ("APP-1", FinishOutcome::Failed, Some(TIME_LIMIT), true),
        ("APP-2", FinishOutcome::Failed, Some(secret), false),
        ("APP-3", FinishOutcome::Cancelled, None, false),
    ] {
        let job = story.create_job(key, key, 1).await;
        let (_, client) = story.claim(&job, "c1").await.unwrap();
        store_checkpoint(&client).await;
        assert!(finish_attempt(&client, outcome, failure).await.is_terminal(), "{key}");
        let retry = retry_job(&story, &job).await;
        let (_, client) = story.claim(&retry, "c2").await.unwrap();
        let checkpoint =
            client.checkpoint().await.unwrap().checkpoint.map(|checkpoint| (checkpoint.job, checkpoint.attempt));
        assert_eq!(checkpoint, has_checkpoint.then_some((job, 1)), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_finds_checkpoints_at_most_three_jobs_back() {
    let story = Story::start_with_waiting_tasks().await;
    let first = fail_with_checkpoint(&story).await;
    let mut last = first.clone();
    for (distance, is_found) in [(1, true), (2, true), (3, true), (4, false)] {
        last = retry_job(&story, &last).await;
        let (_, client) = story.claim(&last, &format!("c{distance}")).await.unwrap();
        let response = client.checkpoint().await.unwrap();
        assert_eq!(
            response.checkpoint.map(|checkpoint| checkpoint.job),
            is_found.then(|| first.clone()),
            "{distance} jobs back"
        );
        let missing = response.missing.map(|missing| (missing.job, missing.attempt, missing.why));
        let expected = (first.clone(), 1, artifact::MissingReason::TooFarBack);
        assert_eq!(missing, (!is_found).then_some(expected), "{distance} jobs back");
        enter_phases(&client, Phase::Executing).await;
        finish_attempt(&client, FinishOutcome::Failed, Some(TIME_LIMIT)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_that_start_no_agent_keep_the_checkpoint() {
    let story = Story::start_with_waiting_tasks().await;
    let first = fail_with_checkpoint(&story).await;
    let mut last = first.clone();
    for distance in 1..=5 {
        last = retry_job(&story, &last).await;
        let (_, client) = story.claim(&last, &format!("c{distance}")).await.unwrap();
        let response = client.checkpoint().await.unwrap();
        assert_eq!(
            (response.checkpoint.map(|checkpoint| checkpoint.job), response.missing),
            (Some(first.clone()), None),
            "{distance} jobs back"
        );
        enter_phases(&client, Phase::Preparing).await;
        let unreachable = Failure::SessionUnreachable { reason: "the bucket answered 503".into() };
        finish_attempt(&client, FinishOutcome::Failed, Some(unreachable)).await;
    }
}
