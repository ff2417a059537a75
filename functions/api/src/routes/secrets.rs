//! Secrets that people set. Nothing here answers a value.

use super::page::After;
use axum::Json;
use axum::extract::State;
use pullyard_control::{self as control, Context, UserSecret};
use pullyard_domain::id::SecretName;
use pullyard_entry::{Caller, Path, Problem, Query, Strict, scope};
use pullyard_protocol::secret::{Secret, SecretPage, SetSecret};

fn shown(UserSecret { name, secret, set_at }: UserSecret) -> Secret {
    Secret { name, secret, set_at }
}

/// Sets a secret, whether or not it was set before.
pub(crate) async fn set(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Path(name): Path<SecretName>,
    Strict(secret): Strict<SetSecret>,
) -> Result<Json<Secret>, Problem> {
    caller.may_touch_all()?;
    Ok(Json(shown(control::set_secret(&ctx, &name, &secret.value).await?)))
}

/// The secrets that people set, without their values.
pub(crate) async fn list(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Query(After { after }): Query<After>,
) -> Result<Json<SecretPage>, Problem> {
    caller.may_touch_all()?;
    let (secrets, next) = control::secrets(&ctx, after.as_deref()).await?;
    Ok(Json(SecretPage { secrets: secrets.into_iter().map(shown).collect(), next }))
}
