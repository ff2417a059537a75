//! Pull requests: revisions, links to tickets, and the state of reviews.

use super::jobs::refused;
use super::page::PAGE;
use crate::wire;
use axum::Json;
use axum::extract::State;
use pullyard_control::review::{self, Named};
use pullyard_control::{Answer, Context};
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::{IntegrationId, ProjectId, RepositoryName};
use pullyard_entry::openapi::Asked;
use pullyard_entry::{Caller, Key, Problem, Query, Strict, limits, scope};
use pullyard_protocol::decision::Decision;
use pullyard_protocol::limits::PULL_REQUEST;
use pullyard_protocol::pull::{LinkPullRequest, PullRequest, PullRequestPage, RevisePullRequest, UnlinkedPullRequest};
use schemars::JsonSchema;
use serde::Deserialize;

/// A page of a project's open linked pull requests.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Page {
    /// The project.
    project: ProjectId,
    /// The cursor of an earlier page.
    after: Option<String>,
}

/// One pull request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Which {
    /// The project.
    project: ProjectId,
    /// The connected repository.
    repository: RepositoryName,
    /// The number of the pull request.
    #[schemars(range(min = 1, max = PULL_REQUEST))]
    number: u64,
    /// The forge; needed only if several have a repository of that name.
    integration: Option<IntegrationId>,
}

impl Which {
    fn named<S>(self, caller: &Caller<S>) -> Result<Named, Problem> {
        caller.may_touch(&self.project)?;
        let Self { project, repository, number, integration } = self;
        if !(1..=PULL_REQUEST).contains(&number) {
            return Err(Problem::bad_parameter("number", "use 1 or more"));
        }
        Ok(Named { project, repository, number, integration })
    }
}

/// `201` for a new job, `200` for a repeat, `202` if it waits for the running job, `409` with the code of the guard.
pub(crate) async fn revise(
    State(ctx): State<Context>,
    caller: Caller<scope::Jobs>,
    Key(key): Key,
    Strict(request): Strict<RevisePullRequest>,
) -> Result<Asked<Decision>, Problem> {
    caller.may_touch(&request.project)?;
    limits::revise(&request)?;
    let RevisePullRequest { project, repository, number, integration, message } = request;
    let named = Named { project, repository, number, integration };
    let answer = review::request_revision(&ctx, &named, message, &caller.requester(), key.as_ref()).await?;
    answered(answer)
}

fn answered(answer: Answer) -> Result<Asked<Decision>, Problem> {
    match answer.reason.verdict() {
        Verdict::Accepted => Ok(Asked::Now(wire::decision(answer))),
        Verdict::Duplicate => Ok(Asked::Before(wire::decision(answer))),
        Verdict::Held => Ok(Asked::Later(wire::decision(answer))),
        _ => Err(refused(&answer.reason)),
    }
}

pub(crate) async fn link(
    State(ctx): State<Context>,
    caller: Caller<scope::Jobs>,
    Strict(request): Strict<LinkPullRequest>,
) -> Result<Json<PullRequest>, Problem> {
    caller.may_touch(&request.project)?;
    limits::link(&request)?;
    let LinkPullRequest { project, repository, number, integration, ticket } = request;
    let named = Named { project, repository, number, integration };
    review::link(&ctx, &named, &ticket).await?;
    Ok(Json(wire::pull_request(review::pull_request_view(&ctx, &named).await?)))
}

pub(crate) async fn unlink(
    State(ctx): State<Context>,
    caller: Caller<scope::Jobs>,
    Query(which): Query<Which>,
) -> Result<Json<UnlinkedPullRequest>, Problem> {
    let named = which.named(&caller)?;
    Ok(Json(UnlinkedPullRequest { ticket: review::unlink(&ctx, &named).await? }))
}

pub(crate) async fn list(
    State(ctx): State<Context>,
    caller: Caller<scope::Read>,
    Query(page): Query<Page>,
) -> Result<Json<PullRequestPage>, Problem> {
    caller.may_touch(&page.project)?;
    let (views, next) = review::pull_request_views(&ctx, &page.project, page.after.as_deref(), PAGE).await?;
    Ok(Json(PullRequestPage { pulls: views.into_iter().map(wire::pull_request).collect(), next }))
}

pub(crate) async fn why(
    State(ctx): State<Context>,
    caller: Caller<scope::Read>,
    Query(which): Query<Which>,
) -> Result<Json<PullRequest>, Problem> {
    let named = which.named(&caller)?;
    Ok(Json(wire::pull_request(review::pull_request_view(&ctx, &named).await?)))
}
