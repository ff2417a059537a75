//! What the end of a job means for its ticket.
//!
//! | end | ticket, only from the status its job found it in | badge | is the ticket's last job |
//! |---|---|---|---|
//! | completed | completion status, pull request linked | none | yes |
//! | failed after an agent worked | todo | AI Failed | yes |
//! | failed before any agent worked | todo | AI Failed | no |
//! | cancelled by a person | todo | none | if an agent worked |
//! | not completed, and the ticket was moved into the trigger status again meanwhile | stays; a new job follows, or else the row above | none | as above |

use crate::job::{Job, Status};
use crate::pull_request::PullRequestLink;
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
