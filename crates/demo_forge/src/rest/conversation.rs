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
    pull_requests::{ListFilter, PullPath, Repository, parse_number},
    refusal::ApiError,
};
use crate::{
    access::{self, Requirement},
    events,
    forge_state::Shared,
    issue_comments, labels,
    pulls::{self, UpdateOutcome},
    record::Pull,
    render,
    repositories::RepositoryEntry,
    role::Role,
};

fn require_updated<T>(touched: UpdateOutcome<T>) -> Result<(T, Box<Pull>), ApiError> {
    match touched {
        UpdateOutcome::Updated(value, pull) => Ok((value, pull)),
        UpdateOutcome::Missing => Err(ApiError::not_found()),
    }
}

async fn resolve_reviewers(
    shared: &Shared,
    entry: &RepositoryEntry,
    author: u64,
    logins: &[String],
) -> Result<Vec<u64>, ApiError> {
    let mut ids = Vec::new();
    for login in logins {
        let stranger = || {
            ApiError::unsupported(
                "Reviews may only be requested from collaborators. One or more of the users or teams you specified is \
                 not a collaborator of the repository.",
            )
        };
        let member = shared.users.by_login(login).ok_or_else(stranger)?;
        if member.user.id == author {
            return Err(ApiError::unsupported("Review cannot be requested from pull request author."));
        }
        if access::role_of(entry, &member).await == Role::None {
            return Err(stranger());
        }
        ids.push(member.user.id);
    }
    Ok(ids)
}

pub(crate) async fn list_reviewers(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
) -> Result<Json<Value>, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_READ).await?;
    let pull = pulls::find(&shared, &entry, parse_number(&number)?).await?.ok_or_else(ApiError::not_found)?;
    Ok(Json(json!({ "users": render::requested_reviewers(&shared, &pull.record), "teams": [] })))
}

pub(crate) async fn request_reviewers(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_CHANGE).await?;
    let number = parse_number(&number)?;
    let logins = Fields::parse(&body)?.texts("reviewers")?.unwrap_or_default();
    let pull = pulls::find(&shared, &entry, number).await?.ok_or_else(ApiError::not_found)?;
    let ids = resolve_reviewers(&shared, &entry, pull.record.author_id, &logins).await?;
    let changed = pulls::update_record(&shared, &entry, number, |pull| {
        let new: Vec<u64> = ids.into_iter().filter(|id| !pull.requested.contains(id)).collect();
        pull.requested.extend(&new);
        Ok::<_, ApiError>(new)
    });
    let (new, pull) = require_updated(changed.await?)?;
    for id in new {
        if let Some(member) = shared.users.by_id(id) {
            let more = json!({ "requested_reviewer": render::account(&shared, &member.account()) });
            events::publish_pull_request(&shared, &entry, &actor, &pull, "review_requested", more).await;
        }
    }
    Ok((StatusCode::CREATED, Json(render::reduced_pull(&shared, &entry, &pull).await)).into_response())
}

pub(crate) async fn remove_reviewers(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_CHANGE).await?;
    let number = parse_number(&number)?;
    let logins = Fields::parse(&body)?.texts("reviewers")?.unwrap_or_default();
    let named: Vec<_> = logins.iter().filter_map(|login| shared.users.by_login(login)).collect();
    let changed = pulls::update_record(&shared, &entry, number, |pull| {
        let gone: Vec<_> = named.into_iter().filter(|member| pull.requested.contains(&member.user.id)).collect();
        pull.requested.retain(|id| gone.iter().all(|member| member.user.id != *id));
        Ok::<_, ApiError>(gone)
    });
    let (gone, pull) = require_updated(changed.await?)?;
    for member in gone {
        let more = json!({ "requested_reviewer": render::account(&shared, &member.account()) });
        events::publish_pull_request(&shared, &entry, &actor, &pull, "review_request_removed", more).await;
    }
    Ok(Json(render::reduced_pull(&shared, &entry, &pull).await))
}

pub(crate) async fn issues(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repository,
    Query(filter): Query<ListFilter>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::ISSUES_READ).await?;
    let state = filter.state()?;
    let mut pulls = pulls::list(&shared, &entry).await?;
    pulls.retain(|pull| state.is_none_or(|state| pull.record.state == state));
    let (headers, pulls) = paging.page(&shared, pulls);
    let mut items = Vec::new();
    for pull in &pulls {
        items.push(render::issue(&shared, &entry, pull).await);
    }
    Ok((headers, Json(items)).into_response())
}

pub(crate) async fn list_issue_comments(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::ISSUES_READ).await?;
    let pull = pulls::find(&shared, &entry, parse_number(&number)?).await?.ok_or_else(ApiError::not_found)?.record;
    let items = pull.notes.iter().map(|note| render::note(&shared, &entry, pull.number, note)).collect();
    Ok(paging.respond(&shared, items))
}

fn parse_body(body: &[u8]) -> Result<String, ApiError> {
    let body = Fields::parse(body)?.required("body")?;
    fields::check_lengths(None, Some(&body))?;
    if body.trim().is_empty() {
        return Err(ApiError::unprocessable("Body can't be blank"));
    }
    Ok(body)
}

pub(crate) async fn create_issue_comment(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::ISSUES_WRITE).await?;
    let (body, number) = (parse_body(&body)?, parse_number(&number)?);
    let (note, _) = issue_comments::create(&shared, &entry, &actor, number, body).await?;
    Ok((StatusCode::CREATED, Json(render::note(&shared, &entry, number, &note))).into_response())
}

async fn find_issue_comment(entry: &RepositoryEntry, id: u64) -> Result<u64, ApiError> {
    let record = entry.record.lock().await;
    let pull = record.pulls.iter().find(|pull| pull.notes.iter().any(|note| note.id == id));
    Ok(pull.ok_or_else(ApiError::not_found)?.number)
}

pub(crate) async fn get_issue_comment(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, id)): PullPath,
) -> Result<Json<Value>, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::ISSUES_READ).await?;
    let id = parse_number(&id)?;
    let number = find_issue_comment(&entry, id).await?;
    let pull = pulls::find(&shared, &entry, number).await?.ok_or_else(ApiError::not_found)?;
    let note = pull.record.notes.iter().find(|note| note.id == id).ok_or_else(ApiError::not_found)?;
    Ok(Json(render::note(&shared, &entry, number, note)))
}

pub(crate) async fn edit_issue_comment(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, id)): PullPath,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::ISSUES_WRITE).await?;
    let (id, body) = (parse_number(&id)?, parse_body(&body)?);
    let number = find_issue_comment(&entry, id).await?;
    let (note, _) = issue_comments::edit_note(&shared, &entry, &actor, (number, id), body).await?;
    Ok(Json(render::note(&shared, &entry, number, &note)))
}

pub(crate) async fn labels(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::ISSUES_READ).await?;
    let items = labels::list(&shared, &entry, parse_number(&number)?).await.ok_or_else(ApiError::not_found)?;
    Ok(paging.respond(&shared, items))
}

pub(crate) async fn add_labels(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::LABELS).await?;
    let names = Fields::parse(&body)?.texts("labels")?.unwrap_or_default();
    if names.iter().any(|name| name.trim().is_empty() || name.chars().count() > 50) {
        return Err(ApiError::unprocessable("A label has 1 to 50 characters"));
    }
    let number = parse_number(&number)?;
    if !labels::add(&shared, &entry, &actor, number, names).await? {
        return Err(ApiError::not_found());
    }
    Ok(Json(json!(labels::list(&shared, &entry, number).await)))
}

pub(crate) async fn remove_label(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, label)): Path<(String, String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::LABELS).await?;
    let number = parse_number(&number)?;
    if !labels::remove(&shared, &entry, &actor, number, &label).await? {
        return Err(ApiError::no_such_label());
    }
    Ok(Json(json!(labels::list(&shared, &entry, number).await)))
}
