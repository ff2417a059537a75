use super::*;
use crate::fixtures::{
    REVIEW, TODO, TRIGGER, active, advance_to, awaiting_input_job, crash_failure, entry, finish, job_and_ticket,
    job_id, linked_pull_request, no_changes_failure, pull_request_id, ready_job, result, revision, ticket_in, time_at,
};
use crate::job::{Cancel, End, JobKind, to_retry};
use crate::project::Settings;
use crate::review::pull_request::{LastRevision, PullRequestLink};
use crate::text::time::Timestamp;
use crate::ticket::DesiredState;

fn completed_job() -> Job {
    finish(&active(JobStatus::Syncing), End::Completed(Some(result())))
}

fn failed_job(in_status: JobStatus) -> Job {
    finish(&active(in_status), End::Failed(no_changes_failure(), None))
}

fn failed_job_with_result() -> Job {
    finish(&active(JobStatus::Syncing), End::Failed(no_changes_failure(), Some(result())))
}

fn cancelled_job(in_status: JobStatus) -> Job {
    finish(&active(in_status), End::Cancelled)
}

fn unstarted_job() -> Job {
    ready_job().fail(crash_failure(), time_at(900)).unwrap()
}

fn locked_ticket() -> Ticket {
    job_and_ticket().1
}

fn ticket_with_second_entry() -> Ticket {
    Ticket { again: Some(entry("e2", 150)), ..locked_ticket() }
}

fn describe_changes(before: &Ticket, after: &Ticket) -> String {
    let moved = match &after.wanted.status {
        None => "stays".to_owned(),
        Some(wanted) => format!("{:?} from {}", wanted.to, wanted.expected),
    };
    let badge = after.wanted.badge.map_or("no badge", Badge::display_name);
    let last = match &after.last_job {
        last if *last == before.last_job => "not the last job".to_owned(),
        last => format!("{:?}", last.as_ref().unwrap().outcome),
    };
    let link = if after.pull_request == before.pull_request { "no link" } else { "link" };
    let again = if after.again.is_some() { "again" } else { "once" };
    let version = after.wanted.version - before.wanted.version;
    format!("{moved}; {badge}; {last}; {link}; {again}; +{version}")
}

#[track_caller]
fn check(ended: &Job, before: &Ticket, expected: &str) {
    let after = ticket_after_job(ended, before);
    assert_eq!(describe_changes(before, &after), expected);
    assert_eq!((&after.active_job, &after.found_in), (&None, &None), "the ticket is unlocked");
    if after.last_job != before.last_job {
        assert_eq!(after.last_job.unwrap().id, ended.id);
    }
    assert_eq!(after.status, before.status, "only a write-back moves a ticket");
}

#[test]
fn each_end_moves_marks_and_links_the_ticket() {
    for (ended, expected) in [
        (completed_job(), "Completion from AI Processing; no badge; Completed; link; once; +1"),
        (failed_job(JobStatus::Executing), "Todo from AI Processing; AI Failed; Failed; no link; once; +1"),
        (failed_job(JobStatus::Syncing), "Todo from AI Processing; AI Failed; Failed; no link; once; +1"),
        (failed_job_with_result(), "Todo from AI Processing; AI Failed; Failed; link; once; +1"),
        (failed_job(JobStatus::Preparing), "Todo from AI Processing; AI Failed; not the last job; no link; once; +1"),
        (unstarted_job(), "Todo from AI Processing; AI Failed; not the last job; no link; once; +1"),
        (cancelled_job(JobStatus::Executing), "Todo from AI Processing; no badge; Cancelled; no link; once; +1"),
        (cancelled_job(JobStatus::Claimed), "Todo from AI Processing; no badge; not the last job; no link; once; +1"),
    ] {
        check(&ended, &locked_ticket(), expected);
    }
}

#[test]
fn reentered_ticket_stays_unless_the_job_completed() {
    let ticket = ticket_with_second_entry();
    check(&completed_job(), &ticket, "Completion from AI Processing; no badge; Completed; link; once; +1");
    check(&failed_job(JobStatus::Executing), &ticket, "stays; no badge; Failed; no link; again; +0");
    check(&failed_job_with_result(), &ticket, "stays; no badge; Failed; link; again; +1");
    check(&failed_job(JobStatus::Preparing), &ticket, "stays; no badge; not the last job; no link; again; +0");
    check(&unstarted_job(), &ticket, "stays; no badge; not the last job; no link; again; +0");
    check(&cancelled_job(JobStatus::Executing), &ticket, "stays; no badge; Cancelled; no link; again; +0");
    check(&cancelled_job(JobStatus::Claimed), &ticket, "stays; no badge; not the last job; no link; again; +0");
}

#[test]
fn resolve_only_unlocks_the_ticket() {
    for ended in [completed_job(), failed_job(JobStatus::Executing), cancelled_job(JobStatus::Executing)] {
        let ended = Job { kind: JobKind::Resolve, ..ended };
        check(&ended, &locked_ticket(), "stays; no badge; not the last job; no link; once; +0");
        check(&ended, &ticket_with_second_entry(), "stays; no badge; not the last job; no link; again; +0");
    }
}

#[test]
fn ticket_moves_only_from_the_status_its_job_found() {
    let ticket = Ticket { status: REVIEW.into(), found_in: Some(TODO.into()), ..locked_ticket() };
    check(&completed_job(), &ticket, "Completion from Todo; no badge; Completed; link; once; +1");
    let unknown = Ticket { found_in: None, ..locked_ticket() };
    check(&completed_job(), &unknown, "stays; no badge; Completed; link; once; +1");
    check(&failed_job(JobStatus::Executing), &unknown, "stays; AI Failed; Failed; no link; once; +1");
}

#[test]
fn link_names_the_pull_request_by_forge_ids() {
    let link = PullRequestLink {
        id: result().pull_request(&ready_job().integration, 99),
        url: "https://forge.test/acme/app/pull/231".into(),
        branch: "pullyard/acme/app-17-1".into(),
    };
    assert_eq!((link.id.integration.as_str(), link.id.repository, link.id.number), ("gh1", 99, 231));
    assert_eq!(pull_request_link(&completed_job()), Some(link.clone()));
    assert_eq!(ticket_after_job(&failed_job_with_result(), &locked_ticket()).pull_request, Some(link.clone()));
    assert_eq!(pull_request_link(&failed_job(JobStatus::Executing)), None);
    let linked = Ticket { pull_request: Some(link), ..locked_ticket() };
    check(&failed_job(JobStatus::Executing), &linked, "Todo from AI Processing; AI Failed; Failed; no link; once; +1");
    assert!(ticket_after_job(&failed_job(JobStatus::Executing), &linked).pull_request.is_some());
}

#[test]
fn version_rises_only_on_a_change() {
    let link = pull_request_link(&completed_job());
    let to = StatusMove { to: Target::Todo, expected: TRIGGER.into() };
    let badge = Some(Badge::AiFailed);
    let wanted = DesiredState { version: 7, status: Some(to.clone()), badge, ..DesiredState::default() };
    let mut synced =
        Ticket { wanted: wanted.clone(), synced_version: 7, pull_request: link.clone(), ..locked_ticket() };
    let check = |ticket: &Ticket, status, badge, link, expected: DesiredState| {
        let mut after = ticket.clone();
        after.request_state(status, badge, link);
        assert_eq!(after.wanted, expected);
    };
    let changed = |status, badge| DesiredState { version: 8, status, badge, ..DesiredState::default() };
    check(&synced, None, badge, None, wanted.clone());
    check(&synced, None, badge, link.clone(), wanted);
    check(&synced, None, None, None, changed(None, None));
    check(&synced, Some(to.clone()), badge, None, changed(Some(to), badge));
    let mut other = link.unwrap();
    other.id.number = 232;
    check(&synced, None, badge, Some(other), changed(None, badge));
    synced.synced_version = 6;
    check(&synced, None, badge, None, changed(None, badge));
}

#[test]
fn failure_with_a_forgotten_second_entry_gets_its_badge() {
    let after = ticket_after_job(&failed_job(JobStatus::Executing), &ticket_with_second_entry());
    assert_eq!((after.wanted.badge, &after.wanted.status), (None, &None));
    let forgotten = after.drop_entry(&crate::fixtures::settings());
    assert_eq!((forgotten.wanted.badge, forgotten.owed, &forgotten.again), (Some(Badge::AiFailed), None, &None));
    let back = StatusMove { to: Target::Todo, expected: TRIGGER.into() };
    assert_eq!(forgotten.wanted.status, Some(back));
}

#[test]
fn cancelled_or_marked_job_owes_no_badge() {
    let after = ticket_after_job(&cancelled_job(JobStatus::Executing), &ticket_with_second_entry());
    assert_eq!(after.drop_entry(&crate::fixtures::settings()).wanted.badge, None);
    assert_eq!(ticket_after_job(&failed_job(JobStatus::Executing), &locked_ticket()).owed, None);
}

#[test]
fn pending_move_survives_a_suspension_and_is_written_once() {
    let to = Some(StatusMove { to: Target::Todo, expected: REVIEW.into() });
    let mut behind = locked_ticket();
    behind.request_state(to.clone(), None, None);
    let waiting = update_waiting_badge(&awaiting_input_job(), &behind).unwrap();
    assert_eq!(
        waiting.wanted,
        DesiredState {
            version: behind.wanted.version + 1,
            status: to,
            badge: Some(Badge::AiWaiting),
            ..DesiredState::default()
        }
    );
    let written = Ticket { synced_version: behind.wanted.version, ..behind };
    assert_eq!(update_waiting_badge(&awaiting_input_job(), &written).unwrap().wanted.status, None);
}

#[test]
fn completion_answers_an_entry_made_during_the_job() {
    let moved = |to: &str| {
        let again = entry("e2", 150);
        Ticket {
            status: to.into(),
            seen_event: Some(again.event.clone()),
            again: Some(again),
            found_in: Some(TODO.into()),
            ..locked_ticket()
        }
    };
    let expected = |ticket: &Ticket| ticket_after_job(&completed_job(), ticket).wanted.status.map(|to| to.expected);
    assert_eq!(expected(&moved(TRIGGER)).as_deref(), Some(TRIGGER));
    let since = Ticket { status: "Blocked".into(), seen_event: None, ..moved(TRIGGER) };
    assert_eq!(expected(&since).as_deref(), Some(TODO), "a later move wins");
}

#[test]
fn end_of_a_job_clears_the_tickets_back_off() {
    let put_off = Ticket { tries: 3, not_before: Some(time_at(9_000)), ..locked_ticket() };
    let after = ticket_after_job(&completed_job(), &put_off);
    assert_eq!((after.tries, after.not_before), (0, None));
}

fn end_revision(end: impl FnOnce(&Job) -> Job) -> (Job, Ticket, PullRequest) {
    let before =
        Ticket { last_job: Some(LastJob { id: job_id("j0"), outcome: LastOutcome::Completed }), ..ticket_in(REVIEW) };
    let (job, ticket, pull_request) = revision("r1", &before, &linked_pull_request(), time_at(0));
    let ended = end(&job);
    (ended.clone(), ticket_after_job(&ended, &ticket), pull_request_after_revision(&ended, &pull_request))
}

fn advance_revision(job: &Job, status: JobStatus) -> Job {
    advance_to(&job.admit("c0ffee".into(), "9f3", time_at(50)).unwrap(), status)
}

fn fail_context(job: &Job) -> Job {
    job.fail(job.context_failure(3), time_at(300)).unwrap()
}

fn cancel_for_closed_pull_request(job: &Job) -> Job {
    job.cancel(Cancel::automatic("#231 was closed", time_at(300)), time_at(300)).unwrap()
}

#[test]
fn revision_that_never_worked_releases_the_hour() {
    let (_, ticket, pull_request) = end_revision(fail_context);
    assert_eq!(pull_request.revised, None);
    assert_eq!((ticket.status.as_str(), &ticket.active_job, ticket.is_unsynced()), (REVIEW, &None, false));
    assert_eq!(ticket.last_job.unwrap().id, job_id("j0"), "the earlier job is still the last");
}

fn revision_start(pull_request: &PullRequest) -> Option<Timestamp> {
    pull_request.revised.as_ref().map(|revised| revised.at)
}

#[test]
fn revision_that_worked_keeps_the_hour() {
    for end in [End::Completed(Some(result())), End::Failed(no_changes_failure(), None), End::Cancelled] {
        let (job, ticket, pull_request) = end_revision(|job| finish(&advance_revision(job, JobStatus::Syncing), end));
        assert_eq!(revision_start(&pull_request), Some(time_at(0)));
        assert_eq!(ticket.last_job.unwrap().id, job.id);
    }
}

#[test]
fn revision_releases_only_its_own_hour() {
    let mut before = linked_pull_request();
    before.revised = Some(LastRevision { at: time_at(0), job: job_id("j0"), earlier: None });
    // A user's request may start within that hour.
    let (job, _, pull_request) = revision("request-1", &ticket_in(REVIEW), &before, time_at(100));
    assert_eq!(revision_start(&pull_request), Some(time_at(100)));
    let after = pull_request_after_revision(&fail_context(&job), &pull_request);
    assert_eq!(after.revised, before.revised);
    let worked = finish(&advance_revision(&job, JobStatus::Executing), End::Cancelled);
    assert_eq!(revision_start(&pull_request_after_revision(&worked, &pull_request)), Some(time_at(100)));
}

#[test]
fn hour_of_another_job_is_not_released() {
    let (job, _, pull_request) = revision("r1", &ticket_in(REVIEW), &linked_pull_request(), time_at(0));
    let newer = LastRevision { at: time_at(200), job: job_id("j2"), earlier: None };
    let newer = PullRequest { revised: Some(newer.clone()), ..pull_request };
    assert_eq!(pull_request_after_revision(&fail_context(&job), &newer).revised, newer.revised);
}

#[test]
fn deferred_reviews_are_due_when_the_job_does_not_complete() {
    let waiting = |job: &Job, ticket: Ticket| {
        let others = ticket
            .schedule_review(&pull_request_id(9), time_at(9_000))
            .schedule_review(&linked_pull_request().id, time_at(3_600));
        let deferred = ticket_after_job(job, &others).deferred;
        (deferred[&linked_pull_request().id.to_string()], deferred[&pull_request_id(9).to_string()])
    };
    let (job, ticket, _) = revision("r1", &ticket_in(REVIEW), &linked_pull_request(), time_at(0));
    let worked = |end| finish(&advance_revision(&job, JobStatus::Syncing), end);
    let failed = worked(End::Failed(no_changes_failure(), None));
    for ended in [fail_context(&job), cancel_for_closed_pull_request(&job), failed, worked(End::Cancelled)] {
        assert_eq!(waiting(&ended, ticket.clone()), (time_at(300), time_at(300)), "{:?}", ended.status);
    }
    assert_eq!(
        waiting(&worked(End::Completed(Some(result()))), ticket),
        (time_at(3_600), time_at(9_000)),
        "its hour remains"
    );
}

#[test]
fn deferred_reviews_keep_earlier_times_after_a_failure() {
    let (job, ticket, _) = revision("r1", &ticket_in(REVIEW), &linked_pull_request(), time_at(0));
    let waits = ticket.schedule_review(&pull_request_id(8), time_at(100));
    let after = ticket_after_job(&finish(&advance_revision(&job, JobStatus::Executing), End::Cancelled), &waits);
    assert_eq!(after.deferred[&pull_request_id(8).to_string()], time_at(100));
}

#[test]
fn revision_of_a_closed_pull_request_leaves_the_ticket() {
    let (_, ticket, pull_request) = end_revision(cancel_for_closed_pull_request);
    assert_eq!((ticket.status.as_str(), ticket.is_unsynced()), (REVIEW, false));
    assert_eq!(ticket.last_job.unwrap().id, job_id("j0"));
    assert_eq!(pull_request.revised, None);
    // The same for a revision whose agent worked, after its runner stopped.
    let (_, ticket, pull_request) = end_revision(|job| {
        let stops = cancel_for_closed_pull_request(&advance_revision(job, JobStatus::Executing));
        finish(&stops, End::Cancelled)
    });
    assert_eq!((ticket.status.as_str(), ticket.is_unsynced()), (REVIEW, false));
    assert_eq!(ticket.last_job.unwrap().id, job_id("j0"));
    assert_eq!(revision_start(&pull_request), Some(time_at(0)), "an agent worked");
}

#[test]
fn retried_revision_always_leaves_the_trigger_status() {
    let (first, before, _) = end_revision(fail_context);
    let (job, ticket, _) = revision("r1", &before, &linked_pull_request(), time_at(100));
    let (job, ticket) = to_retry(&first, &Settings::default(), job, Some(ticket));
    let ticket = ticket.unwrap();
    assert_eq!(ticket.status, TRIGGER);
    for (ended, badge) in [(fail_context(&job), Some(Badge::AiFailed)), (cancel_for_closed_pull_request(&job), None)] {
        let after = ticket_after_job(&ended, &ticket);
        let todo = StatusMove { to: Target::Todo, expected: TRIGGER.into() };
        assert_eq!((after.wanted.status, after.wanted.badge), (Some(todo), badge));
        assert_eq!(after.last_job.unwrap().id, job_id("j0"), "no agent worked");
    }
}

#[test]
fn revision_cancelled_by_a_user_resets_the_ticket() {
    let (_, ticket, _) = end_revision(|job| job.cancel(Cancel::new("ann", None, time_at(300)), time_at(300)).unwrap());
    let todo = StatusMove { to: Target::Todo, expected: REVIEW.into() };
    assert_eq!((ticket.wanted.status, ticket.wanted.badge), (Some(todo), None));
}

#[test]
fn pull_request_note_announces_the_end_of_a_revision() {
    let (job, _, pull_request) = end_revision(fail_context);
    assert_eq!(pull_request.note, Some(Note::job_ended(job.id)));
    assert_eq!(pull_request.note_version, 2, "once at its begin, once at its end");
}

/// A ticket whose completed job opened the pull request, in its column after the job.
fn reviewed_ticket(status: &str) -> (Ticket, PullRequest) {
    let ended = ticket_after_job(&completed_job(), &locked_ticket()).mark_synced(&Settings::default());
    let linked = PullRequest { id: ended.pull_request.as_ref().unwrap().id.clone(), ..linked_pull_request() };
    (Ticket { status: status.into(), ..ended }, linked)
}

#[test]
fn ticket_moves_on_when_its_pull_request_is_closed() {
    use PullRequestState::{Closed, Merged, Open};
    let settings = Settings::default();
    for (status, state, expected) in [
        (REVIEW, Merged, Some("Done")),
        (REVIEW, Closed, Some("Todo")),
        (REVIEW, Open, None),
        // A user moved it.
        ("Blocked", Merged, None),
        ("Done", Closed, None),
        (TRIGGER, Merged, None),
    ] {
        let (ticket, linked) = reviewed_ticket(status);
        let closed = PullRequest { state, ..linked };
        let moved = ticket_after_close(&closed, &ticket, &settings.statuses);
        let moved = moved.map(|moved| moved.mark_synced(&settings));
        assert_eq!(moved.as_ref().map(|moved| moved.status.as_str()), expected, "{status} {state:?}");
        if let Some(moved) = moved {
            assert_eq!((moved.wanted.badge, moved.is_unsynced()), (None, false));
            assert_eq!(moved.wanted.status, None, "older versions do not know the move");
        }
    }
    let (ticket, linked) = reviewed_ticket(REVIEW);
    let other = PullRequest { id: pull_request_id(999), state: Merged, ..linked };
    assert_eq!(ticket_after_close(&other, &ticket, &settings.statuses), None, "another pull request");
}

#[test]
fn merge_moves_a_ticket_out_of_todo() {
    let settings = Settings::default();
    let (ticket, linked) = reviewed_ticket(REVIEW);
    let close = |state, ticket: &Ticket| {
        let moved = ticket_after_close(&PullRequest { state, ..linked.clone() }, ticket, &settings.statuses);
        moved.unwrap().mark_synced(&settings)
    };
    let closed = close(PullRequestState::Closed, &ticket);
    assert_eq!(close(PullRequestState::Merged, &closed).status, "Done", "reopened, then merged");
    let locked = Ticket { pull_request: ticket.pull_request, ..locked_ticket() };
    let failed = ticket_after_job(&failed_job(JobStatus::Executing), &locked).mark_synced(&settings);
    assert_eq!((failed.status.as_str(), failed.wanted.badge), (TODO, Some(Badge::AiFailed)));
    let merged = close(PullRequestState::Merged, &failed);
    assert_eq!((merged.status.as_str(), merged.wanted.badge), ("Done", None));
}

#[test]
fn merge_before_the_write_back_replaces_its_move() {
    let settings = Settings::default();
    let ticket = ticket_after_job(&completed_job(), &locked_ticket());
    let id = ticket.pull_request.as_ref().unwrap().id.clone();
    let merged = PullRequest { id, state: PullRequestState::Merged, ..linked_pull_request() };
    let moved = ticket_after_close(&merged, &ticket, &settings.statuses).unwrap();
    assert_eq!(moved.mark_synced(&settings).status, "Done");
}

#[test]
fn badge_in_a_tool_comes_with_a_comment() {
    let connection = crate::text::id::IntegrationId::new("own").unwrap();
    let in_tool = Ticket { tracker: Some(connection), ..locked_ticket() };
    let failed = failed_job(JobStatus::Executing);
    let comment = ticket_after_job(&failed, &in_tool).wanted.comment.unwrap();
    let failure = failed.failure.as_ref().unwrap();
    assert_eq!((comment.job, comment.text), (failed.id.clone(), format!("{} {}", failure.sentence(), failure.help())));
    assert_eq!(ticket_after_job(&completed_job(), &in_tool).wanted.comment, None);
    assert_eq!(ticket_after_job(&failed, &locked_ticket()).wanted.comment, None, "the board shows the job");
    let waiting = update_waiting_badge(&awaiting_input_job(), &in_tool).unwrap();
    assert_eq!(waiting.wanted.comment.unwrap().text, "The agent waits for an answer.");
}

#[test]
fn requested_move_of_a_user_survives_the_end_of_the_job() {
    let tracker = Some(crate::text::id::IntegrationId::new("own").unwrap());
    let mut ticket = Ticket { tracker, ..locked_ticket() };
    ticket.request_move(REVIEW, "ann", crate::text::id::EventId::new("move").unwrap(), &Settings::default());
    let requested = ticket.wanted.clone();
    let after = ticket_after_job(&failed_job(JobStatus::Executing), &ticket);
    assert_eq!(after.requested_status(), Some(REVIEW));
    assert_eq!((after.wanted.by, after.wanted.event), (requested.by, requested.event));
    assert_eq!(after.wanted.badge, Some(Badge::AiFailed));
}

#[test]
fn completion_covers_a_requested_entry_that_the_tool_reported() {
    let tracker = Some(crate::text::id::IntegrationId::new("own").unwrap());
    let mut ticket = Ticket { tracker, status: TODO.into(), ..locked_ticket() };
    ticket.request_move(TRIGGER, "ann", crate::text::id::EventId::new("move").unwrap(), &Settings::default());
    let unconfirmed = ticket_after_job(&completed_job(), &ticket);
    assert_eq!(unconfirmed.requested_status(), Some(TRIGGER));
    let second = entry("e2", 150);
    (ticket.status, ticket.seen_event) = (TRIGGER.into(), Some(second.event.clone()));
    ticket.again = Some(second);
    let covered = ticket_after_job(&completed_job(), &ticket);
    let to_completion = StatusMove { to: Target::Completion, expected: TRIGGER.into() };
    assert_eq!((covered.wanted.status, covered.again), (Some(to_completion), None));
    let after_failure = ticket_after_job(&failed_job(JobStatus::Executing), &ticket);
    assert_eq!(after_failure.requested_status(), Some(TRIGGER));
}
