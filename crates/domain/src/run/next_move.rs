//! The next write of a run.

use super::explain::StepWait;
use super::facts::{JobEnd, RunFacts, StepEnd, StepJob};
use super::rules::{Rules, Start};
use super::run_move::{Move, StepJobPlan};
use super::{Run, RunFailure, RunState, RunWant, StepReason, StepState, WorkLeft};
use crate::run::due::{self, Due};
use crate::text::failure::FailureClass;
use crate::text::id::JobId;
use crate::text::time::Timestamp;

/// A transaction has a limit of items.
const MAX_NOTED_JOBS: usize = 16;
const MAX_NEW_JOBS: usize = 8;

/// Idempotent: a repeat after the write decides from the stored run. The ids of new jobs depend on the run alone.
pub fn next_move(run: &Run, facts: &RunFacts) -> Option<Move> {
    if run.state != RunState::Running {
        return None;
    }
    let next = Run { left: None, ..run.clone() };
    let mut next = Move { run: next, noted: Vec::new(), created: Vec::new(), cancelled: Vec::new(), group: None };
    next.note_ends(facts);
    if next.run.left.is_none() {
        next.advance(facts);
    }
    // This write moves the run's due time, if that has passed.
    let is_due = matches!(due::run(run), Some(Due::At(at)) if at <= facts.now);
    let is_needed = next.run != *run || !next.cancelled.is_empty() || next.group.is_some() || is_due;
    next.run.moved = facts.now;
    is_needed.then_some(next)
}

impl Move {
    fn note_ends(&mut self, facts: &RunFacts) {
        let rules = self.run.rules(facts.plan);
        let lost = StepEnd::new(JobEnd::Failed(FailureClass::Infra));
        let mut ends: Vec<(usize, &StepEnd)> = Vec::new();
        for (index, step) in self.run.steps.iter().enumerate().filter(|(_, step)| step.state == StepState::Open) {
            match step.job.as_ref().and_then(|job| facts.jobs.get(job)) {
                Some(StepJob::Open { .. }) => {}
                Some(StepJob::Ended(end)) => ends.push((index, end)),
                None => ends.push((index, &lost)),
            }
        }
        // A failure that stops the run refuses the retries that are noted with it.
        let may_retry = |(index, end): &(usize, &StepEnd)| rules.get(*index).is_some_and(|rules| end.may_retry(rules));
        ends.sort_by_key(may_retry);
        self.run.left = (ends.len() > MAX_NOTED_JOBS).then_some(WorkLeft::Now);
        for (index, end) in ends.into_iter().take(MAX_NOTED_JOBS) {
            let job = self.run.steps.get(index).and_then(|step| step.job.clone());
            self.noted.extend(job.filter(|job| facts.jobs.contains_key(job)));
            self.run.note_end(index, end, &rules, facts);
        }
    }

    /// Starts steps or ends the run, as the noted ends allow.
    fn advance(&mut self, facts: &RunFacts) {
        let rules = self.run.rules(facts.plan);
        let is_ending = self.run.is_ending(facts.now);
        let is_stopped = self.run.is_stopped(facts.plan, &rules);
        if is_ending {
            let is_asked = |job: &&JobId| matches!(facts.jobs.get(*job), Some(StepJob::Open { is_cancelled: true }));
            self.cancelled = self.run.open_jobs().filter(|job| !is_asked(job)).cloned().collect();
        }
        let is_short_of_cost = !is_ending && !is_stopped && {
            self.run.skip(&rules, facts.now);
            self.take_place(facts);
            self.release(&rules, facts)
        };
        let is_over = self.run.steps.iter().all(|step| step.state.is_terminal());
        let is_asked = self.run.steps.iter().any(|step| step.state == StepState::Asked);
        // Only the end of an open job returns a part of the cost limit. A user may still answer.
        let is_short_of_cost = is_short_of_cost && !is_asked;
        if (is_over || is_ending || is_stopped || is_short_of_cost) && self.run.open_jobs().next().is_none() {
            self.run.finish(&rules, facts.now);
            self.leave_group(facts);
        }
    }

    /// Starts as many steps as the limits allow, in the order of the plan. Returns whether a step lacks cost.
    fn release(&mut self, rules: &[Rules], facts: &RunFacts) -> bool {
        let mut is_short_of_cost = false;
        for (index, of_step) in rules.iter().enumerate() {
            let wait = self.run.wait_of(index, rules, facts);
            let left = match &wait {
                Some(StepWait::ProjectHeld { .. } | StepWait::DayBudget { .. }) => Some(WorkLeft::Held),
                Some(StepWait::GroupBusy { .. }) => Some(WorkLeft::Group),
                _ => None,
            };
            self.run.left = self.run.left.or(left);
            is_short_of_cost |= matches!(wait, Some(StepWait::RunCost { .. }));
            if !matches!(wait, Some(StepWait::Starting { .. })) {
                continue;
            }
            let run = self.run.id.clone();
            let Some(step) = self.run.steps.get_mut(index) else { continue };
            if of_step.is_question {
                step.started = Some(facts.now);
                step.change(StepState::Asked, None, facts.now);
            } else if self.created.len() >= MAX_NEW_JOBS.min(facts.room) {
                self.run.left = Some(WorkLeft::Now);
            } else {
                step.turn += u32::from(step.state == StepState::Spawning);
                step.jobs += 1;
                let id = JobId::for_step(&run, &step.name, step.jobs);
                let previous = step.job.replace(id.clone());
                step.reserved_usd_micros = of_step.cost_usd_micros;
                step.outcome = None;
                step.started = Some(facts.now);
                step.change(StepState::Open, None, facts.now);
                self.created.push(StepJobPlan { id, step: step.name.clone(), turn: step.turn, previous });
            }
        }
        is_short_of_cost
    }
}

impl Run {
    /// Skips steps, whose dependents may be skipped in turn.
    fn skip(&mut self, rules: &[Rules], now: Timestamp) {
        let mut is_changed = true;
        while std::mem::take(&mut is_changed) {
            for (index, of_step) in rules.iter().enumerate() {
                let is_waiting = self.steps.get(index).is_some_and(|step| step.state == StepState::Waiting);
                if let (true, Start::Skip(reason)) = (is_waiting, self.start_of(of_step, rules))
                    && let Some(step) = self.steps.get_mut(index)
                {
                    step.change(StepState::Skipped, Some(reason), now);
                    is_changed = true;
                }
            }
        }
    }

    /// Ends a run without open jobs.
    fn finish(&mut self, rules: &[Rules], now: Timestamp) {
        let has_rest = self.steps.iter().any(|step| !step.state.is_terminal());
        let is_cut = |(step, rules): (&super::RunStep, &Rules)| step.state == StepState::Cancelled && rules.fails_run();
        let is_cut = has_rest || self.steps.iter().zip(rules).any(is_cut);
        (self.state, self.failure) = match () {
            () if is_cut && self.failure == Some(RunFailure::PlaceGone) => (RunState::Failed, self.failure),
            () if is_cut && self.want == RunWant::Cancel => (RunState::Cancelled, None),
            () if is_cut && now >= self.wall_end() => (RunState::Failed, Some(RunFailure::TimeLimit)),
            () if self.has_failed(rules) => (RunState::Failed, Some(RunFailure::StepFailed)),
            () if has_rest => (RunState::Failed, Some(RunFailure::CostLimit)),
            () => (RunState::Completed, None),
        };
        (self.left, self.ended_at) = (None, Some(now));
        for step in self.steps.iter_mut().filter(|step| !step.state.is_terminal()) {
            step.change(StepState::Skipped, Some(StepReason::Stopped), now);
        }
    }
}
