//! What the end of a job means for its ticket, and what its standing still does.
//!
//! | end | ticket, only from the status its job found it in | badge | is the ticket's last job |
//! |---|---|---|---|
//! | completed | completion status, pull request linked | none | yes |
//! | failed after an agent worked | todo | AI Failed | yes |
//! | failed before any agent worked | todo | AI Failed | no |
//! | a revision failed before any agent worked | stays, and gives the pull request's hour back | stays | no |
//! | cancelled by a person | todo | none | if an agent worked |
//! | cancelled because its pull request was closed or merged, or its reviews dismissed | stays | stays | no |
//! | the retry of a revision that ends so: failed before any agent worked, or called off | todo | AI Failed if it failed | no |
//! | none: it waits for an answer, or is paused | stays | AI Waiting, until it goes on | no |
//! | not completed, and the ticket was moved into the trigger status again meanwhile | stays; a new job follows, or else the row above | none | as above |

use crate::job::{Job, Kind, Status};
use crate::pull_request::{Note, PullRequest, PullRequestLink};
use crate::ticket::{Badge, LastJob, LastOutcome, Move, Target, Ticket};

/// The ticket after its job `ended`.
pub fn ticket_after(ended: &Job, ticket: &Ticket) -> Ticket {
    let mut ticket = ticket.clone();
    ticket.active_job = None;
    let mut found_in = ticket.found_in.take();
    ticket.tries = 0;
    ticket.not_before = None;
    let outcome = match ended.status {
        Status::Completed => LastOutcome::Completed,
        Status::Cancelled => LastOutcome::Cancelled,
        _ => LastOutcome::Failed,
    };
    let by_itself = ended.status == Status::Cancelled && ended.cancel.as_ref().is_some_and(|it| it.because.is_some());
    let never_began = ended.kind == Kind::Revise && !ended.worked && outcome == LastOutcome::Failed;
    if let Some(now) = ended.ended_at.filter(|_| outcome != LastOutcome::Completed) {
        // What waited for this job gets its last answer now, and not when an hour is over that nothing waits for;
        // where that hour was given back, it gets its job. What has to wait on is told so when it is settled.
        ticket.deferred.values_mut().for_each(|opens_at| *opens_at = now.min(*opens_at));
    }
    // A retry has put it into the trigger status, where it must not be left without a job.
    if (by_itself || never_began) && ended.retry_of.is_none() {
        // Nothing of the ticket's own was tried. A second entry that waits is settled as ever.
        return ticket_while(ended, &ticket).unwrap_or(ticket);
    }
    if ended.worked || outcome == LastOutcome::Completed {
        ticket.last_job = Some(LastJob { id: ended.id.clone(), outcome });
    }
    if outcome == LastOutcome::Completed {
        // The work that the second entry asked for is done; the ticket goes on from where that put it.
        let again = ticket.again.take();
        if again.is_some_and(|entry| ticket.seen_event == Some(entry.event)) {
            found_in = Some(ticket.status.clone());
        }
    }
    ticket.owed = (ticket.again.is_some() && outcome == LastOutcome::Failed).then_some(Badge::AiFailed);
    let (to, badge) = match outcome {
        LastOutcome::Completed => (Some(Target::Completion), None),
        _ if ticket.again.is_some() => (None, None),
        LastOutcome::Failed => (Some(Target::Todo), Some(Badge::AiFailed)),
        LastOutcome::Cancelled => (Some(Target::Todo), None),
    };
    let status = to.zip(found_in).map(|(to, expected)| Move { to, expected });
    ticket.want(status, badge, link_of(ended));
    ticket
}

/// The ticket while its job stands still or goes on, if it should show that and does not.
///
/// A move that is wanted and not written yet stays wanted.
pub fn ticket_while(job: &Job, ticket: &Ticket) -> Option<Ticket> {
    let shows = ticket.wanted.badge == Some(Badge::AiWaiting);
    let waits = matches!(job.status, Status::AwaitingInput | Status::Paused);
    if shows == waits {
        return None;
    }
    let mut ticket = ticket.clone();
    let status = ticket.wanted.status.take().filter(|_| ticket.is_unsynced());
    ticket.want(status, waits.then_some(Badge::AiWaiting), None);
    Some(ticket)
}

/// The pull request after a job that revised it `ended`: its hour is given back if no agent worked, and
/// people read how it ended.
pub fn pull_request_after(ended: &Job, pull_request: &PullRequest) -> PullRequest {
    let mut pull_request = pull_request.clone();
    if let Some(given_back) = pull_request.revised.take_if(|revised| !ended.worked && revised.job == ended.id) {
        pull_request.revised = given_back.earlier.map(|earlier| *earlier);
    }
    pull_request.tell(Note::ended(ended.id.clone()));
    pull_request
}

/// The pull request that a job left behind, whether it completed or not.
pub fn link_of(job: &Job) -> Option<PullRequestLink> {
    let result = job.result.as_ref()?;
    Some(PullRequestLink {
        id: result.pull_request(&job.integration, job.repository),
        url: result.url.clone(),
        branch: result.branch.clone(),
    })
}

#[cfg(test)]
mod tests;
