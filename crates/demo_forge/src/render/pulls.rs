//! Renders pull requests, the issues behind them, and comments on them.

use serde_json::{Value, json};

use super::{ASSOCIATION, account, link, merge_json, owner, repository};
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

fn requested_reviewers(shared: &Shared, pull: &PullRecord) -> Vec<Value> {
    let members = pull.requested.iter().filter_map(|id| shared.users.by_id(*id));
    members.map(|member| account(shared, &member.account())).collect()
}

pub fn reduced_pull(shared: &Shared, entry: &RepositoryEntry, pull: &Pull) -> Value {
    let record = &pull.record;
    let full_name = entry.full_name();
    let number = record.number;
    let html_url = format!("{}/{full_name}/pull/{number}", shared.url);
    let repo = format!("{}/api/v3/repos/{full_name}", shared.url);
    let url = format!("{repo}/pulls/{number}");
    let issue_url = format!("{repo}/issues/{number}");
    let comments_url = format!("{issue_url}/comments");
    let review_comments_url = format!("{url}/comments");
    let review_comment_url = format!("{repo}/pulls/comments{{/number}}");
    let commits_url = format!("{url}/commits");
    let statuses_url = format!("{repo}/statuses/{}", pull.head_sha);
    let end = |branch: &str, sha: &str| {
        json!({
            "label": format!("{}:{branch}", entry.owner),
            "ref": branch,
            "sha": sha,
            "user": account(shared, &owner(shared, &entry.owner)),
            "repo": repository(shared, entry),
        })
    };
    let mut head = end(&record.head, &pull.head_sha);
    if let Some(fork) = record.fork {
        head["repo"]["id"] = json!(fork);
        head["repo"]["fork"] = json!(true);
    }
    json!({
        "id": record.id,
        "node_id": format!("PR_{}", record.id),
        "number": number,
        "url": url,
        "html_url": html_url,
        "diff_url": format!("{html_url}.diff"),
        "patch_url": format!("{html_url}.patch"),
        "issue_url": issue_url,
        "comments_url": comments_url,
        "commits_url": commits_url,
        "review_comments_url": review_comments_url,
        "review_comment_url": review_comment_url,
        "statuses_url": statuses_url,
        "_links": {
            "self": link(&url),
            "html": link(&html_url),
            "issue": link(&issue_url),
            "comments": link(&comments_url),
            "review_comments": link(&review_comments_url),
            "review_comment": link(&review_comment_url),
            "commits": link(&commits_url),
            "statuses": link(&statuses_url),
        },
        "state": state(record),
        "locked": false,
        "active_lock_reason": null,
        "title": record.title,
        "body": record.body,
        "user": account(shared, &author(record)),
        "author_association": ASSOCIATION,
        "draft": record.draft,
        "labels": [],
        "milestone": null,
        "assignee": null,
        "assignees": [],
        "requested_reviewers": requested_reviewers(shared, record),
        "requested_teams": [],
        "auto_merge": null,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "closed_at": record.closed_at,
        "merged_at": record.merged.as_ref().map(|merge| &merge.at),
        "merge_commit_sha": record.merged.as_ref().map(|merge| &merge.sha),
        "head": head,
        "base": end(&record.base, &pull.base_sha),
    })
}

/// The sizes are zero, and whether it can be merged is unknown, because no client of this forge reads them.
pub fn full_pull(shared: &Shared, entry: &RepositoryEntry, pull: &Pull) -> Value {
    let record = &pull.record;
    let more = json!({
        "merged": record.merged.is_some(),
        "merged_by": record.merged.as_ref().map(|merge| account(shared, &merge.by)),
        "mergeable": null,
        "rebaseable": null,
        "mergeable_state": "unknown",
        "comments": record.notes.len(),
        "review_comments": record.comments.len(),
        "maintainer_can_modify": false,
        "commits": 0,
        "additions": 0,
        "deletions": 0,
        "changed_files": 0,
    });
    merge_json(reduced_pull(shared, entry, pull), more)
}

pub fn issue(shared: &Shared, entry: &RepositoryEntry, pull: &Pull) -> Value {
    let record = &pull.record;
    let repo = format!("{}/api/v3/repos/{}", shared.url, entry.full_name());
    let url = format!("{repo}/issues/{}", record.number);
    let html_url = format!("{}/{}/pull/{}", shared.url, entry.full_name(), record.number);
    json!({
        "id": record.id,
        "node_id": format!("PR_{}", record.id),
        "number": record.number,
        "url": url,
        "html_url": html_url,
        "repository_url": repo,
        "labels_url": format!("{url}/labels{{/name}}"),
        "comments_url": format!("{url}/comments"),
        "events_url": format!("{url}/events"),
        "timeline_url": format!("{url}/timeline"),
        "title": record.title,
        "body": record.body,
        "state": state(record),
        "state_reason": null,
        "locked": false,
        "active_lock_reason": null,
        "user": account(shared, &author(record)),
        "author_association": ASSOCIATION,
        "labels": [],
        "assignee": null,
        "assignees": [],
        "milestone": null,
        "comments": record.notes.len(),
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "closed_at": record.closed_at,
        "draft": record.draft,
        "performed_via_github_app": null,
        "reactions": reactions(&url),
        "pull_request": {
            "url": format!("{repo}/pulls/{}", record.number),
            "html_url": html_url,
            "diff_url": format!("{html_url}.diff"),
            "patch_url": format!("{html_url}.patch"),
            "merged_at": record.merged.as_ref().map(|merge| &merge.at),
        },
    })
}

pub fn note(shared: &Shared, entry: &RepositoryEntry, number: u64, note: &IssueCommentRecord) -> Value {
    let repo = format!("{}/api/v3/repos/{}", shared.url, entry.full_name());
    let url = format!("{repo}/issues/comments/{}", note.id);
    json!({
        "id": note.id,
        "node_id": format!("IC_{}", note.id),
        "url": url,
        "html_url": format!("{}/{}/pull/{number}#issuecomment-{}", shared.url, entry.full_name(), note.id),
        "issue_url": format!("{repo}/issues/{number}"),
        "user": account(shared, &note.author),
        "body": note.body,
        "created_at": clock::truncate_to_seconds(&note.created_at),
        "updated_at": clock::truncate_to_seconds(&note.updated_at),
        "author_association": ASSOCIATION,
        "performed_via_github_app": null,
        "reactions": reactions(&url),
    })
}

pub(super) fn reactions(url: &str) -> Value {
    json!({
        "url": format!("{url}/reactions"),
        "total_count": 0, "+1": 0, "-1": 0, "laugh": 0, "hooray": 0, "confused": 0, "heart": 0, "rocket": 0, "eyes": 0,
    })
}
