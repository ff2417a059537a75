//! Setup page: connections, repositories and webhooks of a project.

mod card;
mod connect;
mod connect_app;
mod connection;
mod hooks;
mod install_hook;
mod repository;
mod repository_test;

pub(super) use repository_test::{FeatureRow, list_features};

use crate::hints::{Page, name_buttons};
use crate::labels::{NEEDS_ATTENTION, RING, TICK, TRIANGLE};
use crate::prelude::*;
use axum::Router;
use axum::routing::{get, post};
use card::{Card, list_hooks};
use hooks::HookRow;
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::{Auth, ForgeKind, Integration};
use pullyard_domain::text::id::{IntegrationId, InvalidId, RepositoryName};
use pullyard_domain::text::to_sentence;
use std::str::FromStr;

pub(super) fn routes() -> Router<Context> {
    Router::new()
        .route("/setup/repositories", get(show))
        .route("/setup/repositories/connect", get(connect::show_token_form).post(connect::connect_token))
        .route("/setup/repositories/connect-app", get(connect_app::show).post(connect_app::connect))
        .route("/setup/repositories/new-app", get(connect_app::finish))
        .route("/setup/repositories/connections/{integration}", get(connection::show))
        .route("/setup/repositories/connections/{integration}/credential", post(connection::replace_credential))
        .route("/setup/repositories/connections/{integration}/projects", post(connection::set_projects))
        .route(
            "/setup/repositories/connections/{integration}/remove",
            get(connection::confirm_removal).post(connection::remove),
        )
        .route("/setup/repositories/add", get(repository::show_form).post(repository::add))
        .route("/setup/repositories/test", get(repository_test::show))
        .route("/setup/repositories/ingress", post(repository::set_ingress))
        .route("/setup/repositories/remove", get(repository::confirm_removal).post(repository::remove))
        .route("/setup/repositories/install-webhook", get(install_hook::show_form).post(install_hook::install))
        .route("/setup/repositories/webhooks/{hook}", get(hooks::show))
        .route("/setup/repositories/webhooks/{hook}/repair", post(hooks::repair))
        .route("/setup/repositories/webhooks/{hook}/secret", post(hooks::set_secret))
        .route("/setup/repositories/webhooks/{hook}/remove", get(hooks::confirm_removal).post(hooks::remove))
}

const HEALTHY: Pill = Pill { word: "Healthy", shape: "tick", path: TICK, tone: "ok" };
const WEBHOOK_FAILING: Pill = Pill { word: "Webhook failing", shape: "tri", path: TRIANGLE, tone: "warn" };
const UNUSED: Pill = Pill { word: "Not used here", shape: "ring", path: RING, tone: "wait" };
const NO_DELIVERY: Pill = Pill { word: "No delivery yet", shape: "ring", path: RING, tone: "wait" };

const MAX_CONNECTIONS: i32 = 100;

#[derive(Deserialize)]
struct ListQuery {
    project: Option<ProjectId>,
    removed: Option<String>,
}

#[derive(Deserialize)]
struct RepositoryQuery {
    project: ProjectId,
    repository: RepositoryName,
}

#[derive(Template)]
#[template(path = "repositories.html")]
struct RepositoriesPage {
    frame: Frame,
    removed: Option<SafeText>,
    connections: Vec<ConnectionRow>,
    cards: Vec<Card>,
    hooks: Vec<HookRow>,
}

struct ConnectionRow {
    address: String,
    title: SafeText,
    second: SafeText,
    state: Pill,
}

/// A question before a removal. Its form sends `fields` to `action`.
#[derive(Template)]
#[template(path = "removal.html")]
pub(super) struct RemovalPage {
    pub(super) frame: Frame,
    pub(super) question: SafeText,
    pub(super) effect: SafeText,
    pub(super) verb: &'static str,
    pub(super) action: String,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) option: Option<&'static str>,
    pub(super) back: String,
    pub(super) fault: Option<Fault>,
}

impl RemovalPage {
    pub(super) fn render(self) -> Response {
        render_form(self.fault.as_ref(), &self)
    }
}

struct FormFault {
    field: &'static str,
    fault: Fault,
}

impl FormFault {
    fn at(field: &'static str, sentence: &str) -> Self {
        let sentence = to_sentence(sentence);
        let sentence = name_buttons(&sentence, Page::Other);
        Self { field, fault: Fault::invalid(&sentence) }
    }

    fn parse<T: FromStr<Err = InvalidId>>(field: &'static str, text: &str) -> Result<T, Self> {
        text.trim().parse().map_err(|bad: InvalidId| Self::at(field, bad.0))
    }

    fn is_at(&self, field: &str) -> bool {
        self.field == field
    }
}

impl From<Error> for FormFault {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid { pointer, fault } => Self::at(pointer.trim_start_matches('/'), &fault),
            Error::NameTaken { resource: "integration", name } => {
                Self::at("id", &format!("the connection {name} already exists; choose another name"))
            }
            error => Self { field: "", fault: error.into() },
        }
    }
}

impl From<Fault> for FormFault {
    fn from(fault: Fault) -> Self {
        Self { field: "", fault }
    }
}

fn check_admin(visit: &PageContext) -> Result<(), Fault> {
    visit.check_admin("change repositories and connections")
}

/// Connections and their secrets belong to all projects.
fn check_admin_of_all_projects(visit: &PageContext) -> Result<(), Fault> {
    check_admin(visit)?;
    visit.check_all_projects()
}

fn list_url(project: Option<&ProjectId>) -> String {
    format!("/setup/repositories{}", project_query(project))
}

fn project_query(project: Option<&ProjectId>) -> String {
    project.map(|project| format!("?project={project}")).unwrap_or_default()
}

fn repository_query(repository: &Repository) -> String {
    format!("?project={}&repository={}", repository.project, percent_encode(repository.name.as_str()))
}

async fn load_repository(visit: &PageContext, project: &ProjectId, name: &RepositoryName) -> Result<Repository, Fault> {
    let project = visit.load_project(project).await?.id;
    let repository = visit.ctx.store.load_repository_by_name(&project, name).await?;
    repository.ok_or_else(|| Fault::not_found(&format!("{project} has no repository {name}.")))
}

pub(super) async fn list_integrations(visit: &PageContext) -> Result<Vec<Integration>, Fault> {
    let store = &visit.ctx.store;
    let (ids, _) = store.list_integration_ids(None, MAX_CONNECTIONS).await?;
    let mut integrations = Vec::with_capacity(ids.len());
    for id in &ids {
        integrations.extend(store.load_integration(id).await?);
    }
    Ok(integrations)
}

/// `base`, or the first of `base-2`, `base-3` … that no connection has.
pub(super) fn free_connection_id(base: &str, integrations: &[Integration]) -> String {
    let is_free = |id: &String| !integrations.iter().any(|integration| integration.id.as_str() == id);
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    std::iter::once(base.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

fn connection_title(integration: &Integration) -> String {
    let forge = integration.kind.display_name_at(&integration.api_url);
    match &integration.auth {
        Auth::App { slug, .. } => format!("{forge}, App {slug}"),
        Auth::Token { .. } => format!("{forge}, account {}", integration.account.login),
    }
}

async fn show(visit: PageContext, Query(query): Query<ListQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    let repositories = visit.ctx.store.list_repositories(&project.id).await?;
    let hooks = list_hooks(&visit, &project.id).await?;
    let mut cards = Vec::with_capacity(repositories.len());
    for repository in &repositories {
        cards.push(Card::load(&visit, &project, repository, &hooks).await?);
    }
    let integrations =
        if visit.visitor.may_access_all_projects() { list_integrations(&visit).await? } else { Vec::new() };
    let row = |integration: &Integration| {
        let uses_integration = |card: &&Card| card.integration == integration.id;
        let count = cards.iter().filter(uses_integration).count();
        ConnectionRow {
            address: format!("/setup/repositories/connections/{}?project={}", integration.id, project.id),
            title: line(&connection_title(integration)),
            second: line(&match count {
                1 => format!("{}, with 1 repository of {}", integration.id, project.id),
                count => format!("{}, with {count} repositories of {}", integration.id, project.id),
            }),
            state: match cards.iter().filter(uses_integration).any(|card| card.has_forge_problem) {
                true => NEEDS_ATTENTION,
                false if count == 0 => UNUSED,
                false => HEALTHY,
            },
        }
    };
    let is_name = |name: &String| RepositoryName::new(name).is_ok() || IntegrationId::new(name).is_ok();
    let page = RepositoriesPage {
        frame: visit.frame("Repositories", "repositories", Some(&project.id)),
        removed: query.removed.filter(is_name).map(|name| line(&name)),
        connections: integrations.iter().map(row).collect(),
        hooks: hooks.iter().map(|hook| HookRow::new(hook, visit.ctx.clock.now())).collect(),
        cards,
    };
    Ok(render_page(StatusCode::OK, &page))
}
