//! Routes that approve a pull request, request changes, and withdraw either.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::Value;

use super::{
    caller::Caller,
    giving::{self, Objection},
    participants, pull_requests,
    refusal::Refusal,
    repositories::Part,
};
use pullyard_demo_forge::{
    access::{Actor, Need},
    repositories::Entry,
    reviews::Verdict,
    shared::Shared,
};

type Named = (String, String, String);

pub(super) async fn approve(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(named): Part,
) -> Result<Json<Value>, Refusal> {
    give(&shared, caller, named, Verdict::Approve).await
}

pub(super) async fn unapprove(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(named): Part,
) -> Result<StatusCode, Refusal> {
    withdraw(&shared, caller, named, Verdict::Approve).await
}

pub(super) async fn request_changes(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(named): Part,
) -> Result<Json<Value>, Refusal> {
    give(&shared, caller, named, Verdict::RequestChanges).await
}

pub(super) async fn withdraw_request(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(named): Part,
) -> Result<StatusCode, Refusal> {
    withdraw(&shared, caller, named, Verdict::RequestChanges).await
}

/// Authorizes the caller and finds the pull request.
async fn asked(
    shared: &Shared,
    caller: Caller,
    (workspace, slug, number): Named,
) -> Result<(Actor, Arc<Entry>, u64), Refusal> {
    let (actor, entry) = caller.repository(shared, (&workspace, &slug), Need::PULLS_WRITE).await?;
    let number = pull_requests::find(shared, &entry, &number).await?.record.number;
    Ok((actor, entry, number))
}

async fn give(shared: &Arc<Shared>, caller: Caller, named: Named, verdict: Verdict) -> Result<Json<Value>, Refusal> {
    let (actor, entry, number) = asked(shared, caller, named).await?;
    let given = giving::give(shared, &entry, &actor, number, verdict).await;
    let pull = given.map_err(|objection| refused(objection, verdict))?;
    Ok(Json(participants::one(shared, &pull.record, &actor.account)))
}

async fn withdraw(shared: &Arc<Shared>, caller: Caller, named: Named, verdict: Verdict) -> Result<StatusCode, Refusal> {
    let (actor, entry, number) = asked(shared, caller, named).await?;
    let withdrawn = giving::withdraw(shared, &entry, &actor, number, verdict).await;
    withdrawn.map_err(|objection| refused(objection, verdict))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Observed on Bitbucket: a second approval is a conflict. Assumed: a second change request is one too, and withdrawing
/// an absent verdict is 404. Documented: a verdict on a merged pull request is 400.
fn refused(objection: Objection, verdict: Verdict) -> Refusal {
    let said = match verdict {
        Verdict::RequestChanges => "requested changes to",
        Verdict::Approve | Verdict::Comment => "approved",
    };
    match objection {
        Objection::Given => Refusal::conflict(&format!("You already {said} this pull request.")),
        Objection::NotGiven => Refusal::not_found(&format!("You haven't {said} this pull request.")),
        Objection::Own => Refusal::bad_request("the demo forge takes no verdict of whoever opened the pull request"),
        Objection::Closed => Refusal::with_detail("You can only review an open pull request."),
        Objection::NoPullRequest => Refusal::no_pull_request(),
        Objection::Broken(error) => error.into(),
    }
}
