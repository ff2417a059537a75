//! The steps that a manager adds to its run.

use super::end::StepEnd;
use super::rules::Rules;
use super::{Run, RunStep, SpawnedStep, StepReason, StepState};
use crate::plan::{Plan, PlanFault, PlanStep, Role, SpawnLimits, StepBranch, StepKeys, StepLimits, check_added_steps};
use crate::text::truncate;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Steps of a plan and all that its managers added.
pub const MAX_RUN_STEPS: usize = 100;

const MAX_FAULT_CHARS: usize = 90;

/// A step in the output of a manager. It chooses no command.
///
/// An unknown key, such as a misspelt `needs`, is refused and not lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpawnRequest {
    /// Unique among all steps of this manager.
    pub name: String,
    /// One of the roles that the plan allows.
    pub role: String,
    /// Task of the agent.
    pub prompt: String,
    /// Names in the same list that must have ended before.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Agent (default: the role's, else the plan's).
    #[serde(default)]
    pub agent: Option<String>,
    /// Model, by the agent's own name for it.
    #[serde(default)]
    pub model: Option<String>,
    /// Limits of the job, which only lower those of the plan and the project.
    #[serde(default)]
    pub limits: StepLimits,
}

impl SpawnRequest {
    /// A step with a branch of its own, unless its role only reads. It may only lower the limits of the plan.
    pub fn as_step(&self, plan: &Plan) -> PlanStep {
        let of_role = plan.resolve_spawned(&plan.find_role(&self.role).unwrap_or_default());
        let branch = (!of_role.is_read_only()).then_some(StepBranch::Own);
        let limits = self.limits.clone().at_most(of_role.limits);
        let (agent, model) = (self.agent.clone(), self.model.clone());
        PlanStep {
            name: self.name.clone(),
            role: Some(self.role.clone()),
            needs: self.needs.clone(),
            prompt: Some(self.prompt.clone()),
            keys: StepKeys { agent, model, limits, branch, ..StepKeys::default() },
            ..PlanStep::default()
        }
    }
}

/// All faults of a manager's list, with pointers below `/spawn`.
pub fn check_spawn(run: &Run, plan: &Plan, manager: &RunStep, list: &[SpawnRequest]) -> Vec<PlanFault> {
    let whole = |fault: String| vec![PlanFault::new("/spawn", fault)];
    let Some(limits) = Rules::of(plan, manager).spawn else {
        return whole("the plan does not allow this step to add steps".into());
    };
    if let Some(fault) = check_count(&limits, manager.turn, list.len()) {
        return vec![fault];
    }
    if run.steps.len() + list.len() > MAX_RUN_STEPS {
        return whole(format!("a run has at most {MAX_RUN_STEPS} steps"));
    }
    check_list(plan, &limits, list, |name| run.find_step(&full_name(manager, name)).is_some())
}

/// The faults of a list that its runner can find without the plan. `limits.turns`: the turns that are left, with this one.
/// `taken`: names of the steps of earlier turns.
pub fn check_spawn_form(limits: &SpawnLimits, taken: &[String], list: &[SpawnRequest]) -> Vec<PlanFault> {
    if let Some(fault) = check_count(limits, 0, list.len()) {
        return vec![fault];
    }
    let roles = limits.roles.iter().map(|role| (role.clone(), Role::default())).collect();
    check_list(&Plan { roles, ..Plan::default() }, limits, list, |name| taken.iter().any(|one| one == name))
}

fn check_count(limits: &SpawnLimits, turn: u32, count: usize) -> Option<PlanFault> {
    let most = usize::try_from(limits.most).unwrap_or(MAX_RUN_STEPS);
    let fault = match count {
        0 => return None,
        _ if turn + 1 >= limits.turns => "this is the last turn, so it can add no steps".to_owned(),
        count if count > most => format!("use at most {most} steps"),
        _ => return None,
    };
    Some(PlanFault::new("/spawn", fault))
}

fn check_list(
    plan: &Plan,
    limits: &SpawnLimits,
    list: &[SpawnRequest],
    is_taken: impl Fn(&str) -> bool,
) -> Vec<PlanFault> {
    let mut faults = check_added_steps(plan, list.iter().map(|request| request.as_step(plan)).collect(), "/spawn");
    for (index, request) in list.iter().enumerate() {
        if !limits.roles.contains(&request.role) {
            let fault = format!("use one of the roles {}", limits.roles.join(", "));
            faults.push(PlanFault::new(format!("/spawn/{index}/role"), fault));
        }
        if is_taken(&request.name) {
            faults.push(PlanFault::new(format!("/spawn/{index}/name"), "a step of an earlier turn has this name"));
        }
    }
    faults
}

fn full_name(manager: &RunStep, name: &str) -> String {
    format!("{}/{name}", manager.name)
}

impl Run {
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
