use super::*;
use crate::due::{self, Due};
use crate::job::{EndedBy, Place};
use crate::outcome::ticket_after;
use crate::story::{
    active, at, claim, crashed, fence, finish_id, finished, job_and_ticket, just_before, no_changes, ready, result,
};
use crate::sweep::{Step, step};
use crate::ticket::{Move, Target};
use crate::why::why;

const ACTIVE: [Status; 4] = [Status::Claimed, Status::Preparing, Status::Executing, Status::Syncing];

fn by_ann(secs: u64) -> Cancel {
    Cancel::new("ann", None, at(secs))
}

fn cancelled(job: &Job) -> Job {
    job.cancelled(by_ann(250), at(250)).unwrap()
}

#[test]
fn cancelled_job_may_leave_a_task_when_no_finish_came() {
    let asked = ready().dispatched(at(10)).unwrap();
    let named = asked.start_named(1, asked.dispatch.number, "task-1").unwrap();
    let mut held = active(Status::Executing);
    held.run.as_mut().unwrap().task = Some("task-2".into());
    let heard = |job: &Job| job.ended(End::Cancelled, Some(finish_id("f")), at(250));
    let unheard = |job: &Job| job.ended(End::Cancelled, None, at(250));
    let runners = Job { place: Place::Runners, ..held.clone() };
    for (job, may, tasks) in [
        (cancelled(&ready()), false, vec![]),
        (cancelled(&asked), true, vec![]),
        (cancelled(&named), true, vec!["task-1"]),
        (unheard(&held), true, vec!["task-2"]),
        (heard(&held), false, vec![]),
        (cancelled(&held), false, vec!["task-2"]),
        (unheard(&runners), false, vec![]),
        (held.ended(End::Failed(no_changes(), None), None, at(250)), false, vec![]),
    ] {
        assert_eq!(job.may_leave_a_task(), may, "{:?} {:?}", job.status, job.ended_by);
        assert_eq!(job.last_tasks().collect::<Vec<_>>(), tasks);
    }
}

#[test]
fn stop_of_a_task_after_the_cancel_is_ignored() {
    let job = cancelled(&active(Status::Executing)).called_off(at(310)).unwrap();
    assert_eq!(job.last_tasks().collect::<Vec<_>>(), ["task-c1"]);
    assert_eq!(job.container_died("task-c1", crashed(), at(320)), Err(NotNow::LeaseLost));
}

#[test]
fn only_a_held_job_with_a_cancel_has_a_stop_deadline() {
    let told = cancelled(&active(Status::Executing));
    assert_eq!(told.stops_by(), Some(by_ann(250).until()));
    assert_eq!(Job { status: Status::Ready, ..told.clone() }.stops_by(), None, "no runner holds it");
    assert_eq!(Job { want: Want::Run, ..told }.stops_by(), None, "no cancel is requested");
}

#[test]
fn effect_of_a_cancel_depends_on_the_status() {
    let stuck = |status| Job { status, run: None, ..active(Status::Executing) };
    let syncing = active(Status::Syncing);
    let table = [
        (stuck(Status::Pending), "ends"),
        (ready(), "ends"),
        (ready().dispatched(at(10)).unwrap(), "ends"),
        (Job { place: Place::Runners, ..ready() }, "ends"),
        (active(Status::Claimed), "asks"),
        (active(Status::Preparing), "asks"),
        (active(Status::Executing), "asks"),
        (active(Status::Syncing), "asks"),
        (stuck(Status::AwaitingInput), "ends"),
        (stuck(Status::Paused), "ends"),
        (finished(&syncing, End::Completed(result())), "late"),
        (finished(&syncing, End::Failed(no_changes(), None)), "late"),
        (finished(&syncing, End::Cancelled), "already"),
    ];
    for (job, expected) in table {
        let done = match job.cancelled(by_ann(250), at(250)) {
            Ok(next) if next.status == Status::Cancelled => {
                assert_eq!((next.ended_at, next.want), (Some(at(250)), Want::Run));
                assert_eq!(next.ended_by, Some(EndedBy { attempt: job.attempt, finish: None }));
                assert_eq!(next.cancel, Some(by_ann(250)));
                assert_eq!(due::job(&next), None);
                "ends"
            }
            Ok(next) => {
                assert_eq!((next.status, next.want), (job.status, Want::Cancel));
                "asks"
            }
            Err(NotNow::Already) => "already",
            Err(NotNow::Status(status)) if status == job.status => "late",
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(done, expected, "{:?}", job.status);
    }
}

#[test]
fn first_user_to_cancel_is_recorded() {
    for job in [ready(), active(Status::Executing)] {
        let first = cancelled(&job);
        assert_eq!(first.cancelled(Cancel::new("bob", None, at(260)), at(260)), Err(NotNow::Already));
        assert_eq!(first.cancel.unwrap().by, "ann");
    }
}

#[test]
fn cancelled_job_is_due_after_its_stop_or_push_deadline() {
    for status in [Status::Claimed, Status::Preparing, Status::Executing] {
        let job = cancelled(&active(status));
        assert_eq!(due::job(&job), Some(Due::At(at(310))));
        assert_eq!(step(&job, just_before(at(310))), Step::Nothing);
        assert_eq!(job.called_off(just_before(at(310))), Err(NotNow::NotBefore(at(310))));
        assert_eq!(step(&job, at(310)), Step::CallOff);
        assert_eq!(job.called_off(at(310)).unwrap().status, Status::Cancelled);
    }
    let pushing = cancelled(&active(Status::Syncing));
    assert_eq!(due::job(&pushing), Some(Due::At(at(320))));
    assert_eq!(step(&pushing, just_before(at(320))), Step::Nothing);
    assert_eq!(pushing.called_off(at(319)), Err(NotNow::NotBefore(at(320))));
    assert_eq!(step(&pushing, at(320)), Step::CallOff);
    // An earlier time limit still ends it as Cancelled.
    let mut short = active(Status::Executing);
    short.policy.wall_secs = 100;
    assert_eq!(due::job(&cancelled(&short)), Some(Due::At(at(260))));
    assert_eq!(cancelled(&short).given_up(crashed(), at(260)).unwrap().status, Status::Cancelled);
}

#[test]
fn job_without_a_cancel_is_never_called_off() {
    for status in ACTIVE {
        assert_eq!(active(status).called_off(at(9_000)), Err(NotNow::Status(status)));
    }
    assert_eq!(ready().called_off(at(9_000)), Err(NotNow::Status(Status::Ready)));
}

#[test]
fn finish_after_a_cancel_keeps_the_runners_result() {
    let finish = |job: &Job, end| job.finished(&fence(job, 1, "c1"), &finish_id("f1"), end, at(300)).unwrap();
    for status in ACTIVE {
        let stopped = finish(&cancelled(&active(status)), End::Cancelled);
        assert_eq!((stopped.status, stopped.cancel, stopped.want), (Status::Cancelled, Some(by_ann(250)), Want::Run));
        // The job failed before the runner received the cancel, so the failure counts.
        let failed = finish(&cancelled(&active(status)), End::Failed(no_changes(), None));
        assert_eq!((failed.status, failed.cancel), (Status::Failed, None));
    }
    let done = finish(&cancelled(&active(Status::Syncing)), End::Completed(result()));
    assert_eq!((done.status, done.cancel.clone()), (Status::Completed, None));
    assert_eq!(done.cancelled(by_ann(310), at(310)), Err(NotNow::Status(Status::Completed)));
}

#[test]
fn cancelled_job_is_neither_requeued_nor_failed() {
    for status in ACTIVE {
        let job = cancelled(&active(status));
        for ended in [job.requeued(at(400)).unwrap(), job.given_up(crashed(), at(400)).unwrap()] {
            assert_eq!((ended.status, ended.failure, ended.requeues), (Status::Cancelled, None, 0));
            assert_eq!(ended.cancel, Some(by_ann(250)));
        }
    }
}

#[test]
fn task_starting_during_a_cancel_cannot_claim() {
    let starting = ready().dispatched(at(10)).unwrap();
    assert_eq!(cancelled(&starting).claimed(&claim(1, "c1"), at(300)), Err(NotNow::Unwanted));
    assert_eq!(cancelled(&active(Status::Claimed)).claimed(&claim(1, "c1"), at(300)), Err(NotNow::Already));
}

#[test]
fn cancelled_ticket_returns_to_todo_without_a_badge() {
    let (job, ticket) = job_and_ticket();
    let after = ticket_after(&cancelled(&job), &ticket);
    let back = Move { to: Target::Todo, expected: ticket.status };
    assert_eq!((after.active_job, after.wanted.badge, after.wanted.status), (None, None, Some(back)));
    assert_eq!(after.last_job, None, "no agent worked");
}

#[test]
fn why_names_the_user_who_cancelled() {
    let said = |job: &Job, secs| why(job, None, None, at(secs)).0;
    let executing = cancelled(&active(Status::Executing));
    assert_eq!(said(&executing, 260), "ann cancelled the job 10 s ago, in attempt 1; its runner is stopping it.");
    let pushing = cancelled(&active(Status::Syncing));
    assert_eq!(said(&pushing, 260), "ann cancelled the job 10 s ago, in attempt 1; it completes if its push succeeds.");
    assert_eq!(said(&cancelled(&ready()), 260), "Cancelled by ann.");
    let wrong = ready().cancelled(Cancel::new("ann", Some("the wrong ticket"), at(250)), at(250)).unwrap();
    assert_eq!(said(&wrong, 260), "Cancelled by ann: \"the wrong ticket\".");
}

#[test]
fn stored_cancel_is_short_and_printable() {
    let hostile = "\u{202e}\n\u{1b}[31m".repeat(500) + &"x".repeat(500);
    let cancel = Cancel::new(&hostile, Some(&hostile), at(0));
    assert!(serde_json::to_string(&cancel).unwrap().len() < 800);
    assert!(cancel.sentence().chars().count() <= 140, "{}", cancel.sentence());
    assert!(!cancel.sentence().contains(char::is_control));
    assert_eq!(Cancel::new("ann", Some(" \n "), at(0)), by_ann(0));
}

#[test]
fn cancel_sentence_clips_the_reason_to_its_room() {
    let sentence = |name: usize| Cancel::new(&"n".repeat(name), Some(&"r".repeat(LONGEST_REASON)), at(0)).sentence();
    assert_eq!(sentence(2), format!("Cancelled by nn: \"{}\".", "r".repeat(LONGEST_REASON)));
    for name in [2, 3, 48] {
        assert_eq!(sentence(name).chars().count(), 140);
    }
    assert!(sentence(3).ends_with("r…\"."));
}
