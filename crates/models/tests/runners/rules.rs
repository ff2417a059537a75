//! Calls the domain's functions for the items of a state and caches every answer. Items have no revision.

use super::Setting;
use super::state::Wish;
use crate::explore::Fast;
use crate::fixtures::{self, TRIGGER, finish_id, job_id, planned, result, runner, settings, ticket_in};
use crate::items::Items;
pub(super) use crate::items::Value;
use pullyard_domain::due;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{ClaimId, InstanceId, JobId, RunnerId};
use pullyard_domain::job::{
    ActiveAttempt, Cancel, Claim, DesiredState, End, Fence, Job, JobStatus, Pause, SuspendReport, Suspension,
    TransitionRefusal,
};
use pullyard_domain::outcome::{ticket_after_job, update_waiting_badge};
use pullyard_domain::project::{Compute, Limits, OfflinePolicy, Settings};
use pullyard_domain::runner::sweep::{self, LossReason, TokenState, slot_holds_job};
use pullyard_domain::runner::{Heartbeat, Presence, Runner, Slot};
use pullyard_domain::select::is_claimable;
use pullyard_domain::sweep::{JobStep, WaitingStep, next_step, next_waiting_step, step_after_runner_loss};
use pullyard_domain::ticket::{SettleStep, Ticket};
use pullyard_domain::time::Timestamp;
use std::time::Duration;

/// A requested change of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Change {
    Claim {
        runner: u8,
        claim: u8,
    },
    Progress {
        runner: u8,
        claim: u8,
        attempt: u8,
        to: To,
        /// The number of inputs that the agent has read; only for `To::Syncing`.
        told: u8,
    },
    Finish {
        runner: u8,
        claim: u8,
        attempt: u8,
        completed: bool,
    },
    /// A runner returns its job for a question of its agent or for a pause.
    Yield {
        runner: u8,
        claim: u8,
        attempt: u8,
        asks: bool,
        read: u8,
    },
    /// The sweeper removes the job from its runner.
    Lose {
        runner: u8,
        seen: Value,
        loss: Lost,
    },
    /// The sweeper handles a due job.
    Due,
    Person(Wish),
}

impl Change {
    /// The runner that calls, if one does.
    pub(super) fn runner(self) -> Option<usize> {
        match self {
            Self::Claim { runner, .. }
            | Self::Progress { runner, .. }
            | Self::Finish { runner, .. }
            | Self::Yield { runner, .. } => Some(runner.into()),
            Self::Lose { .. } | Self::Due | Self::Person(_) => None,
        }
    }
}

/// The target phase of a runner's progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum To {
    Preparing,
    Executing,
    Syncing,
}

/// The variants of [`LossReason`] in this model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lost {
    Silent,
    NoProcess,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The job changes to this version.
    Becomes(Value),
    /// The change has happened.
    Already,
    /// The runner does not hold the job.
    LeaseLost,
    /// The runner must stop.
    Unwanted,
    /// The job has an input that its agent has not read.
    NewerInput,
    Nothing,
}

/// The sweeper's decision about a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Nothing,
    TakeOffline(Value),
    Lose(Lost, [bool; 2]),
}

/// A write of a runner's item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Spoken {
    Heard { runs: Option<u8>, then: u8 },
    WithSlot,
    WithoutSlot,
    Offline,
}

pub(super) struct Rules {
    setting: Setting,
    settings: Settings,
    jobs: Items<Job>,
    tickets: Items<Ticket>,
    runners: Items<Runner>,
    changes: Fast<(Change, Value, u8), Outcome>,
    ends: Fast<(Value, Value), Value>,
    judged: Fast<(Value, u8), Judged>,
    runners_after: Fast<(Spoken, Value, Value), Value>,
    /// Computed once, because each id is a hash.
    job_ids: [JobId; 2],
    runner_ids: [RunnerId; 2],
    settled: Fast<Value, Option<Value>>,
}

fn runner_name(at: u8) -> &'static str {
    ["kite", "gull"][usize::from(at)]
}

fn claim_id(runner: u8, claim: u8) -> ClaimId {
    ClaimId::new(format!("{}-{claim}", runner_name(runner))).unwrap()
}

fn instance() -> InstanceId {
    InstanceId::new("i1").unwrap()
}

impl Rules {
    pub(super) fn new(setting: Setting) -> Self {
        let offline = if setting.goes_back { OfflinePolicy::Requeue } else { OfflinePolicy::Fail };
        // Expires together with the other limits of hours.
        let limits = Limits { requeues: 1, input_secs: 3 * 3_600, ..Limits::default() };
        Self {
            setting,
            settings: Settings { compute: Compute::Runners, offline, limits, ..settings() },
            jobs: Items::new(),
            tickets: Items::new(),
            runners: Items::new(),
            changes: Fast::default(),
            ends: Fast::default(),
            judged: Fast::default(),
            runners_after: Fast::default(),
            job_ids: ["j0", "j1"].map(job_id),
            runner_ids: [0, 1].map(|at| RunnerId::for_registration("t1", runner_name(at))),
            settled: Fast::default(),
        }
    }

    fn id(&self, job: u8) -> JobId {
        self.job_ids[usize::from(job)].clone()
    }

    /// The time on the sweepers' clock.
    fn swept_at(&self, moment: u8) -> Timestamp {
        let (now, apart) = (self.setting.moments.time(moment), Duration::from_secs(self.setting.ahead.unsigned_abs()));
        if self.setting.ahead < 0 { now.minus(apart) } else { now.plus(apart) }
    }

    pub(super) fn made(&mut self, job: u8) -> (Value, Value) {
        let (job, ticket) = planned(&self.settings, self.id(job), &ticket_in(TRIGGER), self.setting.moments.time(0));
        (self.jobs.number(job), self.tickets.number(ticket))
    }

    pub(super) fn registered(&mut self, at: u8) -> Value {
        let mut runner = runner(runner_name(at));
        runner.max = 1;
        runner.heard = true;
        self.runners.number(runner)
    }

    pub(super) fn job(&self, value: Value) -> &Job {
        self.jobs.get(value)
    }

    pub(super) fn ticket(&self, value: Value) -> &Ticket {
        self.tickets.get(value)
    }

    pub(super) fn runner(&self, value: Value) -> &Runner {
        self.runners.get(value)
    }

    /// The job after this change, decided at the moment `then`.
    pub(super) fn change(&mut self, change: Change, job: Value, then: u8) -> Outcome {
        let key = (change, job, then);
        if let Some(known) = self.changes.get(&key) {
            return *known;
        }
        let now = match change {
            Change::Lose { .. } | Change::Due => self.swept_at(then),
            _ => self.setting.moments.time(then),
        };
        let changed = self.ask(change, self.jobs.get(job), now);
        let outcome = match changed {
            Ok(Some(mut job)) => {
                (job.rev, job.tries, job.not_before) = (0, 0, None);
                Outcome::Becomes(self.jobs.number(job))
            }
            Ok(None) | Err(TransitionRefusal::WrongStatus(_) | TransitionRefusal::NotBefore(_)) => Outcome::Nothing,
            Err(TransitionRefusal::AlreadyDone) => Outcome::Already,
            Err(TransitionRefusal::LeaseLost) => Outcome::LeaseLost,
            Err(TransitionRefusal::StopRequested) => Outcome::Unwanted,
            Err(TransitionRefusal::NewerInput | TransitionRefusal::TooManyInputs) => Outcome::NewerInput,
        };
        self.changes.insert(key, outcome);
        outcome
    }

    fn ask(&self, change: Change, job: &Job, now: Timestamp) -> Result<Option<Job>, TransitionRefusal> {
        match change {
            Change::Claim { runner, claim } => {
                if !is_claimable(job, &job.class, &self.runner_ids[usize::from(runner)], now) {
                    return Ok(None);
                }
                let claim = Claim {
                    attempt: job.attempt + 1,
                    claim: claim_id(runner, claim),
                    instance: instance(),
                    runner: Some(self.runner_ids[usize::from(runner)].clone()),
                    task: None,
                };
                job.claim(&claim, now).map(Some)
            }
            Change::Progress { runner, claim, attempt, to: To::Syncing, told } => {
                job.begin_push(&fence(job, runner, claim, attempt), told.into(), now).map(Some)
            }
            Change::Progress { runner, claim, attempt, to, told: _ } => {
                let to = match to {
                    To::Preparing => JobStatus::Preparing,
                    To::Executing => JobStatus::Executing,
                    To::Syncing => JobStatus::Syncing,
                };
                job.advance(&fence(job, runner, claim, attempt), to, now).map(Some)
            }
            Change::Finish { runner, claim, attempt, completed } => {
                let fence = fence(job, runner, claim, attempt);
                let end = match completed {
                    true => End::Completed(result()),
                    // An adopting attempt searches for a push; if it stops by itself while executing, it found none.
                    false
                        if job.adopts.is_some()
                            && job.status == JobStatus::Executing
                            && job.want != DesiredState::Cancel =>
                    {
                        End::Failed(Failure::NothingPushed {}, None)
                    }
                    false => End::Cancelled,
                };
                let id = finish_id(&format!("{}-{claim}", runner_name(runner)));
                job.finish(&fence, &id, end, now).map(Some)
            }
            Change::Lose { runner: _, seen, loss } => {
                let runner = self.runners.get(seen);
                let loss = match loss {
                    Lost::Silent => LossReason::Silent,
                    Lost::NoProcess => LossReason::NoProcess,
                };
                take(job, now, step_after_runner_loss(job, loss.failure(runner, now), now))
            }
            Change::Due => {
                let why = "no runner is online";
                match next_waiting_step(job, self.settings.compute, why, now) {
                    WaitingStep::Fail(failure) => job.fail(failure, now).map(Some),
                    WaitingStep::Move(place) => job.move_to(place, now).map(Some),
                    WaitingStep::Nothing => take(job, now, next_step(job, now)),
                }
            }
            Change::Yield { runner, claim, attempt, asks, read } => {
                let rest = if asks { fixtures::asks() } else { Suspension::Pause };
                let id = finish_id(&format!("{}-{claim}-{asks}", runner_name(runner)));
                let yielded = SuspendReport { id, ..fixtures::yielded(rest, read.into()) };
                job.suspend(&fence(job, runner, claim, attempt), &yielded, now).map(Some)
            }
            Change::Person(Wish::Cancel) => job.cancel(Cancel::new("ann", None, now), now).map(Some),
            Change::Person(Wish::Pause) => job.pause(Pause::new("ann", now), now).map(Some),
            Change::Person(Wish::Continue) => job.resume(now).map(Some),
            Change::Person(Wish::Say(_)) => job.resume_with_input(now).map(Some),
        }
    }

    pub(super) fn ticket_after(&mut self, ended: Value, ticket: Value) -> Value {
        if let Some(known) = self.ends.get(&(ended, ticket)) {
            return *known;
        }
        let mut after = ticket_after_job(self.jobs.get(ended), self.tickets.get(ticket));
        after.rev = 0;
        let after = self.tickets.number(after);
        self.ends.insert((ended, ticket), after);
        after
    }

    /// The ticket after its job was suspended or resumed.
    pub(super) fn ticket_while(&mut self, job: Value, ticket: Value) -> Value {
        let after = update_waiting_badge(self.jobs.get(job), self.tickets.get(ticket));
        after.map_or(ticket, |after| self.tickets.number(Ticket { rev: 0, ..after }))
    }

    /// The ticket after its tool was updated, if an update is pending.
    pub(super) fn settled(&mut self, ticket: Value) -> Option<Value> {
        if let Some(known) = self.settled.get(&ticket) {
            return *known;
        }
        let settled = match self.tickets.get(ticket).next_settle_step(&self.settings, self.setting.moments.time(0)) {
            SettleStep::WriteBack(next) => Some(self.tickets.number(Ticket { rev: 0, ..*next })),
            _ => None,
        };
        self.settled.insert(ticket, settled);
        settled
    }

    pub(super) fn judge(&mut self, runner: Value, then: u8) -> Judged {
        if let Some(known) = self.judged.get(&(runner, then)) {
            return *known;
        }
        let judged = match sweep::next_step(self.runners.get(runner), TokenState::Valid, false, self.swept_at(then)) {
            sweep::RunnerStep::MarkOffline(offline) => Judged::TakeOffline(self.runners.number(*offline)),
            sweep::RunnerStep::EndJobs(loss, jobs) => {
                let loss = if loss == LossReason::Silent { Lost::Silent } else { Lost::NoProcess };
                Judged::Lose(loss, [0, 1].map(|job| jobs.iter().any(|(held, _)| *held == self.id(job))))
            }
            _ => Judged::Nothing,
        };
        self.judged.insert((runner, then), judged);
        judged
    }

    /// The runner has a slot for exactly this claim of the job.
    pub(super) fn holds(&self, job: Value, runner: Value) -> bool {
        let (job, runner) = (self.jobs.get(job), self.runners.get(runner));
        runner.slots.get(&job.id).is_some_and(|slot| slot_holds_job(job, runner, slot))
    }

    /// `stored` after a write that was decided from `other`.
    fn spoken(&mut self, spoken: Spoken, stored: Value, other: Value) -> Value {
        let key = (spoken, stored, other);
        if let Some(known) = self.runners_after.get(&key) {
            return *known;
        }
        let mut next = self.runners.get(stored).clone();
        match spoken {
            Spoken::Heard { runs, then } => {
                let active = runs.into_iter().map(|job| self.id(job)).collect();
                let said = Heartbeat { instance: instance(), active_jobs: active, draining: false, is_sign_off: false };
                let heard = self.runners.get(other).with_heartbeat(said, self.setting.moments.time(then)).unwrap();
                // A heartbeat does not write slots or claims.
                next = Runner { slots: next.slots, claims: next.claims, ..heard };
            }
            Spoken::WithSlot => {
                let job = self.jobs.get(other);
                let ActiveAttempt { claim, started: since, .. } = job.run.clone().unwrap();
                let (attempt, project) = (job.attempt, job.project.clone());
                next.slots.insert(job.id.clone(), Slot { attempt, claim: claim.clone(), project, since });
                next.claims.push(claim);
            }
            Spoken::WithoutSlot => {
                next.slots.remove(&self.jobs.get(other).id);
            }
            Spoken::Offline => {
                next.status = Presence::Offline;
                next.epoch = self.runners.get(other).epoch;
            }
        }
        let next = self.runners.number(next);
        self.runners_after.insert(key, next);
        next
    }

    pub(super) fn heard(&mut self, seen: Value, stored: Value, runs: Option<u8>, then: u8) -> Value {
        self.spoken(Spoken::Heard { runs, then }, stored, seen)
    }

    /// The runner without its slot for this job, if the slot belongs to the same claim as in `seen`.
    pub(super) fn emptied(&mut self, runner: Value, seen: Value, job: Value) -> Option<Value> {
        let id = &self.jobs.get(job).id;
        let claim = |runner: Value| self.runners.get(runner).slots.get(id).map(|slot| &slot.claim);
        let same = claim(seen) == claim(runner);
        (same && claim(runner).is_some()).then(|| self.spoken(Spoken::WithoutSlot, runner, job))
    }

    pub(super) fn with_slot(&mut self, runner: Value, job: Value) -> Value {
        self.spoken(Spoken::WithSlot, runner, job)
    }

    pub(super) fn without_slot(&mut self, runner: Value, job: Value) -> Value {
        self.spoken(Spoken::WithoutSlot, runner, job)
    }

    /// `stored`, marked offline as decided from `offline`.
    pub(super) fn offline(&mut self, stored: Value, offline: Value) -> Value {
        self.spoken(Spoken::Offline, stored, offline)
    }

    /// The runner that holds or held the job.
    pub(super) fn runner_of(&self, job: Value) -> Option<usize> {
        let runner = self.jobs.get(job).run.as_ref()?.runner.clone()?;
        self.runner_ids.iter().position(|id| *id == runner)
    }

    pub(super) fn claim_is(&self, job: Value, runner: u8, claim: u8) -> bool {
        self.jobs.get(job).run.as_ref().is_some_and(|run| run.claim == claim_id(runner, claim))
    }

    pub(super) fn had_its_job(&self, stored: Value, runner: u8, claim: u8) -> bool {
        self.runners.get(stored).claims.contains(&claim_id(runner, claim))
    }

    pub(super) fn may_claim(&self, stored: Value, runner: u8, claim: u8, then: u8) -> bool {
        let runner_now = self.runners.get(stored);
        matches!(
            runner_now.check_claim(&instance(), &claim_id(runner, claim), self.setting.moments.time(then)),
            Ok(None)
        )
    }

    pub(super) fn says_it_runs(&self, runner: Value, job: u8) -> bool {
        self.runners.get(runner).active.contains(&self.id(job))
    }

    /// A job or ticket with pending work has a row in the index.
    pub(super) fn has_its_row(&self, job: Value, ticket: Value) -> bool {
        let (job, ticket) = (self.jobs.get(job), self.tickets.get(ticket));
        (job.status.is_terminal() || due::job(job).is_some())
            && (!ticket.is_unsynced() || due::ticket(ticket).is_some())
    }
}

fn fence(job: &Job, runner: u8, claim: u8, attempt: u8) -> Fence {
    Fence { job: job.id.clone(), attempt: attempt.into(), claim: claim_id(runner, claim) }
}

/// The sweeper's change of a job.
fn take(job: &Job, now: Timestamp, step: JobStep) -> Result<Option<Job>, TransitionRefusal> {
    match step {
        JobStep::Requeue(_) => job.requeue(now).map(Some),
        JobStep::Adopt(loss) => job.requeue_to_adopt(loss, now).map(Some),
        JobStep::Fail(failure) => job.fail(failure, now).map(Some),
        JobStep::Cancel => job.enforce_cancel(now).map(Some),
        JobStep::Expire => job.expire_suspension(now).map(Some),
        _ => Ok(None),
    }
}
