//! Routes for pull requests.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    caller::Caller,
    fields::{self, Fields},
    paging::Paging,
    refusal::{Fault, Refusal},
};
use crate::{
    access::Need,
    answers,
    merging::{self, Merging, Method, Wish},
    pulls::{self, Change, Outcome, Proposal},
    record::{Pull, PullState},
    shared::Shared,
};

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    head: Option<String>,
    base: Option<String>,
    state: Option<String>,
    direction: Option<String>,
}

impl Wanted {
    pub(super) fn state(&self) -> Result<Option<PullState>, Refusal> {
        match self.state.as_deref() {
            None | Some("open") => Ok(Some(PullState::Open)),
            Some("closed") => Ok(Some(PullState::Closed)),
            Some("all") => Ok(None),
            Some(_) => Err(Refusal::validation_failed(vec![Fault::of_field("state", "invalid")])),
        }
    }
}

pub(super) type Repository = Path<(String, String)>;
pub(super) type Numbered = Path<(String, String, String)>;

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repository,
    Query(wanted): Query<Wanted>,
    paging: Paging,
) -> Result<Response, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_READ).await?;
    let state = wanted.state()?;
    let owner = entry.owner();
    // Like GitHub, ignore a head without an owner and list everything, because clients must handle this.
    let head = wanted.head.as_deref().and_then(|head| head.split_once(':'));
    let fits = |pull: &Pull| {
        state.is_none_or(|state| pull.record.state == state)
            && wanted.base.as_ref().is_none_or(|base| pull.record.base == *base)
            && head.is_none_or(|(named, branch)| named.eq_ignore_ascii_case(&owner) && pull.record.head == branch)
    };
    let mut found = pulls::list(&shared, &entry).await?;
    found.retain(fits);
    if wanted.direction.as_deref() == Some("asc") {
        found.reverse();
    }
    let (headers, found) = paging.cut(&shared, found);
    let mut shown = Vec::new();
    for pull in &found {
        shown.push(answers::reduced_pull(&shared, &entry, pull).await);
    }
    Ok((headers, Json(shown)).into_response())
}

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repository,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_OPEN).await?;
    let fields = Fields::parse(&body)?;
    let proposal = Proposal {
        head: fields.required("head")?,
        base: fields.required("base")?,
        title: fields.text("title")?.flatten().unwrap_or_default(),
        body: fields.text("body")?.flatten(),
        draft: fields.flag("draft")?,
    };
    fields::check_words(Some(&proposal.title), proposal.body.as_deref())?;
    let pull = stored(pulls::open(&shared, &entry, &actor, proposal).await?)?;
    Ok((StatusCode::CREATED, Json(answers::full_pull(&shared, &entry, &pull).await)).into_response())
}

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_READ).await?;
    let pull = pulls::find(&shared, &entry, parse(&number)?).await?.ok_or_else(Refusal::not_found)?;
    Ok(Json(answers::full_pull(&shared, &entry, &pull).await))
}

pub(crate) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_CHANGE).await?;
    let number = parse(&number)?;
    let fields = Fields::parse(&body)?;
    let state = match fields.text("state")?.flatten().as_deref() {
        None => None,
        Some("closed") => Some(PullState::Closed),
        Some("open") => Some(PullState::Open),
        Some(_) => {
            return Err(Refusal::validation_failed(vec![Fault::of_field("state", "invalid")]));
        }
    };
    let change = Change { title: fields.text("title")?.flatten(), body: fields.text("body")?, state };
    fields::check_words(change.title.as_deref(), change.body.as_ref().and_then(Option::as_deref))?;
    let pull = stored(pulls::change(&shared, &entry, &actor, number, change).await?)?;
    Ok(Json(answers::full_pull(&shared, &entry, &pull).await))
}

fn stored(outcome: Outcome) -> Result<Box<Pull>, Refusal> {
    match outcome {
        Outcome::Stored(pull) => Ok(pull),
        Outcome::Missing => Err(Refusal::not_found()),
        Outcome::Refused(objections) => {
            Err(Refusal::validation_failed(objections.into_iter().map(Fault::from).collect()))
        }
    }
}

pub(crate) async fn merge(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::CONTENTS_WRITE).await?;
    let fields = Fields::parse(&body)?;
    let method = match fields.text("merge_method")?.flatten().as_deref() {
        None | Some("merge") => Method::Merge,
        Some("squash") => Method::Squash,
        Some(_) => return Err(Refusal::not_allowed("Rebase merges are not allowed on this repository.")),
    };
    let wish = Wish {
        method,
        title: fields.text("commit_title")?.flatten(),
        message: fields.text("commit_message")?.flatten(),
        sha: fields.text("sha")?.flatten(),
    };
    match merging::merge(&shared, &entry, &actor, parse(&number)?, wish).await? {
        Merging::Done { sha } => {
            Ok(Json(json!({ "sha": sha, "merged": true, "message": "Pull Request successfully merged" })))
        }
        Merging::Missing => Err(Refusal::not_found()),
        Merging::NotMergeable(words) => Err(Refusal::not_allowed(words)),
        Merging::Moved(words) => Err(Refusal::conflict(words)),
    }
}

pub(crate) async fn is_merged(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
) -> Result<StatusCode, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::CONTENTS_READ).await?;
    let pull = pulls::find(&shared, &entry, parse(&number)?).await?;
    let merged = pull.is_some_and(|pull| pull.record.merged.is_some());
    if merged { Ok(StatusCode::NO_CONTENT) } else { Err(Refusal::not_found()) }
}

pub(crate) async fn commits(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    paging: Paging,
) -> Result<Response, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_READ).await?;
    let pull = pulls::find(&shared, &entry, parse(&number)?).await?.ok_or_else(Refusal::not_found)?;
    let commits = shared.git.commits_in_full(&entry.git_dir(), &pull.base_sha, &pull.head_sha).await?;
    Ok(paging.answer(&shared, commits.iter().map(|commit| answers::commit(&shared, &entry, commit)).collect()))
}

pub(crate) async fn files(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    paging: Paging,
) -> Result<Response, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_READ).await?;
    let pull = pulls::find(&shared, &entry, parse(&number)?).await?.ok_or_else(Refusal::not_found)?;
    let files = shared.git.changed_files(&entry.git_dir(), &pull.base_sha, &pull.head_sha).await?;
    let shown = files.iter().map(|file| answers::changed_file(&shared, &entry, &pull.head_sha, file)).collect();
    Ok(paging.answer(&shared, shown))
}

pub(super) fn parse(number: &str) -> Result<u64, Refusal> {
    number.parse().map_err(|_| Refusal::not_found())
}
