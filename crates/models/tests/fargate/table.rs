//! Models the table's writes, with the conditions of `crates/store/src/write`. `None`: stale facts refused the write.

use super::rules::{ItemVersion, Rules};
use super::state::State;

/// `update_job` and `claim`.
pub(super) fn update_job(state: &State, job: u8, after: ItemVersion, fresh: bool) -> Option<State> {
    if !fresh {
        return None;
    }
    let mut next = *state;
    next.jobs[usize::from(job)] = Some(after);
    next.mark_job_reads_stale(job);
    Some(next)
}

pub(super) fn update_ticket(state: &State, after: ItemVersion, fresh: bool) -> Option<State> {
    if !fresh {
        return None;
    }
    let mut next = *state;
    next.ticket = after;
    next.mark_ticket_reads_stale();
    Some(next)
}

/// `end` with the ticket as read, or `requeue` if the job has not ended.
pub(super) fn end(
    state: &State,
    job: u8,
    (after, ticket): (ItemVersion, ItemVersion),
    fresh: bool,
    rules: &mut Rules,
) -> Option<State> {
    let mut next = update_job(state, job, after, fresh)?;
    if rules.job(after).status.is_terminal() {
        next.ticket = rules.ticket_after(after, ticket);
        next.mark_ticket_reads_stale();
    }
    Some(next)
}

/// `trigger`: creates the job of the second entry, if absent, and locks its ticket.
pub(super) fn trigger(state: &State, (job, ticket): (ItemVersion, ItemVersion), fresh: bool) -> Option<State> {
    if state.jobs[1].is_some() {
        return None;
    }
    let mut next = update_ticket(state, ticket, fresh)?;
    next.jobs[1] = Some(job);
    Some(next)
}
