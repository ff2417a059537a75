//! Step 3: chooses the agent, and stores its key as a secret of jobs.

use super::{Drafts, Failure, Machine, StartQuery, facts, invalid, render, start_url};
use crate::fault::Fault;
use crate::form::{Form, non_empty};
use crate::frame::redirect;
use crate::visit::PageContext;
use axum::Extension;
use axum::response::Response;
use pullyard_control::{self as control, Error, RepositorySettings};
use pullyard_domain::agent::{Agent, COMMAND, PROJECT};
use pullyard_domain::id::SecretName;
use pullyard_domain::project::{Project, Repository, Settings};
use pullyard_domain::secret::{SecretKind, token_fault};
use serde::Deserialize;

/// Contains a key, so it has no `Debug`; templates show the other fields only.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AgentForm {
    project: String,
    pub(super) agent: String,
    pub(super) kind: String,
    key: String,
    pub(super) model: String,
    /// Program and arguments, one per line.
    pub(super) command: String,
}

pub(super) async fn choose(
    visit: PageContext,
    Extension(machine): Extension<Machine>,
    Form(form): Form<AgentForm>,
) -> Result<Response, Fault> {
    let project = super::load_project(&visit, &form.project).await?;
    match choose_agent(&visit, &project, &form).await {
        Ok(()) => Ok(redirect(&start_url(&project.id))),
        Err(fault) => {
            let failure = Failure::of_step(3, fault)?;
            let query = StartQuery { project: Some(project.id), ..StartQuery::default() };
            let drafts = Drafts { agent: form, ..Drafts::default() };
            render(&visit, machine.as_ref(), query, drafts, Some(failure)).await
        }
    }
}

async fn choose_agent(visit: &PageContext, project: &Project, form: &AgentForm) -> Result<(), Fault> {
    let repositories = visit.ctx.store.list_repositories(&project.id).await.map_err(Error::from)?;
    let repository = facts::first_repository(project, &repositories);
    if form.agent == COMMAND {
        let repository = repository.ok_or_else(|| invalid("command", "connect a repository first"))?;
        let command = form.command.lines().filter_map(non_empty).collect();
        return set_repository_agent(visit, repository, Agent::command(command)).await;
    }
    let mut settings = project.settings.clone();
    settings.agent = Some(form.agent.clone());
    settings.model = non_empty(&form.model);
    // Refuse a wrong agent or model before the secret replaces an earlier one.
    settings.validate().map_err(|bad| invalid(bad.pointer.trim_start_matches('/'), &bad.fault))?;
    if let Some(key) = non_empty(&form.key) {
        store_key(visit, project, &mut settings, &form.kind, &key).await?;
    }
    if settings != project.settings {
        control::set_settings(&visit.ctx, &project.id, settings, project.rev).await?;
    }
    match repository {
        Some(repository) if repository.agent.capability != PROJECT => {
            set_repository_agent(visit, repository, Agent::project_default()).await
        }
        _ => Ok(()),
    }
}

/// Writes: the secret `PROJECT-KIND`, which only jobs can read. `settings` then name it.
async fn store_key(
    visit: &PageContext,
    project: &Project,
    settings: &mut Settings,
    kind: &str,
    key: &str,
) -> Result<(), Fault> {
    super::check_all_projects(visit)?;
    let secrets = &mut settings.model_secrets;
    let (part, secret) = match kind {
        "anthropic_api_key" => ("anthropic-api-key", &mut secrets.anthropic_api_key),
        "claude_token" => ("claude-token", &mut secrets.claude_token),
        "openai_api_key" => ("openai-api-key", &mut secrets.openai_api_key),
        "codex_auth" => ("codex-auth", &mut secrets.codex_auth),
        _ => return Err(invalid("kind of key", "choose one of the list")),
    };
    if kind != "codex_auth"
        && let Some(fault) = token_fault(key)
    {
        return Err(invalid("key", &format!("the key {fault}")));
    }
    let name = SecretName::new(format!("{}-{part}", project.id)).map_err(|bad| invalid("key", bad.0))?;
    *secret = Some(control::set_secret(&visit.ctx, SecretKind::Job, &name, key).await?.secret);
    Ok(())
}

async fn set_repository_agent(visit: &PageContext, repository: &Repository, agent: Agent) -> Result<(), Fault> {
    let Repository { project, integration, name, workflows, commands, .. } = repository;
    let works = RepositorySettings { agent, workflows: *workflows, commands: commands.clone() };
    control::add_repository(&visit.ctx, project, integration, name, works).await?;
    Ok(())
}
