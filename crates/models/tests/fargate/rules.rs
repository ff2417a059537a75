//! Calls the domain's functions for the items of a state and caches every answer.

use super::Setting;
use crate::explore::Fast;
use crate::fixtures::{
    self, TODO, TRIGGER, at, event_id, finish_id, job_id, key, plan_ticket_job, project, project_id, repository,
    result, runner_crashed, ticket_in,
};
pub(super) use crate::items::ItemVersion;
use crate::items::Items;
use pullyard_domain::budget::{DailyUsage, Day};
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Source;
use pullyard_domain::due;
use pullyard_domain::event::TicketEvent;
use pullyard_domain::facts::{Facts, FirstDecision, RepositoryFact};
use pullyard_domain::guard::{FollowUp, decide, decide_again, record_facts};
use pullyard_domain::id::{ClaimId, InstanceId};
use pullyard_domain::job::{Claim, DispatchFault, End, Fence, Job, JobStatus, TransitionRefusal};
use pullyard_domain::outcome::ticket_after_job;
use pullyard_domain::project::{Limits, Project, Settings};
use pullyard_domain::sweep::{JobStep, next_step};
use pullyard_domain::ticket::{Entry, SettleStep, Ticket};
use pullyard_domain::time::Timestamp;
use std::time::Duration;

/// A requested change of a job. Tasks are named by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Change {
    Dispatch,
    NameTask {
        attempt: u8,
        number: u8,
        task: u8,
    },
    NoCapacity {
        attempt: u8,
        number: u8,
    },
    /// ECS reports that a task stopped.
    TaskStopped {
        task: u8,
    },
    Claim {
        task: u8,
        attempt: u8,
    },
    Finish {
        task: u8,
        attempt: u8,
        completed: bool,
    },
    /// The sweeper handles a due job.
    SweepDueJob,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The job changes to this version.
    Changed(ItemVersion),
    /// The change has happened. For a start: it is stored, and the request to ECS may be missing.
    AlreadyDone,
    /// No change is due, or the caller has lost the job.
    NoChange,
}

/// The write that follows from a ticket decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Nothing,
    /// The observed status, unless the stored one is newer.
    Snapshot,
    /// The observed status, only while the ticket still has it.
    Unchanged,
    Ticket(ItemVersion),
    /// The job of the entry, and the locked ticket.
    Trigger(ItemVersion, ItemVersion),
}

pub(super) struct Rules {
    project: Project,
    setting: Setting,
    jobs: Items<Job>,
    tickets: Items<Ticket>,
    answers: Items<Option<FirstDecision>>,
    change_cache: Fast<(Change, ItemVersion, i64), Outcome>,
    ended_ticket_cache: Fast<(ItemVersion, ItemVersion), ItemVersion>,
    settle_cache: Fast<(ItemVersion, ItemVersion, u8), Option<Write>>,
}

fn task_name(task: u8) -> String {
    format!("task-{task}")
}

fn claim_id(task: u8) -> ClaimId {
    ClaimId::new(format!("claim-{task}")).unwrap()
}

fn fence(job: &Job, task: u8, attempt: u8) -> Fence {
    Fence { job: job.id.clone(), attempt: attempt.into(), claim: claim_id(task) }
}

fn move_event(event: u8) -> TicketEvent {
    let (name, status, secs) = [("out", TODO, 60), ("again", TRIGGER, 120)][usize::from(event)];
    TicketEvent {
        source: Source::TicketTool,
        project: project_id(),
        event: event_id(name),
        occurred_at: at(secs),
        actor: Some("ann".into()),
        previous_status: None,
        key: key(),
        status: status.into(),
        text: None,
    }
}

impl Rules {
    pub(super) fn new(setting: Setting) -> Self {
        let limits = Limits { requeues: 1, ..Limits::default() };
        let settings = Settings { limits, ..fixtures::settings() };
        Self {
            project: project(settings),
            setting,
            jobs: Items::new(),
            tickets: Items::new(),
            answers: Items::new(),
            change_cache: Fast::default(),
            ended_ticket_cache: Fast::default(),
            settle_cache: Fast::default(),
        }
    }

    /// The time on the clocks of the other functions.
    pub(super) fn skewed_time(&self, moment: u8) -> Timestamp {
        let apart = Duration::from_secs(self.setting.clock_skew_secs.unsigned_abs());
        if self.setting.clock_skew_secs < 0 {
            self.setting.moments.time(moment).minus(apart)
        } else {
            self.setting.moments.time(moment).plus(apart)
        }
    }

    pub(super) fn first_job(&mut self) -> (ItemVersion, ItemVersion) {
        let entered = Ticket { last_entry: Some(Entry { at: at(0), event: event_id("first") }), ..ticket_in(TRIGGER) };
        let (job, ticket) =
            plan_ticket_job(&self.project.settings, job_id("first"), &entered, self.setting.moments.time(0));
        (self.jobs.number(job), self.tickets.number(ticket))
    }

    pub(super) fn empty_ledger(&mut self) -> ItemVersion {
        self.answers.number(None)
    }

    pub(super) fn job(&self, value: ItemVersion) -> &Job {
        self.jobs.get(value)
    }

    pub(super) fn ticket(&self, value: ItemVersion) -> &Ticket {
        self.tickets.get(value)
    }

    /// The job after this change, decided at `now`.
    pub(super) fn change(&mut self, change: Change, job: ItemVersion, now: Timestamp) -> Outcome {
        let key = (change, job, now.millis());
        if let Some(known) = self.change_cache.get(&key) {
            return *known;
        }
        let outcome = match Self::apply_change(change, self.jobs.get(job), now) {
            Ok(Some(mut job)) => {
                (job.rev, job.tries, job.not_before) = (0, 0, None);
                Outcome::Changed(self.jobs.number(job))
            }
            Err(TransitionRefusal::AlreadyDone) => Outcome::AlreadyDone,
            Ok(None) | Err(_) => Outcome::NoChange,
        };
        self.change_cache.insert(key, outcome);
        outcome
    }

    fn apply_change(change: Change, job: &Job, now: Timestamp) -> Result<Option<Job>, TransitionRefusal> {
        match change {
            Change::Dispatch => begin_dispatch(job, now),
            Change::NameTask { attempt, number, task } => {
                job.set_task(attempt.into(), number.into(), &task_name(task)).map(Some)
            }
            Change::NoCapacity { attempt, number } => {
                let fault = DispatchFault::Capacity { since: at(0), times: 1 };
                job.record_start_fault(attempt.into(), number.into(), fault, now).map(Some)
            }
            Change::TaskStopped { task } if job.dispatch.task.as_deref() == Some(&task_name(task)) => {
                let fault = DispatchFault::Died { reason: "signal 9".into(), times: 1 };
                job.record_start_fault(job.attempt + 1, job.dispatch.number, fault, now).map(Some)
            }
            Change::TaskStopped { task } => {
                job.record_container_stop(&task_name(task), runner_crashed(), now).map(Some)
            }
            Change::Claim { task, attempt } => {
                let instance = InstanceId::new("i1").unwrap();
                let (claim, task) = (claim_id(task), Some(task_name(task)));
                job.claim(&Claim { attempt: attempt.into(), claim, instance, runner: None, task }, now).map(Some)
            }
            Change::Finish { task, attempt, completed } => {
                let (fence, id) = (fence(job, task, attempt), finish_id(&task_name(task)));
                if !completed {
                    return job.finish(&fence, &id, End::Failed(fixtures::no_changes(), None), now).map(Some);
                }
                let mut done = job.clone();
                for to in [JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
                    done = done.advance(&fence, to, now)?;
                }
                done.finish(&fence, &id, End::Completed(result()), now).map(Some)
            }
            Change::SweepDueJob => match next_step(job, now) {
                JobStep::Requeue(_) => job.requeue(now).map(Some),
                JobStep::Adopt(loss) => job.requeue_to_adopt(loss, now).map(Some),
                JobStep::Fail(failure) => job.fail(failure, now).map(Some),
                // Starts belong to the dispatcher.
                _ => Ok(None),
            },
        }
    }

    /// The ticket after the end of this job; the same write updates what the tool shows.
    pub(super) fn ticket_after(&mut self, ended: ItemVersion, ticket: ItemVersion) -> ItemVersion {
        if let Some(known) = self.ended_ticket_cache.get(&(ended, ticket)) {
            return *known;
        }
        let after = ticket_after_job(self.jobs.get(ended), self.tickets.get(ticket));
        let mut after = after.mark_synced(&self.project.settings);
        after.rev = 0;
        let after = self.tickets.number(after);
        self.ended_ticket_cache.insert((ended, ticket), after);
        after
    }

    fn facts(&self, ticket: ItemVersion, ledger: ItemVersion, moment: u8) -> Facts {
        Facts {
            now: self.setting.moments.time(moment),
            first_decision: self.answers.get(ledger).clone(),
            project: Some(self.project.clone()),
            ticket: Some(self.tickets.get(ticket).clone()),
            repository: RepositoryFact::Connected(Box::new(repository())),
            usage: DailyUsage::zero(Day::containing(self.setting.moments.time(moment))),
        }
    }

    /// The write for a user's move, and the ledger entry of the second entry.
    pub(super) fn decide_move(
        &mut self,
        event: u8,
        ticket: ItemVersion,
        ledger: ItemVersion,
        moment: u8,
    ) -> (Write, ItemVersion) {
        let is_entry = event == 1;
        let event = move_event(event);
        let mut facts = self.facts(ticket, ledger, moment);
        if !is_entry {
            facts.first_decision = None;
        }
        let decision = decide(&event, &facts);
        let seen = self.ticket_with_event(&event, self.tickets.get(ticket));
        let write = match decision.follow_up {
            FollowUp::Ignore => Write::Nothing,
            FollowUp::UpdateTicket if matches!(decision.reason, Reason::StatusUnchanged { .. }) => Write::Unchanged,
            FollowUp::UpdateTicket => Write::Snapshot,
            FollowUp::QueueEntry => {
                Write::Ticket(self.tickets.number(Ticket { again: Some(event.entry()), held: false, ..seen }))
            }
            FollowUp::HoldEntry => Write::Ticket(self.tickets.number(seen.hold_entry(event.entry()))),
            FollowUp::CreateJob => self.trigger(Ticket { last_entry: Some(event.entry()), ..seen }, moment),
        };
        let stands = !is_entry || facts.first_decision.as_ref().is_some_and(|first| first.reason.is_final());
        if stands {
            return (write, ledger);
        }
        let status_before = record_facts(&event, &facts).status_before;
        let answer = FirstDecision { reason: decision.reason, status_before, at: at(0), repeats: Vec::new() };
        (write, self.answers.number(Some(answer)))
    }

    /// Plans the job of the second entry.
    fn trigger(&mut self, ticket: Ticket, moment: u8) -> Write {
        let (job, ticket) =
            plan_ticket_job(&self.project.settings, job_id("second"), &ticket, self.setting.moments.time(moment));
        Write::Trigger(self.jobs.number(job), self.tickets.number(Ticket { rev: 0, ..ticket }))
    }

    fn ticket_with_event(&self, event: &TicketEvent, ticket: &Ticket) -> Ticket {
        Ticket {
            status: event.status.clone(),
            seen_at: event.occurred_at,
            seen_event: Some(event.event.clone()),
            written: None,
            ..ticket.clone()
        }
    }

    /// The ticket with the observed status, unless the stored status is newer.
    pub(super) fn with_snapshot(&mut self, event: u8, ticket: ItemVersion) -> ItemVersion {
        let event = move_event(event);
        let stored = self.tickets.get(ticket);
        if stored.seen_at > event.occurred_at {
            return ticket;
        }
        let seen = self.ticket_with_event(&event, stored);
        self.tickets.number(seen)
    }

    /// The ticket with the observed status, if it has that status and no newer one was observed.
    pub(super) fn with_unchanged(&mut self, event: u8, ticket: ItemVersion) -> Option<ItemVersion> {
        let (stored, told) = (self.tickets.get(ticket), move_event(event));
        let still = stored.status == told.status && stored.seen_at <= told.occurred_at;
        still.then(|| self.with_snapshot(event, ticket))
    }

    /// The write that settles a ticket. `None`: the ticket needs none.
    pub(super) fn settle_cached(&mut self, ticket: ItemVersion, ledger: ItemVersion, moment: u8) -> Option<Write> {
        let key = (ticket, ledger, moment);
        if let Some(known) = self.settle_cache.get(&key) {
            return *known;
        }
        let settled = self.settle(ticket, ledger, moment);
        self.settle_cache.insert(key, settled);
        settled
    }

    fn settle(&mut self, ticket: ItemVersion, ledger: ItemVersion, moment: u8) -> Option<Write> {
        let stored = self.tickets.get(ticket).clone();
        Some(match stored.next_settle_step(&self.project.settings, self.setting.moments.time(moment)) {
            SettleStep::WriteBack(next) | SettleStep::DropEntry(next) => Write::Ticket(self.tickets.number(*next)),
            SettleStep::DecideEntry(entry) => {
                let event = TicketEvent { status: stored.status.clone(), occurred_at: entry.at, ..move_event(1) };
                match decide_again(&event, &self.facts(ticket, ledger, moment)).follow_up {
                    FollowUp::CreateJob => self.trigger(Ticket { last_entry: Some(entry), ..stored }, moment),
                    FollowUp::Ignore => return None,
                    FollowUp::HoldEntry => Write::Ticket(self.tickets.number(stored.hold_entry(entry))),
                    _ => Write::Ticket(self.tickets.number(stored.drop_entry(&self.project.settings))),
                }
            }
            SettleStep::DecideReviews(_) | SettleStep::DropInvalidMark(_) | SettleStep::Skip => return None,
        })
    }

    /// Whether the sweeper wakes a dispatcher for this job.
    pub(super) fn needs_dispatch(&self, job: ItemVersion, moment: u8) -> bool {
        matches!(next_step(self.jobs.get(job), self.skewed_time(moment)), JobStep::Start | JobStep::Restart(_))
    }

    pub(super) fn is_claimed_by(&self, job: ItemVersion, task: u8) -> bool {
        let job = self.jobs.get(job);
        job.status.is_active() && job.run.as_ref().is_some_and(|run| run.claim == claim_id(task))
    }

    /// A job that has not ended has a row in the index.
    pub(super) fn has_index_row(&self, job: ItemVersion) -> bool {
        let job = self.jobs.get(job);
        job.status.is_terminal() || due::job(job).is_some()
    }

    pub(super) fn ticket_has_index_row(&self, ticket: ItemVersion) -> bool {
        let ticket = self.tickets.get(ticket);
        let waits = ticket.is_unsynced() || ticket.again.is_some() && ticket.active_job.is_none();
        !waits || due::ticket(ticket).is_some()
    }

    /// An entry has no answer yet.
    pub(super) fn has_unanswered_entry(&self, ticket: ItemVersion) -> bool {
        let ticket = self.tickets.get(ticket);
        ticket.active_job.is_none() && (ticket.status == TRIGGER || ticket.again.is_some())
    }
}

/// Begins a start for a wake-up, as in `crates/control/src/jobs/dispatch.rs`.
fn begin_dispatch(job: &Job, now: Timestamp) -> Result<Option<Job>, TransitionRefusal> {
    if job.status != JobStatus::Ready || job.start_failure().is_some() {
        return Ok(None);
    }
    let due = job.dispatch.due <= now;
    if job.dispatch.starting {
        return match (due, &job.dispatch.task) {
            (false, Some(_)) => Ok(None),
            (false, None) => Err(TransitionRefusal::AlreadyDone),
            (true, _) => {
                let silent = DispatchFault::Silent { times: 1 };
                job.record_start_fault(job.attempt + 1, job.dispatch.number, silent, now).map(Some)
            }
        };
    }
    let fresh = job.dispatch.number == 0 && job.dispatch.fault.is_none();
    if fresh || due { job.begin_dispatch(now).map(Some) } else { Ok(None) }
}
