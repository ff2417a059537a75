//! Reviews: from what a forge or a person tells to a revise job, or to one true sentence why not.
//!
//! [`decide_review`] decides what comes in; what has to wait is remembered and taken up by
//! [`settle_reviews`] once its ticket is free; [`admit_job`] reads the words of the reviews that a job
//! covers before anybody may run it; [`tell_pull_request`] shows on the pull request what became of it.

mod decide;
mod facts;
mod permission;
mod settle;
mod start;

pub use decide::{decide_or_queue, decide_review};
pub use facts::Reach;
pub use permission::Permissions;
pub(crate) use settle::settle_reviews;
