//! Renders pull requests, the issues behind them, and comments on them.

use serde_json::{Value, json};

use super::{account, repository};
use crate::{
    clock,
    forge_state::Shared,
    record::{IssueCommentRecord, Pull, PullRecord, PullState},
    repositories::RepositoryEntry,
    users::{Account, AccountKind},
};

fn author(pull: &PullRecord) -> Account {
    Account { id: pull.author_id, login: pull.author.clone(), kind: AccountKind::User }
}

fn state(pull: &PullRecord) -> &'static str {
    match pull.state {
        PullState::Open => "open",
        PullState::Closed => "closed",
    }
}

pub(super) fn html_url(shared: &Shared, entry: &RepositoryEntry, number: u64) -> String {
    format!("{}/{}/pull/{number}", shared.url, entry.full_name())
}

fn requested_reviewers(shared: &Shared, pull: &PullRecord) -> Vec<Value> {
    let members = pull.requested.iter().filter_map(|id| shared.users.by_id(*id));
    members.map(|member| account(shared, &member.account())).collect()
}

pub fn reduced_pull(shared: &Shared, entry: &RepositoryEntry, pull: &Pull) -> Value {
    let record = &pull.record;
    let end = |branch: &str, sha: &str| json!({ "ref": branch, "sha": sha, "repo": repository(shared, entry) });
    let mut head = end(&record.head, &pull.head_sha);
    if let Some(fork) = record.fork {
        head["repo"]["id"] = json!(fork);
    }
    json!({
        "id": record.id,
        "number": record.number,
        "html_url": html_url(shared, entry, record.number),
        "state": state(record),
        "title": record.title,
        "body": record.body,
        "user": account(shared, &author(record)),
        "draft": record.draft,
        "requested_reviewers": requested_reviewers(shared, record),
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "closed_at": record.closed_at,
        "merged_at": record.merged.as_ref().map(|merge| &merge.at),
        "merge_commit_sha": record.merged.as_ref().map(|merge| &merge.sha),
        "head": head,
        "base": end(&record.base, &pull.base_sha),
    })
}

/// Lists and events of reviews have the reduced form.
pub fn full_pull(shared: &Shared, entry: &RepositoryEntry, pull: &Pull) -> Value {
    let mut body = reduced_pull(shared, entry, pull);
    body["merged"] = json!(pull.record.merged.is_some());
    body
}

pub fn issue(shared: &Shared, entry: &RepositoryEntry, pull: &Pull) -> Value {
    let record = &pull.record;
    let html_url = html_url(shared, entry, record.number);
    json!({
        "id": record.id,
        "number": record.number,
        "html_url": html_url,
        "title": record.title,
        "body": record.body,
        "state": state(record),
        "user": account(shared, &author(record)),
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "pull_request": { "html_url": html_url, "merged_at": record.merged.as_ref().map(|merge| &merge.at) },
    })
}

pub fn note(shared: &Shared, entry: &RepositoryEntry, number: u64, note: &IssueCommentRecord) -> Value {
    json!({
        "id": note.id,
        "html_url": format!("{}#issuecomment-{}", html_url(shared, entry, number), note.id),
        "user": account(shared, &note.author),
        "body": note.body,
        "created_at": clock::truncate_to_seconds(&note.created_at),
        "updated_at": clock::truncate_to_seconds(&note.updated_at),
    })
}
