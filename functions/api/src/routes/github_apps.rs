//! Connects GitHub Apps.

use super::integrations::shown;
use axum::extract::State;
use pullyard_control::{self as control, Context, ExistingApp};
use pullyard_entry::openapi::Created;
use pullyard_entry::{Caller, Problem, Strict, scope};
use pullyard_protocol::integration::{ConnectGitHubApp, Integration, MakeGitHubApp};

pub(crate) async fn make(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Strict(new): Strict<MakeGitHubApp>,
) -> Result<Created<Integration>, Problem> {
    caller.may_touch_all()?;
    let made = control::make_app(&ctx, new.id, &new.api_url, &new.code).await?;
    Ok(Created(shown(made).0))
}

pub(crate) async fn connect(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Strict(new): Strict<ConnectGitHubApp>,
) -> Result<Created<Integration>, Problem> {
    caller.may_touch_all()?;
    let ConnectGitHubApp { id, api_url, app_id, key_secret, webhook_secret } = new;
    let existing = ExistingApp { app_id, key_secret, webhook_secret };
    Ok(Created(shown(control::connect_app(&ctx, id, &api_url, existing).await?).0))
}
