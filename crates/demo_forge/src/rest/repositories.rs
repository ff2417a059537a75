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
    refusal::{Fault, Refusal},
};
use crate::{
    Error,
    access::{self, May, Need},
    answers,
    merging::{self, Deleting},
    role::Role,
    shared::Shared,
    transfers,
};

pub(crate) async fn own_account(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<Value>, Refusal> {
    Ok(Json(answers::public_user(&shared, &caller.user()?.account)))
}

pub(crate) async fn account(
    State(shared): State<Arc<Shared>>,
    _caller: Caller,
    Path(login): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let member = shared.users.by_login(&login).ok_or_else(Refusal::not_found)?;
    Ok(Json(answers::public_user(&shared, &member.account())))
}

pub(crate) async fn repository(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::METADATA).await?;
    let mut shown = answers::full_repository(&shared, &entry);
    // The role of the account, independent of its token's permissions. An App's token has no account.
    let role = match actor.may {
        May::Everything => Some(Role::Admin),
        May::ByRole => Some(entry.record.lock().await.role_of(actor.account.id)),
        May::Granted(_) => None,
    };
    if let Some(role) = role {
        shown["permissions"] = json!({
            "admin": role >= Role::Admin,
            "maintain": role >= Role::Maintain,
            "push": role >= Role::Write,
            "triage": role >= Role::Triage,
            "pull": role >= Role::Read,
        });
    }
    Ok(Json(shown))
}

fn name_taken(error: Error) -> Refusal {
    match error {
        Error::RepositoryExists { .. } => {
            let message = "name already exists on this account".to_owned();
            Refusal::validation_failed(vec![Fault::of("Repository", "name", message)])
        }
        Error::InvalidName { reason, .. } => {
            Refusal::validation_failed(vec![Fault::of("Repository", "name", reason.to_owned())])
        }
        other => other.into(),
    }
}

pub(crate) async fn change(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::ADMINISTRATION).await?;
    if let Some(name) = Fields::parse(&body)?.text("name")?.flatten() {
        let full_name = format!("{}/{name}", entry.owner());
        transfers::rename(&shared, &entry, &actor, &full_name).await.map_err(name_taken)?;
    }
    Ok(Json(answers::full_repository(&shared, &entry)))
}

pub(crate) async fn transfer(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::ADMINISTRATION).await?;
    let fields = Fields::parse(&body)?;
    let new_name = fields.text("new_name")?.flatten().unwrap_or_else(|| entry.name());
    let full_name = format!("{}/{new_name}", fields.required("new_owner")?);
    transfers::rename(&shared, &entry, &actor, &full_name).await.map_err(name_taken)?;
    Ok((StatusCode::ACCEPTED, Json(answers::repository(&shared, &entry))).into_response())
}

pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::ADMINISTRATION).await?;
    transfers::delete(&shared, &entry, &actor.account).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn permission(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, login)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::METADATA).await?;
    let member = shared.users.by_login(&login).ok_or_else(Refusal::not_found)?;
    let role = access::role_of(&entry, &member).await;
    Ok(Json(answers::collaborator_permission(&shared, &member, role)))
}

pub(crate) async fn branches(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    paging: Paging,
) -> Result<Response, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::CONTENTS_READ).await?;
    let branches = shared.git.branches(&entry.git_dir()).await?;
    let shown = branches.iter().map(|(branch, sha)| answers::short_branch(&shared, &entry, branch, sha)).collect();
    Ok(paging.answer(&shared, shown))
}

pub(crate) async fn branch(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, branch)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::CONTENTS_READ).await?;
    let git_dir = entry.git_dir();
    let branches = shared.git.branches(&git_dir).await?;
    let Some(sha) = branches.get(&branch) else { return Err(Refusal::branch_not_found()) };
    let commit = shared.git.commit(&git_dir, sha).await?.ok_or_else(Refusal::branch_not_found)?;
    Ok(Json(answers::branch(&shared, &entry, &branch, &commit)))
}

pub(crate) async fn reference(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, branch)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::CONTENTS_READ).await?;
    let branches = shared.git.branches(&entry.git_dir()).await?;
    let sha = branches.get(&branch).ok_or_else(Refusal::not_found)?;
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
) -> Result<StatusCode, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::CONTENTS_WRITE).await?;
    match merging::delete_branch(&shared, &entry, &actor, &branch).await? {
        Deleting::Done => Ok(StatusCode::NO_CONTENT),
        Deleting::Missing => Err(Refusal::unsupported("Reference does not exist")),
    }
}
