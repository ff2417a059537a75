//! What attempts say of their models' accounts: whom it shuts one for and how long, and what is kept of the attempt.

use crate::world::{World, applied, pushed};
use pullyard_control::attempt::{Finish, GaveBack, GivesBack, finish, give_back, progress, start};
use pullyard_control::runner::{Answer, claim, heartbeat};
use pullyard_control::{Bootstrap, Count, Dispatched, Error, dispatch, pause_job};
use pullyard_domain::breaker::{Account, Breaker, BreakerId, By, Cause, Gate, KeyOf, PROBE_FOR, Trouble, asked};
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{ClaimId, ClassId, FinishId, InstanceId, JobId};
use pullyard_domain::job::{AttemptEnd, End, Fence, Job, Place, Policy, Rest, Status, Work, Yielded};
use pullyard_domain::project::{Compute, Settings};
use pullyard_domain::runner::{Heartbeat, Runner};
use pullyard_domain::select::Needs;
use pullyard_domain::text::Until;
use pullyard_domain::time::Timestamp;
use pullyard_testkit::{Fault, Wire};
use std::collections::BTreeSet;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

fn on(compute: Compute) -> Settings {
    Settings { compute, ..Settings::default() }
}

/// The next attempt of a job, come as far as this; of a runner, or of a task.
async fn works(world: &World, job: &JobId, runner: Option<&Runner>, last: Status) -> Fence {
    let fence = world.claimed(job, runner).await;
    for phase in [Status::Preparing, Status::Executing, Status::Syncing].into_iter().filter(|phase| *phase <= last) {
        progress(&world.ctx, &fence, phase, None).await.unwrap();
    }
    fence
}

fn says(id: &str, end: End) -> Finish {
    Finish { id: FinishId::new(id).unwrap(), end, spent_usd_micros: None, work: None }
}

fn limited(ends: Timestamp) -> Failure {
    Failure::AgentQuota { time: Until(Some(ends)) }
}

fn work() -> Work {
    Work {
        agent: "command".into(),
        version: None,
        model: None,
        session: Some("s1".into()),
        isolation: "none".into(),
        starts: 1,
        turns: 2,
        input_tokens: 30,
        cached_input_tokens: 0,
        output_tokens: 4,
        about_usd_micros: None,
        prices_of: None,
        prompt_sha256: None,
        base_commit: None,
        commit: None,
        checks: Vec::new(),
    }
}

#[tokio::test]
async fn an_attempt_that_met_a_limit_while_its_job_was_to_pause_leaves_what_it_took_on_record() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let job = world.job(&on(Compute::Fargate)).await;
    let fence = works(&world, &job.id, None, Status::Executing).await;
    pause_job(ctx, &job.id, "ana").await.unwrap();
    let met = limited(ctx.clock.now().plus(HOUR));
    let said = Finish { spent_usd_micros: Some(1_500), work: Some(work()), ..says("f1", End::Failed(met, None)) };
    assert_eq!(finish(ctx, &fence, &said).await.unwrap(), Status::Paused);
    assert_eq!(world.stored(&job.id).await.spent_usd_micros, 1_500);
    let attempt = ctx.store.attempt(&job.id, 1).await.unwrap().unwrap();
    assert!(matches!(attempt.ended, AttemptEnd::Requeued { failure: Failure::AgentQuota { .. } }), "{attempt:?}");
    assert_eq!((attempt.work, attempt.spent_usd_micros), (Some(work()), Some(1_500)));
}

#[tokio::test]
async fn an_account_that_nobody_shares_is_shut_for_nobody_and_waited_for_longer_each_time() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let job = world.job(&on(Compute::Fargate)).await;
    for (times, secs) in [(1, 300), (2, 600), (3, 1_200)] {
        let fence = works(&world, &job.id, None, Status::Executing).await;
        let said = says(&format!("f{times}"), End::Failed(Failure::AgentOverloaded { n: 3 }, None));
        let least = ctx.clock.now().plus(Duration::from_secs(secs));
        assert_eq!(finish(ctx, &fence, &said).await.unwrap(), Status::Ready);
        let most = ctx.clock.now().plus(Duration::from_secs(secs));
        let waits = world.stored(&job.id).await.model.unwrap();
        assert!(least <= waits.until && waits.until <= most, "{times}: {waits:?}");
        assert_eq!(waits.times, times);
    }
    assert!(ctx.store.breakers().await.unwrap().is_empty(), "no other job asks it");
}

#[tokio::test]
async fn an_account_that_is_shut_is_counted_once_however_many_attempts_meet_it() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 2).await.remove(0);
    let job = world.job(&on(Compute::Runners)).await;
    let ends = [1u32, 2].map(|hours| ctx.clock.now().plus(hours * HOUR));
    for (at, id) in ends.into_iter().zip(["f1", "f2"]) {
        let fence = works(&world, &job.id, Some(&runner), Status::Executing).await;
        let said = says(id, End::Failed(limited(at), None));
        assert_eq!(finish(ctx, &fence, &said).await.unwrap(), Status::Ready);
    }
    let shut = ctx.store.breakers().await.unwrap();
    assert_eq!(shut.iter().map(|breaker| breaker.until).collect::<Vec<_>>(), [ends[1]]);
    let counted = ctx.tally().take();
    let count = |what| counted.iter().find(|(counted, _)| *counted == what).map_or(0, |(_, count)| *count);
    assert_eq!((count(Count::ModelLeftAlone), count(Count::JobRequeued)), (1, 2));
}

/// The next attempt may be another runner's, which asks an account of its own.
#[tokio::test]
async fn an_attempt_that_lost_its_job_shuts_no_account_and_takes_the_job_from_nobody() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runners = world.runners(2, 1, 1).await;
    let job = world.job(&on(Compute::Runners)).await;
    let lost = works(&world, &job.id, Some(&runners[0]), Status::Executing).await;
    let back = world.stored(&job.id).await.requeued(ctx.clock.now()).unwrap();
    applied(ctx.store.update_job(&back).await);
    works(&world, &job.id, Some(&runners[1]), Status::Executing).await;
    let before = world.stored(&job.id).await;
    let met = limited(ctx.clock.now().plus(HOUR));
    let told = finish(ctx, &lost, &says("f1", End::Failed(met, None))).await;
    assert!(matches!(told, Err(Error::LeaseLost { .. })), "{told:?}");
    assert!(ctx.store.breakers().await.unwrap().is_empty(), "its word is of no account that is asked now");
    assert_eq!(world.stored(&job.id).await, before);
}

#[tokio::test]
async fn what_was_pushed_is_kept_though_its_agent_met_a_limit_and_says_nothing_of_the_account() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let job = world.job(&on(Compute::Runners)).await;
    let fence = works(&world, &job.id, Some(&runner), Status::Syncing).await;
    let result = pushed(&job);
    let met = limited(ctx.clock.now().plus(HOUR));
    let said = says("f1", End::Failed(met.clone(), Some(result.clone())));
    assert_eq!(finish(ctx, &fence, &said).await.unwrap(), Status::Failed);
    let ended = world.stored(&job.id).await;
    assert_eq!((ended.failure, ended.result), (Some(met), Some(result)));
    assert!(ctx.store.breakers().await.unwrap().is_empty());
}

/// Others could not see that somebody tries it, and would all try it as well.
#[tokio::test]
async fn a_job_tries_an_account_first_only_once_that_is_written_down() {
    let wire = Wire::default();
    let world = World::before(wire.clone()).await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 2).await.remove(0);
    let id = BreakerId { account: Account::Runner(runner.id.clone()), capability: "command".into() };
    let limit = Trouble { cause: Cause::LimitReached, ends: None };
    let by = By { job: JobId::of_request(&world.project, "other", "1"), attempt: 1 };
    applied(ctx.store.put_breaker(&Breaker::opened(None, &id, &limit, &by, ctx.clock.now()).unwrap(), None).await);
    let job = world.job(&on(Compute::Runners)).await;
    let needs = Needs { capability: "command".into(), labels: BTreeSet::new(), key: KeyOf::Runner };
    ctx.store.note_class(&world.project, &job.class, &needs).await.unwrap();
    // Over, and nobody has tried it; the runner is heard.
    ctx.clock.advance(Duration::from_secs(310));
    let said = Heartbeat { instance: runner.instance.clone(), active: BTreeSet::new(), draining: false, last: false };
    heartbeat(ctx, &world.token, &runner.id, &said).await.unwrap();
    // Another one was quicker to write something of it.
    wire.next("PutItem", Fault::error(400, "ConditionalCheckFailedException"));
    let asked = ClaimId::new("c1").unwrap();
    let Answer::Job(claimed) = claim(ctx, &world.token, &runner.id, &runner.instance, &asked).await.unwrap() else {
        panic!("it may be tried")
    };
    assert_eq!(claimed.job.id, job.id);
    let probe = ctx.store.breaker(&id).await.unwrap().unwrap().probe.unwrap();
    assert_eq!(probe.job, job.id);
    assert!(probe.claimed.is_some(), "its end shows whether the account answers");
}

fn lost() -> Failure {
    Failure::RunnerCrashed { exit: "signal 9".into() }
}

/// An hour after a runner had it, a job is Ready again, and only for what that one may have pushed.
async fn adopting(world: &World, runner: &Runner) -> Job {
    let job = world.job(&on(Compute::Runners)).await;
    lost_as_it_pushed(world, runner, &job.id).await
}

async fn lost_as_it_pushed(world: &World, runner: &Runner, job: &JobId) -> Job {
    works(world, job, Some(runner), Status::Syncing).await;
    world.ctx.clock.advance(HOUR);
    let back = world.stored(job).await.requeued_to_adopt(lost(), world.ctx.clock.now()).unwrap();
    applied(world.ctx.store.update_job(&back).await);
    world.stored(job).await
}

/// It gets no key, and an older runner's agent asks its model all the same.
#[tokio::test]
async fn an_attempt_that_only_adopts_shuts_no_account_and_its_job_waits_for_none() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runners = world.runners(2, 1, 1).await;
    let job = adopting(&world, &runners[0]).await;
    let fence = works(&world, &job.id, Some(&runners[1]), Status::Executing).await;
    let met = limited(ctx.clock.now().plus(HOUR));
    assert_eq!(finish(ctx, &fence, &says("f2", End::Failed(met, None))).await.unwrap(), Status::Failed);
    assert_eq!(world.stored(&job.id).await.failure, Some(lost()));
    assert!(ctx.store.breakers().await.unwrap().is_empty());
}

/// Everybody else would wait for it, and would be let go by an end that shows nothing.
#[tokio::test]
async fn an_attempt_that_only_adopts_is_not_the_first_that_tries_an_account() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runners = world.runners(2, 1, 1).await;
    let runner = &runners[1];
    let id = BreakerId { account: Account::Runner(runner.id.clone()), capability: "command".into() };
    let limit = Trouble { cause: Cause::LimitReached, ends: None };
    let by = By { job: JobId::of_request(&world.project, "other", "1"), attempt: 1 };
    applied(ctx.store.put_breaker(&Breaker::opened(None, &id, &limit, &by, ctx.clock.now()).unwrap(), None).await);
    let job = adopting(&world, &runners[0]).await;
    let needs = Needs { capability: "command".into(), labels: BTreeSet::new(), key: KeyOf::Runner };
    ctx.store.note_class(&world.project, &job.class, &needs).await.unwrap();
    let said = Heartbeat { instance: runner.instance.clone(), active: BTreeSet::new(), draining: false, last: false };
    heartbeat(ctx, &world.token, &runner.id, &said).await.unwrap();
    let asked = ClaimId::new("k1").unwrap();
    let Answer::Job(claimed) = claim(ctx, &world.token, &runner.id, &runner.instance, &asked).await.unwrap() else {
        panic!("it may be taken")
    };
    assert_eq!((&claimed.job.id, claimed.job.run.as_ref().unwrap().first), (&job.id, false));
    assert_eq!(ctx.store.breaker(&id).await.unwrap().unwrap().probe, None);
}

#[tokio::test]
async fn what_only_adopts_is_taken_though_its_account_is_left_alone_and_however_many_jobs_wait_for_that() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runners = world.runners(2, 1, 2).await;
    let runner = &runners[1];
    // More than a claim looks at first, of one class.
    let waiting = world.jobs("waits", 20, 1).await;
    let job = lost_as_it_pushed(&world, &runners[0], &waiting[19].id).await;
    let id = BreakerId { account: Account::Runner(runner.id.clone()), capability: "command".into() };
    let limit = Trouble { cause: Cause::LimitReached, ends: None };
    let by = By { job: JobId::of_request(&world.project, "other", "1"), attempt: 1 };
    applied(ctx.store.put_breaker(&Breaker::opened(None, &id, &limit, &by, ctx.clock.now()).unwrap(), None).await);
    let said = Heartbeat { instance: runner.instance.clone(), active: BTreeSet::new(), draining: false, last: false };
    heartbeat(ctx, &world.token, &runner.id, &said).await.unwrap();
    let claims = async |asked: &str| {
        let asked = ClaimId::new(asked).unwrap();
        claim(ctx, &world.token, &runner.id, &runner.instance, &asked).await.unwrap()
    };
    let Answer::Job(claimed) = claims("k1").await else { panic!("it asks no model") };
    assert_eq!((&claimed.job.id, claimed.job.run.as_ref().unwrap().first), (&job.id, false));
    assert!(matches!(claims("k2").await, Answer::Nothing), "the others wait for the account");
    assert_eq!(ctx.store.breaker(&id).await.unwrap().unwrap().probe, None);
}

#[tokio::test]
async fn what_only_adopts_is_found_though_all_rows_that_were_kept_wait_for_the_account() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runners = world.runners(2, 1, 2).await;
    let [other, runner] = &runners[..] else { panic!("two runners") };
    let id = world.jobs("waits", 3, 1).await.remove(2).id;
    works(&world, &id, Some(other), Status::Syncing).await;
    ctx.clock.advance(HOUR);
    let account = BreakerId { account: Account::Runner(runner.id.clone()), capability: "command".into() };
    let limit = Trouble { cause: Cause::LimitReached, ends: None };
    let by = By { job: JobId::of_request(&world.project, "other", "1"), attempt: 1 };
    applied(ctx.store.put_breaker(&Breaker::opened(None, &account, &limit, &by, ctx.clock.now()).unwrap(), None).await);
    for (runner, active) in [(other, BTreeSet::from([id.clone()])), (runner, BTreeSet::new())] {
        let said = Heartbeat { instance: runner.instance.clone(), active, draining: false, last: false };
        heartbeat(ctx, &world.token, &runner.id, &said).await.unwrap();
    }
    let claims = async |runner: &Runner, asked: &str| {
        let asked = ClaimId::new(asked).unwrap();
        claim(ctx, &world.token, &runner.id, &runner.instance, &asked).await.unwrap()
    };
    // What this one read serves the next claim, and was read before the job went back.
    assert!(matches!(claims(other, "k1").await, Answer::Job(_)));
    let back = world.stored(&id).await.requeued_to_adopt(lost(), ctx.clock.now()).unwrap();
    applied(ctx.store.update_job(&back).await);
    let Answer::Job(claimed) = claims(runner, "k2").await else { panic!("it asks no model") };
    assert_eq!(claimed.job.id, id);
}

/// A job of the runner tries its account first, which was left alone, and is claimed.
async fn tries(world: &World, runner: &Runner) -> (Job, BreakerId) {
    let ctx = &world.ctx;
    let job = world.job(&on(Compute::Runners)).await;
    let id = BreakerId { account: Account::Runner(runner.id.clone()), capability: "command".into() };
    let stored = async || ctx.store.breaker(&id).await.unwrap().unwrap();
    let limit = Trouble { cause: Cause::LimitReached, ends: None };
    let by = By { job: JobId::of_request(&world.project, "other", "1"), attempt: 1 };
    applied(ctx.store.put_breaker(&Breaker::opened(None, &id, &limit, &by, ctx.clock.now()).unwrap(), None).await);
    ctx.clock.advance(HOUR);
    let opened = stored().await;
    applied(ctx.store.put_breaker(&opened.tried_by(&job.id, ctx.clock.now()).unwrap(), Some(&opened)).await);
    let tried = stored().await;
    applied(ctx.store.put_breaker(&tried.claimed_by(&job.id, ctx.clock.now()).unwrap(), Some(&tried)).await);
    applied(ctx.store.update_job(&job.tries_first()).await);
    (job, id)
}

#[tokio::test]
async fn a_first_jobs_silence_counts_from_when_its_agent_begins_and_its_trouble_is_one_in_a_row() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let (job, id) = tries(&world, &runner).await;
    let stored = async || ctx.store.breaker(&id).await.unwrap().unwrap();
    let fence = works(&world, &job.id, Some(&runner), Status::Preparing).await;
    // Its setup takes long.
    ctx.clock.advance(HOUR / 2);
    assert!(!stored().await.is_over(ctx.clock.now()), "its model was not asked yet");
    for _ in 0..2 {
        progress(ctx, &fence, Status::Executing, None).await.unwrap();
    }
    let began = stored().await.probe.unwrap().working.unwrap();
    assert!(!stored().await.is_over(began.plus(PROBE_FOR - Duration::from_millis(1))));
    assert!(stored().await.is_over(began.plus(PROBE_FOR)));
    ctx.clock.advance(2 * PROBE_FOR);
    let said = says("f1", End::Failed(Failure::AgentOverloaded { n: 3 }, None));
    assert_eq!(finish(ctx, &fence, &said).await.unwrap(), Status::Ready);
    let again = stored().await;
    assert_eq!((again.times, again.probe), (2, None), "its silence proved nothing");
}

#[tokio::test]
async fn an_account_is_proven_by_a_first_job_that_did_its_work_and_not_by_one_that_was_cancelled() {
    for (end, stands) in [(End::Failed(Failure::NoChanges {}, None), false), (End::Cancelled, true)] {
        let world = World::begin().await;
        let ctx = &world.ctx;
        let runner = world.runners(1, 1, 1).await.remove(0);
        let (job, id) = tries(&world, &runner).await;
        let fence = works(&world, &job.id, Some(&runner), Status::Executing).await;
        assert!(finish(ctx, &fence, &says("f1", end)).await.unwrap().is_terminal());
        assert_eq!(ctx.store.breaker(&id).await.unwrap().is_some(), stands);
    }
}

#[tokio::test]
async fn an_account_whose_first_job_ended_before_its_model_answered_stays_shut_and_is_tried_by_the_next_one() {
    let setup = Failure::SetupFailed { command: "make".into(), exit: "exit code 2".into() };
    let unanswered = Work { agent: "codex".into(), turns: 0, ..work() };
    let ends = [
        (Status::Preparing, End::Failed(setup, None), None),
        (Status::Executing, End::Failed(Failure::NoChanges {}, None), Some(unanswered)),
        (Status::Executing, End::Cancelled, None),
    ];
    for (last, end, work) in ends {
        let world = World::begin().await;
        let ctx = &world.ctx;
        let runner = world.runners(1, 1, 1).await.remove(0);
        let (job, id) = tries(&world, &runner).await;
        let fence = works(&world, &job.id, Some(&runner), last).await;
        let said = Finish { work, ..says("f1", end) };
        assert!(finish(ctx, &fence, &said).await.unwrap().is_terminal());
        let stands = ctx.store.breaker(&id).await.unwrap().unwrap();
        let next = JobId::of_request(&world.project, "next", "1");
        assert_eq!((stands.times, stands.gate(&next, ctx.clock.now())), (1, Gate::First));
    }
}

#[tokio::test]
async fn whom_a_first_jobs_silence_let_go_is_not_held_back_again_by_its_end() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let (job, id) = tries(&world, &runner).await;
    let fence = works(&world, &job.id, Some(&runner), Status::Preparing).await;
    progress(ctx, &fence, Status::Executing, None).await.unwrap();
    ctx.clock.advance(2 * PROBE_FOR);
    assert_eq!(finish(ctx, &fence, &says("f1", End::Cancelled)).await.unwrap(), Status::Cancelled);
    let next = JobId::of_request(&world.project, "next", "1");
    let stands = ctx.store.breaker(&id).await.unwrap().unwrap();
    assert_eq!(stands.gate(&next, ctx.clock.now()), Gate::Free);
}

/// The sweeper takes it away, and writes no breaker.
#[tokio::test]
async fn where_a_first_job_was_lost_without_a_word_the_next_claim_tries_its_account_at_once() {
    for goes_back in [true, false] {
        let world = World::begin().await;
        let ctx = &world.ctx;
        let runner = world.runners(1, 1, 2).await.remove(0);
        let (job, id) = tries(&world, &runner).await;
        works(&world, &job.id, Some(&runner), Status::Preparing).await;
        let next = world.jobs("next", 1, 1).await.remove(0);
        let (instance, active) = (runner.instance.clone(), BTreeSet::from([job.id.clone()]));
        let said = Heartbeat { instance, active, draining: false, last: false };
        heartbeat(ctx, &world.token, &runner.id, &said).await.unwrap();
        let claims = async |asked: &str| {
            let asked = ClaimId::new(asked).unwrap();
            claim(ctx, &world.token, &runner.id, &runner.instance, &asked).await.unwrap()
        };
        assert!(matches!(claims("k1").await, Answer::Nothing), "whoever tries is waited for");
        let (held, now) = (world.stored(&job.id).await, ctx.clock.now());
        let taken = if goes_back { held.requeued(now) } else { held.given_up(lost(), now) };
        applied(ctx.store.update_job(&taken.unwrap()).await);
        let Answer::Job(claimed) = claims("k2").await else { panic!("nobody tries any more") };
        assert_eq!((&claimed.job.id, claimed.job.run.as_ref().unwrap().first), (&next.id, true));
        let stands = ctx.store.breaker(&id).await.unwrap().unwrap();
        assert_eq!((stands.times, stands.probe.unwrap().job), (1, next.id));
    }
}

#[tokio::test]
async fn where_a_first_job_was_lost_without_a_word_the_next_start_tries_its_account() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let now = || ctx.clock.now();
    let id = BreakerId { account: Account::Project(world.project.clone()), capability: "claude_code".into() };
    let stored = async || ctx.store.breaker(&id).await.unwrap().unwrap();
    let limit = Trouble { cause: Cause::LimitReached, ends: None };
    let by = By { job: JobId::of_request(&world.project, "other", "1"), attempt: 1 };
    applied(ctx.store.put_breaker(&Breaker::opened(None, &id, &limit, &by, now()).unwrap(), None).await);
    ctx.clock.advance(HOUR);
    let mut jobs = world.jobs("asks", 2, 1).await;
    for job in &mut jobs {
        *job = job.placed(Place::Fargate, now()).unwrap();
        // Its project names the key, so that its account is known before it starts.
        job.policy.model_of = Some("claude_code".into());
    }
    let (first, next) = (&jobs[0], &jobs[1]);
    let opened = stored().await;
    applied(ctx.store.put_breaker(&opened.tried_by(&first.id, now()).unwrap(), Some(&opened)).await);
    let tried = stored().await;
    applied(ctx.store.put_breaker(&tried.claimed_by(&first.id, now()).unwrap(), Some(&tried)).await);
    applied(ctx.store.update_job(&first.tries_first()).await);
    applied(ctx.store.update_job(next).await);
    works(&world, &first.id, None, Status::Preparing).await;
    assert_eq!(dispatch(ctx, &next.id).await.unwrap(), Dispatched::PutOff);
    assert!(world.stored(&next.id).await.model.is_some(), "whoever tries is waited for");
    let failed = world.stored(&first.id).await.given_up(lost(), now()).unwrap();
    applied(ctx.store.update_job(&failed).await);
    // It looks every five minutes.
    ctx.clock.advance(HOUR / 12);
    assert_ne!(dispatch(ctx, &next.id).await.unwrap(), Dispatched::Nothing);
    assert_eq!(stored().await.probe.unwrap().job, next.id);
    assert!(world.stored(&next.id).await.dispatch.first, "its end tells whether others may");
}

#[tokio::test]
async fn an_account_is_proven_by_a_first_job_whose_agent_asks_people_something() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let (job, id) = tries(&world, &runner).await;
    let fence = works(&world, &job.id, Some(&runner), Status::Executing).await;
    let rest = Rest::Asks { question: "Which one?".into() };
    let yielded = Yielded { id: FinishId::new("y1").unwrap(), rest, agent: None, session: None, inputs: 0 };
    let gives = GivesBack { yielded, spent_usd_micros: None, work: None };
    assert_eq!(give_back(ctx, &fence, &gives).await.unwrap(), GaveBack::Over(Status::AwaitingInput));
    assert_eq!(ctx.store.breaker(&id).await.unwrap(), None);
}

/// Another job's attempt met the limit of an account, over what stands there.
async fn met_by(world: &World, other: &str, id: &BreakerId) -> Breaker {
    let ctx = &world.ctx;
    let before = ctx.store.breaker(id).await.unwrap();
    let limit = Trouble { cause: Cause::LimitReached, ends: None };
    let by = By { job: JobId::of_request(&world.project, "other", other), attempt: 1 };
    let opened = Breaker::opened(before.as_ref(), id, &limit, &by, ctx.clock.now()).unwrap();
    applied(ctx.store.put_breaker(&opened, before.as_ref()).await);
    ctx.store.breaker(id).await.unwrap().unwrap()
}

/// This job is written down as the first that tries it.
async fn tried_by(world: &World, id: &BreakerId, job: &JobId) {
    let ctx = &world.ctx;
    let stands = ctx.store.breaker(id).await.unwrap().unwrap();
    applied(ctx.store.put_breaker(&stands.tried_by(job, ctx.clock.now()).unwrap(), Some(&stands)).await);
}

/// The same job with a key of its project's.
fn with_key(job: &Job) -> Job {
    let policy = Policy { model_of: Some("command".into()), ..job.policy.clone() };
    Job { policy, ..job.clone() }
}

#[tokio::test]
async fn an_account_that_was_shut_anew_is_not_opened_by_the_end_of_the_job_that_tried_it_first() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let (job, id) = tries(&world, &runner).await;
    let fence = works(&world, &job.id, Some(&runner), Status::Executing).await;
    // By one that began before all of this.
    let anew = met_by(&world, "2", &id).await;
    let said = says("f1", End::Failed(Failure::NoChanges {}, None));
    assert_eq!(finish(ctx, &fence, &said).await.unwrap(), Status::Failed);
    let stands = ctx.store.breaker(&id).await.unwrap().unwrap();
    assert_eq!((stands.times, stands.gate(&job.id, ctx.clock.now())), (2, Gate::Shut(anew.until)));
}

/// It shuts the one whose limit it met, and says nothing of the other one.
#[tokio::test]
async fn of_two_accounts_that_a_first_job_asked_the_one_that_it_does_not_shut_is_tried_by_the_next_one() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let job = with_key(&world.job(&on(Compute::Runners)).await);
    let both = asked(KeyOf::Project, "command", &world.project, Some(&runner.id));
    let [of_project, of_runner] = &both[..] else { panic!("two accounts") };
    for id in &both {
        met_by(&world, "1", id).await;
    }
    ctx.clock.advance(HOUR);
    for id in &both {
        tried_by(&world, id, &job.id).await;
    }
    applied(ctx.store.update_job(&job.tries_first()).await);
    let fence = works(&world, &job.id, Some(&runner), Status::Executing).await;
    let met = limited(ctx.clock.now().plus(HOUR));
    assert_eq!(finish(ctx, &fence, &says("f1", End::Failed(met, None))).await.unwrap(), Status::Ready);
    let next = JobId::of_request(&world.project, "next", "1");
    let gate = async |id: &BreakerId| ctx.store.breaker(id).await.unwrap().unwrap().gate(&next, ctx.clock.now());
    assert!(matches!(gate(of_project).await, Gate::Shut(_)));
    assert_eq!(gate(of_runner).await, Gate::First);
}

#[tokio::test]
async fn that_a_first_jobs_agent_works_is_noted_by_a_repeat_where_whoever_wrote_its_phase_died() {
    let wire = Wire::default();
    let world = World::before(wire.clone()).await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let (job, id) = tries(&world, &runner).await;
    let fence = works(&world, &job.id, Some(&runner), Status::Preparing).await;
    let noted = async || ctx.store.breaker(&id).await.unwrap().unwrap().probe.unwrap().working.is_some();
    wire.next("PutItem", Fault::StopAfter);
    assert!(wire.live(progress(ctx, &fence, Status::Executing, None)).await.is_none());
    assert_eq!((world.stored(&job.id).await.status, noted().await), (Status::Executing, false));
    progress(ctx, &fence, Status::Executing, None).await.unwrap();
    assert!(noted().await);
}

#[tokio::test]
async fn that_a_first_job_was_claimed_by_its_task_is_noted_by_a_repeat_where_whoever_wrote_that_died() {
    let wire = Wire::default();
    let world = World::before(wire.clone()).await;
    world.connect().await;
    let ctx = &world.ctx;
    let job = with_key(&world.job(&on(Compute::Fargate)).await);
    let id = BreakerId { account: Account::Project(world.project.clone()), capability: "command".into() };
    met_by(&world, "1", &id).await;
    ctx.clock.advance(HOUR);
    tried_by(&world, &id, &job.id).await;
    applied(ctx.store.update_job(&job.dispatched(ctx.clock.now()).unwrap().tries_first()).await);
    let bootstrap = Bootstrap { job: job.id.clone(), attempt: 1, dispatch: 1, expires: ctx.clock.now() };
    let (claim, instance) = (ClaimId::new("c1").unwrap(), InstanceId::new("i1").unwrap());
    let begins = || start(ctx, &bootstrap, claim.clone(), instance.clone(), None);
    let noted = async || ctx.store.breaker(&id).await.unwrap().unwrap().probe.unwrap().claimed.is_some();
    wire.next("PutItem", Fault::StopAfter);
    assert!(wire.live(begins()).await.is_none());
    assert_eq!((world.stored(&job.id).await.status, noted().await), (Status::Claimed, false));
    begins().await.unwrap();
    assert!(noted().await);
}

#[tokio::test]
async fn a_job_with_its_projects_key_waits_for_that_account_whichever_runner_would_take_it() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let runner = world.runners(1, 1, 1).await.remove(0);
    let needs = Needs { capability: "command".into(), labels: BTreeSet::new(), key: KeyOf::Project };
    let class = ClassId::of_key(world.project.as_str(), &needs.capability, &needs.labels, needs.key);
    ctx.store.note_class(&world.project, &class, &needs).await.unwrap();
    let job = Job { class, ..with_key(&world.job(&on(Compute::Runners)).await) };
    applied(ctx.store.update_job(&job).await);
    let id = BreakerId { account: Account::Project(world.project.clone()), capability: "command".into() };
    met_by(&world, "1", &id).await;
    let claims = async |asked: &str| {
        let asked = ClaimId::new(asked).unwrap();
        claim(ctx, &world.token, &runner.id, &runner.instance, &asked).await.unwrap()
    };
    let kept_back = claims("k1").await;
    assert!(matches!(kept_back, Answer::Nothing), "{kept_back:?}");
    ctx.clock.advance(Duration::from_secs(310));
    let said = Heartbeat { instance: runner.instance.clone(), active: BTreeSet::new(), draining: false, last: false };
    heartbeat(ctx, &world.token, &runner.id, &said).await.unwrap();
    let Answer::Job(claimed) = claims("k2").await else { panic!("it may be tried") };
    assert_eq!((&claimed.job.id, claimed.job.run.as_ref().unwrap().first), (&job.id, true));
    let probe = ctx.store.breaker(&id).await.unwrap().unwrap().probe.unwrap();
    assert!(probe.job == job.id && probe.claimed.is_some(), "{probe:?}");
}
