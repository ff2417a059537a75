//! Publishes events to GitHub webhooks, and to the extension for other formats.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    access::{Actor, Authority},
    forge_state::{ForgeEvent, Shared},
    hooks::{self, Event},
    record::{IssueCommentRecord, LineCommentRecord, Pull, ReviewRecord},
    render,
    repositories::RepositoryEntry,
    state::ApiKind,
    users::AccountKind,
};

pub async fn publish_pull_request(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    pull: &Pull,
    action: &str,
    more: Value,
) {
    let occurrence = ForgeEvent::PullRequest { pull, action };
    shared.extension.publish(shared, entry, &actor.account, occurrence).await;
    let fields = json!({ "number": pull.record.number, "pull_request": render::full_pull(shared, entry, pull) });
    emit(shared, entry, actor, ("pull_request", action), [fields, more]).await;
}

pub async fn publish_review(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    pull: &Pull,
    review: &ReviewRecord,
    (action, more): (&str, Value),
) {
    let occurrence = ForgeEvent::Review { pull, review, action };
    shared.extension.publish(shared, entry, &actor.account, occurrence).await;
    let fields = json!({
        "pull_request": render::reduced_pull(shared, entry, pull),
        "review": render::review_in_webhook(shared, entry, pull.record.number, review),
    });
    emit(shared, entry, actor, ("pull_request_review", action), [fields, more]).await;
}

pub async fn publish_line_comment(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    pull: &Pull,
    comment: &LineCommentRecord,
    (action, more): (&str, Value),
) {
    let occurrence = ForgeEvent::Comment { pull, id: comment.id, action };
    shared.extension.publish(shared, entry, &actor.account, occurrence).await;
    let fields = json!({
        "pull_request": render::reduced_pull(shared, entry, pull),
        "comment": render::line_comment(shared, entry, pull.record.number, comment),
    });
    emit(shared, entry, actor, ("pull_request_review_comment", action), [fields, more]).await;
}

pub async fn publish_issue_comment(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    pull: &Pull,
    note: &IssueCommentRecord,
    (action, more): (&str, Value),
) {
    let occurrence = ForgeEvent::Comment { pull, id: note.id, action };
    shared.extension.publish(shared, entry, &actor.account, occurrence).await;
    let fields = json!({
        "issue": render::issue(shared, entry, pull),
        "comment": render::note(shared, entry, pull.record.number, note),
    });
    emit(shared, entry, actor, ("issue_comment", action), [fields, more]).await;
}

pub async fn emit(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (name, action): (&'static str, &str),
    parts: [Value; 2],
) {
    let mut payload = serde_json::Map::new();
    payload.insert("action".to_owned(), json!(action));
    for part in parts {
        if let Value::Object(fields) = part {
            payload.extend(fields);
        }
    }
    payload.insert("repository".to_owned(), render::repository(shared, entry));
    payload.insert("sender".to_owned(), render::account(shared, &actor.account));
    let owner = render::owner(shared, &entry.owner);
    if owner.kind == AccountKind::Organization {
        payload.insert("organization".to_owned(), render::organization(&owner));
    }
    if let Authority::App(permit) = &actor.authority {
        payload.insert("installation".to_owned(), render::installation_stub(permit.installation()));
    }
    let event = Event { api: ApiKind::GitHub, name, payload: Value::Object(payload) };
    hooks::dispatch(shared, entry, event).await;
}
