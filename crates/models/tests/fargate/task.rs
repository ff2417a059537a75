//! Models a task: it boots, claims, finishes, and may die; its calls may be written after its death.

use super::rules::{Change, ItemVersion, Outcome};
use super::state::{Call, State, Task};
use super::table;
use super::world::{NextStates, World, to_u8};
use crate::explore::Step;

impl World {
    pub(super) fn task(&mut self, state: &State, at: usize, next: &mut NextStates) -> Result<(), String> {
        let Some(task) = state.tasks[at] else { return Ok(()) };
        if let Some(change) = under_way(at, task) {
            self.write_call(state, at, task, change, next)?;
        } else if task.alive && task.claimed {
            self.send_call(state, at, task, finish(at, task, true), next);
            self.send_call(state, at, task, finish(at, task, false), next);
        } else if task.alive && state.now < self.setting.moments.first_without_starts() {
            self.send_call(state, at, task, claim(at, task), next);
        }
        if task.alive && state.deaths > 0 {
            let mut died = *state;
            died.deaths -= 1;
            died.tasks[at] = Some(Task { alive: false, ..task });
            next.push((Step::new("dies: task", at), died));
        }
        Ok(())
    }

    /// Sends a call; its function reads the job and decides.
    fn send_call(&mut self, state: &State, at: usize, task: Task, change: Change, next: &mut NextStates) {
        let Some(seen) = state.jobs[usize::from(task.job)] else { return };
        let (name, task) = match self.rules.change(change, seen, self.setting.moments.time(state.now)) {
            Outcome::Changed(_) => ("is read: the call of task", Task { call: read(change, seen, state), ..task }),
            Outcome::AlreadyDone => ("repeats its call: task", has_answered(task)),
            Outcome::NoChange => ("has lost its job, and ends: task", Task { alive: false, ..task }),
        };
        let mut asked = *state;
        asked.tasks[at] = Some(task);
        next.push((Step::new(name, at), asked));
    }

    /// The function of a call writes its decision.
    fn write_call(
        &mut self,
        state: &State,
        at: usize,
        task: Task,
        change: Change,
        next: &mut NextStates,
    ) -> Result<(), String> {
        let (Call::Claim { seen, then, fresh } | Call::Finish { seen, then, fresh, .. }) = task.call else {
            return Ok(());
        };
        let Outcome::Changed(after) = self.rules.change(change, seen, self.setting.moments.time(then)) else {
            return Err("a call was decided otherwise".into());
        };
        let written = match task.call {
            Call::Finish { ticket, .. } => table::end(state, task.job, (after, ticket), fresh, &mut self.rules),
            _ => table::update_job(state, task.job, after, fresh),
        };
        let step = Step::new("is written: the call of task", at);
        let Some(mut written) = written else {
            let mut stale = *state;
            // The function decides again, also for a dead task. A live task covers this by a new call.
            let again = state.jobs[usize::from(task.job)].filter(|again| {
                let becomes = self.rules.change(change, *again, self.setting.moments.time(state.now));
                !task.alive && matches!(becomes, Outcome::Changed(_))
            });
            let call = again.map_or(Call::None, |again| read(change, again, state));
            stale.tasks[at] = Some(Task { call, ..task });
            next.push((step.with_suffix(": stale"), stale));
            return Ok(());
        };
        written.tasks[at] = Some(Task { call: Call::None, ..task });
        if written.faults > 0 && task.alive {
            let lost = State { faults: written.faults - 1, ..written };
            next.push((step.with_suffix(": answer lost"), lost));
        }
        if task.alive {
            written.tasks[at] = Some(has_answered(task));
        }
        next.push((step, written));
        Ok(())
    }
}

fn claim(at: usize, task: Task) -> Change {
    Change::Claim { task: to_u8(at), attempt: task.attempt }
}

fn finish(at: usize, task: Task, completed: bool) -> Change {
    Change::Finish { task: to_u8(at), attempt: task.attempt, completed }
}

/// The change of a call that was read and not written yet.
fn under_way(at: usize, task: Task) -> Option<Change> {
    match task.call {
        Call::None => None,
        Call::Claim { .. } => Some(claim(at, task)),
        Call::Finish { completed, .. } => Some(finish(at, task, completed)),
    }
}

fn read(change: Change, seen: ItemVersion, state: &State) -> Call {
    let (then, fresh) = (state.now, true);
    match change {
        Change::Finish { completed, .. } => Call::Finish { completed, seen, ticket: state.ticket, then, fresh },
        _ => Call::Claim { seen, then, fresh },
    }
}

/// The task after the answer that its call is done.
fn has_answered(task: Task) -> Task {
    Task { claimed: true, alive: !task.claimed, call: Call::None, ..task }
}
