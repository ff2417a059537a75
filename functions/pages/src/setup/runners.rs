//! Setup page: runners. Lists, shows and deletes self-hosted runners, and sends them commands.

mod new;
mod sentences;

use crate::prelude::*;
use axum::Router;
use axum::routing::{get, post};
use pullyard_control::{job_view, runner as control};
use pullyard_domain::agent::runner::order::{OrderState, Release, Updates};
use pullyard_domain::job::fleet::Member;
use pullyard_domain::project::access::Object;
use pullyard_domain::text::id::RunnerId;
use pullyard_entry::runner_view::{to_command, view_runner};
use pullyard_protocol::runner_admin::{Runner, RunnerCommand, RunnerStatus, restart_effect};

pub(super) fn routes() -> Router<Context> {
    Router::new()
        .route("/setup/runners", get(list))
        .route("/setup/runners/new", get(new::show).post(new::create_token))
        .route("/setup/runners/{runner}", get(show))
        .route("/setup/runners/{runner}/command", post(command))
        .route("/setup/runners/{runner}/delete", post(delete))
}

const PAGE_SIZE: usize = 50;

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    project: Option<ProjectId>,
    /// The name of the last runner of an earlier page.
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "runners.html")]
struct RunnersPage {
    frame: Frame,
    summary: String,
    may_add: bool,
    rows: Vec<Row>,
    is_first: bool,
    /// The name of the last runner, if others follow.
    next: Option<String>,
}

struct Row {
    address: String,
    name: SafeText,
    pill: Pill,
    sentence: Option<SafeText>,
    jobs: Vec<(String, String)>,
    slots: Vec<bool>,
    load: String,
    capabilities: Vec<SafeText>,
    labels: Vec<SafeText>,
    version: SafeText,
    /// Level, and the result of the check.
    isolation: Option<(SafeText, SafeText)>,
    last_heartbeat: TimeLabel,
    offline_after_secs: u64,
    /// The command that the runner accepts now: its name in the form, and on the button.
    order: Option<(&'static str, &'static str)>,
    may_restart: bool,
    /// The newer release of the control plane.
    available: Option<&'static str>,
    may_update: bool,
    may_delete: bool,
    /// The newest restart or update; in the list, only until it is done.
    task: Option<(SafeText, TimeLabel)>,
    open_task: Option<SafeText>,
}

async fn list(visit: PageContext, Query(query): Query<ListQuery>) -> Result<Response, Fault> {
    let project = visit.load_selected_project(query.project).await?;
    let members = control::list_runners(&visit.ctx).await?;
    let visible = |member: Member| Some((view_visible(&visit, &member)?, member));
    let runners: Vec<(Runner, Member)> = members.into_iter().filter_map(visible).collect();
    let online: Vec<&Runner> = runners.iter().map(|(runner, _)| runner).filter(|runner| is_online(runner)).collect();
    let busy: u32 = online.iter().map(|runner| runner.busy).sum();
    let slots: u32 = online.iter().map(|runner| runner.slots).sum();
    let is_later = |runner: &Runner| query.after.as_ref().is_none_or(|after| runner.name > *after);
    let later: Vec<_> = runners.iter().filter(|(runner, _)| is_later(runner)).collect();
    let next = later.get(PAGE_SIZE - 1).filter(|_| later.len() > PAGE_SIZE).map(|(runner, _)| &runner.name);
    let page = RunnersPage {
        frame: visit.frame("Runners", "runners", project.as_ref().map(|project| &project.id)),
        summary: format!("{} of {} online, {busy} of {slots} slots busy", online.len(), runners.len()),
        may_add: may_add(&visit),
        rows: later.iter().take(PAGE_SIZE).map(|(runner, member)| Row::new(&visit, member, runner)).collect(),
        is_first: query.after.is_none(),
        next: next.cloned(),
    };
    Ok(render_page(StatusCode::OK, &page))
}

fn is_online(runner: &Runner) -> bool {
    matches!(runner.status, RunnerStatus::Online | RunnerStatus::Draining)
}

/// A runner's token is a token: the same permission as on the page of tokens.
fn may_add(visit: &PageContext) -> bool {
    super::tokens::check_may_manage(visit).is_ok()
}

fn may_command(visit: &PageContext, member: &Member) -> bool {
    visit.visitor.may_administer() && visit.visitor.may_access_object(Object::Runner(&member.profile))
}

impl Row {
    fn new(visit: &PageContext, member: &Member, runner: &Runner) -> Self {
        let now = visit.ctx.clock.now();
        let may_command = may_command(visit, member) && runner.status != RunnerStatus::Deleting;
        let open_task = runner.order.as_ref().filter(|order| order.state != OrderState::Done);
        let release = env!("CARGO_PKG_VERSION");
        let is_older = runner.version.parse::<Release>().ok() < release.parse().ok();
        let available = (is_older && is_online(runner)).then_some(release);
        let order = if runner.drain.is_some() { ("resume", "Resume") } else { ("drain", "Drain") };
        let is_busy = |slot: u32| slot < runner.busy;
        Self {
            address: format!("/setup/runners/{}", runner.id),
            name: line(&runner.name),
            pill: labels::runner(runner.status),
            sentence: sentences::describe(runner, now),
            jobs: runner.jobs.iter().map(|entry| (format!("/jobs/{}", entry.job), entry.job.short())).collect(),
            slots: (0..runner.slots.max(runner.busy)).map(is_busy).collect(),
            load: format!("{}/{}", runner.busy, runner.slots),
            capabilities: runner.capabilities.iter().map(|capability| line(capability)).collect(),
            labels: runner.labels.iter().map(|label| line(label)).collect(),
            version: line(&runner.version),
            isolation: runner.isolation.as_ref().map(|check| (line(&check.level), line(&check.result))),
            last_heartbeat: labels::format_time(runner.last_heartbeat, now),
            offline_after_secs: runner.offline_after_secs,
            order: may_command.then_some(order),
            available,
            may_update: may_command && available.is_some() && runner.updates == Some(Updates::Allowed),
            may_restart: may_command && runner.updates.is_some() && is_online(runner),
            may_delete: may_command,
            task: runner.order.as_ref().map(|order| (line(&order.sentence()), labels::format_time(order.at, now))),
            open_task: open_task.map(|order| line(&order.sentence())),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct RunnerQuery {
    project: Option<ProjectId>,
    delete: Option<String>,
}

#[derive(Template)]
#[template(path = "runner.html")]
struct RunnerPage {
    frame: Frame,
    row: Row,
    id: String,
    instance: SafeText,
    projects: Option<Vec<String>>,
    jobs: Vec<CurrentJob>,
    hidden_jobs: usize,
    effect: SafeText,
    restart_effect: SafeText,
    update_effect: SafeText,
    opens_delete: bool,
}

struct CurrentJob {
    address: String,
    pill: Pill,
    title: SafeText,
    short: String,
    attempt: u32,
    since: TimeLabel,
}

/// Returns `None` for a runner that serves no project of the visitor.
fn view_visible(visit: &PageContext, member: &Member) -> Option<Runner> {
    view_runner(member.clone(), visit.visitor.projects(), visit.ctx.clock.now())
}

async fn load_visible(visit: &PageContext, id: String) -> Result<(Member, Runner), Fault> {
    let member = control::load_runner(&visit.ctx, &id).await?;
    let runner = view_visible(visit, &member);
    runner.map(|runner| (member, runner)).ok_or_else(|| Fault::not_found(&format!("There is no runner {id}.")))
}

async fn show(visit: PageContext, Path(id): Path<String>, Query(query): Query<RunnerQuery>) -> Result<Response, Fault> {
    let (member, runner) = load_visible(&visit, id).await?;
    let project = visit.load_selected_project(query.project).await?;
    let (mut jobs, now) = (Vec::new(), visit.ctx.clock.now());
    for entry in &runner.jobs {
        let view = job_view(&visit.ctx, &entry.job).await?;
        jobs.push(CurrentJob {
            address: format!("/jobs/{}", entry.job),
            pill: labels::job_pill(&view.job),
            title: line(&view.title),
            short: entry.job.short(),
            attempt: entry.attempt,
            since: labels::format_time(entry.since, now),
        });
    }
    let page = RunnerPage {
        frame: visit.frame(&runner.name, "runners", project.as_ref().map(|project| &project.id)),
        row: Row::new(&visit, &member, &runner),
        id: runner.id.to_string(),
        instance: line(runner.instance.as_str()),
        projects: runner.projects.map(|all| all.iter().map(ToString::to_string).collect()),
        hidden_jobs: member.runner.slots.len().saturating_sub(jobs.len()),
        jobs,
        effect: line(&sentences::describe_loss(runner.busy)),
        restart_effect: line(&restart_effect(&runner.name, runner.busy)),
        update_effect: line(&sentences::describe_update(runner.busy)),
        opens_delete: query.delete.is_some(),
    };
    Ok(render_page(StatusCode::OK, &page))
}

async fn load_commandable(visit: &PageContext, id: String) -> Result<RunnerId, Fault> {
    visit.check_admin("drain, resume, restart, update or delete runners")?;
    let (member, runner) = load_visible(visit, id).await?;
    if !may_command(visit, &member) {
        return Err(Fault::not_allowed("change a runner that also serves other projects"));
    }
    Ok(runner.id)
}

async fn command(
    visit: PageContext,
    Path(id): Path<String>,
    Form(form): Form<RunnerCommand>,
) -> Result<Response, Fault> {
    let id = load_commandable(&visit, id).await?;
    control::command_runner(&visit.ctx, &id, &to_command(&form, &visit.visitor.name)?).await?;
    Ok(redirect(&format!("/setup/runners/{id}")))
}

async fn delete(visit: PageContext, Path(id): Path<String>) -> Result<Response, Fault> {
    let id = load_commandable(&visit, id).await?;
    control::remove_runner(&visit.ctx, &id).await?;
    Ok(redirect("/setup/runners"))
}
