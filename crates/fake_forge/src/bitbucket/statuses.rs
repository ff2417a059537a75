//! Build statuses of commits. A status replaces the earlier one with the same key.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::caller::Caller;
use super::paging::Paging;
use super::refusal::Refusal;
use super::repositories::{ItemPath, load_commit};
use pullyard_local_forge::{
    access::Requirement, forge_state::Shared, record::StatusRecord, repositories::RepositoryEntry,
};

const MAX_KEY_CHARACTERS: usize = 40;

/// Bitbucket's states, with GitHub's names, which the forge stores.
const STATES: [(&str, &str); 4] =
    [("INPROGRESS", "pending"), ("SUCCESSFUL", "success"), ("FAILED", "failure"), ("STOPPED", "error")];

#[derive(Deserialize)]
struct StatusBody {
    key: Option<String>,
    state: Option<String>,
    name: Option<String>,
    url: Option<String>,
    description: Option<String>,
    refname: Option<String>,
}

fn status_json(status: &StatusRecord) -> Value {
    let state = STATES.iter().find(|(_, name)| *name == status.state).map_or("INPROGRESS", |(state, _)| *state);
    json!({
        "type": "build",
        "key": status.context,
        "name": status.name,
        "state": state,
        "url": status.target_url,
        "description": status.description,
        "refname": status.refname,
        "commit": { "type": "commit", "hash": status.sha },
    })
}

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, commit)): ItemPath,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::STATUSES_WRITE).await?;
    let StatusBody { key, state, name, url, description, refname } = body::parse(&body)?;
    let key = key.filter(|key| !key.is_empty()).ok_or_else(|| Refusal::missing("key"))?;
    let length = key.chars().count();
    if length > MAX_KEY_CHARACTERS {
        let message = format!("Ensure this value has at most {MAX_KEY_CHARACTERS} characters (it has {length}).");
        return Err(Refusal::field("key", &message));
    }
    let state = github_state(&state.ok_or_else(|| Refusal::missing("state"))?)?;
    let url = url.ok_or_else(|| Refusal::missing("url"))?;
    check_url(&url)?;
    let sha = load_commit(&shared, &entry, &commit).await?.sha;
    let status = StatusRecord {
        id: shared.ids.next()?,
        sha,
        state,
        context: key,
        description,
        target_url: Some(url),
        creator: actor.account,
        created_at: shared.clock.now(),
        name,
        refname,
    };
    replace(&entry, &status).await?;
    Ok((StatusCode::CREATED, Json(status_json(&status))).into_response())
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, commit)): ItemPath,
    paging: Paging,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::STATUSES_READ).await?;
    let sha = load_commit(&shared, &entry, &commit).await?.sha;
    let record = entry.record.lock().await;
    let newest = record.newest_statuses(&sha).into_iter();
    Ok(paging.answer(&shared, newest.map(status_json).collect()))
}

/// Writes: the repository's record, without earlier statuses of this key.
async fn replace(entry: &RepositoryEntry, status: &StatusRecord) -> Result<(), Refusal> {
    let mut record = entry.record.lock().await;
    let mut changed = record.clone();
    changed.statuses.retain(|known| (&known.sha, &known.context) != (&status.sha, &status.context));
    changed.statuses.push(status.clone());
    Ok(entry.save(&mut record, changed).await?)
}

fn github_state(state: &str) -> Result<String, Refusal> {
    let name = STATES.iter().find(|(known, _)| *known == state).map(|(_, name)| (*name).to_owned());
    name.ok_or_else(|| Refusal::field("state", &format!("\"{state}\" is not a valid choice.")))
}

fn check_url(url: &str) -> Result<(), Refusal> {
    let fits = ["http://", "https://"].iter().any(|start| url.strip_prefix(start).is_some_and(|rest| !rest.is_empty()));
    if fits { Ok(()) } else { Err(Refusal::field("url", "Enter a valid URL.")) }
}
