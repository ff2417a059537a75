//! Dead letters: what a message would have done that failed too often, whether that still matters, what to do.
//!
//! Every wake-up is a hint, so most dead letters have nothing left to say: the sweeper did what they asked, or
//! will. Only a review that was queued is known to nobody but its message. Reading the queues is not here.

use crate::code::vocabulary;
use crate::decision::Reason;
use crate::delivery::Delivery;
use crate::due::{self, Due};
use crate::hook::{Hook, Poll, is_answered};
use crate::id::{DeliveryId, HookName, IntegrationId, JobId, ProjectId, TicketKey};
use crate::job::{Job, Place, Status};
use crate::pull_request::{PullRequest, PullRequestId, label};
use crate::review::ReviewEvent;
use crate::task_stopped::{TaskStopped, Undone};
use crate::ticket::Ticket;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A queue that has dead letters.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// What starts tasks.
    Dispatch,
    /// What is worked through in turn by ticket, job or pull request.
    Effects,
    /// Deaths of tasks that the tasks function did not get, or failed on. No queue of ours leads there.
    Undelivered,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Dispatch, Self::Effects, Self::Undelivered];

    /// As the wire has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::Effects => "effects",
            Self::Undelivered => "undelivered",
        }
    }
}

/// What to do with a dead letter.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// It has nothing left to say.
    Drop,
    /// It asks for what the sweeper does anyway, a little later.
    Either,
    /// Only this message knows of it.
    Redrive,
    /// Nobody here can read it, and another version may: people have to look.
    Look,
}

impl Advice {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Drop, Self::Either, Self::Redrive, Self::Look];

    /// As tables show it, and as the wire has it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Either => "either",
            Self::Redrive => "redrive",
            Self::Look => "look",
        }
    }
}

/// What a message was about.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A job.
    Job,
    /// A ticket.
    Ticket,
    /// A pull request.
    PullRequest,
    /// A webhook of ours.
    Hook,
    /// A repository that is looked at.
    Repository,
    /// A review that is decided in turn.
    Review,
    /// Nothing that this version knows.
    Unknown,
}

vocabulary! {
    /// What a dead letter would have done, and what is so now.
    pub enum DeadLetter: Advice {
        StartGone { job: JobId } [Drop] "start_gone", "It would have started a task for job {job}, which is gone.", "Drop it.";
        StartNotNeeded { job: JobId, status: String } [Drop] "start_not_needed", "It would have started a task for job {job}, which is {status} and needs none.", "Drop it.";
        StartUnderWay { job: JobId } [Drop] "start_under_way", "It would have started a task for job {job}, and one is on its way since.", "Drop it.";
        StopOwed { job: JobId } [Redrive] "stop_owed", "It would have stopped the task of job {job}, which was cancelled.", "Mend what its log names and redrive it; a task that goes on ends at its next call.";
        StartElsewhere { job: JobId } [Drop] "start_elsewhere", "It would have started a task for job {job}, which waits for a self-hosted runner.", "Drop it.";
        StartOwed { job: JobId, next: Timestamp } [Either] "start_owed", "It would have started a task for job {job}, which still waits; the sweeper asks at {next}.", "Redrive it to start now, or drop it and leave that to the sweeper.";
        SettleGone { ticket: TicketKey } [Drop] "settle_gone", "It would have settled {ticket}, which is gone.", "Drop it.";
        SettleDone { ticket: TicketKey } [Drop] "settle_done", "It would have settled {ticket}, for which nothing is left to do now.", "Drop it.";
        SettleHeld { ticket: TicketKey, project: ProjectId } [Drop] "settle_held", "It would have settled {ticket}, which waits until {project} may start jobs again.", "Drop it; the release settles it.";
        SettleOwed { ticket: TicketKey, next: Timestamp } [Either] "settle_owed", "It would have settled {ticket}, which still needs that; the sweeper asks at {next}.", "Mend what its log names and redrive it, or drop it and leave that to the sweeper.";
        AdmitGone { job: JobId } [Drop] "admit_gone", "It would have read the reviews of job {job}, which is gone.", "Drop it.";
        AdmitDone { job: JobId, status: String } [Drop] "admit_done", "It would have read the reviews of job {job}, which is {status} and waits for none.", "Drop it.";
        AdmitOwed { job: JobId, next: Timestamp } [Either] "admit_owed", "It would have read the reviews of job {job}, which still waits; the sweeper asks at {next}.", "Redrive it to read them now, or drop it and leave that to the sweeper.";
        TellGone { pr: String } [Drop] "tell_gone", "It would have written on {pr}, which is not linked any more.", "Drop it.";
        TellDone { pr: String } [Drop] "tell_done", "It would have written on {pr}, where everything stands by now.", "Drop it.";
        TellOwed { pr: String, next: Timestamp } [Either] "tell_owed", "It would have written on {pr}, which still lacks it; the sweeper asks at {next}.", "Mend what its log names and redrive it, or drop it and leave that to the sweeper.";
        HookGone { hook: String } [Drop] "hook_gone", "It would have looked for what the hook {hook} missed, and that hook was removed.", "Drop it.";
        HookDue { hook: String, next: Timestamp } [Drop] "hook_due", "It would have looked for what the hook {hook} missed; the next look is at {next} anyway.", "Drop it, or look now: `pullyard deliveries recover --hook {hook}`.";
        PollOff { repository: String } [Drop] "poll_off", "It would have looked at {repository}, which is not looked at any more.", "Drop it.";
        PollDue { repository: String, next: Timestamp } [Drop] "poll_due", "It would have looked at {repository}; the next look is at {next} anyway.", "Drop it.";
        ReviewDecided { pr: String, answer: String } [Drop] "review_decided", "It would have decided a review of {pr}, which was decided since: `{answer}`.", "Drop it.";
        ReviewOwed { pr: String, delivery: DeliveryId } [Redrive] "review_owed", "It would have decided a review of {pr}, which nobody has decided yet.", "Mend what its log names and redrive it, or `pullyard deliveries replay {delivery}`.";
        ReviewUnreadable { pr: String, reason: String } [Redrive] "review_unreadable", "It would have decided a review of {pr}, for which the table can't be read: {reason}.", "Mend that item as docs/operations.md says, then redrive it; only this message knows of the review.";
        DeathGone { job: JobId, why: String } [Drop] "death_gone", "The tasks function {why} when a task of job {job} stopped, which is gone.", "Drop it.";
        DeathOver { job: JobId, why: String, status: String } [Drop] "death_over", "The tasks function {why} when a task of job {job} stopped, which is {status} by now.", "Drop it.";
        DeathNoted { job: JobId, why: String } [Drop] "death_noted", "The tasks function {why} when a task of job {job} stopped; that is noted, or the job is past it.", "Drop it.";
        DeathOwed { job: JobId, why: String, next: Timestamp } [Either] "death_owed", "The tasks function {why} when a task of job {job} stopped; the sweeper looks at {next}.", "Redrive it to note the death now, or drop it and leave that to the sweeper.";
        DeathOfOther { why: String } [Drop] "death_of_other", "The tasks function {why} when a task stopped that no job had started.", "Drop it.";
        ItemUnreadable { reason: String } [Either] "item_unreadable", "What it was about can't be read from the table: {reason}.", "Mend that item, then redrive it; docs/operations.md says how.";
        Unreadable { start: String } [Look] "unreadable", "This version of Pullyard can't read it: \"{start}\".", "If a newer version queued it, deploy that one and redrive it then; else drop it by its id.";
    }
}

/// What a message was about, with that as the table has it now.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A task was to be started for a job.
    Start(JobId, Option<Box<Job>>),
    /// A ticket was to be settled.
    Settle(ProjectId, TicketKey, Option<Box<Ticket>>),
    /// A job's reviews were to be read.
    Admit(JobId, Option<Box<Job>>),
    /// What people read on a pull request was to be written.
    Tell(PullRequestId, Option<Box<PullRequest>>),
    /// What a hook missed was to be looked for.
    Recover(HookName, Option<Box<Hook>>),
    /// A repository was to be looked at.
    Poll {
        /// Whose.
        project: ProjectId,
        /// At which forge.
        integration: IntegrationId,
        /// The forge's id of it.
        repository: u64,
        /// As the table has it.
        poll: Option<Box<Poll>>,
    },
    /// A review was to be decided; its ledger entry, and what stands there.
    Review(Box<ReviewEvent>, DeliveryId, Option<Box<Delivery>>),
    /// The same, where what decides about it can't be read from the table; why.
    ReviewCorrupt(Box<ReviewEvent>, String),
    /// The death of a job's task was to be noted.
    Death(Undone, Box<TaskStopped>, Option<Box<Job>>),
    /// The same of a task that no job had started.
    DeathOfOther(Undone),
    /// What it was about can't be read from the table; why.
    Corrupt(String),
    /// Not a message of ours, or of another version; how it begins.
    Unreadable(String),
}

impl Subject {
    /// What kind of thing it was about.
    pub fn about(&self) -> About {
        match self {
            Self::Start(..) | Self::Admit(..) | Self::Death(..) => About::Job,
            Self::Settle(..) => About::Ticket,
            Self::Tell(..) => About::PullRequest,
            Self::Recover(..) => About::Hook,
            Self::Poll { .. } => About::Repository,
            Self::Review(..) | Self::ReviewCorrupt(..) => About::Review,
            Self::DeathOfOther(_) | Self::Corrupt(_) | Self::Unreadable(_) => About::Unknown,
        }
    }

    /// Its name, as commands take it; none where that can't be read.
    pub fn name(&self) -> Option<String> {
        Some(match self {
            Self::Start(job, _) | Self::Admit(job, _) => job.to_string(),
            Self::Death(_, stopped, _) => stopped.job.to_string(),
            Self::Settle(_, ticket, _) => ticket.to_string(),
            Self::Tell(id, stored) => pull_request(id, stored.as_deref()),
            Self::Recover(hook, _) => hook.to_string(),
            Self::Poll { integration, repository, .. } => format!("{integration}/{repository}"),
            Self::Review(event, ..) | Self::ReviewCorrupt(event, _) => seen(event),
            Self::DeathOfOther(_) | Self::Corrupt(_) | Self::Unreadable(_) => return None,
        })
    }

    /// Whose it is, where that is known.
    pub fn project(&self) -> Option<ProjectId> {
        match self {
            Self::Start(_, job) | Self::Admit(_, job) | Self::Death(_, _, job) => {
                job.as_ref().map(|job| job.project.clone())
            }
            Self::Settle(project, ..) | Self::Poll { project, .. } => Some(project.clone()),
            Self::Tell(_, stored) => stored.as_ref().map(|stored| stored.project.clone()),
            Self::Recover(_, hook) => hook.as_ref().map(|hook| hook.home.clone()),
            Self::Review(.., delivery) => delivery.as_ref().map(|delivery| delivery.project.clone()),
            Self::ReviewCorrupt(..) | Self::DeathOfOther(_) | Self::Corrupt(_) | Self::Unreadable(_) => None,
        }
    }

    /// Whether it may go back to its queue. What can't be read would only come again; a death goes to no queue, and
    /// can't be noted on an item that can't be read.
    pub fn may_be_redriven(&self, queue: Queue) -> bool {
        match self {
            Self::Unreadable(_) => false,
            Self::Corrupt(_) => queue != Queue::Undelivered,
            _ => true,
        }
    }

    /// What it would have done, whether that still matters, and what to do.
    pub fn explained(&self, now: Timestamp) -> DeadLetter {
        match self {
            Self::Start(job, stored) => start(job, stored.as_deref(), now),
            Self::Settle(project, key, stored) => settle(project, key, stored.as_deref(), now),
            Self::Admit(job, stored) => admit(job, stored.as_deref(), now),
            Self::Tell(id, stored) => tell(pull_request(id, stored.as_deref()), stored.as_deref(), now),
            Self::Recover(hook, stored) => recover(hook, stored.as_deref(), now),
            Self::Poll { integration, repository, poll, .. } => {
                let repository = format!("repository {repository} at {integration}");
                match poll.as_deref().and_then(due::poll) {
                    Some(due) => DeadLetter::PollDue { repository, next: next(&due, now) },
                    None => DeadLetter::PollOff { repository },
                }
            }
            Self::Review(event, entry, decided) => review(event, entry, decided.as_deref()),
            Self::ReviewCorrupt(event, reason) => {
                DeadLetter::ReviewUnreadable { pr: seen(event), reason: reason.clone() }.clipped()
            }
            Self::Death(why, stopped, job) => death(*why, stopped, job.as_deref(), now),
            Self::DeathOfOther(why) => DeadLetter::DeathOfOther { why: why.words().into() },
            Self::Corrupt(reason) => DeadLetter::ItemUnreadable { reason: reason.clone() }.clipped(),
            Self::Unreadable(start) => DeadLetter::Unreadable { start: start.clone() }.clipped(),
        }
    }
}

fn start(id: &JobId, job: Option<&Job>, now: Timestamp) -> DeadLetter {
    let id = id.clone();
    match job {
        None => DeadLetter::StartGone { job: id },
        // Only this message asks for it: what has ended is in no row of the sweeper's.
        Some(job) if job.may_leave_a_task() => DeadLetter::StopOwed { job: id },
        Some(job) if job.status != Status::Ready => DeadLetter::StartNotNeeded { job: id, status: words(job) },
        Some(job) if job.place == Place::Runners => DeadLetter::StartElsewhere { job: id },
        // One that was written down and never named may not have been asked for: the due time decides.
        Some(job) if job.dispatch.starting && job.dispatch.task.is_some() => DeadLetter::StartUnderWay { job: id },
        Some(job) => DeadLetter::StartOwed { job: id, next: due_of_job(job, now) },
    }
}

fn settle(project: &ProjectId, key: &TicketKey, ticket: Option<&Ticket>, now: Timestamp) -> DeadLetter {
    let (ticket, stored) = (key.clone(), ticket);
    match stored.map(due::ticket) {
        None => DeadLetter::SettleGone { ticket },
        Some(None) => DeadLetter::SettleDone { ticket },
        Some(Some(Due::Held { .. })) => DeadLetter::SettleHeld { ticket, project: project.clone() },
        Some(Some(due)) => DeadLetter::SettleOwed { ticket, next: next(&due, now) },
    }
}

fn admit(id: &JobId, job: Option<&Job>, now: Timestamp) -> DeadLetter {
    let id = id.clone();
    match job {
        None => DeadLetter::AdmitGone { job: id },
        Some(job) if job.status != Status::Pending => DeadLetter::AdmitDone { job: id, status: words(job) },
        Some(job) => DeadLetter::AdmitOwed { job: id, next: due_of_job(job, now) },
    }
}

fn tell(pr: String, stored: Option<&PullRequest>, now: Timestamp) -> DeadLetter {
    match stored.map(due::pull_request) {
        None => DeadLetter::TellGone { pr },
        Some(None) => DeadLetter::TellDone { pr },
        Some(Some(due)) => DeadLetter::TellOwed { pr, next: next(&due, now) },
    }
}

fn recover(name: &HookName, stored: Option<&Hook>, now: Timestamp) -> DeadLetter {
    let hook = name.to_string();
    match stored.and_then(due::hook) {
        Some(due) => DeadLetter::HookDue { hook, next: next(&due, now) },
        None => DeadLetter::HookGone { hook },
    }
}

fn review(event: &ReviewEvent, entry: &DeliveryId, decided: Option<&Delivery>) -> DeadLetter {
    let pr = seen(event);
    let reason = decided.map(|delivery| &delivery.reason);
    match reason.filter(|reason| !matches!(reason, Reason::Queued { .. }) && is_answered(Some(reason))) {
        Some(reason) => DeadLetter::ReviewDecided { pr, answer: reason.code().into() },
        None => DeadLetter::ReviewOwed { pr, delivery: entry.clone() },
    }
}

fn seen(event: &ReviewEvent) -> String {
    label(Some(&event.pull_request.repository), event.pull_request.id.number)
}

fn death(why: Undone, stopped: &TaskStopped, job: Option<&Job>, now: Timestamp) -> DeadLetter {
    let (id, why) = (stopped.job.clone(), why.words().to_owned());
    match job {
        None => DeadLetter::DeathGone { job: id, why },
        Some(job) if job.status.is_terminal() => DeadLetter::DeathOver { job: id, why, status: words(job) },
        Some(job) if job.task_stopped(stopped, now).is_err() => DeadLetter::DeathNoted { job: id, why },
        Some(job) => DeadLetter::DeathOwed { job: id, why, next: due_of_job(job, now) },
    }
}

fn words(job: &Job) -> String {
    job.status.words().to_lowercase()
}

fn pull_request(id: &PullRequestId, stored: Option<&PullRequest>) -> String {
    stored.map_or_else(|| id.to_string(), PullRequest::label)
}

fn due_of_job(job: &Job, now: Timestamp) -> Timestamp {
    due::job(job).map_or(now, |due| next(&due, now))
}

/// What is overdue is taken up in the next sweep, which is now as far as people can tell.
fn next(due: &Due, now: Timestamp) -> Timestamp {
    match due {
        Due::At(at) => (*at).max(now),
        Due::Held { .. } | Due::Ready { .. } => now,
    }
}

#[cfg(test)]
mod tests;
