//! Build statuses of commits. A status replaces the earlier one with the same key.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, caller::Caller, paging::Paging, refusal::Refusal, repositories::Part};
use pullyard_demo_forge::{access::Need, record::StatusRecord, repositories::Entry, shared::Shared};

const MAX_KEY_CHARACTERS: usize = 40;

/// Bitbucket's states, with GitHub's names, which the forge stores.
const STATES: [(&str, &str); 4] =
    [("INPROGRESS", "pending"), ("SUCCESSFUL", "success"), ("FAILED", "failure"), ("STOPPED", "error")];

#[derive(Deserialize)]
struct New {
    key: Option<String>,
    state: Option<String>,
    name: Option<String>,
    url: Option<String>,
    description: Option<String>,
    refname: Option<String>,
}

fn shown(status: &StatusRecord) -> Value {
    let state = STATES.iter().find(|(_, kept)| *kept == status.state).map_or("INPROGRESS", |(state, _)| *state);
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

async fn whole_id(shared: &Shared, entry: &Entry, named: &str) -> Result<String, Refusal> {
    let found = shared.git.whole_id(&entry.git_dir(), named).await?;
    found.ok_or_else(|| Refusal::no_commit(named))
}

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, commit)): Part,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::STATUSES_WRITE).await?;
    let New { key, state, name, url, description, refname } = body::read(&body)?;
    let key = key.filter(|key| !key.is_empty()).ok_or_else(|| Refusal::missing("key"))?;
    let length = key.chars().count();
    if length > MAX_KEY_CHARACTERS {
        let words = format!("Ensure this value has at most {MAX_KEY_CHARACTERS} characters (it has {length}).");
        return Err(Refusal::field("key", &words));
    }
    let state = kept_state(&state.ok_or_else(|| Refusal::missing("state"))?)?;
    let url = url.ok_or_else(|| Refusal::missing("url"))?;
    check_url(&url)?;
    let sha = whole_id(&shared, &entry, &commit).await?;
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
    Ok((StatusCode::CREATED, Json(shown(&status))).into_response())
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, commit)): Part,
    paging: Paging,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&workspace, &slug), Need::STATUSES_READ).await?;
    let sha = whole_id(&shared, &entry, &commit).await?;
    let record = entry.record.lock().await;
    let newest = record.newest_statuses(&sha).into_iter();
    Ok(paging.answer(&shared, newest.map(shown).collect()))
}

/// Writes: the repository's record, without earlier statuses of this key.
async fn replace(entry: &Entry, status: &StatusRecord) -> Result<(), Refusal> {
    let mut record = entry.record.lock().await;
    let mut changed = record.clone();
    changed.statuses.retain(|known| (&known.sha, &known.context) != (&status.sha, &status.context));
    changed.statuses.push(status.clone());
    Ok(entry.replace(&mut record, changed).await?)
}

fn kept_state(state: &str) -> Result<String, Refusal> {
    let kept = STATES.iter().find(|(known, _)| *known == state).map(|(_, kept)| (*kept).to_owned());
    kept.ok_or_else(|| Refusal::field("state", &format!("\"{state}\" is not a valid choice.")))
}

fn check_url(url: &str) -> Result<(), Refusal> {
    let fits = ["http://", "https://"].iter().any(|start| url.strip_prefix(start).is_some_and(|rest| !rest.is_empty()));
    if fits { Ok(()) } else { Err(Refusal::field("url", "Enter a valid URL.")) }
}
