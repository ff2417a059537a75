//! What users order: cancel, resume, approve and refuse. Each is one write of the run.

use super::{Run, RunState, RunStep, RunWant, StepReason, StepState, WorkLeft};
use crate::plan::Plan;
use crate::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderRefusal {
    RunEnded,
    /// Some of its jobs are open or not noted.
    RunNotOver,
    /// Every step is done.
    RunCompleted,
    UnknownStep,
    /// The step waits for no answer.
    NotAsked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Approve,
    Refuse,
}

impl Run {
    /// Idempotent: a repeat returns an equal run.
    pub fn cancel(&self, now: Timestamp) -> Result<Self, OrderRefusal> {
        match (self.state, self.want) {
            (RunState::Running, RunWant::Cancel) => Ok(self.clone()),
            (RunState::Running, RunWant::Run) => Ok(Self { want: RunWant::Cancel, ..self.ordered(now) }),
            _ => Err(OrderRefusal::RunEnded),
        }
    }

    /// Starts the failed, cancelled and skipped steps again. Done ones stay, and the time limit starts again.
    ///
    /// `cost_usd_micros` replaces the cost limit of a run that has one.
    pub fn resume(&self, plan: &Plan, cost_usd_micros: Option<u64>, now: Timestamp) -> Result<Self, OrderRefusal> {
        match self.state {
            RunState::Running => return Err(OrderRefusal::RunNotOver),
            RunState::Completed => return Err(OrderRefusal::RunCompleted),
            RunState::Failed | RunState::Cancelled => {}
        }
        let mut next = self.ordered(now);
        (next.state, next.failure, next.ended_at) = (RunState::Running, None, None);
        (next.want, next.since) = (RunWant::Run, now);
        next.cost_usd_micros = self.cost_usd_micros.map(|limit| cost_usd_micros.unwrap_or(limit));
        let rules = self.rules(plan);
        loop {
            let restarts = |step: &RunStep| next.restarts(step, &rules);
            let Some(index) = next.steps.iter().position(restarts) else { break };
            let has_added =
                next.steps.get(index).is_some_and(|step| self.steps.iter().any(|added| added.is_added_by(step)));
            if let Some(step) = next.steps.get_mut(index) {
                // A manager whose list of this turn was accepted does not repeat the turn.
                let state = if has_added { StepState::Spawning } else { StepState::Waiting };
                step.change(state, None, now);
                (step.retries, step.outcome) = (0, None);
            }
        }
        Ok(next)
    }

    /// Whether an ended step starts again, given those that do already.
    fn restarts(&self, step: &RunStep, rules: &[super::rules::Rules]) -> bool {
        let waits = |name: &String| self.find_step(name).is_some_and(|need| !need.state.is_terminal());
        let of_step = || self.steps.iter().zip(rules).find(|(other, _)| other.name == step.name);
        // The manager of an earlier turn has used the result.
        let manager = step.spawned.as_ref().map(|spawned| (self.find_step(&spawned.by), spawned.turn));
        let is_needed = manager.is_none_or(|(manager, turn)| {
            manager.is_some_and(|manager| manager.state == StepState::Spawning && manager.turn == turn)
        });
        is_needed
            && match (step.state, step.reason) {
                (StepState::Failed | StepState::Cancelled, _) => true,
                // The outcome that it required may still come.
                (StepState::Skipped, Some(StepReason::When)) => {
                    of_step().is_some_and(|(_, rules)| rules.needs.iter().any(waits))
                }
                (StepState::Skipped, _) => true,
                _ => false,
            }
    }

    /// Answers a question. Idempotent: a repeat of the answer is refused as `NotAsked` and changes nothing.
    pub fn answer(&self, step: &str, answer: Answer, now: Timestamp) -> Result<Self, OrderRefusal> {
        if self.state != RunState::Running {
            return Err(OrderRefusal::RunEnded);
        }
        let mut next = self.ordered(now);
        let asked = next.steps.iter_mut().find(|asked| asked.name == step).ok_or(OrderRefusal::UnknownStep)?;
        if asked.state != StepState::Asked {
            return Err(OrderRefusal::NotAsked);
        }
        match answer {
            Answer::Approve => asked.change(StepState::Done, None, now),
            Answer::Refuse => asked.change(StepState::Failed, Some(StepReason::Refused), now),
        }
        Ok(next)
    }

    fn ordered(&self, now: Timestamp) -> Self {
        Self { left: Some(WorkLeft::Now), moved: now, ..self.clone() }
    }
}
