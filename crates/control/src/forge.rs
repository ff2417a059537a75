//! Creates forge clients with a stored token or an App's token. `attempt::issue_credentials` mints tokens of attempts.

use crate::allowed_names::check_integration_use;
use crate::{Context, Error};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::{Account, Auth, ForgeKind, Integration};
use pullyard_domain::project::hook::{Webhook, WebhookScope};
use pullyard_domain::project::secret::token_fault;
use pullyard_domain::text::id::RepositoryName;
use pullyard_forge::features::WorkflowPolicy;
use pullyard_forge::{
    Endpoint, Forge, GitHub, GitHubApp, InstallationToken, Permissions, RepositorySelector, Token, attempt_permissions,
    control_permissions, missing_permissions,
};
use std::time::Duration;

/// Errors: `NotListed` if the integration lists other projects than the repository's.
pub(crate) async fn forge_client(
    ctx: &Context,
    integration: &Integration,
    repository: &Repository,
) -> Result<Forge, Error> {
    check_integration_use(integration, &repository.project)?;
    let token = match &integration.auth {
        Auth::Token { secret } => load_token(ctx, secret).await?,
        Auth::App { .. } => {
            let selector = RepositorySelector::Id(repository.id);
            let mint = async || {
                mint_installation_token(ctx, integration, &repository.name, selector, control_permissions).await
            };
            let key = (integration.id.clone(), integration.auth.issuer(), repository.id);
            ctx.forge_tokens.get(key, &ctx.clock, mint).await?
        }
    };
    client(ctx, integration.kind, &integration.api_url, token)
}

/// With an App, the token may push, unlike the control plane's own one. It is used for one merge.
pub(crate) async fn merging_client(
    ctx: &Context,
    integration: &Integration,
    repository: &Repository,
) -> Result<Forge, Error> {
    if let Auth::Token { .. } = &integration.auth {
        return forge_client(ctx, integration, repository).await;
    }
    check_integration_use(integration, &repository.project)?;
    let workflows = if repository.workflows { WorkflowPolicy::Allow } else { WorkflowPolicy::Forbid };
    let selector = RepositorySelector::Id(repository.id);
    let permissions = |_: &Permissions| attempt_permissions(workflows);
    let token = mint_installation_token(ctx, integration, &repository.name, selector, permissions).await?.token;
    client(ctx, integration.kind, &integration.api_url, token)
}

pub(crate) async fn forge_client_by_name(
    ctx: &Context,
    integration: &Integration,
    repository: &RepositoryName,
) -> Result<Forge, Error> {
    let token = match &integration.auth {
        Auth::Token { secret } => load_token(ctx, secret).await?,
        Auth::App { .. } => {
            let selector = RepositorySelector::Name(repository.as_str());
            mint_installation_token(ctx, integration, repository, selector, control_permissions).await?.token
        }
    };
    client(ctx, integration.kind, &integration.api_url, token)
}

pub(crate) async fn forge_client_with_secret(
    ctx: &Context,
    kind: ForgeKind,
    api_url: &str,
    token_secret: &str,
) -> Result<Forge, Error> {
    client(ctx, kind, api_url, load_token(ctx, token_secret).await?)
}

/// Returns the token's account, or a placeholder for a token that may not read its account.
pub(crate) async fn get_account(kind: ForgeKind, forge: &Forge) -> Result<Account, Error> {
    match forge.account().await {
        Ok(account) => Ok(Account { id: account.id, login: account.login }),
        Err(pullyard_forge::Error::Forbidden { .. }) if kind.spec().hides_accounts => Ok(Account::unknown()),
        Err(error) => Err(error.into()),
    }
}

/// Errors: `Invalid` for an organization's hook with an App, or an App's hook without an App.
pub(crate) async fn forge_client_for_hook(
    ctx: &Context,
    integration: &Integration,
    hook: &Webhook,
) -> Result<Forge, Error> {
    if !hook.is_shared() {
        check_integration_use(integration, &hook.home)?;
    }
    match (&integration.auth, &hook.kind) {
        (_, WebhookScope::App {}) => match app_client(ctx, integration).await? {
            Some(app) => Ok(Forge::GitHub(GitHub::as_app(&app)?)),
            None => Err(Error::Invalid {
                pointer: "/integration",
                fault: format!("{} uses a token, which can't change an App's webhook", integration.id),
            }),
        },
        (Auth::Token { secret }, _) => {
            forge_client_with_secret(ctx, integration.kind, &integration.api_url, secret).await
        }
        (Auth::App { .. }, WebhookScope::Repository { name, id }) => {
            match ctx.store.load_repository(&hook.home, &hook.integration, *id).await? {
                Some(repository) => forge_client(ctx, integration, &repository).await,
                None => forge_client_by_name(ctx, integration, name).await,
            }
        }
        (Auth::App { .. }, WebhookScope::Organisation { .. }) => Err(Error::Invalid {
            pointer: "/integration",
            fault: "an App can't change an organization's webhook; it has its own for all installations".into(),
        }),
    }
}

pub(crate) async fn app_client(ctx: &Context, integration: &Integration) -> Result<Option<GitHubApp>, Error> {
    match (&integration.auth, integration.auth.issuer()) {
        (Auth::App { key_secret, .. }, Some(issuer)) => {
            let key = ctx.secrets.get(key_secret).await?;
            Ok(Some(GitHubApp::new(endpoint(ctx, &integration.api_url), issuer, &key)?))
        }
        _ => Ok(None),
    }
}

/// Mints an installation token for one repository. `select_permissions` derives its permissions from the granted ones.
/// Errors: `Forge`, with `Forbidden` if a wanted permission was not granted or the installation is suspended.
pub(crate) async fn mint_installation_token(
    ctx: &Context,
    integration: &Integration,
    name: &RepositoryName,
    selector: RepositorySelector<'_>,
    select_permissions: impl FnOnce(&Permissions) -> Permissions,
) -> Result<InstallationToken, Error> {
    let Some(app) = app_client(ctx, integration).await? else {
        return Err(Error::Inconsistent(format!("{} is not an App and can't mint tokens", integration.id)));
    };
    let installation = app.get_installation(name.as_str()).await?;
    let forbidden = |resource: String, message: &str| {
        Error::Forge(pullyard_forge::Error::Forbidden { resource, message: message.to_owned() })
    };
    if installation.suspended {
        return Err(forbidden(name.to_string(), "the App's installation is suspended"));
    }
    let requested = select_permissions(&installation.permissions);
    let missing = missing_permissions(&installation.permissions, &requested);
    if !missing.is_empty() {
        let permissions = format!("{} on {name}", missing.join(", "));
        return Err(forbidden(permissions, "the App's installation was not granted it"));
    }
    Ok(app.installation_token(installation.id, selector, &requested).await?)
}

pub(crate) fn timeout_error(integration: &Integration, within: Duration) -> Error {
    let reason = format!("no response within {} s", within.as_secs());
    Error::Forge(pullyard_forge::Error::Unreachable { host: integration.api_url.clone(), reason })
}

pub(crate) fn endpoint(ctx: &Context, api_url: &str) -> Endpoint {
    Endpoint { api_url: api_url.to_owned(), connections: ctx.forges.clone() }
}

async fn load_token(ctx: &Context, secret: &str) -> Result<Token, Error> {
    let to_error = |reason| Error::Forge(pullyard_forge::Error::Settings { reason });
    load_token_or_flaw(ctx, secret).await?.map_err(to_error)
}

/// Reads the token in a secret. The inner error explains an invalid value without quoting it.
pub(crate) async fn load_token_or_flaw(ctx: &Context, secret: &str) -> Result<Result<Token, String>, Error> {
    let value = ctx.secrets.get(secret).await?;
    Ok(match token_fault(&value) {
        None => Ok(Token::new(value.as_ref())),
        Some(flaw) => Err(format!("the value of {secret} {flaw}")),
    })
}

fn client(ctx: &Context, kind: ForgeKind, api_url: &str, token: Token) -> Result<Forge, Error> {
    Ok(Forge::connect(kind, endpoint(ctx, api_url), token)?)
}
