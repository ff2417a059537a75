//! Creates and changes projects, and connects repositories and forges.

use crate::admin::columns::check_removed_columns;
use crate::admin::hold::wake_held_tickets;
use crate::admin::secrets::check_secret_kind;
use crate::admin::update_project::update_project;
use crate::allowed_names::{check_new_integration_name, check_new_secrets, check_repository_name};
use crate::forge::{forge_client_by_name, forge_client_with_secret, get_account, load_token_or_flaw};
use crate::review::clear_gone;
use crate::trackers::choose::check_tool;
use crate::{Context, Error};
use pullyard_domain::agent::Agent;
use pullyard_domain::agent::checks::CommandOverrides;
use pullyard_domain::job::limit::Places;
use pullyard_domain::project::forge::{Auth, ForgeKind, Integration, is_same_forge_host};
use pullyard_domain::project::hook::poll_progress::poll_interval;
use pullyard_domain::project::hook::{Ingress, Poll};
use pullyard_domain::project::labels::check_labels;
use pullyard_domain::project::naming::ProjectChange;
use pullyard_domain::project::secret::{SecretField, SecretKind, named_secrets};
use pullyard_domain::project::{MAX_REPOSITORY_LIMIT, Project, Repository, Settings, validate_change};
use pullyard_domain::review::removal::reused_name_fault;
use pullyard_domain::text::id::{IntegrationId, ProjectId, RepositoryName};
use pullyard_store::Write;
use std::collections::BTreeSet;

/// `caller`: the projects of the caller's token; `None` means all.
/// Idempotent: creating the same project again returns it.
/// Errors: `Invalid` settings; `NotListed`; `NameTaken` if a different project has the id.
pub async fn create_project(
    ctx: &Context,
    caller: Option<&BTreeSet<ProjectId>>,
    id: ProjectId,
    name: String,
    settings: Settings,
) -> Result<Project, Error> {
    let settings = settings.normalize();
    check_settings(ctx, &settings)?;
    validate_change(&Settings::default(), &settings)?;
    check_tool(ctx, &settings, &Settings::default()).await?;
    let project = Project { id, name, settings, deleted_number: 0, rev: 0 };
    let change = ProjectChange { project: &project.id, caller };
    let listing = check_new_secrets(ctx, change, &Settings::default(), &project.settings).await?;
    if ctx.store.put_project_with_names(&project, &listing).await? == Write::Applied {
        return Ok(Project { rev: 1, ..project });
    }
    check_new_secrets(ctx, change, &Settings::default(), &project.settings).await?;
    match ctx.store.load_project(&project.id).await? {
        Some(existing) if existing.name == project.name && existing.settings == project.settings => Ok(existing),
        _ => Err(Error::NameTaken { resource: "project", name: project.id.to_string() }),
    }
}

/// Writes: PROJECT if `rev` is unchanged.
/// Idempotent: a project with this name does not change.
/// Errors: `NotFound`; `Contended`.
pub async fn rename_project(ctx: &Context, id: &ProjectId, name: &str) -> Result<Project, Error> {
    update_project(ctx, id, |project| Ok(Project { name: name.to_owned(), ..project })).await
}

/// Errors: `Invalid`, also if a removed column has tickets; `NotFound`; `NotListed`; `RevisionMismatch`, also if the
/// list of a new name shrank meanwhile.
pub async fn set_settings(
    ctx: &Context,
    change: ProjectChange<'_>,
    settings: Settings,
    revision: u64,
) -> Result<Project, Error> {
    let settings = settings.normalize();
    check_settings(ctx, &settings)?;
    let project = ctx.load_project(change.project).await?;
    if project.rev != revision {
        return Err(Error::RevisionMismatch { revision: project.rev });
    }
    check_tool(ctx, &settings, &project.settings).await?;
    validate_change(&project.settings, &settings)?;
    check_removed_columns(ctx, &project, &settings).await?;
    let listing = check_new_secrets(ctx, change, &project.settings, &settings).await?;
    let changed = Project { settings, ..project.clone() };
    match ctx.store.put_project_with_names(&changed, &listing).await? {
        Write::Applied => {
            wake_held_tickets(ctx, &changed).await;
            Ok(Project { rev: revision + 1, ..changed })
        }
        Write::Stale => {
            // Perhaps a list shrank, and not the project changed.
            check_new_secrets(ctx, change, &project.settings, &changed.settings).await?;
            Err(Error::RevisionMismatch { revision: revision + 1 })
        }
    }
}

/// Idempotent: connecting the same integration again returns it.
/// Errors: `Forge`; `Cloud` with `NoSecret`; `NameTaken`; `Invalid` for a malformed token or a forge's former name.
pub async fn connect_forge(
    ctx: &Context,
    id: IntegrationId,
    kind: ForgeKind,
    api_url: &str,
    token_secret: String,
) -> Result<Integration, Error> {
    let api_url = parse_api_url(api_url)?;
    // The secret's value is sent to this address.
    check_secret_kind(ctx, SecretKind::Forge, &token_secret, "/token_secret")?;
    check_former_name(ctx, &id, &api_url).await?;
    if let Err(flaw) = load_token_or_flaw(ctx, &token_secret).await? {
        let name = token_secret.rsplit('/').next().unwrap_or_default();
        let fault = format!("{flaw}; set the token again with `pullyard secrets set {name}`");
        return Err(Error::Invalid { pointer: "/token_secret", fault });
    }
    let account = get_account(kind, &forge_client_with_secret(ctx, kind, &api_url, &token_secret).await?).await?;
    let auth = Auth::Token { secret: token_secret };
    let integration = Integration { id, kind, api_url, auth, account, projects: None };
    if ctx.store.put_integration(&integration).await? == Write::Applied {
        return Ok(integration);
    }
    match ctx.store.load_integration(&integration.id).await? {
        Some(existing) if existing == (Integration { projects: existing.projects.clone(), ..integration.clone() }) => {
            Ok(existing)
        }
        _ => Err(Error::NameTaken { resource: "integration", name: integration.id.to_string() }),
    }
}

/// Checks that a new integration may use the name for this URL.
pub(crate) async fn check_new_integration(ctx: &Context, id: &IntegrationId, api_url: &str) -> Result<(), Error> {
    if ctx.store.load_integration(id).await?.is_some() {
        return Err(Error::NameTaken { resource: "integration", name: id.to_string() });
    }
    check_former_name(ctx, id, api_url).await
}

pub(crate) async fn check_former_name(ctx: &Context, id: &IntegrationId, api_url: &str) -> Result<(), Error> {
    let former = ctx.store.load_former_url(id).await?;
    match reused_name_fault(id, former.as_deref(), api_url) {
        Some(fault) => Err(Error::Invalid { pointer: "/id", fault }),
        None => Ok(()),
    }
}

#[derive(Clone, Debug)]
pub struct RepositorySettings {
    pub agent: Agent,
    pub workflows: bool,
    pub commands: CommandOverrides,
    /// `None` keeps the limit; 0 removes it.
    pub running_jobs: Option<u32>,
    /// `None` keeps the labels.
    pub labels: Option<BTreeSet<String>>,
    pub if_connected: IfConnected,
}

/// The settings of a repository that the project has already, perhaps under a former name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfConnected {
    Replace,
    Keep,
}

/// `pullyard up` polls the repository, because no forge can call a machine without a public address.
/// Idempotent: adding the same repository again replaces its settings, or keeps them as [`IfConnected`] says.
/// Errors: `Forge`; `NotFound` (project, integration); `NotListed`; `Invalid`; `NameTaken`.
pub async fn add_repository(
    ctx: &Context,
    change: ProjectChange<'_>,
    integration: &IntegrationId,
    name: &RepositoryName,
    repository_settings: RepositorySettings,
) -> Result<Repository, Error> {
    let project = change.project;
    let Project { settings, .. } = ctx.load_project(project).await?;
    let mut integration = ctx.load_integration(integration).await?;
    check_repository_name(ctx, change, &integration, name).await?;
    let RepositorySettings { agent, workflows, commands, running_jobs, labels, if_connected } = repository_settings;
    if running_jobs.is_some_and(|max| max > MAX_REPOSITORY_LIMIT) {
        return Err(Error::Invalid { pointer: "/running_jobs", fault: "use 1 to 100, or 0 for no limit".into() });
    }
    let to_invalid = |(field, fault)| Error::Invalid { pointer: commands_pointer(field), fault };
    commands.check(settings.command_policy).map_err(to_invalid)?;
    agent
        .check_for_repository()
        .map_err(|bad| Error::Invalid { pointer: agent_pointer(bad.field), fault: bad.message })?;
    let ingress = if ctx.on_one_machine { Ingress::Poll } else { Ingress::Webhook };
    let interval = poll_interval(ingress, integration.kind);
    let requested_at = ctx.clock.now();
    let found = forge_client_by_name(ctx, &integration, name).await?.repository(name.as_str()).await?;
    if !is_same_forge_host(&integration.api_url, &found.clone_url) {
        return Err(Error::Invalid {
            pointer: "/name",
            fault: format!("the forge's clone URL is on another host, {}", found.clone_url),
        });
    }
    let mut repository = Repository {
        project: project.clone(),
        integration: integration.id.clone(),
        id: found.id,
        name: RepositoryName::new(found.full_name)
            .map_err(|bad| Error::Invalid { pointer: "/name", fault: bad.to_string() })?,
        default_branch: found.default_branch,
        clone_url: found.clone_url,
        agent,
        workflows,
        commands,
        running_jobs: None,
        labels: BTreeSet::new(),
    };
    let mut rounds = ctx.retries(&repository.name);
    loop {
        let stored = ctx.store.load_poll(project, &repository.integration, repository.id).await?;
        let now = ctx.clock.now();
        let new = stored.is_none().then(|| Poll { ingress, next: now.plus(interval), ..Poll::new(&repository, now) });
        let known = ctx.store.load_repository(project, &repository.integration, repository.id).await?;
        repository.running_jobs = match running_jobs {
            None => known.as_ref().and_then(|known| known.running_jobs),
            max => max.filter(|max| *max > 0),
        };
        let known_labels = || known.as_ref().map(|known| known.labels.clone());
        repository.labels = labels.clone().or_else(known_labels).unwrap_or_default();
        if known_labels().is_none_or(|known| known != repository.labels) {
            let all = repository.labels.union(&settings.labels).cloned().collect();
            check_labels(&all).map_err(|fault| Error::Invalid { pointer: "/labels", fault })?;
        }
        if repository.running_jobs.is_some() {
            // First, so that the sweeper counts the jobs of a project whose first limit this is.
            ctx.store.put_places(&Places::new(project.clone()), &[]).await?;
        }
        if let Some(known) = known.as_ref().filter(|_| if_connected == IfConnected::Keep) {
            let Repository { agent, workflows, commands, .. } = known.clone();
            repository = Repository { agent, workflows, commands, ..repository };
        }
        let written = match known {
            Some(known) if new.is_none() => ctx.store.rename_repository(&known, &repository).await?,
            Some(_) => ctx.store.put_repository(&repository, new.as_ref()).await?,
            None => {
                // The forge may have returned another repository than the known one of this name.
                let listing = check_new_integration_name(change, &integration)?;
                ctx.store.put_repository_with_names(&repository, new.as_ref(), listing.as_slice()).await?
            }
        };
        if written == Write::Applied {
            // The forge just returned the repository. If it was marked as gone, poll it again.
            clear_gone(ctx, &repository, requested_at).await?;
            return Ok(repository);
        }
        let owner = ctx.store.load_repository_by_name(project, &repository.name).await?;
        if owner.is_some_and(|other| (other.integration, other.id) != (repository.integration.clone(), repository.id)) {
            return Err(Error::NameTaken { resource: "repository", name: repository.name.to_string() });
        }
        // Perhaps its list shrank.
        integration = ctx.load_integration(&integration.id).await?;
        rounds.backoff().await?;
    }
}

/// Validates an API address that will receive tokens, and strips the trailing slash.
pub(crate) fn parse_api_url(api_url: &str) -> Result<String, Error> {
    let api_url = api_url.trim_end_matches('/').to_owned();
    if !(api_url.starts_with("https://") || api_url.starts_with("http://127.0.0.1:")) {
        return Err(Error::Invalid { pointer: "/api_url", fault: "use https; plain http only to 127.0.0.1".into() });
    }
    // A query or fragment would be part of every request.
    if api_url.contains(['?', '#']) {
        return Err(Error::Invalid { pointer: "/api_url", fault: "remove `?` or `#` and the rest of the URL".into() });
    }
    Ok(api_url)
}

fn check_settings(ctx: &Context, settings: &Settings) -> Result<(), Error> {
    settings.validate()?;
    let check = |(field, secret): (SecretField, &str)| check_secret_kind(ctx, field.kind(), secret, field.pointer());
    named_secrets(settings).into_iter().try_for_each(check)
}

fn commands_pointer(field: &str) -> &'static str {
    if field == "setup" { "/commands/setup" } else { "/commands/checks" }
}

fn agent_pointer(field: &str) -> &'static str {
    match field {
        "command" => "/agent/command",
        "model" => "/agent/model",
        _ => "/agent/capability",
    }
}
