mod managers;
mod orders;

use super::*;
use crate::fixtures::{project_id, time_at};
use crate::run::due::{self, Due};
use crate::text::denial::Denial;
use crate::text::failure::FailureClass;
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
        let (plan, jobs, block, now) = (&self.plan, self.jobs.clone(), self.block, time_at(self.secs));
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
    run.cancel(("ann", now))
}

fn resume(run: &Run, plan: &Plan, now: Timestamp) -> Result<Run, Denial> {
    run.resume(plan, None, ("ann", now))
}

fn answer(run: &Run, step: &str, answer: Answer, plan: &Plan, now: Timestamp) -> Result<Run, Denial> {
    run.answer(run.find_step(step).unwrap(), answer, plan, ("ann", now))
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
    let allowed = with(step("a", &[]), json!({ "allow_failure": true }));
    let mut world = World::new(json!([allowed, step("b", &["a"])]), json!({}));
    world.settle();
    world.end("a", REFUSED).end("b", REFUSED);
    assert_eq!(world.run.explain_failure().unwrap().sentence(), "Failed or cancelled steps: b.");
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
fn run_without_room_for_cost_waits_for_an_answer() {
    let limit = json!({ "limits": { "cost_usd": 3 }, "defaults": { "limits": { "cost_usd": 3 } } });
    let ask = json!({ "name": "ask", "approve": "Is it right?" });
    let mut world = World::new(json!([step("a", &[]), step("b", &[]), ask]), limit);
    world.settle();
    world.end("a", COMPLETED).check("running: a done, b waiting, ask asked");
    world.order(|run, plan, now| answer(run, "ask", Answer::Approve, plan, now));
    world.check("failed cost_limit: a done, b skipped (stopped), ask done");
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

fn added(name: &str, needs: &[&str]) -> Value {
    json!({ "name": name, "role": "implementer", "prompt": "Work.", "needs": needs })
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
