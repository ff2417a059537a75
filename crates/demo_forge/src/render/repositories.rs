//! Renders repositories, branches and commit statuses.

use serde_json::{Value, json};

use super::{account, owner};
use crate::{forge_state::Shared, record::StatusRecord, repositories::RepositoryEntry};

pub fn repository(shared: &Shared, entry: &RepositoryEntry) -> Value {
    let described = shared.describe(entry);
    json!({
        "id": described.id,
        "name": entry.name,
        "full_name": described.full_name,
        "private": true,
        "owner": account(shared, &owner(shared, &entry.owner)),
        "html_url": described.html_url,
        "clone_url": described.clone_url,
        "default_branch": described.default_branch,
    })
}

pub fn branch(name: &str, sha: &str) -> Value {
    json!({ "name": name, "commit": { "sha": sha } })
}

pub fn status(shared: &Shared, status: &StatusRecord) -> Value {
    json!({
        "id": status.id,
        "state": status.state,
        "context": status.context,
        "description": status.description,
        "target_url": status.target_url,
        "created_at": status.created_at,
        "creator": account(shared, &status.creator),
    })
}
