//! A job that does the work of an ended one again: a new job, made as a person's request makes one.

use super::{Continues, Job, Kind, Status};
use crate::failure::Failure;
use crate::id::JobId;
use crate::project::Settings;
use crate::ticket::Ticket;

/// Whether there is anything to do again. The status in the way, if not.
pub fn may_be_retried(of: &Job) -> Result<(), Status> {
    match of.status {
        Status::Failed | Status::Cancelled => Ok(()),
        status => Err(status),
    }
}

/// Whether what the agent had by then is worth going on from after this failure. Not where the work itself is what
/// went wrong: the same session would end in the same way.
pub fn leaves_work(failure: &Failure) -> bool {
    !matches!(
        failure,
        Failure::SessionLost {}
            | Failure::NoChanges {}
            | Failure::AgentRefused {}
            | Failure::ContextTooLong {}
            | Failure::PermissionDenied { .. }
            | Failure::SecretInChange { .. }
            | Failure::ProtectedContent { .. }
            | Failure::TreeChanged { .. }
            | Failure::DiskLimit { .. }
            | Failure::WorkspaceFailed { .. }
            | Failure::PullRequestClosed { .. }
            | Failure::BranchDeleted { .. }
            | Failure::Conflict { .. }
    )
}

/// Whether a retry goes on from what the other job left, if it left anything: a person who cancelled wanted something
/// else, and work belongs to its repository.
pub fn goes_on_from(retry: &Job, of: &Job) -> bool {
    let same = retry.integration == of.integration && retry.repository == of.repository && retry.kind == of.kind;
    retry.retry_of.as_ref() == Some(&of.id) && same && of.failure.as_ref().is_some_and(leaves_work)
}

/// Whether the reviews that a job was given are left to its ticket's next job. `last` is the first of those that the
/// ticket's last job did again, if that did not complete: a retry of a revision leaves the reviews with the first, so
/// that of an earlier one nobody knows whether a retry has answered them.
pub fn leaves_reviews(of: &Job, last: Option<&JobId>) -> bool {
    may_be_retried(of).is_ok() && (of.kind == Kind::Implement || last == Some(&of.id))
}

/// Whether a revision was called off by itself before an agent was told of its reviews: whoever withdrew what they asked
/// for and asks once more has not been heard.
pub fn left_unheard(of: &Job) -> bool {
    let by_itself = of.cancel.as_ref().is_some_and(|cancel| cancel.because.is_some());
    of.kind == Kind::Revise && of.status == Status::Cancelled && by_itself && !of.worked
}

/// Whether a job did what its reviews asked for, so that what it was told with them is told to no other.
pub fn did_what_was_asked(of: &Job) -> bool {
    of.status == Status::Completed
}

/// Makes a planned job, and the ticket that has it, the retry of another.
///
/// The ticket stands in the trigger status again, as if it had entered it; its badge is off already. Its end
/// moves it from there. Without a ticket to remember it, the pull request that the other job left behind is
/// gone on with.
pub fn as_retry(of: &Job, settings: &Settings, mut job: Job, ticket: Option<Ticket>) -> (Job, Option<Ticket>) {
    job.retry_of = Some(of.id.clone());
    if ticket.is_none() && of.integration == job.integration && of.repository == job.repository {
        let left = |result: &super::JobResult| Continues { number: result.number, branch: result.branch.clone() };
        job.continues = of.result.as_ref().map(left).or_else(|| of.continues.clone());
    }
    (job, ticket.map(|ticket| ticket.put_back(&settings.statuses.trigger)))
}

#[cfg(test)]
mod tests;
