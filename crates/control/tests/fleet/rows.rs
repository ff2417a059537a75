//! Claims that begin with rows which another claim of their process read: that there is nothing is never said because
//! of them, and what one claim leaves there is the next one's.

use crate::world::{World, applied};
use futures::future::join_all;
use pullyard_control::runner::{Answer, claim};
use pullyard_control::{Clock, Error, pause_job};
use pullyard_domain::breaker::{Account, Breaker, BreakerId, By, Cause, Trouble};
use pullyard_domain::id::{ClaimId, JobId};
use pullyard_domain::job::Job;
use pullyard_domain::runner::Runner;
use pullyard_domain::time::Timestamp;
use pullyard_testkit::{Fault, Wire};
use std::collections::BTreeSet;
use std::time::Duration;

const KEPT_FOR: Duration = Duration::from_secs(5);

/// A world in which rows are as old as a test says: its time stands.
async fn still(wire: &Wire) -> World {
    let start = Timestamp::from_millis(1_900_000_000_000);
    World::with(wire.clone(), Clock::standing(start, |_| Box::pin(tokio::task::yield_now()))).await
}

/// What a claim of this id gets.
async fn take(world: &World, runner: &Runner, id: &str) -> Result<Option<JobId>, Error> {
    let id = ClaimId::new(id).unwrap();
    match claim(&world.ctx, &world.token, &runner.id, &runner.instance, &id).await? {
        Answer::Job(claimed) => Ok(Some(claimed.job.id)),
        Answer::Nothing | Answer::Spent => Ok(None),
    }
}

/// The same, and how many queries it made: of projects, of their classes and of the rows of a class.
async fn queried(wire: &Wire, world: &World, runner: &Runner, id: &str) -> (Option<JobId>, usize) {
    wire.restart(None);
    let taken = take(world, runner, id).await.unwrap();
    (taken, wire.calls("Query"))
}

/// The jobs that are not taken, in the order in which claims try them: they were made in one moment.
fn left(jobs: &[Job], taken: Option<&JobId>) -> Vec<JobId> {
    let mut left: Vec<_> = jobs.iter().map(|job| job.id.clone()).filter(|id| Some(id) != taken).collect();
    left.sort();
    assert_eq!(left.len() + 1, jobs.len(), "none was taken: {taken:?}");
    left
}

#[tokio::test]
async fn a_claim_begins_with_the_rows_that_were_read_less_than_five_seconds_ago() {
    let wire = Wire::default();
    let world = still(&wire).await;
    let runner = world.runners(1, 1, 4).await.remove(0);
    world.jobs("kept", 4, 1).await;
    let (first, read) = queried(&wire, &world, &runner, "k1").await;
    let (second, at_once) = queried(&wire, &world, &runner, "k2").await;
    world.ctx.clock.advance(KEPT_FOR - Duration::from_millis(1));
    let (third, in_time) = queried(&wire, &world, &runner, "k3").await;
    world.ctx.clock.advance(Duration::from_millis(1));
    let (fourth, late) = queried(&wire, &world, &runner, "k4").await;
    assert_eq!([at_once, in_time, late], [read - 1, read - 1, read]);
    let once: BTreeSet<_> = [first, second, third, fourth].into_iter().flatten().collect();
    assert_eq!(once.len(), 4, "each claim got a job of its own");
}

#[tokio::test]
async fn sixty_four_claims_at_once_and_those_after_them_take_each_job_once() {
    const AT_ONCE: usize = 64;
    let wire = Wire::default();
    let world = &still(&wire).await;
    let runners = world.runners(AT_ONCE, 1, 3).await;
    let jobs = world.jobs("each", 2 * AT_ONCE, 1).await;
    wire.restart(None);
    let mut taken = Vec::new();
    for round in ["k1", "k2"] {
        let all = join_all(runners.iter().map(|runner| take(world, runner, round))).await;
        taken.extend(all.into_iter().map(|taken| taken.unwrap().unwrap()));
    }
    let once: BTreeSet<_> = taken.iter().collect();
    assert_eq!((once.len(), taken.len()), (jobs.len(), jobs.len()));
    assert_eq!(wire.calls("TransactWriteItems"), jobs.len(), "nobody tried what another one had");
    for job in &jobs {
        assert!(world.stored(&job.id).await.run.is_some(), "{} was given out", job.id);
    }
    for runner in &runners {
        assert_eq!(take(world, runner, "k3").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_claim_whose_kept_rows_another_process_took_reads_them_anew_before_it_answers() {
    for comes in [false, true] {
        let wire = Wire::default();
        let world = still(&wire).await;
        let runners = world.runners(3, 1, 2).await;
        let [runner, others @ ..] = &runners[..] else { panic!("three runners") };
        let jobs = world.jobs("kept", 3, 1).await;
        let (first, read) = queried(&wire, &world, runner, "k1").await;
        for (job, other) in left(&jobs, first.as_ref()).iter().zip(others) {
            world.claimed(job, Some(other)).await;
        }
        let new = if comes { Some(world.jobs("new", 1, 1).await.remove(0).id) } else { None };
        assert_eq!(queried(&wire, &world, runner, "k2").await, (new, read), "it read the rows once");
    }
}

#[tokio::test]
async fn a_class_from_which_another_process_takes_is_read_by_each_claim_for_five_seconds() {
    let wire = Wire::default();
    let world = still(&wire).await;
    let runners = world.runners(2, 1, 12).await;
    let [runner, other] = &runners[..] else { panic!("two runners") };
    let jobs = world.jobs("kept", 6, 1).await;
    let (first, read) = queried(&wire, &world, runner, "k1").await;
    let next = left(&jobs, first.as_ref()).remove(0);
    world.claimed(&next, Some(other)).await;
    for id in ["k2", "k3"] {
        let (taken, queries) = queried(&wire, &world, runner, id).await;
        assert_eq!((taken.is_some(), queries), (true, read));
    }
    world.ctx.clock.advance(KEPT_FOR);
    for (id, queries) in [("k4", read), ("k5", read - 1)] {
        assert_eq!(queried(&wire, &world, runner, id).await.1, queries);
    }
}

#[tokio::test]
async fn a_job_that_became_ready_since_is_not_hidden_by_rows_of_before() {
    let world = still(&Wire::default()).await;
    let runner = world.runners(1, 1, 4).await.remove(0);
    let made = async |what: &'static str| world.jobs(what, 1, 1).await.remove(0).id;
    let one = made("one").await;
    assert_eq!(take(&world, &runner, "k1").await.unwrap(), Some(one));
    // All that is kept is gone.
    let two = made("two").await;
    assert_eq!(take(&world, &runner, "k2").await.unwrap(), Some(two));
    // There was nothing.
    assert_eq!(take(&world, &runner, "k3").await.unwrap(), None);
    let three = made("three").await;
    assert_eq!(take(&world, &runner, "k4").await.unwrap(), Some(three));
}

#[tokio::test]
async fn a_job_that_went_back_since_the_rows_were_read_is_passed_over_for_five_seconds_at_most() {
    let world = still(&Wire::default()).await;
    let ctx = &world.ctx;
    let runners = world.runners(2, 1, 4).await;
    let [runner, other] = &runners[..] else { panic!("two runners") };
    let old = world.jobs("old", 1, 1).await.remove(0).id;
    world.claimed(&old, Some(other)).await;
    ctx.clock.advance(Duration::from_secs(1));
    world.jobs("new", 3, 1).await;
    let first = take(&world, runner, "k1").await.unwrap();
    let back = world.stored(&old).await.requeued(ctx.clock.now()).unwrap();
    applied(ctx.store.update_job(&back).await);
    let second = take(&world, runner, "k2").await.unwrap();
    for taken in [first, second] {
        assert!(taken.is_some_and(|taken| taken != old), "the rows do not have it");
    }
    ctx.clock.advance(KEPT_FOR);
    assert_eq!(take(&world, runner, "k3").await.unwrap(), Some(old), "the oldest is first again");
}

#[tokio::test]
async fn what_one_runner_may_not_take_is_left_to_the_next_and_judged_as_of_the_claim() {
    let world = still(&Wire::default()).await;
    let ctx = &world.ctx;
    let runners = world.runners(2, 1, 3).await;
    let [able, barred] = &runners[..] else { panic!("two runners") };
    world.jobs("each", 3, 1).await;
    let first = take(&world, able, "k1").await.unwrap();
    // Its account is left alone since after the rows were read.
    let id = BreakerId { account: Account::Runner(barred.id.clone()), capability: "command".into() };
    let limit = Trouble { cause: Cause::LimitReached, ends: None };
    let by = By { job: JobId::of_request(&world.project, "other", "1"), attempt: 1 };
    applied(ctx.store.put_breaker(&Breaker::opened(None, &id, &limit, &by, ctx.clock.now()).unwrap(), None).await);
    assert_eq!(take(&world, barred, "k1").await.unwrap(), None);
    let second = take(&world, able, "k2").await.unwrap();
    let shut = ctx.store.breaker(&id).await.unwrap().unwrap();
    applied(ctx.store.close_breaker(&shut).await);
    let third = take(&world, barred, "k2").await.unwrap();
    let once: BTreeSet<_> = [first, second, third].into_iter().flatten().collect();
    assert_eq!(once.len(), 3, "none was lost by who could not take it");
}

#[tokio::test]
async fn a_job_that_was_paused_since_its_row_was_read_is_given_to_nobody() {
    let world = still(&Wire::default()).await;
    let runner = world.runners(1, 1, 4).await.remove(0);
    let jobs = world.jobs("each", 3, 1).await;
    let first = take(&world, &runner, "k1").await.unwrap();
    let left = left(&jobs, first.as_ref());
    let [next, last] = &left[..] else { panic!("two are left") };
    pause_job(&world.ctx, next, "ana").await.unwrap();
    assert_eq!(take(&world, &runner, "k2").await.unwrap().as_ref(), Some(last));
    assert_eq!(take(&world, &runner, "k3").await.unwrap(), None);
}

#[tokio::test]
async fn a_row_whose_claim_failed_or_was_cut_off_is_the_next_ones_at_once() {
    let wire = Wire::default();
    let world = still(&wire).await;
    let runner = world.runners(1, 1, 4).await.remove(0);
    let jobs = world.jobs("each", 2, 1).await;
    let (first, read) = queried(&wire, &world, &runner, "k1").await;
    let next = left(&jobs, first.as_ref()).remove(0);
    wire.next("TransactWriteItems", Fault::StopBefore);
    let cut = wire.live(take(&world, &runner, "k2")).await;
    assert!(cut.is_none(), "{cut:?}");
    wire.next("TransactWriteItems", Fault::error(400, "AccessDenied"));
    let failed = take(&world, &runner, "k3").await;
    assert!(failed.is_err(), "{failed:?}");
    assert_eq!(queried(&wire, &world, &runner, "k4").await, (Some(next), read - 1));
}
