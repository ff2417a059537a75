//! Models the table's writes, with the conditions of `crates/store/src/write`. `Ok(None)`: stale facts refused the
//! write. `Err`: the write would break an invariant.

use super::Setting;
use super::rules::{Change, Rules};
use super::state::{Answer, Entry, Hour, Last, NEXT_JOB, State, StoredState, Work, slot};

type Write = Result<Option<State>, String>;

pub(super) struct NewJob {
    pub(super) review: u8,
    pub(super) job: u8,
    pub(super) then: Hour,
    pub(super) request: bool,
    /// The ticket and the pull request have not changed since they were read.
    pub(super) fresh: bool,
}

/// `create_review_job` with a ledger entry.
pub(super) fn trigger(state: &State, new: &NewJob, rules: &mut Rules) -> Write {
    let at = usize::from(new.review);
    let over = matches!(state.table.reviews[at], StoredState::Absent | StoredState::Refused);
    if !(new.fresh && over && !is_final(state, at) && state.table.jobs[slot(new.job)] == Work::None) {
        return Ok(None);
    }
    if state.table.ticket.deferred.is_some() {
        return Err(format!("the job of r{at} passes reviews that wait"));
    }
    let mut next = create_job(state, new, Change::StartNew(new.job, new.then), rules)?;
    next.store_ledger_entry(at, Entry { answer: Answer::Accepted, job: Some(new.job) });
    Ok(Some(next))
}

/// `create_review_job` of a waiting review.
pub(super) fn start(state: &State, new: &NewJob, rules: &mut Rules) -> Write {
    if !(new.fresh && state.table.reviews[usize::from(new.review)] == StoredState::Deferred) {
        return Ok(None);
    }
    if state.table.jobs[slot(new.job)] != Work::None {
        // This start would be refused forever.
        return Err(format!("r{} waits for a job that was made before", new.review));
    }
    create_job(state, new, Change::StartWaiting(new.job, new.then), rules).map(Some)
}

fn create_job(state: &State, new: &NewJob, change: Change, rules: &mut Rules) -> Result<State, String> {
    let mut next = *state;
    let table = &mut next.table;
    let at = slot(new.job);
    let active = |work: &Work| matches!(work, Work::Pending | Work::Running);
    if table.jobs.iter().any(active) {
        return Err(format!("job {at} begins while another is active"));
    }
    for (other, work) in table.jobs.iter().take(table.started_at.len()).enumerate() {
        let counts = !matches!(work, Work::None | Work::NeverBegan);
        if counts && !new.request && new.then < table.started_at[other] + 1 {
            return Err(format!("jobs {other} and {at} begin within an hour"));
        }
    }
    let (ticket, revised) = rules.change(change, table.ticket, table.last_revision);
    (table.ticket, table.last_revision) = (ticket, revised);
    table.reviews[usize::from(new.review)] = StoredState::Started;
    table.jobs[at] = Work::Pending;
    table.started_at[at] = new.then;
    next.mark_ticket_reads_stale();
    next.mark_pull_request_reads_stale();
    Ok(next)
}

pub(super) struct NewWaitingReview {
    pub(super) review: u8,
    pub(super) answer: Answer,
    /// The active job that the review waits for.
    pub(super) job: Option<u8>,
    pub(super) opens: Hour,
    /// The ticket has not changed since it was read.
    pub(super) fresh: bool,
}

/// `wait_for_job` during an active job, otherwise `create_deferred_review`; one write with ledger entry and mark.
pub(super) fn remember(state: &State, waits: &NewWaitingReview, rules: &mut Rules) -> Option<State> {
    let at = usize::from(waits.review);
    let fresh = matches!(state.table.reviews[at], StoredState::Absent | StoredState::Refused);
    if !fresh || is_final(state, at) {
        return None;
    }
    let mut next = match waits.job {
        Some(job) => mark_for_job(state, job, waits.opens)?,
        None => mark(state, waits.opens, waits.fresh, rules)?,
    };
    next.table.reviews[at] = StoredState::Deferred;
    next.mark_review_reads_stale(waits.review);
    next.store_ledger_entry(at, Entry { answer: waits.answer, job: None });
    Some(next)
}

/// Marks a ticket with an active job. The write is not conditional on the revision and leaves the row unchanged.
fn mark_for_job(state: &State, job: u8, opens: Hour) -> Option<State> {
    let mut next = *state;
    if next.table.ticket.active != Some(job) {
        return None;
    }
    next.table.ticket.deferred.get_or_insert(opens);
    next.mark_ticket_reads_stale();
    Some(next)
}

/// `update_ticket` with the mark.
pub(super) fn mark(state: &State, opens: Hour, fresh: bool, rules: &mut Rules) -> Option<State> {
    change_ticket(state, Change::Remember(opens), fresh, rules)
}

/// `update_ticket`.
pub(super) fn change_ticket(state: &State, change: Change, fresh: bool, rules: &mut Rules) -> Option<State> {
    if !fresh {
        return None;
    }
    let mut next = *state;
    next.table.ticket = rules.change(change, next.table.ticket, next.table.last_revision).0;
    next.mark_ticket_reads_stale();
    Some(next)
}

fn is_final(state: &State, review: usize) -> bool {
    matches!(state.table.ledger[review].answer, Answer::Held | Answer::Accepted)
}

pub(super) fn record(state: &State, review: u8, answer: Answer) -> Option<State> {
    let at = usize::from(review);
    if is_final(state, at) {
        return None;
    }
    let mut next = *state;
    next.store_ledger_entry(at, Entry { answer, job: None });
    Some(next)
}

pub(super) fn conclude_refused(state: &State, reviews: u8) -> State {
    let mut next = *state;
    for (at, entry) in next.table.ledger.iter_mut().enumerate() {
        if reviews & 1 << at != 0 && entry.answer != Answer::None && entry.job.is_none() {
            entry.answer = Answer::Refused;
        }
    }
    next
}

pub(super) fn conclude_covered(state: &State, reviews: u8, job: u8) -> State {
    let mut next = *state;
    for (at, entry) in next.table.ledger.iter_mut().enumerate() {
        if reviews & 1 << at != 0 && entry.answer != Answer::None && entry.job.is_none() {
            entry.job = Some(job);
            if entry.answer != Answer::Held {
                entry.answer = Answer::Accepted;
            }
        }
    }
    next
}

pub(super) fn absorb(state: &State, into: u8, older: u8) -> Option<State> {
    let waits = |at: usize| state.table.reviews[at] == StoredState::Deferred;
    if !waits(usize::from(into)) || !members(older).all(waits) {
        return None;
    }
    let mut next = *state;
    for at in members(older) {
        next.table.reviews[at] = StoredState::Absorbed(into);
    }
    next.mark_review_reads_stale(into);
    Some(next)
}

/// `refuse_absorbed_reviews`: only while the newest review waits and has absorbed no more.
pub(super) fn refuse_others(state: &State, newest: u8, others: u8, as_read: bool) -> Option<State> {
    let may = |at: usize| matches!(state.table.reviews[at], StoredState::Deferred | StoredState::Absorbed(_));
    if !as_read || state.table.reviews[usize::from(newest)] != StoredState::Deferred || !members(others).all(may) {
        return None;
    }
    let mut next = *state;
    for at in members(others) {
        next.table.reviews[at] = StoredState::Refused;
    }
    Some(next)
}

pub(super) fn refuse_newest(state: &State, newest: u8, as_read: bool) -> Option<State> {
    let mut next = *state;
    let review = &mut next.table.reviews[usize::from(newest)];
    if !as_read || *review != StoredState::Deferred {
        return None;
    }
    *review = StoredState::Refused;
    Some(next)
}

/// `trigger`: creates the ticket's next job; the read of the ticket is merged into this step.
pub(super) fn next_job(state: &State, rules: &mut Rules) -> Option<State> {
    let mut next = change_ticket(state, Change::Next, true, rules)?;
    next.table.jobs[slot(NEXT_JOB)] = Work::Pending;
    Some(next)
}

/// `wait_for_job`: over the review's previous job, while the ticket's active job lacks the review.
pub(super) fn wait_for_next(state: &State, review: u8) -> Option<State> {
    let at = usize::from(review);
    if state.table.reviews[at] != StoredState::Started {
        return None;
    }
    let mut next = mark_for_job(state, NEXT_JOB, state.table.now)?;
    next.table.reviews[at] = StoredState::Deferred;
    next.table.requeued_reviews |= 1 << review;
    next.mark_review_reads_stale(review);
    Some(next)
}

/// `end`: a stale read leads to a retry, so this step reads and writes.
pub(super) fn end(state: &State, job: u8, work: Work, rules: &mut Rules, setting: &Setting) -> State {
    let mut next = *state;
    let change = Change::End(job, work, next.table.now);
    let (ticket, revised) = rules.change(change, next.table.ticket, next.table.last_revision);
    (next.table.ticket, next.table.last_revision) = (ticket, revised);
    next.table.jobs[slot(job)] = work;
    if setting.next_job_without_reviews {
        match rules.last_outcome(job, work) {
            Some(Last::Completed) => next.table.failed_job = None,
            Some(Last::Failed) => next.table.failed_job = Some(job),
            None => {}
        }
    }
    next.mark_ticket_reads_stale();
    next.mark_pull_request_reads_stale();
    next
}

pub(super) fn members(set: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |at| set & 1 << at != 0)
}
