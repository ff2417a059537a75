use super::*;
use crate::denial::Denial;
use crate::due::{self, Due};
use crate::failure::FailureClass;
use crate::fixtures::{project_id, repository, time_at};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A run with its jobs. Every move is applied as one transaction.
struct World {
    plan: Plan,
    run: Run,
    jobs: BTreeMap<JobId, StepJob>,
    block: Option<ReleaseBlock>,
    secs: u64,
}

fn step(name: &str, needs: &[&str]) -> Value {
    // Each on its own branch, so that no order is required.
    json!({ "name": name, "needs": needs, "prompt": "Work.", "branch": "own" })
}

fn with(mut value: Value, keys: Value) -> Value {
    value.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    value
}

const COMPLETED: JobEnd = JobEnd::Completed;
const BROKEN: JobEnd = JobEnd::Failed(FailureClass::Infra);
const REFUSED: JobEnd = JobEnd::Failed(FailureClass::Repo);

impl World {
    fn new(steps: Value, keys: Value) -> Self {
        let plan = with(json!({ "name": "test", "steps": steps }), keys);
        let plan = Plan::parse(plan).unwrap_or_else(|faults| panic!("{faults:?}"));
        let id = RunId::for_request(&project_id(), "ann", "k1");
        let run = Run::new(id, project_id(), &plan, "ann".into(), time_at(0));
        Self { plan, run, jobs: BTreeMap::new(), block: None, secs: 0 }
    }

    fn facts(&self) -> RunFacts<'_> {
        let (plan, jobs, block, now) = (&self.plan, &self.jobs, self.block, time_at(self.secs));
        RunFacts { plan, jobs, block, group: None, room: usize::MAX, now }
    }

    /// Applies moves until none is left, and returns their numbers of noted, created and cancelled jobs.
    fn settle(&mut self) -> Vec<[usize; 3]> {
        let mut moves = Vec::new();
        while let Some(Move { run, noted, created, cancelled, .. }) = next_move(&self.run, &self.facts()) {
            moves.push([noted.len(), created.len(), cancelled.len()]);
            assert!(moves.len() < 50, "{moves:?}");
            let asked = StepJob::Open { is_cancelled: true };
            assert!(cancelled.into_iter().all(|job| self.jobs.insert(job, asked.clone()).is_some()));
            assert!(noted.iter().all(|job| self.jobs.remove(job).is_some()));
            for job in created {
                assert_eq!(self.jobs.insert(job.id, StepJob::Open { is_cancelled: false }), None);
            }
            self.run = run;
        }
        moves
    }

    fn job(&self, step: &str) -> JobId {
        self.run.find_step(step).and_then(|step| step.job.clone()).unwrap_or_else(|| panic!("{step} has no job"))
    }

    fn finish(&mut self, step: &str, end: StepEnd) -> &mut Self {
        let before = self.jobs.insert(self.job(step), StepJob::Ended(end));
        assert!(matches!(before, Some(StepJob::Open { .. })), "{step}: {before:?}");
        self
    }

    /// Ends the step's job and settles the run.
    fn end(&mut self, step: &str, end: JobEnd) -> &mut Self {
        self.finish(step, StepEnd { spent_usd_micros: 1_000_000, ..StepEnd::new(end) }).settle();
        self
    }

    fn end_with(&mut self, step: &str, outcome: &str) -> &mut Self {
        let outcome = Some(outcome.to_owned());
        self.finish(step, StepEnd { outcome, ..StepEnd::new(COMPLETED) }).settle();
        self
    }

    fn spawn(&mut self, step: &str, list: Value) -> &mut Self {
        let spawn = serde_json::from_value(list).unwrap();
        self.finish(step, StepEnd { spawn, ..StepEnd::new(COMPLETED) }).settle();
        self
    }

    fn order(&mut self, order: impl FnOnce(&Run, &Plan, Timestamp) -> Result<Run, Denial>) -> &mut Self {
        self.run = order(&self.run, &self.plan, time_at(self.secs)).unwrap();
        self.settle();
        self
    }

    /// `running: plan done, fix skipped (when)`
    fn text(&self) -> String {
        let of_step = |step: &RunStep| {
            let reason = step.reason.map(|reason| format!(" ({})", reason.as_str())).unwrap_or_default();
            format!("{} {}{reason}", step.name, step.state.as_str())
        };
        let failure = self.run.failure.map(|failure| format!(" {}", failure.as_str())).unwrap_or_default();
        let steps: Vec<_> = self.run.steps.iter().map(of_step).collect();
        format!("{}{failure}: {}", self.run.state.as_str(), steps.join(", "))
    }

    #[track_caller]
    fn check(&mut self, expected: &str) -> &mut Self {
        assert_eq!(self.text(), expected);
        self
    }

    #[track_caller]
    fn check_wait(&mut self, step: &str, code: &str) -> &mut Self {
        let wait = self.run.step_wait(step, &self.facts());
        assert_eq!(wait.as_ref().map_or("", StepWait::code), code, "{wait:?}");
        self
    }
}

/// a, then b and c, then d.
fn diamond(keys: Value) -> World {
    let mut world =
        World::new(json!([step("a", &[]), step("b", &["a"]), step("c", &["a"]), step("d", &["b", "c"])]), keys);
    world.settle();
    world
}

fn cancel(run: &Run, _: &Plan, now: Timestamp) -> Result<Run, Denial> {
    run.cancel(now)
}

fn resume(run: &Run, plan: &Plan, now: Timestamp) -> Result<Run, Denial> {
    run.resume(plan, None, now)
}

/// The code of the denial; empty without one.
fn refusal<T>(result: Result<T, Denial>) -> &'static str {
    result.err().map_or("", |denial| denial.code())
}

#[test]
fn step_starts_when_its_needs_are_done() {
    let mut world = diamond(json!({}));
    world.check("running: a open, b waiting, c waiting, d waiting").check_wait("d", "needs_steps");
    world.end("a", COMPLETED).check("running: a done, b open, c open, d waiting");
    world.end("c", COMPLETED).check("running: a done, b open, c done, d waiting");
    world.end("b", COMPLETED).check("running: a done, b done, c done, d open");
    world.end("d", COMPLETED).check("completed: a done, b done, c done, d done");
    assert_eq!((world.run.spent_usd_micros, world.run.ended_at), (4_000_000, Some(time_at(0))));
}

#[test]
fn jobs_that_end_together_are_noted_in_one_move() {
    let mut world = diamond(json!({}));
    world.end("a", COMPLETED);
    world.finish("b", StepEnd::new(COMPLETED)).finish("c", StepEnd::new(COMPLETED));
    assert_eq!(world.settle(), [[2, 1, 0]]);
}

#[test]
fn failure_stops_the_run_unless_it_continues() {
    let mut world = diamond(json!({}));
    world.end("a", COMPLETED).end("b", REFUSED);
    world.check("running: a done, b failed (job_failed), c open, d waiting").check_wait("d", "run_ending");
    let end = "failed step_failed: a done, b failed (job_failed), c done, d skipped (stopped)";
    world.end("c", COMPLETED).check(end);

    let chain = json!([step("a", &[]), step("b", &["a"]), step("c", &[]), step("d", &["c"]), step("e", &["b"])]);
    let mut world = World::new(chain, json!({ "on_failure": "continue" }));
    world.settle();
    world.end("a", REFUSED);
    let middle = "a failed (job_failed), b skipped (need_failed), c open, d waiting, e skipped (need_failed)";
    world.check(&format!("running: {middle}"));
    world.end("c", COMPLETED).end("d", COMPLETED);
    assert!(world.text().starts_with("failed step_failed: a failed"), "{}", world.text());
}

#[test]
fn allowed_failure_counts_as_done() {
    let mut world =
        World::new(json!([with(step("a", &[]), json!({ "allow_failure": true })), step("b", &["a"])]), json!({}));
    world.settle();
    world.end("a", REFUSED).check("running: a failed (job_failed), b open");
    world.end("b", COMPLETED).check("completed: a failed (job_failed), b done");
}

#[test]
fn outcome_decides_which_steps_are_skipped() {
    let steps = || {
        let review = with(step("review", &[]), json!({ "outcomes": ["approved", "faulty", "unclear"] }));
        let fix = with(step("fix", &["review"]), json!({ "when": { "review": ["faulty", "unclear"] } }));
        json!([review, fix, step("last", &["fix"])])
    };
    for (outcome, fix) in [("approved", "skipped (when)"), ("faulty", "open"), ("unclear", "open")] {
        let mut world = World::new(steps(), json!({}));
        world.settle();
        // A step that its own condition skips satisfies its dependents.
        let last = if fix == "open" { "waiting" } else { "open" };
        world.end_with("review", outcome).check(&format!("running: review done, fix {fix}, last {last}"));
    }
}

#[test]
fn only_some_failures_are_retried_and_each_has_its_own_job() {
    let steps = || json!([with(step("a", &[]), json!({ "retries": 1 }))]);
    let mut world = World::new(steps(), json!({}));
    world.settle();
    let first = world.job("a");
    world.end("a", BROKEN).check("running: a open");
    assert_ne!(world.job("a"), first);
    world.end("a", BROKEN).check("failed step_failed: a failed (job_failed)");
    use FailureClass::{Agent, Checks, Infra, Key, Limit, Provider, Repo, Runner};
    for (class, is_retried) in [
        (Infra, true),
        (Provider, true),
        (Agent, true),
        (Checks, true),
        (Limit, false),
        (Key, false),
        (Repo, false),
        (Runner, false),
    ] {
        let mut world = World::new(steps(), json!({}));
        world.settle();
        world.end("a", JobEnd::Failed(class));
        assert_eq!(world.run.state == RunState::Running, is_retried, "{class:?}");
    }
    let mut world = World::new(steps(), json!({}));
    world.settle();
    world.end("a", JobEnd::Cancelled).check("failed step_failed: a cancelled (job_cancelled)");
}

#[test]
fn concurrency_limit_counts_open_jobs() {
    let mut world =
        World::new(json!([step("a", &[]), step("b", &[]), step("c", &[])]), json!({ "concurrency_limit": 2 }));
    world.settle();
    world.check("running: a open, b open, c waiting").check_wait("c", "run_limit");
    world.end("b", COMPLETED).check("running: a open, b done, c open");
}

#[test]
fn one_move_creates_a_limited_number_of_jobs() {
    let steps: Vec<Value> = (0..20).map(|index| step(&format!("s{index}"), &[])).collect();
    let mut world = World::new(json!(steps), json!({ "concurrency_limit": 20 }));
    assert_eq!(world.settle(), [[0, 8, 0], [0, 8, 0], [0, 4, 0]]);
    for index in 0..20 {
        world.finish(&format!("s{index}"), StepEnd::new(COMPLETED));
    }
    assert_eq!(world.settle(), [[16, 0, 0], [4, 0, 0]]);
}

fn costly(cost: u64, limit: u64) -> World {
    let keys = json!({ "limits": { "cost_usd": limit }, "defaults": { "limits": { "cost_usd": cost } } });
    let mut world = World::new(json!([step("a", &[]), step("b", &[])]), keys);
    world.settle();
    world
}

#[test]
fn step_waits_for_cost_that_an_open_step_returns() {
    let mut world = costly(3, 5);
    world.check("running: a open, b waiting").check_wait("b", "run_cost");
    // The job spent one dollar of the three that were reserved.
    world.end("a", COMPLETED).check("running: a done, b open");
    assert_eq!(world.run.free_usd_micros(), Some(1_000_000));
}

#[test]
fn run_without_room_for_cost_fails_and_resumes_with_more() {
    let mut world = costly(3, 3);
    world.end("a", COMPLETED).check("failed cost_limit: a done, b skipped (stopped)");
    let too_low = |cost| refusal(world.run.resume(&world.plan, cost, time_at(1)));
    assert_eq!((too_low(None), too_low(Some(500_000))), ("run_cost_too_low", "run_cost_too_low"));
    world.order(|run, plan, now| run.resume(plan, Some(4_000_000), now)).check("running: a done, b open");
}

#[test]
fn run_without_room_for_cost_waits_for_an_answer() {
    let limit = json!({ "limits": { "cost_usd": 3 }, "defaults": { "limits": { "cost_usd": 3 } } });
    let ask = json!({ "name": "ask", "approve": "Is it right?" });
    let mut world = World::new(json!([step("a", &[]), step("b", &[]), ask]), limit);
    world.settle();
    world.end("a", COMPLETED).check("running: a done, b waiting, ask asked");
    world.order(|run, plan, now| run.answer("ask", Answer::Approve, plan, now));
    world.check("failed cost_limit: a done, b skipped (stopped), ask done");
}

#[test]
fn resume_needs_the_cost_of_the_next_step() {
    let limit = json!({ "limits": { "cost_usd": 1 }, "defaults": { "limits": { "cost_usd": 1 } } });
    let ask = json!({ "name": "ask", "needs": ["b"], "approve": "Is it right?" });
    let mut world = World::new(json!([step("a", &[]), step("b", &["a"]), ask]), limit);
    world.settle();
    world.end("a", COMPLETED).check("failed cost_limit: a done, b skipped (stopped), ask skipped (stopped)");
    let too_low = resume(&world.run, &world.plan, time_at(1)).unwrap_err().sentence();
    assert!(too_low.ends_with("has spent $1.00, and its next step needs $1.00."), "{too_low}");
}

#[test]
fn step_that_the_project_refuses_fails_and_others_go_on() {
    let mut world = World::new(json!([step("a", &[]), step("b", &["a"])]), json!({}));
    let Move { run, created, .. } = next_move(&world.run, &world.facts()).unwrap();
    world.run = run.refuse_step(&created[0], time_at(1));
    assert_eq!(world.run.steps[0].job, None);
    world.settle();
    world.check("failed step_failed: a failed (not_started), b skipped (stopped)");
    world.order(resume).check("running: a open, b waiting");
}

#[test]
fn held_project_and_used_up_budget_start_nothing() {
    for (block, code) in [(ReleaseBlock::Held, "project_held"), (ReleaseBlock::Budget, "day_budget")] {
        let mut world = World::new(json!([step("a", &[]), step("b", &["a"])]), json!({}));
        world.block = Some(block);
        assert_eq!(world.settle(), [[0, 0, 0]]);
        assert!(matches!(due::run(&world.run), Some(Due::Held { .. })), "{:?}", world.run.left);
        world.check("running: a waiting, b waiting").check_wait("a", code);
        world.block = None;
        world.settle();
        world.check("running: a open, b waiting");
    }
}

#[test]
fn held_run_with_an_open_job_obeys_its_time_limit() {
    let steps = json!([step("a", &[]), step("b", &[]), step("c", &["b"])]);
    let mut world = World::new(steps, json!({ "limits": { "wall": "1h" } }));
    world.settle();
    world.block = Some(ReleaseBlock::Held);
    world.end("b", COMPLETED);
    assert_eq!((world.run.left, due::run(&world.run)), (Some(WorkLeft::Held), Some(Due::At(time_at(900)))));
    world.secs = 3_600;
    assert_eq!(world.settle(), [[0, 0, 1]]);
    world.end("a", JobEnd::Cancelled);
    assert_eq!(world.run.failure, Some(RunFailure::TimeLimit));
}

#[test]
fn lost_job_fails_its_step_and_may_be_retried() {
    let mut world = World::new(json!([with(step("a", &[]), json!({ "retries": 1 }))]), json!({}));
    world.settle();
    world.jobs.clear();
    assert_eq!(world.settle(), [[0, 1, 0]]);
    world.jobs.clear();
    world.settle();
    world.check("failed step_failed: a failed (job_failed)");
}

#[test]
fn coped_cancellation_does_not_change_the_end_of_the_run() {
    let steps = json!([with(step("a", &[]), json!({ "allow_failure": true })), step("b", &["a"])]);
    let mut world = World::new(steps, json!({ "limits": { "wall": "1h" } }));
    world.settle();
    world.end("a", JobEnd::Cancelled).secs = 3_600;
    // The job ended in time, and its end is noted late.
    world.end("b", COMPLETED).check("completed: a cancelled (job_cancelled), b done");
}

#[test]
fn failure_that_stops_the_run_refuses_retries_noted_with_it() {
    let retried = with(step("a", &[]), json!({ "retries": 1 }));
    let mut world = World::new(json!([retried, step("b", &[])]), json!({}));
    world.settle();
    world.finish("a", StepEnd::new(BROKEN)).finish("b", StepEnd::new(REFUSED)).settle();
    world.check("failed step_failed: a failed (job_failed), b failed (job_failed)");
}

#[test]
fn undeclared_outcome_is_not_stored() {
    let mut world = diamond(json!({}));
    world.end_with("a", &"x".repeat(16_384));
    assert_eq!(world.run.find_step("a").and_then(|step| step.outcome.clone()), None);
}

#[test]
fn step_without_one_of_its_outcomes_fails() {
    let review = with(step("review", &[]), json!({ "outcomes": ["approved", "faulty"] }));
    for outcome in [None, Some("other".to_owned())] {
        let mut world = World::new(json!([review.clone()]), json!({}));
        world.settle();
        world.finish("review", StepEnd { outcome, ..StepEnd::new(COMPLETED) }).settle();
        world.check("failed step_failed: review failed (no_outcome)");
    }
}

#[test]
fn resume_is_refused_without_outputs_or_a_cost_limit() {
    let mut world = diamond(json!({}));
    world.end("a", REFUSED);
    assert_eq!(refusal(world.run.resume(&world.plan, Some(1_000_000), time_at(1))), "run_unlimited");
    let days = |days: u64| time_at(days * 24 * 3_600);
    assert_eq!(refusal(resume(&world.run, &world.plan, days(90))), "run_expired");
    assert!(resume(&world.run, &world.plan, days(89)).is_ok());
}

#[test]
fn cancel_ends_open_jobs_and_a_push_that_won_stays() {
    let mut world = diamond(json!({}));
    world.end("a", COMPLETED).order(cancel);
    let is_cancelled = |world: &World, step: &str| world.jobs[&world.job(step)] == StepJob::Open { is_cancelled: true };
    assert!(is_cancelled(&world, "b") && is_cancelled(&world, "c"));
    world.check("running: a done, b open, c open, d waiting").end("b", COMPLETED).end("c", JobEnd::Cancelled);
    world.check("cancelled: a done, b done, c cancelled (job_cancelled), d skipped (stopped)");
    assert_eq!(refusal(world.run.cancel(time_at(1))), "run_ended");
    let mut world = diamond(json!({}));
    world.end("a", COMPLETED).end("b", COMPLETED).end("c", COMPLETED).order(cancel).end("d", COMPLETED);
    assert_eq!(world.run.state, RunState::Completed, "the work was done before the cancel");
}

#[test]
fn resume_starts_what_is_not_done_with_new_jobs() {
    let mut world = diamond(json!({}));
    world.end("a", COMPLETED).end("b", REFUSED);
    let before = world.job("b");
    assert_eq!(refusal(resume(&world.run, &world.plan, time_at(1))), "run_not_over");
    world.end("c", COMPLETED).order(resume).check("running: a done, b open, c done, d waiting");
    assert_ne!(world.job("b"), before);
    world.end("b", COMPLETED).end("d", COMPLETED).check("completed: a done, b done, c done, d done");
    assert_eq!(refusal(resume(&world.run, &world.plan, time_at(1))), "run_completed");
}

#[test]
fn resume_decides_a_condition_again_when_its_need_failed() {
    let review = with(step("review", &[]), json!({ "outcomes": ["approved", "faulty"], "allow_failure": true }));
    let fix = with(step("fix", &["review"]), json!({ "when": { "review": "faulty" } }));
    let mut world = World::new(json!([review, fix, step("last", &["review"])]), json!({}));
    world.settle();
    world.end("review", REFUSED).end("last", REFUSED);
    world.check("failed step_failed: review failed (job_failed), fix skipped (when), last failed (job_failed)");
    world.order(resume).check("running: review open, fix waiting, last waiting");
    world.end_with("review", "faulty").check("running: review done, fix open, last open");
}

#[test]
fn time_limit_ends_the_run_and_counts_from_a_resume() {
    let mut world = World::new(json!([step("a", &[]), step("b", &["a"])]), json!({ "limits": { "wall": "1h" } }));
    world.settle();
    assert_eq!(due::run(&world.run), Some(Due::At(time_at(900))), "it may have missed a release");
    world.secs = 3_000;
    assert_eq!(world.settle(), [[0, 0, 0]]);
    assert_eq!(due::run(&world.run), Some(Due::At(time_at(3_600))));
    world.secs = 3_600;
    assert_eq!(world.settle(), [[0, 0, 1]]);
    assert_eq!(due::run(&world.run), Some(Due::At(time_at(4_500))));
    world.end("a", JobEnd::Cancelled);
    world.check("failed time_limit: a cancelled (job_cancelled), b skipped (stopped)");
    assert_eq!(due::run(&world.run), None);
    world.order(resume).check("running: a open, b waiting");
    assert_eq!(due::run(&world.run), Some(Due::At(time_at(4_500))));
    let late = world.run.since.plus(Duration::from_secs(3_600));
    assert!(resume(&world.run, &world.plan, time_at(3_700)).is_ok(), "a repeat");
    assert_eq!(refusal(resume(&world.run, &world.plan, late)), "run_not_over", "it is about to end");
}

#[test]
fn question_waits_for_a_user_and_a_refusal_is_a_failure() {
    let start = || {
        let question = json!({ "name": "ask", "needs": ["a"], "approve": "Deploy?" });
        let mut world = World::new(json!([step("a", &[]), question, step("b", &["ask"])]), json!({}));
        world.settle();
        assert_eq!(refusal(world.run.answer("ask", Answer::Approve, &world.plan, time_at(0))), "no_question");
        world.end("a", COMPLETED).check("running: a done, ask asked, b waiting").check_wait("ask", "approval");
        world
    };
    let order = |answer: Answer| move |run: &Run, plan: &Plan, now: Timestamp| run.answer("ask", answer, plan, now);
    let mut approved = start();
    approved.order(order(Answer::Approve)).check("running: a done, ask done, b open");
    let repeat = |answer: Answer| approved.run.answer("ask", answer, &approved.plan, time_at(9));
    assert_eq!(repeat(Answer::Approve).as_ref(), Ok(&approved.run));
    assert_eq!(refusal(repeat(Answer::Refuse)), "no_question");
    let ending = start().run.cancel(time_at(0)).unwrap();
    assert_eq!(refusal(ending.answer("ask", Answer::Approve, &approved.plan, time_at(0))), "run_ended");
    let mut refused = start();
    refused.order(order(Answer::Refuse));
    refused.check("failed step_failed: a done, ask failed (refused), b skipped (stopped)");
    refused.order(resume).check("running: a done, ask asked, b waiting");
    assert_eq!(refusal(refused.run.answer("x", Answer::Refuse, &refused.plan, time_at(0))), "no_question");
}

#[test]
fn pull_request_needs_a_done_step_with_its_own_branch() {
    let shared = with(step("shared", &[]), json!({ "branch": "shared" }));
    let question = json!({ "name": "ask", "approve": "Deploy?" });
    let steps = json!([step("a", &[]), step("b", &["a"]), shared, question]);
    let mut world = World::new(steps, json!({ "defaults": { "branch": "own" } }));
    world.settle();
    world.end("a", COMPLETED);
    let find = |name: &str| world.run.own_branch_job(&world.plan, world.run.find_step(name).unwrap()).cloned();
    assert_eq!(find("a"), Ok(world.job("a")));
    assert_eq!(refusal(find("b")), "step_not_done");
    assert_eq!(refusal(find("shared")), "no_own_branch");
    assert_eq!(refusal(find("ask")), "no_own_branch", "a question inherits no branch");
    let opened = world.run.clone().with_pull_request("a", "https://forge.test/1");
    let urls: Vec<_> = opened.steps.iter().map(|step| step.pull_request.as_deref()).collect();
    assert_eq!(urls, [Some("https://forge.test/1"), None, None, None]);
}

fn manager() -> World {
    let lead = json!({ "name": "lead", "role": "manager", "prompt": "Lead.", "spawn": { "most": 2, "turns": 2 } });
    let mut world = World::new(json!([lead, step("last", &["lead"])]), json!({}));
    world.settle();
    world
}

fn added(name: &str, needs: &[&str]) -> Value {
    json!({ "name": name, "role": "implementer", "prompt": "Work.", "needs": needs })
}

#[test]
fn manager_adds_steps_and_gets_another_turn_when_they_ended() {
    let mut world = manager();
    world.spawn("lead", json!([added("x", &[]), added("y", &["x"])]));
    world.check("running: lead spawning, last waiting, lead/x open, lead/y waiting");
    world.check_wait("lead", "added_steps").check_wait("lead/y", "needs_steps");
    // The failure of an added step is a matter of its manager.
    world.end("lead/x", REFUSED);
    world.check("running: lead open, last waiting, lead/x failed (job_failed), lead/y skipped (need_failed)");
    assert_eq!(world.run.find_step("lead").map(|step| (step.turn, step.jobs)), Some((1, 2)));
    world.end("lead", COMPLETED).end("last", COMPLETED);
    assert_eq!(world.run.state, RunState::Completed);
}

#[test]
fn list_beyond_the_limits_of_a_manager_fails_its_step() {
    let invalid = "failed step_failed: lead failed (spawn_invalid), last skipped (stopped)";
    for list in [
        json!([added("x", &[]), added("y", &[]), added("z", &[])]),
        json!([added("x", &[]), added("x", &[])]),
        json!([added("x", &["last"])]),
        json!([added("x", &["x"])]),
        json!([added("X/..", &[])]),
        json!([{ "name": "x", "role": "fixer", "prompt": "Work." }]),
        json!([{ "name": "x", "role": "implementer", "prompt": " " }]),
        json!([{ "name": "x", "role": "implementer", "prompt": "Work.", "agent": "other" }]),
        json!([with(added("x", &[]), json!({ "limits": { "turns": 0 } }))]),
        json!([with(added("x", &[]), json!({ "limits": { "wall": "long" } }))]),
    ] {
        manager().spawn("lead", list).check(invalid);
    }
    let mut world = manager();
    world.spawn("lead", json!([added("x", &[])])).end("lead/x", COMPLETED).spawn("lead", json!([added("y", &[])]));
    world.check("failed step_failed: lead failed (spawn_invalid), last skipped (stopped), lead/x done");
}

#[test]
fn second_list_beyond_the_size_of_a_run_fails_its_manager() {
    let lead = |name: &str| json!({ "name": name, "sandbox": "read_only", "prompt": "Lead.", "spawn": { "most": 50 } });
    let mut world = World::new(json!([lead("a"), lead("b")]), json!({ "on_failure": "continue" }));
    world.settle();
    let list: Vec<Value> = (0..50).map(|index| added(&format!("x{index}"), &[])).collect();
    let spawn: Vec<SpawnRequest> = serde_json::from_value(json!(list)).unwrap();
    let end = StepEnd { spawn, ..StepEnd::new(COMPLETED) };
    world.finish("a", end.clone()).finish("b", end).settle();
    assert!(world.text().starts_with("running: a spawning, b failed (spawn_invalid), a/x0 open"), "{}", world.text());
    assert_eq!(world.run.steps.len(), 52);
}

#[test]
fn faults_of_added_steps_point_into_the_list() {
    let world = manager();
    let list: Vec<SpawnRequest> = serde_json::from_value(json!([added("x", &["xx"])])).unwrap();
    let faults = check_spawn(&world.run, &world.plan, world.run.find_step("lead").unwrap(), &list);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!((faults[0].pointer.as_str(), faults[0].fault.as_str()), ("/spawn/0/needs/0", "there is no step `xx`"));
    let refused = check_spawn(&world.run, &world.plan, world.run.find_step("last").unwrap(), &list);
    assert!(refused[0].fault.contains("does not allow"), "{refused:?}");
}

#[test]
fn resumed_manager_continues_with_the_steps_of_its_turn() {
    let mut world = manager();
    world.spawn("lead", json!([added("x", &[]), added("y", &[])])).end("lead/x", REFUSED).order(cancel);
    world.end("lead/y", JobEnd::Cancelled);
    assert_eq!(world.run.state, RunState::Cancelled);
    world.order(resume).check("running: lead spawning, last waiting, lead/x open, lead/y open");
    world.end("lead/x", COMPLETED).end("lead/y", REFUSED);
    world.check("running: lead open, last waiting, lead/x done, lead/y failed (job_failed)");
    // Steps of an earlier turn do not start again.
    world.end("lead", REFUSED).order(resume);
    world.check("running: lead open, last waiting, lead/x done, lead/y failed (job_failed)");
    assert_eq!(world.run.find_step("lead").map(|step| step.turn), Some(1));
}

#[test]
fn added_step_obeys_the_cost_limit_of_the_run() {
    let lead = json!({ "name": "lead", "role": "manager", "prompt": "Lead." });
    let keys = json!({ "limits": { "cost_usd": 4 }, "defaults": { "limits": { "cost_usd": 3 } } });
    let mut world = World::new(json!([lead]), keys);
    world.settle();
    let cheap = with(added("x", &[]), json!({ "limits": { "cost_usd": 2 } }));
    world.spawn("lead", json!([cheap, added("y", &[])]));
    world.check("running: lead spawning, lead/x open, lead/y waiting").check_wait("lead/y", "run_cost");
}

#[test]
fn list_above_a_limit_of_the_plan_gets_that_limit() {
    let lead = json!({ "name": "lead", "role": "manager", "prompt": "Lead." });
    let keys = json!({ "defaults": { "limits": { "cost_usd": 2, "wall": "30m" } } });
    let mut world = World::new(json!([lead]), keys);
    world.settle();
    let above = with(added("x", &[]), json!({ "limits": { "cost_usd": 5, "wall": "2h", "stall": "5m" } }));
    let request: SpawnRequest = serde_json::from_value(above.clone()).unwrap();
    let limits = serde_json::to_value(request.as_step(&world.plan).keys.limits).unwrap();
    assert_eq!(limits, json!({ "wall": "30m", "stall": "5m", "turns": null, "cost_usd": 2 }));
    world.spawn("lead", json!([above])).check("running: lead spawning, lead/x open");
    assert_eq!(world.run.find_step("lead/x").map(|step| step.reserved_usd_micros), Some(2_000_000));
}

#[test]
fn every_wait_has_a_short_sentence_and_help() {
    for wait in StepWait::samples() {
        let (sentence, help) = (wait.sentence(), wait.help());
        assert!(sentence.ends_with('.') && help.ends_with('.') && sentence.len() <= 140, "{sentence} {help}");
    }
}

#[test]
fn newer_run_is_readable_but_for_new_states() {
    let run = diamond(json!({})).run;
    let mut stored = serde_json::to_value(&run).unwrap();
    stored["queue"] = json!("ci");
    stored["steps"][0]["head"] = json!("9f3");
    assert_eq!(serde_json::from_value::<Run>(stored.clone()).unwrap(), run);
    let mut newer = stored.clone();
    newer["steps"][0]["reason"] = json!("output_invalid");
    (newer["failure"], newer["left"]) = (json!("group_full"), json!("grouped"));
    let newer: Run = serde_json::from_value(newer).unwrap();
    assert_eq!(newer.steps[0].reason, Some(StepReason::Unknown));
    assert_eq!((newer.failure, newer.left), (Some(RunFailure::Unknown), Some(WorkLeft::Now)));
    let mut request = added("x", &[]);
    request["labels"] = json!(["newer"]);
    assert!(serde_json::from_value::<SpawnRequest>(request).is_err(), "a key of an agent's list is not lost");
    let mut nameless = stored.clone();
    nameless["steps"][0].as_object_mut().unwrap().remove("state");
    assert!(serde_json::from_value::<Run>(nameless).is_err());
    stored["steps"][0]["state"] = json!("paused");
    assert!(serde_json::from_value::<Run>(stored).is_err());
    let oldest = json!({
        "id": run.id, "project": "acme", "name": "n", "by": "ann", "created": 0, "since": 0, "state": "running",
        "want": "run", "wall_secs": 60, "steps": [{ "name": "a", "state": "waiting", "at": 0 }], "moved": 0,
    });
    let oldest: Run = serde_json::from_value(oldest).unwrap();
    assert_eq!((oldest.steps[0].turn, oldest.left), (0, None));
}

/// The rules of `git check-ref-format`.
fn is_git_name(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let is_letter = |letter: char| !letter.is_ascii_control() && !" ~^:?*[\\".contains(letter);
    let has_marks = ["..", "@{"].iter().any(|marks| name.contains(marks));
    name.split('/').all(is_part) && name.chars().all(is_letter) && !name.ends_with('.') && !has_marks
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_own_branch_has_a_name_that_git_accepts(name in "lock|[a-z][a-z0-9-]{0,7}", jobs in 1..4_u32) {
        prop_assume!(name != "lead");
        let lead = json!({ "name": "lead", "role": "manager", "prompt": "Lead." });
        let mut world = World::new(json!([lead, step(&name, &["lead"])]), json!({}));
        world.settle();
        let request = added(&name, &[]);
        world.spawn("lead", json!([request]));
        let request: SpawnRequest = serde_json::from_value(request).unwrap();
        let plan = world.plan.clone();
        let frozen = FrozenPlan { plan, parameters: BTreeMap::new(), repository: repository(), base: "main".into() };
        let planned = frozen.plan.find_step(&name).unwrap().clone();
        for (of, step) in [(name.clone(), planned), (format!("lead/{name}"), request.as_step(&frozen.plan))] {
            let of = RunStep { jobs, ..world.run.find_step(&of).unwrap().clone() };
            let context = frozen.step_context(&world.run, (&of, &step), |_| StepResult::default());
            let branch = context.own_branch.unwrap();
            prop_assert!(is_git_name(&branch), "{}", branch);
        }
    }
}
