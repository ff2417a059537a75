//! Models the table's writes, with the conditions of `crates/store/src/write`. `Ok(None)`: stale facts refused the
//! write. `Err`: the write would break an invariant.

use super::Setting;
use super::facts::{Change, Rules};
use super::state::{Answer, Entry, Hour, Last, NEXT_JOB, State, Stored, Work, slot};

type Write = Result<Option<State>, String>;

pub(super) struct New {
    pub(super) review: u8,
    pub(super) job: u8,
    pub(super) then: Hour,
    pub(super) request: bool,
    /// The ticket and the pull request have not changed since they were read.
    pub(super) fresh: bool,
}

/// `trigger_review` with a ledger entry.
pub(super) fn trigger(state: &State, new: &New, rules: &mut Rules) -> Write {
    let at = usize::from(new.review);
    let over = matches!(state.table.reviews[at], Stored::Absent | Stored::Refused);
    if !(new.fresh && over && !is_final(state, at) && state.table.jobs[slot(new.job)] == Work::None) {
        return Ok(None);
    }
    if state.table.ticket.deferred.is_some() {
        return Err(format!("the job of r{at} passes reviews that wait"));
    }
    let mut next = begin(state, new, Change::Direct(new.job, new.then), rules)?;
    next.enters(at, Entry { answer: Answer::Accepted, job: Some(new.job) });
    Ok(Some(next))
}

/// `trigger_review` of a waiting review.
pub(super) fn start(state: &State, new: &New, rules: &mut Rules) -> Write {
    if !(new.fresh && state.table.reviews[usize::from(new.review)] == Stored::Deferred) {
        return Ok(None);
    }
    if state.table.jobs[slot(new.job)] != Work::None {
        // This start would be refused forever.
        return Err(format!("r{} waits for a job that was made before", new.review));
    }
    begin(state, new, Change::Settled(new.job, new.then), rules).map(Some)
}

fn begin(state: &State, new: &New, change: Change, rules: &mut Rules) -> Result<State, String> {
    let mut next = *state;
    let table = &mut next.table;
    let at = slot(new.job);
    let active = |work: &Work| matches!(work, Work::Pending | Work::Running);
    if table.jobs.iter().any(active) {
        return Err(format!("job {at} begins while another is active"));
    }
    for (other, work) in table.jobs.iter().take(table.begun.len()).enumerate() {
        let counts = !matches!(work, Work::None | Work::NeverBegan);
        if counts && !new.request && new.then < table.begun[other] + 1 {
            return Err(format!("jobs {other} and {at} begin within an hour"));
        }
    }
    let (ticket, revised) = rules.change(change, table.ticket, table.revised);
    (table.ticket, table.revised) = (ticket, revised);
    table.reviews[usize::from(new.review)] = Stored::Started;
    table.jobs[at] = Work::Pending;
    table.begun[at] = new.then;
    next.ticket_written();
    next.pull_request_written();
    Ok(next)
}

pub(super) struct Waits {
    pub(super) review: u8,
    pub(super) answer: Answer,
    /// The active job that the review waits for.
    pub(super) job: Option<u8>,
    pub(super) opens: Hour,
    /// The ticket has not changed since it was read.
    pub(super) fresh: bool,
}

/// `wait_for_job` during an active job, otherwise `remember_review`; one write with ledger entry and mark.
pub(super) fn remember(state: &State, waits: &Waits, rules: &mut Rules) -> Option<State> {
    let at = usize::from(waits.review);
    let fresh = matches!(state.table.reviews[at], Stored::Absent | Stored::Refused);
    if !fresh || is_final(state, at) {
        return None;
    }
    let mut next = match waits.job {
        Some(job) => mark_for_job(state, job, waits.opens)?,
        None => mark(state, waits.opens, waits.fresh, rules)?,
    };
    next.table.reviews[at] = Stored::Deferred;
    next.has_a_new_version(waits.review);
    next.enters(at, Entry { answer: waits.answer, job: None });
    Some(next)
}

/// Marks a ticket with an active job. The write is not conditional on the revision and leaves the row unchanged.
fn mark_for_job(state: &State, job: u8, opens: Hour) -> Option<State> {
    let mut next = *state;
    if next.table.ticket.active != Some(job) {
        return None;
    }
    next.table.ticket.deferred.get_or_insert(opens);
    next.ticket_written();
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
    next.table.ticket = rules.change(change, next.table.ticket, next.table.revised).0;
    next.ticket_written();
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
    next.enters(at, Entry { answer, job: None });
    Some(next)
}

/// `conclude` each with a final refusal.
pub(super) fn conclude_refused(state: &State, reviews: u8) -> State {
    let mut next = *state;
    for (at, entry) in next.table.ledger.iter_mut().enumerate() {
        if reviews & 1 << at != 0 && entry.answer != Answer::None && entry.job.is_none() {
            entry.answer = Answer::Refused;
        }
    }
    next
}

/// `conclude` each with the job.
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

/// `absorb_reviews`.
pub(super) fn absorb(state: &State, into: u8, older: u8) -> Option<State> {
    let waits = |at: usize| state.table.reviews[at] == Stored::Deferred;
    if !waits(usize::from(into)) || !members(older).all(waits) {
        return None;
    }
    let mut next = *state;
    for at in members(older) {
        next.table.reviews[at] = Stored::Absorbed(into);
    }
    next.has_a_new_version(into);
    Some(next)
}

/// `refuse_with`: only while the newest review waits and has absorbed no more.
pub(super) fn refuse_others(state: &State, newest: u8, others: u8, as_read: bool) -> Option<State> {
    let may = |at: usize| matches!(state.table.reviews[at], Stored::Deferred | Stored::Absorbed(_));
    if !as_read || state.table.reviews[usize::from(newest)] != Stored::Deferred || !members(others).all(may) {
        return None;
    }
    let mut next = *state;
    for at in members(others) {
        next.table.reviews[at] = Stored::Refused;
    }
    Some(next)
}

/// `refuse_review`.
pub(super) fn refuse_newest(state: &State, newest: u8, as_read: bool) -> Option<State> {
    let mut next = *state;
    let review = &mut next.table.reviews[usize::from(newest)];
    if !as_read || *review != Stored::Deferred {
        return None;
    }
    *review = Stored::Refused;
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
    if state.table.reviews[at] != Stored::Started {
        return None;
    }
    let mut next = mark_for_job(state, NEXT_JOB, state.table.now)?;
    next.table.reviews[at] = Stored::Deferred;
    next.table.had |= 1 << review;
    next.has_a_new_version(review);
    Some(next)
}

/// `end`: a stale read leads to a retry, so this step reads and writes.
pub(super) fn end(state: &State, job: u8, work: Work, rules: &mut Rules, setting: &Setting) -> State {
    let mut next = *state;
    let change = Change::End(job, work, next.table.now);
    let (ticket, revised) = rules.change(change, next.table.ticket, next.table.revised);
    (next.table.ticket, next.table.revised) = (ticket, revised);
    next.table.jobs[slot(job)] = work;
    if setting.alone {
        match rules.last(job, work) {
            Some(Last::Completed) => next.table.undone = None,
            Some(Last::Failed) => next.table.undone = Some(job),
            None => {}
        }
    }
    next.ticket_written();
    next.pull_request_written();
    next
}

pub(super) fn members(set: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |at| set & 1 << at != 0)
}
