//! Calls the domain's functions for the items of a state and caches every answer. Items have no revision.

use super::Setting;
use super::state::UserRequest;
use crate::explore::Fast;
use crate::fixtures::{self, TRIGGER, finish_id, job_id, plan_ticket_job, result, runner, settings, ticket_in};
pub(super) use crate::items::ItemVersion;
use crate::items::Items;
use pullyard_domain::agent::breaker::KeyOwner;
use pullyard_domain::agent::runner::{Heartbeat, Presence, Runner, Slot};
use pullyard_domain::job::select::{ClassRequirements, is_claimable};
use pullyard_domain::job::sweep::runners::{self, LossReason, TokenState, is_slot_of_job};
use pullyard_domain::job::sweep::{
    ClassFacts, JobStep, WaitingStep, Watch, next_step, step_after_runner_loss, unclaimed_failure,
};
use pullyard_domain::job::{
    ActiveAttempt, Cancel, Claim, End, Fence, Job, JobStatus, Pause, SuspendReport, Suspension, TransitionRefusal,
};
use pullyard_domain::project::{Compute, Limits, OfflinePolicy, Settings};
use pullyard_domain::review::outcome::{ticket_after_job, update_waiting_badge};
use pullyard_domain::run::due;
use pullyard_domain::text::id::{ClaimId, InstanceId, JobId, RunnerId};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::{SettleStep, Ticket};
use std::collections::BTreeSet;
use std::time::Duration;

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
        to: TargetPhase,
        inputs_read: u8,
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
    LoseRunner {
        runner: u8,
        seen: ItemVersion,
        loss: LossKind,
    },
    SweepDueJob,
    User(UserRequest),
}

impl Change {
    pub(super) fn runner(self) -> Option<usize> {
        match self {
            Self::Claim { runner, .. }
            | Self::Progress { runner, .. }
            | Self::Finish { runner, .. }
            | Self::Yield { runner, .. } => Some(runner.into()),
            Self::LoseRunner { .. } | Self::SweepDueJob | Self::User(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TargetPhase {
    Preparing,
    Executing,
    Syncing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum LossKind {
    Silent,
    NoProcess,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Changed(ItemVersion),
    AlreadyDone,
    LeaseLost,
    StopRequested,
    NewerInput,
    NoChange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunnerDecision {
    Nothing,
    TakeOffline(ItemVersion),
    Lose(LossKind, [bool; 2]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum RunnerWrite {
    Heartbeat { runs: Option<u8>, then: u8 },
    WithSlot,
    WithoutSlot,
    Offline,
}

pub(super) struct Rules {
    setting: Setting,
    settings: Settings,
    /// A task could run the jobs, so that the sweeper may move them.
    requirements: ClassRequirements,
    jobs: Items<Job>,
    tickets: Items<Ticket>,
    runners: Items<Runner>,
    change_cache: Fast<(Change, ItemVersion, u8), Outcome>,
    ended_ticket_cache: Fast<(ItemVersion, ItemVersion), ItemVersion>,
    decision_cache: Fast<(ItemVersion, u8), RunnerDecision>,
    runner_write_cache: Fast<(RunnerWrite, ItemVersion, ItemVersion), ItemVersion>,
    /// Computed once, because each id is a hash.
    job_ids: [JobId; 2],
    runner_ids: [RunnerId; 2],
    settle_cache: Fast<ItemVersion, Option<ItemVersion>>,
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
        let offline = if setting.requeues { OfflinePolicy::Requeue } else { OfflinePolicy::Fail };
        // Expires together with the other limits of hours.
        let limits = Limits { requeues: 1, input_secs: 3 * 3_600, ..Limits::default() };
        Self {
            setting,
            settings: Settings { compute: Compute::RunnersThenFargate, offline, limits, ..settings() },
            requirements: ClassRequirements {
                capability: "command".into(),
                labels: BTreeSet::new(),
                key: KeyOwner::Project,
            },
            jobs: Items::new(),
            tickets: Items::new(),
            runners: Items::new(),
            change_cache: Fast::default(),
            ended_ticket_cache: Fast::default(),
            decision_cache: Fast::default(),
            runner_write_cache: Fast::default(),
            job_ids: ["j0", "j1"].map(job_id),
            runner_ids: [0, 1].map(|at| RunnerId::for_registration("t1", runner_name(at))),
            settle_cache: Fast::default(),
        }
    }

    fn class_facts(&self) -> ClassFacts<'_> {
        let (requirements, settings) = (&self.requirements, &self.settings);
        ClassFacts { requirements, settings, breakers: &[], on_one_machine: false }
    }

    fn id(&self, job: u8) -> JobId {
        self.job_ids[usize::from(job)].clone()
    }

    fn sweeper_time(&self, moment: u8) -> Timestamp {
        let (now, apart) =
            (self.setting.moments.time(moment), Duration::from_secs(self.setting.clock_skew_secs.unsigned_abs()));
        if self.setting.clock_skew_secs < 0 { now.minus(apart) } else { now.plus(apart) }
    }

    pub(super) fn first_job(&mut self, job: u8) -> (ItemVersion, ItemVersion) {
        let (job, ticket) =
            plan_ticket_job(&self.settings, self.id(job), &ticket_in(TRIGGER), self.setting.moments.time(0));
        (self.jobs.number(job), self.tickets.number(ticket))
    }

    pub(super) fn new_runner(&mut self, at: u8) -> ItemVersion {
        let mut runner = runner(runner_name(at));
        runner.max = 1;
        runner.has_sent_heartbeat = true;
        self.runners.number(runner)
    }

    pub(super) fn job(&self, value: ItemVersion) -> &Job {
        self.jobs.get(value)
    }

    pub(super) fn ticket(&self, value: ItemVersion) -> &Ticket {
        self.tickets.get(value)
    }

    pub(super) fn runner(&self, value: ItemVersion) -> &Runner {
        self.runners.get(value)
    }

    pub(super) fn change(&mut self, change: Change, job: ItemVersion, then: u8) -> Outcome {
        let key = (change, job, then);
        if let Some(known) = self.change_cache.get(&key) {
            return *known;
        }
        let now = match change {
            Change::LoseRunner { .. } | Change::SweepDueJob => self.sweeper_time(then),
            _ => self.setting.moments.time(then),
        };
        let changed = self.apply_change(change, self.jobs.get(job), now);
        let outcome = match changed {
            Ok(Some(mut job)) => {
                (job.rev, job.tries, job.not_before) = (0, 0, None);
                if let Some(run) = &mut job.run {
                    (run.heartbeat, run.suspended_ms) = (None, 0);
                }
                Outcome::Changed(self.jobs.number(job))
            }
            Ok(None) | Err(TransitionRefusal::WrongStatus(_) | TransitionRefusal::NotBefore(_)) => Outcome::NoChange,
            Err(TransitionRefusal::AlreadyDone) => Outcome::AlreadyDone,
            Err(TransitionRefusal::LeaseLost) => Outcome::LeaseLost,
            Err(TransitionRefusal::StopRequested) => Outcome::StopRequested,
            Err(TransitionRefusal::NewerInput | TransitionRefusal::TooManyInputs) => Outcome::NewerInput,
        };
        self.change_cache.insert(key, outcome);
        outcome
    }

    fn apply_change(&self, change: Change, job: &Job, now: Timestamp) -> Result<Option<Job>, TransitionRefusal> {
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
            Change::Progress { runner, claim, attempt, to: TargetPhase::Syncing, inputs_read } => {
                job.begin_push(&fence(job, runner, claim, attempt), inputs_read.into(), now).map(Some)
            }
            Change::Progress { runner, claim, attempt, to, inputs_read: _ } => {
                let to = match to {
                    TargetPhase::Preparing => JobStatus::Preparing,
                    TargetPhase::Executing => JobStatus::Executing,
                    TargetPhase::Syncing => JobStatus::Syncing,
                };
                job.advance(&fence(job, runner, claim, attempt), to, now).map(Some)
            }
            Change::Finish { runner, claim, attempt, completed } => {
                let fence = fence(job, runner, claim, attempt);
                let end = match completed {
                    true => End::Completed(Some(result())),
                    false => End::Cancelled,
                };
                let id = finish_id(&format!("{}-{claim}", runner_name(runner)));
                job.finish(&fence, &id, end, now).map(Some)
            }
            Change::LoseRunner { runner: _, seen, loss } => {
                let runner = self.runners.get(seen);
                let loss = match loss {
                    LossKind::Silent => LossReason::Silent,
                    LossKind::NoProcess => LossReason::NoProcess,
                };
                take(job, now, step_after_runner_loss(job, loss.failure(runner, now), now))
            }
            Change::SweepDueJob => match self.class_facts().next_step(job, now) {
                WaitingStep::Fail => job.fail(unclaimed_failure(None, &self.settings.limits), now).map(Some),
                WaitingStep::Move(place) => job.move_to(place, now).map(Some),
                WaitingStep::Skip | WaitingStep::Wake => {
                    let watch = Watch { since: self.setting.moments.time(0), runner: None, project: None };
                    take(job, now, next_step(job, watch, now))
                }
            },
            Change::Yield { runner, claim, attempt, asks, read } => {
                let rest = if asks { fixtures::question() } else { Suspension::Pause };
                let id = finish_id(&format!("{}-{claim}-{asks}", runner_name(runner)));
                let yielded = SuspendReport { id, ..fixtures::new_yield(rest, read.into()) };
                job.suspend(&fence(job, runner, claim, attempt), &yielded, now).map(Some)
            }
            Change::User(UserRequest::Cancel) => job.cancel(Cancel::new("ann", None, now), now).map(Some),
            Change::User(UserRequest::Pause) => job.pause(Pause::new("ann", now), now).map(Some),
            Change::User(UserRequest::Continue) => job.resume(now).map(Some),
            Change::User(UserRequest::Input(_)) => job.resume_with_input(now).map(Some),
        }
    }

    pub(super) fn ticket_after(&mut self, ended: ItemVersion, ticket: ItemVersion) -> ItemVersion {
        if let Some(known) = self.ended_ticket_cache.get(&(ended, ticket)) {
            return *known;
        }
        let mut after = ticket_after_job(self.jobs.get(ended), self.tickets.get(ticket));
        after.rev = 0;
        let after = self.tickets.number(after);
        self.ended_ticket_cache.insert((ended, ticket), after);
        after
    }

    pub(super) fn ticket_while(&mut self, job: ItemVersion, ticket: ItemVersion) -> ItemVersion {
        let after = update_waiting_badge(self.jobs.get(job), self.tickets.get(ticket));
        after.map_or(ticket, |after| self.tickets.number(Ticket { rev: 0, ..after }))
    }

    /// The ticket after its tool was updated, if an update is pending.
    pub(super) fn settle_cached(&mut self, ticket: ItemVersion) -> Option<ItemVersion> {
        if let Some(known) = self.settle_cache.get(&ticket) {
            return *known;
        }
        let settled = match self.tickets.get(ticket).next_settle_step(&self.settings, self.setting.moments.time(0)) {
            SettleStep::WriteBack(next) => Some(self.tickets.number(Ticket { rev: 0, ..*next })),
            _ => None,
        };
        self.settle_cache.insert(ticket, settled);
        settled
    }

    pub(super) fn decide_runner(&mut self, runner: ItemVersion, then: u8) -> RunnerDecision {
        if let Some(known) = self.decision_cache.get(&(runner, then)) {
            return *known;
        }
        let judged =
            match runners::next_step(self.runners.get(runner), TokenState::Valid, false, self.sweeper_time(then)) {
                runners::RunnerStep::MarkOffline(offline) => RunnerDecision::TakeOffline(self.runners.number(*offline)),
                runners::RunnerStep::EndJobs(loss, jobs) => {
                    let loss = if loss == LossReason::Silent { LossKind::Silent } else { LossKind::NoProcess };
                    RunnerDecision::Lose(loss, [0, 1].map(|job| jobs.iter().any(|(held, _)| *held == self.id(job))))
                }
                _ => RunnerDecision::Nothing,
            };
        self.decision_cache.insert((runner, then), judged);
        judged
    }

    pub(super) fn holds_claim(&self, job: ItemVersion, runner: ItemVersion) -> bool {
        let (job, runner) = (self.jobs.get(job), self.runners.get(runner));
        runner.slots.get(&job.id).is_some_and(|slot| is_slot_of_job(job, runner, slot))
    }

    fn write_runner(&mut self, write: RunnerWrite, stored: ItemVersion, other: ItemVersion) -> ItemVersion {
        let key = (write, stored, other);
        if let Some(known) = self.runner_write_cache.get(&key) {
            return *known;
        }
        let mut next = self.runners.get(stored).clone();
        match write {
            RunnerWrite::Heartbeat { runs, then } => {
                let active = runs.into_iter().map(|job| self.id(job)).collect();
                let heartbeat = Heartbeat {
                    instance: instance(),
                    active_jobs: active,
                    draining: false,
                    is_sign_off: false,
                    order: None,
                };
                let runner =
                    self.runners.get(other).with_heartbeat(heartbeat, self.setting.moments.time(then)).unwrap();
                // A heartbeat does not write slots or claims.
                next = Runner { slots: next.slots, claims: next.claims, ..runner };
            }
            RunnerWrite::WithSlot => {
                let job = self.jobs.get(other);
                let ActiveAttempt { claim, started: since, .. } = job.run.clone().unwrap();
                let (attempt, project) = (job.attempt, job.project.clone());
                next.slots.insert(job.id.clone(), Slot { attempt, claim: claim.clone(), project, since });
                next.claims.push(claim);
            }
            RunnerWrite::WithoutSlot => {
                next.slots.remove(&self.jobs.get(other).id);
            }
            RunnerWrite::Offline => {
                next.status = Presence::Offline;
                next.epoch = self.runners.get(other).epoch;
            }
        }
        next.steady_since = None;
        let next = self.runners.number(next);
        self.runner_write_cache.insert(key, next);
        next
    }

    pub(super) fn with_heartbeat(
        &mut self,
        seen: ItemVersion,
        stored: ItemVersion,
        runs: Option<u8>,
        then: u8,
    ) -> ItemVersion {
        self.write_runner(RunnerWrite::Heartbeat { runs, then }, stored, seen)
    }

    /// The runner without its slot for this job, if the slot belongs to the same claim as in `seen`.
    pub(super) fn drop_slot(
        &mut self,
        runner: ItemVersion,
        seen: ItemVersion,
        job: ItemVersion,
    ) -> Option<ItemVersion> {
        let id = &self.jobs.get(job).id;
        let claim = |runner: ItemVersion| self.runners.get(runner).slots.get(id).map(|slot| &slot.claim);
        let same = claim(seen) == claim(runner);
        (same && claim(runner).is_some()).then(|| self.write_runner(RunnerWrite::WithoutSlot, runner, job))
    }

    pub(super) fn with_slot(&mut self, runner: ItemVersion, job: ItemVersion) -> ItemVersion {
        self.write_runner(RunnerWrite::WithSlot, runner, job)
    }

    pub(super) fn without_slot(&mut self, runner: ItemVersion, job: ItemVersion) -> ItemVersion {
        self.write_runner(RunnerWrite::WithoutSlot, runner, job)
    }

    pub(super) fn mark_offline(&mut self, stored: ItemVersion, offline: ItemVersion) -> ItemVersion {
        self.write_runner(RunnerWrite::Offline, stored, offline)
    }

    pub(super) fn runner_of(&self, job: ItemVersion) -> Option<usize> {
        let runner = self.jobs.get(job).run.as_ref()?.runner.clone()?;
        self.runner_ids.iter().position(|id| *id == runner)
    }

    pub(super) fn is_claimed_by(&self, job: ItemVersion, runner: u8, claim: u8) -> bool {
        self.jobs.get(job).run.as_ref().is_some_and(|run| run.claim == claim_id(runner, claim))
    }

    pub(super) fn claim_was_used(&self, stored: ItemVersion, runner: u8, claim: u8) -> bool {
        self.runners.get(stored).claims.contains(&claim_id(runner, claim))
    }

    pub(super) fn may_claim(&self, stored: ItemVersion, runner: u8, claim: u8, then: u8) -> bool {
        let runner_now = self.runners.get(stored);
        matches!(
            runner_now.check_claim(&instance(), &claim_id(runner, claim), self.setting.moments.time(then)),
            Ok(None)
        )
    }

    pub(super) fn lists_job(&self, runner: ItemVersion, job: u8) -> bool {
        self.runners.get(runner).active.contains(&self.id(job))
    }

    pub(super) fn has_index_row(&self, job: ItemVersion, ticket: ItemVersion) -> bool {
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
        JobStep::Fail(failure) => job.fail(failure, now).map(Some),
        JobStep::Cancel => job.enforce_cancel(now).map(Some),
        JobStep::Expire => job.expire_suspension(now).map(Some),
        _ => Ok(None),
    }
}
