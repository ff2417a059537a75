//! What a claim saw a moment ago, which the next ones of its process begin with. Time stands unless a test moves it.

use crate::world::{World, applied};
use futures::future::join_all;
use pullyard_control::runner::{Answer, Command, Registration, claim, command, register};
use pullyard_domain::breaker::{Account, Breaker, BreakerId, By, Cause, Trouble};
use pullyard_domain::id::{ClaimId, InstanceId, JobId};
use pullyard_domain::job::Job;
use pullyard_domain::runner::Runner;
use pullyard_testkit::Wire;
use std::collections::BTreeSet;
use std::time::Duration;

/// The runner, a job with the accounts that it would ask, and the write.
const WITHOUT_A_LOOK: [&str; 3] = ["BatchGetItem", "BatchGetItem", "TransactWriteItems"];

struct Lately {
    world: World,
    wire: Wire,
}

impl Lately {
    async fn begin() -> Self {
        let wire = Wire::default();
        Self { world: World::standing(wire.clone()).await, wire }
    }

    /// The job that a claim gets, if it gets one.
    async fn takes(&self, runner: &Runner, id: &str) -> Option<JobId> {
        let id = ClaimId::new(id).unwrap();
        match claim(&self.world.ctx, &self.world.token, &runner.id, &runner.instance, &id).await.unwrap() {
            Answer::Job(claimed) => Some(claimed.job.id),
            Answer::Nothing => None,
            Answer::Spent => panic!("{id} was never used before"),
        }
    }

    /// The job that a runner gets that asks again where many others were quicker.
    async fn takes_at_last(&self, runner: &Runner, id: &str) -> JobId {
        for again in 0..20 {
            if let Some(job) = self.takes(runner, &format!("{id}-{again}")).await {
                return job;
            }
        }
        panic!("{id} got none of the jobs that wait");
    }

    /// The job that a claim gets, with the calls of the table that it makes.
    async fn calls(&self, runner: &Runner, id: &str) -> (Option<JobId>, Vec<String>) {
        self.wire.restart(None);
        let taken = self.takes(runner, id).await;
        let of_the_table = self.wire.points().into_iter().filter(|point| point.service.starts_with("DynamoDB_"));
        (taken, of_the_table.map(|point| point.operation).collect())
    }
}

fn ids(jobs: &[Job]) -> BTreeSet<JobId> {
    jobs.iter().map(|job| job.id.clone()).collect()
}

#[tokio::test]
async fn a_claim_right_after_another_one_does_not_look_again_and_a_second_later_it_does() {
    let lately = Lately::begin().await;
    let runner = lately.world.runners(1, 1, 4).await.remove(0);
    let jobs = lately.world.jobs("one", 3, 1).await;
    let (first, looked) = lately.calls(&runner, "first").await;
    let (second, calls) = lately.calls(&runner, "second").await;
    assert_eq!(calls, WITHOUT_A_LOOK);
    lately.world.ctx.clock.advance(Duration::from_secs(1));
    let (third, again) = lately.calls(&runner, "third").await;
    assert_eq!(again, looked, "it looks as the first one did");
    let taken: BTreeSet<_> = [first, second, third].into_iter().flatten().collect();
    assert_eq!(taken, ids(&jobs));
}

#[tokio::test]
async fn a_job_that_came_after_what_was_seen_is_taken_once_that_is_used_up() {
    let lately = Lately::begin().await;
    let runner = lately.world.runners(1, 1, 4).await.remove(0);
    for what in ["one", "two"] {
        let job = lately.world.jobs(what, 1, 1).await.remove(0);
        assert_eq!(lately.takes(&runner, what).await, Some(job.id));
    }
    assert_eq!(lately.takes(&runner, "three").await, None);
}

#[tokio::test]
async fn what_another_process_took_of_what_was_seen_costs_one_read_and_hides_nothing() {
    let lately = Lately::begin().await;
    let runners = lately.world.runners(2, 1, 4).await;
    let [runner, other] = &runners[..] else { panic!("two runners") };
    let jobs = lately.world.jobs("one", 2, 1).await;
    let (first, looked) = lately.calls(runner, "first").await;
    let second = jobs.iter().find(|job| Some(&job.id) != first.as_ref()).unwrap();
    lately.world.claimed(&second.id, Some(other)).await;
    let late = lately.world.jobs("late", 1, 1).await.remove(0);
    let (taken, calls) = lately.calls(runner, "second").await;
    assert_eq!(taken, Some(late.id));
    assert_eq!(calls.len(), looked.len() + 1, "{calls:?}");
    assert_eq!(calls.iter().filter(|call| *call == "TransactWriteItems").count(), 1, "{calls:?}");
}

#[tokio::test]
async fn what_waits_for_an_account_is_not_taken_of_what_was_seen_before_that_was_left_alone() {
    let lately = Lately::begin().await;
    let ctx = &lately.world.ctx;
    let runners = lately.world.runners(2, 1, 4).await;
    let [runner, other] = &runners[..] else { panic!("two runners") };
    lately.world.jobs("one", 3, 1).await;
    let first = lately.takes(runner, "first").await.unwrap();
    let id = BreakerId { account: Account::Runner(runner.id.clone()), capability: "command".into() };
    let limit = Trouble { cause: Cause::LimitReached, ends: None };
    let by = By { job: first, attempt: 1 };
    applied(ctx.store.put_breaker(&Breaker::opened(None, &id, &limit, &by, ctx.clock.now()).unwrap()).await);
    assert_eq!(lately.takes(runner, "second").await, None);
    assert!(lately.takes(other, "third").await.is_some(), "its account is another one");
}

#[tokio::test]
async fn a_runner_that_is_to_drain_gets_nothing_of_what_was_seen() {
    let lately = Lately::begin().await;
    let runner = lately.world.runners(1, 1, 4).await.remove(0);
    lately.world.jobs("one", 3, 1).await;
    assert!(lately.takes(&runner, "first").await.is_some());
    command(&lately.world.ctx, &runner.id, &Command::Drain { by: "ana".into() }).await.unwrap();
    let (taken, calls) = lately.calls(&runner, "second").await;
    assert_eq!((taken, calls.len()), (None, 1), "{calls:?}");
}

/// Of one class as many wait as a claim looks at, and one more; of the other one, a younger one. Whoever went on with
/// what was seen of the two classes when the first one is used up would take the younger job.
#[tokio::test]
async fn the_oldest_goes_first_where_more_wait_behind_those_of_its_class_that_were_seen() {
    let lately = Lately::begin().await;
    let (world, ctx) = (&lately.world, &lately.world.ctx);
    let mut runners = Vec::new();
    for number in 0..2 {
        let new = Registration {
            name: format!("both-{number}"),
            instance: InstanceId::new(format!("process-{number}")).unwrap(),
            capabilities: BTreeSet::from(["command".into()]),
            labels: BTreeSet::from(["kind-0".into(), "kind-1".into()]),
            version: "0.1.0".into(),
            slots: 12,
            active: BTreeSet::new(),
        };
        runners.push(register(ctx, &world.token, &new).await.unwrap());
    }
    let old = world.jobs("old", 17, 1).await;
    ctx.clock.advance(Duration::from_millis(10));
    let young = world.jobs("young", 2, 2).await;
    let mut taken = BTreeSet::new();
    for number in 0..old.len() {
        taken.extend(lately.takes(&runners[number % 2], &format!("claim-{number}")).await);
    }
    assert_eq!(taken, ids(&old));
    let last = [lately.takes(&runners[0], "last-0").await, lately.takes(&runners[1], "last-1").await];
    assert_eq!(last.into_iter().flatten().collect::<BTreeSet<_>>(), ids(&young));
}

#[tokio::test]
async fn sixty_four_claims_at_once_of_what_was_seen_get_a_job_each_and_write_for_no_other() {
    const AT_ONCE: usize = 64;
    let lately = Lately::begin().await;
    let runners = lately.world.runners(AT_ONCE, 1, 2).await;
    lately.world.jobs("each", AT_ONCE + 17, 1).await;
    let first = lately.takes(&runners[0], "first").await.unwrap();
    lately.wire.restart(None);
    let each = runners.iter().enumerate();
    let each = each.map(async |(number, runner)| lately.takes_at_last(runner, &format!("claim-{number}")).await);
    let taken: BTreeSet<_> = join_all(each).await.into_iter().chain([first]).collect();
    assert_eq!(taken.len(), AT_ONCE + 1, "a job was claimed twice");
    assert_eq!(lately.wire.calls("TransactWriteItems"), AT_ONCE, "a claim tried what another one was trying");
}
