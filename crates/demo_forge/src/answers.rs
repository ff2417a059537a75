//! Everything the forge tells, as GitHub's JSON: with each field that its published description requires.
//! REST writes a review's state in capitals, webhooks write it small; that is the only difference kept here.

mod accounts;
mod commits;
mod pulls;
mod repositories;
mod reviews;

pub use accounts::{account, collaborator_permission, installation_stub, organization, owner, public_user};
pub use commits::{branch, changed_file, combined_status, commit, short_branch, status};
pub use pulls::{full_pull, issue, label, note, reduced_pull, requested};
pub use repositories::{full_repository, repository};
pub use reviews::{line_comment, review, review_in_webhook};

use serde_json::{Value, json};

fn link(href: impl Into<String>) -> Value {
    json!({ "href": href.into() })
}

/// GitHub says nothing useful of private members, so nobody may rely on it here either.
const ASSOCIATION: &str = "CONTRIBUTOR";

fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}
