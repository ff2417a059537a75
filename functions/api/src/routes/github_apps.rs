//! Connects GitHub Apps.

use super::integrations::to_wire;
use crate::routes::prelude::*;
use pullyard_control::ExistingApp;
use pullyard_entry::openapi::CreatedResponse;
use pullyard_protocol::integration::{ConnectGitHubApp, CreateGitHubApp, Integration};

pub(crate) async fn create(
    caller: Caller<scope::AdminAllProjects>,
    StrictJson(new): StrictJson<CreateGitHubApp>,
) -> Result<CreatedResponse<Integration>, Problem> {
    let app = control::create_github_app(&caller.ctx, new.id, &new.api_url, &new.code).await?;
    Ok(CreatedResponse(to_wire(app).0))
}

pub(crate) async fn connect(
    caller: Caller<scope::AdminAllProjects>,
    StrictJson(new): StrictJson<ConnectGitHubApp>,
) -> Result<CreatedResponse<Integration>, Problem> {
    let ConnectGitHubApp { id, api_url, app_id, key_secret, webhook_secret } = new;
    let existing = ExistingApp { app_id, key_secret, webhook_secret };
    Ok(CreatedResponse(to_wire(control::connect_github_app(&caller.ctx, id, &api_url, existing).await?).0))
}
