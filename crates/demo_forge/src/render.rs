//! Renders objects as GitHub's JSON, with every field that its schema requires.

mod accounts;
mod branches;
mod pulls;
mod repositories;
mod reviews;

pub use accounts::{
    account, collaborator_permission, installation_stub, organization, owner, permissions, public_user,
};
pub use branches::{short_branch, status};
pub use pulls::{full_pull, issue, note, reduced_pull};
pub use repositories::{full_repository, repository};
pub use reviews::{line_comment, review, review_in_webhook};

use serde_json::{Value, json};

fn link(href: impl Into<String>) -> Value {
    json!({ "href": href.into() })
}

/// Constant, because GitHub's value is unreliable for private members and clients must not depend on it.
const ASSOCIATION: &str = "CONTRIBUTOR";

fn merge_json(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}
