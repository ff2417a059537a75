use super::*;
use crate::agent::runner::Heartbeat;
use crate::fixtures::{claim, job_id, ready_job, runner, slot, time_at};
use crate::job::{Claim, JobStatus, Placement};
use crate::text::id::{ClaimId, RunnerId};
use std::collections::{BTreeMap, BTreeSet};

fn runner_with_job(since: u64) -> Runner {
    Runner { slots: BTreeMap::from([(job_id("j"), slot("c1", since))]), ..runner("kite") }
}

fn take_offline(runner: &Runner, secs: u64) -> Runner {
    match next_step(runner, TokenState::Valid, false, time_at(secs)) {
        RunnerStep::MarkOffline(offline) => *offline,
        other => panic!("not taken Offline: {other:?}"),
    }
}

#[track_caller]
fn check(runner: &Runner, secs: u64, expected: &str) {
    check_with(runner, TokenState::Valid, secs, expected);
}

#[track_caller]
fn check_with(runner: &Runner, token: TokenState, secs: u64, expected: &str) {
    let text = match next_step(runner, token, false, time_at(secs)) {
        RunnerStep::Skip => "nothing".to_owned(),
        RunnerStep::MarkOffline(_) => "offline".into(),
        RunnerStep::EndJobs(loss, jobs) => format!("{loss:?} {}", jobs.len()),
        RunnerStep::DeleteUnused => "forget".into(),
        RunnerStep::Remove => "remove".into(),
    };
    assert_eq!(text, expected);
}

#[test]
fn runner_is_offline_after_90_seconds_of_silence() {
    check(&runner_with_job(0), 90, "nothing");
    check(&runner_with_job(0), 91, "offline");
    let offline = take_offline(&runner_with_job(0), 91);
    assert_eq!((offline.status, offline.epoch, offline.spared_until), (Presence::Offline, 2, None));
    check(&offline, 91, "Silent 1");
    check(&take_offline(&runner("kite"), 91), 91, "nothing");
}

#[test]
fn last_heartbeat_loses_the_jobs_after_a_grace_period() {
    let heartbeat = Heartbeat {
        instance: runner_with_job(0).instance,
        active_jobs: BTreeSet::new(),
        draining: true,
        is_sign_off: true,
        order: None,
    };
    let signed_off = runner_with_job(0).with_heartbeat(heartbeat, time_at(100)).unwrap();
    check(&signed_off, 114, "nothing");
    check(&signed_off, 115, "Silent 1");
}

#[test]
fn slot_missing_from_a_later_heartbeat_has_no_process() {
    let at_heartbeat = |since, heartbeat_secs, active: &[&str]| Runner {
        last_heartbeat: time_at(heartbeat_secs),
        active: active.iter().map(|name| job_id(name)).collect(),
        ..runner_with_job(since)
    };
    check(&at_heartbeat(10, 69, &[]), 69, "nothing");
    check(&at_heartbeat(10, 70, &[]), 70, "NoProcess 1");
    check(&at_heartbeat(10, 500, &["j"]), 500, "nothing");
    check(&at_heartbeat(10, 500, &["other"]), 500, "NoProcess 1");
    // Without a later heartbeat, an old slot proves no missing process.
    check(&at_heartbeat(100, 70, &[]), 160, "nothing");
}

#[test]
fn dead_token_or_removal_takes_every_job_at_once() {
    check_with(&runner_with_job(0), TokenState::Invalid, 1, "TokenInvalid 1");
    check_with(&take_offline(&runner_with_job(0), 91), TokenState::Invalid, 92, "TokenInvalid 1");
    check_with(&runner("kite"), TokenState::Invalid, 1, "nothing");
    let deleting = |runner: Runner| Runner { status: Presence::Deleting, ..runner };
    check(&deleting(runner_with_job(0)), 1, "Deleted 1");
    check(&deleting(runner("kite")), 1, "remove");
}

#[test]
fn idle_offline_runner_is_forgotten_after_a_month() {
    let month = 30 * 24 * 3_600;
    let offline = take_offline(&runner("kite"), 91);
    check(&offline, month - 1, "nothing");
    check(&offline, month, "forget");
    check(&take_offline(&runner_with_job(0), 91), month, "Silent 1");
}

#[test]
fn storm_spares_jobs_for_one_more_window() {
    let offline = match next_step(&runner_with_job(0), TokenState::Valid, true, time_at(100)) {
        RunnerStep::MarkOffline(offline) => *offline,
        other => panic!("{other:?}"),
    };
    assert_eq!(offline.spared_until, Some(time_at(190)));
    check(&offline, 189, "nothing");
    check(&offline, 190, "Silent 1");
}

#[test]
fn many_silent_runners_or_a_sweep_gap_is_a_storm() {
    let fleet = |online: usize, silent: usize| {
        let heartbeat_at =
            |secs| move |number| Runner { last_heartbeat: time_at(secs), ..runner(&format!("r{number}")) };
        (0..online - silent).map(heartbeat_at(1_000)).chain((0..silent).map(heartbeat_at(0))).collect::<Vec<_>>()
    };
    let is = |online, silent| is_storm(&fleet(online, silent), true, time_at(1_000));
    assert!(!is(2, 2), "two runners are too few");
    assert!(is(3, 3) && is(9, 3));
    assert!(!is(10, 3), "exactly thirty percent is no storm");
    assert!(is(13, 4) && !is(100, 30) && is(100, 31));
    let offline = fleet(3, 3).into_iter().map(|runner| Runner { status: Presence::Offline, ..runner });
    assert!(!is_storm(&offline.collect::<Vec<_>>(), true, time_at(1_000)), "these are Offline already");
    assert!(is_storm(&fleet(100, 1), false, time_at(1_000)), "unread runners may be silent too");
    // A long silence of its own is no silence yet.
    let patient = fleet(3, 3).into_iter().map(|runner| Runner { offline_secs: Some(3_600), ..runner });
    assert!(!is_storm(&patient.collect::<Vec<_>>(), true, time_at(1_000)));
    let is_unwatched = |offline_secs, since| {
        super::is_unwatched(&Runner { offline_secs, ..runner("kite") }, time_at(since), time_at(1_000))
    };
    assert_eq!(
        (is_unwatched(None, 909), is_unwatched(None, 910)),
        (false, true),
        "no sweep ran for part of the window"
    );
    assert_eq!((is_unwatched(Some(600), 399), is_unwatched(Some(600), 400)), (false, true));
}

#[test]
fn runner_is_blamed_only_after_a_full_watched_window() {
    let round = |at_secs, since| Some((time_at(at_secs), time_at(since)));
    assert_eq!(uninterrupted_since(None, time_at(1_000)), time_at(1_000));
    assert_eq!(uninterrupted_since(round(935, 7), time_at(1_000)), time_at(7), "one sweep a minute is no gap");
    assert_eq!(uninterrupted_since(round(934, 7), time_at(1_000)), time_at(1_000));
    // For every length of the outage and every age of the last heartbeat.
    for (pause, age_secs) in (0..300).flat_map(|pause| [1, 5, 10].map(|age_secs| (pause, age_secs))) {
        let busy = runner_with_job(0);
        let active = busy.slots.keys().cloned().collect();
        let mut kite = Runner { last_heartbeat: time_at(1_000 - age_secs), active, ..busy };
        let mut last = round(1_000, 0);
        for secs in (1_000 + pause..1_000 + pause + 15).step_by(5) {
            let since = uninterrupted_since(last, time_at(secs));
            last = Some((time_at(secs), since));
            let storm = is_storm([&kite], true, time_at(secs)) || super::is_unwatched(&kite, since, time_at(secs));
            match next_step(&kite, TokenState::Valid, storm, time_at(secs)) {
                RunnerStep::MarkOffline(offline) => kite = *offline,
                RunnerStep::EndJobs(..) => {
                    panic!("down for {pause} s, last heartbeat {age_secs} s before: lost at {secs}")
                }
                _ => {}
            }
        }
    }
}

#[test]
fn only_the_slots_own_claim_holds_a_job() {
    let kite = runner("kite");
    let by = |runner: &RunnerId| Claim { runner: Some(runner.clone()), task: None, ..claim(1, "c1") };
    let job = Job { place: Placement::Runners, ..ready_job() };
    let held = job.claim(&by(&kite.id), time_at(5)).unwrap();
    assert!(is_slot_of_job(&held, &kite, &slot("c1", 5)));
    assert!(!is_slot_of_job(&held, &kite, &slot("c2", 5)));
    assert!(!is_slot_of_job(&held, &kite, &Slot { attempt: 2, ..slot("c1", 5) }));
    assert!(!is_slot_of_job(&held, &runner("gull"), &slot("c1", 5)));
    assert!(!is_slot_of_job(&job, &kite, &slot("c1", 5)));
    let ended = held.fail(crate::fixtures::crash_failure(), time_at(9)).unwrap();
    assert_eq!(ended.status, JobStatus::Failed);
    assert!(!is_slot_of_job(&ended, &kite, &slot("c1", 5)));
    assert_eq!(held.run.as_ref().map(|run| run.claim.clone()), ClaimId::new("c1").ok());
}

#[test]
fn failure_names_why_the_runner_lost_its_job() {
    let kite = Runner { last_heartbeat: time_at(100), ..runner("kite") };
    let says = |loss: LossReason| loss.failure(&kite, time_at(220)).sentence();
    assert_eq!(says(LossReason::Silent), "Runner kite was silent for 2 min during the job.");
    assert_eq!(says(LossReason::NoProcess), "The runner failed with no result.");
    assert_eq!(says(LossReason::Deleted), "Runner kite is no longer allowed: it was deleted.");
    let revoked = "Runner kite is no longer allowed: its token was revoked or has expired.";
    assert_eq!(says(LossReason::TokenInvalid), revoked);
}
