//! Reviews: from an event or a user's request to a revise job, or to the reason for none.
//!
//! [`decide_review`] decides an event, [`settle_reviews`] decides stored reviews once their ticket is free,
//! [`admit_job`] reads their texts before a job starts, and [`tell_pull_request`] shows the result.

mod admit;
mod changed;
mod decide;
mod facts;
pub(crate) mod list_deliveries;
mod owed;
mod permission;
mod read;
pub(crate) mod replay;
mod repository;
mod request;
mod settle;
mod source;
mod start;
mod tell;
pub(crate) mod translate;
mod why;

pub(crate) use admit::name_unread;
pub use admit::{Admitted, admit_job};
pub use changed::{Changed, pull_request_changed};
pub use decide::{decide_or_queue, decide_review};
pub use facts::Reach;
pub(crate) use owed::has_unanswered;
pub use permission::Permissions;
pub(crate) use repository::{back, name_learnt, repository_changed};
pub use request::{Named, link, repository_of, request_revision, unlink};
pub(crate) use settle::settle_reviews;
pub use tell::tell_pull_request;
pub use why::{PullRequestView, pull_request_of, pull_request_view, pull_request_views};
