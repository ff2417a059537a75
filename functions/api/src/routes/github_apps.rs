//! Connects existing GitHub Apps.

use crate::routes::prelude::*;
use pullyard_control::ExistingApp;
use pullyard_entry::openapi::CreatedResponse;
use pullyard_protocol::integration::{ConnectGitHubApp, Integration};

pub(crate) async fn connect(
    caller: Caller<scope::AdminAllProjects>,
    StrictJson(new): StrictJson<ConnectGitHubApp>,
) -> Result<CreatedResponse<Integration>, Problem> {
    let ConnectGitHubApp { id, api_url, app_id, key_secret, webhook_secret } = new;
    let existing = ExistingApp { app_id, key_secret, webhook_secret };
    Ok(CreatedResponse(control::connect_github_app(&caller.ctx, id, &api_url, existing).await?))
}
