//! Tests entries into the trigger status that race with job ends, moves and budgets.

use super::{count, on_kite};
use crate::races::rounds::{enter, finish_as, settle, tally};
use crate::races::{RACERS, race, world};
use crate::sample::{self, at};
use crate::world::{failed, of_ticket};
use pullyard_domain::budget::{Budget, Day};
use pullyard_domain::job::{Job, JobStatus};
use pullyard_store::{Snapshot, Trigger, Write};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn entry_during_a_job_end_is_never_lost() {
    let (world, _, job) = on_kite(1, JobStatus::Executing).await;
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
        None => assert_eq!((ticket.again.map(|entry| entry.event), jobs), (Some(sample::event_id("evt-2")), 1)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn entry_and_move_away_leave_one_job_or_none() {
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
    // The end of the job compares the ticket's status with this one.
    assert_eq!(ticket.found_in.as_deref(), (made == 1).then_some("AI Processing"));
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
        let trigger = Trigger { charge: charge.as_ref(), ..crate::world::alone(&job) };
        world.applies(world.store.trigger(&trigger)).await;
        begun.push(world.job(&job).await);
    }
    let came = race(&world, |world, number| {
        let (before, job) = (begun[number / 2].clone(), made(format!("racer-{number}")));
        let charge = budget.charge(&job);
        async move {
            if number % 2 == 0 {
                // Without a working agent, the day gets the job and its dollars back.
                let ended = before.fail(sample::failure(), at(90)).expect("the job is Ready");
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
    assert!(count(&came, "made") >= 8, "the budget had room for 8 more jobs: {came:?}");
    world.whole().await;
    let today = world.store.budget(&sample::project(), Day::containing(at(0))).await.unwrap().unwrap();
    assert_eq!(today.jobs as usize, count(&came, "made"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn second_entry_and_settle_create_one_job_at_a_time() {
    let (world, _, job) = on_kite(1, JobStatus::Executing).await;
    assert_eq!(enter(&world, "evt-2").await.unwrap(), "waits");
    assert_eq!(finish_as(&world, &job, 0, failed()).await.unwrap(), "finished");
    race(&world, |world, number| async move {
        match number % 2 {
            0 => settle(&world).await,
            _ => enter(&world, "evt-3").await,
        }
    })
    .await;
    assert_eq!(world.whole().await, 2, "the ended job and one more are stored");
    let ticket = world.ticket("APP-1").await;
    let active = ticket.active_job.expect("one entry has a job");
    if active == sample::job_id("evt-2") {
        assert_eq!(
            ticket.again.map(|entry| entry.event),
            Some(sample::event_id("evt-3")),
            "the second entry waits for the first job"
        );
    } else {
        assert_eq!((active, ticket.again), (sample::job_id("evt-3"), None));
    }
}
