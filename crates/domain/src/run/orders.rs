//! Orders of users: cancel, resume, approve and refuse, each one write of the run, and the pull request of a step.

use super::rules::{Rules, Start};
use super::{Run, RunState, RunStep, RunWant, StepReason, StepState, WorkLeft};
use crate::project::budget::format_usd;
use crate::project::plan::Plan;
use crate::review::output;
use crate::text::denial::Denial;
use crate::text::id::JobId;
use crate::text::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Approve,
    Refuse,
}

/// Name of the user, and the time.
type Signature<'a> = (&'a str, Timestamp);

impl Run {
    /// Idempotent: a repeat returns an equal run.
    pub fn cancel(&self, (by, now): Signature<'_>) -> Result<Self, Denial> {
        match (self.state, self.want) {
            (RunState::Running, RunWant::Cancel) => Ok(self.clone()),
            (RunState::Running, RunWant::Run) => {
                Ok(Self { want: RunWant::Cancel, ordered_by: Some(by.to_owned()), ..self.ordered(now) })
            }
            _ => Err(Denial::RunEnded { run: self.id.clone() }),
        }
    }

    /// Starts the failed, cancelled and skipped steps again. Done ones stay, and the time limit starts again.
    ///
    /// `cost_usd_micros` replaces the cost limit of a run that has one.
    pub fn resume(&self, plan: &Plan, cost_usd_micros: Option<u64>, (by, now): Signature<'_>) -> Result<Self, Denial> {
        let run = self.id.clone();
        let is_resumed = self.since > self.created && !self.is_ending(now);
        let has_limit = cost_usd_micros.is_none_or(|cost| self.cost_usd_micros == Some(cost));
        match self.state {
            // A repeat, whose first answer was lost.
            RunState::Running if is_resumed && has_limit => return Ok(self.clone()),
            RunState::Running => return Err(Denial::RunNotOver { run }),
            RunState::Completed => return Err(Denial::RunCompleted { run }),
            // The results for later steps and the prompts of added steps are outputs.
            _ if now >= self.created.plus(output::RETENTION) => return Err(Denial::RunExpired { run }),
            _ if cost_usd_micros.is_some() && self.cost_usd_micros.is_none() => {
                return Err(Denial::RunUnlimited { run });
            }
            RunState::Failed | RunState::Cancelled => {}
        }
        let mut next = self.ordered(now);
        (next.state, next.failure, next.ended_at) = (RunState::Running, None, None);
        (next.want, next.since, next.ordered_by) = (RunWant::Run, now, Some(by.to_owned()));
        next.cost_usd_micros = cost_usd_micros.or(self.cost_usd_micros);
        let rules = self.rules(plan);
        // A manager is before its added steps.
        for index in 0..next.steps.len() {
            if next.has_to_repeat(index) {
                next.restart(index, now);
            }
        }
        // The outcome that a condition requires may still come.
        let is_waiting = |run: &Self, name: &String| run.find_step(name).is_some_and(|need| !need.state.is_terminal());
        let is_open = |run: &Self, index: usize| {
            let is_skipped = run.steps.get(index).is_some_and(|step| step.reason == Some(StepReason::When));
            is_skipped && rules.get(index).is_some_and(|rules| rules.needs.iter().any(|need| is_waiting(run, need)))
        };
        while let Some(index) = (0..next.steps.len()).find(|index| is_open(&next, *index)) {
            next.restart(index, now);
        }
        let is_next = |(step, of_step): &(&RunStep, &Rules)| {
            step.state == StepState::Waiting && !of_step.is_question && next.start_of(of_step, &rules) == Start::Ready
        };
        let restarted = next.steps.iter().zip(&rules).filter(is_next);
        let needed = restarted.map(|(_, rules)| rules.cost_usd_micros).min().unwrap_or_default();
        match next.free_usd_micros() {
            Some(free) if free < needed => {
                let (spent, needed) = (format_usd(self.spent_usd_micros), format_usd(needed));
                Err(Denial::RunCostTooLow { run, spent, needed })
            }
            _ => Ok(next),
        }
    }

    /// Whether an ended step starts again, given the earlier ones that do.
    fn has_to_repeat(&self, index: usize) -> bool {
        let Some(step) = self.steps.get(index) else { return false };
        // The manager of an earlier turn has used the result.
        let is_needed = step.spawned.as_ref().is_none_or(|spawned| {
            let manager = self.find_step(&spawned.by);
            manager.is_some_and(|manager| manager.state == StepState::Spawning && manager.turn == spawned.turn)
        });
        let is_ended = matches!(step.state, StepState::Failed | StepState::Cancelled | StepState::Skipped);
        is_needed && is_ended && step.reason != Some(StepReason::When)
    }

    fn restart(&mut self, index: usize, now: Timestamp) {
        // A manager whose list of this turn was accepted does not repeat the turn.
        let has_added =
            self.steps.get(index).is_some_and(|step| self.steps.iter().any(|added| added.is_added_by(step)));
        if let Some(step) = self.steps.get_mut(index) {
            step.change(if has_added { StepState::Spawning } else { StepState::Waiting }, None, now);
            (step.retries, step.outcome) = (0, None);
        }
    }

    /// Answers a question. Idempotent: a repeat of the answer returns an equal run.
    pub fn answer(
        &self,
        step: &RunStep,
        answer: Answer,
        plan: &Plan,
        (by, now): Signature<'_>,
    ) -> Result<Self, Denial> {
        let no_question = || Denial::NoQuestion { step: step.name.clone(), run: self.id.clone() };
        let rules = self.rules(plan);
        let mut next = self.ordered(now);
        let mut steps = next.steps.iter_mut().zip(&rules);
        let asked = steps.find(|(asked, rules)| asked.name == step.name && rules.is_question);
        let (asked, _) = asked.ok_or_else(no_question)?;
        let (state, reason) = match answer {
            Answer::Approve => (StepState::Done, None),
            Answer::Refuse => (StepState::Failed, Some(StepReason::Refused)),
        };
        match asked.state {
            _ if (asked.state, asked.reason) == (state, reason) => return Ok(self.clone()),
            _ if self.state != RunState::Running || self.is_ending(now) || self.is_stopped(plan, &rules) => {
                return Err(Denial::RunEnded { run: self.id.clone() });
            }
            StepState::Asked => {
                asked.change(state, reason, now);
                asked.by = Some(by.to_owned());
            }
            _ => return Err(no_question()),
        }
        Ok(next)
    }

    /// The job of a done step with a branch of its own, whose pull request a user may open.
    pub fn own_branch_job<'a>(&self, plan: &Plan, step: &'a RunStep) -> Result<&'a JobId, Denial> {
        let (name, run) = (step.name.clone(), self.id.clone());
        match (&step.job, step.state) {
            _ if !step.keys(plan).has_own_branch() => Err(Denial::NoOwnBranch { step: name, run }),
            (Some(job), StepState::Done) => Ok(job),
            (_, state) => Err(Denial::StepNotDone { step: name, run, state: state.as_str().to_owned() }),
        }
    }

    #[must_use]
    pub fn with_pull_request(mut self, name: &str, url: &str) -> Self {
        if let Some(step) = self.steps.iter_mut().find(|step| step.name == name) {
            step.pull_request = Some(url.to_owned());
        }
        self
    }

    fn ordered(&self, now: Timestamp) -> Self {
        Self { left: Some(WorkLeft::Now), moved: now, ..self.clone() }
    }
}
