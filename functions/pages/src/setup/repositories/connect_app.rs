//! Connects a GitHub App: creates one from a manifest, or stores the private key of an existing one as a secret.

use super::connect::redirect_to_connection;
use super::install_hook::install_app_hook;
use super::{FormFault, check_admin_of_all_projects, free_connection_id, list_integrations};
use crate::guard::FormTarget;
use crate::prelude::*;
use pullyard_control::{AppManifest, AppRequest, GitHubSite, WorkflowPolicy, is_account_name};
use pullyard_domain::project::forge::{ForgeKind, Integration};
use pullyard_domain::text::id::IntegrationId;
use std::time::Duration;

/// As long as GitHub accepts a manifest's code.
const REQUEST_TTL: Duration = Duration::from_secs(3_600);

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AppQuery {
    project: Option<ProjectId>,
    /// The organization that owns the App; empty for the user's own account.
    owner: String,
    /// The address of GitHub.
    site: String,
    /// The name of the connection.
    id: String,
    /// Present if the App may change workflow files.
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

/// The form that the page sends to GitHub.
struct NewApp {
    address: String,
    manifest: String,
    /// GitHub's origin, which the page's content policy allows as a target of forms.
    origin: String,
}

#[derive(Template)]
#[template(path = "connect_app.html")]
struct AppPage {
    frame: Frame,
    owner: String,
    site: String,
    workflows: bool,
    /// `None` if a field is invalid.
    new_app: Option<NewApp>,
    has_webhook: bool,
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
        None => free_connection_id(ForgeKind::GitHub.as_str(), &list_integrations(visit).await?),
    };
    let (new_app, fault) = match prepare_app(visit, project.as_ref(), &query, &site, &id).await {
        Ok(new_app) => (Some(new_app), fault),
        Err(invalid) => {
            let invalid = FormFault { fault: invalid.fault.for_form()?, ..invalid };
            (None, fault.or(Some(invalid)))
        }
    };
    let target = new_app.as_ref().map(|new_app| FormTarget(new_app.origin.clone()));
    let page = AppPage {
        frame: visit.frame("Connect a GitHub App", "repositories", project.as_ref()),
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
        fault,
    };
    let mut response = render_form(page.fault.as_ref().map(|refusal| &refusal.fault), &page);
    if let Some(target) = target {
        response.extensions_mut().insert(target);
    }
    Ok(response)
}

/// The address of this server if GitHub can reach it. Without one, the App has no webhook and Pullyard polls.
fn public_url(visit: &PageContext) -> Option<&str> {
    let url = visit.ctx.pages_url();
    url.starts_with("https://").then_some(url)
}

async fn prepare_app(
    visit: &PageContext,
    project: Option<&ProjectId>,
    query: &AppQuery,
    site: &str,
    id: &str,
) -> Result<NewApp, FormFault> {
    let owner = query.owner.trim();
    if !owner.is_empty() && !is_account_name(owner) {
        return Err(FormFault::at("owner", "use the name as in GitHub’s addresses, such as acme"));
    }
    let site = GitHubSite::parse(site);
    let site = site.ok_or_else(|| FormFault::at("site", "enter the address of GitHub as https://HOST"))?;
    let id: IntegrationId = FormFault::parse("id", id)?;
    // Without this check, GitHub would create an App that Pullyard cannot connect.
    if visit.ctx.store.load_integration(&id).await.map_err(Error::from)?.is_some() {
        return Err(Error::NameTaken { resource: "integration", name: id.to_string() }.into());
    }
    let home = visit.ctx.pages_url();
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
    Ok(NewApp { address: site.new_app_url(owner, &state), manifest: manifest.json(), origin: site.url().to_owned() })
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct CallbackQuery {
    code: String,
    state: String,
}

/// Connects the App that GitHub created; GitHub redirects the browser here with a code. This GET may write, because
/// only the visitor who sent the form has the signed state.
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
            let mut fault = FormFault::from(error);
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
    Ok(connected.await?)
}
