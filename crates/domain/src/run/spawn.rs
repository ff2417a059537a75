//! The steps that a manager adds to its run.

use super::end::StepEnd;
use super::rules::Rules;
use super::{Run, RunStep, SpawnedStep, StepReason, StepState};
use crate::plan::{Plan, PlanFault, PlanStep, StepBranch, StepKeys, StepLimits, check_added_steps};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Steps of a plan and all that its managers added.
pub const MAX_RUN_STEPS: usize = 100;

/// A step in the output of a manager. It chooses no command.
///
/// Its JSON Schema refuses unknown keys. A stored output may have those of a newer program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
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
    /// Limits of the job, not above the project's.
    #[serde(default)]
    pub limits: StepLimits,
}

impl SpawnRequest {
    fn as_step(&self) -> PlanStep {
        let (agent, model, limits) = (self.agent.clone(), self.model.clone(), self.limits.clone());
        PlanStep {
            name: self.name.clone(),
            role: Some(self.role.clone()),
            needs: self.needs.clone(),
            prompt: Some(self.prompt.clone()),
            keys: StepKeys { agent, model, limits, branch: Some(StepBranch::Own), ..StepKeys::default() },
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
    let most = usize::try_from(limits.most).unwrap_or(MAX_RUN_STEPS);
    if list.len() > most {
        return whole(format!("use at most {most} steps"));
    }
    if manager.turn + 1 >= limits.turns {
        return whole(format!("this is the last of {} turns, so it can add no steps", limits.turns));
    }
    if run.steps.len() + list.len() > MAX_RUN_STEPS {
        return whole(format!("a run has at most {MAX_RUN_STEPS} steps"));
    }
    let mut faults = check_added_steps(plan, list.iter().map(SpawnRequest::as_step).collect(), "/spawn");
    for (index, request) in list.iter().enumerate() {
        if !limits.roles.contains(&request.role) {
            let fault = format!("use one of the roles {}", limits.roles.join(", "));
            faults.push(PlanFault::new(format!("/spawn/{index}/role"), fault));
        }
        if run.find_step(&full_name(manager, &request.name)).is_some() {
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
        let is_allowed = check_spawn(self, plan, &manager, &end.spawn).is_empty();
        if let Some(step) = self.steps.get_mut(index) {
            match is_allowed {
                true => step.change(StepState::Spawning, None, now),
                false => step.change(StepState::Failed, Some(StepReason::SpawnInvalid), now),
            }
        }
        for request in end.spawn.iter().filter(|_| is_allowed) {
            let spawned = SpawnedStep {
                by: manager.name.clone(),
                turn: manager.turn,
                job: job.clone(),
                role: request.role.clone(),
                needs: request.needs.iter().map(|need| full_name(&manager, need)).collect(),
                cost_usd_micros: plan.resolve(&request.as_step()).cost_usd_micros(),
            };
            let step = RunStep::new(full_name(&manager, &request.name), now);
            self.steps.push(RunStep { spawned: Some(spawned), ..step });
        }
    }
}
