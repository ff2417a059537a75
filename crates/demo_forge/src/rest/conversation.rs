//! Routes for requested reviewers, comments on whole pull requests, labels and issues.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    caller::Caller,
    fields::{self, Fields},
    paging::Paging,
    pull_requests::{Numbered, Repository, Wanted, parse},
    refusal::Refusal,
};
use crate::{
    access::{self, Need},
    answers, events, labels, notes,
    pulls::{self, Touched},
    record::Pull,
    repositories::Entry,
    role::Role,
    shared::Shared,
};

fn done<T>(touched: Touched<T>) -> Result<(T, Box<Pull>), Refusal> {
    match touched {
        Touched::Done(value, pull) => Ok((value, pull)),
        Touched::Missing => Err(Refusal::not_found()),
    }
}

async fn reviewers(shared: &Shared, entry: &Entry, author: u64, logins: &[String]) -> Result<Vec<u64>, Refusal> {
    let mut ids = Vec::new();
    for login in logins {
        let stranger = || {
            Refusal::unsupported(
                "Reviews may only be requested from collaborators. One or more of the users or teams you specified is \
                 not a collaborator of the repository.",
            )
        };
        let member = shared.users.by_login(login).ok_or_else(stranger)?;
        if member.user.id == author {
            return Err(Refusal::unsupported("Review cannot be requested from pull request author."));
        }
        if access::role_of(entry, &member).await == Role::None {
            return Err(stranger());
        }
        ids.push(member.user.id);
    }
    Ok(ids)
}

pub(crate) async fn requested(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_READ).await?;
    let pull = pulls::find(&shared, &entry, parse(&number)?).await?.ok_or_else(Refusal::not_found)?;
    Ok(Json(json!({ "users": answers::requested(&shared, &pull.record), "teams": [] })))
}

pub(crate) async fn request(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_CHANGE).await?;
    let number = parse(&number)?;
    let logins = Fields::parse(&body)?.texts("reviewers")?.unwrap_or_default();
    let pull = pulls::find(&shared, &entry, number).await?.ok_or_else(Refusal::not_found)?;
    let ids = reviewers(&shared, &entry, pull.record.author_id, &logins).await?;
    let changed = pulls::touch(&shared, &entry, number, |pull| {
        let new: Vec<u64> = ids.into_iter().filter(|id| !pull.requested.contains(id)).collect();
        pull.requested.extend(&new);
        Ok::<_, Refusal>(new)
    });
    let (new, pull) = done(changed.await?)?;
    for id in new {
        if let Some(member) = shared.users.by_id(id) {
            let more = json!({ "requested_reviewer": answers::account(&shared, &member.account()) });
            events::pull_request(&shared, &entry, &actor, &pull, "review_requested", more).await;
        }
    }
    Ok((StatusCode::CREATED, Json(answers::reduced_pull(&shared, &entry, &pull).await)).into_response())
}

pub(crate) async fn withdraw(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_CHANGE).await?;
    let number = parse(&number)?;
    let logins = Fields::parse(&body)?.texts("reviewers")?.unwrap_or_default();
    let named: Vec<_> = logins.iter().filter_map(|login| shared.users.by_login(login)).collect();
    let changed = pulls::touch(&shared, &entry, number, |pull| {
        let gone: Vec<_> = named.into_iter().filter(|member| pull.requested.contains(&member.user.id)).collect();
        pull.requested.retain(|id| gone.iter().all(|member| member.user.id != *id));
        Ok::<_, Refusal>(gone)
    });
    let (gone, pull) = done(changed.await?)?;
    for member in gone {
        let more = json!({ "requested_reviewer": answers::account(&shared, &member.account()) });
        events::pull_request(&shared, &entry, &actor, &pull, "review_request_removed", more).await;
    }
    Ok(Json(answers::reduced_pull(&shared, &entry, &pull).await))
}

pub(crate) async fn issues(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repository,
    Query(wanted): Query<Wanted>,
    paging: Paging,
) -> Result<Response, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::ISSUES_READ).await?;
    let state = wanted.state()?;
    let mut found = pulls::list(&shared, &entry).await?;
    found.retain(|pull| state.is_none_or(|state| pull.record.state == state));
    let (headers, found) = paging.cut(&shared, found);
    let mut shown = Vec::new();
    for pull in &found {
        shown.push(answers::issue(&shared, &entry, pull).await);
    }
    Ok((headers, Json(shown)).into_response())
}

pub(crate) async fn notes(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    paging: Paging,
) -> Result<Response, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::ISSUES_READ).await?;
    let pull = pulls::find(&shared, &entry, parse(&number)?).await?.ok_or_else(Refusal::not_found)?.record;
    let shown = pull.notes.iter().map(|note| answers::note(&shared, &entry, pull.number, note)).collect();
    Ok(paging.answer(&shared, shown))
}

fn words(body: &[u8]) -> Result<String, Refusal> {
    let body = Fields::parse(body)?.required("body")?;
    fields::check_words(None, Some(&body))?;
    if body.trim().is_empty() {
        return Err(Refusal::unprocessable("Body can't be blank"));
    }
    Ok(body)
}

pub(crate) async fn write_note(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::ISSUES_WRITE).await?;
    let (body, number) = (words(&body)?, parse(&number)?);
    let (note, _) = notes::write(&shared, &entry, &actor, number, body).await?;
    Ok((StatusCode::CREATED, Json(answers::note(&shared, &entry, number, &note))).into_response())
}

async fn number_of_note(entry: &Entry, id: u64) -> Result<u64, Refusal> {
    let record = entry.record.lock().await;
    let pull = record.pulls.iter().find(|pull| pull.notes.iter().any(|note| note.id == id));
    Ok(pull.ok_or_else(Refusal::not_found)?.number)
}

pub(crate) async fn show_note(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, id)): Numbered,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::ISSUES_READ).await?;
    let id = parse(&id)?;
    let number = number_of_note(&entry, id).await?;
    let pull = pulls::find(&shared, &entry, number).await?.ok_or_else(Refusal::not_found)?;
    let note = pull.record.notes.iter().find(|note| note.id == id).ok_or_else(Refusal::not_found)?;
    Ok(Json(answers::note(&shared, &entry, number, note)))
}

pub(crate) async fn edit_note(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, id)): Numbered,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::ISSUES_WRITE).await?;
    let (id, body) = (parse(&id)?, words(&body)?);
    let number = number_of_note(&entry, id).await?;
    let (note, _) = notes::reword(&shared, &entry, &actor, (number, id), body).await?;
    Ok(Json(answers::note(&shared, &entry, number, &note)))
}

pub(crate) async fn labels(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    paging: Paging,
) -> Result<Response, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::ISSUES_READ).await?;
    let shown = labels::of(&shared, &entry, parse(&number)?).await.ok_or_else(Refusal::not_found)?;
    Ok(paging.answer(&shared, shown))
}

pub(crate) async fn add_labels(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::LABELS).await?;
    let names = Fields::parse(&body)?.texts("labels")?.unwrap_or_default();
    if names.iter().any(|name| name.trim().is_empty() || name.chars().count() > 50) {
        return Err(Refusal::unprocessable("A label has 1 to 50 characters"));
    }
    let number = parse(&number)?;
    if !labels::add(&shared, &entry, &actor, number, names).await? {
        return Err(Refusal::not_found());
    }
    Ok(Json(json!(labels::of(&shared, &entry, number).await)))
}

pub(crate) async fn remove_label(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, label)): Path<(String, String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::LABELS).await?;
    let number = parse(&number)?;
    if !labels::remove(&shared, &entry, &actor, number, &label).await? {
        return Err(Refusal::no_such_label());
    }
    Ok(Json(json!(labels::of(&shared, &entry, number).await)))
}
