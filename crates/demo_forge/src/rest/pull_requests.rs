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
    refusal::{ApiError, ErrorDetail},
};
use crate::{
    access::Requirement,
    forge_state::Shared,
    merge::{self, MergeOutcome, MergeRequest, Method},
    pulls::{self, NewPull, Outcome, PullUpdate},
    record::{Pull, PullState},
    render,
};

#[derive(Debug, Default, Deserialize)]
pub(crate) struct ListFilter {
    head: Option<String>,
    base: Option<String>,
    state: Option<String>,
    direction: Option<String>,
}

impl ListFilter {
    pub(super) fn state(&self) -> Result<Option<PullState>, ApiError> {
        match self.state.as_deref() {
            None | Some("open") => Ok(Some(PullState::Open)),
            Some("closed") => Ok(Some(PullState::Closed)),
            Some("all") => Ok(None),
            Some(_) => Err(ApiError::validation_failed(vec![ErrorDetail::of_field("state", "invalid")])),
        }
    }
}

pub(super) type Repository = Path<(String, String)>;
pub(super) type PullPath = Path<(String, String, String)>;

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repository,
    Query(filter): Query<ListFilter>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_READ).await?;
    let state = filter.state()?;
    let owner = entry.owner();
    // Like GitHub, ignore a head without an owner and list everything, because clients must handle this.
    let head = filter.head.as_deref().and_then(|head| head.split_once(':'));
    let fits = |pull: &Pull| {
        state.is_none_or(|state| pull.record.state == state)
            && filter.base.as_ref().is_none_or(|base| pull.record.base == *base)
            && head.is_none_or(|(named, branch)| named.eq_ignore_ascii_case(&owner) && pull.record.head == branch)
    };
    let mut pulls = pulls::list(&shared, &entry).await?;
    pulls.retain(fits);
    if filter.direction.as_deref() == Some("asc") {
        pulls.reverse();
    }
    let (headers, pulls) = paging.page(&shared, pulls);
    let mut items = Vec::new();
    for pull in &pulls {
        items.push(render::reduced_pull(&shared, &entry, pull).await);
    }
    Ok((headers, Json(items)).into_response())
}

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repository,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_OPEN).await?;
    let fields = Fields::parse(&body)?;
    let proposal = NewPull {
        head: fields.required("head")?,
        base: fields.required("base")?,
        title: fields.text("title")?.flatten().unwrap_or_default(),
        body: fields.text("body")?.flatten(),
        draft: fields.flag("draft")?,
    };
    fields::check_lengths(Some(&proposal.title), proposal.body.as_deref())?;
    let pull = into_pull(pulls::open(&shared, &entry, &actor, proposal).await?)?;
    Ok((StatusCode::CREATED, Json(render::full_pull(&shared, &entry, &pull).await)).into_response())
}

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
) -> Result<Json<Value>, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_READ).await?;
    let pull = pulls::find(&shared, &entry, parse_number(&number)?).await?.ok_or_else(ApiError::not_found)?;
    Ok(Json(render::full_pull(&shared, &entry, &pull).await))
}

pub(crate) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_CHANGE).await?;
    let number = parse_number(&number)?;
    let fields = Fields::parse(&body)?;
    let state = match fields.text("state")?.flatten().as_deref() {
        None => None,
        Some("closed") => Some(PullState::Closed),
        Some("open") => Some(PullState::Open),
        Some(_) => {
            return Err(ApiError::validation_failed(vec![ErrorDetail::of_field("state", "invalid")]));
        }
    };
    let change = PullUpdate { title: fields.text("title")?.flatten(), body: fields.text("body")?, state };
    fields::check_lengths(change.title.as_deref(), change.body.as_ref().and_then(Option::as_deref))?;
    let pull = into_pull(pulls::update(&shared, &entry, &actor, number, change).await?)?;
    Ok(Json(render::full_pull(&shared, &entry, &pull).await))
}

fn into_pull(outcome: Outcome) -> Result<Box<Pull>, ApiError> {
    match outcome {
        Outcome::Stored(pull) => Ok(pull),
        Outcome::Missing => Err(ApiError::not_found()),
        Outcome::Refused(objections) => {
            Err(ApiError::validation_failed(objections.into_iter().map(ErrorDetail::from).collect()))
        }
    }
}

pub(crate) async fn merge(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::CONTENTS_WRITE).await?;
    let fields = Fields::parse(&body)?;
    let method = match fields.text("merge_method")?.flatten().as_deref() {
        None | Some("merge") => Method::Merge,
        Some("squash") => Method::Squash,
        Some(_) => return Err(ApiError::not_allowed("Rebase merges are not allowed on this repository.")),
    };
    let wish = MergeRequest {
        method,
        title: fields.text("commit_title")?.flatten(),
        message: fields.text("commit_message")?.flatten(),
        sha: fields.text("sha")?.flatten(),
    };
    match merge::merge(&shared, &entry, &actor, parse_number(&number)?, wish).await? {
        MergeOutcome::Merged { sha } => {
            Ok(Json(json!({ "sha": sha, "merged": true, "message": "Pull Request successfully merged" })))
        }
        MergeOutcome::Missing => Err(ApiError::not_found()),
        MergeOutcome::NotMergeable(obstacle) => Err(ApiError::not_allowed(obstacle.message())),
        MergeOutcome::Moved(reason) => Err(ApiError::conflict(reason)),
    }
}

pub(crate) async fn is_merged(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
) -> Result<StatusCode, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::CONTENTS_READ).await?;
    let pull = pulls::find(&shared, &entry, parse_number(&number)?).await?;
    let merged = pull.is_some_and(|pull| pull.record.merged.is_some());
    if merged { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found()) }
}

pub(crate) async fn commits(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_READ).await?;
    let pull = pulls::find(&shared, &entry, parse_number(&number)?).await?.ok_or_else(ApiError::not_found)?;
    let commits = shared.git.list_commits(&entry.git_dir(), &pull.base_sha, &pull.head_sha).await?;
    Ok(paging.respond(&shared, commits.iter().map(|commit| render::commit(&shared, &entry, commit)).collect()))
}

pub(crate) async fn files(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_READ).await?;
    let pull = pulls::find(&shared, &entry, parse_number(&number)?).await?.ok_or_else(ApiError::not_found)?;
    let files = shared.git.changed_files(&entry.git_dir(), &pull.base_sha, &pull.head_sha).await?;
    let items = files.iter().map(|file| render::changed_file(&shared, &entry, &pull.head_sha, file)).collect();
    Ok(paging.respond(&shared, items))
}

pub(super) fn parse_number(number: &str) -> Result<u64, ApiError> {
    number.parse().map_err(|_| ApiError::not_found())
}
