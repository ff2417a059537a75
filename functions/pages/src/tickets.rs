//! Creates, shows and moves tickets.

use crate::board::{
    Move, NoProject, PullRequestLink, list_moves, list_statuses, move_url, pull_request, ticket_url, title_or_key,
};
use crate::fault::Fault;
use crate::form::{Form, new_form_key, non_empty};
use crate::frame::{Frame, own_path, redirect, render_page};
use crate::jobs::Row;
use crate::labels::{self, Pill};
use crate::pulls::{self, Reviews};
use crate::text::{SafeText, block, http_url, line};
use crate::verdict::{self, DecisionLine};
use crate::visit::PageContext;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use pullyard_control::{self as control, Error, NewTicket};
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{DeliveryId, EventId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::project::Project;
use pullyard_entry::{Path, Problem, Query, limits, resolve_ticket_key};
use pullyard_protocol::ticket::{CreateTicket, MoveTicket};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct TicketPageQuery {
    project: Option<ProjectId>,
    key: Option<TicketKey>,
    said: Option<DeliveryId>,
}

#[derive(Deserialize)]
pub(crate) struct TicketQuery {
    project: ProjectId,
    key: Option<TicketKey>,
}

#[derive(Template)]
#[template(path = "ticket.html")]
struct TicketPage {
    frame: Frame,
    project: String,
    key: SafeText,
    raw_key: String,
    address: String,
    move_address: String,
    title: SafeText,
    description: SafeText,
    status: SafeText,
    badge: Option<Pill>,
    pull_request: Option<PullRequestLink>,
    reviews: Option<Reviews>,
    repository: Option<SafeText>,
    source: Option<String>,
    labels: Vec<SafeText>,
    said: Option<DecisionLine>,
    may_work: bool,
    busy: bool,
    moves: Vec<Move>,
    jobs: Vec<Row>,
    refresh: u32,
    once: String,
}

pub(crate) async fn show(
    visit: PageContext,
    key: Result<Path<TicketKey>, Problem>,
    query: Result<Query<TicketPageQuery>, Problem>,
) -> Result<Response, Fault> {
    let (Path(key), Query(query)) = (key?, query?);
    let key = resolve_ticket_key(key, query.key)?;
    let Some(project) = visit.load_selected_project(query.project).await? else {
        return Ok(NoProject::of(&visit, "board"));
    };
    let view = match control::ticket_view(&visit.ctx, &project.id, &key).await {
        Err(Error::NotFound { .. }) => {
            return Err(Fault::not_found(&format!("There is no ticket {key} in project {}.", project.id)));
        }
        view => view?,
    };
    let (ticket, text) = (&view.ticket, &view.text);
    let jobs = control::list_jobs_of_ticket(&visit.ctx, ticket).await?;
    let own = &project.settings.statuses;
    let statuses = list_statuses(own, std::iter::once(ticket));
    let address = ticket_url(&project.id, &key);
    let page = TicketPage {
        frame: visit.frame(&format!("{key} {}", text.title), "board", Some(&project.id)),
        project: project.id.to_string(),
        key: line(key.as_str()),
        raw_key: key.to_string(),
        title: title_or_key(&view),
        description: block(&text.description),
        status: line(&ticket.status),
        badge: ticket.shown.badge.map(labels::badge),
        pull_request: pull_request(&view),
        reviews: pulls::load_reviews(&visit, ticket).await?,
        repository: text
            .repository
            .as_ref()
            .or(project.settings.default_repository.as_ref())
            .map(|repository| line(repository.as_str())),
        source: text.url.as_deref().and_then(http_url),
        labels: text.labels.iter().map(|label| line(label)).collect(),
        said: verdict::load_decision_line(&visit, &project.id, query.said.as_ref()).await?,
        may_work: visit.visitor.may_run_jobs(),
        busy: ticket.active_job.is_some(),
        moves: list_moves(ticket, &statuses, own),
        jobs: jobs.iter().map(Row::new).collect(),
        refresh: labels::refresh_ms(ticket.active_job.is_some()),
        once: new_form_key(),
        move_address: move_url(&project.id, &key),
        address,
    };
    Ok(render_page(StatusCode::OK, &page))
}

#[derive(Template)]
#[template(path = "ticket_new.html")]
struct TicketFormPage {
    frame: Frame,
    project: String,
    statuses: Vec<Move>,
    repositories: Vec<String>,
    form: TicketForm,
    fault: Option<Fault>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicketForm {
    project: String,
    key: String,
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    labels: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    repository: String,
    #[serde(default)]
    once: String,
}

pub(crate) async fn show_form(
    visit: PageContext,
    query: Result<Query<TicketPageQuery>, Problem>,
) -> Result<Response, Fault> {
    let Query(query) = query?;
    let Some(project) = visit.load_selected_project(query.project).await? else {
        return Ok(NoProject::of(&visit, "board"));
    };
    visit.check_may_work()?;
    let form = TicketForm { key: suggest_key(&visit, &project.id).await?, ..TicketForm::default() };
    render_form(&visit, &project, form, None).await
}

async fn render_form(
    visit: &PageContext,
    project: &Project,
    form: TicketForm,
    fault: Option<Fault>,
) -> Result<Response, Fault> {
    let own = &project.settings.statuses;
    let repositories = visit.ctx.store.list_repositories(&project.id).await.map_err(Error::from)?;
    let statuses = list_statuses(own, std::iter::empty());
    let status = fault.as_ref().map_or(StatusCode::OK, |fault| fault.status);
    let page = TicketFormPage {
        frame: visit.frame("Create ticket", "board", Some(&project.id)),
        project: project.id.to_string(),
        statuses: statuses
            .iter()
            .map(|status| Move { status: status.clone(), words: line(status), starts_jobs: *status == own.trigger })
            .collect(),
        repositories: repositories.iter().map(|repository| repository.name.to_string()).collect(),
        // A new key, because a refused request is not repeated.
        form: TicketForm { once: new_form_key(), ..form },
        fault,
    };
    Ok(render_page(status, &page))
}

/// Suggests the number after the tickets with the project's own prefix.
pub(crate) async fn suggest_key(visit: &PageContext, project: &ProjectId) -> Result<String, Fault> {
    let prefix = format!("{}-", project.as_str().to_uppercase());
    let (keys, _) = visit.ctx.store.list_ticket_keys(project, None, 1_000).await.map_err(Error::from)?;
    let numbers = keys.iter().filter_map(|key| key.as_str().strip_prefix(&prefix)?.parse::<u64>().ok());
    Ok(format!("{prefix}{}", numbers.max().unwrap_or(0).saturating_add(1)))
}

pub(crate) async fn create(visit: PageContext, Form(form): Form<TicketForm>) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let id = ProjectId::new(form.project.clone()).map_err(|_| Fault::not_found("There is no such project."))?;
    let project = visit.load_project(&id).await?;
    match create_ticket(&visit, &project, &form).await {
        Ok(delivery) => Ok(redirect(&format!("/board?project={}&said={delivery}", project.id))),
        Err(fault) if fault.status.is_client_error() => render_form(&visit, &project, form, Some(fault)).await,
        Err(fault) => Err(fault),
    }
}

async fn create_ticket(visit: &PageContext, project: &Project, form: &TicketForm) -> Result<DeliveryId, Fault> {
    let wrong = |field: &str, fault: &str| {
        Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", &format!("The field {field}: {fault}."))
    };
    let key = TicketKey::new(form.key.trim()).map_err(|bad| wrong("key", bad.0))?;
    let repository = non_empty(&form.repository).map(RepositoryName::new).transpose();
    let new = CreateTicket {
        project: project.id.clone(),
        key,
        title: form.title.trim().to_owned(),
        description: form.description.replace("\r\n", "\n"),
        status: non_empty(&form.status),
        labels: form.labels.split(',').filter_map(non_empty).collect(),
        repository: repository.map_err(|bad| wrong("repository", bad.0))?,
    };
    limits::check_ticket(&new)?;
    let text = TicketText {
        title: new.title,
        description: new.description,
        labels: new.labels,
        url: None,
        repository: new.repository,
    };
    let caller = visit.requester();
    let request = non_empty(&form.once).and_then(|once| EventId::new(once).ok());
    let new = NewTicket { project: new.project, key: Some(new.key), text, status: new.status, caller, request };
    Ok(control::create_ticket(&visit.ctx, new).await?.delivery)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveForm {
    status: String,
    back: Option<String>,
    #[serde(default)]
    once: String,
}

/// Moves a ticket and redirects back with the decision. Two clicks on one button are one move.
pub(crate) async fn move_ticket(
    visit: PageContext,
    key: Result<Path<TicketKey>, Problem>,
    query: Result<Query<TicketQuery>, Problem>,
    Form(to): Form<MoveForm>,
) -> Result<Response, Fault> {
    let (Path(key), Query(TicketQuery { project, key: other })) = (key?, query?);
    let key = resolve_ticket_key(key, other)?;
    visit.check_may_work()?;
    let project = visit.load_project(&project).await?;
    let body = MoveTicket { status: to.status };
    limits::check_move(&body)?;
    let caller = visit.requester();
    let request = non_empty(&to.once).map(|once| EventId::for_button(&once, &key, &body.status));
    let ticket_move = control::TicketMove { project: project.id.clone(), key, status: body.status, caller, request };
    let answer = control::move_board_ticket(&visit.ctx, ticket_move).await?;
    let board = format!("/board?project={}", project.id);
    let back = to.back.as_deref().map_or(board.as_str(), |back| own_path(Some(back)));
    let joint = if back.contains('?') { '&' } else { '?' };
    Ok(redirect(&format!("{back}{joint}said={}", answer.delivery)))
}
