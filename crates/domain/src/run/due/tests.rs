use super::*;
use crate::fixtures::{
    TRIGGER, active, awaiting_input_job, crash_failure, entry, job_id, linked_pull_request, no_changes_failure,
    plan_job, project_id, pull_request_id, ready_job, repository, settings, ticket_in, time_at,
};
use crate::project::hook::Ingress;
use crate::review::pull_request::Note;
use crate::text::failure::{Failure, FailureClass};
use crate::ticket::Badge;

#[track_caller]
fn check(item: &Job, expected: Option<Timestamp>) {
    assert_eq!(job(item), expected.map(Due::At));
}

#[test]
fn ready_job_on_runners_is_ordered_by_age() {
    let offered = Job { place: Placement::Runners, not_before: Some(time_at(999)), ..ready_job() };
    let (class, order) = (offered.class.clone(), time_at(0).millis());
    assert_eq!(job(&offered), Some(Due::Ready { class, order }));
}

#[test]
fn not_before_delays_the_due_time() {
    let put_off = |item: Job, secs| Job { not_before: Some(time_at(secs)), ..item };
    check(&put_off(ready_job(), 500), Some(time_at(500)));
    check(&put_off(ready_job(), 5), Some(time_at(60)));
    check(&put_off(active(JobStatus::Claimed), 9_000), Some(time_at(9_000)));
}

#[test]
fn ended_job_of_a_step_is_due_until_noted() {
    let run = crate::text::id::RunId::for_request(&project_id(), "", "one");
    let step = Some(crate::job::StepOfRun {
        run,
        name: "notes".into(),
        may_change_nothing: false,
        reports: false,
        has_own_branch: false,
    });
    let ended = Job { step, ..crate::fixtures::finish(&active(JobStatus::Executing), crate::job::End::Cancelled) };
    check(&ended, ended.ended_at);
    assert!(ended.ended_at.is_some());
    check(&Job { not_before: Some(time_at(9_000)), ..ended.clone() }, Some(time_at(9_000)));
    check(&Job { is_noted: true, ..ended.clone() }, None);
    check(&Job { step: None, ..ended }, None);
}

#[test]
fn suspended_job_is_due_after_the_limit_of_its_project() {
    let mut short = awaiting_input_job();
    short.policy.input_secs = Some(600);
    check(&short, Some(time_at(850)));
    // A job without its question is still due.
    check(&Job { question: None, ..short }, Some(time_at(600)));
}

#[test]
fn deferred_reviews_are_due_when_the_first_may_start() {
    let mut waits = ticket_in(TRIGGER);
    for (number, secs) in [(231, 90), (232, 60)] {
        waits = waits.defer_review(&pull_request_id(number), time_at(secs)).unwrap();
    }
    assert_eq!(ticket(&waits), Some(Due::At(time_at(60))));
    waits.not_before = Some(time_at(75));
    assert_eq!(ticket(&waits), Some(Due::At(time_at(75))), "it is postponed");
    waits.active_job = Some(job_id("j"));
    assert_eq!(ticket(&waits), None, "the job's end settles them");
}

#[test]
fn ticket_is_due_while_unsynced_or_waiting_to_enter() {
    let now = Some(Due::At(Timestamp::from_millis(0)));
    let mut synced = ticket_in(TRIGGER);
    assert_eq!(ticket(&synced), None);
    synced.active_job = Some(job_id("j"));
    assert_eq!(ticket(&synced), None);

    let mut entered = synced.clone();
    entered.again = Some(entry("e2", 3));
    assert_eq!(ticket(&entered), None, "its job's end settles it");
    entered.active_job = None;
    assert_eq!(ticket(&entered), now);

    let mut unsynced = synced;
    unsynced.request_state(None, Some(Badge::AiFailed), None);
    assert_eq!(ticket(&unsynced), now, "a job does not delay the badge");
    unsynced.not_before = Some(time_at(70));
    assert_eq!(ticket(&unsynced), Some(Due::At(time_at(70))));
    unsynced.synced_version = unsynced.wanted.version;
    assert_eq!(ticket(&unsynced), None);
}

#[test]
fn items_spread_over_all_shards_and_never_move() {
    let shards: std::collections::BTreeSet<_> = (0..500).map(|n| shard(&format!("job {n}"))).collect();
    assert_eq!(shards.into_iter().collect::<Vec<_>>(), (0..SHARDS).collect::<Vec<_>>());
    // Fixed values: a new release must find the items of the one before.
    assert_eq!((shard("job_2"), shard("APP-1")), (1, 12));
}

#[test]
fn crash_is_a_platform_failure_and_no_changes_is_not() {
    let is_platform = |failure: &Failure| failure.class() == FailureClass::Infra;
    assert!(is_platform(&crash_failure()) && !is_platform(&no_changes_failure()));
    assert_eq!(Failure::samples().iter().filter(|failure| is_platform(failure)).count(), 15);
}

#[test]
fn held_entry_is_due_in_the_row_of_its_project() {
    let waiting = ticket_in(TRIGGER).hold_entry(entry("e1", 500));
    let row = |order: Timestamp| Some(Due::Held { project: project_id(), order: order.millis() });
    assert_eq!(ticket(&waiting), row(time_at(500)));
    // A postponed entry is ordered by `not_before`, so that the others go first.
    assert_eq!(ticket(&Ticket { not_before: Some(time_at(900)), ..waiting.clone() }), row(time_at(900)));
    let mut unsynced = waiting.clone();
    unsynced.wanted.version += 1;
    assert_eq!(ticket(&unsynced), Some(Due::At(Timestamp::from_millis(0))));
    let (_, locked) = plan_job(&settings(), job_id("j"), &waiting, time_at(0));
    assert_eq!((ticket(&locked), locked.held), (None, false));
    assert_eq!(ticket(&waiting.drop_entry(&settings())), None);
}

#[test]
fn held_reviews_are_due_in_the_row_of_their_project() {
    let row = |secs| Some(Due::Held { project: project_id(), order: time_at(secs).millis() });
    let waits = Ticket { held: true, ..ticket_in(TRIGGER).schedule_review(&pull_request_id(231), time_at(90)) };
    assert_eq!(ticket(&waits), row(90));
    assert_eq!(ticket(&Ticket { not_before: Some(time_at(95)), ..waits.clone() }), row(95));
    assert_eq!(ticket(&Ticket { again: Some(entry("e1", 500)), ..waits.clone() }), row(500));
    assert_eq!(ticket(&Ticket { active_job: Some(job_id("j")), ..waits }), None, "the job's end settles them");
}

#[test]
fn entry_is_due_at_once_despite_deferred_reviews() {
    let waits = ticket_in(TRIGGER).schedule_review(&pull_request_id(231), time_at(90));
    let entered = Ticket { again: Some(entry("e2", 3)), ..waits };
    assert_eq!(ticket(&entered), Some(Due::At(Timestamp::from_millis(0))));
    assert_eq!(ticket(&Ticket { not_before: Some(time_at(70)), ..entered }), Some(Due::At(time_at(70))));
}

#[test]
fn pull_request_is_due_until_its_note_is_written() {
    let mut record = linked_pull_request();
    assert_eq!(pull_request(&record), None);
    record.set_note(Note::job_created(job_id("j")));
    assert_eq!(pull_request(&record), Some(Due::At(Timestamp::from_millis(0))));
    record.not_before = Some(time_at(70));
    assert_eq!(pull_request(&record), Some(Due::At(time_at(70))));
    record.noted_version = record.note_version;
    assert_eq!(pull_request(&record), None);
}

#[test]
fn repository_is_due_for_polling_until_it_is_gone() {
    let entry = Poll { ingress: Ingress::Poll, next: time_at(60), ..Poll::new(&repository(), time_at(0)) };
    let put_off = |secs| Poll { not_before: Some(time_at(secs)), ..entry.clone() };
    let webhook_entry = Poll { ingress: Ingress::Webhook, ..entry.clone() };
    for (entry, secs) in [(entry.clone(), 60), (webhook_entry, 60), (put_off(50), 60), (put_off(70), 70)] {
        assert_eq!(poll(&entry), Some(Due::At(time_at(secs))));
    }
    assert_eq!(poll(&Poll { gone_at: Some(time_at(5)), ..entry }), None);
}

#[test]
fn unsynced_ticket_of_a_tool_delays_no_review() {
    let mut ticket = ticket_in(TRIGGER).schedule_review(&pull_request_id(231), time_at(60));
    ticket.tracker = Some(crate::text::id::IntegrationId::new("own").unwrap());
    ticket.request_state(None, Some(Badge::AiFailed), None);
    let due = |after: u64, ticket: &Ticket| {
        super::ticket(&ticket.postpone_sync("away".into(), time_at(0), Some(time_at(after))))
    };
    assert_eq!(super::ticket(&ticket), Some(Due::At(Timestamp::from_millis(0))));
    assert_eq!(due(900, &ticket), Some(Due::At(time_at(60))));
    assert_eq!(due(30, &ticket), Some(Due::At(time_at(30))));
    let busy = Ticket { active_job: Some(job_id("j")), ..ticket };
    assert_eq!(due(900, &busy), Some(Due::At(time_at(900))));
}
