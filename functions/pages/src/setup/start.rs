//! First run: five steps from an empty installation to a pull request. Each step reads its state from the table.

mod agent;
mod choices;
mod facts;
mod permissions;
mod project;
mod repository;
mod ticket;
mod view;

use crate::jobs::Row;
use crate::prelude::*;
use crate::setup::machine::LocalMachine;
use crate::tickets::TicketForm;
use crate::verdict::{self, DecisionLine};
use axum::routing::{get, post};
use axum::{Extension, Router};
use choices::{AgentChoice, RepositoryChoice};
use facts::Facts;
use permissions::Permissions;
use pullyard_domain::agent::key_check::ModelKeyTest;
use pullyard_domain::job::agent_check::AgentCheck;
use pullyard_domain::text::id::DeliveryId;
use view::MoveTarget;

type Machine = Option<LocalMachine>;

const TITLES: [&str; 5] = [
    "Create a project",
    "Connect a repository",
    "Choose an agent and add its key",
    "Create your first ticket",
    "Review the pull request",
];

/// Units: milliseconds.
const REFRESH_WHILE_A_JOB_RUNS: u32 = 2_000;
const REFRESH: u32 = 5_000;

pub(super) fn routes() -> Router<Context> {
    Router::new()
        .route("/setup/start", get(show))
        .route("/setup/start/project", post(project::create))
        .route("/setup/start/repository", post(repository::connect))
        .route("/setup/start/agent", post(agent::choose))
        .route("/setup/start/ticket", post(ticket::create))
}

#[derive(Default, Deserialize)]
struct StartQuery {
    project: Option<ProjectId>,
    new: Option<String>,
    /// Opens one of the first three steps again.
    step: Option<usize>,
    by: Option<String>,
    agent: Option<String>,
    /// Tests the repository, or the agent's key for `key`.
    test: Option<String>,
    key: Option<ModelKeyTest>,
    decision: Option<DeliveryId>,
}

/// The typed values of a refused form. The other forms have their defaults.
#[derive(Default)]
struct Drafts {
    project: project::ProjectForm,
    repository: repository::RepositoryForm,
    agent: agent::AgentForm,
    ticket: TicketForm,
}

struct Failure {
    step: usize,
    fault: Fault,
}

/// Shows the page with the refused form of a step. Errors: a fault that the user cannot repair there.
async fn render_failure(
    visit: &PageContext,
    machine: Machine,
    project: Option<ProjectId>,
    drafts: Drafts,
    (step, fault): (usize, Fault),
) -> Result<Response, Fault> {
    let repairable = fault.status.is_client_error() && fault.status != StatusCode::FORBIDDEN;
    let forge_unavailable = fault.status == StatusCode::SERVICE_UNAVAILABLE;
    if !repairable && !forge_unavailable {
        return Err(fault);
    }
    let new = project.is_none().then(|| "project".to_owned());
    let query = StartQuery { project, new, ..StartQuery::default() };
    render(visit, machine.as_ref(), query, drafts, Some(Failure { step, fault })).await
}

struct Step {
    number: usize,
    title: &'static str,
    sentence: SafeText,
    done: bool,
    current: bool,
    open: bool,
}

#[derive(Template)]
#[template(path = "start.html")]
struct StartPage {
    frame: Frame,
    steps: Vec<Step>,
    connected: bool,
    ticket_key: Option<String>,
    complete: bool,
    drafts: Drafts,
    repository: RepositoryChoice,
    problem: Option<(SafeText, Help)>,
    agent: AgentChoice,
    permissions: Option<Permissions>,
    key_test: Option<ModelKeyTest>,
    /// The test is of a key that was just saved.
    key_saved: bool,
    has_key: bool,
    move_to: Option<MoveTarget>,
    job: Option<Row>,
    place: &'static str,
    fault: Option<Fault>,
    decision: Option<DecisionLine>,
    refresh: Option<u32>,
    form_key: String,
}

fn open_step(failure: Option<&Failure>, facts: Option<&Facts>, query: &StartQuery, current: usize) -> usize {
    match (failure, facts) {
        (Some(failure), _) => failure.step,
        (None, Some(_)) if query.by.is_some() => 2,
        (None, Some(_)) if query.agent.is_some() => 3,
        (None, Some(_)) if let Some(step @ 1..=3) = query.step => step,
        // The repository is connected. The repair is in a terminal.
        (None, Some(facts)) if facts.problem.is_some() && current == 2 => 0,
        _ => current,
    }
}

fn list_steps(facts: Option<&Facts>, current: usize, open: usize) -> Vec<Step> {
    let sentences = match facts {
        Some(facts) => facts.sentences(),
        None => facts::sentences_without_project(),
    };
    let done = facts.map(Facts::done).unwrap_or_default();
    let steps = TITLES.into_iter().zip(sentences).zip(done).zip(1..);
    steps
        .map(|(((title, sentence), done), number)| Step {
            number,
            title,
            sentence: line(&sentence),
            done,
            current: number == current,
            open: number == open,
        })
        .collect()
}

async fn show(
    visit: PageContext,
    Extension(machine): Extension<Machine>,
    Query(query): Query<StartQuery>,
) -> Result<Response, Fault> {
    render(&visit, machine.as_ref(), query, Drafts::default(), None).await
}

async fn render(
    visit: &PageContext,
    machine: Option<&LocalMachine>,
    query: StartQuery,
    mut drafts: Drafts,
    failure: Option<Failure>,
) -> Result<Response, Fault> {
    let project = match query.new {
        Some(_) => None,
        None => visit.load_selected_project(query.project.clone()).await?,
    };
    let facts = match project {
        Some(project) => Some(facts::load(visit, machine, project).await?),
        None => None,
    };
    let done = facts.as_ref().map(Facts::done).unwrap_or_default();
    let current = done.iter().position(|done| !done).map_or(done.len() + 1, |at| at + 1);
    let open = open_step(failure.as_ref(), facts.as_ref(), &query, current);
    let (admin, owner) = (visit.visitor.may_administer(), visit.visitor.may_operate());
    drafts.project.prefill(facts.as_ref());
    let repository = match &facts {
        Some(facts) if open == 2 && admin => {
            drafts.repository.prefill(facts.repository(), machine, query.by.as_deref());
            choices::repository(visit, machine, facts, &drafts.repository.by).await?
        }
        _ => RepositoryChoice::default(),
    };
    let agent = match &facts {
        Some(facts) => {
            let stored = if open == 3 && owner { agent::list_stored_keys(visit, facts).await? } else { Vec::new() };
            choices::agent(facts, stored, query.agent.as_deref().unwrap_or(drafts.agent.agent.as_str()))
        }
        None => AgentChoice::default(),
    };
    repository.complete(&mut drafts.repository);
    agent.prefill(&mut drafts.agent, facts.as_ref());
    let permissions = match facts.as_ref().and_then(Facts::repository) {
        Some(repository) if query.test.as_deref() == Some("1") => {
            check_admin(visit)?;
            Some(permissions::test(visit, repository).await?)
        }
        _ => None,
    };
    let key_test = match &facts {
        Some(facts) if query.test.as_deref() == Some("key") => agent::test_key(visit, machine, facts).await?,
        Some(_) => query.key,
        None => None,
    };
    if let Some(facts) = &facts
        && facts.ticket.is_none()
        && drafts.ticket.key.is_empty()
    {
        drafts.ticket.key = pullyard_control::suggest_ticket_key(&visit.ctx, &facts.project.id)
            .await?
            .map(|key| key.to_string())
            .unwrap_or_default();
    }
    let decision = match &facts {
        Some(facts) => verdict::load_decision_line(visit, &facts.project.id, query.decision.as_ref()).await?,
        None => None,
    };
    let id = facts.as_ref().map(|facts| &facts.project.id);
    let ticket = facts.as_ref().and_then(|facts| facts.ticket.as_ref());
    let runs = facts.as_ref().and_then(|facts| facts.job.as_ref()).is_some_and(|view| !view.job.status.is_terminal());
    // A test calls another service, and the page of a refused form has no address of its own.
    let refreshes = permissions.is_none() && key_test.is_none() && failure.is_none();
    let page = StartPage {
        frame: visit.frame("Set up", "start", id),
        connected: facts.as_ref().is_some_and(|facts| !facts.repositories.is_empty()),
        ticket_key: ticket.map(|view| percent_encode(view.ticket.key.as_str())),
        steps: list_steps(facts.as_ref(), current, open),
        complete: current > done.len(),
        drafts,
        repository,
        problem: facts
            .as_ref()
            .and_then(|facts| facts.problem.as_ref())
            .map(|problem| (line(&problem.sentence), text::help(&problem.help))),
        agent,
        permissions,
        key_test,
        key_saved: query.key.is_some(),
        has_key: facts.as_ref().is_some_and(|facts| matches!(facts.check, AgentCheck::Secrets(_))),
        move_to: facts.as_ref().and_then(view::move_target),
        job: facts.as_ref().and_then(|facts| view::first_job(&visit.ctx, facts)),
        place: view::describe_place(facts.as_ref(), machine),
        decision,
        refresh: refreshes.then_some(if runs { REFRESH_WHILE_A_JOB_RUNS } else { REFRESH }),
        form_key: new_form_key(),
        fault: failure.map(|failure| failure.fault),
    };
    Ok(render_form(page.fault.as_ref(), &page))
}

fn start_url(project: &ProjectId) -> String {
    format!("/setup/start?project={project}")
}

fn check_admin(visit: &PageContext) -> Result<(), Fault> {
    visit.check_admin("set up projects and repositories")
}

async fn load_project(visit: &PageContext, id: &str) -> Result<Project, Fault> {
    check_admin(visit)?;
    visit.load_named_project(id).await
}
