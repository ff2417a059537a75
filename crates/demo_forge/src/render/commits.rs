//! Renders branches, commits, changed files and commit statuses as the JSON of GitHub's REST API.

use serde_json::{Value, json};

use super::{account, repository};
use crate::{
    forge_state::Shared,
    git_queries::{ChangedFile, Commit, Signature},
    record::StatusRecord,
    repositories::RepositoryEntry,
};

pub fn commit(shared: &Shared, entry: &RepositoryEntry, commit: &Commit) -> Value {
    let full_name = entry.full_name();
    let api = format!("{}/api/v3/repos/{full_name}", shared.url);
    let html = format!("{}/{full_name}/commit", shared.url);
    let sha = &commit.sha;
    let signature = |by: &Signature| json!({ "name": by.name, "email": by.email, "date": by.date });
    let parents: Vec<Value> = commit
        .parents
        .iter()
        .map(|sha| json!({ "sha": sha, "url": format!("{api}/commits/{sha}"), "html_url": format!("{html}/{sha}") }))
        .collect();
    json!({
        "sha": sha,
        "node_id": format!("C_{sha}"),
        "url": format!("{api}/commits/{sha}"),
        "html_url": format!("{html}/{sha}"),
        "comments_url": format!("{api}/commits/{sha}/comments"),
        "commit": {
            "url": format!("{api}/git/commits/{sha}"),
            "author": signature(&commit.author),
            "committer": signature(&commit.committer),
            "message": commit.message,
            "comment_count": 0,
            "tree": { "sha": commit.tree, "url": format!("{api}/git/trees/{}", commit.tree) },
            "verification": {
                "verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null,
            },
        },
        // Accounts have no e-mail addresses here, so no account matches.
        "author": null,
        "committer": null,
        "parents": parents,
    })
}

pub fn branch(shared: &Shared, entry: &RepositoryEntry, name: &str, head: &Commit) -> Value {
    let full_name = entry.full_name();
    let url = format!("{}/api/v3/repos/{full_name}/branches/{name}", shared.url);
    json!({
        "name": name,
        "commit": commit(shared, entry, head),
        "_links": { "self": url, "html": format!("{}/{full_name}/tree/{name}", shared.url) },
        "protected": false,
        "protection": { "enabled": false, "required_status_checks": {
            "enforcement_level": "off", "contexts": [], "checks": [],
        } },
        "protection_url": format!("{url}/protection"),
    })
}

pub fn short_branch(shared: &Shared, entry: &RepositoryEntry, name: &str, sha: &str) -> Value {
    let api = format!("{}/api/v3/repos/{}", shared.url, entry.full_name());
    json!({ "name": name, "commit": { "sha": sha, "url": format!("{api}/commits/{sha}") }, "protected": false })
}

pub fn changed_file(shared: &Shared, entry: &RepositoryEntry, head: &str, file: &ChangedFile) -> Value {
    let full_name = entry.full_name();
    let ChangedFile { path, status, additions, deletions } = file;
    json!({
        "sha": null,
        "filename": path,
        "status": status,
        "additions": additions,
        "deletions": deletions,
        "changes": additions + deletions,
        "blob_url": format!("{}/{full_name}/blob/{head}/{path}", shared.url),
        "raw_url": format!("{}/{full_name}/raw/{head}/{path}", shared.url),
        "contents_url": format!("{}/api/v3/repos/{full_name}/contents/{path}?ref={head}", shared.url),
    })
}

fn simple_status(shared: &Shared, entry: &RepositoryEntry, status: &StatusRecord) -> Value {
    let StatusRecord { id, sha, state, context, description, target_url, creator: _, created_at, name: _, refname: _ } =
        status;
    json!({
        "id": id,
        "node_id": format!("SC_{id}"),
        "url": format!("{}/api/v3/repos/{}/statuses/{sha}", shared.url, entry.full_name()),
        "avatar_url": null,
        "state": state,
        "context": context,
        "description": description,
        "target_url": target_url,
        "created_at": created_at,
        "updated_at": created_at,
    })
}

pub fn status(shared: &Shared, entry: &RepositoryEntry, status: &StatusRecord) -> Value {
    let mut full_status = simple_status(shared, entry, status);
    full_status["creator"] = account(shared, &status.creator);
    full_status
}

pub fn combined_status(shared: &Shared, entry: &RepositoryEntry, sha: &str, newest: &[&StatusRecord]) -> Value {
    let has_any = |states: &[&str]| newest.iter().any(|status| states.contains(&status.state.as_str()));
    // As on GitHub, a commit without statuses is pending and not successful.
    let state = if has_any(&["failure", "error"]) {
        "failure"
    } else if newest.is_empty() || has_any(&["pending"]) {
        "pending"
    } else {
        "success"
    };
    let commit_url = format!("{}/api/v3/repos/{}/commits/{sha}", shared.url, entry.full_name());
    let statuses: Vec<Value> = newest.iter().map(|status| simple_status(shared, entry, status)).collect();
    json!({
        "state": state,
        "sha": sha,
        "total_count": statuses.len(),
        "statuses": statuses,
        "repository": repository(shared, entry),
        "commit_url": commit_url,
        "url": format!("{commit_url}/status"),
    })
}
