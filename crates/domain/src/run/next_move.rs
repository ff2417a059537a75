//! The next write of a run.

use super::end::{JobEnd, Retries, StepEnd, StepJob};
use super::rules::{Rules, Start};
use super::{Run, RunFailure, RunState, RunStep, RunWant, StepReason, StepState, WorkLeft};
use crate::id::JobId;
use crate::plan::Plan;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// A transaction has a limit of items.
pub const MAX_NOTED_JOBS: usize = 16;
pub const MAX_NEW_JOBS: usize = 8;

#[derive(Clone, Copy, Debug)]
pub struct RunFacts<'a> {
    pub plan: &'a Plan,
    /// The jobs of open steps. A job that is not listed is open.
    pub jobs: &'a BTreeMap<JobId, StepJob>,
    pub block: Option<ReleaseBlock>,
    pub now: Timestamp,
}

/// Why the project may start no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReleaseBlock {
    Held,
    /// The day's budget is used up.
    Budget,
}

/// One transaction, or a request to jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Store the run and mark these ended jobs as noted.
    Note {
        run: Run,
        jobs: Vec<JobId>,
    },
    /// Store the run with the steps that this ended job added, and mark the job as noted.
    Spawn {
        run: Run,
        job: JobId,
    },
    /// Store the run and create these jobs.
    Release {
        run: Run,
        jobs: Vec<StepJobPlan>,
    },
    /// Request the end of these jobs. A repeat changes nothing.
    CancelJobs {
        jobs: Vec<JobId>,
    },
    /// Store the run, which has ended.
    Finish {
        run: Run,
    },
    /// Store the run, because it is due at another time.
    Wait {
        run: Run,
    },
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepJobPlan {
    pub id: JobId,
    pub step: String,
    pub turn: u32,
}

/// Idempotent: a repeat after the write decides from the stored run. The ids of new jobs depend on the run alone.
pub fn next_move(run: &Run, facts: &RunFacts) -> Move {
    let settle = |run: Run| Run { left: find_left(&run, facts), moved: facts.now, ..run };
    match decide(run, facts) {
        Move::Note { run, jobs } => Move::Note { run: settle(run), jobs },
        Move::Spawn { run, job } => Move::Spawn { run: settle(run), job },
        Move::Release { run, jobs } => Move::Release { run: settle(run), jobs },
        Move::Nothing if find_left(run, facts) != run.left => Move::Wait { run: settle(run.clone()) },
        other => other,
    }
}

fn find_left(run: &Run, facts: &RunFacts) -> Option<WorkLeft> {
    let is_startable = |run: &Run| {
        let unblocked = RunFacts { block: None, ..*facts };
        decide(run, &unblocked) != Move::Nothing
    };
    match decide(run, facts) {
        Move::Nothing if run.state != RunState::Running => None,
        Move::Nothing if facts.block.is_some() && is_startable(run) => Some(WorkLeft::Held),
        Move::Nothing => None,
        _ => Some(WorkLeft::Now),
    }
}

fn decide(run: &Run, facts: &RunFacts) -> Move {
    if run.state != RunState::Running {
        return Move::Nothing;
    }
    let rules = run.rules(facts.plan);
    let is_stopped = run.is_stopped(facts.plan, &rules);
    let is_ending = run.is_ending(facts.now);
    if let Some(noted) = note_ends(run, facts, &rules, is_stopped || is_ending) {
        return noted;
    }
    let open: Vec<&JobId> = run.open_jobs().collect();
    if is_ending {
        let is_asked = |job: &&JobId| matches!(facts.jobs.get(*job), Some(StepJob::Open { is_cancelled: true }));
        let jobs: Vec<JobId> = open.iter().filter(|job| !is_asked(job)).map(|job| (*job).clone()).collect();
        if !jobs.is_empty() {
            return Move::CancelJobs { jobs };
        }
    }
    let is_over = run.steps.iter().all(|step| step.state.is_terminal());
    if is_over || is_ending || is_stopped {
        return if open.is_empty() { finish(run, facts, &rules) } else { Move::Nothing };
    }
    release(run, facts, &rules)
}

/// The newest ended jobs that the run has not noted: a manager with new steps alone, others together.
fn note_ends(run: &Run, facts: &RunFacts, rules: &[Rules], is_ending: bool) -> Option<Move> {
    let ended = |(index, step): (usize, &RunStep)| {
        let job = step.job.as_ref().filter(|_| step.state == StepState::Open)?;
        match facts.jobs.get(job)? {
            StepJob::Ended(end) => Some((index, job.clone(), end)),
            StepJob::Open { .. } => None,
        }
    };
    let ends: Vec<(usize, JobId, &StepEnd)> = run.steps.iter().enumerate().filter_map(ended).collect();
    let mut next = run.clone();
    let adds_steps = |end: &StepEnd| end.end == JobEnd::Completed && !end.spawn.is_empty();
    if let Some((index, job, end)) = ends.iter().find(|(_, _, end)| adds_steps(end)) {
        next.add_steps(*index, end, facts.plan, facts.now);
        return Some(Move::Spawn { run: next, job: job.clone() });
    }
    let retries = if is_ending { Retries::Refused } else { Retries::Allowed };
    let noted = ends.into_iter().take(MAX_NOTED_JOBS).filter_map(|(index, job, end)| {
        next.note_end(index, end, rules.get(index)?, retries, facts.now);
        Some(job)
    });
    let jobs: Vec<JobId> = noted.collect();
    (!jobs.is_empty()).then_some(Move::Note { run: next, jobs })
}

/// Skips steps and starts as many as the limits allow, in the order of the plan.
fn release(run: &Run, facts: &RunFacts, rules: &[Rules]) -> Move {
    let (mut next, mut jobs, mut is_short_of_cost) = (run.clone(), Vec::new(), false);
    let limit = facts.plan.concurrency_limit();
    for (index, of_step) in rules.iter().enumerate() {
        let Some(step) = next.steps.get(index) else { continue };
        let start = match step.state {
            StepState::Waiting => next.start_of(of_step, rules),
            StepState::Spawning if next.is_turn_over(step) => Start::Ready,
            _ => Start::Later,
        };
        let has_place = next.open_jobs().count() < limit && jobs.len() < MAX_NEW_JOBS;
        let has_cost = next.free_usd_micros().is_none_or(|free| of_step.cost_usd_micros <= free);
        let id = run.id.clone();
        let Some(step) = next.steps.get_mut(index) else { continue };
        match start {
            Start::Skip(reason) => step.change(StepState::Skipped, Some(reason), facts.now),
            Start::Later => {}
            Start::Ready if facts.block.is_some() => {}
            Start::Ready if of_step.is_question => step.change(StepState::Asked, None, facts.now),
            Start::Ready if !has_place => {}
            Start::Ready if !has_cost => is_short_of_cost = true,
            Start::Ready => {
                step.turn += u32::from(step.state == StepState::Spawning);
                step.jobs += 1;
                let id = JobId::for_step(&id, &step.name, step.jobs);
                step.job = Some(id.clone());
                step.reserved_usd_micros = of_step.cost_usd_micros;
                step.outcome = None;
                step.change(StepState::Open, None, facts.now);
                jobs.push(StepJobPlan { id, step: step.name.clone(), turn: step.turn });
            }
        }
    }
    match next.open_jobs().count() {
        _ if next != *run => Move::Release { run: next, jobs },
        // Only the end of an open job returns a part of the cost limit.
        0 if is_short_of_cost => finish(run, facts, rules),
        _ => Move::Nothing,
    }
}

/// The end of a run without open jobs.
fn finish(run: &Run, facts: &RunFacts, rules: &[Rules]) -> Move {
    let has_rest = run.steps.iter().any(|step| !step.state.is_terminal());
    let is_cut = has_rest || run.steps.iter().any(|step| step.state == StepState::Cancelled);
    let (state, failure) = match () {
        () if is_cut && run.want == RunWant::Cancel => (RunState::Cancelled, None),
        () if is_cut && facts.now >= run.wall_end() => (RunState::Failed, Some(RunFailure::TimeLimit)),
        () if run.has_failed(rules) => (RunState::Failed, Some(RunFailure::StepFailed)),
        () if has_rest => (RunState::Failed, Some(RunFailure::CostLimit)),
        () => (RunState::Completed, None),
    };
    let mut next = Run { state, failure, left: None, moved: facts.now, ended_at: Some(facts.now), ..run.clone() };
    for step in next.steps.iter_mut().filter(|step| !step.state.is_terminal()) {
        step.change(StepState::Skipped, Some(StepReason::Stopped), facts.now);
    }
    Move::Finish { run: next }
}
