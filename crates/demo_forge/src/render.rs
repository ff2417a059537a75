//! Renders objects as GitHub's JSON, with the fields that Pullyard or a test reads.

mod accounts;
mod pulls;
mod repositories;
mod reviews;

pub use accounts::{account, collaborator_permission, installation_stub, organization, owner, permissions};
pub use pulls::{full_pull, issue, note, reduced_pull};
pub use repositories::{branch, repository, status};
pub use reviews::{line_comment, review, review_in_webhook};
