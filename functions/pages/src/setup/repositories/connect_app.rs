//! Creates a GitHub App from a manifest, or connects an existing one by its key, which becomes a hidden secret.

use super::connect::{redirect_to_connection, to_form_fault};
use super::install_hook::install_app_hook;
use super::{FormFault, check_admin_of_all_projects, free_connection_id, list_integrations, list_url, project_query};
use crate::guard::FormTarget;
use crate::prelude::*;
use pullyard_control::{AppManifest, AppRequest, GitHubSite, WorkflowPolicy, is_account_name};
use pullyard_domain::id::IntegrationId;
use pullyard_domain::project::{ForgeKind, Integration};
use std::time::Duration;

/// GitHub accepts the code of a manifest for an hour.
const REQUEST_TTL: Duration = Duration::from_secs(3_600);

/// Where the App is created, whether it may change workflow files, and the name of its connection.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AppQuery {
    project: Option<ProjectId>,
    owner: String,
    site: String,
    id: String,
    workflows: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppForm {
    id: String,
    api_url: String,
    app_id: String,
    key: String,
}

struct NewApp {
    address: String,
    manifest: String,
    /// Of the forge. The page may send a form there.
    origin: String,
}

#[derive(Template)]
#[template(path = "connect_app.html")]
struct AppPage {
    frame: Frame,
    project: String,
    owner: String,
    site: String,
    workflows: bool,
    /// `None` while the fields are refused.
    new_app: Option<NewApp>,
    has_webhook: bool,
    action: String,
    back: String,
    form: AppForm,
    fault: Option<FormFault>,
}

pub(super) async fn show(visit: PageContext, Query(query): Query<AppQuery>) -> Result<Response, Fault> {
    check_admin_of_all_projects(&visit)?;
    render(&visit, query, None, None).await
}

async fn render(
    visit: &PageContext,
    query: AppQuery,
    form: Option<AppForm>,
    fault: Option<FormFault>,
) -> Result<Response, Fault> {
    let project = visit.load_selected_project(query.project.clone()).await?.map(|project| project.id);
    let site = non_empty(&query.site).unwrap_or_else(|| "https://github.com".into());
    let id = match non_empty(&query.id) {
        Some(id) => id,
        None => free_connection_id(ForgeKind::GitHub.code(), &list_integrations(visit).await?),
    };
    let (new_app, refused) = match prepare_app(visit, project.as_ref(), &query, &site, &id).await? {
        Ok(new_app) => (Some(new_app), None),
        Err(fault) => (None, Some(fault)),
    };
    let fault = fault.or(refused);
    let target = new_app.as_ref().map(|new_app| FormTarget(new_app.origin.clone()));
    let page = AppPage {
        frame: visit.frame("Connect a GitHub App", "repositories", project.as_ref()),
        project: project.as_ref().map(ToString::to_string).unwrap_or_default(),
        form: AppForm {
            key: String::new(),
            ..form.unwrap_or_else(|| AppForm {
                api_url: GitHubSite::parse(&site).map(|site| site.api_url()).unwrap_or_default(),
                app_id: String::new(),
                key: String::new(),
                id,
            })
        },
        owner: query.owner,
        site,
        workflows: query.workflows.is_some(),
        new_app,
        has_webhook: public_url(visit).is_some(),
        action: format!("/setup/repositories/connect-app{}", project_query(project.as_ref())),
        back: list_url(project.as_ref()),
        fault,
    };
    let mut response = render_form(page.fault.as_ref().map(|refusal| &refusal.fault), &page);
    if let Some(target) = target {
        response.extensions_mut().insert(target);
    }
    Ok(response)
}

/// Our address, if GitHub can reach it. Otherwise the App's webhook is off and Pullyard polls.
fn public_url(visit: &PageContext) -> Option<&str> {
    let url = visit.ctx.api_url.trim_end_matches('/');
    url.starts_with("https://").then_some(url)
}

/// Errors: outside, a failed read; inside, a refused field.
async fn prepare_app(
    visit: &PageContext,
    project: Option<&ProjectId>,
    query: &AppQuery,
    site: &str,
    id: &str,
) -> Result<Result<NewApp, FormFault>, Fault> {
    let owner = query.owner.trim();
    if !owner.is_empty() && !is_account_name(owner) {
        return Ok(Err(FormFault::at("owner", "use the name as in GitHub’s addresses, such as acme")));
    }
    let Some(site) = GitHubSite::parse(site) else {
        return Ok(Err(FormFault::at("site", "enter the address of GitHub as https://HOST")));
    };
    let id: IntegrationId = match FormFault::parse("id", id) {
        Ok(id) => id,
        Err(fault) => return Ok(Err(fault)),
    };
    // Check before GitHub creates an App that could not be connected.
    if visit.ctx.store.load_integration(&id).await?.is_some() {
        return Ok(Err(to_form_fault(Error::NameTaken { resource: "integration", name: id.to_string() })));
    }
    let home = visit.ctx.api_url.trim_end_matches('/');
    let request = AppRequest {
        visitor: visit.visitor.id.clone(),
        api_url: site.api_url(),
        project: project.cloned(),
        expires: visit.ctx.clock.now().plus(REQUEST_TTL),
        integration: id.clone(),
    };
    let state = visit.ctx.load_signing_key().await?.sign_app_request(&request)?;
    let manifest = AppManifest {
        name: AppManifest::random_name(),
        home: home.to_owned(),
        hook: public_url(visit).map(|url| format!("{url}/webhooks/github/{id}")),
        redirect: format!("{home}/setup/repositories/new-app"),
        workflows: if query.workflows.is_some() { WorkflowPolicy::Allow } else { WorkflowPolicy::Forbid },
    };
    let owner = Some(owner).filter(|owner| !owner.is_empty());
    Ok(Ok(NewApp {
        address: site.new_app_url(owner, &state),
        manifest: manifest.json(),
        origin: site.url().to_owned(),
    }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct CallbackQuery {
    code: String,
    state: String,
}

/// GitHub sends the browser here with a code. A write behind a GET: only the visitor who began has the signed state.
pub(super) async fn finish(
    visit: PageContext,
    Query(CallbackQuery { code, state }): Query<CallbackQuery>,
) -> Result<Response, Fault> {
    check_admin_of_all_projects(&visit)?;
    let key = visit.ctx.load_signing_key().await?;
    let request = match key.verify_app_request(&state, &visit.visitor.id, visit.ctx.clock.now()) {
        Ok(request) => request,
        Err(Error::InvalidToken) => {
            let sentence = "This answer of GitHub belongs to another sign-in, or its form is older than an hour.";
            return Err(Fault::new(StatusCode::BAD_REQUEST, "bad_state", sentence)
                .help("Open “Connect a GitHub App” again. If GitHub has created an App, delete it there."));
        }
        Err(error) => return Err(error.into()),
    };
    let AppRequest { integration: id, api_url, project, .. } = request;
    let site = GitHubSite::from_api_url(&api_url);
    match control::create_github_app(&visit.ctx, id.clone(), &api_url, &code).await {
        Ok(connected) => connect_webhook(&visit, &connected, project).await,
        Err(error) => {
            let mut fault = to_form_fault(error);
            fault.fault = fault.fault.help(&format!(
                "If GitHub has created the App, create a private key for it at {} and connect it below, or delete it.",
                site.apps_url(None)
            ));
            let query = AppQuery { project, site: site.url().into(), id: id.to_string(), ..AppQuery::default() };
            render(&visit, query, None, Some(fault)).await
        }
    }
}

async fn connect_webhook(
    visit: &PageContext,
    connected: &Integration,
    project: Option<ProjectId>,
) -> Result<Response, Fault> {
    match (project, public_url(visit)) {
        (Some(project), Some(_)) => {
            let project = visit.load_project(&project).await?;
            install_app_hook(visit, &project, connected).await
        }
        (project, _) => Ok(redirect_to_connection(connected, project.as_ref())),
    }
}

pub(super) async fn connect(
    visit: PageContext,
    Query(ProjectQuery { project }): Query<ProjectQuery>,
    Form(form): Form<AppForm>,
) -> Result<Response, Fault> {
    check_admin_of_all_projects(&visit)?;
    match connect_by_key(&visit, &form).await {
        Ok(connected) => Ok(redirect_to_connection(&connected, project.as_ref())),
        Err(fault) => {
            let query = AppQuery { project, ..AppQuery::default() };
            render(&visit, query, Some(form), Some(fault)).await
        }
    }
}

async fn connect_by_key(visit: &PageContext, form: &AppForm) -> Result<Integration, FormFault> {
    let id = FormFault::parse("id", &form.id)?;
    let app_id = form.app_id.trim().parse().map_err(|_| FormFault::at("app_id", "use the number on the App’s page"))?;
    // Browsers send the lines of a text area with CRLF.
    let key = format!("{}\n", form.key.trim().replace("\r\n", "\n"));
    let connected = control::connect_github_app_with_key(&visit.ctx, id, form.api_url.trim(), app_id, &key);
    connected.await.map_err(to_form_fault)
}
