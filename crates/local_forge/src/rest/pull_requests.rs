//! Routes for pull requests.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{
    body,
    caller::Caller,
    paging::Paging,
    refusal::{ApiError, ErrorDetail},
};
use crate::{
    access::Requirement,
    forge_state::Shared,
    merge::{self, MergeOutcome, Obstacle},
    pulls::{self, NewPull, Outcome, PullUpdate},
    pushes,
    record::{Pull, PullState},
    render,
    repositories::RepositoryEntry,
};

const DIFF: &str = "application/vnd.github.diff";
/// Below the limit of the forge client for one answer.
const MAX_DIFF_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct ListFilter {
    head: Option<String>,
    state: Option<String>,
    sort: Option<String>,
}

impl ListFilter {
    fn state(&self) -> Result<Option<PullState>, ApiError> {
        match self.state.as_deref() {
            None => Ok(Some(PullState::Open)),
            Some("all") => Ok(None),
            Some(state) => parse_state(state).map(Some),
        }
    }
}

fn parse_state(state: &str) -> Result<PullState, ApiError> {
    match state {
        "open" => Ok(PullState::Open),
        "closed" => Ok(PullState::Closed),
        _ => Err(ApiError::validation_failed(vec![ErrorDetail::of_field("state", "invalid")])),
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
    // Like GitHub, ignore a head without an owner and list everything, because clients must handle this.
    let head = filter.head.as_deref().and_then(|head| head.split_once(':'));
    let is_requested = |pull: &Pull| {
        state.is_none_or(|state| pull.record.state == state)
            && head.is_none_or(|(owner, branch)| owner.eq_ignore_ascii_case(&entry.owner) && pull.record.head == branch)
    };
    let mut pulls = pulls::list(&entry).await?;
    pulls.retain(is_requested);
    if filter.sort.as_deref() == Some("updated") {
        pulls.sort_by(|a, b| b.record.updated_at.cmp(&a.record.updated_at));
    }
    Ok(paging.respond(&shared, pulls.iter().map(|pull| render::reduced_pull(&shared, &entry, pull)).collect()))
}

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repository,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_OPEN).await?;
    let proposal: NewPull = body::parse(&body)?;
    body::check_lengths(Some(&proposal.title), proposal.body.as_deref())?;
    let pull = into_pull(pulls::open(&shared, &entry, &actor, proposal).await?)?;
    Ok((StatusCode::CREATED, Json(render::full_pull(&shared, &entry, &pull))).into_response())
}

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): PullPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (entry, pull) = load_pull(&shared, caller, path).await?;
    if headers.get(ACCEPT).is_none_or(|accept| accept != DIFF) {
        let mut body = render::full_pull(&shared, &entry, &pull);
        match shared.git.commits_between(&entry.git_dir, &pull.base_sha, &pull.head_sha).await {
            Ok(count) => body["commits"] = json!(count),
            // git may have pruned the commits of a closed pull request, whose texts are still stored.
            Err(error) => tracing::debug!(number = pull.record.number, error = %error, "commits not counted"),
        }
        return Ok(Json(body).into_response());
    }
    for sha in [&pull.base_sha, &pull.head_sha] {
        if !shared.git.is_commit(&entry.git_dir, sha).await? {
            return Err(ApiError::commits_deleted());
        }
    }
    let diff = shared.git.diff(&entry.git_dir, &pull.base_sha, &pull.head_sha, MAX_DIFF_BYTES).await?;
    if diff.truncated {
        // A truncated diff must not appear complete.
        return Err(ApiError::diff_too_large());
    }
    Ok(([(CONTENT_TYPE, DIFF)], diff.stdout).into_response())
}

#[derive(Deserialize)]
struct MergeBody {
    sha: Option<String>,
    merge_method: Option<String>,
}

/// Always creates a merge commit.
pub(crate) async fn merge(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::CONTENTS_WRITE).await?;
    let MergeBody { sha: seen, merge_method } = body::parse(&body)?;
    if merge_method.is_some_and(|method| method != "merge") {
        return Err(ApiError::unsupported("this forge only makes merge commits: use the method merge"));
    }
    let record = pulls::find(&entry, parse_number(&number)?).await?.ok_or_else(ApiError::not_found)?.record;
    // In a linked repository, the user may have merged with git, without a push through the forge.
    pushes::apply_push(&shared, &entry, &actor).await?;
    let sha = match merge::merge(&shared, &entry, &actor, record.number, seen.as_deref()).await? {
        MergeOutcome::Merged { sha } => sha,
        MergeOutcome::NotMergeable(Obstacle::Merged) if record.is_open() => record.head_sha,
        MergeOutcome::NotMergeable(obstacle) => return Err(ApiError::not_mergeable(obstacle.message(&record))),
        MergeOutcome::Moved => return Err(ApiError::moved()),
        MergeOutcome::Missing => return Err(ApiError::not_found()),
    };
    Ok(Json(json!({ "sha": sha, "merged": true, "message": "Pull Request successfully merged" })))
}

/// Requires permission to read pull requests.
pub(super) async fn load_pull(
    shared: &Shared,
    caller: Caller,
    (owner, name, number): (String, String, String),
) -> Result<(Arc<RepositoryEntry>, Pull), ApiError> {
    let (_, entry) = caller.authorize(shared, (&owner, &name), Requirement::PULLS_READ).await?;
    let pull = pulls::find(&entry, parse_number(&number)?).await?.ok_or_else(ApiError::not_found)?;
    Ok((entry, pull))
}

#[derive(Deserialize)]
struct PullBody {
    title: Option<String>,
    /// `null` removes the text.
    #[serde(default, deserialize_with = "nullable")]
    body: Option<Option<String>>,
    state: Option<String>,
}

fn nullable<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

pub(crate) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_CHANGE).await?;
    let number = parse_number(&number)?;
    let PullBody { title, body, state } = body::parse(&body)?;
    let state = state.as_deref().map(parse_state).transpose()?;
    body::check_lengths(title.as_deref(), body.as_ref().and_then(|body| body.as_deref()))?;
    let change = PullUpdate { title, body, state };
    let pull = into_pull(pulls::update(&shared, &entry, &actor, number, change).await?)?;
    Ok(Json(render::full_pull(&shared, &entry, &pull)))
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

pub(super) fn parse_number(number: &str) -> Result<u64, ApiError> {
    number.parse().map_err(|_| ApiError::not_found())
}
