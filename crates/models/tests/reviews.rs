//! The exhaustive check of the corner where reviews wait: every interleaving of a few reviews of one pull
//! request, delivered and delivered again, with a running job, the settling of what waits, a pull request that
//! is closed and reopened, a project that is held and released, and the hour; and, where a job failed, with a next
//! one of the ticket that can't be told of its reviews.
//!
//! The rules are the domain's own; this owns a small table whose writes have the conditions of
//! `crates/store/src/write/review.rs`, and the steps of `crates/control/src/review` over it, one write
//! each. A process may die after every write, and the answer of any write may be lost, so that it looks
//! refused. Revisions are not counted: a process knows for each item it read whether anybody wrote it since.
//! Left out: the write-back to the ticket tool, which only raises the ticket's revision, and the number of
//! rounds after which a caller is told to come again, which is the same as dying.

mod facts;
mod state;
mod steps;
mod table;
mod tests;

/// What happens in one exploration, and which rule is left out of it.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// How many reviews there are; the higher the number, the newer.
    reviews: usize,
    /// Which of them are a person's requests.
    requests: u8,
    /// How often each is delivered again without need.
    redelivered: u8,
    /// A second process may deliver the first review at the same time.
    twice_at_once: bool,
    /// How many settlings run at once.
    settlers: usize,
    /// How many deaths and lost answers there are.
    faults: u8,
    /// How often the pull request is closed or reopened.
    closes: u8,
    /// How often the project is held or released.
    holds: u8,
    /// A job runs at the beginning.
    busy: bool,
    /// After a job that failed the ticket gets one that is told of no review.
    alone: bool,
    /// The hour passes this often.
    hours: u8,
    /// The rule left out, if one is.
    without: Option<Rule>,
}

/// The rules that make it hold. Each exploration without one of them fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// (a) Remembering a review raises the ticket's revision.
    RememberRaisesRev,
    /// (b) Older reviews are absorbed before the newest gets its job.
    Absorb,
    /// (c) Absorbing proves that the newest still waits.
    AbsorbChecksNewest,
    /// (d) A review that waits gets no job by being told again.
    WaitingStartsNothing,
    /// (e) The end of a job has what waits settled.
    EndSettles,
    /// (f) The ticket's mark is taken off over the revision that was read.
    ClearOverRev,
    /// What is remembered gets its ledger entry in the same write.
    EntryWithReview,
    /// What is remembered has its ticket know it in the same write: nobody tells it again once it has its entry.
    MarkWithReview,
    /// What was absorbed shares the refusal of what absorbed it.
    RefuseTheAbsorbed,
    /// What is refused has absorbed nothing, and was not refused and told again, since it was read.
    RefuseAsRead,
    /// A request that was absorbed is still a request.
    RequestsStayRequests,
    /// What a failed job had waits for one that is not told of it.
    WaitAnew,
    /// The next job of a review is named after the one that had it.
    NamedAfterLast,
}

/// The number of states, or the shortest way to one that must not be.
fn explore(setting: Setting) -> Result<usize, String> {
    crate::explore::explore(&mut steps::World::new(setting))
}
