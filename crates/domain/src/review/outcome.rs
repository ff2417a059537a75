//! How a ticket changes when its job ends, while its job is suspended, and when its pull request is closed.
//!
//! | end of the job | status, if still the one in which the job found the ticket | badge | becomes `last_job` |
//! |---|---|---|---|
//! | completed | completion status, pull request linked | none | yes |
//! | failed after an agent worked | todo | AI Failed | yes |
//! | failed before any agent worked | todo | AI Failed | no |
//! | cancelled by a user | todo | none | if an agent worked |
//! | a revision failed before any agent worked | unchanged; the hourly limit ignores it | unchanged | no |
//! | cancelled because its pull request was closed or merged, or its reviews dismissed | unchanged | unchanged | no |
//! | any end of a job that resolves | unchanged | unchanged | no |
//! | a retry with one of these two ends | todo | AI Failed if it failed | if an agent worked |
//! | none: it waits for an answer, or is paused | unchanged | AI Waiting, until it resumes | no |
//! | not completed; the ticket entered the trigger status again | a new job follows, else as above | none | as above |

use crate::job::{Job, JobKind, JobStatus};
use crate::project::Statuses;
use crate::review::output::PostedReview;
use crate::review::pull_request::{Note, PullRequest, PullRequestLink, PullRequestState};
use crate::text::time::Timestamp;
use crate::ticket::{Badge, JobComment, LastJob, LastOutcome, StatusMove, Target, Ticket};

pub fn ticket_after_job(ended: &Job, ticket: &Ticket) -> Ticket {
    let mut ticket = ticket.clone();
    ticket.active_job = None;
    let mut found_in = ticket.found_in.take();
    if ticket.is_retry_unsynced() {
        // The tool may be getting that move now, and reports it later.
        ticket.written_trigger.clone_from(&found_in);
    }
    ticket.tries = 0;
    ticket.not_before = None;
    let outcome = match ended.status {
        JobStatus::Completed => LastOutcome::Completed,
        JobStatus::Cancelled => LastOutcome::Cancelled,
        _ => LastOutcome::Failed,
    };
    let is_automatic =
        ended.status == JobStatus::Cancelled && ended.cancel.as_ref().is_some_and(|it| it.because.is_some());
    let is_unstarted = !ended.worked && outcome == LastOutcome::Failed && !ended.kind.spec().moves_ticket_unstarted;
    if let Some(now) = ended.ended_at.filter(|_| outcome != LastOutcome::Completed) {
        // Settle the waiting reviews now, not at the end of the hour. After a job that did not complete they are
        // refused, or start a job if this one does not count towards the hourly limit. Settling defers the others.
        ticket.deferred.values_mut().for_each(|opens_at| *opens_at = now.min(*opens_at));
    }
    // A retry moved the ticket into the trigger status, and its end must move the ticket out again.
    if ended.kind == JobKind::Resolve || (is_automatic || is_unstarted) && ended.retry_of.is_none() {
        // The ticket's own work was not attempted. A second entry that waits is settled as usual.
        return update_waiting_badge(ended, &ticket).unwrap_or(ticket);
    }
    if ended.worked || outcome == LastOutcome::Completed {
        ticket.last_job = Some(LastJob { id: ended.id.clone(), outcome });
    }
    // The completed work covers the second entry, so the ticket moves on from the status of that entry.
    let covered = ticket.again.take_if(|_| outcome == LastOutcome::Completed);
    let covered =
        covered.filter(|entry| ticket.seen_event.as_ref() == Some(&entry.event)).map(|_| ticket.status.clone());
    found_in = covered.clone().or(found_in);
    ticket.owed = (ticket.again.is_some() && outcome == LastOutcome::Failed).then_some(Badge::AiFailed);
    let (to, badge) = match outcome {
        LastOutcome::Completed => (Some(Target::Completion), None),
        _ if ticket.again.is_some() => (None, None),
        LastOutcome::Failed => (Some(Target::Todo), Some(Badge::AiFailed)),
        LastOutcome::Cancelled => (Some(Target::Todo), None),
    };
    let own = || to.zip(found_in).map(|(to, expected)| StatusMove { to, expected });
    // A user's move wins, unless the tool has made it and its entry is the covered one.
    let is_open = ticket.requested_status().is_some_and(|requested| covered.as_deref() != Some(requested));
    let requested = ticket.wanted.status.clone().filter(|_| is_open);
    let status = requested.or_else(own);
    ticket.request_state(status, badge, pull_request_link(ended));
    add_comment(ended, &mut ticket);
    ticket
}

/// A tool shows a badge with a comment that explains it.
fn add_comment(job: &Job, ticket: &mut Ticket) {
    if ticket.tracker.is_none() || !ticket.is_unsynced() {
        return;
    }
    let text = match (ticket.wanted.badge, &job.failure) {
        (None, _) | (Some(Badge::AiFailed), None) => None,
        (Some(Badge::AiFailed), Some(failure)) => Some(format!("{} {}", failure.sentence(), failure.help())),
        (Some(Badge::AiWaiting), _) if job.status == JobStatus::Paused => Some("The job is paused.".into()),
        (Some(Badge::AiWaiting), _) => Some("The agent waits for an answer.".into()),
    };
    ticket.wanted.comment = text.map(|text| JobComment { job: job.id.clone(), text });
}

/// The ticket after its pull request was merged or closed. `None` if that is another pull request, or if the ticket is
/// not where the end of its job left it: a user's move wins.
pub fn ticket_after_close(pull_request: &PullRequest, ticket: &Ticket, statuses: &Statuses) -> Option<Ticket> {
    let to = match pull_request.state {
        PullRequestState::Open => return None,
        PullRequestState::Merged => Target::Merged,
        PullRequestState::Closed => Target::Unmerged,
    };
    let is_own = ticket.pull_request.as_ref().is_some_and(|link| link.id == pull_request.id);
    let is_ours = |status: &String| {
        let is_written = ticket.written.as_ref() == Some(status);
        *status == statuses.completion || (is_written && *status != statuses.trigger)
    };
    let expected = match &ticket.wanted.status {
        // The ticket is about to move to that status.
        Some(StatusMove { to: Target::Completion, expected }) if ticket.is_unsynced() => expected.clone(),
        _ => Some(ticket.status.clone()).filter(is_ours)?,
    };
    let mut ticket = Some(ticket.clone()).filter(|_| is_own)?;
    let badge = ticket.wanted.badge.filter(|badge| *badge != Badge::AiFailed);
    ticket.request_state(Some(StatusMove { to, expected }), badge, None);
    Some(ticket)
}

/// Updates the AI Waiting badge when the job is suspended or resumes. `None` if the badge is correct.
/// A wanted move that is not written yet stays wanted.
pub fn update_waiting_badge(job: &Job, ticket: &Ticket) -> Option<Ticket> {
    let is_shown = ticket.wanted.badge == Some(Badge::AiWaiting);
    let is_suspended = matches!(job.status, JobStatus::AwaitingInput | JobStatus::Paused);
    if is_shown == is_suspended {
        return None;
    }
    let mut ticket = ticket.clone();
    let status = ticket.wanted.status.clone().filter(|_| ticket.is_unsynced());
    ticket.request_state(status, is_suspended.then_some(Badge::AiWaiting), None);
    add_comment(job, &mut ticket);
    Some(ticket)
}

/// The pull request after a revision `ended`. Without an agent's work, it does not count towards the hourly limit.
pub fn pull_request_after_revision(ended: &Job, pull_request: &PullRequest) -> PullRequest {
    let mut pull_request = pull_request.clone();
    if let Some(uncounted) = pull_request.revised.take_if(|revised| !ended.worked && revised.job == ended.id) {
        pull_request.revised = uncounted.earlier.map(|earlier| *earlier);
    }
    pull_request.set_note(Note::job_ended(ended.id.clone()));
    pull_request
}

/// The pull request after a job that reviews it `ended`. `posted` is the output of a completed one.
pub fn pull_request_after_review(
    ended: &Job,
    posted: Option<&PostedReview>,
    pull_request: &PullRequest,
    now: Timestamp,
) -> PullRequest {
    let mut pull_request = pull_request.clone();
    pull_request.reviews.end(ended, posted, now);
    if let Some(result) = &ended.result {
        pull_request.head.clone_from(&result.head);
    }
    pull_request.set_review_note(Note::job_ended(ended.id.clone()));
    pull_request
}

/// The pull request of a job, even if the job did not complete.
pub fn pull_request_link(job: &Job) -> Option<PullRequestLink> {
    let result = job.result.as_ref()?;
    Some(PullRequestLink {
        id: result.pull_request(&job.integration, job.repository),
        url: result.url.clone(),
        branch: result.branch.clone(),
    })
}

#[cfg(test)]
mod tests;
