//! Routes of pull requests: list, create, show, edit, decline and merge.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use super::body;
use super::body::AccountRef;
use super::caller::Caller;
use super::paging::Paging;
use super::pull_request_filter::PullRequestFilter;
use super::refusal::Refusal;
use super::repositories::{ItemPath, RepositoryPath};
use super::{pull_answers, uuid};
use pullyard_local_forge::{
    access::{Actor, Requirement},
    forge_state::Shared,
    merge::{self, MergeOutcome},
    pulls::{self, NewPull, Outcome, PullUpdate, Rejection},
    record::{Pull, PullState},
    repositories::RepositoryEntry,
};

const MAX_TITLE_CHARACTERS: usize = 255;
/// Bitbucket refuses longer pages, although its documentation names 100.
const MAX_PAGE: usize = 50;

#[derive(Deserialize)]
struct PullRequestBody {
    title: Option<String>,
    description: Option<String>,
    source: Option<End>,
    destination: Option<End>,
    reviewers: Option<Vec<AccountRef>>,
    draft: Option<bool>,
}

#[derive(Deserialize)]
struct End {
    branch: Option<Branch>,
}

#[derive(Deserialize)]
struct Branch {
    name: Option<String>,
}

impl PullRequestBody {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let payload: Self = body::parse(body)?;
        if let Some(title) = &payload.title {
            if title.trim().is_empty() {
                return Err(Refusal::field("title", "This field is required."));
            }
            if title.chars().count() > MAX_TITLE_CHARACTERS {
                let message = format!("Ensure this value has at most {MAX_TITLE_CHARACTERS} characters.");
                return Err(Refusal::field("title", &message));
            }
        }
        Ok(payload)
    }
}

fn branch_of(end: Option<End>) -> Option<String> {
    end?.branch?.name.filter(|name| !name.is_empty())
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug)): RepositoryPath,
    Query(query): Query<Vec<(String, String)>>,
    paging: Paging,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::PULLS_READ).await?;
    paging.check_length(MAX_PAGE)?;
    let wanted = PullRequestFilter::parse(&query)?;
    let found = wanted.apply(pulls::list(&entry).await?);
    Ok(paging.answer(&shared, found.iter().map(|pull| pull_answers::short_pull(&shared, &entry, pull)).collect()))
}

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug)): RepositoryPath,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::PULLS_OPEN).await?;
    let PullRequestBody { title, description, source, destination, reviewers, draft } = PullRequestBody::read(&body)?;
    let title = title.ok_or_else(|| Refusal::missing("title"))?;
    let head = branch_of(source).ok_or_else(|| Refusal::missing("source"))?;
    let base = branch_of(destination).unwrap_or_else(|| entry.default_branch.clone());
    let new_reviewers = resolve_reviewers(&shared, actor.account.id, reviewers.unwrap_or_default())?;
    let proposal = NewPull {
        title: title.clone(),
        body: description.clone(),
        head: head.clone(),
        base: base.clone(),
        draft: draft.unwrap_or_default(),
    };
    let pull = match pulls::open(&shared, &entry, &actor, proposal).await? {
        Outcome::Stored(pull) => pull,
        Outcome::Missing => return Err(Refusal::no_pull_request()),
        Outcome::Refused(objections) if objections.iter().any(is_already_open) => {
            let change = PullUpdate { title: Some(title), body: description.map(Some), state: None };
            update_open_pull_request(&shared, &entry, &actor, (&head, &base), change).await?
        }
        Outcome::Refused(objections) => return Err(refusal(&objections, &head, &base)),
    };
    let pull = if new_reviewers.is_empty() {
        pull
    } else {
        set_reviewers(&shared, &entry, pull.record.number, new_reviewers).await?
    };
    Ok((StatusCode::CREATED, Json(pull_answers::pull(&shared, &entry, &pull))).into_response())
}

fn is_already_open(objection: &Rejection) -> bool {
    matches!(objection, Rejection::AlreadyOpen { .. })
}

/// Updates the already open pull request, as Bitbucket does for a repeated creation.
async fn update_open_pull_request(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (head, base): (&str, &str),
    change: PullUpdate,
) -> Result<Box<Pull>, Refusal> {
    let all = pulls::list(entry).await?;
    let open = |pull: &&Pull| {
        let record = &pull.record;
        record.state == PullState::Open && record.head == head && record.base == base
    };
    let number = all.iter().find(open).ok_or_else(Refusal::no_pull_request)?.record.number;
    pull_or_refusal(pulls::update(shared, entry, actor, number, change).await?)
}

fn refusal(objections: &[Rejection], head: &str, base: &str) -> Refusal {
    match objections.first() {
        Some(Rejection::HeadUnknown) => Refusal::field("source", &format!("branch not found: {head}")),
        Some(Rejection::BaseUnknown) => Refusal::field("destination", &format!("branch not found: {base}")),
        Some(Rejection::CannotReopen(reason)) => Refusal::bad_request(reason),
        _ => Refusal::bad_request("There are no changes to be pulled"),
    }
}

fn pull_or_refusal(outcome: Outcome) -> Result<Box<Pull>, Refusal> {
    match outcome {
        Outcome::Stored(pull) => Ok(pull),
        Outcome::Missing => Err(Refusal::no_pull_request()),
        Outcome::Refused(objections) => Err(refusal(&objections, "", "")),
    }
}

fn resolve_reviewers(shared: &Shared, author: u64, named: Vec<AccountRef>) -> Result<Vec<u64>, Refusal> {
    let all = shared.users.list();
    let mut ids = Vec::new();
    for AccountRef { uuid } in named {
        let wanted = uuid.unwrap_or_default().to_ascii_lowercase();
        let member = all.iter().find(|member| uuid::of_account(member.user.id) == wanted);
        let user = &member.ok_or_else(|| Refusal::field("reviewers", "Malformed reviewers list"))?.user;
        if user.id == author {
            let message = format!("{} is the author and cannot be included as a reviewer.", user.login);
            return Err(Refusal::field("reviewers", &message));
        }
        if !ids.contains(&user.id) {
            ids.push(user.id);
        }
    }
    Ok(ids)
}

async fn set_reviewers(
    shared: &Shared,
    entry: &RepositoryEntry,
    number: u64,
    ids: Vec<u64>,
) -> Result<Box<Pull>, Refusal> {
    let changed = pulls::update_record(shared, entry, number, |pull| {
        let has_answered =
            |id: &u64| pull.reviews.iter().any(|review| review.author.id == *id && review.verdict().is_some());
        (pull.answered, pull.requested) = ids.into_iter().partition(has_answered);
        Ok::<_, Refusal>(())
    });
    let ((), pull) = changed.await?.ok_or_else(Refusal::no_pull_request)?;
    Ok(pull)
}

pub(super) async fn find(entry: &RepositoryEntry, number: &str) -> Result<Pull, Refusal> {
    let number: u64 = number.parse().map_err(|_| Refusal::no_pull_request())?;
    pulls::find(entry, number).await?.ok_or_else(Refusal::no_pull_request)
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): ItemPath,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::PULLS_READ).await?;
    let pull = find(&entry, &number).await?;
    Ok(Json(pull_answers::pull(&shared, &entry, &pull)))
}

/// Edits title, description and reviewers. Bitbucket requires the title and clears omitted fields.
pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): ItemPath,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::PULLS_CHANGE).await?;
    let payload = PullRequestBody::read(&body)?;
    let pull = find_open(&entry, &number).await?;
    let record = &pull.record;
    let new_reviewers = resolve_reviewers(&shared, record.author_id, payload.reviewers.unwrap_or_default())?;
    let title = payload.title.ok_or_else(|| Refusal::field("title", "This field is required."))?;
    let change = PullUpdate { title: Some(title), body: Some(payload.description), state: None };
    pull_or_refusal(pulls::update(&shared, &entry, &actor, record.number, change).await?)?;
    let pull = set_reviewers(&shared, &entry, record.number, new_reviewers).await?;
    Ok(Json(pull_answers::pull(&shared, &entry, &pull)))
}

async fn find_open(entry: &RepositoryEntry, number: &str) -> Result<Pull, Refusal> {
    let pull = find(entry, number).await?;
    match pull.record.state {
        PullState::Open => Ok(pull),
        PullState::Closed => Err(Refusal::with_detail("You can only edit an open pull request.")),
    }
}

pub(super) async fn decline(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): ItemPath,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::PULLS_OPEN).await?;
    let number = find_open(&entry, &number).await?.record.number;
    let change = PullUpdate { title: None, body: None, state: Some(PullState::Closed) };
    let pull = pull_or_refusal(pulls::update(&shared, &entry, &actor, number, change).await?)?;
    Ok(Json(pull_answers::pull(&shared, &entry, &pull)))
}

#[derive(Default, Deserialize)]
struct MergeBody {
    merge_strategy: Option<String>,
}

/// Always creates a merge commit, as if the branch allowed no other strategy.
pub(super) async fn merge(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): ItemPath,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let MergeBody { merge_strategy } = if body.is_empty() { MergeBody::default() } else { body::parse(&body)? };
    if merge_strategy.is_some_and(|strategy| strategy != "merge_commit") {
        return Err(Refusal::bad_request("The merge strategy is not allowed for this branch."));
    }
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::CONTENTS_WRITE).await?;
    let record = find_open(&entry, &number).await?.record;
    let number = record.number;
    match merge::merge(&shared, &entry, &actor, number, None).await? {
        MergeOutcome::Merged { .. } => {}
        MergeOutcome::Missing => return Err(Refusal::no_pull_request()),
        MergeOutcome::NotMergeable(obstacle) => return Err(Refusal::bad_request(&obstacle.message(&record))),
        MergeOutcome::Moved => return Err(Refusal::conflict(merge::MOVED)),
    }
    let pull = pulls::find(&entry, number).await?.ok_or_else(Refusal::no_pull_request)?;
    Ok(Json(pull_answers::pull(&shared, &entry, &pull)))
}
