//! What is read for half the price may be of a moment ago. Where no write proves what was decided of it, it is read
//! again before anybody is answered: each of these would be refused, or told that there is nothing to do.

use crate::world::{World, applied};
use pullyard_control::attempt::{Finish, GaveBack, GivesBack, finish, give_back, progress, start};
use pullyard_control::review::{Admitted, admit_job, tell_pull_request};
use pullyard_control::runner::{Answer, claim as take};
use pullyard_control::{
    Bootstrap, Dispatched, Error, artifact_stored, dispatch, reserve_artifact, settle_ticket, task_stopped,
};
use pullyard_domain::artifact::{Kind as Kept, Offer};
use pullyard_domain::breaker::{Account, Breaker, BreakerId, By, Cause, Trouble};
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{ArtifactName, ClaimId, FinishId, InstanceId, JobId, Sha256Hex, TicketKey};
use pullyard_domain::job::{Claim, ContextFault, End, Fence, Job, Rest, Status, Yielded};
use pullyard_domain::project::{Compute, Settings};
use pullyard_domain::pull_request::{Note, PullRequest, PullRequestId};
use pullyard_domain::task_stopped::{StopCause, TaskStopped};
use pullyard_domain::ticket::{Move, Target};
use pullyard_testkit::Lag;
use std::time::Duration;

/// What is read for half the price is as it was when `copied` was called last.
struct Late {
    world: World,
    lag: Lag,
}

impl Late {
    async fn begin() -> Self {
        let lag = Lag::still();
        let world = World::before(lag.client()).await;
        world.connect().await;
        Self { world, lag }
    }

    async fn copied(&self) {
        self.lag.catch_up().await.unwrap();
    }

    /// A job on Fargate that waits to be started.
    async fn job(&self) -> Job {
        self.world.job(&Settings { compute: Compute::Fargate, ..Settings::default() }).await
    }

    /// It, as it is in truth.
    async fn stored(&self, job: &JobId) -> Job {
        self.world.stored(job).await
    }

    /// Stores what became of it.
    async fn becomes(&self, next: Job) -> Job {
        applied(self.world.ctx.store.update_job(&next).await);
        self.stored(&next.id).await
    }

    /// Claimed by its first attempt, and got so far.
    async fn held(&self, job: &Job, status: Status) -> (Job, Fence) {
        let now = self.world.ctx.clock.now();
        let claim = claim(job.attempt + 1);
        let mut held = self.becomes(job.claimed(&claim, now).unwrap()).await;
        let fence = Fence { job: job.id.clone(), attempt: claim.attempt, claim: claim.claim };
        for phase in [Status::Preparing, Status::Executing] {
            if held.status != status {
                held = self.becomes(held.progressed(&fence, phase, now).unwrap()).await;
            }
        }
        assert_eq!(held.status, status);
        (held, fence)
    }
}

fn claim(attempt: u32) -> Claim {
    Claim {
        attempt,
        claim: ClaimId::new(format!("c{attempt}")).unwrap(),
        instance: InstanceId::new("i1").unwrap(),
        runner: None,
        task: Some("task-1".into()),
    }
}

#[tokio::test]
async fn a_phase_is_not_refused_to_the_attempt_that_has_just_claimed() {
    let late = Late::begin().await;
    let job = late.job().await;
    late.copied().await;
    let (_, fence) = late.held(&job, Status::Claimed).await;
    progress(&late.world.ctx, &fence, Status::Preparing, None).await.unwrap();
    assert_eq!(late.stored(&job.id).await.status, Status::Preparing);
}

#[tokio::test]
async fn a_finish_is_not_refused_to_the_attempt_that_has_just_claimed() {
    let late = Late::begin().await;
    let job = late.job().await;
    late.copied().await;
    let (_, fence) = late.held(&job, Status::Executing).await;
    let end = End::Failed(Failure::NoChanges {}, None);
    let said = Finish { id: FinishId::new("f1").unwrap(), end, spent_usd_micros: None, work: None };
    assert_eq!(finish(&late.world.ctx, &fence, &said).await.unwrap(), Status::Failed);
    assert_eq!(late.stored(&job.id).await.status, Status::Failed);
}

#[tokio::test]
async fn a_question_is_not_refused_to_the_attempt_that_has_just_claimed() {
    let late = Late::begin().await;
    let job = late.job().await;
    late.copied().await;
    let (_, fence) = late.held(&job, Status::Executing).await;
    let asks = Yielded {
        id: FinishId::new("y1").unwrap(),
        rest: Rest::Asks { question: "Which one?".into() },
        agent: None,
        session: None,
        inputs: 0,
    };
    let gave = give_back(&late.world.ctx, &fence, &GivesBack { yielded: asks, spent_usd_micros: None, work: None })
        .await
        .unwrap();
    assert_eq!(gave, GaveBack::Over(Status::AwaitingInput));
}

#[tokio::test]
async fn a_task_is_not_refused_for_the_attempt_before_its_own() {
    let late = Late::begin().await;
    let job = late.job().await;
    let (held, _) = late.held(&job, Status::Executing).await;
    late.copied().await;
    let now = late.world.ctx.clock.now();
    late.becomes(held.requeued(now).unwrap()).await;
    let bootstrap = Bootstrap { job: job.id.clone(), attempt: 2, dispatch: 0, expires: now };
    let Claim { claim, instance, task, .. } = claim(2);
    let begun = start(&late.world.ctx, &bootstrap, claim, instance, task).await.unwrap();
    assert_eq!(begun.job.attempt, 2);
}

#[tokio::test]
async fn a_job_that_has_just_become_ready_is_started() {
    let late = Late::begin().await;
    let job = late.job().await;
    let (held, _) = late.held(&job, Status::Executing).await;
    late.copied().await;
    late.becomes(held.requeued(late.world.ctx.clock.now()).unwrap()).await;
    late.world.ctx.clock.advance(Duration::from_secs(3_600));
    let done = dispatch(&late.world.ctx, &job.id).await.unwrap();
    assert_ne!(done, Dispatched::Nothing, "it waits for its second attempt");
}

#[tokio::test]
async fn a_start_that_has_led_to_a_claim_is_not_asked_for_once_more() {
    let late = Late::begin().await;
    let job = late.job().await;
    // What the copy knows: it was begun, and whether a task was asked for is not known.
    let begun = late.becomes(job.dispatched(late.world.ctx.clock.now()).unwrap()).await;
    late.copied().await;
    late.held(&begun, Status::Executing).await;
    assert_eq!(dispatch(&late.world.ctx, &job.id).await.unwrap(), Dispatched::Nothing);
}

#[tokio::test]
async fn the_death_of_a_task_that_has_just_claimed_is_noted() {
    let late = Late::begin().await;
    let job = late.job().await;
    late.copied().await;
    late.held(&job, Status::Claimed).await;
    let stopped = TaskStopped {
        arn: "task-1".into(),
        job: job.id.clone(),
        cause: StopCause::Exited { code: Some(137) },
        reason: "it ended".into(),
    };
    task_stopped(&late.world.ctx, &stopped).await.unwrap();
    assert!(late.stored(&job.id).await.run.unwrap().died.is_some(), "nobody else tells of it");
}

#[tokio::test]
async fn a_ticket_that_has_just_got_something_to_show_is_settled() {
    let late = Late::begin().await;
    let ctx = &late.world.ctx;
    let (project, key) = (late.world.project.clone(), TicketKey::new("APP-1").unwrap());
    late.world.write(&key).await;
    late.copied().await;
    let mut ticket = ctx.store.ticket(&project, &key).await.unwrap().unwrap();
    let away = Move { expected: ticket.status.clone(), to: Target::Completion };
    ticket.want(Some(away), None, None);
    applied(ctx.store.update_ticket(&ticket).await);
    assert!(settle_ticket(ctx, &project, &key).await.unwrap().written_back);
    assert_eq!(ctx.store.ticket(&project, &key).await.unwrap().unwrap().status, "In Review");
}

#[tokio::test]
async fn a_job_whose_review_is_to_be_read_now_is_not_left_to_the_sweeper() {
    let late = Late::begin().await;
    let ctx = &late.world.ctx;
    let job = late.job().await;
    let waits = late.becomes(job.with_reviews(ctx.clock.now())).await;
    let away = || ContextFault::Away { reason: "it is away".into() };
    let waits = late.becomes(waits.context_failed(away(), ctx.clock.now()).unwrap()).await;
    late.copied().await;
    // Somebody tried since, and the copy does not know when the next try is due.
    let mut due = waits.clone();
    due.waits.as_mut().unwrap().next = ctx.clock.now();
    let due = late.becomes(due).await;
    let admitted = admit_job(ctx, &due.id).await;
    assert!(!matches!(admitted, Ok(Admitted::Nothing)), "it was tried, whatever comes of it");
}

/// A pull request that has something to tell, and its forge is away.
async fn untold(late: &Late) -> PullRequest {
    let ctx = &late.world.ctx;
    let repository = late.world.repository();
    let id = PullRequestId { integration: repository.integration.clone(), repository: repository.id, number: 7 };
    let linked = PullRequest {
        url: "http://127.0.0.1:9/acme/app/pull/7".into(),
        branch: "pullyard/app-1".into(),
        head: "0".repeat(40),
        ..PullRequest::linked(id.clone(), late.world.project.clone(), None, None)
    };
    applied(ctx.store.link_if_unlinked(&linked).await);
    late.copied().await;
    let mut linked = ctx.store.pull_request(&id).await.unwrap().unwrap();
    linked.tell(Note::Decision { reason: pullyard_domain::decision::Reason::EditedReview {} });
    applied(ctx.store.update_pull_request(&linked).await);
    ctx.store.pull_request(&id).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_has_just_become_known_of_a_pull_request_is_told() {
    let late = Late::begin().await;
    let id = untold(&late).await.id;
    let ctx = &late.world.ctx;
    let told = tell_pull_request(ctx, &id).await;
    assert!(matches!(told, Err(Error::Forge(_) | Error::Cloud(_))), "its forge was asked: {told:?}");
    let later = ctx.store.pull_request(&id).await.unwrap().unwrap();
    assert!(later.tries == 1 && later.not_before.is_some(), "a forge that is away is asked less often: {later:?}");
}

#[tokio::test]
async fn what_has_just_been_told_is_not_told_once_more_over_something_newer() {
    let late = Late::begin().await;
    let linked = untold(&late).await;
    late.copied().await;
    let told = PullRequest { noted_version: linked.note_version, ..linked };
    applied(late.world.ctx.store.update_pull_request(&told).await);
    let again = tell_pull_request(&late.world.ctx, &told.id).await;
    assert!(again.is_ok(), "its forge was asked for what a copy did not know to be told: {again:?}");
}

fn offer(name: &str) -> Offer {
    Offer {
        kind: Kept::CheckOutput,
        name: ArtifactName::new(name).unwrap(),
        size_bytes: 1,
        sha256: Sha256Hex::new("0".repeat(64)).unwrap(),
    }
}

#[tokio::test]
async fn the_place_of_an_artifact_is_found_by_the_attempt_that_has_just_got_it() {
    let late = Late::begin().await;
    let job = late.job().await;
    late.copied().await;
    let (_, fence) = late.held(&job, Status::Executing).await;
    let ctx = &late.world.ctx;
    reserve_artifact(ctx, &fence, &offer("one.txt")).await.unwrap();
    late.copied().await;
    // What the copies know now is the first place alone.
    let second = reserve_artifact(ctx, &fence, &offer("two.txt")).await.unwrap();
    let seen = artifact_stored(ctx, &fence, &second.id).await;
    assert!(matches!(seen, Err(Error::Artifact(_) | Error::Cloud(_))), "its bytes were looked for: {seen:?}");
}

#[tokio::test]
async fn a_place_is_not_made_over_another_one_that_no_copy_has() {
    let late = Late::begin().await;
    let job = late.job().await;
    let (_, fence) = late.held(&job, Status::Executing).await;
    late.copied().await;
    let ctx = &late.world.ctx;
    let places = [
        reserve_artifact(ctx, &fence, &offer("one.txt")).await.unwrap().id,
        reserve_artifact(ctx, &fence, &offer("two.txt")).await.unwrap().id,
    ];
    let kept = ctx.store.artifacts(&job.id, fence.attempt).await.unwrap().unwrap();
    assert_eq!(kept.kept.into_iter().map(|artifact| artifact.id).collect::<Vec<_>>(), places);
    let again = reserve_artifact(ctx, &fence, &offer("one.txt")).await.unwrap();
    assert_eq!(again.id, places[0], "a repeat finds the place that it has");
}

#[tokio::test]
async fn a_runner_gets_one_of_the_jobs_behind_those_that_others_have_just_taken() {
    let late = Late::begin().await;
    let ctx = &late.world.ctx;
    let runners = late.world.runners(3, 1, 12).await;
    let jobs = late.world.jobs("behind", 20, 1).await;
    late.copied().await;
    let (taken, left) = jobs.split_at(18);
    for (number, job) in taken.iter().enumerate() {
        let runner = &runners[number % 2];
        let asked =
            Claim { instance: runner.instance.clone(), runner: Some(runner.id.clone()), task: None, ..claim(1) };
        let asked = Claim { claim: ClaimId::new(format!("taken-{number}")).unwrap(), ..asked };
        applied(ctx.store.claim(&job.claimed(&asked, ctx.clock.now()).unwrap()).await);
    }
    let [_, _, runner] = &runners[..] else { panic!("three runners") };
    for number in 0..left.len() {
        let id = ClaimId::new(format!("behind-{number}")).unwrap();
        let answer = take(ctx, &late.world.token, &runner.id, &runner.instance, &id).await.unwrap();
        assert!(matches!(answer, Answer::Job(_)), "two waited, and {number} were got");
    }
}

#[tokio::test]
async fn who_waits_for_an_account_with_many_jobs_is_not_looked_behind() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let [runner] = &world.runners(1, 1, 12).await[..] else { panic!("one runner") };
    let account = Account::Runner(runner.id.clone());
    let id = BreakerId { account, capability: "command".into() };
    let limit = Trouble { cause: Cause::LimitReached, ends: None };
    let calls = async |what: &str, expected| {
        world.meter.restart();
        let id = ClaimId::new(what).unwrap();
        let answer = take(ctx, &world.token, &runner.id, &runner.instance, &id).await.unwrap();
        assert_eq!(matches!(answer, Answer::Job(_)), expected, "{what}");
        world.meter.units().calls
    };
    let jobs = world.jobs("few", 2, 1).await;
    let by = By { job: jobs[0].id.clone(), attempt: 1 };
    applied(ctx.store.put_breaker(&Breaker::opened(None, &id, &limit, &by, ctx.clock.now()).unwrap(), None).await);
    let few = calls("few", false).await;
    world.jobs("many", 20, 1).await;
    assert_eq!(calls("many", false).await, few);
    let stored = ctx.store.breaker(&id).await.unwrap().unwrap();
    applied(ctx.store.close_breaker(&stored).await);
    calls("again", true).await;
}
