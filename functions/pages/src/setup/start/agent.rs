//! Step 3: chooses the agent, tests its key and stores it as a secret of jobs.

use super::facts::{self, Facts};
use super::{Drafts, Machine, render_failure, start_url};
use crate::prelude::*;
use crate::setup::machine::{LocalMachine, model_urls};
use axum::Extension;
use pullyard_control::{IfConnected, RepositorySettings};
use pullyard_domain::agent::key_check::ModelKeyTest;
use pullyard_domain::agent::{Agent, COMMAND, KeyForm, ModelKey, PROJECT};
use pullyard_domain::project::naming::may_use;
use pullyard_domain::project::secret::{SecretKind, token_fault};
use pullyard_domain::project::{Repository, Settings};
use pullyard_domain::text::id::SecretName;
use std::collections::{BTreeMap, BTreeSet};

const MAX_PROJECTS: i32 = 20;

/// Contains a key, so it has no `Debug`; templates show the other fields only.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AgentForm {
    project: String,
    pub(super) agent: String,
    pub(super) kind: String,
    key: String,
    /// A secret that another project has, instead of a new key.
    pub(super) stored: String,
    pub(super) model: String,
    pub(super) command: String,
}

pub(super) async fn choose(
    visit: PageContext,
    Extension(machine): Extension<Machine>,
    Form(form): Form<AgentForm>,
) -> Result<Response, Fault> {
    let project = super::load_project(&visit, &form.project).await?;
    match choose_agent(&visit, machine.as_ref(), &project, &form).await {
        Ok(None) => Ok(redirect(&start_url(&project.id))),
        Ok(Some(test)) => {
            let code = serde_json::to_value(test).unwrap_or_default();
            Ok(redirect(&format!("{}&key={}", start_url(&project.id), code.as_str().unwrap_or_default())))
        }
        Err(fault) => {
            let drafts = Drafts { agent: form, ..Drafts::default() };
            render_failure(&visit, machine, Some(project.id), drafts, (3, fault)).await
        }
    }
}

async fn choose_agent(
    visit: &PageContext,
    machine: Option<&LocalMachine>,
    project: &Project,
    form: &AgentForm,
) -> Result<Option<ModelKeyTest>, Fault> {
    let repositories = visit.ctx.store.list_repositories(&project.id).await?;
    let repository = facts::first_repository(project, &repositories);
    if form.agent == COMMAND {
        let repository = repository.ok_or_else(|| Fault::of_field("command", "connect a repository first"))?;
        let command = form.command.lines().filter_map(non_empty).collect();
        return set_repository_agent(visit, repository, Agent::command(command)).await.map(|()| None);
    }
    let mut settings = project.settings.clone();
    settings.agent = Some(form.agent.clone());
    settings.model = non_empty(&form.model);
    // Refuse a wrong agent or model before the secret replaces an earlier one.
    settings.validate().map_err(|bad| Fault::of_field(bad.pointer.trim_start_matches('/'), &bad.fault))?;
    let test = match non_empty(&form.key) {
        Some(key) => Some(store_key(visit, machine, project, &mut settings, (&form.kind, &key)).await?),
        None => {
            if !form.stored.is_empty() {
                use_stored_key(visit, &project.id, &mut settings, form).await?;
            }
            None
        }
    };
    if settings != project.settings {
        control::set_settings(&visit.ctx, visit.change_of(&project.id), settings, project.rev).await?;
    }
    match repository {
        Some(repository) if repository.agent.capability != PROJECT => {
            set_repository_agent(visit, repository, Agent::project_default()).await?;
        }
        _ => {}
    }
    Ok(test)
}

/// Tests a key before it replaces an earlier one. A key that cannot be tested now is stored nevertheless.
/// Writes: the secret `PROJECT-KIND`, which only jobs can read. `settings` then name it.
async fn store_key(
    visit: &PageContext,
    machine: Option<&LocalMachine>,
    project: &Project,
    settings: &mut Settings,
    (kind, key): (&str, &str),
) -> Result<ModelKeyTest, Fault> {
    visit.check_all_projects()?;
    let kind = ModelKey::from_code(kind).ok_or_else(|| Fault::of_field("kind of key", "choose one of the list"))?;
    if kind.spec().form == KeyForm::Line
        && let Some(fault) = token_fault(key)
    {
        return Err(Fault::of_field("key", &format!("the key {fault}")));
    }
    let test = control::check_model_key(&visit.ctx, &model_urls(machine), kind, key).await;
    if test.is_refusal() {
        let refusal = Fault::invalid(test.sentence());
        return Err(refusal.help(&format!("Nothing was stored. {}", test.help())));
    }
    let name = SecretName::new(format!("{}-{}", project.id, kind.code().replace('_', "-")))
        .map_err(|bad| Fault::of_field("key", bad.0))?;
    let secret = settings.model_secrets.secret_mut(kind);
    *secret = Some(control::set_secret(&visit.ctx, SecretKind::Job, &name, key).await?.secret);
    Ok(test)
}

/// Two projects may name one secret as keys of different kinds; the chosen agent decides.
async fn use_stored_key(
    visit: &PageContext,
    project: &ProjectId,
    settings: &mut Settings,
    AgentForm { agent, stored, .. }: &AgentForm,
) -> Result<(), Fault> {
    visit.check_all_projects()?;
    let mut keys = list_keys(visit, project).await?.into_iter();
    let (kind, secret) = keys
        .find(|(kind, secret)| secret == stored && kind.supports_capability(agent))
        .ok_or_else(|| Fault::of_field("stored key", "choose one of the list"))?;
    *settings.model_secrets.secret_mut(kind) = Some(secret);
    Ok(())
}

/// Keys of other projects that the project may use; none if the project has its own.
pub(super) async fn list_stored_keys(visit: &PageContext, facts: &Facts) -> Result<Vec<(ModelKey, String)>, Fault> {
    match facts.project.settings.model_secrets.iter().next() {
        Some(_) => Ok(Vec::new()),
        None => list_keys(visit, &facts.project.id).await,
    }
}

async fn list_keys(visit: &PageContext, project: &ProjectId) -> Result<Vec<(ModelKey, String)>, Fault> {
    let (ids, _) = visit.ctx.store.list_project_ids(None, MAX_PROJECTS).await.map_err(Error::from)?;
    let mut keys = BTreeSet::new();
    for project in control::load_readable_projects(&visit.ctx, &ids).await? {
        let secrets = project.settings.model_secrets;
        keys.extend(secrets.iter().map(|(kind, secret)| (secret.to_owned(), kind)));
    }
    let names: BTreeSet<&str> = keys.iter().map(|(secret, _)| secret.as_str()).collect();
    let lists = control::list_secret_projects(&visit.ctx, names.into_iter()).await?;
    let lists: BTreeMap<_, _> = lists.into_iter().collect();
    keys.retain(|(secret, _)| may_use(lists.get(secret), project));
    Ok(keys.into_iter().map(|(secret, kind)| (kind, secret)).collect())
}

/// Tests the first of the agent's stored keys that has a test; `None` if the agent has no stored key.
pub(super) async fn test_key(
    visit: &PageContext,
    machine: Option<&LocalMachine>,
    facts: &Facts,
) -> Result<Option<ModelKeyTest>, Fault> {
    super::check_admin(visit)?;
    visit.check_all_projects()?;
    let capability = &facts.agent.capability;
    let mut keys: Vec<_> = facts.project.settings.model_secrets.iter().collect();
    keys.retain(|(kind, _)| kind.supports_capability(capability));
    let Some(key) = keys.iter().find(|(kind, _)| kind.spec().is_testable).or(keys.first()) else {
        return Ok(None);
    };
    let (urls, project) = (model_urls(machine), &facts.project.id);
    Ok(Some(control::check_stored_model_key(&visit.ctx, &urls, project, *key).await?))
}

async fn set_repository_agent(visit: &PageContext, repository: &Repository, agent: Agent) -> Result<(), Fault> {
    let Repository { project, integration, name, workflows, commands, .. } = repository;
    let (workflows, commands, if_connected) = (*workflows, commands.clone(), IfConnected::Replace);
    let works = RepositorySettings { agent, workflows, commands, running_jobs: None, labels: None, if_connected };
    control::add_repository(&visit.ctx, visit.change_of(project), integration, name, works).await?;
    Ok(())
}
