//! Routes of the caller's account, repositories, branches and commits.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{answers, caller::Caller, refusal::Refusal};
use pullyard_demo_forge::{access::Requirement, forge_state::Shared, users::AccountKind};

pub(super) type RepositoryPath = Path<(String, String)>;
pub(super) type ItemPath = Path<(String, String, String)>;

pub(super) async fn own_account(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<Value>, Refusal> {
    let account = caller.actor()?.account;
    // Bitbucket does not return the account of an access token either.
    if account.kind == AccountKind::Bot {
        return Err(Refusal::not_for_access_tokens());
    }
    Ok(Json(answers::account(&shared, &account)))
}

pub(super) async fn repository(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug)): RepositoryPath,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::METADATA).await?;
    Ok(Json(answers::repository(&shared, &entry, &actor.account)))
}

pub(super) async fn branch(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, name)): ItemPath,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::CONTENTS_READ).await?;
    let git_dir = entry.git_dir();
    let branches = shared.git.branches(&git_dir).await?;
    let sha = branches.get(&name).ok_or_else(|| Refusal::no_branch(&name))?;
    let commit = shared.git.commit(&git_dir, sha).await?.ok_or_else(|| Refusal::no_branch(&name))?;
    let target = answers::commit(&commit);
    Ok(Json(json!({ "type": "branch", "name": name, "target": target })))
}

pub(super) async fn commit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, named)): ItemPath,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::CONTENTS_READ).await?;
    let git_dir = entry.git_dir();
    let missing = || Refusal::no_commit(&named);
    let sha = shared.git.resolve_commit(&git_dir, &named).await?.ok_or_else(missing)?;
    let commit = shared.git.commit(&git_dir, &sha).await?.ok_or_else(missing)?;
    Ok(Json(answers::commit(&commit)))
}
