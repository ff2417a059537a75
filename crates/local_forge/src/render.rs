//! Renders objects as GitHub's JSON, with the fields that Pullyard or a test reads.

use serde_json::{Value, json};

use crate::{
    clock,
    forge_state::Shared,
    ids::FIRST_ID,
    record::{IssueCommentRecord, LineCommentRecord, Pull, PullRecord, ReviewRecord, ReviewState, StatusRecord},
    repositories::RepositoryEntry,
    role::Role,
    users::{Account, AccountKind, Member},
};

/// A deleted account retains its last login.
pub fn account(shared: &Shared, account: &Account) -> Value {
    let current = shared.users.by_id(account.id).map(|member| member.account());
    let Account { id, login, kind } = current.as_ref().unwrap_or(account);
    json!({ "id": id, "login": login, "type": kind })
}

pub fn permissions(role: Role) -> Value {
    json!({
        "pull": role >= Role::Read, "triage": role >= Role::Triage, "push": role >= Role::Write,
        "maintain": role >= Role::Maintain, "admin": role >= Role::Admin,
    })
}

pub fn collaborator_permission(shared: &Shared, member: &Member, role: Role) -> Value {
    let user = account(shared, &member.account());
    json!({ "permission": role.permission(), "role_name": role, "user": user })
}

pub fn owner(shared: &Shared, login: &str) -> Account {
    if let Some(member) = shared.users.by_login(login) {
        return member.account();
    }
    Account { id: organization_id(login), login: login.to_owned(), kind: AccountKind::Organization }
}

/// Hashes the name (FNV-1a), because organizations are not stored.
fn organization_id(login: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    FIRST_ID + (login.to_ascii_lowercase().bytes().fold(start, step) >> 12)
}

pub fn organization(owner: &Account) -> Value {
    json!({ "id": owner.id, "login": owner.login })
}

pub fn installation_stub(id: u64) -> Value {
    json!({ "id": id })
}

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

pub fn branch_ref(name: &str, sha: &str) -> Value {
    json!({ "ref": format!("refs/heads/{name}"), "object": { "type": "commit", "sha": sha } })
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

fn author(pull: &PullRecord) -> Account {
    Account { id: pull.author_id, login: pull.author.clone(), kind: AccountKind::User }
}

fn html_url(shared: &Shared, entry: &RepositoryEntry, number: u64) -> String {
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
        "state": record.state,
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
    let merge = pull.record.merged.as_ref();
    body["merged"] = json!(merge.is_some());
    body["merged_by"] = json!(merge.map(|merge| account(shared, &merge.by)));
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
        "state": record.state,
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

fn review_state(state: ReviewState) -> &'static str {
    match state {
        ReviewState::Commented => "COMMENTED",
        ReviewState::ChangesRequested => "CHANGES_REQUESTED",
        ReviewState::Approved => "APPROVED",
        ReviewState::Dismissed => "DISMISSED",
    }
}

pub fn review(shared: &Shared, entry: &RepositoryEntry, number: u64, review: &ReviewRecord) -> Value {
    json!({
        "id": review.id,
        "user": account(shared, &review.author),
        "body": review.body,
        "state": review_state(review.state),
        "html_url": format!("{}#pullrequestreview-{}", html_url(shared, entry, number), review.id),
        "commit_id": review.commit,
        "submitted_at": clock::truncate_to_seconds(&review.submitted_at),
    })
}

/// Differs from the REST form: the state is lower case, and an empty summary is null.
pub fn review_in_webhook(shared: &Shared, entry: &RepositoryEntry, number: u64, record: &ReviewRecord) -> Value {
    let mut answer = review(shared, entry, number, record);
    answer["state"] = json!(record.state);
    answer["updated_at"] = json!(clock::truncate_to_seconds(&record.updated_at));
    if record.body.is_empty() {
        answer["body"] = Value::Null;
    }
    answer
}

pub fn line_comment(shared: &Shared, entry: &RepositoryEntry, number: u64, comment: &LineCommentRecord) -> Value {
    let mut body = json!({
        "id": comment.id,
        "html_url": format!("{}#discussion_r{}", html_url(shared, entry, number), comment.id),
        "pull_request_review_id": comment.review,
        "user": account(shared, &comment.author),
        "body": comment.body,
        "path": comment.path,
        "commit_id": comment.commit,
        "original_commit_id": comment.original_commit,
        "side": comment.side,
        "line": comment.line,
        "original_line": comment.original_line,
        "subject_type": "line",
        "created_at": clock::truncate_to_seconds(&comment.created_at),
        "updated_at": clock::truncate_to_seconds(&comment.updated_at),
    });
    if let Some(first) = comment.in_reply_to {
        body["in_reply_to_id"] = json!(first);
    }
    if let Some(start) = comment.start_line {
        body["start_line"] = json!(start);
        body["start_side"] = json!(comment.side);
    }
    body
}
