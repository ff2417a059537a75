//! `GET` of the account, of a repository and of a branch.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::Value;

use super::{answers, caller::Caller, refusal::Refusal};
use crate::forge::Shared;

pub(crate) async fn user(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<Value>, Refusal> {
    Ok(Json(answers::user(&shared, &caller.user()?)))
}

pub(crate) async fn repository(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, &owner, &name).await?;
    Ok(Json(answers::repository(&shared, &entry)))
}

pub(crate) async fn branch(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, branch)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, &owner, &name).await?;
    let branches = shared.git.branches(&entry.git_dir).await?;
    match branches.get(&branch) {
        Some(sha) => Ok(Json(answers::branch(&branch, sha))),
        None => Err(Refusal::branch_not_found()),
    }
}
