//! One state: the table, the running processes, and the faults that may still happen.

use super::Setting;

/// Maximum number of reviews.
pub(super) const MOST: usize = 3;

/// The job that ran at the start. All others except [`NEXT_JOB`] are named by their review.
pub(super) const FIRST_JOB: u8 = 9;

/// The ticket's next job after a failed one, without reviews.
pub(super) const NEXT_JOB: u8 = 8;

/// Number of jobs for reviews: one each, and one more after its failure.
pub(super) const OF_REVIEWS: usize = 2 * MOST;

pub(super) const JOBS: [u8; OF_REVIEWS + 2] = [0, 1, 2, 3, 4, 5, NEXT_JOB, FIRST_JOB];

/// The state of each review, and the set of those whose first job failed.
pub(super) type Reviews = ([Stored; MOST], u8);

/// Hours since the start.
pub(super) type Hour = u8;

/// The last revision, and the one before it.
pub(super) type Revised = Option<((Hour, u8), Option<(Hour, u8)>)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) table: Table,
    pub(super) hooks: [Hook; MOST + 1],
    pub(super) settlers: [Settler; 2],
    pub(super) left: Left,
}

/// The stored items, reduced to the cells of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Table {
    pub(super) now: Hour,
    pub(super) held: bool,
    pub(super) closed: bool,
    pub(super) revised: Revised,
    pub(super) ticket: TicketCells,
    pub(super) reviews: [Stored; MOST],
    /// The reviews whose first job failed, and which wait again.
    pub(super) had: u8,
    pub(super) ledger: [Entry; MOST],
    /// In the order of [`JOBS`].
    pub(super) jobs: [Work; OF_REVIEWS + 2],
    /// The reviews that each job covers, from its admission.
    pub(super) covers: [u8; OF_REVIEWS],
    pub(super) begun: [Hour; OF_REVIEWS],
    /// The ticket's last job, if it failed; recorded only with `Setting::alone`.
    pub(super) undone: Option<u8>,
}

impl Table {
    pub(super) fn reviews(&self) -> Reviews {
        (self.reviews, self.had)
    }

    /// The job that a review would get now.
    pub(super) fn next_job(&self, review: u8) -> u8 {
        if self.had & 1 << review != 0 { second(review) } else { review }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TicketCells {
    pub(super) active: Option<u8>,
    pub(super) last: Option<Last>,
    pub(super) deferred: Option<Hour>,
    /// Its row of the work index.
    pub(super) row: Option<Hour>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Last {
    Completed,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stored {
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
    /// Final.
    Held,
    /// Not final: the review waits, and the project is held.
    Paused,
    /// Not final.
    Refused,
    /// Final.
    Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Work {
    None,
    Pending,
    Running,
    Completed,
    Failed,
    /// The pull request was closed while an agent worked.
    Cancelled,
    /// The job ended before an agent worked.
    NeverBegan,
}

/// A process that received a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Hook {
    Idle,
    /// Has read everything except the ticket.
    Read {
        known: Option<Known>,
        first: bool,
        closed: bool,
        revised: Revised,
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
pub(super) enum Known {
    Deferred,
    Started(u8),
}

/// A process that settles waiting reviews.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Settler {
    Idle,
    /// Has read the ticket.
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

/// Remaining budget of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Left {
    pub(super) faults: u8,
    pub(super) closes: u8,
    pub(super) holds: u8,
    pub(super) deliveries: [u8; MOST],
    /// The reviews that were answered or have a ledger entry, and need no further delivery.
    pub(super) told: u8,
}

impl State {
    pub(super) fn new(setting: &Setting) -> Self {
        let active = setting.busy.then_some(FIRST_JOB);
        let last = (!setting.busy).then_some(Last::Completed);
        let none = Entry { answer: Answer::None, job: None };
        let mut jobs = [Work::None; OF_REVIEWS + 2];
        jobs[slot(FIRST_JOB)] = if setting.busy { Work::Running } else { Work::Completed };
        Self {
            table: Table {
                now: 0,
                held: false,
                closed: false,
                revised: None,
                ticket: TicketCells { active, last, deferred: None, row: None },
                reviews: [Stored::Absent; MOST],
                had: 0,
                ledger: [none; MOST],
                jobs,
                covers: [0; OF_REVIEWS],
                begun: [0; OF_REVIEWS],
                undone: None,
            },
            hooks: [Hook::Idle; MOST + 1],
            settlers: [Settler::Idle; 2],
            left: Left {
                faults: setting.faults,
                closes: setting.closes,
                holds: setting.holds,
                deliveries: [1 + setting.redelivered; MOST],
                told: 0,
            },
        }
    }

    /// Stores the ledger entry of a review.
    pub(super) fn enters(&mut self, review: usize, entry: Entry) {
        self.table.ledger[review] = entry;
        self.left.told |= 1 << review;
    }

    /// Marks every earlier read of the ticket as stale.
    pub(super) fn ticket_written(&mut self) {
        for hook in &mut self.hooks {
            match hook {
                Hook::Trigger { ticket, .. } | Hook::Put { ticket, .. } | Hook::Mark { ticket, .. } => *ticket = false,
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
    pub(super) fn has_a_new_version(&mut self, review: u8) {
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

    /// Marks every earlier read of the pull request as stale.
    pub(super) fn pull_request_written(&mut self) {
        for hook in &mut self.hooks {
            if let Hook::Read { pr, .. } | Hook::Trigger { pr, .. } = hook {
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

/// The job's index in [`Table::jobs`].
pub(super) fn slot(job: u8) -> usize {
    match job {
        FIRST_JOB => OF_REVIEWS + 1,
        NEXT_JOB => OF_REVIEWS,
        of_review => usize::from(of_review),
    }
}

/// The second job of a review, after its first one failed.
pub(super) fn second(review: u8) -> u8 {
    review + 3
}

/// The review of one of the [`OF_REVIEWS`] jobs.
pub(super) fn review_of(job: u8) -> u8 {
    job % 3
}
