//! Installs and removes a hook, in the table and at its forge.

use super::app;
use crate::admin::secrets::{generate_secret_value, put_value};
use crate::allowed_names::check_repository_name;
use crate::forge::{forge_client_by_name, forge_client_for_hook};
use crate::{Context, Error};
use pullyard_domain::project::forge::{Auth, ForgeKind, Integration};
use pullyard_domain::project::hook::{Webhook, WebhookScope, app_webhook_refusal, secret_fault};
use pullyard_domain::project::naming::ProjectChange;
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::project::template::TemplateId;
use pullyard_domain::text::id::{HookName, IntegrationId, ProjectId, RepositoryName, SecretName, TemplateName};
use pullyard_forge::Error::NotFound;
use pullyard_forge::webhook::Secret;
use pullyard_forge::{Forge, HookScope, HookSettings};
use pullyard_store::Write;
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Repository(RepositoryName),
    Organisation(String),
    App,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHook {
    pub name: HookName,
    pub integration: IntegrationId,
    pub main_project: ProjectId,
    pub target: Target,
    /// The webhook function's address as the forge reaches it.
    pub base_url: String,
    /// Only the table is written, because a user creates the hook at the forge.
    pub is_manual: bool,
    /// The template of the project that its deliveries start.
    pub template: Option<TemplateName>,
}

/// Installs a hook: stores it, then creates it at the forge, or updates an existing one with the same address.
/// Idempotent: by name; a repeat repairs differences at the forge. A stale concurrent install updates the forge again.
/// Errors: `NotFound` (project, integration); `Forge`; `Contended`; `NameTaken` if the name belongs to another hook;
/// `Invalid` for an App's hook at a forge without Apps, or a secret that the forge does not accept; `NotListed`.
/// `caller`: the projects of the caller's token; `None` means all.
pub async fn install_hook(
    ctx: &Context,
    new: &NewHook,
    caller: Option<&BTreeSet<ProjectId>>,
) -> Result<Webhook, Error> {
    ctx.load_project(&new.main_project).await?;
    let base_url = parse_base_url(&new.base_url)?;
    let integration = ctx.load_integration(&new.integration).await?;
    if let Target::Repository(name) = &new.target {
        let change = ProjectChange { project: &new.main_project, caller };
        check_repository_name(ctx, change, &integration, name).await?;
    }
    check_template(ctx, new, &integration).await?;
    let scope = load_scope(ctx, &integration, &new.target).await?;
    let mut rounds = ctx.retries(&new.name);
    loop {
        let existing = ctx.store.load_hook(&new.name).await?;
        let mut hook = match &existing {
            Some(hook)
                if hook.integration != new.integration
                    || hook.template != new.template
                    || !is_same_target(&hook.kind, &scope) =>
            {
                return Err(Error::NameTaken { resource: "hook", name: new.name.to_string() });
            }
            Some(hook) => hook.clone(),
            None => new_hook(ctx, new, scope.clone(), &integration)?,
        };
        hook.home = new.main_project.clone();
        hook.base_url = Some(base_url.clone());
        hook.kind = scope.clone();
        hook.forge = integration.kind;
        ensure_secret(ctx, &hook).await?;
        if existing.as_ref() != Some(&hook) {
            if ctx.store.put_hook(&hook).await? == Write::Stale {
                rounds.backoff().await?;
                continue;
            }
            hook.rev += 1;
        }
        if new.is_manual {
            return Ok(hook);
        }
        hook.forge_id = sync_forge_hook(ctx, &integration, &hook).await?;
        // Write even if unchanged: a concurrent install is then stale and updates the forge again.
        if ctx.store.put_hook(&hook).await? == Write::Applied {
            tracing::info!(hook = %hook.name, of = hook.kind.label(), "hook installed");
            // The forge has the present secret now, which ends the report of another one.
            if existing.is_some() {
                ctx.store.update_hook_repaired_at(&hook, ctx.clock.now()).await?;
            }
            hook.rev += 1;
            return Ok(hook);
        }
        rounds.backoff().await?;
    }
}

/// Errors: `Invalid` for a template that no delivery can start.
async fn check_template(ctx: &Context, new: &NewHook, integration: &Integration) -> Result<(), Error> {
    let Some(name) = &new.template else { return Ok(()) };
    let id = TemplateId { project: new.main_project.clone(), name: name.clone() };
    let fault = match ctx.store.load_template(&id).await? {
        _ if integration.kind.spec().hook.start_events.is_empty() => {
            format!("webhooks of {} start no templates", integration.kind.label())
        }
        _ if !matches!(new.target, Target::Repository(_)) => "name the repository of the webhook".into(),
        None => format!("there is no template {name}"),
        Some(template) if template.start_events().is_empty() => {
            format!("{name} is not started by webhook: add `on` to its plan")
        }
        Some(_) => return Ok(()),
    };
    Err(Error::Invalid { pointer: "/template", fault })
}

/// The events to which a webhook subscribes. None for a webhook whose template is gone.
pub(super) async fn load_events(ctx: &Context, hook: &Webhook, kind: ForgeKind) -> Result<BTreeSet<String>, Error> {
    let Some(name) = hook.template.clone() else {
        return Ok(kind.spec().hook.events.iter().copied().map(str::to_owned).collect());
    };
    let template = ctx.store.load_template(&TemplateId { project: hook.home.clone(), name }).await?;
    Ok(template.map(|template| template.start_events()).unwrap_or_default())
}

async fn load_scope(ctx: &Context, integration: &Integration, target: &Target) -> Result<WebhookScope, Error> {
    match target {
        Target::App => match app_webhook_refusal(integration.kind, &integration.id) {
            Some(fault) => Err(Error::Invalid { pointer: "/app", fault }),
            None => Ok(WebhookScope::App {}),
        },
        Target::Organisation(login) => Ok(WebhookScope::Organisation { login: login.clone() }),
        Target::Repository(name) => {
            let found = forge_client_by_name(ctx, integration, name).await?.repository(name.as_str()).await?;
            let name = RepositoryName::new(found.full_name)
                .map_err(|bad| Error::Invalid { pointer: "/repository", fault: bad.to_string() })?;
            Ok(WebhookScope::Repository { name, id: found.id })
        }
    }
}

/// Creates the hook at the forge, or updates the one with our address. An App's hook exists already.
/// Errors: `Forge`; `Invalid` for an App without a hook, or a secret that the forge does not accept.
pub(super) async fn sync_forge_hook(
    ctx: &Context,
    integration: &Integration,
    hook: &Webhook,
) -> Result<Option<u64>, Error> {
    let forge = forge_client_for_hook(ctx, integration, hook).await?;
    let scope = load_hook_scope(ctx, hook).await?;
    let settings = load_hook_settings(ctx, integration, hook).await?;
    if let Some(app) = app::load_app_of_hook(ctx, integration, hook).await? {
        return match forge.edit_hook(&scope, 0, &settings).await {
            Ok(_) => Ok(hook.forge_id),
            Err(NotFound { .. }) => Err(app::missing_hook_error(&app).await?),
            Err(error) => Err(error.into()),
        };
    }
    let hooks = forge.hooks(&scope).await?.items;
    let ours = hooks.iter().find(|candidate| candidate.url == settings.url);
    let ours = ours.or_else(|| hooks.iter().find(|candidate| Some(candidate.id) == hook.forge_id));
    let forge_hook = match ours {
        Some(existing) => forge.edit_hook(&scope, existing.id, &settings).await?,
        None => forge.create_hook(&scope, &settings).await?,
    };
    Ok(Some(forge_hook.id))
}

/// Removes a hook, first at its forge, which would otherwise get a 404 for ever.
/// Idempotent: a hook that is missing at the forge is no error.
/// Errors: `NotFound`; `Contended`; `Forge`, unless `keep_at_forge`.
pub async fn remove_hook(ctx: &Context, name: &HookName, keep_at_forge: bool) -> Result<(), Error> {
    let mut rounds = ctx.retries(name);
    loop {
        let hook = ctx.load_hook(name).await?;
        // The API cannot delete an App's hook.
        let is_deletable = !matches!(hook.kind, WebhookScope::App {});
        if is_deletable && !keep_at_forge {
            let integration = ctx.load_integration(&hook.integration).await?;
            let scope = load_hook_scope(ctx, &hook).await?;
            let forge = forge_client_for_hook(ctx, &integration, &hook).await?;
            let id = match hook.forge_id {
                Some(id) => Some(id),
                None => find_hook_by_url(&forge, &scope, &hook).await?,
            };
            if let Some(id) = id {
                forge.delete_hook(&scope, id).await?;
            }
        }
        if ctx.store.delete_hook(&hook).await? == Write::Applied {
            tracing::info!(hook = %name, "hook removed");
            return Ok(());
        }
        rounds.backoff().await?;
    }
}

/// Returns the forge's id of the hook with our address. A deleted repository has no hooks.
async fn find_hook_by_url(forge: &Forge, scope: &HookScope, hook: &Webhook) -> Result<Option<u64>, Error> {
    let url = hook.url();
    match (forge.hooks(scope).await, scope) {
        (Ok(hooks), _) => Ok(hooks.items.iter().find(|item| Some(&item.url) == url.as_ref()).map(|item| item.id)),
        // A 404 may also mean that the token may not list hooks. Reading the repository distinguishes the two.
        (Err(error @ NotFound { .. }), HookScope::Repository(name)) => match forge.repository(name).await {
            Err(NotFound { .. }) => Ok(None),
            _ => Err(error.into()),
        },
        (Err(error), _) => Err(error.into()),
    }
}

async fn load_hook_settings(ctx: &Context, integration: &Integration, hook: &Webhook) -> Result<HookSettings, Error> {
    let secret = ctx.secret_name(SecretKind::Forge, &hook.secret);
    let versions = ctx.secrets.load_versions(&secret).await?;
    let url = hook.url().ok_or(Error::Invalid { pointer: "/base_url", fault: "the webhook has no URL yet".into() })?;
    if let Some(fault) = secret_fault(integration.kind, &hook.secret, &versions.current.value) {
        return Err(Error::Invalid { pointer: "/name", fault });
    }
    let secret = Secret::new(versions.current.value.as_bytes());
    let events = load_events(ctx, hook, integration.kind).await?.into_iter().collect();
    Ok(HookSettings { url, secret, events, active: true })
}

fn new_hook(ctx: &Context, new: &NewHook, kind: WebhookScope, integration: &Integration) -> Result<Webhook, Error> {
    let secret = match (&kind, &integration.auth) {
        (WebhookScope::App {}, Auth::App { webhook_secret, .. }) => {
            // The forge created this secret with the App, and signs with it.
            SecretName::new(webhook_secret.rsplit('/').next().unwrap_or(webhook_secret))?
        }
        (WebhookScope::App {}, Auth::Token { .. }) => {
            let fault = format!("{} uses a token, not an App", new.integration);
            return Err(Error::Invalid { pointer: "/app", fault });
        }
        _ => SecretName::for_hook(&new.name),
    };
    Ok(Webhook {
        name: new.name.clone(),
        integration: new.integration.clone(),
        forge: integration.kind,
        home: new.main_project.clone(),
        kind,
        secret,
        base_url: None,
        forge_id: None,
        template: new.template.clone(),
        created: ctx.clock.now(),
        rev: 0,
    })
}

pub(super) async fn load_hook_scope(ctx: &Context, hook: &Webhook) -> Result<HookScope, Error> {
    Ok(match &hook.kind {
        WebhookScope::App {} => HookScope::App,
        WebhookScope::Organisation { login } => HookScope::Organisation(login.clone()),
        WebhookScope::Repository { name, id } => {
            let repository = ctx.store.load_repository(&hook.home, &hook.integration, *id).await?;
            HookScope::Repository(repository.map_or_else(|| name.to_string(), |repository| repository.name.to_string()))
        }
    })
}

/// A renamed repository has the same id.
fn is_same_target(stored: &WebhookScope, target: &WebhookScope) -> bool {
    match (stored, target) {
        (WebhookScope::Repository { id: stored, .. }, WebhookScope::Repository { id: target, .. }) => stored == target,
        _ => stored == target,
    }
}

/// Creates the hook's secret if absent; never replaces one.
/// Errors: `Invalid` if the forge does not accept the present value.
async fn ensure_secret(ctx: &Context, hook: &Webhook) -> Result<(), Error> {
    let name = ctx.secret_name(SecretKind::Forge, &hook.secret);
    match ctx.secrets.load_versions(&name).await {
        Ok(versions) => match secret_fault(hook.forge, &hook.secret, &versions.current.value) {
            Some(fault) => Err(Error::Invalid { pointer: "/name", fault }),
            None => Ok(()),
        },
        Err(pullyard_cloud::Error::NoSecret { .. }) => put_value(ctx, &name, &generate_secret_value()).await,
        Err(error) => Err(error.into()),
    }
}

fn parse_base_url(url: &str) -> Result<String, Error> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '"' | '<' | '>');
    if host.is_empty() || host.starts_with('/') || url.len() > 300 || !url.chars().all(is_plain) {
        return Err(Error::Invalid { pointer: "/base_url", fault: "write it as https://HOST".into() });
    }
    Ok(url.trim_end_matches('/').to_owned())
}
