//! Routes of pull requests: list, create, show, edit, decline and merge.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    body::{self, Named},
    caller::Caller,
    listed::Wanted,
    paging::Paging,
    pull_answers,
    refusal::Refusal,
    repositories::{Part, Repository},
    uuid,
};
use pullyard_demo_forge::{
    access::{Actor, Need},
    merging::{self, Merging, Method, Wish},
    pulls::{self, Change, Objection, Outcome, Proposal, Touched},
    record::{Pull, PullState},
    repositories::Entry,
    shared::Shared,
};

const MAX_TITLE_CHARACTERS: usize = 255;
/// Bitbucket refuses longer pages, although its documentation names 100.
const MAX_PAGE: usize = 50;

/// The body of a create or edit request.
#[derive(Deserialize)]
struct Sent {
    title: Option<String>,
    description: Option<String>,
    source: Option<End>,
    destination: Option<End>,
    reviewers: Option<Vec<Named>>,
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

impl Sent {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let sent: Self = body::read(body)?;
        if let Some(title) = &sent.title {
            if title.trim().is_empty() {
                return Err(Refusal::field("title", "This field is required."));
            }
            if title.chars().count() > MAX_TITLE_CHARACTERS {
                let words = format!("Ensure this value has at most {MAX_TITLE_CHARACTERS} characters.");
                return Err(Refusal::field("title", &words));
            }
        }
        Ok(sent)
    }
}

fn branch_of(end: Option<End>) -> Option<String> {
    end?.branch?.name.filter(|name| !name.is_empty())
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug)): Repository,
    Query(asked): Query<Vec<(String, String)>>,
    paging: Paging,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_READ).await?;
    paging.at_most(MAX_PAGE)?;
    let wanted = Wanted::parse(&asked)?;
    let found = wanted.pick(pulls::list(&shared, &entry).await?);
    Ok(paging.answer(&shared, found.iter().map(|pull| pull_answers::short_pull(&shared, &entry, pull)).collect()))
}

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug)): Repository,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_OPEN).await?;
    let Sent { title, description, source, destination, reviewers, draft } = Sent::read(&body)?;
    let title = title.ok_or_else(|| Refusal::missing("title"))?;
    let head = branch_of(source).ok_or_else(|| Refusal::missing("source"))?;
    let base = branch_of(destination).unwrap_or_else(|| entry.default_branch.clone());
    let asked = accounts(&shared, actor.account.id, reviewers.unwrap_or_default())?;
    let proposal = Proposal {
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
            let change = Change { title: Some(title), body: description.map(Some), state: None };
            brought_up_to_date(&shared, &entry, &actor, (&head, &base), change).await?
        }
        Outcome::Refused(objections) => return Err(refused(&objections, &head, &base)),
    };
    let pull = if asked.is_empty() { pull } else { ask(&shared, &entry, pull.record.number, asked).await? };
    Ok((StatusCode::CREATED, Json(pull_answers::pull(&shared, &entry, &pull))).into_response())
}

fn is_already_open(objection: &Objection) -> bool {
    matches!(objection, Objection::AlreadyOpen { .. })
}

/// Updates the already open pull request, as Bitbucket does for a repeated creation.
async fn brought_up_to_date(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    (head, base): (&str, &str),
    change: Change,
) -> Result<Box<Pull>, Refusal> {
    let all = pulls::list(shared, entry).await?;
    let open = |pull: &&Pull| {
        let record = &pull.record;
        record.state == PullState::Open && record.head == head && record.base == base
    };
    let number = all.iter().find(open).ok_or_else(Refusal::no_pull_request)?.record.number;
    stored(pulls::change(shared, entry, actor, number, change).await?)
}

fn refused(objections: &[Objection], head: &str, base: &str) -> Refusal {
    match objections.first() {
        Some(Objection::HeadUnknown) => Refusal::field("source", &format!("branch not found: {head}")),
        Some(Objection::BaseUnknown) => Refusal::field("destination", &format!("branch not found: {base}")),
        Some(Objection::StateStays(reason)) => Refusal::bad_request(reason),
        _ => Refusal::bad_request("There are no changes to be pulled"),
    }
}

fn stored(outcome: Outcome) -> Result<Box<Pull>, Refusal> {
    match outcome {
        Outcome::Stored(pull) => Ok(pull),
        Outcome::Missing => Err(Refusal::no_pull_request()),
        Outcome::Refused(objections) => Err(refused(&objections, "", "")),
    }
}

/// Resolves reviewers by UUID, without duplicates. The author is refused.
fn accounts(shared: &Shared, author: u64, named: Vec<Named>) -> Result<Vec<u64>, Refusal> {
    let all = shared.users.all();
    let mut ids = Vec::new();
    for Named { uuid } in named {
        let wanted = uuid.unwrap_or_default().to_ascii_lowercase();
        let member = all.iter().find(|member| uuid::of_account(member.user.id) == wanted);
        let user = &member.ok_or_else(|| Refusal::field("reviewers", "Malformed reviewers list"))?.user;
        if user.id == author {
            let words = format!("{} is the author and cannot be included as a reviewer.", user.login);
            return Err(Refusal::field("reviewers", &words));
        }
        if !ids.contains(&user.id) {
            ids.push(user.id);
        }
    }
    Ok(ids)
}

/// Replaces the list of reviewers.
async fn ask(shared: &Shared, entry: &Entry, number: u64, ids: Vec<u64>) -> Result<Box<Pull>, Refusal> {
    let changed = pulls::touch(shared, entry, number, |pull| {
        let has_answered =
            |id: &u64| pull.reviews.iter().any(|review| review.author.id == *id && review.verdict().is_some());
        (pull.answered, pull.requested) = ids.into_iter().partition(has_answered);
        Ok::<_, Refusal>(())
    });
    match changed.await? {
        Touched::Done((), pull) => Ok(pull),
        Touched::Missing => Err(Refusal::no_pull_request()),
    }
}

pub(super) async fn find(shared: &Shared, entry: &Entry, number: &str) -> Result<Pull, Refusal> {
    let number: u64 = number.parse().map_err(|_| Refusal::no_pull_request())?;
    pulls::find(shared, entry, number).await?.ok_or_else(Refusal::no_pull_request)
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): Part,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_READ).await?;
    let pull = find(&shared, &entry, &number).await?;
    Ok(Json(pull_answers::pull(&shared, &entry, &pull)))
}

/// Edits title, description and reviewers. Bitbucket requires the title and clears omitted fields.
pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): Part,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_CHANGE).await?;
    let sent = Sent::read(&body)?;
    let pull = open(&shared, &entry, &number).await?;
    let record = &pull.record;
    let asked = accounts(&shared, record.author_id, sent.reviewers.unwrap_or_default())?;
    let title = sent.title.ok_or_else(|| Refusal::field("title", "This field is required."))?;
    let change = Change { title: Some(title), body: Some(sent.description), state: None };
    stored(pulls::change(&shared, &entry, &actor, record.number, change).await?)?;
    let pull = ask(&shared, &entry, record.number, asked).await?;
    Ok(Json(pull_answers::pull(&shared, &entry, &pull)))
}

/// An open pull request, or the refusal of a closed one.
async fn open(shared: &Shared, entry: &Entry, number: &str) -> Result<Pull, Refusal> {
    let pull = find(shared, entry, number).await?;
    match pull.record.state {
        PullState::Open => Ok(pull),
        PullState::Closed => Err(Refusal::with_detail("You can only edit an open pull request.")),
    }
}

pub(super) async fn decline(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): Part,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_OPEN).await?;
    let number = open(&shared, &entry, &number).await?.record.number;
    let change = Change { title: None, body: None, state: Some(PullState::Closed) };
    let pull = stored(pulls::change(&shared, &entry, &actor, number, change).await?)?;
    Ok(Json(pull_answers::pull(&shared, &entry, &pull)))
}

pub(super) async fn merge(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): Part,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::CONTENTS_WRITE).await?;
    let number = open(&shared, &entry, &number).await?.record.number;
    let wish = Wish { method: Method::Merge, title: None, message: None, sha: None };
    match merging::merge(&shared, &entry, &actor, number, wish).await? {
        Merging::Done { .. } => {}
        Merging::Missing => return Err(Refusal::no_pull_request()),
        Merging::NotMergeable(words) => return Err(Refusal::bad_request(words)),
        Merging::Moved(words) => return Err(Refusal::conflict(words)),
    }
    let pull = pulls::find(&shared, &entry, number).await?.ok_or_else(Refusal::no_pull_request)?;
    Ok(Json(pull_answers::pull(&shared, &entry, &pull)))
}
