//! Revises pull requests, links them to tickets, and shows the state of their reviews.

use crate::routes::prelude::*;
use axum::http::StatusCode;
use pullyard_control::review::{self, PullRequestRef};
use pullyard_control::{Answer, LimitRaise, RaisedSubject};
use pullyard_domain::review::ReviewRequest;
use pullyard_domain::text::decision::Verdict;
use pullyard_entry::openapi::RequestOutcome;
use pullyard_protocol::decision::Decision;
use pullyard_protocol::limits::PULL_REQUEST;
use pullyard_protocol::pull_request::{
    LinkPullRequest, PullRequest, PullRequestPage, PullRequestQuery, RaisePullRequest, ReviewPullRequest,
    RevisePullRequest, UnlinkedPullRequest,
};
use pullyard_protocol::ticket::LimitUse;
use std::time::Duration;

fn authorize_pull_request<S>(caller: &Caller<S>, query: PullRequestQuery) -> Result<PullRequestRef, Problem> {
    let PullRequestQuery { project, repository, number, integration } = query;
    caller.authorize_project(&project)?;
    if !(1..=PULL_REQUEST).contains(&number) {
        return Err(Problem::bad_parameter("number", "use 1 or more"));
    }
    Ok(PullRequestRef { project, repository, number, integration })
}

/// `201` for a new job, `200` for a repeat, `202` if it waits for the running job, `409` with the code of the guard.
pub(crate) async fn revise(
    caller: Caller<scope::Jobs>,
    IdempotencyKey(key): IdempotencyKey,
    StrictJson(request): StrictJson<RevisePullRequest>,
) -> Result<RequestOutcome<Decision>, Problem> {
    caller.authorize_project(&request.project)?;
    limits::check_revise(&request)?;
    let RevisePullRequest { project, repository, number, integration, message } = request;
    let pull = PullRequestRef { project, repository, number, integration };
    let answer = review::request_revision(&caller.ctx, &pull, message, &caller.requester(), key.as_ref()).await?;
    to_response(answer)
}

/// `201` for a new job, `200` for a repeat, `409` with the code of the guard.
pub(crate) async fn review<const RESOLVE: bool>(
    caller: Caller<scope::Jobs>,
    IdempotencyKey(key): IdempotencyKey,
    StrictJson(request): StrictJson<ReviewPullRequest>,
) -> Result<RequestOutcome<Decision>, Problem> {
    caller.authorize_project(&request.project)?;
    limits::check_review(&request)?;
    let ReviewPullRequest { project, repository, number, integration, full, message, agent, model } = request;
    let pull = PullRequestRef { project, repository, number, integration };
    let review = ReviewRequest { resolve: RESOLVE, full, message, agent, model, ..ReviewRequest::default() };
    let answer = review::request_review(&caller.ctx, &pull, review, &caller.requester(), key.as_ref()).await?;
    to_response(answer)
}

/// A repeated request raises nothing.
pub(crate) async fn raise(
    caller: Caller<scope::Jobs>,
    IdempotencyKey(key): IdempotencyKey,
    StrictJson(request): StrictJson<RaisePullRequest>,
) -> Result<Json<LimitUse>, Problem> {
    caller.authorize_project(&request.project)?;
    limits::check_pull_request(request.number)?;
    let RaisePullRequest { project, repository, number, integration, usd_micros, jobs, for_secs } = request;
    let raise = LimitRaise {
        subject: RaisedSubject::PullRequest(PullRequestRef { project, repository, number, integration }),
        usd_micros,
        jobs,
        duration: Duration::from_secs(for_secs),
        right: caller.raise_right(),
        caller: caller.requester(),
        key: key.map(|key| key.to_string()),
    };
    Ok(Json(wire::limit_use(control::raise_limit(&caller.ctx, &raise).await?)))
}

pub(crate) fn to_response(answer: Answer) -> Result<RequestOutcome<Decision>, Problem> {
    match answer.reason.verdict() {
        Verdict::Accepted => Ok(RequestOutcome::Created(wire::decision(answer))),
        Verdict::Duplicate => Ok(RequestOutcome::Existing(wire::decision(answer))),
        Verdict::Held => Ok(RequestOutcome::Deferred(wire::decision(answer))),
        _ => Err(Problem::refusal(StatusCode::CONFLICT, &answer.reason)),
    }
}

pub(crate) async fn link(
    caller: Caller<scope::Jobs>,
    StrictJson(request): StrictJson<LinkPullRequest>,
) -> Result<Json<PullRequest>, Problem> {
    caller.authorize_project(&request.project)?;
    limits::check_link(&request)?;
    let LinkPullRequest { project, repository, number, integration, ticket } = request;
    let pull = PullRequestRef { project, repository, number, integration };
    review::link_pull_request(&caller.ctx, &pull, &ticket).await?;
    Ok(Json(wire::pull_request(review::pull_request_view(&caller.ctx, &pull).await?)))
}

pub(crate) async fn unlink(
    caller: Caller<scope::Jobs>,
    Query(query): Query<PullRequestQuery>,
) -> Result<Json<UnlinkedPullRequest>, Problem> {
    let pull = authorize_pull_request(&caller, query)?;
    Ok(Json(UnlinkedPullRequest { ticket: review::unlink_pull_request(&caller.ctx, &pull).await? }))
}

pub(crate) async fn list(
    caller: Caller<scope::Read>,
    Query(page): Query<ProjectPageQuery>,
) -> Result<Json<PullRequestPage>, Problem> {
    caller.authorize_project(&page.project)?;
    let (views, next) =
        review::list_pull_request_views(&caller.ctx, &page.project, page.after.as_deref(), PAGE_SIZE).await?;
    Ok(Json(PullRequestPage { pulls: views.into_iter().map(wire::pull_request).collect(), next }))
}

pub(crate) async fn explain_pull_request(
    caller: Caller<scope::Read>,
    Query(query): Query<PullRequestQuery>,
) -> Result<Json<PullRequest>, Problem> {
    let pull = authorize_pull_request(&caller, query)?;
    Ok(Json(wire::pull_request(review::pull_request_view(&caller.ctx, &pull).await?)))
}
