//! The pull request routes: reading what was asked, and answering in GitHub's shapes.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    answers,
    caller::Caller,
    fields::{self, Fields},
    refusal::{Fault, Refusal},
};
use crate::{
    forge::Shared,
    pulls::{self, Change, Opened, Proposal, Pull},
    record::PullState,
};

const DEFAULT_PER_PAGE: usize = 30;
const MAX_PER_PAGE: usize = 100;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    head: Option<String>,
    base: Option<String>,
    state: Option<String>,
    per_page: Option<String>,
    page: Option<String>,
}

type Repository = Path<(String, String)>;
type Numbered = Path<(String, String, String)>;

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repository,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refusal> {
    let (_, entry) = caller.repository(&shared, &owner, &name).await?;
    let state = match wanted.state.as_deref() {
        None | Some("open") => Some(PullState::Open),
        Some("closed") => Some(PullState::Closed),
        Some("all") => None,
        Some(_) => {
            return Err(Refusal::validation_failed(vec![Fault::of_field("state", "invalid")]));
        }
    };
    // GitHub ignores a head without its owner and lists everything. So do we: clients must cope.
    let head = wanted.head.as_deref().and_then(|head| head.split_once(':'));
    let fits = |pull: &Pull| {
        state.is_none_or(|state| pull.record.state == state)
            && wanted.base.as_ref().is_none_or(|base| pull.record.base == *base)
            && head.is_none_or(|(owner, branch)| owner.eq_ignore_ascii_case(&entry.owner) && pull.record.head == branch)
    };
    let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
    let per_page = number(&wanted.per_page).unwrap_or(DEFAULT_PER_PAGE).clamp(1, MAX_PER_PAGE);
    let page = number(&wanted.page).unwrap_or(1).max(1);

    let mut found = pulls::list(&shared.git, &entry).await?;
    found.retain(fits);
    let skipped = (page - 1).saturating_mul(per_page);
    let more = found.len() > skipped.saturating_add(per_page);
    let shown: Vec<Value> =
        found.iter().skip(skipped).take(per_page).map(|pull| answers::pull(&shared, &entry, pull)).collect();
    let mut headers = HeaderMap::new();
    if more {
        let next = format!(
            "<{}/api/v3/repos/{}/pulls?per_page={per_page}&page={}>; rel=\"next\"",
            shared.url,
            entry.full_name(),
            page + 1
        );
        if let Ok(next) = next.parse() {
            headers.insert(header::LINK, next);
        }
    }
    Ok((headers, Json(shown)).into_response())
}

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Repository,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (user, entry) = caller.repository(&shared, &owner, &name).await?;
    let fields = Fields::parse(&body)?;
    let proposal = Proposal {
        head: fields.required("head")?,
        base: fields.required("base")?,
        title: fields.text("title")?.flatten().unwrap_or_default(),
        body: fields.text("body")?.flatten(),
        draft: fields.flag("draft")?,
    };
    fields::check_words(Some(&proposal.title), proposal.body.as_deref())?;
    match pulls::open(&shared.git, &entry, &user, proposal).await? {
        Opened::Created(pull) => {
            let answer = answers::pull(&shared, &entry, &pull);
            Ok((StatusCode::CREATED, Json(answer)).into_response())
        }
        Opened::Refused(objections) => {
            Err(Refusal::validation_failed(objections.into_iter().map(Fault::from).collect()))
        }
    }
}

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, &owner, &name).await?;
    let pull = pulls::find(&shared.git, &entry, parse(&number)?).await?;
    Ok(Json(answers::pull(&shared, &entry, &pull.ok_or_else(Refusal::not_found)?)))
}

pub(crate) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, &owner, &name).await?;
    let number = parse(&number)?;
    let fields = Fields::parse(&body)?;
    let state = match fields.text("state")?.flatten().as_deref() {
        None => None,
        Some("closed") => Some(PullState::Closed),
        // Opening again is not offered: it would need the rules of opening once more.
        Some(_) => {
            return Err(Refusal::validation_failed(vec![Fault::of_field("state", "invalid")]));
        }
    };
    let change = Change { title: fields.text("title")?.flatten(), body: fields.text("body")?, state };
    fields::check_words(change.title.as_deref(), change.body.as_ref().and_then(Option::as_deref))?;
    let pull = pulls::change(&shared.git, &entry, number, change).await?;
    Ok(Json(answers::pull(&shared, &entry, &pull.ok_or_else(Refusal::not_found)?)))
}

fn parse(number: &str) -> Result<u64, Refusal> {
    number.parse().map_err(|_| Refusal::not_found())
}
