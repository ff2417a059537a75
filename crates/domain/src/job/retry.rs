//! Retries: a new job that repeats the work of an ended one.

use super::{ContinuedPullRequest, Job, JobKind, JobStatus};
use crate::project::Settings;
use crate::text::failure::Failure;
use crate::text::id::JobId;
use crate::ticket::Ticket;

pub fn check_retryable(job: &Job) -> Result<(), JobStatus> {
    match job.status {
        JobStatus::Failed | JobStatus::Cancelled => Ok(()),
        status => Err(status),
    }
}

/// Whether a retry should resume the work after this failure. Not if the work caused it: the session would fail again.
pub fn is_resumable(failure: &Failure) -> bool {
    !matches!(
        failure,
        Failure::SessionLost {}
            | Failure::NoChanges { .. }
            | Failure::OutputInvalid { .. }
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
/// user wanted other work. Work belongs to its repository. A review or an analysis begins with the newest state.
pub fn can_resume_work(retry: &Job, old: &Job) -> bool {
    let has_same_target =
        retry.integration == old.integration && retry.repository == old.repository && retry.kind == old.kind;
    let reads_anew = retry.kind.reviews() || retry.kind == JobKind::Analysis;
    retry.retry_of.as_ref() == Some(&old.id)
        && has_same_target
        && !reads_anew
        && old.failure.as_ref().is_some_and(is_resumable)
}

/// Whether the unanswered reviews of an ended job pass to its ticket's next job.
///
/// `last`: the first job in the retry chain of the ticket's last job, if that did not complete. Reviews of a revision
/// stay assigned to the first job of its chain, so for older chains it is unknown whether a retry answered them.
pub fn has_reviews_to_pass_on(job: &Job, last: Option<&JobId>) -> bool {
    check_retryable(job).is_ok() && (!job.answers_reviews() || last == Some(&job.id))
}

/// Whether Pullyard cancelled a revision before an agent read its reviews, so that their authors have no answer.
pub fn is_withdrawn_unread(job: &Job) -> bool {
    let is_automatic = job.cancel.as_ref().is_some_and(|cancel| cancel.because.is_some());
    job.answers_reviews() && job.status == JobStatus::Cancelled && is_automatic && !job.worked
}

/// Whether a job handled its reviews, so that their comments are given to no other job.
pub fn has_handled_reviews(job: &Job) -> bool {
    job.status == JobStatus::Completed
}

/// Turns a planned job, and its ticket, into the retry of another job.
/// The ticket returns to the trigger status, as if it had entered it, and the job's end moves it from there. Its badge
/// is removed earlier. Without a ticket, the retry continues the pull request of the other job.
pub fn to_retry(old: &Job, settings: &Settings, mut job: Job, ticket: Option<Ticket>) -> (Job, Option<Ticket>) {
    job.retry_of = Some(old.id.clone());
    if ticket.is_none()
        && job.revises.is_none()
        && old.integration == job.integration
        && old.repository == job.repository
    {
        let continuation =
            |result: &super::JobResult| ContinuedPullRequest { number: result.number, branch: result.branch.clone() };
        job.continues = old.result.as_ref().map(continuation).or_else(|| old.continues.clone());
    }
    (job, ticket.map(|ticket| ticket.for_retry(&settings.statuses.trigger)))
}

#[cfg(test)]
mod tests;
