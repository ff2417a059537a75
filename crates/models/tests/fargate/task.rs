//! Models a task: it boots, claims, works, pushes, finishes, and may die; its calls may be written after its death.

use super::rules::{Change, Outcome, To, Value};
use super::state::{Call, Phase, State, Task};
use super::table;
use super::world::{Next, World, small};
use crate::explore::Step;
use pullyard_domain::job::{JobStatus, PUSH_WINDOW};

impl World {
    pub(super) fn task(&mut self, state: &State, at: usize, next: &mut Next) -> Result<(), String> {
        let Some(task) = state.tasks[at] else { return Ok(()) };
        if task.call != Call::None {
            self.writes(state, at, task, next)?;
        } else if task.alive {
            self.goes_on(state, at, task, next)?;
        }
        if task.alive && state.deaths > 0 {
            let mut died = *state;
            died.deaths -= 1;
            died.tasks[at] = Some(Task { alive: false, ..task });
            next.push((Step::of("dies: task", at), died));
        }
        Ok(())
    }

    /// The next step of a task without a pending call.
    fn goes_on(&mut self, state: &State, at: usize, task: Task, next: &mut Next) -> Result<(), String> {
        match task.phase {
            Phase::Boots if state.now >= self.setting.moments.later() => Ok(()),
            Phase::MayPush(since)
                if self.setting.moments.time(state.now) < self.setting.moments.time(since).plus(PUSH_WINDOW) =>
            {
                let pushed = self.pushes(state, at, task)?;
                next.push((Step::of("pushes: task", at), pushed));
                Ok(())
            }
            Phase::MayPush(_) => {
                let mut stops = *state;
                stops.tasks[at] = Some(Task { phase: Phase::Stops, ..task });
                next.push((Step::of("has no time left to push: task", at), stops));
                Ok(())
            }
            _ => {
                self.asks_the_api(state, at, task, next);
                Ok(())
            }
        }
    }

    fn pushes(&self, state: &State, at: usize, task: Task) -> Result<State, String> {
        let job = usize::from(task.job);
        let holds = state.jobs[job].is_some_and(|value| {
            let held = self.rules.job(value);
            held.status == JobStatus::Syncing && self.rules.claim_is(value, small(at))
        });
        // With differing clocks a job may be lost too early; then only git prevents a second push.
        if !holds && self.setting.ahead == 0 {
            return Err(format!("task {at} pushes job {job}, which it does not hold"));
        }
        let mut pushed = *state;
        pushed.pushed[job] = true;
        pushed.tasks[at] = Some(Task { phase: Phase::Pushed, ..task });
        Ok(pushed)
    }

    fn change_of(at: usize, task: Task) -> Change {
        let (task_at, attempt) = (small(at), task.attempt);
        let progress = |to| Change::Progress { task: task_at, attempt, to };
        match task.phase {
            Phase::Boots => Change::Claim { task: task_at, attempt },
            Phase::Claimed => progress(To::Preparing),
            Phase::Preparing => progress(To::Executing),
            Phase::Executing => progress(To::Syncing),
            Phase::MayPush(_) | Phase::Pushed | Phase::Stops => {
                Change::Finish { task: task_at, attempt, completed: task.phase == Phase::Pushed }
            }
        }
    }

    /// Sends a call; its function reads the job and decides.
    fn asks_the_api(&mut self, state: &State, at: usize, task: Task, next: &mut Next) {
        let Some(seen) = state.jobs[usize::from(task.job)] else { return };
        let then = state.now;
        let (name, task) = match self.rules.change(Self::change_of(at, task), seen, self.setting.moments.time(then)) {
            Outcome::Becomes(_) => {
                ("is read: the call of task", Task { call: Self::call_of(task, seen, state), ..task })
            }
            Outcome::Already => ("repeats its call: task", self.answered(state, task, seen, then)),
            Outcome::Nothing => ("has lost its job, and ends: task", Task { alive: false, ..task }),
        };
        let mut asked = *state;
        asked.tasks[at] = Some(task);
        next.push((Step::of(name, at), asked));
    }

    fn call_of(task: Task, seen: Value, state: &State) -> Call {
        let (then, fresh) = (state.now, true);
        match task.phase {
            Phase::Boots => Call::Claim { seen, then, fresh },
            Phase::Claimed | Phase::Preparing | Phase::Executing => Call::Progress { seen, then, fresh },
            _ => Call::Finish { seen, ticket: state.ticket, then, fresh },
        }
    }

    /// The task after the answer that its call is done, with the job as stored.
    fn answered(&self, state: &State, task: Task, job: Value, then: u8) -> Task {
        let job = self.rules.job(job);
        let may_push = job.push_until.is_some_and(|until| until > self.setting.moments.time(then));
        let finds_nothing = job.adopts.is_some() && !state.pushed[usize::from(task.job)];
        let phase = match task.phase {
            Phase::Boots => Phase::Claimed,
            Phase::Claimed => Phase::Preparing,
            Phase::Preparing if finds_nothing => Phase::Stops,
            Phase::Preparing => Phase::Executing,
            // The answer contains the remaining push time; zero means no push.
            Phase::Executing if may_push => Phase::MayPush(then),
            Phase::Executing => Phase::Stops,
            ended => return Task { phase: ended, alive: false, call: Call::None, ..task },
        };
        Task { phase, call: Call::None, ..task }
    }

    /// The function of a call writes its decision.
    fn writes(&mut self, state: &State, at: usize, task: Task, next: &mut Next) -> Result<(), String> {
        let (Call::Claim { seen, then, fresh }
        | Call::Progress { seen, then, fresh }
        | Call::Finish { seen, then, fresh, .. }) = task.call
        else {
            return Ok(());
        };
        let Outcome::Becomes(after) =
            self.rules.change(Self::change_of(at, task), seen, self.setting.moments.time(then))
        else {
            return Err("a call was decided otherwise".into());
        };
        let written = match task.call {
            Call::Finish { ticket, .. } => table::end(state, task.job, (after, ticket), fresh, &mut self.rules),
            _ => table::update_job(state, task.job, after, fresh),
        };
        let step = Step::of("is written: the call of task", at);
        let Some(mut written) = written else {
            let mut stale = *state;
            // The function decides again, also for a dead task. A live task covers this by a new call.
            let read = state.jobs[usize::from(task.job)].filter(|read| {
                let becomes = self.rules.change(Self::change_of(at, task), *read, self.setting.moments.time(state.now));
                !task.alive && matches!(becomes, Outcome::Becomes(_))
            });
            let call = read.map_or(Call::None, |read| Self::call_of(task, read, state));
            stale.tasks[at] = Some(Task { call, ..task });
            next.push((step.but(": stale"), stale));
            return Ok(());
        };
        let completes = task.phase == Phase::Pushed && matches!(task.call, Call::Finish { .. });
        if completes && !state.pushed[usize::from(task.job)] {
            return Err(format!("job {} is completed and was not pushed", task.job));
        }
        written.tasks[at] = Some(Task { call: Call::None, ..task });
        if written.faults > 0 && task.alive {
            let lost = State { faults: written.faults - 1, ..written };
            next.push((step.but(": answer lost"), lost));
        }
        if task.alive {
            written.tasks[at] = Some(self.answered(state, task, after, then));
        }
        next.push((step, written));
        Ok(())
    }
}
