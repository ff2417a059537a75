//! Connecting forges.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use pullyard_control::{self as control, Context, Error};
use pullyard_domain::id::IntegrationId;
use pullyard_entry::{Caller, Path, Problem, Strict, scope};
use pullyard_protocol::integration::{CreateIntegration, Integration};

fn shown(integration: pullyard_domain::project::Integration) -> Json<Integration> {
    Json(Integration {
        id: integration.id,
        kind: integration.kind,
        api_url: integration.api_url,
        token_secret: integration.token_secret,
        account: integration.account,
    })
}

/// A connected forge. It belongs to all projects.
pub(crate) async fn show(
    State(ctx): State<Context>,
    caller: Caller<scope::Read>,
    Path(integration): Path<IntegrationId>,
) -> Result<Json<Integration>, Problem> {
    caller.may_touch_all()?;
    let found = ctx.store.integration(&integration).await.map_err(Error::from)?;
    Ok(shown(found.ok_or_else(|| Problem::not_found(format!("There is no integration {integration}.")))?))
}

/// Connects a forge, after asking it who the token belongs to.
pub(crate) async fn create(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Strict(new): Strict<CreateIntegration>,
) -> Result<(StatusCode, Json<Integration>), Problem> {
    caller.may_touch_all()?;
    let made = control::connect_forge(&ctx, new.id, new.kind, &new.api_url, new.token_secret).await?;
    Ok((StatusCode::CREATED, shown(made)))
}
