//! Routes of the caller's account, repositories and commits.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::{answers, caller::Caller, refusal::Refusal};
use pullyard_local_forge::{
    access::Requirement, branches::read_branches, forge_state::Shared, repositories::RepositoryEntry,
    users::AccountKind,
};

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
    let branches = read_branches(&entry.git_dir).await.map_err(Refusal::from)?;
    let sha = branches.get(&name).ok_or_else(|| Refusal::not_found("Branch not found."))?;
    Ok(Json(json!({ "type": "branch", "name": name, "target": { "type": "commit", "hash": sha } })))
}

pub(super) async fn commit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, named)): ItemPath,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::CONTENTS_READ).await?;
    Ok(Json(answers::commit(&load_commit(&shared, &entry, &named).await?)))
}

/// `named` is the hash or its first characters.
pub(super) async fn load_commit(
    shared: &Shared,
    entry: &RepositoryEntry,
    named: &str,
) -> Result<answers::Commit, Refusal> {
    if !(7..=64).contains(&named.len()) || !named.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Refusal::no_commit(named));
    }
    let args = ["log", "--max-count=1", "--format=%H%n%B", named, "--"];
    let output = shared.git.run_with_input(&entry.git_dir, &args, &[], u64::MAX).await?;
    match output.text().split_once('\n') {
        Some((sha, message)) => Ok(answers::Commit { sha: sha.to_owned(), message: message.trim_end().to_owned() }),
        None => Err(Refusal::no_commit(named)),
    }
}
