//! Build statuses of commits. The same key again takes the place of what was said before.

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

use super::{
    answers::{self, link},
    body,
    caller::Caller,
    paging::Paging,
    refusal::Refusal,
    repositories::Part,
    uuid,
};
use crate::{access::Need, forge::Shared, record::StatusRecord, repositories::Entry};

const MAX_KEY_CHARACTERS: usize = 40;

/// Each state with what GitHub calls it, which is what the forge keeps.
const STATES: [(&str, &str); 4] =
    [("INPROGRESS", "pending"), ("SUCCESSFUL", "success"), ("FAILED", "failure"), ("STOPPED", "error")];

type Keyed = Path<(String, String, String, String)>;

#[derive(Deserialize)]
struct New {
    key: Option<String>,
    state: Option<String>,
    name: Option<String>,
    url: Option<String>,
    description: Option<String>,
    refname: Option<String>,
}

fn shown(shared: &Shared, entry: &Entry, status: &StatusRecord) -> Value {
    let api = answers::api(shared, entry);
    let commit = format!("{api}/commit/{}", status.sha);
    let state = STATES.iter().find(|(_, kept)| *kept == status.state).map_or("INPROGRESS", |(state, _)| *state);
    json!({
        "type": "build",
        "uuid": uuid::of_status(status.id),
        "key": status.context,
        "name": status.name,
        "state": state,
        "url": status.target_url,
        "description": status.description,
        "refname": status.refname,
        "created_on": answers::time(&status.created_at),
        "updated_on": answers::time(&status.created_at),
        "commit": { "type": "commit", "hash": status.sha, "links": { "self": link(&commit) } },
        "repository": answers::short_repository(shared, entry),
        "links": {
            "self": link(format!("{commit}/statuses/build/{}", status.context)),
            "commit": link(&commit),
        },
    })
}

/// The newest of each key, newest first.
async fn newest(entry: &Entry, sha: &str) -> Vec<StatusRecord> {
    let record = entry.record.lock().await;
    let mut newest: Vec<StatusRecord> = Vec::new();
    for status in record.statuses.iter().rev().filter(|status| status.sha == sha) {
        if newest.iter().all(|known| known.context != status.context) {
            newest.push(status.clone());
        }
    }
    newest
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
    Ok((StatusCode::CREATED, Json(shown(&shared, &entry, &status))).into_response())
}

/// Changes what is said under a key; what is left out stays.
pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, commit, key)): Keyed,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::STATUSES_WRITE).await?;
    let new: New = body::read(&body)?;
    let sha = whole_id(&shared, &entry, &commit).await?;
    let mut status = find(&entry, &sha, &key).await?;
    if let Some(state) = new.state {
        status.state = kept_state(&state)?;
    }
    if let Some(url) = new.url {
        check_url(&url)?;
        status.target_url = Some(url);
    }
    status.name = new.name.or(status.name);
    status.description = new.description.or(status.description);
    status.refname = new.refname.or(status.refname);
    status.creator = actor.account;
    replace(&entry, &status).await?;
    Ok(Json(shown(&shared, &entry, &status)))
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, commit, key)): Keyed,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&workspace, &slug), Need::STATUSES_READ).await?;
    let sha = whole_id(&shared, &entry, &commit).await?;
    let status = find(&entry, &sha, &key).await?;
    Ok(Json(shown(&shared, &entry, &status)))
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, commit)): Part,
    paging: Paging,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&workspace, &slug), Need::STATUSES_READ).await?;
    let sha = whole_id(&shared, &entry, &commit).await?;
    let statuses = newest(&entry, &sha).await;
    Ok(paging.answer(&shared, statuses.iter().map(|status| shown(&shared, &entry, status)).collect()))
}

async fn find(entry: &Entry, sha: &str, key: &str) -> Result<StatusRecord, Refusal> {
    let found = newest(entry, sha).await.into_iter().find(|status| status.context == key);
    found.ok_or_else(|| Refusal::not_found(&format!("Build status \"{key}\" not found")))
}

/// Writes: the repository's record, with this one in the place of all of its key.
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
