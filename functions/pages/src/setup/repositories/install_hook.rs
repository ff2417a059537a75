//! The form that installs a webhook for a repository, an organization or an App.

use super::connect::redirect_to_connection;
use super::hooks::hook_url;
use super::{FormFault, check_admin, check_admin_of_all_projects, list_integrations};
use crate::prelude::*;
use pullyard_control::hooks::{NewHook, Target, install_hook};
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::text::id::{HookName, IntegrationId, RepositoryName};

#[derive(Deserialize)]
pub(super) struct InstallQuery {
    project: ProjectId,
    repository: Option<RepositoryName>,
    #[serde(default)]
    integration: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct InstallForm {
    project: String,
    integration: String,
    /// `repository`, `organisation` or `app`.
    scope: String,
    repository: String,
    organisation: String,
    name: String,
    base_url: String,
    by_hand: Option<String>,
}

#[derive(Template)]
#[template(path = "webhook_new.html")]
struct InstallPage {
    frame: Frame,
    integrations: Vec<String>,
    /// Webhooks of organizations and Apps deliver events of all projects.
    may_share: bool,
    is_private: bool,
    form: InstallForm,
    fault: Option<FormFault>,
}

pub(super) async fn show_form(
    visit: PageContext,
    Query(InstallQuery { project, repository, integration }): Query<InstallQuery>,
) -> Result<Response, Fault> {
    check_admin(&visit)?;
    let project = visit.load_project(&project).await?;
    let scope = if repository.is_none() && !integration.is_empty() { "app" } else { "repository" };
    let repository = match repository {
        Some(name) => visit.ctx.store.load_repository_by_name(&project.id, &name).await?,
        None => None,
    };
    let form = InstallForm {
        scope: scope.into(),
        integration: repository.as_ref().map_or(integration, |repository| repository.integration.to_string()),
        repository: repository.map(|repository| repository.name.to_string()).unwrap_or_default(),
        base_url: visit.ctx.pages_url().to_owned(),
        ..InstallForm::default()
    };
    render(&visit, &project, form, None).await
}

async fn render(
    visit: &PageContext,
    project: &Project,
    form: InstallForm,
    fault: Option<FormFault>,
) -> Result<Response, Fault> {
    let may_share = visit.visitor.may_access_all_projects();
    let integrations = if may_share { list_integrations(visit).await? } else { Vec::new() };
    let page = InstallPage {
        frame: visit.frame("Install webhook", "repositories", Some(&project.id)),
        integrations: integrations.iter().map(|forge| forge.id.to_string()).collect(),
        may_share,
        is_private: !form.base_url.starts_with("https://"),
        form: InstallForm { project: project.id.to_string(), ..form },
        fault,
    };
    Ok(render_form(page.fault.as_ref().map(|refusal| &refusal.fault), &page))
}

pub(super) async fn install(visit: PageContext, Form(form): Form<InstallForm>) -> Result<Response, Fault> {
    check_admin(&visit)?;
    let project = visit.load_named_project(&form.project).await?;
    if form.scope != "repository" {
        check_admin_of_all_projects(&visit)?;
    }
    match install_checked(&visit, &project, &form).await {
        Ok(hook) => Ok(redirect(&hook_url(&hook.name))),
        Err(fault) => render(&visit, &project, form, Some(fault)).await,
    }
}

pub(super) async fn install_app_hook(
    visit: &PageContext,
    project: &Project,
    app: &Integration,
) -> Result<Response, Fault> {
    let form = InstallForm {
        scope: "app".into(),
        integration: app.id.to_string(),
        name: app.id.to_string(),
        base_url: visit.ctx.pages_url().to_owned(),
        ..InstallForm::default()
    };
    match install_checked(visit, project, &form).await {
        Ok(_) => Ok(redirect_to_connection(app, Some(&project.id))),
        Err(fault) => render(visit, project, form, Some(fault)).await,
    }
}

async fn install_checked(visit: &PageContext, project: &Project, form: &InstallForm) -> Result<Webhook, FormFault> {
    let integration: IntegrationId = FormFault::parse("integration", &form.integration)?;
    let (target, subject) = match form.scope.as_str() {
        "repository" => {
            let name: RepositoryName = FormFault::parse("repository", &form.repository)?;
            (Target::Repository(name.clone()), name.to_string())
        }
        "organisation" => {
            let login = non_empty(&form.organisation);
            let login = login.ok_or_else(|| FormFault::at("organisation", "name the organization"))?;
            (Target::Organisation(login.clone()), login)
        }
        _ => (Target::App, integration.to_string()),
    };
    let name = non_empty(&form.name).map_or_else(|| HookName::derive(&subject), |name| name.parse());
    let name = name.map_err(|bad| FormFault::at("name", bad.0))?;
    let name_fault = || FormFault::at("name", &format!("another webhook is named {name}; choose another name"));
    let existing = visit.ctx.store.load_hook(&name).await.map_err(Fault::from)?;
    if existing.is_some_and(|hook| !visit.may_manage_hook(&hook)) {
        return Err(name_fault());
    }
    let new = NewHook {
        name: name.clone(),
        integration,
        main_project: project.id.clone(),
        target,
        base_url: form.base_url.trim().to_owned(),
        is_manual: form.by_hand.is_some(),
        template: None,
    };
    match install_hook(&visit.ctx, &new, visit.visitor.projects()).await {
        Err(Error::NameTaken { .. }) => Err(name_fault()),
        Err(Error::NotFound { resource: "integration", name }) => {
            Err(FormFault::at("integration", &format!("there is no connection {name}")))
        }
        installed => Ok(installed?),
    }
}
