//! The part of a plan that decides when a step starts and how its failure counts.

use super::{Run, RunStep, StepReason, StepState};
use crate::project::plan::{OnFailure, Outcomes, Plan, SpawnLimits};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) needs: Vec<String>,
    when: BTreeMap<String, Outcomes>,
    pub(super) retries: u32,
    pub(super) outcomes: Vec<String>,
    allow_failure: bool,
    pub(super) cost_usd_micros: u64,
    pub(super) is_question: bool,
    pub(super) spawn: Option<SpawnLimits>,
    is_spawned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Later,
    Ready,
    Skip(StepReason),
}

impl Rules {
    pub(super) fn of(plan: &Plan, step: &RunStep) -> Self {
        let (planned, spawned, keys) = (plan.find_step(&step.name), step.spawned.as_ref(), step.keys(plan));
        let is_question = planned.is_some_and(|planned| planned.approve.is_some());
        let cost = spawned.map_or_else(|| keys.cost_usd_micros(), |spawned| spawned.cost_usd_micros);
        let needs = spawned.map(|spawned| &spawned.needs).or(planned.map(|planned| &planned.needs));
        Self {
            needs: needs.cloned().unwrap_or_default(),
            when: planned.map(|planned| planned.when.clone()).unwrap_or_default(),
            retries: keys.retries.unwrap_or_default(),
            outcomes: keys.outcomes.unwrap_or_default(),
            allow_failure: keys.allow_failure.unwrap_or_default(),
            cost_usd_micros: cost.filter(|_| !is_question).unwrap_or_default(),
            is_question,
            spawn: keys.spawn.filter(|_| spawned.is_none()),
            is_spawned: spawned.is_some(),
        }
    }

    pub(super) fn fails_run(&self) -> bool {
        !self.allow_failure && !self.is_spawned
    }
}

impl Run {
    pub(super) fn rules(&self, plan: &Plan) -> Vec<Rules> {
        self.steps.iter().map(|step| Rules::of(plan, step)).collect()
    }

    pub(super) fn has_failed(&self, rules: &[Rules]) -> bool {
        let is_failure = |step: &RunStep| matches!(step.state, StepState::Failed | StepState::Cancelled);
        self.steps.iter().zip(rules).any(|(step, rules)| is_failure(step) && rules.fails_run())
    }

    pub(super) fn is_stopped(&self, plan: &Plan, rules: &[Rules]) -> bool {
        plan.on_failure.unwrap_or_default() == OnFailure::Stop && self.has_failed(rules)
    }

    /// Whether a waiting step may start, by its needs and their outcomes.
    pub(super) fn start_of(&self, rules: &Rules, all: &[Rules]) -> Start {
        let needed = |name: &String| self.steps.iter().zip(all).find(|(step, _)| step.name == *name);
        let mut is_met = true;
        for (need, of_need) in rules.needs.iter().filter_map(needed) {
            is_met &= match (need.state, need.reason) {
                (state, _) if !state.is_terminal() => return Start::Later,
                (StepState::Done, _) | (StepState::Skipped, Some(StepReason::When)) => true,
                (StepState::Skipped, _) => false,
                _ => of_need.allow_failure,
            };
        }
        let outcome = |name: &String| self.find_step(name).and_then(|step| step.outcome.as_ref());
        let holds = |(need, wanted): (&String, &Outcomes)| {
            outcome(need).is_some_and(|outcome| wanted.as_slice().contains(outcome))
        };
        match is_met {
            false => Start::Skip(StepReason::NeedFailed),
            true if rules.when.iter().all(holds) => Start::Ready,
            true => Start::Skip(StepReason::When),
        }
    }
}
