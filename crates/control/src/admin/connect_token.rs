//! Connects a new forge with a token or an App's key that the user enters together with the address.

use crate::admin::connect_app::{ExistingApp, connect_github_app};
use crate::admin::projects::{connect_forge, parse_api_url};
use crate::admin::secrets::set_secret;
use crate::{Context, Error};
use pullyard_domain::id::{IntegrationId, SecretName};
use pullyard_domain::project::{ForgeKind, Integration};
use pullyard_domain::secret::{SecretKind, token_fault};

/// Stores the token as the secret `forge-ID`, then connects the forge.
///
/// Writes: a secret, INTEGRATION if absent. Until the forge is connected, a repeat replaces the secret.
/// Errors: those of [`connect_forge`]; `NameTaken` if the integration exists, whose token then stays.
pub async fn connect_forge_with_token(
    ctx: &Context,
    id: IntegrationId,
    kind: ForgeKind,
    api_url: &str,
    token: &str,
) -> Result<Integration, Error> {
    check_new(ctx, &id, api_url).await?;
    if let Some(fault) = token_fault(token) {
        return Err(Error::Invalid { pointer: "/token", fault: format!("the token {fault}") });
    }
    let secret = store(ctx, &id, "", token).await?;
    connect_forge(ctx, id, kind, api_url, secret).await
}

/// The values of an existing App, so it has no `Debug`.
pub struct AppSecrets {
    pub app_id: u64,
    /// PEM.
    pub key: String,
    pub webhook_secret: String,
}

/// Stores the secrets of an existing App as `forge-ID-key` and `forge-ID-webhook`, then connects it.
///
/// Writes and errors: as [`connect_forge_with_token`].
pub async fn connect_github_app_with_key(
    ctx: &Context,
    id: IntegrationId,
    api_url: &str,
    app: AppSecrets,
) -> Result<Integration, Error> {
    check_new(ctx, &id, api_url).await?;
    let key_secret = store(ctx, &id, "-key", &app.key).await?;
    let webhook_secret = store(ctx, &id, "-webhook", &app.webhook_secret).await?;
    let app = ExistingApp { app_id: app.app_id, key_secret, webhook_secret };
    connect_github_app(ctx, id, api_url, app).await
}

/// Checks before the secret is stored: a connected forge uses the secret of the same name.
async fn check_new(ctx: &Context, id: &IntegrationId, api_url: &str) -> Result<(), Error> {
    parse_api_url(api_url)?;
    match ctx.store.load_integration(id).await? {
        Some(_) => Err(Error::NameTaken { what: "integration", name: id.to_string() }),
        None => Ok(()),
    }
}

/// The secret's name contains the integration's, so no other forge's secret is replaced.
async fn store(ctx: &Context, id: &IntegrationId, part: &str, value: &str) -> Result<String, Error> {
    let name = SecretName::new(format!("forge-{id}{part}")).map_err(|bad| Error::Inconsistent(bad.to_string()))?;
    Ok(set_secret(ctx, SecretKind::Forge, &name, value).await?.secret)
}
