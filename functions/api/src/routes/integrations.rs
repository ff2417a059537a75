//! Manages connected forges, which belong to all projects.

use crate::routes::prelude::*;
use pullyard_control::TestSummary;
use pullyard_domain::text::id::IntegrationId;
use pullyard_entry::openapi::CreatedResponse;
use pullyard_protocol::integration::{
    CreateIntegration, Integration, IntegrationPage, IntegrationTest, RemovedIntegration, SetIntegrationProjects,
};

pub(crate) async fn show(
    caller: Caller<scope::ReadAllProjects>,
    Path(integration): Path<IntegrationId>,
) -> Result<Json<Integration>, Problem> {
    let stored = caller.ctx.store.load_integration(&integration).await?;
    Ok(Json(stored.ok_or_else(|| Problem::not_found(format!("There is no integration {integration}.")))?))
}

pub(crate) async fn list(
    caller: Caller<scope::ReadAllProjects>,
    Query(CursorQuery { after }): Query<CursorQuery>,
) -> Result<Json<IntegrationPage>, Problem> {
    let (ids, next) = caller.ctx.store.list_integration_ids(after.as_deref(), PAGE_SIZE).await?;
    let mut integrations = Vec::with_capacity(ids.len());
    for id in &ids {
        integrations.extend(caller.ctx.store.load_integration(id).await?);
    }
    Ok(Json(IntegrationPage { integrations, next }))
}

pub(crate) async fn test(
    caller: Caller<scope::AdminAllProjects>,
    Path(integration): Path<IntegrationId>,
) -> Result<Json<IntegrationTest>, Problem> {
    let result = control::test_integration(&caller.ctx, &integration).await?;
    let TestSummary { works, sentence, help } = result.summarize(&integration);
    Ok(Json(IntegrationTest { works, sentence, help }))
}

pub(crate) async fn set_projects(
    caller: Caller<scope::AdminAllProjects>,
    Path(integration): Path<IntegrationId>,
    StrictJson(SetIntegrationProjects { projects }): StrictJson<SetIntegrationProjects>,
) -> Result<Json<Integration>, Problem> {
    Ok(Json(control::set_integration_projects(&caller.ctx, &integration, projects.as_ref()).await?))
}

pub(crate) async fn remove(
    caller: Caller<scope::AdminAllProjects>,
    Path(integration): Path<IntegrationId>,
) -> Result<Json<RemovedIntegration>, Problem> {
    let removed = control::remove_integration(&caller.ctx, &integration).await?;
    let secrets = removed.auth.secrets().into_iter().map(str::to_owned).collect();
    Ok(Json(RemovedIntegration { id: removed.id, secrets }))
}

pub(crate) async fn create(
    caller: Caller<scope::AdminAllProjects>,
    StrictJson(new): StrictJson<CreateIntegration>,
) -> Result<CreatedResponse<Integration>, Problem> {
    let CreateIntegration { id, kind, api_url, token_secret } = new;
    Ok(CreatedResponse(control::connect_forge(&caller.ctx, id, kind, &api_url, token_secret).await?))
}
