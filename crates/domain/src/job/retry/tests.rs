use super::*;
use crate::id::IntegrationId;
use crate::job::{Cancel, End};
use crate::outcome::ticket_after;
use crate::story::{
    REVIEW, TODO, TRIGGER, active, at, finished, job_and_ticket, job_id, no_changes, pending, planned, ready, result,
    settings, ticket_in, worked_to,
};
use crate::ticket::{Badge, Settling};

fn settled(ticket: &Ticket) -> Ticket {
    match ticket.settling(&settings(), at(1_000)) {
        Settling::WriteBack(written) => *written,
        other => panic!("{other:?}"),
    }
}

#[test]
fn automatic_cancel_before_work_leaves_reviews_unanswered() {
    let ended = |cancel: Cancel| pending().cancelled(cancel, at(300)).unwrap();
    let dismissed = ended(Cancel::by_itself("its reviews were dismissed", at(300)));
    assert!(left_unheard(&dismissed));
    for heard in [
        pending(),
        ended(Cancel::new("ann", None, at(300))),
        pending().given_up(pending().context_unavailable(3), at(300)).unwrap(),
        Job { worked: true, ..dismissed.clone() },
        Job { kind: Kind::Implement, ..dismissed.clone() },
        Job { status: Status::Completed, ..dismissed },
    ] {
        assert!(!left_unheard(&heard), "{heard:?}");
    }
}

fn retried(of: &Job, ticket: &Ticket) -> (Job, Ticket) {
    let (job, ticket) = planned(&settings(), job_id("j2"), ticket, at(500));
    let (job, ticket) = as_retry(of, &settings(), job, Some(ticket));
    (job, ticket.unwrap())
}

#[test]
fn only_failed_or_cancelled_jobs_may_be_retried() {
    let syncing = active(Status::Syncing);
    for status in [Status::Claimed, Status::Executing, Status::Syncing] {
        assert_eq!(may_be_retried(&active(status)), Err(status));
    }
    assert_eq!(may_be_retried(&finished(&syncing, End::Completed(result()))), Err(Status::Completed));
    assert_eq!(may_be_retried(&finished(&syncing, End::Failed(no_changes(), None))), Ok(()));
    assert_eq!(may_be_retried(&finished(&syncing, End::Cancelled)), Ok(()));
}

#[test]
fn failed_job_leaves_reviews_and_a_revision_only_as_last() {
    let syncing = active(Status::Syncing);
    let failed = finished(&syncing, End::Failed(no_changes(), None));
    assert!(leaves_reviews(&failed, None));
    assert!(!leaves_reviews(&finished(&syncing, End::Completed(result())), None));
    assert!(!leaves_reviews(&syncing, None));
    let revision = Job { kind: Kind::Revise, ..failed };
    assert!(leaves_reviews(&revision, Some(&revision.id)));
    assert!(!leaves_reviews(&revision, None));
    assert!(!leaves_reviews(&revision, Some(&job_id("other"))));
}

#[test]
fn only_a_completed_job_answers_its_reviews() {
    let syncing = active(Status::Syncing);
    assert!(did_what_was_asked(&finished(&syncing, End::Completed(result()))));
    let ended = [End::Failed(no_changes(), None), End::Cancelled].map(|end| finished(&syncing, end));
    for undone in [pending(), syncing].into_iter().chain(ended) {
        assert!(!did_what_was_asked(&undone), "{undone:?}");
    }
}

#[test]
fn retry_moves_the_ticket_and_clears_its_badge() {
    let (job, ticket) = job_and_ticket();
    let failed = finished(&worked_to(&job, Status::Executing), End::Failed(no_changes(), None));
    let ticket = settled(&ticket_after(&failed, &ticket));
    assert_eq!((ticket.status.as_str(), ticket.shown.badge), (TODO, Some(Badge::AiFailed)));

    let (again, locked) = retried(&failed, &ticket);
    assert_eq!((again.retry_of.as_ref(), locked.active_job.as_ref()), (Some(&failed.id), Some(&again.id)));
    assert_eq!((locked.status.as_str(), locked.wanted.badge), (TRIGGER, None));
    assert_eq!(settled(&locked).shown.badge, None);

    // The same if the retry ends before the badge was removed.
    let done = finished(&worked_to(&again, Status::Syncing), End::Completed(result()));
    assert_eq!(settled(&ticket_after(&done, &locked)).status, REVIEW);
}

#[test]
fn pending_move_does_not_overtake_the_retry() {
    let (job, ticket) = job_and_ticket();
    let failed = finished(&worked_to(&job, Status::Executing), End::Failed(no_changes(), None));
    let unsettled = ticket_after(&failed, &ticket);
    let (_, locked) = retried(&failed, &unsettled);
    assert_eq!((locked.status.as_str(), settled(&locked).status.as_str()), (TRIGGER, TRIGGER));
    assert_eq!(locked.written, None, "the ticket did not move, so there is no echo");
}

#[test]
fn retry_without_a_ticket_continues_its_pull_request() {
    let pushed = finished(&active(Status::Syncing), End::Failed(no_changes(), Some(result())));
    let plain =
        |repository| Job { repository, ticket: None, ..planned(&settings(), job_id("j2"), &ticket_in(TODO), at(1)).0 };
    let continued = |job: Job| as_retry(&pushed, &settings(), job, None).0.continues.map(|earlier| earlier.number);
    assert_eq!(continued(plain(pushed.repository)), Some(231));
    assert_eq!(continued(plain(pushed.repository + 1)), None);
}

#[test]
fn retry_resumes_work_only_after_suitable_failures() {
    let (job, ticket) = job_and_ticket();
    let working = worked_to(&job, Status::Executing);
    let limit = Failure::TimeLimit { limit: crate::text::Span(60) };
    for (end, expected) in [
        (End::Failed(limit, None), true),
        (End::Failed(Failure::AgentOverloaded { n: 3 }, None), true),
        (End::Failed(no_changes(), None), false),
        (End::Failed(Failure::SessionLost {}, None), false),
        (End::Failed(Failure::SessionUnreachable { reason: "the bucket answered 503".into() }, None), true),
        (End::Failed(Failure::Conflict { base: "main".into(), n: 1 }, None), false),
        (End::Cancelled, false),
    ] {
        let of = finished(&working, end.clone());
        let (retry, _) = retried(&of, &settled(&ticket_after(&of, &ticket)));
        assert_eq!(goes_on_from(&retry, &of), expected, "{end:?}");
        assert!(!goes_on_from(&job, &of), "{end:?}: not a retry");
        let elsewhere = Job { repository: of.repository + 1, ..retry };
        assert!(!goes_on_from(&elsewhere, &of), "{end:?}: in another repository");
    }
}

#[test]
fn retry_without_push_continues_the_earlier_pull_request() {
    let went_on = Continues { number: 7, branch: "pullyard/acme/job-1".into() };
    let failed = finished(&active(Status::Executing), End::Failed(no_changes(), None));
    let of = Job { ticket: None, continues: Some(went_on.clone()), ..failed };
    let continued = |job: Job| as_retry(&of, &settings(), job, None).0.continues;
    let plain = Job { ticket: None, ..ready() };
    assert_eq!(continued(plain.clone()), Some(went_on));
    let other_host = Job { integration: IntegrationId::new("gh2").unwrap(), ..plain };
    assert_eq!(continued(other_host), None, "repository ids differ between forges");
}

#[test]
fn retry_resumes_only_its_own_job_kind_and_forge() {
    let of = finished(&active(Status::Executing), End::Failed(Failure::AgentOverloaded { n: 3 }, None));
    let retry = Job { retry_of: Some(of.id.clone()), ..ready() };
    assert!(goes_on_from(&retry, &of));
    assert!(!goes_on_from(&Job { kind: Kind::Revise, ..retry.clone() }, &of));
    assert!(!goes_on_from(&Job { integration: IntegrationId::new("gh2").unwrap(), ..retry.clone() }, &of));
    assert!(!goes_on_from(&Job { retry_of: Some(job_id("other")), ..retry }, &of));
}

#[test]
fn failures_that_discard_work_are_the_published_ones() {
    let anew: Vec<_> = Failure::samples().iter().filter(|failure| !leaves_work(failure)).map(Failure::code).collect();
    let expected = [
        "disk_limit",
        "workspace_failed",
        "context_too_long",
        "permission_denied",
        "no_changes",
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
