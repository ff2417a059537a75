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
fn a_revision_that_was_called_off_by_itself_before_an_agent_worked_on_it_was_not_heard() {
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

/// A retry of a job of this ticket.
fn retried(of: &Job, ticket: &Ticket) -> (Job, Ticket) {
    let (job, ticket) = planned(&settings(), job_id("j2"), ticket, at(500));
    let (job, ticket) = as_retry(of, &settings(), job, Some(ticket));
    (job, ticket.unwrap())
}

#[test]
fn only_what_failed_or_was_cancelled_is_done_again() {
    let syncing = active(Status::Syncing);
    for status in [Status::Claimed, Status::Executing, Status::Syncing] {
        assert_eq!(may_be_retried(&active(status)), Err(status));
    }
    assert_eq!(may_be_retried(&finished(&syncing, End::Completed(result()))), Err(Status::Completed));
    assert_eq!(may_be_retried(&finished(&syncing, End::Failed(no_changes(), None))), Ok(()));
    assert_eq!(may_be_retried(&finished(&syncing, End::Cancelled)), Ok(()));
}

#[test]
fn what_did_not_complete_leaves_its_reviews_and_a_revision_only_as_the_last_job() {
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
fn only_a_job_that_completed_did_what_its_reviews_asked() {
    let syncing = active(Status::Syncing);
    assert!(did_what_was_asked(&finished(&syncing, End::Completed(result()))));
    let ended = [End::Failed(no_changes(), None), End::Cancelled].map(|end| finished(&syncing, end));
    for undone in [pending(), syncing].into_iter().chain(ended) {
        assert!(!did_what_was_asked(&undone), "{undone:?}");
    }
}

#[test]
fn a_retry_puts_the_ticket_into_the_trigger_status_takes_its_badge_off_and_can_move_it_on() {
    let (job, ticket) = job_and_ticket();
    let failed = finished(&worked_to(&job, Status::Executing), End::Failed(no_changes(), None));
    let ticket = settled(&ticket_after(&failed, &ticket));
    assert_eq!((ticket.status.as_str(), ticket.shown.badge), (TODO, Some(Badge::AiFailed)));

    let (again, locked) = retried(&failed, &ticket);
    assert_eq!((again.retry_of.as_ref(), locked.active_job.as_ref()), (Some(&failed.id), Some(&again.id)));
    assert_eq!((locked.status.as_str(), locked.wanted.badge), (TRIGGER, None));
    assert_eq!(settled(&locked).shown.badge, None);

    // Even when it ends before the badge was taken off.
    let done = finished(&worked_to(&again, Status::Syncing), End::Completed(result()));
    assert_eq!(settled(&ticket_after(&done, &locked)).status, REVIEW);
}

#[test]
fn a_move_that_was_still_to_be_written_does_not_overtake_the_retry() {
    let (job, ticket) = job_and_ticket();
    let failed = finished(&worked_to(&job, Status::Executing), End::Failed(no_changes(), None));
    let unsettled = ticket_after(&failed, &ticket);
    let (_, locked) = retried(&failed, &unsettled);
    assert_eq!((locked.status.as_str(), settled(&locked).status.as_str()), (TRIGGER, TRIGGER));
    assert_eq!(locked.written, None, "it was there still: nothing was written that would come back");
}

#[test]
fn without_a_ticket_the_pull_request_that_was_left_behind_is_gone_on_with() {
    let pushed = finished(&active(Status::Syncing), End::Failed(no_changes(), Some(result())));
    let plain =
        |repository| Job { repository, ticket: None, ..planned(&settings(), job_id("j2"), &ticket_in(TODO), at(1)).0 };
    let continued = |job: Job| as_retry(&pushed, &settings(), job, None).0.continues.map(|earlier| earlier.number);
    assert_eq!(continued(plain(pushed.repository)), Some(231));
    assert_eq!(continued(plain(pushed.repository + 1)), None);
}

#[test]
fn a_retry_goes_on_after_a_limit_and_begins_anew_where_the_work_went_wrong_or_nobody_wanted_it() {
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
        assert!(!goes_on_from(&job, &of), "{end:?}: it is no retry");
        let elsewhere = Job { repository: of.repository + 1, ..retry };
        assert!(!goes_on_from(&elsewhere, &of), "{end:?}: in another repository");
    }
}

#[test]
fn a_retry_without_a_ticket_goes_on_with_what_the_other_went_on_with_where_that_pushed_nothing() {
    let went_on = Continues { number: 7, branch: "pullyard/acme/job-1".into() };
    let failed = finished(&active(Status::Executing), End::Failed(no_changes(), None));
    let of = Job { ticket: None, continues: Some(went_on.clone()), ..failed };
    let continued = |job: Job| as_retry(&of, &settings(), job, None).0.continues;
    let plain = Job { ticket: None, ..ready() };
    assert_eq!(continued(plain.clone()), Some(went_on));
    let other_host = Job { integration: IntegrationId::new("gh2").unwrap(), ..plain };
    assert_eq!(continued(other_host), None, "its repository of the same number is another one");
}

#[test]
fn a_retry_goes_on_only_from_work_of_its_own_kind_at_its_own_forge_that_it_does_again() {
    let of = finished(&active(Status::Executing), End::Failed(Failure::AgentOverloaded { n: 3 }, None));
    let retry = Job { retry_of: Some(of.id.clone()), ..ready() };
    assert!(goes_on_from(&retry, &of));
    assert!(!goes_on_from(&Job { kind: Kind::Revise, ..retry.clone() }, &of));
    assert!(!goes_on_from(&Job { integration: IntegrationId::new("gh2").unwrap(), ..retry.clone() }, &of));
    assert!(!goes_on_from(&Job { retry_of: Some(job_id("other")), ..retry }, &of));
}

#[test]
fn work_is_gone_on_from_after_every_failure_but_those_of_the_work_itself_or_its_folder() {
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
