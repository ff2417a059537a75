//! The data that a run freezes when it is submitted, and the context of its steps.

use super::{Run, RunStep, StepState};
use crate::plan::{Plan, PlanStep, PullRequestForm};
use crate::project::Repository;
use crate::prompt::step::{MAX_RESULTS_CHARS, NeedResult, StepContext};
use crate::prompt::untrusted::{remove_hidden, truncate_with_count};
use crate::text::truncate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MAX_TITLE_CHARS: usize = 120;

/// Stored once with the run. It never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrozenPlan {
    pub plan: Plan,
    pub parameters: BTreeMap<String, String>,
    /// As it was; later jobs use the stored one, if it still exists.
    pub repository: Repository,
    /// Branch from which the work starts.
    pub base: String,
}

impl FrozenPlan {
    /// The plan's name, and the first line of its only parameter: `contributor: Retry on 503`.
    pub fn title(&self) -> String {
        let name = &self.plan.name;
        let mut values = self.parameters.values();
        let value = values.next().filter(|_| values.next().is_none());
        let line = value.and_then(|value| value.lines().map(str::trim).find(|line| !line.is_empty()));
        truncate(&line.map_or_else(|| name.clone(), |line| format!("{name}: {line}")), MAX_TITLE_CHARS)
    }

    /// The context of a step's job. `summary` gives the result of a needed step.
    pub fn step_context(
        &self,
        run: &Run,
        step: &PlanStep,
        summary: impl Fn(&RunStep) -> Option<String>,
    ) -> StepContext {
        let needs = step.needs.iter().filter_map(|name| run.find_step(name));
        // All results of a step fit into its prompt and into one item.
        let most = MAX_RESULTS_CHARS / step.needs.len().max(8);
        let cut = |text: &str| truncate_with_count(remove_hidden(text).trim(), most);
        let result = |need: &RunStep| NeedResult {
            name: need.name.clone(),
            end: need.state.as_str().to_owned(),
            outcome: need.outcome.clone(),
            summary: summary(need).filter(|_| need.state == StepState::Done).map(|text| cut(&text)),
        };
        let keys = self.plan.resolve(step);
        let opens = run.result.is_none() && !keys.is_read_only();
        StepContext {
            title: if opens { run.name.clone() } else { format!("{}: {}", step.name, run.name) },
            role: step.role.as_deref().and_then(|role| self.plan.find_role(role)).and_then(|role| role.prompt),
            parameters: self.parameters.clone(),
            needs: needs.map(result).collect(),
            outcomes: keys.outcomes.unwrap_or_default(),
            is_changed: run.result.is_some(),
            is_draft: self.plan.pull_request == Some(PullRequestForm::Draft),
        }
    }
}
