//! Routes for commit statuses.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{body, caller::Caller, paging::Paging, pull_requests::PullPath, refusal::ApiError};
use crate::{access::Requirement, branches::read_branches, forge_state::Shared, record::StatusRecord, render};

#[derive(Deserialize)]
struct StatusBody {
    state: String,
    context: Option<String>,
    description: Option<String>,
    target_url: Option<String>,
}

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, sha)): PullPath,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::STATUSES_WRITE).await?;
    let StatusBody { state, context, description, target_url } = body::parse(&body)?;
    if !["error", "failure", "pending", "success"].contains(&state.as_str()) {
        return Err(ApiError::custom_for_resource("Status", "state", "State is not included in the list"));
    }
    if description.as_ref().is_some_and(|text| text.chars().count() > 140) {
        let message = "description is too long (maximum is 140 characters)";
        return Err(ApiError::custom_for_resource("Status", "description", message));
    }
    if !shared.git.is_commit(&entry.git_dir, &sha).await? {
        return Err(ApiError::unsupported(format!("No commit found for SHA: {sha}")));
    }
    let status = StatusRecord {
        id: shared.ids.next()?,
        sha: sha.to_ascii_lowercase(),
        state,
        context: context.unwrap_or_else(|| "default".to_owned()),
        description,
        target_url,
        creator: actor.account,
        created_at: shared.clock.now(),
        name: None,
        refname: None,
    };
    let mut record = entry.record.lock().await;
    let mut changed = record.clone();
    changed.statuses.push(status.clone());
    entry.save(&mut record, changed).await?;
    Ok((StatusCode::CREATED, Json(render::status(&shared, &status))).into_response())
}

/// The statuses of a branch's newest commit, newest first.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, branch)): PullPath,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::STATUSES_READ).await?;
    let branches = read_branches(&entry.git_dir).await?;
    let missing = || ApiError::unsupported(format!("No commit found for SHA: {branch}"));
    let sha = branches.get(&branch).ok_or_else(missing)?;
    let record = entry.record.lock().await;
    let newest_first = record.statuses.iter().rev().filter(|status| status.sha == *sha);
    Ok(paging.respond(&shared, newest_first.map(|status| render::status(&shared, status)).collect()))
}
