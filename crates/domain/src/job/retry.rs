//! Retries: a new job that repeats the work of an ended one.

use super::{ContinuedPullRequest, Job, JobKind, JobStatus};
use crate::failure::Failure;
use crate::id::JobId;
use crate::project::Settings;
use crate::ticket::Ticket;

pub fn check_retryable(of: &Job) -> Result<(), JobStatus> {
    match of.status {
        JobStatus::Failed | JobStatus::Cancelled => Ok(()),
        status => Err(status),
    }
}

/// Whether a retry should resume the work after this failure. Not if the work caused it: the session would fail again.
pub fn is_resumable(failure: &Failure) -> bool {
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
            | Failure::WorkspaceFailed { .. }
            | Failure::PullRequestClosed { .. }
            | Failure::BranchDeleted { .. }
            | Failure::Conflict { .. }
    )
}

/// Whether a retry resumes the work of the other job, if that left any. A cancelled job is not resumed, because the
/// user wanted other work. Work belongs to its repository.
pub fn can_resume_work(retry: &Job, of: &Job) -> bool {
    let same = retry.integration == of.integration && retry.repository == of.repository && retry.kind == of.kind;
    retry.retry_of.as_ref() == Some(&of.id) && same && of.failure.as_ref().is_some_and(is_resumable)
}

/// Whether the unanswered reviews of an ended job pass to its ticket's next job.
///
/// `last`: the first job in the retry chain of the ticket's last job, if that did not complete. Reviews of a revision
/// stay assigned to the first job of its chain, so for older chains it is unknown whether a retry answered them.
pub fn has_reviews_to_pass_on(of: &Job, last: Option<&JobId>) -> bool {
    check_retryable(of).is_ok() && (of.kind == JobKind::Implement || last == Some(&of.id))
}

/// Whether Pullyard cancelled a revision before an agent read its reviews, so that their authors have no answer.
pub fn is_withdrawn_unread(of: &Job) -> bool {
    let by_itself = of.cancel.as_ref().is_some_and(|cancel| cancel.because.is_some());
    of.kind == JobKind::Revise && of.status == JobStatus::Cancelled && by_itself && !of.worked
}

/// Whether a job handled its reviews, so that their comments are given to no other job.
pub fn has_handled_reviews(of: &Job) -> bool {
    of.status == JobStatus::Completed
}

/// Turns a planned job, and its ticket, into the retry of another job.
/// The ticket returns to the trigger status, as if it had entered it, and the job's end moves it from there. Its badge
/// is removed earlier. Without a ticket, the retry continues the pull request of the other job.
pub fn to_retry(of: &Job, settings: &Settings, mut job: Job, ticket: Option<Ticket>) -> (Job, Option<Ticket>) {
    job.retry_of = Some(of.id.clone());
    if ticket.is_none() && of.integration == job.integration && of.repository == job.repository {
        let continuation =
            |result: &super::JobResult| ContinuedPullRequest { number: result.number, branch: result.branch.clone() };
        job.continues = of.result.as_ref().map(continuation).or_else(|| of.continues.clone());
    }
    (job, ticket.map(|ticket| ticket.for_retry(&settings.statuses.trigger)))
}

#[cfg(test)]
mod tests;
