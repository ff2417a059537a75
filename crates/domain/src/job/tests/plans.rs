//! What a new job is planned to be, and what that does to its ticket.

use super::*;
use crate::story::{
    REVIEW, TODO, TRIGGER, active, at, event_id, finished, job_and_ticket, job_id, planned, result, settings, ticket_in,
};
use crate::ticket::{Badge, Entry, Move, Target};

#[test]
fn a_plan_locks_the_ticket_and_takes_the_old_marks_off() {
    let mut before = ticket_in(TRIGGER);
    before.again = Some(Entry { at: at(1), event: event_id("e9") });
    before.wanted.badge = Some(Badge::AiFailed);
    before.wanted.version = 4;
    before.synced_version = 4;
    before.branches = 2;
    let (job, ticket) = planned(&settings(), job_id("j9"), &before, at(50));
    assert_eq!((job.status, job.attempt, job.created, job.ready_since), (Status::Ready, 0, at(50), at(50)));
    assert_eq!(job.dispatch.due, at(50).plus(WAKE_WITHIN));
    assert_eq!((job.branch.as_str(), ticket.branches), ("pullyard/acme/app-17-3", 3));
    assert_eq!(ticket.active_job, Some(job_id("j9")));
    assert_eq!((ticket.found_in.as_deref(), ticket.again.as_ref()), (Some(TRIGGER), None));
    assert_eq!((ticket.wanted.badge, ticket.wanted.version), (None, 5));
    // With nothing to take off, nothing is to be written back.
    assert!(!job_and_ticket().1.is_unsynced());
}

#[test]
fn a_new_job_keeps_an_older_move_from_overtaking_it() {
    // The last job completed, its move was not written yet, and a person moved the ticket in again.
    let mut before = ticket_in(TRIGGER);
    let expected = TRIGGER.to_owned();
    before.want(Some(Move { to: Target::Completion, expected }), None, None);
    assert!(before.is_unsynced());
    let (_, ticket) = planned(&settings(), job_id("j9"), &before, at(50));
    assert_eq!(ticket.wanted.status, None);
    match ticket.settling(&settings(), at(1_000)) {
        crate::ticket::Settling::WriteBack(written) => assert_eq!(written.status, TRIGGER, "not {REVIEW} or {TODO}"),
        other => panic!("the link and the badge are still to be written, not {other:?}"),
    }
}

#[test]
fn a_job_goes_on_with_the_pull_request_of_its_own_repository_only() {
    let mut ticket = ticket_in(TRIGGER);
    let done = finished(&active(Status::Syncing), End::Completed(result()));
    ticket.pull_request = crate::outcome::link_of(&done);
    let continued = |ticket: &crate::ticket::Ticket| planned(&settings(), job_id("j9"), ticket, at(50)).0.continues;
    let expected = Continues { number: 231, branch: "pullyard/acme/app-17-1".into() };
    assert_eq!(continued(&ticket), Some(expected));
    let mut elsewhere = ticket.clone();
    elsewhere.pull_request.as_mut().unwrap().id.repository = 98;
    assert_eq!(continued(&elsewhere), None);
    let mut other_host = ticket;
    other_host.pull_request.as_mut().unwrap().id.integration = IntegrationId::new("gh2").unwrap();
    assert_eq!(continued(&other_host), None);
}

#[test]
fn how_long_a_job_may_stand_still_is_its_projects_word_and_a_week_is_not_stored() {
    let week = planned(&settings(), job_id("j9"), &ticket_in(TRIGGER), at(50)).0.policy;
    assert_eq!((week.input_secs, week.rest_at_most()), (None, REST_AT_MOST));
    let mut short = settings();
    short.limits.input_secs = 600;
    let short = planned(&short, job_id("j9"), &ticket_in(TRIGGER), at(50)).0.policy;
    assert_eq!((short.input_secs, short.rest_at_most()), (Some(600), Duration::from_secs(600)));
}
