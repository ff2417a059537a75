use super::*;
use crate::fixtures::{
    IN_PROGRESS, REVIEW, TODO, TRIGGER, entry, job_and_ticket, job_id, linked_pull_request, pull_request_id, settings,
    ticket_in, time_at,
};
use crate::project::tracker::{TrackerKind, TrackerSettings};
use crate::text::id::IntegrationId;
use crate::text::pull_request_id::PullRequestId;

fn link() -> PullRequestLink {
    PullRequestLink {
        id: PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 99, number: 231 },
        url: "https://forge.test/acme/app/pull/231".into(),
        branch: "pullyard/acme/app-17-1".into(),
    }
}

fn move_from(expected: &str, to: Target) -> Option<StatusMove> {
    let expected = expected.into();
    Some(StatusMove { to, expected })
}

fn unsynced_ticket(status: &str, status_move: Option<StatusMove>) -> Ticket {
    let mut ticket = ticket_in(status);
    ticket.request_state(status_move, Some(Badge::AiFailed), Some(link()));
    ticket.tries = 4;
    ticket.not_before = Some(time_at(5));
    ticket
}

#[track_caller]
fn write_back(ticket: &Ticket) -> Ticket {
    match ticket.next_settle_step(&settings(), time_at(1_000)) {
        SettleStep::WriteBack(next) => {
            assert_eq!(ticket.clone().mark_synced(&settings()), *next, "both write-backs agree");
            assert_eq!(next.clone().mark_synced(&settings()), *next);
            *next
        }
        other => panic!("{other:?}"),
    }
}

/// Checks the status after a write-back and the status that it wrote. Badge and link are always written.
#[track_caller]
fn check_move(status: &str, status_move: Option<StatusMove>, expected: (&str, Option<&str>)) {
    let before = unsynced_ticket(status, status_move);
    let after = write_back(&before);
    assert_eq!((after.status.as_str(), after.written.as_deref()), expected);
    let synced = SyncedState { badge: Some(Badge::AiFailed), pull_request: Some(link()) };
    let rest = Ticket {
        status: after.status.clone(),
        written: after.written.clone(),
        shown: synced,
        synced_version: 1,
        tries: 0,
        not_before: None,
        ..before
    };
    assert_eq!(after, rest, "nothing else changes");
    assert_eq!(after.next_settle_step(&settings(), time_at(1_000)), SettleStep::Skip, "written once");
}

#[test]
fn write_back_moves_the_ticket_from_the_found_status() {
    check_move(TRIGGER, move_from(TRIGGER, Target::Completion), (REVIEW, Some(REVIEW)));
    check_move(TRIGGER, move_from(TRIGGER, Target::Todo), (TODO, Some(TODO)));
    check_move(IN_PROGRESS, move_from(IN_PROGRESS, Target::Todo), (TODO, Some(TODO)));
    // A user's move wins.
    check_move(IN_PROGRESS, move_from(TRIGGER, Target::Completion), (IN_PROGRESS, None));
    check_move(REVIEW, move_from(TRIGGER, Target::Todo), (REVIEW, None));
    check_move(TRIGGER, None, (TRIGGER, None));
    // A write of the same status has no echo.
    check_move(TODO, move_from(TODO, Target::Todo), (TODO, None));
    check_move(REVIEW, move_from(REVIEW, Target::Completion), (REVIEW, None));
}

#[test]
fn target_status_comes_from_the_current_settings() {
    let mut settings = settings();
    settings.statuses.completion = "Done".into();
    match unsynced_ticket(TRIGGER, move_from(TRIGGER, Target::Completion)).next_settle_step(&settings, time_at(1_000)) {
        SettleStep::WriteBack(next) => assert_eq!(next.status, "Done"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn older_echo_stays_expected_without_a_new_write() {
    let mut ticket = unsynced_ticket(IN_PROGRESS, None);
    ticket.written = Some(TODO.into());
    assert_eq!(write_back(&ticket).written.as_deref(), Some(TODO));
}

#[test]
fn write_back_precedes_the_second_entry() {
    let mut ticket = unsynced_ticket(TRIGGER, None);
    ticket.again = Some(entry("e2", 3));
    let next = write_back(&ticket);
    assert_eq!(next.again, ticket.again);
    assert_eq!(next.next_settle_step(&settings(), time_at(1_000)), SettleStep::DecideEntry(entry("e2", 3)));
}

#[test]
fn second_entry_waits_for_the_job_and_needs_the_status() {
    let again = |status: &str, active_job: Option<JobId>| Ticket {
        again: Some(entry("e2", 3)),
        active_job,
        ..ticket_in(status)
    };
    assert_eq!(
        again(TRIGGER, None).next_settle_step(&settings(), time_at(1_000)),
        SettleStep::DecideEntry(entry("e2", 3))
    );
    assert_eq!(again(TRIGGER, Some(job_id("j"))).next_settle_step(&settings(), time_at(1_000)), SettleStep::Skip);
    assert_eq!(again(IN_PROGRESS, Some(job_id("j"))).next_settle_step(&settings(), time_at(1_000)), SettleStep::Skip);
    let forgotten = SettleStep::DropEntry(Box::new(ticket_in(IN_PROGRESS)));
    assert_eq!(again(IN_PROGRESS, None).next_settle_step(&settings(), time_at(1_000)), forgotten);
    let held = ticket_in(IN_PROGRESS).hold_entry(entry("e2", 3));
    assert_eq!(held.next_settle_step(&settings(), time_at(1_000)), forgotten, "and releases the hold");
}

#[test]
fn synced_ticket_needs_no_step() {
    let mut ticket = ticket_in(TRIGGER);
    assert_eq!(ticket.next_settle_step(&settings(), time_at(1_000)), SettleStep::Skip);
    ticket.active_job = Some(job_id("j"));
    ticket.written = Some(TODO.into());
    assert_eq!(ticket.next_settle_step(&settings(), time_at(1_000)), SettleStep::Skip);
    let done = write_back(&unsynced_ticket(TRIGGER, move_from(TRIGGER, Target::Todo)));
    // A move by a user after the write-back stays.
    let moved = Ticket { status: TRIGGER.into(), ..done };
    assert_eq!(moved.next_settle_step(&settings(), time_at(1_000)), SettleStep::Skip);
}

#[test]
fn waiting_entry_names_its_wait_in_the_trigger_status() {
    let mut project = crate::fixtures::project();
    let waiting = ticket_in(TRIGGER).hold_entry(entry("e1", 500));
    let code = |ticket: &Ticket, project: &Project| ticket.wait_reason(project, time_at(0)).map(|wait| wait.code());
    assert_eq!(code(&waiting, &project), None, "it is about to start");
    project.settings.budget.jobs_per_day = Some(1);
    assert_eq!(code(&waiting, &project), Some("budget_wait"));
    let until = Wait::BudgetWait { project: project.id.clone(), time: Day::containing(time_at(0)).end() };
    assert_eq!(waiting.wait_reason(&project, time_at(0)), Some(until));
    project.settings.held_by = Some("ann".into());
    assert_eq!(code(&waiting, &project), Some("project_held"));
    assert_eq!(code(&Ticket { status: "Doing".into(), ..waiting.clone() }, &project), None);
    assert_eq!(code(&Ticket { active_job: Some(job_id("j")), ..waiting }, &project), None, "its job waits, if any");
    assert_eq!(code(&ticket_in(TRIGGER), &project), None);
}

#[test]
fn only_the_newest_held_entry_waits_for_its_project() {
    let waiting = ticket_in(TRIGGER).hold_entry(entry("e1", 500)).hold_entry(entry("e2", 600));
    assert!(waiting.is_entry_held(&entry("e2", 600)), "the newer one replaces the older");
    assert!(!waiting.is_entry_held(&entry("e1", 500)));
    assert!(!Ticket { held: false, ..waiting }.is_entry_held(&entry("e2", 600)), "an active job blocks it");
}

#[test]
fn unlinking_keeps_the_badge_and_a_pending_move() {
    let mut behind = unsynced_ticket(TRIGGER, move_from(TRIGGER, Target::Todo));
    let mut synced = write_back(&behind);
    behind.unlink();
    let badge = Some(Badge::AiFailed);
    assert_eq!(behind.pull_request, None);
    assert_eq!(
        behind.wanted,
        DesiredState { version: 2, status: move_from(TRIGGER, Target::Todo), badge, ..DesiredState::default() }
    );
    synced.unlink();
    assert_eq!(
        synced.wanted,
        DesiredState { version: 2, badge, ..DesiredState::default() },
        "a written move is not repeated"
    );
    assert_eq!(write_back(&synced).shown, SyncedState { badge, pull_request: None });
}

#[test]
fn ticket_defers_reviews_of_at_most_ten_pull_requests() {
    let mut ticket = ticket_in(REVIEW);
    for number in 0..MAX_DEFERRED as u64 {
        ticket = ticket.defer_review(&pull_request_id(number), time_at(number)).unwrap();
    }
    assert_eq!(ticket.defer_review(&pull_request_id(99), time_at(1)), None);
    assert_eq!(ticket.defer_review(&pull_request_id(3), time_at(3)), None, "already deferred");
    let later = ticket.defer_review(&pull_request_id(3), time_at(90)).unwrap();
    assert_eq!((later.deferred.len(), later.deferred[&pull_request_id(3).to_string()]), (MAX_DEFERRED, time_at(90)));
    let stored = ticket.schedule_review(&pull_request_id(99), time_at(1));
    assert!(stored.has_deferred(&pull_request_id(99)), "a stored deferral is always added");
}

#[test]
fn remembered_review_opens_at_the_earliest_time() {
    let id = linked_pull_request().id;
    let opens = |first, second| {
        let ticket = ticket_in(REVIEW).schedule_review(&id, time_at(first)).schedule_review(&id, time_at(second));
        ticket.deferred[&id.to_string()]
    };
    assert_eq!((opens(5, 9), opens(9, 5)), (time_at(5), time_at(5)));
}

#[test]
fn removing_a_deferral_keeps_others_and_resets_tries() {
    let mut ticket = ticket_in(REVIEW)
        .schedule_review(&pull_request_id(1), time_at(1))
        .schedule_review(&pull_request_id(2), time_at(2));
    (ticket.tries, ticket.not_before) = (3, Some(time_at(70)));
    let ticket = ticket.clear_deferred(&pull_request_id(1));
    assert_eq!((ticket.has_deferred(&pull_request_id(1)), ticket.has_deferred(&pull_request_id(2))), (false, true));
    assert_eq!((ticket.tries, ticket.not_before), (0, None));
}

#[test]
fn ticket_stays_held_while_an_entry_or_review_waits() {
    let (one, other) = (pull_request_id(1), pull_request_id(2));
    let held = Ticket {
        held: true,
        ..ticket_in(REVIEW).schedule_review(&one, time_at(1)).schedule_review(&other, time_at(2))
    };
    let remaining = held.clear_deferred(&one);
    assert!(remaining.held, "the other one waits");
    assert!(!remaining.clear_deferred(&other).held);
    let entered = Ticket { again: Some(entry("e2", 3)), ..remaining };
    assert!(entered.clear_deferred(&other).held, "its entry waits");
    let free = Ticket { held: false, ..entered };
    assert!(!free.clear_deferred(&other).held, "it was not held");
}

#[test]
fn earliest_deferred_review_is_settled_after_all_else() {
    let waits = ticket_in(REVIEW)
        .schedule_review(&pull_request_id(1), time_at(20))
        .schedule_review(&pull_request_id(2), time_at(10));
    let step = |ticket: &Ticket, secs| ticket.next_settle_step(&settings(), time_at(secs));
    assert_eq!(step(&waits, 9), SettleStep::Skip, "too early");
    assert_eq!(step(&waits, 10), SettleStep::DecideReviews(pull_request_id(2)));
    assert_eq!(step(&waits.clear_deferred(&pull_request_id(2)), 20), SettleStep::DecideReviews(pull_request_id(1)));
    let busy = Ticket { active_job: Some(job_id("j")), ..waits.clone() };
    assert_eq!(step(&busy, 30), SettleStep::Skip, "the job's end settles them");
    let entered = Ticket { again: Some(entry("e2", 3)), status: TRIGGER.into(), ..waits.clone() };
    assert_eq!(step(&entered, 30), SettleStep::DecideEntry(entry("e2", 3)));
    let mut behind = waits;
    behind.request_state(None, Some(Badge::AiFailed), None);
    assert!(matches!(step(&behind, 30), SettleStep::WriteBack(_)));
}

#[test]
fn renamed_status_changes_only_where_the_ticket_names_it() {
    let (_, running) = job_and_ticket();
    let expected = Ticket { status: "Go".into(), found_in: Some("Go".into()), ..running.clone() };
    let renamed = running.rename_status(TRIGGER, "Go");
    assert_eq!(renamed.as_ref(), Some(&expected));
    assert_eq!(renamed.unwrap().rename_status(TRIGGER, "Go"), None, "a repeat");
}

fn event(name: &str) -> EventId {
    EventId::new(name).unwrap()
}

/// A ticket of the project's tool, and the settings.
fn in_tool(status: &str) -> (Ticket, Settings) {
    let connection = IntegrationId::new("own").unwrap();
    let mut settings = settings();
    settings.tracker = Some(TrackerSettings::new(TrackerKind::Http, connection.clone()));
    (Ticket { tracker: Some(connection), ..ticket_in(status) }, settings)
}

#[test]
fn only_a_call_syncs_a_ticket_of_the_projects_tool() {
    let (mut ticket, mut settings) = in_tool(TRIGGER);
    ticket.request_state(move_from(TRIGGER, Target::Todo), Some(Badge::AiFailed), None);
    assert!(ticket.clone().mark_synced(&settings).is_unsynced());
    assert!(matches!(ticket.next_settle_step(&settings, time_at(1)), SettleStep::WriteBack(_)));
    settings.tracker = None;
    assert_eq!(ticket.mark_synced(&settings).status, TODO, "the board has it again");
}

#[test]
fn failed_write_to_the_tool_delays_no_entry() {
    let (mut ticket, settings) = in_tool(TRIGGER);
    ticket.request_state(None, Some(Badge::AiFailed), None);
    ticket.again = Some(entry("e2", 3));
    let behind = ticket.postpone_sync("it is away".into(), time_at(10), None);
    let again = behind.postpone_sync("it is away".into(), time_at(70), None);
    assert_eq!(again.sync_fault.as_ref().map(|fault| (fault.since, fault.tries)), Some((time_at(10), 2)));
    assert!(again.sync_at() > time_at(70));
    assert_eq!(again.next_settle_step(&settings, time_at(71)), SettleStep::DecideEntry(entry("e2", 3)));
    assert!(matches!(again.next_settle_step(&settings, again.sync_at()), SettleStep::WriteBack(_)));
    let mut newer = again;
    newer.request_state(None, None, None);
    assert!(matches!(newer.next_settle_step(&settings, time_at(71)), SettleStep::WriteBack(_)), "a new version");
}

#[test]
fn entry_waits_for_a_users_move_out_of_the_trigger() {
    let (mut ticket, settings) = in_tool(TRIGGER);
    ticket.again = Some(entry("e2", 3));
    ticket.request_move(TODO, "ann", event("move"), &settings);
    let away = ticket.hold(time_at(5)).postpone_sync("it is away".into(), time_at(10), None);
    assert_eq!(away.next_settle_step(&settings, time_at(11)), SettleStep::Skip);
    assert_eq!(crate::run::due::ticket(&away), Some(crate::run::due::Due::At(away.sync_at())));
    let released = Ticket { held: false, ..away.clone() };
    assert_eq!(crate::run::due::ticket(&released), Some(crate::run::due::Due::At(away.sync_at())));
    let mut withdrawn = away;
    withdrawn.request_move(TRIGGER, "ann", event("back"), &settings);
    let away = withdrawn.postpone_sync("it is away".into(), time_at(20), None);
    assert_eq!(away.next_settle_step(&settings, time_at(21)), SettleStep::DecideEntry(entry("e2", 3)));
}

#[test]
fn users_move_on_the_board_waits_for_the_tool() {
    let (mut ticket, settings) = in_tool(TODO);
    ticket.request_move(TRIGGER, "ann", event("move"), &settings);
    assert_eq!(ticket.requested_status(), Some(TRIGGER));
    assert_eq!(ticket.wanted_status(&settings), Some(TRIGGER));
    let SettleStep::WriteBack(next) = ticket.next_settle_step(&settings, time_at(1)) else { panic!("{ticket:?}") };
    // The confirmation moves it, because that may start a job.
    assert_eq!((next.status.as_str(), &next.written, &next.wanted.status), (TODO, &None, &None));
    assert_eq!(next.requested_status(), None);
}

#[test]
fn retry_replaces_a_move_that_the_tool_did_not_get() {
    let (mut ticket, settings) = in_tool(TRIGGER);
    ticket.request_state(move_from(TRIGGER, Target::Todo), Some(Badge::AiFailed), None);
    let retried = ticket.for_retry(TRIGGER);
    assert_eq!((retried.wanted.version, retried.wanted.badge), (2, None));
    assert_eq!(retried.wanted_status(&settings), Some(TRIGGER));
    let (mut shown, _) = in_tool(TODO);
    shown.synced_version = shown.wanted.version;
    let retried = shown.for_retry(TRIGGER);
    assert_eq!(retried.wanted.status, move_from(TODO, Target::Trigger));
    assert_eq!(retried.written.as_deref(), Some(TRIGGER), "its event is an echo");
}

#[test]
fn older_program_reads_a_move_for_the_tool_as_none() {
    let (mut ticket, settings) = in_tool(TODO);
    ticket.request_move(TRIGGER, "ann", event("move"), &settings);
    let stored = serde_json::to_value(&ticket.wanted).unwrap();
    assert_eq!(stored["status"], serde_json::Value::Null);
    assert_eq!(serde_json::from_value::<DesiredState>(stored.clone()).unwrap(), ticket.wanted);
    let mut raised = stored;
    raised["version"] = 2.into();
    let read = serde_json::from_value::<DesiredState>(raised).unwrap();
    assert_eq!((read.status, read.event), (None, None), "the older program has replaced the move");
}

#[test]
fn replaced_moves_are_no_users_moves_until_a_write() {
    let (mut ticket, settings) = in_tool(TRIGGER);
    ticket.request_state(move_from(TRIGGER, Target::Todo), Some(Badge::AiFailed), None);
    let retried = ticket.for_retry(TRIGGER);
    assert!(retried.is_replaced_status(TODO, &settings));
    assert!(!retried.is_replaced_status(REVIEW, &settings));
    let shown = retried.after_write_back(&settings);
    assert!(!shown.is_replaced_status(TODO, &settings));
    assert_eq!(shown.written_trigger.as_deref(), Some(TRIGGER), "the tool reports the move from Todo");
    let (mut board, _) = (ticket_in(TRIGGER), ());
    board.request_state(move_from(TRIGGER, Target::Todo), None, None);
    board.request_state(move_from(TRIGGER, Target::Completion), None, None);
    assert_eq!(board.wanted.replaced, [], "the board makes no unrecorded move");
}

#[test]
fn unsent_comment_and_request_survive_a_new_link() {
    let (mut ticket, settings) = in_tool(TODO);
    ticket.request_move(TRIGGER, "ann", event("move"), &settings);
    ticket.wanted.badge = Some(Badge::AiFailed);
    ticket.wanted.comment = Some(JobComment { job: job_id("j"), text: "It failed.".into() });
    let before = ticket.wanted.clone();
    ticket.request_state(before.status.clone(), before.badge, Some(link()));
    assert_eq!(ticket.wanted, DesiredState { version: 2, ..before.clone() });
    ticket.unlink();
    assert_eq!(ticket.wanted, DesiredState { version: 3, ..before });
    ticket.request_state(None, None, None);
    assert_eq!((&ticket.wanted.comment, &ticket.wanted.by, &ticket.wanted.event), (&None, &None, &None));
}

#[test]
fn requested_move_without_a_tool_waits_for_its_decision() {
    let (mut ticket, mut settings) = in_tool(TODO);
    ticket.request_move(TRIGGER, "ann", event("move"), &settings);
    settings.tracker = None;
    assert_eq!(ticket.clone().mark_synced(&settings), ticket);
}

#[test]
fn recreated_ticket_of_a_tool_has_higher_versions() {
    let own = || IntegrationId::new("own").unwrap();
    let first = ticket_in(TODO).in_tool(own(), time_at(100));
    assert!(!first.is_unsynced());
    let next = ticket_in(TODO).in_tool(own(), time_at(200));
    assert_eq!(next.wanted.version - first.wanted.version, 100);
    assert_eq!(next.clone().in_tool(own(), time_at(300)).wanted.version, next.wanted.version, "a known ticket");
}

#[test]
fn board_ticket_gets_higher_versions_in_a_tool() {
    let own = IntegrationId::new("own").unwrap();
    let first = u32::try_from(time_at(50).millis() / 1_000).unwrap();
    let versions = |ticket: &Ticket| (ticket.wanted.version, ticket.synced_version);
    let (mut synced, mut behind) = (ticket_in(TRIGGER), ticket_in(TRIGGER));
    (synced.wanted.version, synced.synced_version, behind.wanted.version) = (3, 3, 3);
    let joined = synced.in_tool(own.clone(), time_at(50));
    assert_eq!((versions(&joined), joined.tracker.as_ref()), ((first, first), Some(&own)));
    assert_eq!(versions(&behind.in_tool(own.clone(), time_at(50))), (first, first - 1), "it remains unsynced");
    assert_eq!(joined.clone().in_tool(own, time_at(90)), joined, "once");
    let other = joined.in_tool(IntegrationId::new("other").unwrap(), time_at(90));
    assert_eq!(versions(&other), (first + 40, first + 40));
}

#[test]
fn held_ticket_is_written_soon_after_a_failure() {
    let (mut ticket, _) = in_tool(TRIGGER);
    ticket.request_state(None, Some(Badge::AiFailed), None);
    let late = ticket.postpone_sync("away".into(), time_at(0), Some(time_at(3_600)));
    assert_eq!(late.sync_at(), time_at(3_600));
    let held = late.hold_entry(entry("e2", 100));
    assert_eq!((held.held, held.sync_at()), (true, time_at(400)));
    assert_eq!(held.postpone_sync("away".into(), time_at(400), Some(time_at(4_000))).sync_at(), time_at(700));
}

#[test]
fn renamed_column_is_renamed_in_moves_for_the_tool() {
    let (mut ticket, settings) = in_tool(TODO);
    ticket.request_move("Doing", "ann", event("one"), &settings);
    ticket.request_move("Later", "ann", event("two"), &settings);
    let renamed = ticket.rename_status("Doing", "Busy").unwrap().rename_status("Later", "Soon").unwrap();
    assert_eq!(renamed.requested_status(), Some("Soon"));
    assert!(renamed.is_replaced_status("Busy", &settings) && !renamed.is_replaced_status("Doing", &settings));
}

#[test]
fn ticket_of_a_former_tool_has_no_note() {
    let (mut ticket, mut settings) = in_tool(TODO);
    ticket.request_move("Doing", "ann", event("move"), &settings);
    assert_eq!(ticket.sync_note(&settings).as_deref(), Some("Moving to Doing in own."));
    settings.tracker = None;
    assert_eq!(ticket.sync_note(&settings), None);
}

#[test]
fn tool_may_have_the_status_before_an_unmade_retry() {
    let (ticket, settings) = in_tool(REVIEW);
    let mut retried = ticket.for_retry(TRIGGER);
    assert_eq!(retried.written_trigger.as_deref(), Some(TRIGGER));
    retried.request_move(TODO, "ann", event("move"), &settings);
    assert!([REVIEW, TRIGGER].iter().all(|status| retried.is_replaced_status(status, &settings)), "{retried:?}");
    assert!(!retried.is_replaced_status("Doing", &settings), "a user's move");
}
