//! Decides which secrets and integrations a project may name and use, and stores their lists.

use crate::{Context, Error};
use pullyard_domain::project::Settings;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::naming::{
    Named, NotListed, ProjectChange, SecretProjects, may_name, may_use, new_secrets,
};
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::text::id::{IntegrationId, ProjectId, RepositoryName, SecretName};
use pullyard_store::Write;
use std::collections::BTreeSet;

/// Checks each secret that the changed settings name in a new field. Returns those whose list the write must check
/// again, because the list may shrink before the write.
/// Errors: `NotListed`; `Store`.
pub(crate) async fn check_new_secrets(
    ctx: &Context,
    change: ProjectChange<'_>,
    before: &Settings,
    after: &Settings,
) -> Result<Vec<Named>, Error> {
    let new = new_secrets(before, after);
    let names: BTreeSet<&str> = new.iter().map(|(_, secret)| *secret).collect();
    let lists = load_lists(ctx, names.into_iter()).await?;
    let mut listing = Vec::new();
    for (field, secret) in new {
        let named = Named::Secret(secret.to_owned());
        let list = find_list(&lists, secret);
        if !may_name(change.caller, list, change.project) {
            return Err(not_listed(named, change.project, field.pointer()));
        }
        if list.is_some() && !listing.contains(&named) {
            listing.push(named);
        }
    }
    Ok(listing)
}

/// Checks that the caller may name an integration in the project. Returns it if the write must check its list again.
/// Errors: `NotListed`.
pub(crate) fn check_new_integration_name(
    change: ProjectChange<'_>,
    integration: &Integration,
) -> Result<Option<Named>, Error> {
    let (list, named) = (integration.projects.as_ref(), Named::Integration(integration.id.clone()));
    match may_name(change.caller, list, change.project) {
        true => Ok(list.map(|_| named)),
        false => Err(not_listed(named, change.project, "/integration")),
    }
}

/// Checks that the caller may name a repository in the project: one of the project itself, or any of an integration
/// that may be named there.
/// Errors: `NotListed`, before the forge is called, whose answer would show which repositories exist.
pub(crate) async fn check_repository_name(
    ctx: &Context,
    change: ProjectChange<'_>,
    integration: &Integration,
    name: &RepositoryName,
) -> Result<(), Error> {
    let Err(refusal) = check_new_integration_name(change, integration) else { return Ok(()) };
    let known = ctx.store.load_repository_by_name(change.project, name).await?;
    let is_known = known.is_some_and(|known| known.integration == integration.id);
    if is_known && may_use(integration.projects.as_ref(), change.project) { Ok(()) } else { Err(refusal) }
}

/// Checks that the project may use an integration. Call it wherever the integration's credentials are used for a
/// project, because the project's name for it may be older than its list.
/// Errors: `NotListed`.
pub(crate) fn check_integration_use(integration: &Integration, project: &ProjectId) -> Result<(), Error> {
    match may_use(integration.projects.as_ref(), project) {
        true => Ok(()),
        false => Err(not_listed(Named::Integration(integration.id.clone()), project, "/integration")),
    }
}

/// Checks that the project may use these secrets. Call it before a value is read for a project.
/// Errors: `NotListed`; `Store`.
pub(crate) async fn check_secret_use(ctx: &Context, project: &ProjectId, secrets: &[&str]) -> Result<(), Error> {
    let names: BTreeSet<&str> = secrets.iter().copied().collect();
    for list in load_lists(ctx, names.into_iter()).await? {
        if !may_use(list.projects.as_ref(), project) {
            return Err(not_listed(Named::Secret(list.secret), project, "/secret"));
        }
    }
    Ok(())
}

fn not_listed(named: Named, project: &ProjectId, pointer: &'static str) -> Error {
    Error::NotListed { pointer, refusal: NotListed { named, project: project.clone() } }
}

/// Settings without secrets cost no call.
async fn load_lists<'a>(ctx: &Context, secrets: impl Iterator<Item = &'a str>) -> Result<Vec<SecretProjects>, Error> {
    let secrets: Vec<&str> = secrets.collect();
    if secrets.is_empty() { Ok(Vec::new()) } else { Ok(ctx.store.load_secret_projects(&secrets).await?) }
}

fn find_list<'a>(lists: &'a [SecretProjects], secret: &str) -> Option<&'a BTreeSet<ProjectId>> {
    lists.iter().find(|list| list.secret == secret)?.projects.as_ref()
}

/// The lists of these secrets, by full name, without those of no list.
pub async fn list_secret_projects(
    ctx: &Context,
    secrets: impl Iterator<Item = &str>,
) -> Result<Vec<(String, BTreeSet<ProjectId>)>, Error> {
    let lists = load_lists(ctx, secrets).await?.into_iter();
    Ok(lists.filter_map(|list| Some((list.secret, list.projects?))).collect())
}

/// Replaces the list of a secret, which need not be set yet; `None` removes the list.
/// Writes: SECRET over its `rev`.
/// Idempotent: a repeat writes nothing.
/// Errors: `NotFound` (project); `Invalid` for the key that signs tokens; `Contended`.
pub async fn set_secret_projects(
    ctx: &Context,
    kind: SecretKind,
    name: &SecretName,
    projects: Option<&BTreeSet<ProjectId>>,
) -> Result<String, Error> {
    let secret = ctx.secret_name(kind, name);
    if secret == ctx.key_secret {
        return Err(Error::Invalid { pointer: "/name", fault: "this secret signs the tokens of attempts".into() });
    }
    check_projects(ctx, projects).await?;
    change_list(ctx, &secret, |_| projects.cloned()).await?;
    Ok(secret)
}

/// Lists the project of a secret that Pullyard makes for it, unless the secret has a list already.
/// Errors: `NotListed` if that list lacks the project; `Contended`.
pub(crate) async fn list_own_project(ctx: &Context, secret: &str, project: &ProjectId) -> Result<(), Error> {
    let list = change_list(ctx, secret, |list| list.or_else(|| Some([project.clone()].into()))).await?;
    match may_use(list.as_ref(), project) {
        true => Ok(()),
        false => Err(not_listed(Named::Secret(secret.to_owned()), project, "/secret")),
    }
}

/// Writes: SECRET over its `rev`, if `change` changes its list.
async fn change_list(
    ctx: &Context,
    secret: &str,
    change: impl Fn(Option<BTreeSet<ProjectId>>) -> Option<BTreeSet<ProjectId>>,
) -> Result<Option<BTreeSet<ProjectId>>, Error> {
    let mut rounds = ctx.retries(secret);
    loop {
        let stored = ctx.store.load_secret_projects(&[secret]).await?.pop();
        let stored = stored.unwrap_or_else(|| SecretProjects::none(secret));
        let projects = change(stored.projects.clone());
        if projects == stored.projects {
            return Ok(projects);
        }
        let next = SecretProjects { projects, ..stored };
        if ctx.store.put_secret_projects(&next).await? == Write::Applied {
            tracing::info!(secret, listed = next.projects.as_ref().map(BTreeSet::len), "projects of a secret stored");
            return Ok(next.projects);
        }
        rounds.backoff().await?;
    }
}

/// Replaces the list of an integration; `None` removes the list.
/// Writes: INTEGRATION, if its list is the one seen.
/// Idempotent: a repeat writes nothing.
/// Errors: `NotFound` (project, integration); `Contended`.
pub async fn set_integration_projects(
    ctx: &Context,
    id: &IntegrationId,
    projects: Option<&BTreeSet<ProjectId>>,
) -> Result<Integration, Error> {
    check_projects(ctx, projects).await?;
    let mut rounds = ctx.retries(id);
    loop {
        let stored = ctx.load_integration(id).await?;
        if stored.projects.as_ref() == projects {
            return Ok(stored);
        }
        if ctx.store.update_integration_projects(&stored, projects).await? == Write::Applied {
            tracing::info!(integration = %id, listed = projects.map(BTreeSet::len), "projects of an integration stored");
            return Ok(Integration { projects: projects.cloned(), ..stored });
        }
        rounds.backoff().await?;
    }
}

/// Errors: `NotFound`.
async fn check_projects(ctx: &Context, projects: Option<&BTreeSet<ProjectId>>) -> Result<(), Error> {
    for project in projects.into_iter().flatten() {
        ctx.load_project(project).await?;
    }
    Ok(())
}
