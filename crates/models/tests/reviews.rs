//! Models the reviews of one pull request that wait for their job.
//!
//! The model explores every interleaving of repeated deliveries, a running job, the settling of waiting reviews, and
//! the hour between two revisions. The pull request is closed and reopened, and the project is held and released. After
//! a failed job, the ticket may get a next job without its reviews.
//!
//! Writes have the conditions of `crates/store/src/write/review.rs`; steps are those of `crates/control/src/review`,
//! one write each. A process may die after every write. A write whose answer is lost looks refused. A process knows for
//! each item that it read whether it was written since, instead of its revision.
//!
//! Not modelled: the write-back to the ticket tool, which only raises the ticket's revision; and a caller's limit of
//! rounds, which equals a death.

mod rules;
mod state;
mod steps;
mod table;
mod tests;

/// The faults and events of one exploration.
#[derive(Clone, Copy, Debug)]
struct Setting {
    reviews: usize,
    requests: u8,
    redeliveries: u8,
    /// A second process may deliver the first review at the same time.
    concurrent_delivery: bool,
    settlers: usize,
    faults: u8,
    closes: u8,
    holds: u8,
    job_running: bool,
    next_job_without_reviews: bool,
    hours: u8,
}

fn explore(setting: Setting) -> Result<usize, String> {
    crate::explore::explore(&mut steps::World::new(setting))
}
