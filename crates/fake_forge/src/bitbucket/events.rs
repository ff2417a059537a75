//! Events in the format of Bitbucket's webhooks, for hooks created through Bitbucket's API.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answers::{account, short_repository, time};
use super::{comments, pull_answers};
use pullyard_local_forge::forge_state::{ForgeEvent, Shared};
use pullyard_local_forge::hooks;
use pullyard_local_forge::hooks::Event;
use pullyard_local_forge::record::{Pull, ReviewRecord, ReviewState};
use pullyard_local_forge::repositories::RepositoryEntry;
use pullyard_local_forge::state::ApiKind;
use pullyard_local_forge::users::Account;

pub(crate) async fn publish(shared: &Arc<Shared>, entry: &RepositoryEntry, by: &Account, occurrence: ForgeEvent<'_>) {
    match occurrence {
        ForgeEvent::PullRequest { pull, action } => pull_request(shared, entry, by, pull, action).await,
        ForgeEvent::Review { pull, review: record, action } => review(shared, entry, by, pull, record, action).await,
        ForgeEvent::Comment { pull, id, action } => comment(shared, entry, by, pull, id, action).await,
    }
}

/// `action` is GitHub's name.
async fn pull_request(shared: &Arc<Shared>, entry: &RepositoryEntry, by: &Account, pull: &Pull, action: &str) {
    let key = match action {
        "opened" => "pullrequest:created",
        "edited" => "pullrequest:updated",
        "synchronize" => "pullrequest:push",
        "closed" if pull.record.merged.is_some() => "pullrequest:fulfilled",
        "closed" => "pullrequest:rejected",
        // Bitbucket cannot reopen a declined pull request.
        _ => return,
    };
    let parts = || json!({ "pullrequest": pull_answers::pull(shared, entry, pull) });
    send_event(shared, entry, by, key, parts).await;
}

/// Sends the verdict and the review body as two events, as on Bitbucket.
async fn review(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    by: &Account,
    pull: &Pull,
    review: &ReviewRecord,
    action: &str,
) {
    let verdict = match (action, review.verdict()) {
        ("submitted", Some(ReviewState::ChangesRequested)) => {
            Some(("pullrequest:changes_request_created", "changes_request"))
        }
        ("submitted", Some(ReviewState::Approved)) => Some(("pullrequest:approved", "approval")),
        ("dismissed", Some(ReviewState::Approved)) => Some(("pullrequest:unapproved", "approval")),
        ("dismissed", _) => Some(("pullrequest:changes_request_removed", "changes_request")),
        _ => None,
    };
    comment(shared, entry, by, pull, review.id, action).await;
    let Some((key, name)) = verdict else { return };
    let parts = || {
        let date = time(&review.submitted_at);
        json!({
            "pullrequest": pull_answers::pull(shared, entry, pull),
            name: { "date": date, "user": account(shared, &review.author) },
        })
    };
    send_event(shared, entry, by, key, parts).await;
}

async fn comment(shared: &Arc<Shared>, entry: &RepositoryEntry, by: &Account, pull: &Pull, id: u64, action: &str) {
    let key = match action {
        "created" | "submitted" => "pullrequest:comment_created",
        "edited" => "pullrequest:comment_updated",
        _ => return,
    };
    let all = comments::comments_of(&pull.record);
    // A review without a body has no comment.
    let Some(comment) = all.iter().find(|comment| comment.id == id) else { return };
    let parts = || {
        json!({
            "pullrequest": pull_answers::pull(shared, entry, pull),
            "comment": comments::comment_json(shared, entry, &pull.record, comment),
        })
    };
    send_event(shared, entry, by, key, parts).await;
}

/// A rename within a workspace, or a transfer to another one.
pub(crate) async fn send_rename(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    by: &Account,
    (old_owner, old_name): (&str, &str),
) {
    if old_owner != entry.owner {
        return send_event(shared, entry, by, "repo:transfer", || json!({})).await;
    }
    let parts = || {
        let change = |new: &str, old: &str| json!({ "new": new, "old": old });
        let full_name = change(&entry.full_name(), &format!("{old_owner}/{old_name}"));
        json!({ "changes": { "name": change(&entry.name, old_name), "full_name": full_name } })
    };
    send_event(shared, entry, by, "repo:updated", parts).await;
}

pub(crate) async fn send_deleted(shared: &Arc<Shared>, entry: &RepositoryEntry, by: &Account) {
    send_event(shared, entry, by, "repo:deleted", || json!({})).await;
}

async fn send_event(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    by: &Account,
    key: &'static str,
    parts: impl FnOnce() -> Value,
) {
    if !hooks::has_recipients(shared, entry, (ApiKind::Bitbucket, key)).await {
        return;
    }
    let mut payload = json!({ "repository": short_repository(entry), "actor": account(shared, by) });
    if let (Value::Object(payload), Value::Object(parts)) = (&mut payload, parts()) {
        payload.extend(parts);
    }
    let event = Event { api: ApiKind::Bitbucket, name: key, payload };
    hooks::dispatch(shared, entry, event).await;
}
