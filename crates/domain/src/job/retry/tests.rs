use super::*;
use crate::fixtures::{
    REVIEW, TODO, TRIGGER, active, advance_to, finish, job_and_ticket, job_id, no_changes_failure, pending, plan_job,
    ready_job, result, settings, ticket_in, time_at,
};
use crate::job::JobKind;
use crate::job::{Cancel, End};
use crate::review::outcome::ticket_after_job;
use crate::text::id::IntegrationId;
use crate::ticket::{Badge, SettleStep};

fn write_back(ticket: &Ticket) -> Ticket {
    match ticket.next_settle_step(&settings(), time_at(1_000)) {
        SettleStep::WriteBack(written) => *written,
        other => panic!("{other:?}"),
    }
}

#[test]
fn automatic_cancel_before_work_leaves_reviews_unanswered() {
    let ended = |cancel: Cancel| pending().cancel(cancel, time_at(300)).unwrap();
    let dismissed = ended(Cancel::automatic("its reviews were dismissed", time_at(300)));
    assert!(is_withdrawn_unread(&dismissed));
    for job in [
        pending(),
        ended(Cancel::new("ann", None, time_at(300))),
        pending().fail(pending().context_failure(3), time_at(300)).unwrap(),
        Job { worked: true, ..dismissed.clone() },
        Job { kind: JobKind::Implement, ..dismissed.clone() },
        Job { status: JobStatus::Completed, ..dismissed },
    ] {
        assert!(!is_withdrawn_unread(&job), "{job:?}");
    }
}

fn plan_retry(of: &Job, ticket: &Ticket) -> (Job, Ticket) {
    let (job, ticket) = plan_job(&settings(), job_id("j2"), ticket, time_at(500));
    let (job, ticket) = to_retry(of, &settings(), job, Some(ticket));
    (job, ticket.unwrap())
}

#[test]
fn only_failed_or_cancelled_jobs_may_be_retried() {
    let syncing = active(JobStatus::Syncing);
    for status in [JobStatus::Claimed, JobStatus::Executing, JobStatus::Syncing] {
        assert_eq!(check_retryable(&active(status)), Err(status));
    }
    assert_eq!(check_retryable(&finish(&syncing, End::Completed(Some(result())))), Err(JobStatus::Completed));
    assert_eq!(check_retryable(&finish(&syncing, End::Failed(no_changes_failure(), None))), Ok(()));
    assert_eq!(check_retryable(&finish(&syncing, End::Cancelled)), Ok(()));
}

#[test]
fn failed_job_leaves_reviews_and_a_revision_only_as_last() {
    let syncing = active(JobStatus::Syncing);
    let failed = finish(&syncing, End::Failed(no_changes_failure(), None));
    assert!(has_reviews_to_pass_on(&failed, None));
    assert!(!has_reviews_to_pass_on(&finish(&syncing, End::Completed(Some(result()))), None));
    assert!(!has_reviews_to_pass_on(&syncing, None));
    let revision = Job { kind: JobKind::Revise, ..failed };
    assert!(has_reviews_to_pass_on(&revision, Some(&revision.id)));
    assert!(!has_reviews_to_pass_on(&revision, None));
    assert!(!has_reviews_to_pass_on(&revision, Some(&job_id("other"))));
}

#[test]
fn only_a_completed_job_answers_its_reviews() {
    let syncing = active(JobStatus::Syncing);
    assert!(has_handled_reviews(&finish(&syncing, End::Completed(Some(result())))));
    let ended = [End::Failed(no_changes_failure(), None), End::Cancelled].map(|end| finish(&syncing, end));
    for undone in [pending(), syncing].into_iter().chain(ended) {
        assert!(!has_handled_reviews(&undone), "{undone:?}");
    }
}

#[test]
fn retry_moves_the_ticket_and_clears_its_badge() {
    let (job, ticket) = job_and_ticket();
    let failed = finish(&advance_to(&job, JobStatus::Executing), End::Failed(no_changes_failure(), None));
    let ticket = write_back(&ticket_after_job(&failed, &ticket));
    assert_eq!((ticket.status.as_str(), ticket.shown.badge), (TODO, Some(Badge::AiFailed)));

    let (again, locked) = plan_retry(&failed, &ticket);
    assert_eq!((again.retry_of.as_ref(), locked.active_job.as_ref()), (Some(&failed.id), Some(&again.id)));
    assert_eq!((locked.status.as_str(), locked.wanted.badge), (TRIGGER, None));
    assert_eq!(write_back(&locked).shown.badge, None);

    // The same if the retry ends before the badge was removed.
    let done = finish(&advance_to(&again, JobStatus::Syncing), End::Completed(Some(result())));
    assert_eq!(write_back(&ticket_after_job(&done, &locked)).status, REVIEW);
}

#[test]
fn pending_move_does_not_overtake_the_retry() {
    let (job, ticket) = job_and_ticket();
    let failed = finish(&advance_to(&job, JobStatus::Executing), End::Failed(no_changes_failure(), None));
    let unsettled = ticket_after_job(&failed, &ticket);
    let (_, locked) = plan_retry(&failed, &unsettled);
    assert_eq!((locked.status.as_str(), write_back(&locked).status.as_str()), (TRIGGER, TRIGGER));
    assert_eq!(locked.written, None, "the ticket did not move, so there is no echo");
}

#[test]
fn retry_without_a_ticket_continues_its_pull_request() {
    let pushed = finish(&active(JobStatus::Syncing), End::Failed(no_changes_failure(), Some(result())));
    let plain = |repository| Job {
        repository,
        ticket: None,
        ..plan_job(&settings(), job_id("j2"), &ticket_in(TODO), time_at(1)).0
    };
    let continued = |job: Job| to_retry(&pushed, &settings(), job, None).0.continues.map(|earlier| earlier.number);
    assert_eq!(continued(plain(pushed.repository)), Some(231));
    assert_eq!(continued(plain(pushed.repository + 1)), None);
}

#[test]
fn retry_without_push_continues_the_earlier_pull_request() {
    let went_on = ContinuedPullRequest { number: 7, branch: "pullyard/acme/job-1".into() };
    let failed = finish(&active(JobStatus::Executing), End::Failed(no_changes_failure(), None));
    let of = Job { ticket: None, continues: Some(went_on.clone()), ..failed };
    let continued = |job: Job| to_retry(&of, &settings(), job, None).0.continues;
    let plain = Job { ticket: None, ..ready_job() };
    assert_eq!(continued(plain.clone()), Some(went_on));
    let other_host = Job { integration: IntegrationId::new("gh2").unwrap(), ..plain };
    assert_eq!(continued(other_host), None, "repository ids differ between forges");
}

#[test]
fn retry_resumes_work_of_its_own_job_kind_and_repository() {
    let working = active(JobStatus::Executing);
    let of = finish(&working, End::Failed(Failure::AgentOverloaded { n: 3 }, None));
    let retry = Job { retry_of: Some(of.id.clone()), ..ready_job() };
    assert!(can_resume_work(&retry, &of));
    for end in [End::Failed(no_changes_failure(), None), End::Cancelled] {
        assert!(!can_resume_work(&retry, &finish(&working, end)));
    }
    for other in [
        Job { kind: JobKind::Revise, ..retry.clone() },
        Job { integration: IntegrationId::new("gh2").unwrap(), ..retry.clone() },
        Job { repository: of.repository + 1, ..retry.clone() },
        Job { retry_of: Some(job_id("other")), ..retry.clone() },
        Job { retry_of: None, ..retry.clone() },
    ] {
        assert!(!can_resume_work(&other, &of), "{other:?}");
    }
    for kind in [JobKind::Review, JobKind::Resolve, JobKind::Analysis] {
        let of_kind = |job: &Job| Job { kind, ..job.clone() };
        assert!(!can_resume_work(&of_kind(&retry), &of_kind(&of)), "{kind:?} reads the newest state");
    }
}

#[test]
fn failures_that_discard_work_are_the_published_ones() {
    let anew: Vec<_> = Failure::samples().iter().filter(|failure| !is_resumable(failure)).map(Failure::code).collect();
    let expected = [
        "workspace_failed",
        "context_too_long",
        "permission_denied",
        "no_changes",
        "output_invalid",
        "secret_in_change",
        "protected_content",
        "agent_refused",
        "tree_changed",
        "branch_deleted",
        "pull_request_closed",
        "conflict",
        "session_lost",
    ];
    assert_eq!(anew, expected, "in the published order");
}
