//! Manages the endpoints of notifications, and lists and repeats notices.

use crate::routes::prelude::*;
use pullyard_control::{EndpointView, NewEndpoint};
use pullyard_domain::id::EndpointId;
use pullyard_protocol::notification::{
    EndpointList, EndpointStatus, EndpointTest, Notice, NoticePage, PutEndpoint, RedeliverNotice,
};

type EndpointPath = Path<(ProjectId, EndpointId)>;

fn to_wire(EndpointView { endpoint, state }: EndpointView, secret: Option<String>) -> EndpointStatus {
    EndpointStatus::new(endpoint, state, secret)
}

pub(crate) async fn list(
    ProjectCaller { caller, project }: ProjectCaller<scope::Read>,
) -> Result<Json<EndpointList>, Problem> {
    let endpoints = control::list_endpoints(&caller.ctx, &project).await?;
    Ok(Json(EndpointList { endpoints: endpoints.into_iter().map(|view| to_wire(view, None)).collect() }))
}

pub(crate) async fn put(
    ProjectCaller { caller, .. }: ProjectCaller<scope::Admin>,
    Path((project, endpoint)): EndpointPath,
    StrictJson(PutEndpoint { kind, url, url_secret, events }): StrictJson<PutEndpoint>,
) -> Result<Json<EndpointStatus>, Problem> {
    let new = NewEndpoint { kind, url, url_secret, events };
    let (view, secret) = control::put_endpoint(&caller.ctx, &project, &endpoint, new).await?;
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
    let control::EndpointTest { works, answer, took } =
        control::test_endpoint(&caller.ctx, &project, &endpoint).await?;
    Ok(Json(EndpointTest { works, answer, took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX) }))
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
    let list = control::list_notices(&caller.ctx, &project, failed, after.as_deref()).await?;
    Ok(Json(NoticePage { notices: list.notices.into_iter().map(Notice::from).collect(), next: list.next }))
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
