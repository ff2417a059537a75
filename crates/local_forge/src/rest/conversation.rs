//! Routes for requested reviewers, comments on whole pull requests, and issues.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    body::{self, TextBody},
    caller::Caller,
    paging::Paging,
    pull_requests::{PullPath, Repository, parse_number},
    refusal::ApiError,
};
use crate::{
    access::{self, Requirement},
    forge_state::Shared,
    issue_comments::{self, NewNote},
    pulls, render,
    repositories::RepositoryEntry,
    role::Role,
};

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

#[derive(Deserialize)]
struct ReviewersBody {
    reviewers: Option<Vec<String>>,
}

/// Sends no event, because no client of this forge handles it.
pub(crate) async fn request_reviewers(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_CHANGE).await?;
    let number = parse_number(&number)?;
    let logins = body::parse::<ReviewersBody>(&body)?.reviewers.unwrap_or_default();
    let pull = pulls::find(&entry, number).await?.ok_or_else(ApiError::not_found)?;
    let ids = resolve_reviewers(&shared, &entry, pull.record.author_id, &logins).await?;
    let changed = pulls::update_record(&shared, &entry, number, |pull| {
        let new: Vec<u64> = ids.into_iter().filter(|id| !pull.requested.contains(id)).collect();
        pull.requested.extend(new);
        Ok::<_, ApiError>(())
    });
    let ((), pull) = changed.await?.ok_or_else(ApiError::not_found)?;
    Ok((StatusCode::CREATED, Json(render::reduced_pull(&shared, &entry, &pull))).into_response())
}

pub(crate) async fn issues(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repository,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::ISSUES_READ).await?;
    let pulls = pulls::list(&entry).await?;
    Ok(paging.respond(&shared, pulls.iter().map(|pull| render::issue(&shared, &entry, pull)).collect()))
}

pub(crate) async fn list_issue_comments(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::ISSUES_READ).await?;
    let pull = pulls::find(&entry, parse_number(&number)?).await?.ok_or_else(ApiError::not_found)?.record;
    let items = pull.notes.iter().map(|note| render::note(&shared, &entry, pull.number, note)).collect();
    Ok(paging.respond(&shared, items))
}

fn parse_body(body: &[u8]) -> Result<String, ApiError> {
    let TextBody { body } = body::parse(body)?;
    body::check_lengths(None, Some(&body))?;
    if body.trim().is_empty() {
        return Err(ApiError::unprocessable("Body can't be blank"));
    }
    Ok(body)
}

pub(crate) async fn create_issue_comment(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::ISSUES_WRITE).await?;
    let (body, number) = (parse_body(&body)?, parse_number(&number)?);
    let new = NewNote { number, parent: None, body, key: body::find_key(&headers) };
    let (note, _) = issue_comments::create(&shared, &entry, &actor, new).await?;
    Ok((StatusCode::CREATED, Json(render::note(&shared, &entry, number, &note))).into_response())
}

async fn find_issue_comment(entry: &RepositoryEntry, id: u64) -> Result<u64, ApiError> {
    let record = entry.record.lock().await;
    let pull = record.pulls.iter().find(|pull| pull.notes.iter().any(|note| note.id == id));
    Ok(pull.ok_or_else(ApiError::not_found)?.number)
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
