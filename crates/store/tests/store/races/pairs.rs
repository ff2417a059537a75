//! Tests races between two use cases that write the same item, with 32 callers each. For any order, both outcomes are
//! allowed by the state machine and all stored items are consistent.

use super::use_cases::{
    LossPolicy, RaceOutcome, claim, enter_trigger_status, finish, finish_as, finish_or_store_late_result,
    send_heartbeat, settle, sweep, take_over, tally,
};
use super::{RACERS, race, world};
use crate::sample::{self, at};
use crate::world::{World, failed_end, job_trigger};
use pullyard_domain::budget::{Budget, Day};
use pullyard_domain::id::ClaimId;
use pullyard_domain::job::{AttemptEnd, Job, JobStatus};
use pullyard_domain::runner::{MIN_REMEMBERED_CLAIMS, Presence, Runner};
use pullyard_domain::ticket::{LastJob, LastOutcome};
use pullyard_store::{JobCreation, Write};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn count_outcome(came: &BTreeMap<RaceOutcome, usize>, word: &str) -> usize {
    came.get(word).copied().unwrap_or_default()
}

async fn running_on_runner(room: u32, phase: JobStatus) -> (Arc<World>, Runner, Job) {
    let world = world().await;
    let runner = world.register_runner(&sample::runner("kite", room)).await;
    let job = world.running_job_on(&runner, "APP-1", phase).await;
    let runner = world.runner(&runner).await;
    (world, runner, job)
}

/// Half of the racers send heartbeats over an old read of the runner, each with another time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn heartbeats_during_claims_lose_no_slot() {
    let world = world().await;
    let old: Vec<_> =
        (0..MIN_REMEMBERED_CLAIMS + 4).map(|number| ClaimId::new(format!("old-{number}")).unwrap()).collect();
    let runner = world.register_runner(&Runner { claims: old.clone(), ..sample::runner("kite", 8) }).await;
    let mut jobs = Vec::new();
    for number in 0..RACERS {
        jobs.push(world.create_job(&format!("job-{number}")).await);
    }
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), jobs[number].clone());
        // The racers' numbers do not follow the order of their times.
        let secs = 100 + (number * 37 % RACERS) as u64;
        async move {
            match number % 2 {
                0 => send_heartbeat(&world, &runner, secs).await,
                _ => claim(&world, &runner, &job, number).await,
            }
        }
    })
    .await;
    let (came, stored) = (tally(&came), world.runner(&runner).await);
    assert_eq!((count_outcome(&came, "heard"), count_outcome(&came, "claimed")), (RACERS / 2, 8), "{came:?}");
    assert_eq!((stored.slots.len(), stored.last_heartbeat), (8, at(100 + RACERS as u64 - 2)));
    let (kept, new): (Vec<_>, Vec<_>) = stored.claims.iter().cloned().partition(|claim| old.contains(claim));
    assert!(
        old.ends_with(&kept) && stored.claims.len() >= MIN_REMEMBERED_CLAIMS,
        "the oldest claims are removed first: {:?}",
        stored.claims
    );
    let slots: BTreeSet<_> = stored.slots.values().map(|slot| slot.claim.clone()).collect();
    assert_eq!((new.len(), new.into_iter().collect::<BTreeSet<_>>()), (8, slots));
    world.check_consistency().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runner_with_a_timely_heartbeat_keeps_its_job() {
    let (world, runner, job) = running_on_runner(1, JobStatus::Executing).await;
    let came = race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            if number % 2 == 1 {
                return sweep(&world, &runner, LossPolicy::GiveUp).await;
            }
            loop {
                let seen = world.runner(&runner).await;
                if world.store.record_heartbeat(&seen, &crate::fleet::with_heartbeat(&seen, 100)).await?
                    == Write::Applied
                {
                    return Ok("heard");
                }
            }
        }
    })
    .await;
    assert_eq!(count_outcome(&tally(&came), "heard"), RACERS / 2);
    world.check_consistency().await;
    let (stored, back) = (world.job(&job).await, world.runner(&runner).await);
    assert_eq!((back.status, back.last_heartbeat), (Presence::Online, at(100)));
    // The job ended before the heartbeat or not at all.
    let lost = stored.status == JobStatus::Failed;
    assert!(lost || stored.status == JobStatus::Executing, "{stored:?}");
    assert!(!lost || back.epoch == runner.epoch + 1, "only an Offline runner loses its job");
    assert_eq!(back.slots.is_empty(), lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn removed_runner_leaves_no_job_behind() {
    let (world, runner, job) = running_on_runner(2, JobStatus::Syncing).await;
    let other = world.create_ticket_job("APP-2").await;
    race(&world, |world, number| {
        let (runner, job, other) = (runner.clone(), job.clone(), other.clone());
        async move {
            match number % 4 {
                0 => finish(&world, &job, number).await,
                1 => claim(&world, &runner, &other, number).await,
                2 => world.store.begin_removal(&runner).await.map(|_| "begun"),
                _ => world.store.delete_runner(&runner).await.map(|_| "removed"),
            }
        }
    })
    .await;
    world.check_consistency().await;
    assert_eq!(world.job(&job).await.status, JobStatus::Completed);
    let (left, name) =
        (world.store.load_runner(&runner.id).await.unwrap(), world.store.load_runner_id("kite").await.unwrap());
    let profiles = async || world.store.load_runner_profiles(std::slice::from_ref(&runner.id)).await.unwrap();
    let profile = world.after_catching_up(profiles).await.pop();
    assert_eq!(
        (name.is_some(), profile.is_some()),
        (left.is_some(), left.is_some()),
        "runner, name and profile are removed together"
    );
    match left {
        None => assert_eq!(world.job(&other).await.status, JobStatus::Ready, "no runner has claimed the other job"),
        Some(left) => {
            assert_eq!(left.status, Presence::Deleting);
            let holds = left.slots.contains_key(&other.id);
            assert_eq!(world.job(&other).await.status == JobStatus::Claimed, holds);
            // No removal was tried after the last slot was freed.
            let removed = world.store.delete_runner(&left).await.unwrap();
            assert_eq!(removed == Write::Applied, !holds);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn takeover_during_silence_keeps_the_job_or_finds_it_lost() {
    let (world, runner, job) = running_on_runner(1, JobStatus::Executing).await;
    let came = race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            match number % 2 {
                0 => sweep(&world, &runner, LossPolicy::GiveUp).await,
                _ => take_over(&world, &runner, number).await,
            }
        }
    })
    .await;
    let (came, stored, new) = (tally(&came), world.job(&job).await, world.runner(&runner).await);
    assert_eq!((count_outcome(&came, "took over"), new.instance == runner.instance), (1, false), "{came:?}");
    assert_eq!((new.status, new.last_heartbeat), (Presence::Online, at(101)));
    // A decision for the earlier process is written before the takeover or not at all.
    let was_offline = new.epoch == runner.epoch + 2;
    assert!(was_offline || new.epoch == runner.epoch + 1, "{} after {}", new.epoch, runner.epoch);
    let lost = stored.status == JobStatus::Failed;
    assert!(was_offline || !lost, "only an Offline runner loses its job");
    assert_eq!((new.slots.is_empty(), lost || stored == job), (lost, true));
    world.check_consistency().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn job_is_finished_or_lost_with_its_runner_never_both() {
    let (world, runner, job) = running_on_runner(1, JobStatus::Syncing).await;
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move {
            match number % 2 {
                0 => finish(&world, &job, number).await,
                _ => sweep(&world, &runner, LossPolicy::GiveUp).await,
            }
        }
    })
    .await;
    let came = tally(&came);
    world.check_consistency().await;
    let (stored, gone) = (world.job(&job).await, world.runner(&runner).await);
    assert_eq!((gone.status, gone.epoch, gone.slots.len()), (Presence::Offline, runner.epoch + 1, 0));
    let finished = count_outcome(&came, "finished");
    assert!(finished <= 1 && count_outcome(&came, "took away") <= 1 - finished, "{came:?}");
    assert_eq!(stored.rev, job.rev + 1);
    let link = world.store.load_pull_request(&sample::pull_request(&job, 7).id).await.unwrap();
    assert_eq!(link.is_some(), finished == 1);
    match stored.ended_by.and_then(|by| by.finish) {
        Some(_) => assert_eq!((stored.status, finished), (JobStatus::Completed, 1)),
        None => assert_eq!((stored.status, finished), (JobStatus::Failed, 0)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pushed_result_ends_the_job_or_is_stored_as_late() {
    let (world, runner, job) = running_on_runner(1, JobStatus::Syncing).await;
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move {
            match number % 2 {
                0 => finish_or_store_late_result(&world, &job, number).await,
                _ => sweep(&world, &runner, LossPolicy::Requeue).await,
            }
        }
    })
    .await;
    let finished = count_outcome(&tally(&came), "finished");
    world.check_consistency().await;
    let stored = world.job(&job).await;
    let attempt = world.store.load_attempt(&job.id, 1).await.unwrap().expect("the attempt is stored");
    let link = world.store.load_pull_request(&sample::pull_request(&job, 7).id).await.unwrap();
    assert_eq!(link.map(|link| link.rev), Some(1), "the pull request is linked once");
    let late = world.item(&format!("JOB#{}", job.id), "ATTEMPT#0001").await.contains_key("late_result");
    match stored.status {
        JobStatus::Completed => {
            assert_eq!((finished, stored.requeues, attempt.ended), (1, 0, AttemptEnd::Completed {}))
        }
        status => {
            assert_eq!((status, finished, stored.requeues, late), (JobStatus::Ready, 0, 1, true));
            assert!(matches!(attempt.ended, AttemptEnd::Requeued { .. }), "{attempt:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn entry_during_a_job_end_is_never_lost() {
    let (world, _, job) = running_on_runner(1, JobStatus::Executing).await;
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            match number % 2 {
                0 => finish_as(&world, &job, number, failed_end()).await,
                _ => enter_trigger_status(&world, "evt-2").await,
            }
        }
    })
    .await;
    assert_eq!(count_outcome(&tally(&came), "finished"), 1);
    let (ticket, jobs) = (world.ticket("APP-1").await, world.check_consistency().await);
    let entered = sample::job_id("evt-2");
    match ticket.active_job {
        Some(next) => assert_eq!((next, ticket.again, jobs), (entered, None, 2)),
        None => assert_eq!((ticket.again.map(|entry| entry.event), jobs), (Some(sample::event_id("evt-2")), 1)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_charges_and_returns_add_up() {
    let world = world().await;
    let half = u32::try_from(RACERS / 2).unwrap();
    let budget =
        Budget { jobs_per_day: Some(half + 8), usd_micros_per_day: Some(1_000_000_000), usd_micros_per_job: 1_000_000 };
    let made = |name: String| Job { reserved: budget.reserve(at(0)), ..sample::job(&name) };
    let mut begun = Vec::new();
    for number in 0..RACERS / 2 {
        let job = made(format!("before-{number}"));
        let charge = budget.charge(&job);
        let trigger = JobCreation { charge: charge.as_ref(), ..job_trigger(&job) };
        world.expect_applied(world.store.create_job(&trigger)).await;
        begun.push(world.job(&job).await);
    }
    let came = race(&world, |world, number| {
        let (before, job) = (begun[number / 2].clone(), made(format!("racer-{number}")));
        let charge = budget.charge(&job);
        async move {
            if number % 2 == 0 {
                // Without a working agent, the day gets the job and its dollars back.
                let ended = before.fail(sample::failure(), at(90)).expect("the job is Ready");
                let ending = world.prepare_end_of(&before, ended, at(90)).await;
                assert_eq!(world.store.end_job(&ending.request()).await?, Write::Applied);
                return Ok("ended");
            }
            let trigger = JobCreation { charge: charge.as_ref(), ..job_trigger(&job) };
            Ok(if world.store.create_job(&trigger).await? == Write::Applied { "made" } else { "no room" })
        }
    })
    .await;
    let came = tally(&came);
    assert_eq!(count_outcome(&came, "ended"), RACERS / 2);
    assert!(count_outcome(&came, "made") >= 8, "the budget had room for 8 more jobs: {came:?}");
    world.check_consistency().await;
    let today = world.store.load_budget(&sample::project(), Day::containing(at(0))).await.unwrap().unwrap();
    assert_eq!(today.jobs as usize, count_outcome(&came, "made"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ticket_moved_during_a_job_end_keeps_its_status() {
    let (world, _, job) = running_on_runner(1, JobStatus::Syncing).await;
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            if number % 2 == 0 {
                return finish(&world, &job, number).await;
            }
            // The racers' numbers do not follow the order of their times.
            let when = (number * 37 % RACERS) as u64;
            let moved = sample::event("APP-1", &format!("evt-{when}"), at(1 + when), &format!("status {when}"));
            world.store.update_snapshot(&moved).await.map(|_| "moved")
        }
    })
    .await;
    assert_eq!((count_outcome(&tally(&came), "finished"), world.job(&job).await.status), (1, JobStatus::Completed));
    let (ticket, newest) = (world.ticket("APP-1").await, RACERS - 1);
    assert_eq!((ticket.status.clone(), ticket.seen_at), (format!("status {newest}"), at(RACERS as u64)));
    assert_eq!(ticket.seen_event, Some(sample::event_id(&format!("evt-{newest}"))));
    let last = LastJob { id: job.id.clone(), outcome: LastOutcome::Completed };
    assert_eq!((ticket.active_job.as_ref(), ticket.last_job.as_ref()), (None, Some(&last)));
    world.check_consistency().await;
    // The next write-back does not move the ticket.
    assert_eq!(settle(&world).await.unwrap(), "nothing");
    let settled = world.ticket("APP-1").await;
    assert_eq!((settled.is_unsynced(), settled.status), (false, ticket.status));
}
