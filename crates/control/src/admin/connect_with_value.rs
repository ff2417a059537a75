//! Connects a forge with a token or key that a user typed, and stores it in a secret named after the integration.

use crate::admin::connect_app::{ExistingApp, connect_github_app};
use crate::admin::projects::{check_new_integration, connect_forge, parse_api_url};
use crate::admin::secrets::{generate_secret_value, set_secret};
use crate::{Context, Error};
use pullyard_domain::project::forge::{Auth, ForgeKind, Integration};
use pullyard_domain::project::secret::{SecretKind, token_fault};
use pullyard_domain::text::id::{IntegrationId, InvalidId, SecretName};

/// Stores the token, then connects its forge.
/// Writes: the secret `integration-ID-token`; INTEGRATION, if absent.
/// Idempotent until the forge is connected; then its token is replaced as a secret only.
/// Errors: `NameTaken`, before the forge's secret is replaced; `Invalid`, with `/token` if it is no token; `Forge`.
pub async fn connect_forge_with_token(
    ctx: &Context,
    id: IntegrationId,
    kind: ForgeKind,
    api_url: &str,
    token: &str,
) -> Result<Integration, Error> {
    let api_url = parse_api_url(api_url)?;
    check_new_integration(ctx, &id, &api_url).await?;
    check_token("/token", token)?;
    let secret = set_secret(ctx, SecretKind::Forge, &secret_name(&id, "token")?, token).await?;
    connect_forge(ctx, id, kind, &api_url, secret.secret).await
}

/// Stores the private key of an existing App, then connects the App. Its webhook secret is random; installing the App's
/// webhook sends it to GitHub.
/// Writes: the secrets `integration-ID-key` and `integration-ID-webhook`; INTEGRATION, if absent.
/// Idempotent until the App is connected.
/// Errors: `NameTaken`, before the connected App's secrets are replaced; `Invalid`; `Forge`.
pub async fn connect_github_app_with_key(
    ctx: &Context,
    id: IntegrationId,
    api_url: &str,
    app_id: u64,
    key: &str,
) -> Result<Integration, Error> {
    let api_url = parse_api_url(api_url)?;
    check_new_integration(ctx, &id, &api_url).await?;
    check_key("/key", key)?;
    let key = set_secret(ctx, SecretKind::Forge, &secret_name(&id, "key")?, key).await?;
    let random = generate_secret_value();
    let webhook = set_secret(ctx, SecretKind::Forge, &secret_name(&id, "webhook")?, &random).await?;
    let app = ExistingApp { app_id, key_secret: key.secret, webhook_secret: webhook.secret };
    connect_github_app(ctx, id, &api_url, app).await
}

/// Replaces the token, or the private key of an App, in the secret of a connected forge.
/// Idempotent: by the value.
/// Errors: `NotFound`; `Invalid` with `/value`; `Cloud`.
pub async fn replace_credential(ctx: &Context, id: &IntegrationId, value: &str) -> Result<(), Error> {
    let integration = ctx.load_integration(id).await?;
    let secret = match &integration.auth {
        Auth::Token { secret } => {
            check_token("/value", value)?;
            secret
        }
        Auth::App { key_secret, .. } => {
            check_key("/value", value)?;
            key_secret
        }
    };
    let name = SecretName::new(secret.rsplit('/').next().unwrap_or_default())?;
    set_secret(ctx, SecretKind::Forge, &name, value).await.map(drop)
}

fn check_token(pointer: &'static str, token: &str) -> Result<(), Error> {
    match token_fault(token) {
        Some(flaw) => Err(Error::Invalid { pointer, fault: format!("the token {flaw}") }),
        None => Ok(()),
    }
}

fn check_key(pointer: &'static str, key: &str) -> Result<(), Error> {
    if key.contains("PRIVATE KEY-----") {
        return Ok(());
    }
    Err(Error::Invalid { pointer, fault: "use the whole .pem file that GitHub created".into() })
}

fn secret_name(id: &IntegrationId, part: &str) -> Result<SecretName, InvalidId> {
    SecretName::new(format!("integration-{id}-{part}"))
}
