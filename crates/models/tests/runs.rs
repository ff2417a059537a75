//! Models one run of a plan: its jobs, two callers of `next_move`, orders of users, a hold and the time limit.
//!
//! All hints are lost: a caller starts only when the run or an ended job is due. A caller reads, then writes on the
//! condition that the run has not changed, and may die before or after each write. Jobs end at any time.

mod rules;
mod tests;

use crate::explore::Step;
use crate::items::ItemVersion;
use pullyard_domain::project::plan::Plan;
use rules::{Order, Planned, Rules};

/// The steps of the plan, and at most two that a manager adds.
const MAX_STEPS: usize = 5;
/// Jobs of one step.
const MAX_JOBS: usize = 6;
const SLOTS: usize = MAX_STEPS * MAX_JOBS;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Job {
    Absent,
    Open,
    Cancelling,
    Ended(End),
    /// The run has noted its end.
    Noted(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    Completed,
    /// Completed with another outcome.
    Faulty,
    /// Completed with a list of steps to add.
    Added,
    Failed,
    /// Failed with a class that allows no retry.
    Refused,
    Cancelled,
}

type Jobs = [Job; SLOTS];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Mover {
    Idle,
    /// The run that it has read, and the number of the planned move.
    Planned {
        read: ItemVersion,
        planned: u16,
    },
}

/// The numbers of events that can still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Left {
    cancels: u8,
    resumes: u8,
    holds: u8,
    failures: u8,
    /// Jobs that a user cancels without their run.
    job_cancels: u8,
    /// Whether the time limit may pass.
    time: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    run: ItemVersion,
    jobs: Jobs,
    movers: [Mover; 2],
    is_held: bool,
    is_late: bool,
    left: Left,
}

#[derive(Clone, Debug)]
struct Setting {
    plan: Plan,
    movers: usize,
    left: Left,
}

struct World {
    setting: Setting,
    rules: Rules,
}

impl World {
    fn new(setting: Setting) -> Self {
        let rules = Rules::new(setting.plan.clone());
        Self { setting, rules }
    }

    fn is_due(&mut self, state: &State) -> bool {
        let has_ended = state.jobs.iter().any(|job| matches!(job, Job::Ended(_)));
        has_ended || self.rules.is_due(state.run, state.is_held, state.is_late)
    }

    fn write(&mut self, state: &mut State, planned: Planned) -> Result<(), String> {
        for slot in 0..SLOTS {
            let is_in = |set: u32| set & 1 << slot != 0;
            let job = &mut state.jobs[slot];
            match *job {
                Job::Absent if is_in(planned.created) => *job = Job::Open,
                _ if is_in(planned.created) => return Err("a second job of the same number".into()),
                Job::Ended(end) if is_in(planned.noted) => *job = Job::Noted(end),
                _ if is_in(planned.noted) => return Err("a job is noted twice, or before its end".into()),
                _ => {}
            }
        }
        state.run = planned.run;
        Ok(())
    }
}

impl crate::explore::World for World {
    type State = State;

    fn start(&mut self) -> State {
        let run = self.rules.start();
        let (movers, left) = ([Mover::Idle; 2], self.setting.left);
        State { run, jobs: [Job::Absent; SLOTS], movers, is_held: false, is_late: false, left }
    }

    fn check_invariants(&mut self, state: &State) -> Result<(), String> {
        self.rules.check_run(state.run, &state.jobs)?;
        let is_busy = state.movers.iter().any(|mover| *mover != Mover::Idle);
        let has_open = state.jobs.iter().any(|job| matches!(job, Job::Open | Job::Cancelling));
        let waits = has_open || state.is_held || self.rules.is_ended(state.run) || self.rules.has_question(state.run);
        if !is_busy && !waits && !self.is_due(state) {
            return Err("the run is not due, and nothing else can move it".into());
        }
        let is_ending = has_open && self.rules.is_ending(state.run, state.is_late);
        if is_ending && !is_busy && state.jobs.contains(&Job::Open) && !self.is_due(state) {
            return Err("the run ends, and the end of an open job is not requested".into());
        }
        Ok(())
    }

    fn next(&mut self, from: &State) -> Result<Vec<(Step, State)>, String> {
        let mut next = Vec::new();
        for number in 0..self.setting.movers {
            match from.movers[number] {
                Mover::Idle if self.is_due(from) => {
                    let mut state = *from;
                    let planned = self.rules.plan_move(from.run, &from.jobs, from.is_held, from.is_late)?;
                    state.movers[number] = Mover::Planned { read: from.run, planned };
                    next.push((Step::new("reads", number), state));
                }
                Mover::Idle => {}
                Mover::Planned { read, planned } => {
                    let mut state = *from;
                    state.movers[number] = Mover::Idle;
                    next.push((Step::new("dies, or finds the run changed,", number), state));
                    let planned = self.rules.planned(planned);
                    let is_open = |slot: &usize| planned.cancelled & 1 << slot != 0 && from.jobs[*slot] == Job::Open;
                    if let Some(slot) = (0..SLOTS).find(is_open) {
                        // One write for each job, which needs no condition on the run.
                        let mut state = *from;
                        state.jobs[slot] = Job::Cancelling;
                        next.push((Step::new("cancels a job", number), state));
                    } else if read == from.run {
                        // The store compares revisions. Equal contents allow more writes.
                        self.write(&mut state, planned)?;
                        next.push((Step::new("writes", number), state));
                    }
                }
            }
        }
        for slot in 0..SLOTS {
            let is_cancelling = from.jobs[slot] == Job::Cancelling;
            if !is_cancelling && from.jobs[slot] != Job::Open {
                continue;
            }
            let ends = [
                (End::Completed, "completes", true),
                (End::Faulty, "completes as faulty", self.rules.has_outcomes(slot)),
                (End::Added, "adds steps", self.rules.may_add(from.run, slot)),
                (End::Failed, "fails", from.left.failures > 0),
                (End::Refused, "fails without a retry", from.left.failures > 0 && self.rules.has_retries(slot)),
                (End::Cancelled, "is cancelled", is_cancelling),
            ];
            for (end, name, _) in ends.into_iter().filter(|(_, _, is_possible)| *is_possible) {
                let mut state = *from;
                state.jobs[slot] = Job::Ended(end);
                state.left.failures -= u8::from(matches!(end, End::Failed | End::Refused));
                next.push((Step::new(name, slot), state));
            }
            if from.left.job_cancels > 0 && !is_cancelling {
                let mut state = *from;
                state.jobs[slot] = Job::Cancelling;
                state.left.job_cancels -= 1;
                next.push((Step::new("a user cancels the job", slot), state));
            }
        }
        for order in Order::ALL {
            let (cancels, resumes) = (u8::from(order == Order::Cancel), u8::from(order == Order::Resume));
            if from.left.cancels < cancels || from.left.resumes < resumes {
                continue;
            }
            if let Some(run) = self.rules.order(from.run, order, from.is_late).filter(|run| *run != from.run) {
                let mut state = State { run, ..*from };
                state.left.cancels -= cancels;
                state.left.resumes -= resumes;
                next.push((Step::new(order.name(), 0), state));
            }
        }
        if from.left.holds > 0 || from.is_held {
            let mut state = State { is_held: !from.is_held, ..*from };
            state.left.holds -= u8::from(!from.is_held);
            next.push((
                Step::new(if from.is_held { "the project is released" } else { "the project is held" }, 0),
                state,
            ));
        }
        if from.left.time {
            let mut state = State { is_late: true, ..*from };
            state.left.time = false;
            next.push((Step::new("the time limit passes", 0), state));
        }
        Ok(next)
    }
}
