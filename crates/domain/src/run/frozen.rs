//! The data that a run freezes when it is submitted, and the context of its steps.

use super::rules::Rules;
use super::step_context::{MAX_RESULTS_CHARS, NeedResult, PatchSource, StepContext};
use super::{Run, RunStep, SpawnedStep, StepState};
use crate::project::Repository;
use crate::project::plan::{Plan, PlanStep, PullRequestForm};
use crate::text::truncate;
use crate::text::untrusted::{remove_hidden, truncate_with_count};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MAX_TITLE_CHARS: usize = 120;

/// Stored with the run and never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrozenPlan {
    pub plan: Plan,
    pub parameters: BTreeMap<String, String>,
    /// The repository at the submission. Later jobs use the stored repository while it exists.
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
        // The parameter may be the name.
        let line = line.filter(|line| !line.starts_with(name.as_str()));
        truncate(&line.map_or_else(|| name.clone(), |line| format!("{name}: {line}")), MAX_TITLE_CHARS)
    }

    /// The context of a step's job, with the results of its `inputs_of`.
    pub fn step_context(
        &self,
        run: &Run,
        (of, step): (&RunStep, &PlanStep),
        inputs: Vec<(&RunStep, StepResult)>,
    ) -> StepContext {
        // All results of a step fit into its prompt and into one item.
        let most = MAX_RESULTS_CHARS / inputs.len().max(8);
        let cut = |text: &str| truncate_with_count(remove_hidden(text).trim(), most);
        let need = |(need, result): (&RunStep, StepResult)| {
            // An earlier turn of the step itself is done, although the step is not.
            let result = Some(result).filter(|_| need.state == StepState::Done || need.name == of.name);
            let StepResult { summary, patch } = result.unwrap_or_default();
            let end = if need.name == of.name { "your last turn" } else { need.state.as_str() };
            NeedResult {
                name: need.name.clone(),
                end: end.to_owned(),
                outcome: need.outcome.clone(),
                summary: summary.map(|text| cut(&text)),
                patch,
            }
        };
        let keys = of.resolve(&self.plan, step);
        let own_branch = keys.has_own_branch().then(|| run.own_branch(of));
        let opens = run.result.is_none() && !keys.is_read_only() && own_branch.is_none();
        StepContext {
            title: if opens { run.name.clone() } else { format!("{}: {}", of.name, run.name) },
            role: step.role.as_deref().and_then(|role| self.plan.find_role(role)).and_then(|role| role.prompt),
            parameters: self.parameters.clone(),
            needs: inputs.into_iter().map(need).collect(),
            reports: keys.reports(),
            may_change_nothing: keys.may_change_nothing(),
            own_branch,
            starts_from: run.result.as_ref().map(|result| result.branch.clone()),
            spawn: keys.spawn.clone().map(|limits| run.spawn_left(limits, of)),
            taken: run.added_names(of),
            outcomes: keys.outcomes.unwrap_or_default(),
            is_draft: self.plan.pull_request == Some(PullRequestForm::Draft),
        }
    }
}

/// The result of a step for the steps that need it.
#[derive(Clone, Debug, Default)]
pub struct StepResult {
    pub summary: Option<String>,
    /// The commit, if the step has a branch of its own.
    pub patch: Option<PatchSource>,
}

impl Run {
    /// The steps whose results the step's job gets: its needs. After a manager's first turn also the manager itself and
    /// the steps that it added last.
    pub fn inputs_of<'a>(&'a self, plan: &Plan, step: &RunStep) -> Vec<&'a RunStep> {
        let rules = Rules::of(plan, step);
        let needed = rules.needs.iter().filter_map(|name| self.find_step(name));
        let added = self.added_in_last_turn(step);
        let own = self.steps.iter().filter(|of| of.name == step.name && step.turn > 0);
        needed.chain(own).chain(added).collect()
    }

    pub fn added_in_last_turn<'a>(&'a self, step: &RunStep) -> Vec<&'a RunStep> {
        let is_added = |spawned: &SpawnedStep| spawned.by == step.name && spawned.turn + 1 == step.turn;
        self.steps.iter().filter(|added| added.spawned.as_ref().is_some_and(is_added)).collect()
    }

    /// Each job has another branch, because an earlier job may have pushed. Names of steps contain neither dots nor
    /// underscores, so the branches of two steps differ, and none ends with `.lock`, which git refuses.
    fn own_branch(&self, step: &RunStep) -> String {
        let id = self.id.as_str();
        let tail = id.get(id.len().saturating_sub(8)..).unwrap_or(id);
        let number = if step.jobs > 1 { format!(".{}", step.jobs) } else { String::new() };
        format!("pullyard/{}/run-{tail}-{}{number}", self.project, step.name.replace('/', "_"))
    }
}
