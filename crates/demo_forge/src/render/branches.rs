//! Renders branches and commit statuses.

use serde_json::{Value, json};

use super::account;
use crate::{forge_state::Shared, record::StatusRecord, repositories::RepositoryEntry};

pub fn short_branch(shared: &Shared, entry: &RepositoryEntry, name: &str, sha: &str) -> Value {
    let api = format!("{}/api/v3/repos/{}", shared.url, entry.full_name());
    json!({ "name": name, "commit": { "sha": sha, "url": format!("{api}/commits/{sha}") }, "protected": false })
}

pub fn status(shared: &Shared, entry: &RepositoryEntry, status: &StatusRecord) -> Value {
    json!({
        "id": status.id,
        "node_id": format!("SC_{}", status.id),
        "url": format!("{}/api/v3/repos/{}/statuses/{}", shared.url, entry.full_name(), status.sha),
        "avatar_url": null,
        "state": status.state,
        "context": status.context,
        "description": status.description,
        "target_url": status.target_url,
        "created_at": status.created_at,
        "updated_at": status.created_at,
        "creator": account(shared, &status.creator),
    })
}
