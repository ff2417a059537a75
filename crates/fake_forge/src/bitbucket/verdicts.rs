//! Routes that approve a pull request, request changes, and withdraw either. On Bitbucket a verdict has no text, and an
//! account has at most one. GitHub's API shows them as reviews, although GitHub's own change requests need a text.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{caller::Caller, participants, pull_requests, refusal::Refusal, repositories::ItemPath};
use pullyard_local_forge::access::{Actor, Requirement};
use pullyard_local_forge::events;
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::pulls;
use pullyard_local_forge::record::{Pull, PullRecord, PullState, ReviewRecord};
use pullyard_local_forge::repositories::RepositoryEntry;
use pullyard_local_forge::reviews::{Verdict, publish};

type PullRequestPath = (String, String, String);

pub(super) async fn approve(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(named): ItemPath,
) -> Result<Json<Value>, Refusal> {
    give_verdict(&shared, caller, named, Verdict::Approve).await
}

pub(super) async fn unapprove(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(named): ItemPath,
) -> Result<StatusCode, Refusal> {
    withdraw_verdict(&shared, caller, named, Verdict::Approve).await
}

pub(super) async fn request_changes(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(named): ItemPath,
) -> Result<Json<Value>, Refusal> {
    give_verdict(&shared, caller, named, Verdict::RequestChanges).await
}

pub(super) async fn withdraw_request(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(named): ItemPath,
) -> Result<StatusCode, Refusal> {
    withdraw_verdict(&shared, caller, named, Verdict::RequestChanges).await
}

async fn authorize(
    shared: &Shared,
    caller: Caller,
    (workspace, slug, number): PullRequestPath,
) -> Result<(Actor, Arc<RepositoryEntry>, Pull), Refusal> {
    let (actor, entry) = caller.repository(shared, (&workspace, &slug), Requirement::PULLS_WRITE).await?;
    let pull = pull_requests::find(&entry, &number).await?;
    Ok((actor, entry, pull))
}

fn check_open(pull: &PullRecord) -> Result<(), Refusal> {
    match pull.state {
        PullState::Open => Ok(()),
        PullState::Closed => Err(Refusal::with_detail("You can only review an open pull request.")),
    }
}

fn has_verdict(pull: &PullRecord, actor: &Actor, verdict: Verdict) -> bool {
    participants::current_verdict(pull, actor.account.id).is_some_and(|review| review.state == verdict.state())
}

fn verdict_phrase(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::RequestChanges => "requested changes to",
        Verdict::Approve | Verdict::Comment => "approved",
    }
}

/// Gives a verdict, which replaces the account's earlier one.
/// Observed on Bitbucket: a second approval is a conflict. Assumed: a second change request is one too, and withdrawing
/// an absent verdict is 404. Documented: a verdict on a merged pull request is 400.
async fn give_verdict(
    shared: &Arc<Shared>,
    caller: Caller,
    path: PullRequestPath,
    verdict: Verdict,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry, Pull { record, head_sha, .. }) = authorize(shared, caller, path).await?;
    let id = shared.ids.next()?;
    let changed = pulls::update_record(shared, &entry, record.number, |pull| {
        check_open(pull)?;
        if pull.author_id == actor.account.id {
            return Err(Refusal::bad_request("the local forge accepts no verdict from the pull request's author"));
        }
        if has_verdict(pull, &actor, verdict) {
            return Err(Refusal::conflict(&format!("You already {} this pull request.", verdict_phrase(verdict))));
        }
        let now = shared.clock.now_unique();
        let review = ReviewRecord {
            id,
            author: actor.account.clone(),
            body: String::new(),
            state: verdict.state(),
            commit: head_sha,
            submitted_at: now.clone(),
            updated_at: now,
            dismissed: None,
            key: None,
        };
        pull.reviews.push(review.clone());
        pull.complete_review_request(actor.account.id);
        Ok(review)
    });
    let (review, pull) = changed.await?.ok_or_else(Refusal::no_pull_request)?;
    publish(shared, &entry, &actor, &pull, &review).await;
    Ok(Json(participants::render_participant(shared, &pull.record, &actor.account)))
}

async fn withdraw_verdict(
    shared: &Arc<Shared>,
    caller: Caller,
    path: PullRequestPath,
    verdict: Verdict,
) -> Result<StatusCode, Refusal> {
    let (actor, entry, pull) = authorize(shared, caller, path).await?;
    let changed = pulls::update_record(shared, &entry, pull.record.number, |pull| {
        check_open(pull)?;
        if !has_verdict(pull, &actor, verdict) {
            return Err(Refusal::not_found(&format!("You haven't {} this pull request.", verdict_phrase(verdict))));
        }
        let now = shared.clock.now_unique();
        let mut dismissed = Vec::new();
        // Through GitHub's API an account may give the same verdict several times.
        let has_verdict_of_actor =
            |review: &&mut ReviewRecord| review.author.id == actor.account.id && review.state == verdict.state();
        for review in pull.reviews.iter_mut().filter(has_verdict_of_actor) {
            review.dismiss(now.clone());
            dismissed.push(review.clone());
        }
        Ok(dismissed)
    });
    let (dismissed, pull) = changed.await?.ok_or_else(Refusal::no_pull_request)?;
    for review in &dismissed {
        events::publish_review(shared, &entry, &actor, &pull, review, ("dismissed", json!({}))).await;
    }
    Ok(StatusCode::NO_CONTENT)
}
