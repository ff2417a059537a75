//! A connection: its test, its credential and its removal.

use super::{FormFault, RemovalPage, check_admin_of_all_projects, connection_title, list_url, project_query};
use crate::hints::{Page, name_buttons};
use crate::prelude::*;
use crate::setup::secrets::{join_projects, parse_projects};
use pullyard_control::{GitHubSite, TestSummary};
use pullyard_domain::project::forge::{Auth, Integration};
use pullyard_domain::text::id::IntegrationId;

#[derive(Template)]
#[template(path = "connection.html")]
struct ConnectionPage {
    frame: Frame,
    id: String,
    works: bool,
    sentence: SafeText,
    help: Help,
    facts: Vec<(&'static str, SafeText)>,
    install_app: Option<String>,
    is_app: bool,
    address: String,
    query: String,
    projects: SafeText,
    fault: Option<FormFault>,
}

/// Tests the connection on each view. A test only reads.
pub(super) async fn show(
    visit: PageContext,
    Path(id): Path<IntegrationId>,
    Query(ProjectQuery { project }): Query<ProjectQuery>,
) -> Result<Response, Fault> {
    let integration = load_connection(&visit, &id).await?;
    render(&visit, &integration, project, None).await
}

async fn render(
    visit: &PageContext,
    integration: &Integration,
    project: Option<ProjectId>,
    fault: Option<FormFault>,
) -> Result<Response, Fault> {
    let id = &integration.id;
    let project = visit.load_selected_project(project).await?.map(|project| project.id);
    let TestSummary { works, sentence, help } = control::test_integration(&visit.ctx, id).await?.summarize(id);
    let mut facts = vec![
        ("Forge", line(&integration.kind.display_name_at(&integration.api_url))),
        ("REST URL", line(&integration.api_url)),
        ("Account", line(&integration.account.login)),
    ];
    match &integration.auth {
        Auth::Token { secret } => facts.push(("Secret", line(secret))),
        Auth::App { app_id, slug, key_secret, webhook_secret, .. } => facts.extend([
            ("App", line(&format!("{slug}, {app_id}"))),
            ("Key", line(&format!("secret {key_secret}"))),
            ("Webhook secret", line(&format!("secret {webhook_secret}"))),
        ]),
    }
    let page = ConnectionPage {
        frame: visit.frame(&format!("Connection {id}"), "repositories", project.as_ref()),
        works,
        sentence: line(&sentence),
        help: text::help(&name_buttons(&help, Page::Other)),
        facts,
        install_app: install_app_url(integration),
        is_app: matches!(integration.auth, Auth::App { .. }),
        address: format!("/setup/repositories/connections/{id}"),
        query: project_query(project.as_ref()),
        projects: line(&join_projects(integration.projects.as_ref())),
        id: id.to_string(),
        fault,
    };
    Ok(render_form(page.fault.as_ref().map(|refusal| &refusal.fault), &page))
}

async fn load_connection(visit: &PageContext, id: &IntegrationId) -> Result<Integration, Fault> {
    check_admin_of_all_projects(visit)?;
    let stored = visit.ctx.store.load_integration(id).await?;
    stored.ok_or_else(|| Fault::not_found(&format!("There is no connection {id}.")))
}

fn install_app_url(integration: &Integration) -> Option<String> {
    let Auth::App { slug, .. } = &integration.auth else { return None };
    http_url(&GitHubSite::from_api_url(&integration.api_url).install_url(slug))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CredentialForm {
    value: String,
}

pub(super) async fn replace_credential(
    visit: PageContext,
    Path(id): Path<IntegrationId>,
    Query(ProjectQuery { project }): Query<ProjectQuery>,
    Form(form): Form<CredentialForm>,
) -> Result<Response, Fault> {
    let integration = load_connection(&visit, &id).await?;
    let value = match &integration.auth {
        Auth::Token { .. } => form.value.trim().to_owned(),
        // Browsers send the lines of a text area with CRLF.
        Auth::App { .. } => format!("{}\n", form.value.trim().replace("\r\n", "\n")),
    };
    match control::replace_credential(&visit.ctx, &id, &value).await {
        Ok(()) => Ok(redirect(&format!("/setup/repositories/connections/{id}{}", project_query(project.as_ref())))),
        Err(error) => render(&visit, &integration, project, Some(error.into())).await,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectsForm {
    projects: String,
}

pub(super) async fn set_projects(
    visit: PageContext,
    Path(id): Path<IntegrationId>,
    Query(ProjectQuery { project }): Query<ProjectQuery>,
    Form(form): Form<ProjectsForm>,
) -> Result<Response, Fault> {
    let integration = load_connection(&visit, &id).await?;
    let stored = match parse_projects(&form.projects) {
        Err(fault) => Err(FormFault::at("projects", fault)),
        Ok(projects) => {
            let stored = control::set_integration_projects(&visit.ctx, &id, projects.as_ref()).await;
            stored.map_err(|error| match error {
                Error::NotFound { resource: "project", name } => {
                    FormFault::at("projects", &format!("there is no project {name}"))
                }
                error => error.into(),
            })
        }
    };
    match stored {
        Ok(_) => Ok(redirect(&format!("/setup/repositories/connections/{id}{}", project_query(project.as_ref())))),
        Err(fault) => render(&visit, &integration, project, Some(fault)).await,
    }
}

pub(super) async fn confirm_removal(
    visit: PageContext,
    Path(id): Path<IntegrationId>,
    Query(query): Query<ProjectQuery>,
) -> Result<Response, Fault> {
    let integration = load_connection(&visit, &id).await?;
    Ok(removal_page(&visit, &integration, query, None).render())
}

fn removal_page(
    visit: &PageContext,
    integration: &Integration,
    ProjectQuery { project }: ProjectQuery,
    fault: Option<Fault>,
) -> RemovalPage {
    let (id, query) = (&integration.id, project_query(project.as_ref()));
    RemovalPage {
        frame: visit.frame(&format!("Remove {id}"), "repositories", project.as_ref()),
        question: line(&format!("Remove the connection {id}?")),
        effect: line(&format!(
            "Pullyard no longer uses {}. The forge is not changed, and the stored secret stays. The connection must not \
             have a repository, a webhook or a running job. Its name stays reserved for {}.",
            connection_title(integration),
            integration.api_url
        )),
        verb: "Remove connection",
        action: format!("/setup/repositories/connections/{id}/remove{query}"),
        fields: Vec::new(),
        option: None,
        back: format!("/setup/repositories/connections/{id}{query}"),
        fault,
    }
}

pub(super) async fn remove(
    visit: PageContext,
    Path(id): Path<IntegrationId>,
    Query(query): Query<ProjectQuery>,
) -> Result<Response, Fault> {
    let integration = load_connection(&visit, &id).await?;
    match control::remove_integration(&visit.ctx, &id).await {
        Ok(_) => {
            let project = visit.load_selected_project(query.project).await?;
            let joint = if project.is_some() { '&' } else { '?' };
            Ok(redirect(&format!("{}{joint}removed={id}", list_url(project.as_ref().map(|project| &project.id)))))
        }
        Err(error @ Error::Denied(_)) => Ok(removal_page(&visit, &integration, query, Some(error.into())).render()),
        Err(error) => Err(error.into()),
    }
}
