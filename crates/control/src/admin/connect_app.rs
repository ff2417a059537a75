//! Connects a forge as a GitHub App: a new one from a manifest, or an existing one.

use crate::admin::projects::{check_former_name, check_new_integration, parse_api_url};
use crate::admin::secrets::{check_secret_kind, set_secret};
use crate::forge::endpoint;
use crate::{Context, Error};
use pullyard_domain::project::forge::{Account, Auth, ForgeKind, Integration};
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::text::id::{IntegrationId, SecretName};
use pullyard_forge::{GitHubApp, convert_manifest};
use pullyard_store::Write;

#[derive(Clone, Debug)]
pub struct ExistingApp {
    pub app_id: u64,
    pub key_secret: String,
    pub webhook_secret: String,
}

/// Creates a GitHub App from a manifest's code, and connects it.
/// Writes: two secrets named by the App, first, because GitHub shows them only once; INTEGRATION, if absent.
/// Not repeatable: the code works once. After a later failure call [`connect_github_app`] with the stored key.
/// Errors: `Forge`; `NameTaken`; `Invalid` for an App without a webhook secret, or another forge's former name.
pub async fn create_github_app(
    ctx: &Context,
    id: IntegrationId,
    api_url: &str,
    code: &str,
) -> Result<Integration, Error> {
    let api_url = parse_api_url(api_url)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if code.is_empty() || code.len() > 200 || !code.bytes().all(is_plain) {
        return Err(Error::Invalid { pointer: "/code", fault: "this is not a manifest code".into() });
    }
    // Check the name while the code is unused, so that the user can still choose another name.
    check_new_integration(ctx, &id, &api_url).await?;
    let app = convert_manifest(&endpoint(ctx, &api_url), code).await?;
    let (app_id, page) = (app.id, &app.html_url);
    // A secret's name contains the App's id, so no other App's key is replaced.
    let secret_name = |suffix: &str| SecretName::new(format!("github-app-{app_id}-{suffix}"));
    let key = set_secret(ctx, SecretKind::Forge, &secret_name("key")?, &app.pem).await?;
    let Some(webhook_secret) = app.webhook_secret else {
        tracing::warn!(app = app_id, "GitHub created an App without a webhook secret");
        let fault = format!(
            "GitHub created the App {app_id} without a webhook secret; set one at {page}, then connect the App with \
             its key, stored as {}",
            key.secret
        );
        return Err(Error::Invalid { pointer: "/code", fault });
    };
    let webhook = set_secret(ctx, SecretKind::Forge, &secret_name("webhook")?, &webhook_secret).await?;
    let existing = ExistingApp { app_id, key_secret: key.secret, webhook_secret: webhook.secret };
    connect_github_app(ctx, id, &api_url, existing).await
}

/// Idempotent: connecting the same integration again returns it.
/// Errors: `Forge`; `Cloud` with `NoSecret`; `NameTaken`; `Invalid` for another App's key or a forge's former name.
pub async fn connect_github_app(
    ctx: &Context,
    id: IntegrationId,
    api_url: &str,
    existing: ExistingApp,
) -> Result<Integration, Error> {
    let api_url = parse_api_url(api_url)?;
    let ExistingApp { app_id, key_secret, webhook_secret } = existing;
    for (secret, pointer) in [(&key_secret, "/key_secret"), (&webhook_secret, "/webhook_secret")] {
        check_secret_kind(ctx, SecretKind::Forge, secret, pointer)?;
    }
    if let Some(stored) = ctx.store.load_integration(&id).await?
        && !matches!(stored.auth, Auth::App { app_id: existing_id, .. } if existing_id == app_id)
    {
        return Err(Error::NameTaken { resource: "integration", name: id.to_string() });
    }
    check_former_name(ctx, &id, &api_url).await?;
    let (key, _) = tokio::try_join!(ctx.secrets.get(&key_secret), ctx.secrets.get(&webhook_secret))?;
    let github = GitHubApp::new(endpoint(ctx, &api_url), app_id.to_string(), &key)?;
    let app = github.app().await?;
    if app.id != app_id {
        return Err(Error::Invalid { pointer: "/app_id", fault: format!("the key belongs to the App {}", app.id) });
    }
    let bot = github.bot_account(&app.slug).await?;
    let integration = Integration {
        id,
        kind: ForgeKind::GitHub,
        api_url,
        auth: Auth::App { app_id, client_id: app.client_id, slug: app.slug, key_secret, webhook_secret },
        account: Account { id: bot.id, login: bot.login },
        projects: None,
    };
    if ctx.store.put_integration(&integration).await? == Write::Applied {
        return Ok(integration);
    }
    match ctx.store.load_integration(&integration.id).await? {
        Some(stored) if stored == (Integration { projects: stored.projects.clone(), ..integration.clone() }) => {
            Ok(stored)
        }
        _ => Err(Error::NameTaken { resource: "integration", name: integration.id.to_string() }),
    }
}
