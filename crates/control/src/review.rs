//! Reviews: from an event or a user's request to a revise job, or to the reason for none.
//! [`decide_review`] decides an event, [`settle_reviews`] decides stored reviews once their ticket is free,
//! [`freeze_reviews`] reads their texts before a job starts, and [`post_status`] shows the result.

mod create_agent_review;
mod create_review_job;
mod decide;
mod defer_review;
mod explain;
mod facts;
mod freeze_reviews;
mod job_in_ledger;
pub(crate) mod list_deliveries;
pub(crate) mod local_forge;
pub(crate) mod permission;
mod post_status;
mod pull_request_changed;
mod pull_request_ref;
pub(crate) mod read;
pub(crate) mod replay;
mod repository;
mod request;
mod reviews_for_job;
mod settle;
mod show_decision;
mod snapshot;
mod source;
pub(crate) mod translate;
mod wanted_review;

pub use decide::{decide_or_queue, decide_review};
pub use explain::{PullRequestView, list_pull_request_views, load_pull_request_of_ticket, pull_request_view};
pub use facts::ProjectScope;
pub use freeze_reviews::freeze_reviews;
pub(crate) use job_in_ledger::set_job_of_unread_reviews;
pub use post_status::post_status;
pub use pull_request_changed::{PullRequestChange, record_pull_request_change};
pub use pull_request_ref::{PullRequestRef, load_repository};
pub(crate) use repository::{clear_gone, record_repository_change, update_repository, update_repository_name};
pub use request::{link_pull_request, request_review, request_revision, unlink_pull_request};
pub(crate) use reviews_for_job::has_unanswered_reviews;
pub(crate) use settle::settle_reviews;
