//! A repository of a project: adds it or changes its agent and commands, sets its ingress, removes it.

use super::card;
use super::{
    FormFault, RemovalPage, RepositoryQuery, check_admin, list_integrations, list_url, load_repository,
    repository_query,
};
use crate::prelude::*;
use pullyard_control::{IfConnected, RepositorySettings};
use pullyard_domain::agent::checks::CommandOverrides;
use pullyard_domain::agent::{Agent, COMMAND};
use pullyard_domain::project::Repository;
use pullyard_domain::project::hook::Ingress;
use pullyard_domain::project::labels::{FORGE_TOKEN_LABEL, join_labels, parse_labels};
use pullyard_domain::text::id::{IntegrationId, RepositoryName};
use std::collections::BTreeSet;

#[derive(Deserialize)]
pub(super) struct FormQuery {
    project: ProjectId,
    repository: Option<RepositoryName>,
    #[serde(default)]
    integration: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RepositoryForm {
    project: String,
    integration: String,
    name: String,
    agent: String,
    model: String,
    command: String,
    workflows: Option<String>,
    setup_from: String,
    setup: String,
    checks_from: String,
    checks: String,
    running_jobs: String,
    labels: String,
    credentials: String,
}

#[derive(Template)]
#[template(path = "repository_form.html")]
struct RepositoryFormPage {
    frame: Frame,
    /// The repository is connected, so its forge and name stay.
    exists: bool,
    integrations: Vec<String>,
    form: RepositoryForm,
    fault: Option<FormFault>,
}

pub(super) async fn show_form(visit: PageContext, Query(query): Query<FormQuery>) -> Result<Response, Fault> {
    check_admin(&visit)?;
    let project = visit.load_project(&query.project).await?;
    let form = match query.repository {
        Some(name) => RepositoryForm::new(load_repository(&visit, &project.id, &name).await?),
        None => RepositoryForm { integration: query.integration, ..RepositoryForm::default() },
    };
    render(&visit, &project, form, None).await
}

async fn render(
    visit: &PageContext,
    project: &Project,
    form: RepositoryForm,
    fault: Option<FormFault>,
) -> Result<Response, Fault> {
    // Connections belong to all projects, so only a visitor of all projects may list them; others type a name.
    let integrations = match visit.visitor.may_access_all_projects() {
        true => list_integrations(visit).await?.into_iter().map(|forge| forge.id.to_string()).collect(),
        false => Vec::new(),
    };
    let existing = match RepositoryName::new(form.name.trim()) {
        Ok(name) => visit.ctx.store.load_repository_by_name(&project.id, &name).await?,
        Err(_) => None,
    };
    let exists = existing.is_some();
    let heading = if exists { format!("Change {}", form.name) } else { "Add repository".to_owned() };
    let page = RepositoryFormPage {
        frame: visit.frame(&heading, "repositories", Some(&project.id)),
        exists,
        integrations,
        form: RepositoryForm { project: project.id.to_string(), ..form },
        fault,
    };
    Ok(render_form(page.fault.as_ref().map(|refusal| &refusal.fault), &page))
}

impl RepositoryForm {
    fn new(repository: Repository) -> Self {
        let source = |own: &Option<Vec<String>>| match own.as_deref() {
            None => String::new(),
            Some([]) => "none".to_owned(),
            Some(_) => "own".to_owned(),
        };
        let credentials = if repository.uses_runner_token() { "runner" } else { "" };
        let CommandOverrides { setup, checks } = repository.commands;
        Self {
            project: repository.project.to_string(),
            integration: repository.integration.to_string(),
            name: repository.name.to_string(),
            agent: repository.agent.capability,
            model: repository.agent.model.unwrap_or_default(),
            command: repository.agent.command.join("\n"),
            workflows: repository.workflows.then(|| "on".to_owned()),
            setup_from: source(&setup),
            setup: setup.unwrap_or_default().join("\n"),
            checks_from: source(&checks),
            checks: checks.unwrap_or_default().join("\n"),
            running_jobs: repository.running_jobs.map(|max| max.to_string()).unwrap_or_default(),
            credentials: credentials.to_owned(),
            labels: join_labels(&own_labels(&repository.labels)),
        }
    }

    fn parse(&self) -> Result<(IntegrationId, RepositoryName, RepositorySettings), FormFault> {
        let name = FormFault::parse("name", &self.name)?;
        let lines = |text: &str| text.lines().filter_map(non_empty).collect::<Vec<_>>();
        let commands = |from: &str, text: &str| match from {
            "none" => Some(Vec::new()),
            "own" => Some(lines(text)),
            _ => None,
        };
        let agent = Agent {
            capability: non_empty(&self.agent).unwrap_or_else(|| Agent::project_default().capability),
            command: if self.agent == COMMAND { lines(&self.command) } else { Vec::new() },
            model: non_empty(&self.model),
        };
        let commands = CommandOverrides {
            setup: commands(&self.setup_from, &self.setup),
            checks: commands(&self.checks_from, &self.checks),
        };
        let integration = FormFault::parse("integration", &self.integration)?;
        let (workflows, if_connected) = (self.workflows.is_some(), IfConnected::Replace);
        let running_jobs = match self.running_jobs.trim() {
            "" => 0,
            number => number.parse().map_err(|_| FormFault::at("running_jobs", "use 1 to 100"))?,
        };
        let token_label = (self.credentials == "runner").then(|| FORGE_TOKEN_LABEL.to_owned());
        let labels = own_labels(&parse_labels(&self.labels)).into_iter().chain(token_label).collect();
        let (running_jobs, labels) = (Some(running_jobs), Some(labels));
        Ok((integration, name, RepositorySettings { agent, workflows, commands, running_jobs, labels, if_connected }))
    }
}

/// Without the label of the runner's credentials, which the pages show separately.
pub(super) fn own_labels(labels: &BTreeSet<String>) -> BTreeSet<String> {
    labels.iter().filter(|label| *label != FORGE_TOKEN_LABEL).cloned().collect()
}

pub(super) async fn add(visit: PageContext, Form(form): Form<RepositoryForm>) -> Result<Response, Fault> {
    check_admin(&visit)?;
    let project = visit.load_named_project(&form.project).await?;
    match add_repository(&visit, &project, &form).await {
        Ok(added) => Ok(redirect(&format!("/setup/repositories/test{}&added=1", repository_query(&added)))),
        Err(fault) => render(&visit, &project, form, Some(fault)).await,
    }
}

async fn add_repository(
    visit: &PageContext,
    project: &Project,
    form: &RepositoryForm,
) -> Result<Repository, FormFault> {
    let (integration, name, settings) = form.parse()?;
    let added =
        match control::add_repository(&visit.ctx, visit.change_of(&project.id), &integration, &name, settings).await {
            Err(Error::NotFound { resource: "integration", .. }) => {
                return Err(FormFault::at("integration", &format!("there is no connection {integration}")));
            }
            added => added?,
        };
    control::make_only_repository_default(&visit.ctx, &project.id).await?;
    Ok(added)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IngressForm {
    project: ProjectId,
    repository: RepositoryName,
    ingress: Ingress,
}

pub(super) async fn set_ingress(visit: PageContext, Form(form): Form<IngressForm>) -> Result<Response, Fault> {
    check_admin(&visit)?;
    let repository = load_repository(&visit, &form.project, &form.repository).await?;
    control::set_ingress(&visit.ctx, &repository, form.ingress).await?;
    Ok(redirect(&format!("{}#r-{}-{}", list_url(Some(&form.project)), repository.integration, repository.id)))
}

pub(super) async fn confirm_removal(
    visit: PageContext,
    Query(query): Query<RepositoryQuery>,
) -> Result<Response, Fault> {
    check_admin(&visit)?;
    let repository = load_repository(&visit, &query.project, &query.repository).await?;
    Ok(removal_page(&visit, &repository, None).render())
}

fn removal_page(visit: &PageContext, repository: &Repository, fault: Option<Fault>) -> RemovalPage {
    let Repository { project, name, .. } = repository;
    RemovalPage {
        frame: visit.frame(&format!("Remove {name}"), "repositories", Some(project)),
        question: line(&format!("Remove {name} from {project}?")),
        effect: line(&format!(
            "Tickets and reviews no longer start jobs in {name}. Ended jobs and the repository at the forge stay. A job \
             that has not ended, an open pull request of a ticket or a webhook of its own blocks the removal."
        )),
        verb: "Remove repository",
        action: "/setup/repositories/remove".into(),
        fields: vec![("project", project.to_string()), ("repository", name.to_string())],
        option: None,
        back: list_url(Some(project)),
        fault,
    }
}

pub(super) async fn remove(visit: PageContext, Form(query): Form<RepositoryQuery>) -> Result<Response, Fault> {
    check_admin(&visit)?;
    let repository = load_repository(&visit, &query.project, &query.repository).await?;
    match control::remove_repository(&visit.ctx, &query.project, &repository.name).await {
        Ok(_) => {
            let removed = percent_encode(repository.name.as_str());
            Ok(redirect(&format!("{}&removed={removed}", list_url(Some(&query.project)))))
        }
        Err(error @ Error::Denied(_)) => Ok(removal_page(&visit, &repository, Some(error.into())).render()),
        Err(error) => Err(error.into()),
    }
}
