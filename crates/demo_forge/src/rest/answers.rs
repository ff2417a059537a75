//! Users, repositories, branches and pull requests as GitHub's JSON, reduced to common fields.

use serde_json::{Value, json};

use crate::{forge::Shared, pulls::Pull, record::PullState, repositories::Entry, users::User};

pub(crate) fn user(shared: &Shared, user: &User) -> Value {
    account(shared, user.id, &user.login)
}

fn account(shared: &Shared, id: u64, login: &str) -> Value {
    json!({
        "login": login,
        "id": id,
        "type": "User",
        "url": format!("{}/api/v3/users/{login}", shared.url),
        "html_url": format!("{}/{login}", shared.url),
    })
}

pub(crate) fn repository(shared: &Shared, entry: &Entry) -> Value {
    let described = shared.describe(entry);
    json!({
        "id": described.id,
        "name": entry.name,
        "full_name": described.full_name,
        "private": true,
        "owner": { "login": entry.owner },
        "html_url": described.html_url,
        "url": format!("{}/api/v3/repos/{}", shared.url, described.full_name),
        "clone_url": described.clone_url,
        "default_branch": described.default_branch,
    })
}

pub(crate) fn branch(name: &str, sha: &str) -> Value {
    json!({ "name": name, "commit": { "sha": sha }, "protected": false })
}

pub(crate) fn pull(shared: &Shared, entry: &Entry, pull: &Pull) -> Value {
    let record = &pull.record;
    let full_name = entry.full_name();
    let html_url = format!("{}/{full_name}/pull/{}", shared.url, record.number);
    // A user who left keeps the name he had.
    let author = shared.users.by_id(record.author_id);
    let author = author.map_or(record.author.as_str(), |user| user.login.as_str());
    let end = |branch: &str, sha: &str| {
        json!({
            "label": format!("{}:{branch}", entry.owner),
            "ref": branch,
            "sha": sha,
            "user": { "login": entry.owner },
            "repo": repository(shared, entry),
        })
    };
    json!({
        "id": record.id,
        "number": record.number,
        "url": format!("{}/api/v3/repos/{full_name}/pulls/{}", shared.url, record.number),
        "html_url": html_url,
        "diff_url": format!("{html_url}.diff"),
        "state": match record.state {
            PullState::Open => "open",
            PullState::Closed => "closed",
        },
        "locked": false,
        "title": record.title,
        "body": record.body,
        "user": account(shared, record.author_id, author),
        "draft": record.draft,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "closed_at": record.closed_at,
        "merged_at": null,
        "merge_commit_sha": null,
        "head": end(&record.head, &pull.head_sha),
        "base": end(&record.base, &pull.base_sha),
    })
}
