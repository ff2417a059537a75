//! Roles: named keys of steps, and the built-in ones.

use super::{SpawnLimits, StepChanges, StepKeys, StepSandbox};
use serde::{Deserialize, Serialize};

/// Keys of the steps that name the role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Role {
    /// Text before the prompt of each step with this role.
    pub prompt: Option<String>,
    #[serde(flatten)]
    pub keys: StepKeys,
}

pub(super) const BUILT_IN_ROLES: [&str; 5] = ["planner", "implementer", "reviewer", "fixer", "manager"];

pub fn built_in_role(name: &str) -> Option<Role> {
    let read_only = StepKeys { sandbox: Some(StepSandbox::ReadOnly), ..StepKeys::default() };
    let optional = StepKeys { changes: Some(StepChanges::Optional), ..StepKeys::default() };
    let (prompt, keys) = match name {
        "planner" => ("Plan the work for another agent, step by step. Change no file.", read_only),
        "implementer" => ("Implement the task, with tests. Follow the plan if there is one.", StepKeys::default()),
        "reviewer" => {
            let outcomes = ["approved", "changes_requested"].map(str::to_owned).to_vec();
            (
                "Review the change of the earlier steps. Change no file.",
                StepKeys { outcomes: Some(outcomes), ..read_only },
            )
        }
        "fixer" => ("Fix the findings of the review. Skip a finding that is wrong, and explain why.", optional),
        "manager" => {
            let spawn = Some(SpawnLimits::default());
            ("Divide the task among other agents, and combine their results.", StepKeys { spawn, ..optional })
        }
        _ => return None,
    };
    Some(Role { prompt: Some(prompt.to_owned()), keys })
}
