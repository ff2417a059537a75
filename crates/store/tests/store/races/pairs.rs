//! Two kinds of use cases that write the same item, thirty-two callers of each at once: whoever comes first, the
//! other one's outcome is one that the state machine allows, and everything that is stored agrees.

use super::rounds::{Came, Lost, cancel, claim, enter, finish, finish_as, finish_or_come_late, settle, sweep, tally};
use super::{RACERS, race, world};
use crate::reviews::{Revising, held, id, waits};
use crate::sample::{self, at};
use crate::world::{World, failed, first_time, of_ticket};
use pullyard_domain::budget::{Budget, Day};
use pullyard_domain::decision::Reason;
use pullyard_domain::id::{InstanceId, JobId};
use pullyard_domain::job::{AttemptEnd, Job, Place, Status, Want};
use pullyard_domain::project::Compute;
use pullyard_domain::pull_request::PullRequestState;
use pullyard_domain::runner::{Drain, Heartbeat, Presence, Runner};
use pullyard_store::{Conclusion, Registered, Snapshot, Sweeps, Trigger, Write};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Of every pair: the items that both write, and the test that has them meet.
pub(super) const PAIRS: &[(&str, &str, &str)] = &[
    ("trigger and finish", "JOB TICKET", "an_entry_and_the_end_of_the_job_before_it_never_miss_each_other"),
    ("trigger and snapshot", "TICKET", "an_entry_and_a_move_away_leave_a_job_or_none"),
    ("trigger and end", "BUDGET", "what_is_taken_from_a_day_and_given_back_at_once_adds_up"),
    ("claim and cancel", "JOB TICKET RUNNER", "a_job_is_claimed_and_told_to_stop_or_never_claimed"),
    ("claim and drain", "RUNNER", "a_drained_runner_has_the_job_or_not_and_takes_no_other"),
    ("claim, finish and removal", "JOB RUNNER", "a_runner_that_is_removed_leaves_no_job_behind"),
    ("claim and an emptied slot", "RUNNER", "a_slot_that_nobody_holds_is_emptied_beside_claims"),
    ("claim and placing anew", "JOB", "a_job_that_is_placed_anew_is_claimed_by_nobody_who_was_told_before"),
    ("start and placing anew", "JOB", "a_job_that_is_placed_anew_has_no_task_on_its_way"),
    ("finish and offline", "JOB TICKET RUNNER PR", "a_job_is_finished_or_lost_with_its_runner_and_ended_once"),
    ("heartbeat and sweep", "JOB RUNNER", "a_runner_that_is_heard_in_time_keeps_its_job"),
    ("heartbeat and drain", "RUNNER", "a_drain_is_acknowledged_by_a_heartbeat_that_saw_it"),
    ("registration and drain", "RUNNER", "a_process_that_takes_over_keeps_the_wish_to_drain"),
    ("requeue and late result", "JOB RUNNER PR", "what_was_pushed_is_the_end_or_is_kept_as_late"),
    ("two sweepers", "JOB RUNNER", "of_many_sweepers_each_job_is_put_back_by_one"),
    ("finish and cancel", "JOB TICKET", "a_finish_and_a_cancel_end_a_job_once"),
    ("settle and re-entry", "JOB TICKET", "a_second_entry_and_the_settling_of_the_first_make_one_job_at_a_time"),
    ("late link and end", "PR", "a_pull_request_is_linked_once_by_its_end_or_by_what_comes_late"),
    ("closing and revision", "PR JOB TICKET REVIEW", "a_closed_pull_request_has_the_revision_that_was_first_or_none"),
    ("two answers", "JOB TICKET", "of_many_answers_each_is_kept_once_and_the_first_is_the_answer"),
    ("answer and yield", "JOB TICKET", "an_answer_and_a_question_never_miss_each_other"),
    ("pause and finish", "JOB TICKET", "a_finish_and_a_pause_leave_a_finished_job"),
    ("continue and cancel", "JOB TICKET", "a_paused_job_is_continued_or_cancelled_and_never_both"),
    (
        "continue, yield and claim",
        "JOB TICKET RUNNER",
        "a_runner_that_stops_for_a_pause_that_may_be_taken_back_leaves_it_as_the_last_word_says",
    ),
    ("two conclusions", "DELIVERY", "a_review_that_is_covered_never_reads_as_refused"),
    ("recovery and replacement", "HOOK", "how_far_a_hook_is_known_is_never_set_back_by_an_older_reading"),
];

/// How many came to this.
fn count(came: &BTreeMap<Came, usize>, word: &str) -> usize {
    came.get(word).copied().unwrap_or_default()
}

/// A runner with room for so many, and the job it executes.
async fn on_kite(room: u32, phase: Status) -> (Arc<World>, Runner, Job) {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", room)).await;
    let job = world.running_on(&runner, "APP-1", phase).await;
    let runner = world.runner(&runner).await;
    (world, runner, job)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_entry_and_the_end_of_the_job_before_it_never_miss_each_other() {
    let (world, _, job) = on_kite(1, Status::Executing).await;
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            match number % 2 {
                0 => finish_as(&world, &job, number, failed()).await,
                _ => enter(&world, "evt-2").await,
            }
        }
    })
    .await;
    assert_eq!(count(&tally(&came), "finished"), 1);
    let (ticket, jobs) = (world.ticket("APP-1").await, world.whole().await);
    let entered = sample::job_id("evt-2");
    match ticket.active_job {
        Some(next) => assert_eq!((next, ticket.again, jobs), (entered, None, 2)),
        // It is settled next.
        None => assert_eq!((ticket.again.map(|entry| entry.event), jobs), (Some(sample::event_id("evt-2")), 1)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_entry_and_a_move_away_leave_a_job_or_none() {
    let world = world().await;
    world.store.snapshot(&sample::event("APP-1", "evt-1", at(1), "AI Processing")).await.unwrap();
    let came = race(&world, |world, number| async move {
        if number % 2 == 0 {
            let moved = sample::event("APP-1", "evt-2", at(2), "Todo");
            let snapshot = world.store.snapshot(&moved).await?;
            return Ok(if snapshot == Snapshot::Stored { "moved" } else { "older" });
        }
        loop {
            let ticket = world.ticket("APP-1").await;
            if ticket.status != "AI Processing" || ticket.active_job.is_some() {
                return Ok("known");
            }
            let (job, ticket) = sample::planned(&ticket, "evt-1");
            if world.store.trigger(&of_ticket(&job, &ticket)).await? == Write::Applied {
                return Ok("made");
            }
        }
    })
    .await;
    let made = count(&tally(&came), "made");
    let ticket = world.ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.seen_event), ("Todo", Some(sample::event_id("evt-2"))));
    assert_eq!((world.whole().await, usize::from(ticket.active_job.is_some())), (made, made));
    // The end of the job finds out that the ticket has left.
    assert_eq!(ticket.found_in.as_deref(), (made == 1).then_some("AI Processing"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_taken_from_a_day_and_given_back_at_once_adds_up() {
    let world = world().await;
    let half = u32::try_from(RACERS / 2).unwrap();
    let budget =
        Budget { jobs_per_day: Some(half + 8), usd_micros_per_day: Some(1_000_000_000), usd_micros_per_job: 1_000_000 };
    let made = |name: String| Job { reserved: budget.reserve(at(0)), ..sample::job(&name) };
    let mut begun = Vec::new();
    for number in 0..RACERS / 2 {
        let job = made(format!("before-{number}"));
        let charge = budget.charge(&job);
        let trigger = Trigger { charge: charge.as_ref(), ..crate::world::alone(&job) };
        world.applies(world.store.trigger(&trigger)).await;
        begun.push(world.job(&job).await);
    }
    let came = race(&world, |world, number| {
        let (before, job) = (begun[number / 2].clone(), made(format!("racer-{number}")));
        let charge = budget.charge(&job);
        async move {
            if number % 2 == 0 {
                // No agent worked: the job comes back with its dollars.
                let ended = before.given_up(sample::failure(), at(90)).expect("it is Ready");
                let ending = world.ending_as(&before, ended, at(90)).await;
                assert_eq!(world.store.end(&ending.ended()).await?, Write::Applied);
                return Ok("ended");
            }
            let trigger = Trigger { charge: charge.as_ref(), ..crate::world::alone(&job) };
            Ok(if world.store.trigger(&trigger).await? == Write::Applied { "made" } else { "no room" })
        }
    })
    .await;
    let came = tally(&came);
    assert_eq!(count(&came, "ended"), RACERS / 2);
    assert!(count(&came, "made") >= 8, "there was room for these, whoever ended: {came:?}");
    world.whole().await;
    let today = world.store.budget(&sample::project(), Day::of(at(0))).await.unwrap().unwrap();
    assert_eq!(today.jobs as usize, count(&came, "made"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_is_claimed_and_told_to_stop_or_never_claimed() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 2)).await;
    let job = world.triggered("APP-1").await;
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move {
            match number % 2 {
                0 => claim(&world, &runner, &job, number).await,
                _ => cancel(&world, &job, number).await,
            }
        }
    })
    .await;
    let came = tally(&came);
    world.whole().await;
    let stored = world.job(&job).await;
    assert!(stored.cancel.is_some() && count(&came, "cancelled") == 1, "{came:?}");
    let (status, want) = (stored.status, stored.want);
    match count(&came, "claimed") {
        0 => assert_eq!((status, want), (Status::Cancelled, Want::Run)),
        claimed => assert_eq!((status, want, claimed), (Status::Claimed, Want::Cancel, 1)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drained_runner_has_the_job_or_not_and_takes_no_other() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    let (job, other) = (world.triggered("APP-1").await, world.triggered("APP-2").await);
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), if number % 4 == 0 { job.clone() } else { other.clone() });
        async move {
            if number % 2 == 0 {
                return claim(&world, &runner, &job, number).await;
            }
            let drain = Drain { by: "ann".into(), at: at(5), acknowledged: None };
            assert_eq!(world.store.set_drain(&runner, Some(&drain)).await?, Write::Applied);
            Ok("drained")
        }
    })
    .await;
    let (stored, claimed) = (world.runner(&runner).await, count(&tally(&came), "claimed"));
    assert!(stored.is_draining() && claimed <= 1, "{came:?}");
    assert_eq!(stored.slots.len(), claimed);
    world.whole().await;
    assert_eq!(claim(&world, &runner, &world.triggered("APP-3").await, 99).await.unwrap(), "closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_runner_that_is_removed_leaves_no_job_behind() {
    let (world, runner, job) = on_kite(2, Status::Syncing).await;
    let other = world.triggered("APP-2").await;
    race(&world, |world, number| {
        let (runner, job, other) = (runner.clone(), job.clone(), other.clone());
        async move {
            match number % 4 {
                0 => finish(&world, &job, number).await,
                1 => claim(&world, &runner, &other, number).await,
                2 => world.store.begin_removal(&runner).await.map(|_| "begun"),
                _ => world.store.remove_runner(&runner).await.map(|_| "removed"),
            }
        }
    })
    .await;
    world.whole().await;
    assert_eq!(world.job(&job).await.status, Status::Completed);
    let (left, name) = (world.store.runner(&runner.id).await.unwrap(), world.store.runner_named("kite").await.unwrap());
    let profile = world.store.runner_profile(&runner.id).await.unwrap();
    assert_eq!((name.is_some(), profile.is_some()), (left.is_some(), left.is_some()), "they go together");
    match left {
        None => assert_eq!(world.job(&other).await.status, Status::Ready, "it is nobody's"),
        Some(left) => {
            assert_eq!(left.status, Presence::Deleting);
            let holds = left.slots.contains_key(&other.id);
            assert_eq!(world.job(&other).await.status == Status::Claimed, holds);
            // Nobody looked at it since its last slot was freed.
            let removed = world.store.remove_runner(&left).await.unwrap();
            assert_eq!(removed == Write::Applied, !holds);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slot_that_nobody_holds_is_emptied_beside_claims() {
    let (world, runner, job) = on_kite(2, Status::Executing).await;
    let (slot, other) = (runner.slots[&job.id].clone(), world.triggered("APP-2").await);
    world.lose("TICKET#acme#APP-1", "TICKET").await;
    world.lose(&format!("JOB#{}", job.id), "JOB").await;
    let came = race(&world, |world, number| {
        let (runner, job, slot, other) = (runner.clone(), job.clone(), slot.clone(), other.clone());
        async move {
            match number % 2 {
                0 => world.store.drop_slot(&runner, &job.id, &slot).await.map(|_| "emptied"),
                _ => claim(&world, &runner, &other, number).await,
            }
        }
    })
    .await;
    assert_eq!(count(&tally(&came), "claimed"), 1, "there was room for it all the time");
    let slots = world.runner(&runner).await.slots;
    assert_eq!(slots.into_keys().collect::<Vec<_>>(), [other.id]);
    world.whole().await;
}

/// A job that waits on Fargate, its task claiming while its project goes over to runners.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_that_is_placed_anew_is_claimed_by_nobody_who_was_told_before() {
    let world = world().await;
    let job = world.triggered("APP-1").await;
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            let claim = sample::claim_by_task(&job, &format!("c{number}"));
            let next = if number % 2 == 0 { job.placed(Place::Runners, at(70)) } else { job.claimed(&claim, at(70)) };
            let next = next.expect("it is Ready");
            let written = match number % 2 {
                0 => world.store.update_job(&next).await?,
                _ => world.store.claim(&next).await?,
            };
            Ok(if written == Write::Applied { ["placed", "claimed"][number % 2] } else { "stale" })
        }
    })
    .await;
    assert_eq!(count(&tally(&came), "stale"), RACERS - 1);
    let stored = world.job(&job).await;
    let expected = if came.contains(&"placed") { Status::Ready } else { Status::Claimed };
    assert_eq!((stored.status, stored.place == Place::Runners), (expected, expected == Status::Ready));
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_that_is_placed_anew_has_no_task_on_its_way() {
    let world = world().await;
    let job = world.triggered("APP-1").await;
    let came = race(&world, |world, number| {
        let id = job.clone();
        async move {
            loop {
                let job = world.job(&id).await;
                let next = match number % 2 {
                    0 => job.placed(Place::Runners, at(70)),
                    _ => job.dispatched(at(70)),
                };
                let Ok(next) = next else { return Ok("refused") };
                if world.store.update_job(&next).await? == Write::Applied {
                    return Ok(["placed", "started"][number % 2]);
                }
            }
        }
    })
    .await;
    let (came, stored) = (tally(&came), world.job(&job).await);
    assert!(count(&came, "placed") + count(&came, "started") <= 1, "{came:?}");
    assert_ne!(stored.place == Place::Runners, stored.dispatch.starting);
    assert_eq!(stored.rev, job.rev + 1);
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_is_finished_or_lost_with_its_runner_and_ended_once() {
    let (world, runner, job) = on_kite(1, Status::Syncing).await;
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move {
            match number % 2 {
                0 => finish(&world, &job, number).await,
                _ => sweep(&world, &runner, Lost::GivesUp).await,
            }
        }
    })
    .await;
    let came = tally(&came);
    world.whole().await;
    let (stored, gone) = (world.job(&job).await, world.runner(&runner).await);
    assert_eq!((gone.status, gone.epoch, gone.slots.len()), (Presence::Offline, runner.epoch + 1, 0));
    let finished = count(&came, "finished");
    assert!(finished <= 1 && count(&came, "took away") <= 1 - finished, "{came:?}");
    assert_eq!(stored.rev, job.rev + 1);
    let link = world.store.pull_request(&sample::pull_request(&job, 7).id).await.unwrap();
    assert_eq!(link.is_some(), finished == 1);
    match stored.ended_by.and_then(|by| by.finish) {
        Some(_) => assert_eq!((stored.status, finished), (Status::Completed, 1)),
        None => assert_eq!((stored.status, finished), (Status::Failed, 0)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_runner_that_is_heard_in_time_keeps_its_job() {
    let (world, runner, job) = on_kite(1, Status::Executing).await;
    let came = race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            if number % 2 == 1 {
                return sweep(&world, &runner, Lost::GivesUp).await;
            }
            loop {
                let seen = world.runner(&runner).await;
                if world.store.heartbeat(&seen, &crate::fleet::heard(&seen, 100)).await? == Write::Applied {
                    return Ok("heard");
                }
            }
        }
    })
    .await;
    assert_eq!(count(&tally(&came), "heard"), RACERS / 2);
    world.whole().await;
    let (stored, back) = (world.job(&job).await, world.runner(&runner).await);
    assert_eq!((back.status, back.last_heartbeat), (Presence::Online, at(100)));
    // Ended within the silence, or not at all.
    let lost = stored.status == Status::Failed;
    assert!(lost || stored.status == Status::Executing, "{stored:?}");
    assert!(!lost || back.epoch == runner.epoch + 1, "nobody was Offline");
    assert_eq!(back.slots.is_empty(), lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drain_is_acknowledged_by_a_heartbeat_that_saw_it() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    race(&world, |world, number| {
        let seen = runner.clone();
        async move {
            if number % 2 == 1 {
                let drain = Drain { by: "ann".into(), at: at(5), acknowledged: None };
                return world.store.set_drain(&seen, Some(&drain)).await.map(|_| ());
            }
            loop {
                let seen = world.runner(&seen).await;
                // What a daemon says once it was told.
                let draining = seen.drain.is_some();
                let said =
                    Heartbeat { instance: seen.instance.clone(), active: BTreeSet::new(), draining, last: false };
                let heard = seen.heard(said, at(100)).expect("it is its process");
                if world.store.heartbeat(&seen, &heard).await? == Write::Applied {
                    return Ok(());
                }
            }
        }
    })
    .await;
    let stored = world.runner(&runner).await;
    let acknowledged = stored.drain.as_ref().expect("the wish stands").acknowledged;
    assert!(stored.draining || acknowledged.is_none(), "nobody acknowledged what was not seen: {stored:?}");
    let said = Heartbeat { instance: stored.instance.clone(), active: BTreeSet::new(), draining: true, last: false };
    world.applies(world.store.heartbeat(&stored, &stored.heard(said, at(110)).unwrap())).await;
    assert!(world.runner(&runner).await.drain.unwrap().acknowledged.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_that_takes_over_keeps_the_wish_to_drain() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            if number % 2 == 1 {
                let drain = Drain { by: "ann".into(), at: at(5), acknowledged: None };
                return world.store.set_drain(&runner, Some(&drain)).await.map(|_| ());
            }
            loop {
                let seen = world.runner(&runner).await;
                let instance = InstanceId::new(format!("newcomer-{number}")).expect("a name");
                if seen.instance != runner.instance {
                    // Another one was faster.
                    return Ok(());
                }
                let new = Runner { instance, epoch: seen.epoch + 1, ..seen.clone() };
                let profile = sample::profile(&new, &new.name);
                world.store.register(&Registered { seen: Some(&seen), ..first_time(&new, &profile) }).await?;
            }
        }
    })
    .await;
    let stored = world.runner(&runner).await;
    assert!(stored.drain.is_some(), "{stored:?}");
    assert_eq!(stored.epoch, runner.epoch + 1, "one took over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_pushed_is_the_end_or_is_kept_as_late() {
    let (world, runner, job) = on_kite(1, Status::Syncing).await;
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move {
            match number % 2 {
                0 => finish_or_come_late(&world, &job, number).await,
                _ => sweep(&world, &runner, Lost::PutsBack).await,
            }
        }
    })
    .await;
    let finished = count(&tally(&came), "finished");
    world.whole().await;
    let stored = world.job(&job).await;
    let attempt = world.store.attempt(&job.id, 1).await.unwrap().expect("it is on record");
    let link = world.store.pull_request(&sample::pull_request(&job, 7).id).await.unwrap();
    assert_eq!(link.map(|link| link.rev), Some(1), "what is on the forge is known, once");
    let late = world.item(&format!("JOB#{}", job.id), "ATTEMPT#0001").await.contains_key("late_result");
    match stored.status {
        Status::Completed => assert_eq!((finished, stored.requeues, attempt.ended), (1, 0, AttemptEnd::Completed {})),
        status => {
            assert_eq!((status, finished, stored.requeues, late), (Status::Ready, 0, 1, true));
            assert!(matches!(attempt.ended, AttemptEnd::Requeued { .. }), "{attempt:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_sweepers_each_job_is_put_back_by_one() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 3)).await;
    let mut jobs = Vec::new();
    for number in 0..3 {
        let job = world.triggered(&format!("APP-{number}")).await;
        let claim = sample::claim_by(&runner, &job, &format!("c{number}"));
        jobs.push(world.claimed(&job, &claim).await);
    }
    let runner = world.runner(&runner).await;
    race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            sweep(&world, &runner, Lost::PutsBack).await?;
            let round = Sweeps { at: at(number as u64), ready_at: at(0), since: None, gauges: None };
            world.store.put_sweeps(&round).await
        }
    })
    .await;
    world.whole().await;
    let gone = world.runner(&runner).await;
    assert_eq!((gone.status, gone.epoch, gone.slots.len()), (Presence::Offline, runner.epoch + 1, 0));
    for job in &jobs {
        let stored = world.job(job).await;
        assert_eq!((stored.status, stored.requeues, stored.rev), (Status::Ready, 1, job.rev + 1));
    }
    assert_eq!(world.store.sweeps().await.unwrap().unwrap().at, at(RACERS as u64 - 1), "the latest one counts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_finish_and_a_cancel_end_a_job_once() {
    let (world, _, job) = on_kite(1, Status::Syncing).await;
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            match number % 2 {
                0 => finish(&world, &job, number).await,
                _ => cancel(&world, &job, number).await,
            }
        }
    })
    .await;
    let came = tally(&came);
    world.whole().await;
    let stored = world.job(&job).await;
    assert_eq!((stored.status, count(&came, "finished")), (Status::Completed, 1), "what was pushed beats a cancel");
    assert_eq!((stored.want, stored.cancel.is_some()), (Want::Run, false), "nothing is left of it");
    assert!(count(&came, "cancelled") <= 1, "{came:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_second_entry_and_the_settling_of_the_first_make_one_job_at_a_time() {
    let (world, _, job) = on_kite(1, Status::Executing).await;
    assert_eq!(enter(&world, "evt-2").await.unwrap(), "waits");
    assert_eq!(finish_as(&world, &job, 0, failed()).await.unwrap(), "finished");
    race(&world, |world, number| async move {
        match number % 2 {
            0 => settle(&world).await,
            _ => enter(&world, "evt-3").await,
        }
    })
    .await;
    assert_eq!(world.whole().await, 2, "the one that ended, and one more");
    let ticket = world.ticket("APP-1").await;
    let active = ticket.active_job.expect("an entry is never lost");
    if active == sample::job_id("evt-2") {
        assert_eq!(ticket.again.map(|entry| entry.event), Some(sample::event_id("evt-3")), "it waits for that job");
    } else {
        assert_eq!((active, ticket.again), (sample::job_id("evt-3"), None));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pull_request_is_linked_once_by_its_end_or_by_what_comes_late() {
    let (world, _, job) = on_kite(1, Status::Syncing).await;
    race(&world, |world, number| {
        let job = job.clone();
        async move {
            match number % 2 {
                0 => finish(&world, &job, number).await,
                _ => world.store.link_if_unlinked(&sample::pull_request(&job, 7)).await.map(|_| "linked"),
            }
        }
    })
    .await;
    world.whole().await;
    assert_eq!(world.job(&job).await.status, Status::Completed, "a late link never stands in the way of an end");
    let link = world.store.pull_request(&sample::pull_request(&job, 7).id).await.unwrap().unwrap();
    assert!(link.rev <= 2, "the link, and the end over it: {}", link.rev);
    assert_eq!((link.job, link.ticket), (Some(job.id), job.ticket));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_closed_pull_request_has_the_revision_that_was_first_or_none() {
    let world = Arc::new(World::with_linked().await);
    let came = race(&world, |world, number| async move {
        loop {
            let mut pull_request = world.pull_request().await;
            if pull_request.state == PullRequestState::Closed {
                return Ok("closed");
            }
            let written = if number % 2 == 0 {
                pull_request.state = PullRequestState::Closed;
                world.store.update_pull_request(&pull_request).await?
            } else {
                if world.ticket("APP-1").await.active_job.is_some() {
                    return Ok("busy");
                }
                let revising = Revising::of(&world, "r1").await;
                match revising.pull_request.state {
                    PullRequestState::Open => revising.direct(&world.store).await?,
                    _ => Write::Stale,
                }
            };
            if written == Write::Applied {
                return Ok(["closed", "made"][number % 2]);
            }
        }
    })
    .await;
    let made = count(&tally(&came), "made");
    assert!(made <= 1, "{came:?}");
    let (jobs, ticket, pull_request) = (world.whole().await, world.ticket("APP-1").await, world.pull_request().await);
    assert_eq!((jobs, pull_request.state), (made, PullRequestState::Closed));
    assert_eq!(pull_request.revised.map(|revised| revised.job), ticket.active_job);
    assert_eq!(world.store.reviews(&id()).await.unwrap().len(), made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_review_that_is_covered_never_reads_as_refused() {
    let world = Arc::new(World::with_linked().await);
    world.applies(world.store.remember_review(&waits("r1"), &held("r1"))).await;
    let job = JobId::of_review(&id(), &crate::reviews::review_id("r1"));
    race(&world, |world, number| {
        let job = job.clone();
        async move {
            let end = match number % 2 {
                0 => Conclusion::Covered(job),
                _ => Conclusion::Refused(Reason::PullRequestClosed { pr: "acme/app#7".into(), state: "closed".into() }),
            };
            world.store.conclude(&held("r1").id, &end).await
        }
    })
    .await;
    let entry = world.store.delivery(&held("r1").id).await.unwrap().unwrap();
    assert_eq!(entry.job, Some(job.clone()));
    let covered = [held("r1").reason, Reason::Accepted { job }];
    assert!(covered.contains(&entry.reason), "{entry:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn how_far_a_hook_is_known_is_never_set_back_by_an_older_reading() {
    let world = world().await;
    world.applies(world.store.put_hook(&crate::hooks::hook("acme"))).await;
    let name = crate::hooks::hook("acme").name;
    let came = race(&world, |world, number| {
        let name = name.clone();
        async move {
            loop {
                let mut hook = world.store.hook(&name).await?.expect("it stays");
                match number % 2 {
                    // A look that got further, and a change of what it is.
                    0 if hook.recovery.next >= at(600) => return Ok("known"),
                    0 => hook.recovery.next = at(600),
                    _ if hook.base_url.is_some() => return Ok("known"),
                    _ => hook.base_url = Some("https://pullyard.example".into()),
                }
                if world.store.put_hook(&hook).await? == Write::Applied {
                    return Ok(["looked", "changed"][number % 2]);
                }
            }
        }
    })
    .await;
    let stored = world.store.hook(&name).await.unwrap().unwrap();
    assert_eq!((stored.recovery.next, stored.base_url.is_some(), stored.rev), (at(600), true, 3), "{:?}", tally(&came));
}

/// Runners are asked for jobs that wait there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_waits_for_runners_is_claimed_by_one_and_its_row_goes() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 2)).await;
    let job = sample::job_at("one", Compute::Runners, at(0));
    world.applies(world.store.trigger(&crate::world::alone(&job))).await;
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move { claim(&world, &runner, &job, number).await }
    })
    .await;
    assert_eq!(count(&tally(&came), "claimed"), 1);
    world.whole().await;
    assert!(world.store.ready(&job.class, 10).await.unwrap().is_empty());
}
