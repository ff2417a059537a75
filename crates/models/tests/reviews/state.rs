//! One state: the table, the running processes, and the faults that may still happen.

use super::Setting;

pub(super) const MAX_REVIEWS: usize = 3;

/// The job that ran at the start. All others except [`NEXT_JOB`] are named by their review.
pub(super) const FIRST_JOB: u8 = 9;

pub(super) const NEXT_JOB: u8 = 8;

pub(super) const REVIEW_JOBS: usize = 2 * MAX_REVIEWS;

pub(super) const JOBS: [u8; REVIEW_JOBS + 2] = [0, 1, 2, 3, 4, 5, NEXT_JOB, FIRST_JOB];

/// The state of each review, and the set of those whose first job failed.
pub(super) type Reviews = ([StoredState; MAX_REVIEWS], u8);

pub(super) type Hour = u8;

pub(super) type LastRevisions = Option<((Hour, u8), Option<(Hour, u8)>)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) table: Table,
    pub(super) hooks: [DeliveryProcess; MAX_REVIEWS + 1],
    pub(super) settlers: [Settler; 2],
    pub(super) remaining: RemainingEvents,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Table {
    pub(super) now: Hour,
    pub(super) held: bool,
    pub(super) closed: bool,
    pub(super) last_revision: LastRevisions,
    pub(super) ticket: TicketCells,
    pub(super) reviews: [StoredState; MAX_REVIEWS],
    pub(super) requeued_reviews: u8,
    pub(super) ledger: [Entry; MAX_REVIEWS],
    pub(super) jobs: [Work; REVIEW_JOBS + 2],
    pub(super) covers: [u8; REVIEW_JOBS],
    pub(super) started_at: [Hour; REVIEW_JOBS],
    pub(super) failed_job: Option<u8>,
}

impl Table {
    pub(super) fn reviews(&self) -> Reviews {
        (self.reviews, self.requeued_reviews)
    }

    pub(super) fn next_job(&self, review: u8) -> u8 {
        if self.requeued_reviews & 1 << review != 0 { second_job(review) } else { review }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TicketCells {
    pub(super) active: Option<u8>,
    pub(super) last: Option<Last>,
    pub(super) deferred: Option<Hour>,
    pub(super) row: Option<Hour>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Last {
    Completed,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum StoredState {
    Absent,
    Deferred,
    Absorbed(u8),
    Started,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) answer: Answer,
    pub(super) job: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    None,
    Held,
    Paused,
    Refused,
    Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Work {
    None,
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
    /// The job ended before an agent worked.
    NeverBegan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum DeliveryProcess {
    Idle,
    /// Has read everything except the ticket.
    Read {
        known: Option<StoredReview>,
        first: bool,
        closed: bool,
        revised: LastRevisions,
        pr: bool,
    },
    /// The next write. The same holds for the variants below.
    Record,
    Trigger {
        then: Hour,
        ticket: bool,
        pr: bool,
    },
    Put {
        answer: Answer,
        job: Option<u8>,
        opens: Hour,
        ticket: bool,
    },
    /// Sets an earlier time on the ticket.
    Mark {
        opens: Hour,
        ticket: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum StoredReview {
    Deferred,
    Started(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Settler {
    Idle,
    Read {
        last: Option<Last>,
        ticket: bool,
    },
    /// The next write. The same holds for the variants below.
    Clear {
        ticket: bool,
    },
    Wait {
        opens: Hour,
        ticket: bool,
    },
    Absorb {
        into: u8,
        older: u8,
    },
    Start {
        review: u8,
        job: u8,
        then: Hour,
        ticket: bool,
        pr: bool,
        request: bool,
    },
    Conclude {
        newest: u8,
        others: u8,
        ticket: bool,
        as_read: bool,
    },
    RefuseOthers {
        newest: u8,
        others: u8,
        ticket: bool,
        as_read: bool,
    },
    RefuseNewest {
        newest: u8,
        ticket: bool,
        as_read: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RemainingEvents {
    pub(super) faults: u8,
    pub(super) closes: u8,
    pub(super) holds: u8,
    pub(super) deliveries: [u8; MAX_REVIEWS],
    pub(super) answered: u8,
}

impl State {
    pub(super) fn new(setting: &Setting) -> Self {
        let active = setting.job_running.then_some(FIRST_JOB);
        let last = (!setting.job_running).then_some(Last::Completed);
        let none = Entry { answer: Answer::None, job: None };
        let mut jobs = [Work::None; REVIEW_JOBS + 2];
        jobs[slot(FIRST_JOB)] = if setting.job_running { Work::Running } else { Work::Completed };
        Self {
            table: Table {
                now: 0,
                held: false,
                closed: false,
                last_revision: None,
                ticket: TicketCells { active, last, deferred: None, row: None },
                reviews: [StoredState::Absent; MAX_REVIEWS],
                requeued_reviews: 0,
                ledger: [none; MAX_REVIEWS],
                jobs,
                covers: [0; REVIEW_JOBS],
                started_at: [0; REVIEW_JOBS],
                failed_job: None,
            },
            hooks: [DeliveryProcess::Idle; MAX_REVIEWS + 1],
            settlers: [Settler::Idle; 2],
            remaining: RemainingEvents {
                faults: setting.faults,
                closes: setting.closes,
                holds: setting.holds,
                deliveries: [1 + setting.redeliveries; MAX_REVIEWS],
                answered: 0,
            },
        }
    }

    pub(super) fn store_ledger_entry(&mut self, review: usize, entry: Entry) {
        self.table.ledger[review] = entry;
        self.remaining.answered |= 1 << review;
    }

    pub(super) fn mark_ticket_reads_stale(&mut self) {
        for hook in &mut self.hooks {
            match hook {
                DeliveryProcess::Trigger { ticket, .. }
                | DeliveryProcess::Put { ticket, .. }
                | DeliveryProcess::Mark { ticket, .. } => *ticket = false,
                _ => {}
            }
        }
        for settler in &mut self.settlers {
            match settler {
                Settler::Read { ticket, .. }
                | Settler::Clear { ticket }
                | Settler::Wait { ticket, .. }
                | Settler::Start { ticket, .. }
                | Settler::Conclude { ticket, .. }
                | Settler::RefuseOthers { ticket, .. }
                | Settler::RefuseNewest { ticket, .. } => *ticket = false,
                Settler::Idle | Settler::Absorb { .. } => {}
            }
        }
    }

    /// A review absorbed others or waits again. Makes the earlier read of a refusing process stale.
    pub(super) fn mark_review_reads_stale(&mut self, review: u8) {
        for settler in &mut self.settlers {
            match settler {
                Settler::Conclude { newest, others, as_read, .. }
                | Settler::RefuseOthers { newest, others, as_read, .. } => {
                    *as_read &= *newest != review && *others & 1 << review == 0;
                }
                Settler::RefuseNewest { newest, as_read, .. } => *as_read &= *newest != review,
                _ => {}
            }
        }
    }

    pub(super) fn mark_pull_request_reads_stale(&mut self) {
        for hook in &mut self.hooks {
            if let DeliveryProcess::Read { pr, .. } | DeliveryProcess::Trigger { pr, .. } = hook {
                *pr = false;
            }
        }
        for settler in &mut self.settlers {
            if let Settler::Start { pr, .. } = settler {
                *pr = false;
            }
        }
    }
}

pub(super) fn slot(job: u8) -> usize {
    match job {
        FIRST_JOB => REVIEW_JOBS + 1,
        NEXT_JOB => REVIEW_JOBS,
        of_review => usize::from(of_review),
    }
}

pub(super) fn second_job(review: u8) -> u8 {
    review + 3
}

pub(super) fn review_of(job: u8) -> u8 {
    job % 3
}
