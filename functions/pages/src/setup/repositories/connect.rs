//! Forms that connect a forge: by a token, or as a GitHub App. The token or key becomes a secret and is not shown again.

use super::{FormFault, ProjectQuery, check_admin_of_all_projects, list_url, project_query};
use crate::fault::Fault;
use crate::form::{Form, non_empty};
use crate::frame::{Frame, redirect, render_page};
use crate::text::percent_encode;
use crate::visit::PageContext;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use pullyard_control::{self as control, APP_EVENTS, Error, WorkflowPolicy, app_permissions};
use pullyard_domain::id::{IntegrationId, ProjectId};
use pullyard_domain::project::{ForgeKind, Integration};
use pullyard_entry::{Problem, Query};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct TokenQuery {
    project: Option<ProjectId>,
    #[serde(default)]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenForm {
    kind: String,
    id: String,
    api_url: String,
    token: String,
}

#[derive(Template)]
#[template(path = "connect_token.html")]
struct TokenPage {
    frame: Frame,
    forge: &'static str,
    is_github: bool,
    action: String,
    back: String,
    form: TokenForm,
    fault: Option<FormFault>,
}

pub(super) async fn show_token_form(
    visit: PageContext,
    query: Result<Query<TokenQuery>, Problem>,
) -> Result<Response, Fault> {
    let Query(TokenQuery { project, kind }) = query?;
    check_admin_of_all_projects(&visit)?;
    let kind = ForgeKind::from_code(&kind).unwrap_or(ForgeKind::GitHub);
    let form = TokenForm {
        id: kind.code().into(),
        api_url: kind.default_api_url().into(),
        kind: kind.code().into(),
        token: String::new(),
    };
    render_token_form(&visit, project, form, None).await
}

async fn render_token_form(
    visit: &PageContext,
    project: Option<ProjectId>,
    form: TokenForm,
    fault: Option<FormFault>,
) -> Result<Response, Fault> {
    let project = visit.load_selected_project(project).await?.map(|project| project.id);
    let kind = ForgeKind::from_code(&form.kind).unwrap_or(ForgeKind::GitHub);
    let status = fault.as_ref().map_or(StatusCode::OK, |fault| fault.fault.status);
    let page = TokenPage {
        frame: visit.frame(&format!("Connect {}", kind.display_name()), "repositories", project.as_ref()),
        forge: kind.display_name(),
        is_github: kind == ForgeKind::GitHub,
        action: format!("/setup/repositories/connect{}", project_query(project.as_ref())),
        back: list_url(project.as_ref()),
        form: TokenForm { token: String::new(), ..form },
        fault,
    };
    Ok(render_page(status, &page))
}

pub(super) async fn connect_token(
    visit: PageContext,
    query: Result<Query<ProjectQuery>, Problem>,
    Form(form): Form<TokenForm>,
) -> Result<Response, Fault> {
    let Query(ProjectQuery { project }) = query?;
    check_admin_of_all_projects(&visit)?;
    match connect_by_token(&visit, &form).await {
        Ok(connected) => Ok(redirect_to_connection(&connected, project.as_ref())),
        Err(fault) => render_token_form(&visit, project, form, Some(fault)).await,
    }
}

async fn connect_by_token(visit: &PageContext, form: &TokenForm) -> Result<Integration, FormFault> {
    let id = parse_id(&form.id)?;
    let kind = ForgeKind::from_code(&form.kind).ok_or_else(|| FormFault::at("kind", "unknown forge"))?;
    let connected = control::connect_forge_with_token(&visit.ctx, id, kind, form.api_url.trim(), form.token.trim());
    connected.await.map_err(to_form_fault)
}

fn parse_id(id: &str) -> Result<IntegrationId, FormFault> {
    IntegrationId::new(id.trim()).map_err(|bad| FormFault::at("id", bad.0))
}

fn to_form_fault(error: Error) -> FormFault {
    match error {
        Error::NameTaken { name, .. } => {
            FormFault::at("id", &format!("the connection {name} already exists; choose another name"))
        }
        error => error.into(),
    }
}

fn redirect_to_connection(connected: &Integration, project: Option<&ProjectId>) -> Response {
    redirect(&format!("/setup/repositories/connections/{}{}", connected.id, project_query(project)))
}

#[derive(Deserialize)]
pub(super) struct AppQuery {
    project: Option<ProjectId>,
    #[serde(default)]
    owner: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppForm {
    id: String,
    api_url: String,
    app_id: String,
    key: String,
}

#[derive(Template)]
#[template(path = "connect_app.html")]
struct AppPage {
    frame: Frame,
    project: String,
    owner: String,
    new_app: String,
    has_webhook: bool,
    action: String,
    back: String,
    form: AppForm,
    fault: Option<FormFault>,
}

pub(super) async fn show_app_form(
    visit: PageContext,
    query: Result<Query<AppQuery>, Problem>,
) -> Result<Response, Fault> {
    let Query(AppQuery { project, owner }) = query?;
    check_admin_of_all_projects(&visit)?;
    let kind = ForgeKind::GitHub;
    let form = AppForm {
        id: kind.code().into(),
        api_url: kind.default_api_url().into(),
        app_id: String::new(),
        key: String::new(),
    };
    render_app_form(&visit, project, &owner, form, None).await
}

async fn render_app_form(
    visit: &PageContext,
    project: Option<ProjectId>,
    owner: &str,
    form: AppForm,
    fault: Option<FormFault>,
) -> Result<Response, Fault> {
    let project = visit.load_selected_project(project).await?.map(|project| project.id);
    let url = visit.ctx.api_url.trim_end_matches('/');
    let status = fault.as_ref().map_or(StatusCode::OK, |fault| fault.fault.status);
    let page = AppPage {
        frame: visit.frame("Connect a GitHub App", "repositories", project.as_ref()),
        project: project.as_ref().map(ToString::to_string).unwrap_or_default(),
        owner: owner.to_owned(),
        new_app: new_app_url(url, owner),
        has_webhook: url.starts_with("https://"),
        action: format!("/setup/repositories/connect-app{}", project_query(project.as_ref())),
        back: list_url(project.as_ref()),
        form: AppForm { key: String::new(), ..form },
        fault,
    };
    Ok(render_page(status, &page))
}

/// GitHub's form for a new App, filled in. A link, because `form-action 'self'` forbids to send a manifest to GitHub.
/// Source: https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-using-url-parameters
fn new_app_url(url: &str, owner: &str) -> String {
    let base = match non_empty(owner) {
        Some(owner) => format!("https://github.com/organizations/{}/settings/apps/new", percent_encode(&owner)),
        None => "https://github.com/settings/apps/new".into(),
    };
    let mut address = format!("{base}?public=false&url={}", percent_encode(url));
    if url.starts_with("https://") {
        let webhook = percent_encode(&format!("{url}/webhooks/github/{}", ForgeKind::GitHub.code()));
        address.push_str(&format!("&webhook_active=true&webhook_url={webhook}"));
        address.extend(APP_EVENTS.iter().map(|event| format!("&events[]={event}")));
    } else {
        address.push_str("&webhook_active=false");
    }
    address.extend(app_permissions(WorkflowPolicy::Forbid).iter().map(|(name, level)| format!("&{name}={level}")));
    address
}

pub(super) async fn connect_app(
    visit: PageContext,
    query: Result<Query<ProjectQuery>, Problem>,
    Form(form): Form<AppForm>,
) -> Result<Response, Fault> {
    let Query(ProjectQuery { project }) = query?;
    check_admin_of_all_projects(&visit)?;
    match connect_by_key(&visit, &form).await {
        Ok(connected) => Ok(redirect_to_connection(&connected, project.as_ref())),
        Err(fault) => render_app_form(&visit, project, "", form, Some(fault)).await,
    }
}

async fn connect_by_key(visit: &PageContext, form: &AppForm) -> Result<Integration, FormFault> {
    let id = parse_id(&form.id)?;
    let app_id = form.app_id.trim().parse().map_err(|_| FormFault::at("app_id", "use the number on the App’s page"))?;
    // Browsers send the lines of a text area with CRLF.
    let key = format!("{}\n", form.key.trim().replace("\r\n", "\n"));
    let connected = control::connect_github_app_with_key(&visit.ctx, id, form.api_url.trim(), app_id, &key);
    connected.await.map_err(to_form_fault)
}
