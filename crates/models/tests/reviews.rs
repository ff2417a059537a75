//! Reviews of one pull request that wait for their job.
//!
//! The model takes every interleaving of a few reviews, each delivered more than once, with a running job, the settling
//! of waiting reviews, a pull request that is closed and reopened, a project that is held and released, and the hour
//! between two revisions. After a failed job, the ticket may get a next job that is not given its reviews.
//!
//! Writes have the conditions of `crates/store/src/write/review.rs`; steps are those of `crates/control/src/review`, one
//! write each. A process may die after every write. A write whose answer is lost looks refused. Instead of a revision, a
//! process knows for each item that it read whether it was written since.
//!
//! Not modelled: the write-back to the ticket tool, which only raises the ticket's revision, and the number of rounds
//! after which a caller is sent away, which equals a death.

mod facts;
mod state;
mod steps;
mod table;
mod tests;

/// What may happen in one exploration, and the rule that it leaves out.
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
    /// A job runs at the start.
    busy: bool,
    /// After a failed job the ticket gets a job that is given no review.
    alone: bool,
    /// The hour passes this often.
    hours: u8,
    /// The rule left out, if one is.
    without: Option<Rule>,
}

/// The conditions and decisions that the invariants depend on. A test for each explores without it, and must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Remembering a review raises the ticket's revision.
    RememberRaisesRev,
    /// Older reviews are absorbed before the newest gets its job.
    Absorb,
    /// Absorbing is conditional on the newest review still waiting.
    AbsorbChecksNewest,
    /// A redelivered review that waits gets no job.
    WaitingStartsNothing,
    /// The end of a job settles the waiting reviews.
    EndSettles,
    /// The ticket's mark is removed over the revision that was read.
    ClearOverRev,
    /// A remembered review gets its ledger entry in the same write.
    EntryWithReview,
    /// A remembered review marks its ticket in the same write: once it has a ledger entry, it is not delivered again.
    MarkWithReview,
    /// An absorbed review is refused together with the one that absorbed it.
    RefuseTheAbsorbed,
    /// Refusing is conditional on the review as read: it absorbed none and was not redelivered since.
    RefuseAsRead,
    /// A request that was absorbed is still a request.
    RequestsStayRequests,
    /// The reviews of a failed job wait while the next job is not given them.
    WaitAnew,
    /// The id of a review's next job is made from the job that had it.
    NamedAfterLast,
}

/// The number of states, or the shortest way to one that breaks an invariant.
fn explore(setting: Setting) -> Result<usize, String> {
    crate::explore::explore(&mut steps::World::new(setting))
}
