//! One state: the table, who is at work on what, and what may still happen.

use super::Setting;

/// The most reviews of an exploration.
pub(super) const MOST: usize = 3;

/// The job that ran at the beginning. The others are named by their review, but for the next one.
pub(super) const FIRST_JOB: u8 = 9;

/// The ticket's next job after one that failed: it is told of no review.
pub(super) const NEXT_JOB: u8 = 8;

/// How many jobs reviews have: each its own, and one more after that failed.
pub(super) const OF_REVIEWS: usize = 2 * MOST;

/// Every job that there may be.
pub(super) const JOBS: [u8; OF_REVIEWS + 2] = [0, 1, 2, 3, 4, 5, NEXT_JOB, FIRST_JOB];

/// What became of each review, and the set of those whose own job had them before they waited anew.
pub(super) type Reviews = ([Stored; MOST], u8);

/// Hours since the beginning.
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

/// What is stored, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Table {
    pub(super) now: Hour,
    pub(super) held: bool,
    pub(super) closed: bool,
    pub(super) revised: Revised,
    pub(super) ticket: TicketCells,
    pub(super) reviews: [Stored; MOST],
    /// The reviews whose own job had them before they waited anew.
    pub(super) had: u8,
    pub(super) ledger: [Entry; MOST],
    /// In the order of [`JOBS`].
    pub(super) jobs: [Work; OF_REVIEWS + 2],
    /// What each job has been told to do, once it was.
    pub(super) covers: [u8; OF_REVIEWS],
    /// When each job was made.
    pub(super) begun: [Hour; OF_REVIEWS],
    /// The ticket's last job, where that failed; known only in settings with a next one.
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

/// A ledger entry.
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
    /// It waits, and the answer is not final: the project is held.
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
    /// Its pull request was closed while an agent worked.
    Cancelled,
    /// It ended before an agent worked.
    NeverBegan,
}

/// A process that was told of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Hook {
    Idle,
    /// It has read all but the ticket.
    Read {
        known: Option<Known>,
        first: bool,
        closed: bool,
        revised: Revised,
        pr: bool,
    },
    /// It is about to write this.
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
    /// The ticket is to know that it goes on sooner; or at all, without [`super::Rule::MarkWithReview`].
    Mark {
        opens: Hour,
        ticket: bool,
    },
    /// Only without [`super::Rule::EntryWithReview`].
    Enter {
        answer: Answer,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Known {
    Deferred,
    Started(u8),
}

/// A process that settles what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Settler {
    Idle,
    /// It has read the ticket.
    Read {
        last: Option<Last>,
        ticket: bool,
    },
    /// It is about to write this.
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

/// What may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Left {
    pub(super) faults: u8,
    pub(super) closes: u8,
    pub(super) holds: u8,
    pub(super) deliveries: [u8; MOST],
    /// These were answered, or have their ledger entry: nobody needs to tell them again.
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

    /// A review has its ledger entry.
    pub(super) fn enters(&mut self, review: usize, entry: Entry) {
        self.table.ledger[review] = entry;
        self.left.told |= 1 << review;
    }

    /// Somebody wrote the ticket: whoever read it before has an old one.
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

    /// A review absorbed others, or waits anew: who would refuse it has not seen that.
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

    /// Somebody wrote the pull request.
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

/// The job's place in [`Table::jobs`].
pub(super) fn slot(job: u8) -> usize {
    match job {
        FIRST_JOB => OF_REVIEWS + 1,
        NEXT_JOB => OF_REVIEWS,
        of_review => usize::from(of_review),
    }
}

/// The job of a review after its own failed.
pub(super) fn second(review: u8) -> u8 {
    review + 3
}

/// The review that one of [`OF_REVIEWS`] is for.
pub(super) fn review_of(job: u8) -> u8 {
    job % 3
}
