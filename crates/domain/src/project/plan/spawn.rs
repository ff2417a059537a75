//! A step that the agent of a manager adds to its run.

use super::{Plan, PlanStep, StepBranch, StepKeys, StepLimits};
use serde::{Deserialize, Serialize};

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
