//! The steps that a manager adds to its run.

use super::facts::StepEnd;
use super::rules::Rules;
use super::{Run, RunStep, SpawnedStep, StepReason, StepState};
use crate::project::plan::{Plan, PlanFault, Role, SpawnLimits, SpawnRequest, check_added_steps};
use crate::text::time::Timestamp;
use crate::text::truncate;

/// Steps of a plan and all that its managers added.
const MAX_RUN_STEPS: usize = 100;

const MAX_FAULT_CHARS: usize = 200;

/// All faults of a manager's list, with pointers below `/spawn`.
pub fn check_spawn(run: &Run, plan: &Plan, manager: &RunStep, list: &[SpawnRequest]) -> Vec<PlanFault> {
    match Rules::of(plan, manager).spawn {
        None => vec![PlanFault::new("/spawn", "the plan does not allow this step to add steps")],
        Some(_) if run.steps.len() + list.len() > MAX_RUN_STEPS => {
            vec![PlanFault::new("/spawn", format!("a run has at most {MAX_RUN_STEPS} steps"))]
        }
        Some(limits) => check_list(plan, &run.spawn_left(limits, manager), &run.added_names(manager), list),
    }
}

/// The faults of a list that its runner can find without the plan.
pub fn check_spawn_form(left: &SpawnLimits, taken: &[String], list: &[SpawnRequest]) -> Vec<PlanFault> {
    let roles = left.roles.iter().map(|role| (role.clone(), Role::default())).collect();
    check_list(&Plan { roles, ..Plan::default() }, left, taken, list)
}

/// `left`: the limits of this turn. `taken`: names of the steps of earlier turns.
fn check_list(plan: &Plan, left: &SpawnLimits, taken: &[String], list: &[SpawnRequest]) -> Vec<PlanFault> {
    if left.turns <= 1 && !list.is_empty() {
        return vec![PlanFault::new("/spawn", "this is the last turn, so it can add no steps")];
    }
    if list.len() > usize::try_from(left.most).unwrap_or(MAX_RUN_STEPS) {
        return vec![PlanFault::new("/spawn", format!("use at most {} steps", left.most))];
    }
    let mut faults = check_added_steps(plan, list.iter().map(|request| request.as_step(plan)).collect(), "/spawn");
    for (index, request) in list.iter().enumerate() {
        if !left.roles.contains(&request.role) {
            let fault = format!("use one of the roles {}", left.roles.join(", "));
            faults.push(PlanFault::new(format!("/spawn/{index}/role"), fault));
        }
        if taken.contains(&request.name) {
            faults.push(PlanFault::new(format!("/spawn/{index}/name"), "a step of an earlier turn has this name"));
        }
    }
    faults
}

fn full_name(manager: &RunStep, name: &str) -> String {
    format!("{}/{name}", manager.name)
}

impl Run {
    /// The limits of a manager's turn; `turns` counts those that are left, with this one.
    pub(super) fn spawn_left(&self, limits: SpawnLimits, manager: &RunStep) -> SpawnLimits {
        let room = u32::try_from(MAX_RUN_STEPS.saturating_sub(self.steps.len())).unwrap_or_default();
        match limits.most.min(room) {
            0 => SpawnLimits { turns: 1, ..limits },
            most => SpawnLimits { turns: limits.turns.saturating_sub(manager.turn), most, ..limits },
        }
    }

    /// The names of the steps that a manager has added, without the prefix of the manager.
    pub(super) fn added_names(&self, manager: &RunStep) -> Vec<String> {
        let is_added = |step: &&RunStep| step.spawned.as_ref().is_some_and(|spawned| spawned.by == manager.name);
        let added = self.steps.iter().filter(is_added);
        added.filter_map(|step| Some(step.name.split_once('/')?.1.to_owned())).collect()
    }

    /// Adds the steps of a manager's ended job. The manager fails if they are not allowed.
    ///
    /// Two managers that end together may exceed `MAX_RUN_STEPS`. The second list is then lost: a rare case, in which a
    /// repeated turn would cost the same as a resume.
    pub(super) fn add_steps(&mut self, index: usize, end: &StepEnd, plan: &Plan, now: Timestamp) {
        let Some(manager) = self.steps.get(index).cloned() else { return };
        let Some(job) = manager.job.clone() else { return };
        let fault = check_spawn(self, plan, &manager, &end.spawn).first().map(PlanFault::to_string);
        let fault = fault.or_else(|| end.spawn_fault.clone());
        if let Some(step) = self.steps.get_mut(index) {
            match &fault {
                None => step.change(StepState::Spawning, None, now),
                Some(fault) => {
                    step.change(StepState::Failed, Some(StepReason::SpawnInvalid), now);
                    step.fault = Some(truncate(fault, MAX_FAULT_CHARS));
                }
            }
        }
        for request in end.spawn.iter().filter(|_| fault.is_none()) {
            let spawned = SpawnedStep {
                by: manager.name.clone(),
                turn: manager.turn,
                job: job.clone(),
                role: request.role.clone(),
                needs: request.needs.iter().map(|need| full_name(&manager, need)).collect(),
                cost_usd_micros: plan.resolve(&request.as_step(plan)).cost_usd_micros(),
            };
            let step = RunStep::new(full_name(&manager, &request.name), now);
            self.steps.push(RunStep { spawned: Some(spawned), ..step });
        }
    }
}
