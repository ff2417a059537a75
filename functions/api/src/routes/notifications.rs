//! Manages the endpoints of notifications, and lists and repeats notices.

use crate::routes::prelude::*;
use pullyard_domain::run::notice::{Endpoint, EndpointState};
use pullyard_domain::text::id::EndpointId;
use pullyard_protocol::notification::{
    EndpointList, EndpointStatus, EndpointTest, Notice, NoticePage, PutEndpoint, RedeliverNotice,
};

type EndpointPath = Path<(ProjectId, EndpointId)>;

fn to_wire((endpoint, state): (Endpoint, EndpointState), signing_secret: Option<String>) -> EndpointStatus {
    let (disabled, problem) = (state.disabled.is_some(), state.problem().map(str::to_owned));
    EndpointStatus { endpoint, sent_at: state.sent_at, disabled, problem, signing_secret }
}

pub(crate) async fn list(
    ProjectCaller { caller, project }: ProjectCaller<scope::Read>,
) -> Result<Json<EndpointList>, Problem> {
    let endpoints = control::list_endpoints(&caller.ctx, &project).await?;
    Ok(Json(EndpointList { endpoints: endpoints.into_iter().map(|view| to_wire(view, None)).collect() }))
}

pub(crate) async fn put(
    ProjectCaller { caller, .. }: ProjectCaller<scope::Admin>,
    Path((project, id)): EndpointPath,
    StrictJson(PutEndpoint { kind, url, url_secret, events }): StrictJson<PutEndpoint>,
) -> Result<Json<EndpointStatus>, Problem> {
    let events = events.map(|events| events.iter().map(|event| event.as_str().to_owned()).collect());
    let endpoint = Endpoint { id, kind, url, url_secret, secret: None, events };
    let (view, secret) = control::put_endpoint(&caller.ctx, caller.change_of(&project), endpoint).await?;
    Ok(Json(to_wire(view, secret.map(|secret| secret.expose()))))
}

pub(crate) async fn delete(
    ProjectCaller { caller, .. }: ProjectCaller<scope::Admin>,
    Path((project, endpoint)): EndpointPath,
) -> Result<Json<EndpointStatus>, Problem> {
    Ok(Json(to_wire(control::delete_endpoint(&caller.ctx, &project, &endpoint).await?, None)))
}

pub(crate) async fn test(
    ProjectCaller { caller, .. }: ProjectCaller<scope::Admin>,
    Path((project, endpoint)): EndpointPath,
) -> Result<Json<EndpointTest>, Problem> {
    let (works, answer) = control::test_endpoint(&caller.ctx, &project, &endpoint).await?;
    Ok(Json(EndpointTest { works, answer }))
}

pub(crate) async fn enable(
    ProjectCaller { caller, .. }: ProjectCaller<scope::Admin>,
    Path((project, endpoint)): EndpointPath,
) -> Result<Json<EndpointStatus>, Problem> {
    Ok(Json(to_wire(control::enable_endpoint(&caller.ctx, &project, &endpoint).await?, None)))
}

/// A page of notices.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct NoticeQuery {
    /// The project.
    project: ProjectId,
    /// Only notices that did not reach an endpoint.
    #[serde(default)]
    failed: bool,
    /// The cursor of an earlier page.
    after: Option<String>,
}

pub(crate) async fn notices(
    caller: Caller<scope::Read>,
    Query(NoticeQuery { project, failed, after }): Query<NoticeQuery>,
) -> Result<Json<NoticePage>, Problem> {
    caller.authorize_project(&project)?;
    let (notices, next) = control::list_notices(&caller.ctx, &project, failed, after.as_deref()).await?;
    Ok(Json(NoticePage { notices: notices.into_iter().map(Notice::from).collect(), next }))
}

pub(crate) async fn redeliver(
    caller: Caller<scope::Admin>,
    StrictJson(RedeliverNotice { notice }): StrictJson<RedeliverNotice>,
) -> Result<Json<Notice>, Problem> {
    // Another project's notice counts as missing.
    let stored = caller.ctx.store.load_notice(&notice).await?;
    stored
        .filter(|stored| caller.authorize_project(&stored.data.project).is_ok())
        .ok_or_else(|| Problem::not_found(format!("There is no notice {notice}.")))?;
    Ok(Json(control::redeliver_notice(&caller.ctx, &notice).await?.into()))
}
