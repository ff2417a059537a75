//! Tests the writes of a job: dispatch, claim, progress, requeue, end and late result.

use crate::sample::{self, at};
use crate::world::{Ending, World, count, failed, fence, requeue_of};
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{ClaimId, InstanceId};
use pullyard_domain::job::{DispatchFault, End, Job, JobStatus};
use pullyard_domain::pull_request::PullRequest;
use pullyard_domain::runner::{Drain, Presence, Runner, Slot};
use pullyard_domain::text::Span;
use pullyard_domain::ticket::{Badge, LastOutcome};
use pullyard_store::{Proof, WorkKey};
use std::collections::BTreeSet;

/// Changes the job, so that every write over an earlier read is stale.
async fn touch(world: &World, job: &Job) {
    let mut touched = world.job(job).await;
    touched.tries += 1;
    world.applies(world.store.update_job(&touched)).await;
}

/// Changes the ticket, so that every write over an earlier read is stale.
async fn touch_ticket(world: &World, key: &str) {
    let event = sample::event(key, "touch", at(5_000), "AI Processing");
    world.store.snapshot(&event).await.unwrap();
}

#[tokio::test]
async fn dispatch_raises_rev_and_start_number() {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    world.applies(world.store.update_job(&job.begin_dispatch(at(1)).unwrap())).await;
    let started = world.job(&job).await;
    assert_eq!((started.rev, started.dispatch.number, started.dispatch.starting), (2, 1, true));
    assert_eq!(started.rev, job.rev + 1);
}

#[tokio::test]
async fn dispatch_over_a_stale_rev_is_refused() {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    let again = job.begin_dispatch(at(2)).unwrap();
    world.applies(world.store.update_job(&job.begin_dispatch(at(1)).unwrap())).await;
    world.refuses(world.store.update_job(&again)).await;
}

#[tokio::test]
async fn dispatch_of_a_missing_job_is_refused() {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    world.lose("JOB#", "JOB").await;
    world.refuses(world.store.update_job(&job.begin_dispatch(at(1)).unwrap())).await;
}

#[tokio::test]
async fn job_passes_its_phases_to_syncing() {
    let world = World::new().await;
    let job = world.running("APP-1", JobStatus::Syncing).await;
    assert_eq!((job.status, job.worked, job.push_until), (JobStatus::Syncing, true, Some(at(240))));
    assert_eq!(job.rev, 5);
}

#[tokio::test]
async fn progress_over_a_stale_rev_is_refused() {
    let world = World::new().await;
    let job = world.running("APP-1", JobStatus::Claimed).await;
    let next = job.advance(&fence(&job), JobStatus::Preparing, at(120)).unwrap();
    let task = job.run.as_ref().and_then(|run| run.task.clone()).unwrap();
    let died = job.record_container_stop(&task, sample::failure(), at(100)).unwrap();
    world.applies(world.store.update_job(&died)).await;
    world.refuses(world.store.update_job(&next)).await;
}

#[tokio::test]
async fn task_claims_its_job() {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    let claimed = world.claimed(&job, &sample::claim_by_task(&job, "c1")).await;
    assert_eq!((claimed.status, claimed.attempt, claimed.rev), (JobStatus::Claimed, 1, 2));
    assert_eq!(world.items().await.len(), 2, "job and ticket are stored");
}

#[tokio::test]
async fn claim_over_a_stale_rev_is_refused() {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    let claimed = job.claim(&sample::claim_by_task(&job, "c1"), at(60)).unwrap();
    touch(&world, &job).await;
    world.refuses(world.store.claim(&claimed)).await;
}

#[tokio::test]
async fn second_claim_is_refused() {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    world.claimed(&job, &sample::claim_by_task(&job, "c1")).await;
    let second = job.claim(&sample::claim_by_task(&job, "c2"), at(61)).unwrap();
    world.refuses(world.store.claim(&second)).await;
}

#[tokio::test]
async fn claim_of_a_missing_job_is_refused() {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    world.lose("JOB#", "JOB").await;
    let claimed = job.claim(&sample::claim_by_task(&job, "c1"), at(60)).unwrap();
    world.refuses(world.store.claim(&claimed)).await;
}

#[tokio::test]
async fn runner_claim_fills_a_slot() {
    let world = World::new().await;
    let runner = world.registered(&sample::runner("kite", 2)).await;
    let job = world.running_on(&runner, "APP-1", JobStatus::Claimed).await;
    let slot = slot("claim-APP-1");
    assert_eq!(world.runner(&runner).await.slots, [(job.id.clone(), slot)].into());
    assert_eq!(job.run.and_then(|run| run.runner), Some(runner.id));
}

/// Asserts that a runner with this change cannot claim a Ready job. Without the change the same claim would succeed.
async fn check_no_slot(adjust: impl FnOnce(&mut Runner, &Job)) {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    let good = sample::runner("kite", 2);
    let mut stored = good.clone();
    adjust(&mut stored, &job);
    world.registered(&stored).await;
    let claimed = job.claim(&sample::claim_by(&good, &job, "c1"), at(60)).unwrap();
    world.refuses(world.store.claim(&claimed)).await;
}

fn slot(claim: &str) -> Slot {
    Slot { attempt: 1, claim: ClaimId::new(claim).unwrap(), project: sample::project(), since: sample::at(60) }
}

#[tokio::test]
async fn replaced_process_cannot_claim() {
    check_no_slot(|runner, _| runner.instance = InstanceId::new("process-2").unwrap()).await;
}

#[tokio::test]
async fn draining_runner_cannot_claim() {
    check_no_slot(|runner, _| runner.draining = true).await;
}

#[tokio::test]
async fn runner_with_a_drain_request_cannot_claim() {
    let drain = Drain { by: "ana".into(), at: sample::at(1), acknowledged: None };
    check_no_slot(|runner, _| runner.drain = Some(drain)).await;
}

#[tokio::test]
async fn offline_runner_cannot_claim() {
    check_no_slot(|runner, _| runner.status = Presence::Offline).await;
}

/// The retry of a claim races with the first try, which got a job.
#[tokio::test]
async fn used_claim_id_gets_no_second_job() {
    check_no_slot(|runner, _| runner.claims = ["c1", "c2"].map(|claim| ClaimId::new(claim).unwrap()).to_vec()).await;
}

#[tokio::test]
async fn deleting_runner_cannot_claim() {
    check_no_slot(|runner, _| runner.status = Presence::Deleting).await;
}

#[tokio::test]
async fn runner_cannot_claim_a_job_it_holds() {
    check_no_slot(|runner, job| runner.slots = [(job.id.clone(), slot("older"))].into()).await;
}

#[tokio::test]
async fn full_runner_cannot_claim() {
    check_no_slot(|runner, _| {
        runner.slots = ["a", "b"].map(|name| (sample::job_id(name), slot(name))).into();
    })
    .await;
}

#[tokio::test]
async fn runner_with_one_free_slot_claims() {
    let world = World::new().await;
    let mut runner = sample::runner("kite", 2);
    runner.slots = [(sample::job_id("a"), slot("a"))].into();
    let runner = world.registered(&runner).await;
    world.running_on(&runner, "APP-1", JobStatus::Claimed).await;
    assert_eq!(world.runner(&runner).await.slots.len(), 2);
}

#[tokio::test]
async fn unregistered_runner_cannot_claim() {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    let claim = sample::claim_by(&sample::runner("kite", 2), &job, "c1");
    world.refuses(world.store.claim(&job.claim(&claim, at(60)).unwrap())).await;
}

#[tokio::test]
async fn runner_claim_over_a_stale_rev_takes_no_slot() {
    let world = World::new().await;
    let runner = world.registered(&sample::runner("kite", 2)).await;
    let job = world.triggered("APP-1").await;
    let claimed = job.claim(&sample::claim_by(&runner, &job, "c1"), at(60)).unwrap();
    touch(&world, &job).await;
    world.refuses(world.store.claim(&claimed)).await;
}

#[tokio::test]
async fn requeue_keeps_the_attempt_and_frees_the_slot() {
    let world = World::new().await;
    let runner = world.registered(&sample::runner("kite", 2)).await;
    let job = world.running_on(&runner, "APP-1", JobStatus::Preparing).await;
    let back = world.requeued(&job).await;
    assert_eq!((back.status, back.attempt, back.run.clone()), (JobStatus::Ready, 1, None));
    let attempt = world.store.attempt(&job.id, 1).await.unwrap().expect("the attempt is stored");
    assert_eq!(Some(attempt.run), job.run);
    assert!(world.runner(&runner).await.slots.is_empty());
    assert_eq!(world.ticket("APP-1").await.active_job, Some(job.id.clone()), "the job has not ended");

    let again = world.claimed(&back, &sample::claim_by(&runner, &back, "c2")).await;
    assert_eq!(again.attempt, 2);
    assert_eq!(world.runner(&runner).await.slots[&job.id].attempt, 2);
}

/// Asserts that a requeue is refused after `spoil` changed one of its items.
async fn check_requeue_refused(spoil: impl AsyncFnOnce(&World, &Job)) {
    let world = World::new().await;
    let runner = world.registered(&sample::runner("kite", 2)).await;
    let before = world.running_on(&runner, "APP-1", JobStatus::Claimed).await;
    spoil(&world, &before).await;
    let (job, attempt) = requeue_of(&before);
    world.refuses(world.store.requeue(&before, &job, &attempt, Proof::Nothing)).await;
}

#[tokio::test]
async fn requeue_over_a_stale_rev_is_refused() {
    check_requeue_refused(async |world, job| touch(world, job).await).await;
}

#[tokio::test]
async fn second_requeue_is_refused() {
    check_requeue_refused(async |world, job| {
        world.requeued(job).await;
    })
    .await;
}

#[tokio::test]
async fn requeue_over_a_recorded_attempt_is_refused() {
    check_requeue_refused(async |world, job| world.put_attempt_of(job).await).await;
}

#[tokio::test]
async fn requeue_from_a_missing_runner_is_refused() {
    check_requeue_refused(async |world, _| world.lose("RUNNERS#", "rnr_").await).await;
}

#[tokio::test]
async fn requeue_of_a_missing_job_is_refused() {
    check_requeue_refused(async |world, _| world.lose("JOB#", "JOB").await).await;
}

impl World {
    /// Stores the running attempt although its job has not changed.
    pub(crate) async fn put_attempt_of(&self, job: &Job) {
        let other = self.running("APP-2", JobStatus::Claimed).await;
        let (back, _) = requeue_of(&other);
        let (_, attempt) = requeue_of(job);
        self.applies(self.store.requeue(&other, &back, &attempt, Proof::Nothing)).await;
    }
}

/// A job on a runner that has pushed, and everything that its end writes.
async fn about_to_end(world: &World) -> (Runner, Ending) {
    let runner = world.registered(&sample::runner("kite", 2)).await;
    let job = world.running_on(&runner, "APP-1", JobStatus::Syncing).await;
    let ending = world.completing(&job).await;
    (runner, ending)
}

#[tokio::test]
async fn end_frees_ticket_and_slot_and_stores_attempt_and_link() {
    let world = World::new().await;
    let (runner, ending) = about_to_end(&world).await;
    world.applies(world.store.end(&ending.ended())).await;

    let job = world.job(&ending.job).await;
    assert_eq!((job.status, job.rev), (JobStatus::Completed, ending.before.rev + 1));
    let ticket = world.ticket("APP-1").await;
    assert_eq!(ticket.active_job, None);
    assert_eq!(ticket.last_job.map(|last| last.outcome), Some(LastOutcome::Completed));
    assert!(world.runner(&runner).await.slots.is_empty());
    assert_eq!(world.store.attempt(&job.id, 1).await.unwrap(), ending.attempt);
    let mut link = ending.pull_request.unwrap();
    link.rev = 1;
    assert_eq!(world.store.pull_request(&link.id).await.unwrap(), Some(link));
    // JOB, ATTEMPT, TICKET, PR; the runner's RUNNER, PROFILE, NAME.
    assert_eq!(world.items().await.len(), 7);
}

#[tokio::test]
async fn failed_job_leaves_no_pull_request() {
    let world = World::new().await;
    let job = world.running("APP-1", JobStatus::Executing).await;
    let ending = world.ending(&job, failed(), at(200)).await;
    world.applies(world.store.end(&ending.ended())).await;
    let last = world.ticket("APP-1").await.last_job.unwrap();
    assert_eq!((last.id, last.outcome), (job.id, LastOutcome::Failed));
    assert_eq!(world.items().await.len(), 3, "job, attempt and ticket are stored");
}

#[tokio::test]
async fn unclaimed_job_ends_without_an_attempt() {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    let failure = Failure::NeverClaimed { limit: Span(86_400), why: "no capacity".into() };
    let ending = world.ending(&job, crate::world::failed_by(failure), at(90_000)).await;
    world.applies(world.store.end(&ending.ended())).await;
    assert_eq!(world.store.attempt(&job.id, 0).await.unwrap(), None);
    assert_eq!(world.items().await.len(), 2, "job and ticket are stored");
}

#[tokio::test]
async fn second_job_renews_the_pull_request_link() {
    let world = World::new().await;
    for round in 1..=2 {
        let job = match round {
            1 => world.running("APP-1", JobStatus::Syncing).await,
            _ => world.rerun("APP-1").await,
        };
        let ending = world.completing(&job).await;
        world.applies(world.store.end(&ending.ended())).await;
        let id = ending.pull_request.unwrap().id;
        let link = world.store.pull_request(&id).await.unwrap().expect("the link is stored");
        assert_eq!((link.rev, link.job), (round, Some(job.id)));
    }
}

impl World {
    /// Runs a second job of the ticket until its push.
    async fn rerun(&self, ticket: &str) -> Job {
        let (job, ticket) = sample::planned(&self.ticket(ticket).await, "again");
        self.applies(self.store.trigger(&crate::world::of_ticket(&job, &ticket))).await;
        let job = self.job(&job).await;
        let job = self.claimed(&job, &sample::claim_by_task(&job, "c1")).await;
        self.progressed(&job, JobStatus::Syncing).await
    }
}

/// Asserts that an end is refused after `spoil` changed one of its items.
async fn check_end_refused(spoil: impl AsyncFnOnce(&World, &Ending)) {
    let world = World::new().await;
    let (_, ending) = about_to_end(&world).await;
    spoil(&world, &ending).await;
    world.refuses(world.store.end(&ending.ended())).await;
}

#[tokio::test]
async fn end_over_a_stale_rev_is_refused() {
    check_end_refused(async |world, ending| touch(world, &ending.before).await).await;
}

#[tokio::test]
async fn second_end_is_refused() {
    check_end_refused(async |world, ending| {
        let earlier = world.ending(&ending.before, End::Cancelled, at(170)).await;
        world.applies(world.store.end(&earlier.ended())).await;
    })
    .await;
}

#[tokio::test]
async fn end_after_a_requeue_is_refused() {
    check_end_refused(async |world, ending| {
        world.requeued(&ending.before).await;
    })
    .await;
}

#[tokio::test]
async fn end_over_a_stale_ticket_is_refused() {
    check_end_refused(async |world, _| touch_ticket(world, "APP-1").await).await;
}

#[tokio::test]
async fn end_with_a_missing_ticket_is_refused() {
    check_end_refused(async |world, _| world.lose("TICKET#", "TICKET").await).await;
}

#[tokio::test]
async fn end_over_a_recorded_attempt_is_refused() {
    check_end_refused(async |world, ending| world.put_attempt_of(&ending.before).await).await;
}

#[tokio::test]
async fn end_over_a_new_pull_request_link_is_refused() {
    check_end_refused(async |world, ending| {
        let link = ending.pull_request.as_ref().unwrap();
        world.applies(world.store.link_if_unlinked(link)).await;
    })
    .await;
}

#[tokio::test]
async fn end_over_a_stale_link_is_refused() {
    let world = World::new().await;
    let job = world.running("APP-1", JobStatus::Syncing).await;
    world.applies(world.store.link_if_unlinked(&sample::pull_request(&job, 7))).await;
    let first = world.completing(&job).await;
    world.applies(world.store.end(&first.ended())).await;
    let second = world.rerun("APP-1").await;
    let mut ending = world.completing(&second).await;
    let read = ending.pull_request.clone();
    assert_eq!(read.as_ref().map(|link| link.rev), Some(2));
    ending.pull_request = first.pull_request;
    world.refuses(world.store.end(&ending.ended())).await;
    ending.pull_request = read;
    world.applies(world.store.end(&ending.ended())).await;
}

/// An audit may have removed the slot already.
#[tokio::test]
async fn end_succeeds_without_its_slot() {
    let world = World::new().await;
    let (runner, ending) = about_to_end(&world).await;
    let mut item = world.item("RUNNERS#", "rnr_").await;
    item.insert("slots".into(), aws_sdk_dynamodb::types::AttributeValue::M(Default::default()));
    let put = world.client.put_item().table_name(&world.table).set_item(Some(item));
    put.send().await.unwrap();
    world.applies(world.store.end(&ending.ended())).await;
    assert!(world.runner(&runner).await.slots.is_empty());
}

#[tokio::test]
async fn end_on_a_missing_runner_is_refused() {
    check_end_refused(async |world, _| world.lose("RUNNERS#", "rnr_").await).await;
}

#[tokio::test]
async fn late_result_is_stored_on_its_attempt_only() {
    let world = World::new().await;
    let job = world.running("APP-1", JobStatus::Claimed).await;
    world.requeued(&job).await;
    let before = world.items().await;
    for _ in 0..2 {
        world.applies(world.store.note_late_result(&job.id, 1, &sample::result(7))).await;
    }
    let attempt = world.item("JOB#", "ATTEMPT#0001").await;
    let noted: pullyard_domain::job::JobResult =
        serde_dynamo::from_item(attempt["late_result"].as_m().unwrap().clone()).unwrap();
    assert_eq!(noted, sample::result(7));
    assert!(world.store.attempt(&job.id, 1).await.unwrap().is_some(), "the attempt can still be parsed");
    let mut after = world.items().await;
    after.retain(|(_, sk), _| !sk.starts_with("ATTEMPT"));
    assert!(after.iter().all(|(key, item)| before[key] == *item));
}

#[tokio::test]
async fn late_result_creates_no_attempt() {
    let world = World::new().await;
    let job = world.running("APP-1", JobStatus::Claimed).await;
    world.refuses(world.store.note_late_result(&job.id, 1, &sample::result(7))).await;
}

#[tokio::test]
async fn pull_request_is_linked_once() {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    let link = sample::pull_request(&job, 7);
    world.applies(world.store.link_if_unlinked(&link)).await;
    world.refuses(world.store.link_if_unlinked(&link)).await;
    let stored = world.store.pull_request(&link.id).await.unwrap().unwrap();
    assert_eq!(stored.ticket, link.ticket);
    world.refuses(world.store.link_if_unlinked(&stored)).await;
}

/// A job with a pull request that was linked late must be able to end.
#[tokio::test]
async fn job_end_renews_a_late_link() {
    let world = World::new().await;
    let job = world.running("APP-1", JobStatus::Syncing).await;
    world.applies(world.store.link_if_unlinked(&sample::pull_request(&job, 7))).await;
    let ending = world.completing(&job).await;
    world.applies(world.store.end(&ending.ended())).await;
    let id = ending.pull_request.unwrap().id;
    assert_eq!(world.store.pull_request(&id).await.unwrap().map(|link| link.rev), Some(2));
}

#[tokio::test]
async fn failed_start_is_due_at_its_next_time() {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    world.applies(world.store.update_job(&job.begin_dispatch(at(1)).unwrap())).await;
    let started = world.job(&job).await;
    let failed = started.record_start_fault(1, 1, DispatchFault::Throttled { times: 1 }, at(10)).unwrap();
    world.applies(world.store.update_job(&failed)).await;
    assert_eq!(world.all_due(at(14)).await, []);
    assert_eq!(world.all_due(at(15)).await, [WorkKey::Job(job.id)]);
}

#[tokio::test]
async fn only_items_with_a_row_are_postponed() {
    let world = World::new().await;
    let put_off = async |job: &Job| world.store.put_row_off(&WorkKey::Job(job.id.clone()), at(900)).await;
    let (_, ending) = about_to_end(&world).await;
    world.applies(put_off(&ending.job)).await;
    world.applies(world.store.end(&ending.ended())).await;
    world.refuses(put_off(&ending.job)).await;
    world.refuses(put_off(&sample::job("gone"))).await;
}

#[tokio::test]
async fn each_kind_of_item_is_postponed_alone() {
    let world = World::new().await;
    let job = world.created("one").await;
    let mut ticket = sample::ticket("APP-1");
    ticket.request_state(None, Some(Badge::AiFailed), None);
    world.applies(world.store.update_ticket(&ticket)).await;
    let link = PullRequest { note_version: 1, ..sample::pull_request(&job, 7) };
    world.applies(world.store.link_if_unlinked(&link)).await;
    let poll = sample::poll(0);
    world.applies(world.store.put_poll(&poll)).await;
    let until = at(9_000);
    let mut put_off = BTreeSet::new();
    for (key, kind) in [
        (WorkKey::Job(job.id.clone()), "JOB"),
        (WorkKey::Ticket(sample::project(), ticket.key.clone()), "TICKET"),
        (WorkKey::PullRequest(link.id.clone()), "PR"),
        (WorkKey::Poll(sample::project(), sample::integration(), 99), "POLL"),
    ] {
        world.applies(world.store.put_row_off(&key, until)).await;
        put_off.insert(kind.to_owned());
        let items = world.items().await;
        let moved = items.iter().filter(|(_, item)| count(item, "ws") == Some(until.millis()));
        let moved = moved.map(|((pk, sk), _)| crate::shape::kind(pk, sk)).collect::<BTreeSet<_>>();
        assert_eq!(moved, put_off, "{key:?}");
    }
}

impl World {
    /// Everything that is due, in all shards.
    pub(crate) async fn all_due(&self, now: pullyard_domain::time::Timestamp) -> Vec<WorkKey> {
        let mut due = Vec::new();
        for shard in 0..pullyard_domain::due::SHARDS {
            due.extend(self.due(shard, now, 1_000).await);
        }
        due
    }
}
