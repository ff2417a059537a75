//! Routes for commit statuses.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::{
    caller::Caller,
    fields::Fields,
    paging::Paging,
    pull_requests::PullPath,
    refusal::{ApiError, ErrorDetail},
};
use crate::{
    access::Requirement, forge_state::Shared, git_queries::is_object_id, record::StatusRecord, render,
    repositories::RepositoryEntry,
};

const MAX_PER_CONTEXT: usize = 1_000;

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, sha)): PullPath,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::STATUSES_WRITE).await?;
    let fields = Fields::parse(&body)?;
    let state = fields.required("state")?;
    if !["error", "failure", "pending", "success"].contains(&state.as_str()) {
        let message = "State is not included in the list".to_owned();
        return Err(ApiError::validation_failed(vec![ErrorDetail::for_resource("Status", "state", message)]));
    }
    let description = fields.text("description")?.flatten();
    if description.as_ref().is_some_and(|text| text.chars().count() > 140) {
        let message = "description is too long (maximum is 140 characters)".to_owned();
        return Err(ApiError::validation_failed(vec![ErrorDetail::for_resource("Status", "description", message)]));
    }
    if !shared.git.is_commit(&entry.git_dir(), &sha).await? {
        return Err(ApiError::unsupported(format!("No commit found for SHA: {sha}")));
    }
    let status = StatusRecord {
        id: shared.ids.next()?,
        sha: sha.to_ascii_lowercase(),
        state,
        context: fields.text("context")?.flatten().unwrap_or_else(|| "default".to_owned()),
        description,
        target_url: fields.text("target_url")?.flatten(),
        creator: actor.account,
        created_at: shared.clock.now(),
        name: None,
        refname: None,
    };
    let mut record = entry.record.lock().await;
    let same = |existing: &&StatusRecord| (&existing.sha, &existing.context) == (&status.sha, &status.context);
    if record.statuses.iter().filter(same).count() >= MAX_PER_CONTEXT {
        let message = "This SHA and context has reached the maximum number of statuses.".to_owned();
        return Err(ApiError::validation_failed(vec![ErrorDetail::custom(message)]));
    }
    let mut changed = record.clone();
    changed.statuses.push(status.clone());
    entry.save(&mut record, changed).await?;
    Ok((StatusCode::CREATED, Json(render::status(&shared, &entry, &status))).into_response())
}

async fn resolve_commit(shared: &Shared, entry: &RepositoryEntry, name: &str) -> Result<String, ApiError> {
    let git_dir = entry.git_dir();
    if is_object_id(name) && shared.git.is_commit(&git_dir, name).await? {
        return Ok(name.to_ascii_lowercase());
    }
    let name = name.strip_prefix("heads/").unwrap_or(name);
    let branches = shared.git.branches(&git_dir).await?;
    branches.get(name).cloned().ok_or_else(|| ApiError::unsupported(format!("No commit found for SHA: {name}")))
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, named)): PullPath,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::STATUSES_READ).await?;
    let sha = resolve_commit(&shared, &entry, &named).await?;
    let record = entry.record.lock().await;
    let newest_first = record.statuses.iter().rev().filter(|status| status.sha == sha);
    Ok(paging.respond(&shared, newest_first.map(|status| render::status(&shared, &entry, status)).collect()))
}

pub(crate) async fn get_combined_status(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, named)): PullPath,
) -> Result<Json<Value>, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::STATUSES_READ).await?;
    let sha = resolve_commit(&shared, &entry, &named).await?;
    let record = entry.record.lock().await;
    Ok(Json(render::combined_status(&shared, &entry, &sha, &record.newest_statuses(&sha))))
}
