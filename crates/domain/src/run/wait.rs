//! Why a step of a running run has not ended, in one sentence.

use super::next_move::{ReleaseBlock, RunFacts};
use super::rules::{Rules, Start};
use super::{Run, RunState, StepState};
use crate::budget::format_usd;
use crate::code::vocabulary;
use crate::id::{ProjectId, RunId};
use crate::wait::Resolution;

vocabulary! {
    pub enum StepWait: Resolution {
        RunEnding { step: String } [Itself] "run_ending", "The run ends, so {step} does not start.", "Nothing to do.";
        NeedsSteps { step: String, steps: String } [Itself] "needs_steps", "{step} waits for {steps}.", "Nothing to do.";
        AddedSteps { step: String, n: u64 } [Itself] "added_steps", "{step} waits for {n} of its added steps.", "Nothing to do.";
        Approval { step: String, run: RunId } [Person] "approval", "{step} waits for a user.", "`pullyard runs approve {run}/{step}`, or `pullyard runs refuse {run}/{step}`.";
        ProjectHeld { project: ProjectId } [Person] "project_held", "{project} is held.", "Release it: `pullyard release`.";
        DayBudget { project: ProjectId } [Itself] "day_budget", "The budget of {project} is used up for today.", "Wait until midnight UTC, or raise it: `pullyard budgets set`.";
        GroupBusy { n: u64, limit: u64, group: String, ahead: u64, first: RunId } [Itself] "group_busy", "{n} of {limit} runs of {group} are working; {ahead} are ahead.", "Wait; or `pullyard runs show {first}`, and `pullyard runs cancel {first}` frees its place.";
        RunLimit { n: u64, limit: u64 } [Itself] "run_limit", "{n} of {limit} steps of the run have a job.", "Nothing to do; `concurrency_limit` in the plan is the limit of its next run.";
        RunCost { step: String, cost: String, left: String } [Itself] "run_cost", "{step} needs {cost}, and {left} of the run's limit is free.", "Nothing to do while a step works; else answer the question, then `pullyard runs resume --cost-usd N` if the run ends.";
        Starting { step: String } [Itself] "starting", "{step} is about to start.", "Nothing to do.";
    }
}

impl Run {
    /// The first thing that the step waits for. `None`: it has ended, or its job explains the wait.
    pub fn step_wait(&self, name: &str, facts: &RunFacts) -> Option<StepWait> {
        let index = self.steps.iter().position(|step| step.name == name).filter(|_| self.state == RunState::Running)?;
        self.wait_of(index, &self.rules(facts.plan), facts)
    }

    pub(super) fn wait_of(&self, index: usize, all: &[Rules], facts: &RunFacts) -> Option<StepWait> {
        let (step, rules) = (self.steps.get(index)?, all.get(index)?);
        let name = step.name.clone();
        if !matches!(step.state, StepState::Waiting | StepState::Spawning | StepState::Asked) {
            return None;
        }
        if self.is_ending(facts.now) || self.is_stopped(facts.plan, all) {
            return Some(StepWait::RunEnding { step: name });
        }
        match step.state {
            StepState::Asked => return Some(StepWait::Approval { step: name, run: self.id.clone() }),
            StepState::Spawning => {
                let open = self.steps.iter().filter(|added| added.is_added_by(step) && !added.state.is_terminal());
                let n = to_fact(open.count());
                if n > 0 {
                    return Some(StepWait::AddedSteps { step: name, n });
                }
            }
            _ if self.start_of(rules, all) == Start::Later => {
                let is_open = |need: &&String| self.find_step(need).is_some_and(|need| !need.state.is_terminal());
                let steps: Vec<&str> = rules.needs.iter().filter(is_open).map(String::as_str).collect();
                return Some(StepWait::NeedsSteps { step: name, steps: steps.join(", ") });
            }
            _ => {}
        }
        let project = self.project.clone();
        let group = self.group_wait(facts);
        let (open, limit) = (self.open_jobs().count(), facts.plan.concurrency_limit());
        let free = self.free_usd_micros().filter(|free| *free < rules.cost_usd_micros);
        Some(match (facts.block, free) {
            // First: a release of the project or a new day would wake the runs that still wait for their group.
            _ if group.is_some() => return group,
            (Some(ReleaseBlock::Held), _) => StepWait::ProjectHeld { project },
            (Some(ReleaseBlock::Budget), _) => StepWait::DayBudget { project },
            _ if rules.is_question => StepWait::Starting { step: name },
            _ if open >= limit => StepWait::RunLimit { n: to_fact(open), limit: to_fact(limit) },
            (None, Some(free)) => {
                StepWait::RunCost { step: name, cost: format_usd(rules.cost_usd_micros), left: format_usd(free) }
            }
            (None, None) => StepWait::Starting { step: name },
        })
    }
}

pub(super) fn to_fact(count: usize) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
