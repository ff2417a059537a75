//! Tests the writes of a job: claim, requeue, end, late result and postponement.

use crate::prelude::*;
use crate::sample;
use crate::world::World;
use pullyard_domain::ticket::LastOutcome;

#[tokio::test]
async fn runner_claim_fills_a_slot() {
    let world = World::new().await;
    let runner = world.register_runner(&sample::runner("kite", 2)).await;
    let job = world.running_job_on(&runner, "APP-1", JobStatus::Claimed).await;
    let slot = slot("claim-APP-1");
    assert_eq!(world.runner(&runner).await.slots, [(job.id.clone(), slot)].into());
    assert_eq!(job.run.and_then(|run| run.runner), Some(runner.id));
}

fn slot(claim: &str) -> Slot {
    Slot { attempt: 1, claim: ClaimId::new(claim).unwrap(), project: sample::project(), since: sample::at(60) }
}

#[tokio::test]
async fn runner_with_one_wrong_fact_cannot_claim() {
    let good = sample::runner("kite", 2);
    let job = World::new().await.create_ticket_job("APP-1").await;
    let claimed = job.claim(&sample::claim_by(&good, &job, "c1"), at(60)).unwrap();
    let wrong = [
        Runner { id: sample::runner("other", 2).id, ..good.clone() },
        Runner { instance: InstanceId::new("process-2").unwrap(), ..good.clone() },
        Runner { draining: true, ..good.clone() },
        Runner { drain: Some(Drain { by: "ana".into(), at: at(1), acknowledged: None }), ..good.clone() },
        Runner { status: Presence::Offline, ..good.clone() },
        Runner { status: Presence::Deleting, ..good.clone() },
        // The retry of a claim races with the first try, which got another job.
        Runner { claims: ["c1", "c2"].map(|claim| ClaimId::new(claim).unwrap()).to_vec(), ..good.clone() },
        Runner { slots: [(job.id.clone(), slot("older"))].into(), ..good.clone() },
        Runner { slots: ["a", "b"].map(|name| (sample::job_id(name), slot(name))).into(), ..good.clone() },
    ];
    for stored in wrong {
        let world = World::new().await;
        world.create_ticket_job("APP-1").await;
        world.register_runner(&stored).await;
        println!("{stored:?}");
        world.expect_refused(world.store.claim_job(&claimed)).await;
    }
}

#[tokio::test]
async fn runner_with_one_free_slot_claims() {
    let world = World::new().await;
    let mut runner = sample::runner("kite", 2);
    runner.slots = [(sample::job_id("a"), slot("a"))].into();
    let runner = world.register_runner(&runner).await;
    world.running_job_on(&runner, "APP-1", JobStatus::Claimed).await;
    assert_eq!(world.runner(&runner).await.slots.len(), 2);
}

#[tokio::test]
async fn requeue_keeps_the_attempt_and_frees_the_slot() {
    let world = World::new().await;
    let runner = world.register_runner(&sample::runner("kite", 2)).await;
    let job = world.running_job_on(&runner, "APP-1", JobStatus::Preparing).await;
    let back = world.requeue_job(&job).await;
    assert_eq!((back.status, back.attempt, back.run.clone()), (JobStatus::Ready, 1, None));
    let attempt = world.store.list_attempts(&job.id).await.unwrap().remove(0);
    assert_eq!(Some(attempt.run), job.run);
    assert!(world.runner(&runner).await.slots.is_empty());
    assert_eq!(world.ticket("APP-1").await.active_job, Some(job.id.clone()), "the job has not ended");

    let again = world.claim_job(&back, &sample::claim_by(&runner, &back, "c2")).await;
    assert_eq!(again.attempt, 2);
    assert_eq!(world.runner(&runner).await.slots[&job.id].attempt, 2);
}

async fn job_before_end(world: &World) -> (Runner, EndingJob) {
    let runner = world.register_runner(&sample::runner("kite", 2)).await;
    let job = world.running_job_on(&runner, "APP-1", JobStatus::Syncing).await;
    let ending = world.prepare_completion(&job).await;
    (runner, ending)
}

#[tokio::test]
async fn end_frees_ticket_and_slot_and_stores_attempt_and_link() {
    let world = World::new().await;
    let (runner, ending) = job_before_end(&world).await;
    world.expect_applied(world.store.write_job(&ending.request())).await;

    let job = world.job(&ending.job).await;
    assert_eq!((job.status, job.rev), (JobStatus::Completed, ending.before.rev + 1));
    let ticket = world.ticket("APP-1").await;
    assert_eq!(ticket.active_job, None);
    assert_eq!(ticket.last_job.map(|last| last.outcome), Some(LastOutcome::Completed));
    assert!(world.runner(&runner).await.slots.is_empty());
    assert_eq!(world.store.list_attempts(&job.id).await.unwrap().pop(), ending.attempt);
    let mut link = ending.pull_request.unwrap();
    link.rev = 1;
    assert_eq!(world.store.load_pull_request(&link.id).await.unwrap(), Some(link));
    // JOB, ATTEMPT, TICKET, PR, NOTICE; the runner's RUNNER, PROFILE, NAME.
    assert_eq!(world.items().await.len(), 8);
}

/// An audit may have removed the slot already.
#[tokio::test]
async fn end_succeeds_without_its_slot() {
    let world = World::new().await;
    let (runner, ending) = job_before_end(&world).await;
    world.set_attribute(("RUNNERS#", "rnr_"), "slots", AttributeValue::M(Default::default())).await;
    world.expect_applied(world.store.write_job(&ending.request())).await;
    assert!(world.runner(&runner).await.slots.is_empty());
}

#[tokio::test]
async fn late_result_is_stored_on_its_attempt_only() {
    let world = World::new().await;
    let job = world.running_job("APP-1", JobStatus::Claimed).await;
    world.requeue_job(&job).await;
    let before = world.items().await;
    for _ in 0..2 {
        world.expect_applied(world.store.update_late_result(&job.id, 1, &sample::result(7))).await;
    }
    let attempt = world.item("JOB#", "ATTEMPT#0001").await;
    let noted: pullyard_domain::job::JobResult =
        serde_dynamo::from_item(attempt["late_result"].as_m().unwrap().clone()).unwrap();
    assert_eq!(noted, sample::result(7));
    assert_eq!(world.store.list_attempts(&job.id).await.unwrap().len(), 1, "the attempt can still be parsed");
    let mut after = world.items().await;
    after.retain(|(_, sk), _| !sk.starts_with("ATTEMPT"));
    assert!(after.iter().all(|(key, item)| before[key] == *item));
}

#[tokio::test]
async fn late_result_creates_no_attempt() {
    let world = World::new().await;
    let job = world.running_job("APP-1", JobStatus::Claimed).await;
    world.expect_refused(world.store.update_late_result(&job.id, 1, &sample::result(7))).await;
}

#[tokio::test]
async fn only_items_with_a_row_are_postponed() {
    let world = World::new().await;
    let put_off = async |job: &Job| world.store.postpone_row(&WorkKey::Job(job.id.clone()), at(900)).await;
    let (_, ending) = job_before_end(&world).await;
    world.expect_applied(put_off(&ending.job)).await;
    world.expect_applied(world.store.write_job(&ending.request())).await;
    world.expect_refused(put_off(&ending.job)).await;
    world.expect_refused(put_off(&sample::job("gone"))).await;
}

#[tokio::test]
async fn each_kind_of_item_is_postponed_alone() {
    let world = World::new().await;
    let job = world.create_job("one").await;
    let mut ticket = sample::ticket("APP-1");
    ticket.request_state(None, Some(Badge::AiFailed), None);
    world.expect_applied(world.store.update_ticket(&ticket)).await;
    let link = PullRequest { note_version: 1, ..sample::pull_request(&job, 7) };
    world.expect_applied(world.store.link_if_absent(&link)).await;
    let poll = sample::poll(0);
    world.expect_applied(world.store.put_poll(&poll)).await;
    let schedule = sample::schedule(0);
    world.expect_applied(world.store.put_schedule(&schedule, None)).await;
    let notice = sample::notice(0);
    world.expect_applied(world.store.record_notice(&notice.clone().into())).await;
    let run = sample::run(0);
    world.expect_applied(world.store.create_run(&run, &sample::frozen_plan(), None)).await;
    let until = at(9_000);
    let mut put_off = BTreeSet::new();
    for (key, kind) in [
        (WorkKey::Job(job.id.clone()), "JOB"),
        (WorkKey::Ticket(sample::project(), ticket.key.clone()), "TICKET"),
        (WorkKey::PullRequest(link.id.clone()), "PR"),
        (WorkKey::Poll(sample::project(), sample::integration(), 99), "POLL"),
        (WorkKey::Schedule(schedule.id), "SCHEDULE"),
        (WorkKey::Notice(notice.id), "NOTICE"),
        (WorkKey::Run(run.id), "RUN"),
    ] {
        world.expect_applied(world.store.postpone_row(&key, until)).await;
        put_off.insert(kind.to_owned());
        let items = world.items().await;
        let moved = items.iter().filter(|(_, item)| number_attribute(item, "ws") == Some(until.millis()));
        let moved = moved.map(|((pk, sk), _)| crate::shape::kind(pk, sk)).collect::<BTreeSet<_>>();
        assert_eq!(moved, put_off, "{key:?}");
        assert!(world.all_due(until).await.contains(&key), "{key:?}");
    }
}

impl World {
    pub(crate) async fn all_due(&self, now: pullyard_domain::text::time::Timestamp) -> Vec<WorkKey> {
        let mut due = Vec::new();
        for shard in 0..pullyard_domain::run::due::SHARDS {
            due.extend(self.due_items(shard, now, 1_000).await);
        }
        due
    }
}
