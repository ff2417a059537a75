//! Routes for accounts, repositories, collaborators and branches.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    caller::Caller,
    fields::Fields,
    paging::Paging,
    refusal::{ApiError, ErrorDetail},
};
use crate::{
    Error,
    access::{self, Authority, Requirement},
    forge_state::Shared,
    merge::{self, DeleteOutcome},
    render,
    role::Role,
    transfers,
};

pub(crate) async fn own_account(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    Ok(Json(render::public_user(&shared, &caller.user()?.account)))
}

pub(crate) async fn account(
    State(shared): State<Arc<Shared>>,
    _caller: Caller,
    Path(login): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let member = shared.users.by_login(&login).ok_or_else(ApiError::not_found)?;
    Ok(Json(render::public_user(&shared, &member.account())))
}

pub(crate) async fn repository(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::METADATA).await?;
    let mut body = render::full_repository(&shared, &entry);
    // The role of the account, independent of its token's permissions. An App's token has no account.
    let role = match actor.authority {
        Authority::Admin => Some(Role::Admin),
        Authority::ByRole => Some(entry.record.lock().await.role_of(actor.account.id)),
        Authority::App(_) => None,
    };
    if let Some(role) = role {
        body["permissions"] = json!({
            "admin": role >= Role::Admin,
            "maintain": role >= Role::Maintain,
            "push": role >= Role::Write,
            "triage": role >= Role::Triage,
            "pull": role >= Role::Read,
        });
    }
    Ok(Json(body))
}

fn rename_error(error: Error) -> ApiError {
    match error {
        Error::RepositoryExists { .. } => {
            let message = "name already exists on this account".to_owned();
            ApiError::validation_failed(vec![ErrorDetail::for_resource("Repository", "name", message)])
        }
        Error::InvalidName { reason, .. } => {
            ApiError::validation_failed(vec![ErrorDetail::for_resource("Repository", "name", reason.to_owned())])
        }
        other => other.into(),
    }
}

pub(crate) async fn change(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::ADMINISTRATION).await?;
    if let Some(name) = Fields::parse(&body)?.text("name")?.flatten() {
        let full_name = format!("{}/{name}", entry.owner());
        transfers::rename(&shared, &entry, &actor, &full_name).await.map_err(rename_error)?;
    }
    Ok(Json(render::full_repository(&shared, &entry)))
}

pub(crate) async fn transfer(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::ADMINISTRATION).await?;
    let fields = Fields::parse(&body)?;
    let new_name = fields.text("new_name")?.flatten().unwrap_or_else(|| entry.name());
    let full_name = format!("{}/{new_name}", fields.required("new_owner")?);
    transfers::rename(&shared, &entry, &actor, &full_name).await.map_err(rename_error)?;
    Ok((StatusCode::ACCEPTED, Json(render::repository(&shared, &entry))).into_response())
}

pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::ADMINISTRATION).await?;
    transfers::delete(&shared, &entry, &actor.account).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn permission(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, login)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::METADATA).await?;
    let member = shared.users.by_login(&login).ok_or_else(ApiError::not_found)?;
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
    let branches = shared.git.branches(&entry.git_dir()).await?;
    let items = branches.iter().map(|(branch, sha)| render::short_branch(&shared, &entry, branch, sha)).collect();
    Ok(paging.respond(&shared, items))
}

pub(crate) async fn branch(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, branch)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::CONTENTS_READ).await?;
    let git_dir = entry.git_dir();
    let branches = shared.git.branches(&git_dir).await?;
    let Some(sha) = branches.get(&branch) else { return Err(ApiError::branch_not_found()) };
    let commit = shared.git.commit(&git_dir, sha).await?.ok_or_else(ApiError::branch_not_found)?;
    Ok(Json(render::branch(&shared, &entry, &branch, &commit)))
}

pub(crate) async fn reference(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, branch)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::CONTENTS_READ).await?;
    let branches = shared.git.branches(&entry.git_dir()).await?;
    let sha = branches.get(&branch).ok_or_else(ApiError::not_found)?;
    let api = format!("{}/api/v3/repos/{}/git", shared.url, entry.full_name());
    Ok(Json(json!({
        "ref": format!("refs/heads/{branch}"),
        "node_id": format!("REF_{branch}"),
        "url": format!("{api}/refs/heads/{branch}"),
        "object": { "type": "commit", "sha": sha, "url": format!("{api}/commits/{sha}") },
    })))
}

pub(crate) async fn delete_branch(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, branch)): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::CONTENTS_WRITE).await?;
    match merge::delete_branch(&shared, &entry, &actor, &branch).await? {
        DeleteOutcome::Deleted => Ok(StatusCode::NO_CONTENT),
        DeleteOutcome::Missing => Err(ApiError::unsupported("Reference does not exist")),
    }
}
