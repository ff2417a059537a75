//! The transitions of a job. Any other transition is rejected.
//! `docs/reference/states.md` lists them: a test generates it from these functions.
//!
//! After a requested cancel, every requeue or failure that the runner did not report cancels the job. After a requested
//! pause, every requeue pauses it.

use super::fault::{DispatchFault, FailedStarts};
use super::{
    ActiveAttempt, AttemptEnd, DesiredState, Dispatch, Job, JobResult, JobStatus, LastReport, Placement, Publishes,
    PushedCommit,
};
use crate::text::failure::Failure;
use crate::text::id::{ClaimId, FinishId, InstanceId, JobId, RunnerId};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The sweeper starts a Ready job after this time, in case its message was lost.
pub const WAKE_TIMEOUT: Duration = Duration::from_secs(60);

pub const START_TIMEOUT: Duration = Duration::from_secs(300);

/// A job behind another one that waits for this machine is tried at least this often.
const BEHIND_TIMEOUT: Duration = Duration::from_secs(900);

/// While a push may be under way, only the runner may end the job, for at most this long.
pub const PUSH_WINDOW: Duration = Duration::from_secs(120);

/// Wait for a finish that was sent before the container stopped.
pub const FINISH_GRACE: Duration = Duration::from_secs(15);

/// Most stopped tasks stored per attempt, so that the item stays small.
const MAX_DEAD_TASKS: usize = 10;

impl Dispatch {
    pub(super) fn reject_task(&mut self) {
        self.dead.extend(self.task.take());
        let excess = self.dead.len().saturating_sub(MAX_DEAD_TASKS);
        self.dead.drain(..excess);
    }
}

/// The fence of an attempt. Each write for the attempt requires it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    pub job: JobId,
    pub attempt: u32,
    pub claim: ClaimId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub attempt: u32,
    /// Chosen by the runner, so that a repeated claim gets the same answer.
    pub claim: ClaimId,
    pub instance: InstanceId,
    pub runner: Option<RunnerId>,
    pub task: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With the result if its kind publishes a change.
    Completed(Option<JobResult>),
    /// A commit on a branch of its own, without a pull request.
    Pushed(PushedCommit),
    /// A failure, with the result if work was pushed.
    Failed(Failure, Option<JobResult>),
    Cancelled,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransitionRefusal {
    AlreadyDone,
    LeaseLost,
    WrongStatus(JobStatus),
    NotBefore(Timestamp),
    StopRequested,
    NewerInput,
    TooManyInputs,
}

impl Job {
    /// Counts the start of a task. The start is repeated if no claim follows.
    pub fn begin_dispatch(&self, now: Timestamp) -> Result<Self, TransitionRefusal> {
        self.check_ready_on_fargate()?;
        if self.dispatch.starting {
            return Err(TransitionRefusal::AlreadyDone);
        }
        let mut job = self.clone();
        job.dispatch.number += 1;
        job.dispatch.starting = true;
        job.dispatch.due = now.plus(START_TIMEOUT);
        job.dispatch.task = None;
        job.reset_sweep_backoff();
        Ok(job)
    }

    pub fn set_task(&self, attempt: u32, number: u32, task: &str) -> Result<Self, TransitionRefusal> {
        self.check_starting(attempt, number)?;
        if self.dispatch.task.as_deref() == Some(task) {
            return Err(TransitionRefusal::AlreadyDone);
        }
        let mut job = self.clone();
        job.dispatch.task = Some(task.into());
        Ok(job)
    }

    /// Records a failed start: the job tries again later, or fails after too many starts. Uses up no attempt.
    pub fn record_start_fault(
        &self,
        attempt: u32,
        number: u32,
        fault: DispatchFault,
        now: Timestamp,
    ) -> Result<Self, TransitionRefusal> {
        self.check_starting(attempt, number)?;
        let mut job = self.clone();
        job.dispatch.starting = false;
        if matches!(fault, DispatchFault::Died { .. } | DispatchFault::Interrupted) {
            job.dispatch.reject_task();
        }
        job.dispatch.task = None;
        let failed = FailedStarts::after(self.dispatch.fault.as_ref(), fault);
        job.dispatch.due = now.plus(failed.backoff());
        job.dispatch.fault = Some(failed);
        Ok(job)
    }

    /// Records that another job waits for a place of this machine before this one. The place of that job, or the end of
    /// a task, starts this job; its late due time covers what a crash lost.
    pub fn wait_behind(&self, now: Timestamp) -> Result<Self, TransitionRefusal> {
        let (attempt, number) = (self.attempt + 1, self.dispatch.number);
        let mut job = self.record_start_fault(attempt, number, DispatchFault::MachineFull, now)?;
        job.dispatch.due = now.plus(BEHIND_TIMEOUT);
        Ok(job)
    }

    /// Moves a waiting job to the place where its project now runs jobs, unless a task may be starting or running.
    pub fn move_to(&self, place: Placement, now: Timestamp) -> Result<Self, TransitionRefusal> {
        let may_run = self.place == Placement::Fargate && self.may_have_orphaned_task();
        if self.status != JobStatus::Ready || self.dispatch.starting || may_run {
            return Err(TransitionRefusal::WrongStatus(self.status));
        }
        if self.place == place {
            return Err(TransitionRefusal::AlreadyDone);
        }
        let mut job = self.clone();
        job.place = place;
        // `number` is not reset, because each start needs its own client token.
        job.dispatch.fault = None;
        job.dispatch.due = now;
        job.reset_sweep_backoff();
        Ok(job)
    }

    pub fn start_failure(&self) -> Option<Failure> {
        let reason = self.dispatch.fault.as_ref()?.lasting_reason()?;
        (self.status == JobStatus::Ready).then(|| Failure::TaskNeverStarted { limit: START_TIMEOUT.into(), reason })
    }

    /// Whether the job waits for a place of the machine that runs all jobs. A hint then starts the job before its due
    /// time.
    pub fn awaits_machine(&self, now: Timestamp) -> bool {
        let is_full = self.dispatch.fault.as_ref().is_some_and(|failed| failed.last == DispatchFault::MachineFull);
        self.status == JobStatus::Ready && is_full && !self.dispatch.starting && !self.is_waiting_for_model(now)
    }

    pub fn claim(&self, claim: &Claim, now: Timestamp) -> Result<Self, TransitionRefusal> {
        if let Some(run) = &self.run
            && self.status.is_active()
            && run.claim == claim.claim
            && self.attempt == claim.attempt
        {
            return Err(TransitionRefusal::AlreadyDone);
        }
        if self.attempt + 1 != claim.attempt {
            return Err(TransitionRefusal::LeaseLost);
        }
        if matches!(self.status, JobStatus::Cancelled | JobStatus::Paused | JobStatus::AwaitingInput) {
            // The job ended or was suspended while the task was starting. The task is stopped, which is no fault.
            return Err(TransitionRefusal::StopRequested);
        }
        if self.status != JobStatus::Ready {
            return Err(TransitionRefusal::WrongStatus(self.status));
        }
        if self.want != DesiredState::Run || self.awaits_place() {
            // A task of an earlier start may ask for a job that was paused and continued since.
            return Err(TransitionRefusal::StopRequested);
        }
        if claim.task.as_ref().is_some_and(|task| self.dispatch.dead.contains(task)) {
            // This task has stopped, and its stop is not reported a second time.
            return Err(TransitionRefusal::LeaseLost);
        }
        let mut job = self.clone();
        job.status = JobStatus::Claimed;
        job.attempt = claim.attempt;
        job.run = Some(ActiveAttempt {
            runner: claim.runner.clone(),
            instance: claim.instance.clone(),
            claim: claim.claim.clone(),
            started: now,
            heartbeat: None,
            suspended_ms: 0,
            task: claim.task.clone(),
            died: None,
            spent_usd_micros: None,
            forge_wait: None,
        });
        job.dispatch.starting = false;
        job.dispatch.task = None;
        job.dispatch.dead.clear();
        job.dispatch.fault = None;
        job.dispatch.trace = None;
        job.reset_sweep_backoff();
        Ok(job)
    }

    pub fn advance(&self, fence: &Fence, to: JobStatus, now: Timestamp) -> Result<Self, TransitionRefusal> {
        self.check_fence(fence)?;
        if self.status == to {
            return Err(TransitionRefusal::AlreadyDone);
        }
        let from = match to {
            JobStatus::Preparing => JobStatus::Claimed,
            JobStatus::Executing => JobStatus::Preparing,
            JobStatus::Syncing => JobStatus::Executing,
            _ => return Err(TransitionRefusal::WrongStatus(self.status)),
        };
        if self.status != from {
            return Err(TransitionRefusal::WrongStatus(self.status));
        }
        if to == JobStatus::Syncing && self.want != DesiredState::Run {
            return Err(TransitionRefusal::StopRequested);
        }
        let mut job = self.clone();
        job.status = to;
        job.worked |= to == JobStatus::Executing;
        job.push_until = (to == JobStatus::Syncing).then(|| now.plus(PUSH_WINDOW));
        if let Some(run) = &mut job.run {
            run.forge_wait = None;
            run.set_heartbeat(now);
        }
        Ok(job)
    }

    pub fn finish(
        &self,
        fence: &Fence,
        finish: &FinishId,
        end: End,
        now: Timestamp,
    ) -> Result<Self, TransitionRefusal> {
        self.check_new_report(fence, finish)?;
        self.check_fence(fence)?;
        if matches!(end, End::Completed(_) | End::Pushed(_)) && self.status != JobStatus::Syncing {
            return Err(TransitionRefusal::WrongStatus(self.status));
        }
        Ok(self.end(end, Some(finish.clone()), now))
    }

    /// Ends a job that is overdue, dead or never claimed. A requested cancel takes precedence.
    pub fn fail(&self, failure: Failure, now: Timestamp) -> Result<Self, TransitionRefusal> {
        self.check_not_pushing(now)?;
        Ok(self.end(self.cancel_or(End::Failed(failure, None)), None, now))
    }

    /// Returns a job to Ready after a platform fault, unless it is to be cancelled or paused. The caller checks limits.
    ///
    /// `lost_a_push` stays set, because a search that found nothing is not reported.
    pub fn requeue(&self, now: Timestamp) -> Result<Self, TransitionRefusal> {
        self.check_not_pushing(now)?;
        if !self.status.is_active() {
            return Err(TransitionRefusal::WrongStatus(self.status));
        }
        if self.want == DesiredState::Cancel {
            return Ok(self.end(End::Cancelled, None, now));
        }
        let mut job = self.clone().count_lost_attempt();
        job.requeues += 1;
        job.lost_a_push |= self.status == JobStatus::Syncing && self.publishes() == Publishes::Change;
        job.dispatch.orphan = self.running_task().map(str::to_owned);
        job.release(now);
        Ok(job)
    }

    /// Records that the runner's container stopped; the runner's finish may still arrive.
    pub fn record_container_stop(
        &self,
        task: &str,
        failure: Failure,
        now: Timestamp,
    ) -> Result<Self, TransitionRefusal> {
        let Some(run) = self.run.as_ref().filter(|run| self.status.is_active() && run.task.as_deref() == Some(task))
        else {
            return Err(TransitionRefusal::LeaseLost);
        };
        if run.died.is_some() {
            return Err(TransitionRefusal::AlreadyDone);
        }
        let mut job = self.clone();
        if let Some(run) = &mut job.run {
            run.died = Some(super::ContainerStop { at: now, failure: failure.clipped() });
        }
        job.reset_sweep_backoff();
        Ok(job)
    }

    pub fn check_fence(&self, fence: &Fence) -> Result<&ActiveAttempt, TransitionRefusal> {
        self.run
            .as_ref()
            .filter(|run| self.status.is_active() && self.attempt == fence.attempt && run.claim == fence.claim)
            .ok_or(TransitionRefusal::LeaseLost)
    }

    /// `AlreadyDone`: this attempt sent this report before.
    pub(super) fn check_new_report(&self, fence: &Fence, id: &FinishId) -> Result<(), TransitionRefusal> {
        let is_known = |last: &LastReport| last.attempt == fence.attempt && last.finish.as_ref() == Some(id);
        if self.ended_by.as_ref().is_some_and(is_known) { Err(TransitionRefusal::AlreadyDone) } else { Ok(()) }
    }

    pub fn attempt_end(&self) -> AttemptEnd {
        match (self.status, &self.failure) {
            (JobStatus::Completed, _) => AttemptEnd::Completed {},
            (JobStatus::Cancelled, _) => AttemptEnd::Cancelled {},
            (_, Some(failure)) => AttemptEnd::Failed { failure: failure.clone() },
            (_, None) => AttemptEnd::Failed { failure: Failure::Unknown { last_words: String::new() } },
        }
    }

    /// Whether an end without a result leaves a possible push. Every attempt searches for it before its agent starts.
    fn has_unreported_push(&self, by_its_runner: bool) -> bool {
        match self.status {
            _ if self.publishes() != Publishes::Change => false,
            JobStatus::Syncing => !by_its_runner || self.lost_a_push,
            // An attempt that found a push also passes through Executing, and only its runner knows it.
            JobStatus::Executing => !by_its_runner && self.lost_a_push,
            JobStatus::AwaitingInput => false,
            _ => self.lost_a_push,
        }
    }

    fn release(&mut self, now: Timestamp) {
        if self.want == DesiredState::Pause {
            return self.enter_paused(now);
        }
        self.clear_attempt(now);
        self.status = JobStatus::Ready;
        self.ready_since = now;
        self.reset_sweep_backoff();
    }

    /// Removes all data of the attempt except its number, and resets the count of starts.
    pub(super) fn clear_attempt(&mut self, now: Timestamp) {
        self.run = None;
        self.push_until = None;
        self.dispatch.number = 0;
        self.dispatch.starting = false;
        self.dispatch.task = None;
        self.dispatch.fault = None;
        self.dispatch.trace = None;
        self.dispatch.due = now;
    }

    pub fn reset_sweep_backoff(&mut self) {
        self.tries = 0;
        self.not_before = None;
    }

    fn check_ready_on_fargate(&self) -> Result<(), TransitionRefusal> {
        if self.status == JobStatus::Ready && self.place == Placement::Fargate {
            Ok(())
        } else {
            Err(TransitionRefusal::WrongStatus(self.status))
        }
    }

    /// Rejects a report about another start than the current one.
    fn check_starting(&self, attempt: u32, number: u32) -> Result<(), TransitionRefusal> {
        self.check_ready_on_fargate()?;
        let is_current = self.attempt + 1 == attempt && self.dispatch.number == number && self.dispatch.starting;
        if is_current { Ok(()) } else { Err(TransitionRefusal::LeaseLost) }
    }

    /// Rejects a change by any caller but the runner while a push may be under way.
    pub(super) fn check_not_pushing(&self, now: Timestamp) -> Result<(), TransitionRefusal> {
        if !matches!(self.status, JobStatus::Pending | JobStatus::Ready) && !self.status.is_active() {
            return Err(TransitionRefusal::WrongStatus(self.status));
        }
        match self.push_until {
            Some(until) if now < until => Err(TransitionRefusal::NotBefore(until)),
            _ => Ok(()),
        }
    }

    pub(super) fn end(&self, end: End, finish: Option<FinishId>, now: Timestamp) -> Self {
        let is_unreported = finish.is_none();
        let mut job = self.clone();
        if is_unreported {
            job = job.count_lost_attempt();
        }
        (job.status, job.failure, job.result) = match end {
            End::Completed(result) => (JobStatus::Completed, None, result),
            End::Pushed(pushed) => {
                job.pushed = Some(pushed);
                (JobStatus::Completed, None, None)
            }
            End::Failed(failure, result) => (JobStatus::Failed, Some(failure.clipped()), result),
            End::Cancelled => (JobStatus::Cancelled, None, None),
        };
        job.lost_a_push = job.result.is_none() && job.pushed.is_none() && self.has_unreported_push(!is_unreported);
        job.ended_by = Some(LastReport { attempt: self.attempt, finish });
        job.ended_at = Some(now);
        job.push_until = None;
        job.waits = None;
        job.want = DesiredState::Run;
        job.pause = None;
        job.question = None;
        job.session = None;
        job.model = None;
        if job.status != JobStatus::Cancelled {
            job.cancel = None;
        }
        let may_run = is_unreported && self.place == Placement::Fargate;
        let task = self.running_task().filter(|_| may_run).map(str::to_owned);
        if let Some(run) = &mut job.run {
            // `run.task` is needed only while the task may still run. The ATTEMPT item has both fields.
            (run.task, run.died, run.forge_wait) = (task, None, None);
        }
        job.is_limited = false;
        job.reset_sweep_backoff();
        job
    }
}
