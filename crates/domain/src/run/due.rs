//! When each item is due next: its row in the `work` index, computed from the whole item.
//! Every write stores this row, so that no item with a next step is missing in the index.

use crate::job::{FINISH_GRACE, Job, JobStatus, Placement};
use crate::project::hook::Poll;
use crate::project::schedule::Schedule;
use crate::review::pull_request::PullRequest;
use crate::run::notice::Notice;
use crate::run::{Run, RunState, WorkLeft};
use crate::text::id::{ClassId, ProjectId};
use crate::text::time::Timestamp;
use crate::ticket::Ticket;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Number of partitions for due items, so that none becomes hot.
pub const SHARDS: u8 = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    At(Timestamp),
    /// Its project may start no job. Processed after the hold or when there is budget, lowest order first.
    Held {
        project: ProjectId,
        /// Time of the waiting entry or end of the review's delay; later after a failure. Units: Unix milliseconds.
        order: i64,
    },
    Ready {
        class: ClassId,
        /// `Job::order`.
        order: i64,
    },
    /// It waits for a place. The lowest order of its repository gets it first.
    Limited {
        project: ProjectId,
        /// Integration and id.
        repository: String,
        /// `Job::order`.
        order: i64,
    },
}

pub fn shard(key: &str) -> u8 {
    Sha256::digest(key.as_bytes()).first().map_or(0, |byte| byte % SHARDS)
}

/// When the sweeper processes a job next, or which runners may claim it. `None`: it has ended.
pub fn job(job: &Job) -> Option<Due> {
    if job.awaits_place() {
        let (project, repository) = (job.project.clone(), job.repository_key());
        return Some(Due::Limited { project, repository, order: job.order() });
    }
    let at = match job.status {
        JobStatus::Ready if job.place == Placement::Runners => {
            return Some(Due::Ready { class: job.class.clone(), order: job.order() });
        }
        JobStatus::Ready => job.dispatch.due,
        JobStatus::Claimed | JobStatus::Preparing | JobStatus::Executing | JobStatus::Syncing => {
            let run = job.run.as_ref()?;
            let end = run.died.as_ref().map_or_else(|| run.silent_at(), |died| died.at.plus(FINISH_GRACE));
            let at = end.min(run.overdue_at(Duration::from_secs(job.policy.wall_secs)));
            let at = job.stop_deadline().map_or(at, |stop| at.min(stop));
            job.push_until.map_or(at, |until| at.max(until))
        }
        // Without `waits` the job is due at once; otherwise it would never be swept.
        JobStatus::Pending => job.waits.as_ref().map_or(job.created, |waits| waits.next),
        _ if job.unnoted_run().is_some() => job.ended_at?,
        _ if job.may_have_orphaned_task() => job.orphan_stop_due()?,
        JobStatus::AwaitingInput | JobStatus::Paused => job.suspended_until()?,
        JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled => return None,
    };
    Some(Due::At(job.not_before.map_or(at, |not_before| at.max(not_before))))
}

/// When a ticket is settled. `None`: no work is left, or the end of its active job settles it.
pub fn ticket(ticket: &Ticket) -> Option<Due> {
    let is_free = ticket.active_job.is_none();
    let not_before = ticket.not_before.unwrap_or(Timestamp::from_millis(0));
    let deferred = ticket.deferred.values().min().copied().filter(|_| is_free);
    let entry_at = ticket.decidable_entry().filter(|_| is_free).map(|entry| entry.at);
    // A held entry waits for the next write to the tool, which `Ticket::hold` limits.
    let sync_at = ticket.is_unsynced().then(|| ticket.sync_at().max(not_before));
    if let Some(sync_at) = sync_at.filter(|_| ticket.held || ticket.tracker.is_none()) {
        return Some(Due::At(sync_at));
    }
    if ticket.held {
        // A ticket that failed moves behind the others.
        let order = entry_at.or(deferred)?.max(not_before).millis();
        return Some(Due::Held { project: ticket.project.clone(), order });
    }
    let at = if entry_at.is_some() { Some(not_before) } else { deferred.map(|at| at.max(not_before)) };
    at.into_iter().chain(sync_at).min().map(Due::At)
}

/// When the state is written to the pull request, or its wanted review starts. `None`: neither is due.
pub fn pull_request(pull_request: &PullRequest) -> Option<Due> {
    let note = pull_request.is_note_outdated().then(|| Timestamp::from_millis(0));
    let at = note.into_iter().chain(pull_request.review_wanted_at()).min()?;
    Some(Due::At(pull_request.not_before.map_or(at, |not_before| at.max(not_before))))
}

/// When a repository is polled. `None`: the forge reported that it is gone.
pub fn poll(poll: &Poll) -> Option<Due> {
    let at = poll.not_before.map_or(poll.next, |not_before| poll.next.max(not_before));
    poll.gone_at.is_none().then_some(Due::At(at))
}

/// A run with an open job is moved at least this often: it may have missed the end of a hold or of the day, or the end
/// of a job under an older program.
const MOVE_AGAIN_AFTER: Duration = Duration::from_secs(900);

/// A run that waits for its group checks it at least this often, because the hint of the run that left may be lost.
const CHECK_GROUP_AFTER: Duration = Duration::from_secs(300);

/// When a run moves next. `None`: it has ended.
///
/// The item has one row in the index. Without open jobs, a held run is in the row of the hold, so its time limit ends
/// it only after the hold.
pub fn run(run: &Run) -> Option<Due> {
    let has_open = run.open_jobs().next().is_some();
    let again = run.moved.plus(MOVE_AGAIN_AFTER);
    match run.left {
        _ if run.state != RunState::Running => None,
        Some(WorkLeft::Now) => Some(Due::At(run.moved)),
        Some(WorkLeft::Held) if !has_open => {
            Some(Due::Held { project: run.project.clone(), order: run.since.millis() })
        }
        Some(WorkLeft::Group) if !has_open => Some(Due::At(run.moved.plus(CHECK_GROUP_AFTER).min(run.wall_end()))),
        // The move after the time limit has requested the end of all jobs.
        _ if has_open && run.moved >= run.wall_end() => Some(Due::At(again)),
        _ if has_open => Some(Due::At(again.min(run.wall_end()))),
        _ => Some(Due::At(run.wall_end())),
    }
}

/// When a schedule starts its analyses. `None`: it is paused.
pub fn schedule(schedule: &Schedule) -> Option<Due> {
    schedule.next.map(Due::At)
}

/// When a notice is sent to its next endpoint. `None`: it waits for none.
pub fn notice(notice: &Notice) -> Option<Due> {
    notice.waiting.values().min().copied().map(Due::At)
}

#[cfg(test)]
mod tests;
