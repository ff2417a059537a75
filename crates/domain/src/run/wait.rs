//! Decides whether a step may start, and else names the first thing that it waits for.

use super::explain::StepWait;
use super::facts::{ReleaseBlock, RunFacts};
use super::rules::{Rules, Start};
use super::{Run, StepState};
use crate::project::budget::format_usd;

impl Run {
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
                return Some(StepWait::NeedsSteps { step: name, steps: steps.join(", ").into() });
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
            _ if open >= limit && !rules.is_question => StepWait::RunLimit { n: to_fact(open), limit: to_fact(limit) },
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
