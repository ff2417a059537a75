//! Routes for accounts, repositories, collaborators and branches.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    response::Response,
};
use serde_json::Value;

use super::{caller::Caller, paging::Paging, refusal::ApiError};
use crate::{
    access::{self, Authority, Requirement},
    branches::read_branches,
    forge_state::Shared,
    render,
    role::Role,
};

pub(crate) async fn own_account(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    Ok(Json(render::account(&shared, &caller.user()?.account)))
}

pub(crate) async fn repository(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::METADATA).await?;
    let mut body = render::repository(&shared, &entry);
    // The role of the account, independent of its token's permissions. An App's token has no account.
    let role = match actor.authority {
        Authority::Admin => Some(Role::Admin),
        Authority::ByRole => Some(entry.record.lock().await.role_of(actor.account.id)),
        Authority::App(_) => None,
    };
    if let Some(role) = role {
        body["permissions"] = render::permissions(role);
    }
    Ok(Json(body))
}

pub(crate) async fn permission(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, login)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::METADATA).await?;
    let member = shared.users.by_login(&login).ok_or_else(|| ApiError::not_a_user(&login))?;
    let role = access::role_of(&entry, &member).await;
    Ok(Json(render::collaborator_permission(&shared, &member, role)))
}

pub(crate) async fn branches(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::CONTENTS_READ).await?;
    let branches = read_branches(&entry.git_dir).await?;
    let items = branches.iter().map(|(branch, sha)| render::branch(branch, sha)).collect();
    Ok(paging.respond(&shared, items))
}

pub(crate) async fn branch(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, branch)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::CONTENTS_READ).await?;
    let branches = read_branches(&entry.git_dir).await?;
    let sha = branches.get(&branch).ok_or_else(ApiError::not_found)?;
    Ok(Json(render::branch_ref(&branch, sha)))
}
