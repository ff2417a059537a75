//! Publishes events to GitHub webhooks, and to the extension for other formats.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    access::{Actor, May},
    answers,
    hooks::{self, Event},
    record::{LineCommentRecord, NoteRecord, Pull, ReviewRecord},
    repositories::Entry,
    shared::{Occurrence, Shared},
    state::Face,
    users::AccountKind,
};

pub async fn pull_request(shared: &Arc<Shared>, entry: &Entry, actor: &Actor, pull: &Pull, action: &str, more: Value) {
    let occurrence = Occurrence::PullRequest { pull, action };
    shared.extension.publish(shared, entry, &actor.account, occurrence).await;
    if !hooks::anyone_listens(shared, entry, (Face::GitHub, "pull_request")).await {
        return;
    }
    let shown = answers::full_pull(shared, entry, pull).await;
    let own = json!({ "number": pull.record.number, "pull_request": shown });
    emit(shared, entry, actor, ("pull_request", action), [own, more]).await;
}

pub async fn review(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    pull: &Pull,
    review: &ReviewRecord,
    (action, more): (&str, Value),
) {
    let occurrence = Occurrence::Review { pull, review, action };
    shared.extension.publish(shared, entry, &actor.account, occurrence).await;
    let own = json!({
        "pull_request": answers::reduced_pull(shared, entry, pull).await,
        "review": answers::review_in_webhook(shared, entry, pull.record.number, review),
    });
    emit(shared, entry, actor, ("pull_request_review", action), [own, more]).await;
}

pub async fn line_comment(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    pull: &Pull,
    comment: &LineCommentRecord,
    (action, more): (&str, Value),
) {
    let occurrence = Occurrence::Comment { pull, id: comment.id, action };
    shared.extension.publish(shared, entry, &actor.account, occurrence).await;
    let own = json!({
        "pull_request": answers::reduced_pull(shared, entry, pull).await,
        "comment": answers::line_comment(shared, entry, pull.record.number, comment),
    });
    emit(shared, entry, actor, ("pull_request_review_comment", action), [own, more]).await;
}

pub async fn note(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    pull: &Pull,
    note: &NoteRecord,
    (action, more): (&str, Value),
) {
    let occurrence = Occurrence::Comment { pull, id: note.id, action };
    shared.extension.publish(shared, entry, &actor.account, occurrence).await;
    let own = json!({
        "issue": answers::issue(shared, entry, pull).await,
        "comment": answers::note(shared, entry, pull.record.number, note),
    });
    emit(shared, entry, actor, ("issue_comment", action), [own, more]).await;
}

pub async fn repository(shared: &Arc<Shared>, entry: &Entry, actor: &Actor, action: &str, more: Value) {
    emit(shared, entry, actor, ("repository", action), [json!({}), more]).await;
}

pub fn previous_owner(shared: &Shared, login: &str) -> Value {
    let owner = answers::owner(shared, login);
    match owner.kind {
        AccountKind::Organization => json!({ "organization": answers::organization(shared, &owner) }),
        _ => json!({ "user": answers::account(shared, &owner) }),
    }
}

async fn emit(
    shared: &Arc<Shared>,
    entry: &Entry,
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
    payload.insert("repository".to_owned(), answers::repository(shared, entry));
    payload.insert("sender".to_owned(), answers::account(shared, &actor.account));
    let owner = answers::owner(shared, &entry.owner());
    if owner.kind == AccountKind::Organization {
        payload.insert("organization".to_owned(), answers::organization(shared, &owner));
    }
    if let May::Granted(permit) = &actor.may {
        payload.insert("installation".to_owned(), answers::installation_stub(permit.installation()));
    }
    let event = Event {
        face: Face::GitHub,
        name,
        action: Some(action.to_owned()),
        repository: Some(entry.id),
        payload: Value::Object(payload),
    };
    hooks::tell(shared, entry, event).await;
}
