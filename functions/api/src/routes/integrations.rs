//! Connecting forges.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use pullyard_control::{self as control, Context};
use pullyard_entry::{Caller, Problem, Strict, scope};
use pullyard_protocol::integration::{CreateIntegration, Integration};

/// Connects a forge, after asking it who the token belongs to.
pub(crate) async fn create(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Strict(new): Strict<CreateIntegration>,
) -> Result<(StatusCode, Json<Integration>), Problem> {
    caller.may_touch_all()?;
    let made = control::connect_forge(&ctx, new.id, new.kind, &new.api_url, new.token_secret).await?;
    let shown = Integration {
        id: made.id,
        kind: made.kind,
        api_url: made.api_url,
        token_secret: made.token_secret,
        account: made.account,
    };
    Ok((StatusCode::CREATED, Json(shown)))
}
