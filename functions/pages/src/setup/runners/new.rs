//! Adds a runner: names it, creates its token, and waits for its first heartbeat.
//! The name and the options are in the URL, the token only in the response that creates it, so a reload creates none.

use super::super::Releases;
use super::super::tokens::check_may_manage;
use crate::prelude::*;
use crate::text::block;
use axum::Extension;
use pullyard_control::runner::load_runner;
use pullyard_domain::agent::runner::{MAX_SLOTS, Refusal, validate_name};
use pullyard_domain::project::token::{NewToken, TokenKind};
use pullyard_entry::runner_view::view_runner;
use pullyard_protocol::runner_admin::RunnerStatus;
use std::collections::BTreeSet;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RunnerForm {
    project: Option<ProjectId>,
    name: String,
    slots: String,
    labels: String,
    isolation: String,
    /// The only project that the runner serves; empty means all.
    serves: String,
    change: Option<String>,
}

struct Plan {
    name: String,
    slots: u32,
    labels: BTreeSet<String>,
    isolation: &'static str,
    serves: Option<ProjectId>,
}

#[derive(Template)]
#[template(path = "runner_new.html")]
struct NewRunnerPage {
    frame: Frame,
    form: RunnerForm,
    fault: Option<Fault>,
    plan: Option<SafeText>,
    command: Option<SafeText>,
    joined: Option<Joined>,
    /// Whether the command installs the program.
    installs: bool,
    local_only: bool,
    address: String,
    form_key: String,
}

struct Joined {
    pill: Pill,
    online: bool,
    address: String,
}

pub(super) async fn show(
    visit: PageContext,
    Extension(releases): Extension<Releases>,
    Query(form): Query<RunnerForm>,
) -> Result<Response, Fault> {
    check_may_manage(&visit)?;
    if form.name.is_empty() || form.change.is_some() {
        return render(&visit, releases, form, None, Ok(None)).await;
    }
    match plan_runner(&form) {
        Ok(plan) => render(&visit, releases, form, Some(&plan), Ok(None)).await,
        Err(fault) => render(&visit, releases, form, None, Err(fault)).await,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenForm {
    form_key: String,
}

pub(super) async fn create_token(
    visit: PageContext,
    Extension(releases): Extension<Releases>,
    Query(form): Query<RunnerForm>,
    Form(token): Form<TokenForm>,
) -> Result<Response, Fault> {
    check_may_manage(&visit)?;
    let plan = match plan_runner(&form) {
        Ok(plan) => plan,
        Err(fault) => return render(&visit, releases, form, None, Err(fault)).await,
    };
    match create_runner_token(&visit, &plan, token.form_key).await {
        Ok(token) => render(&visit, releases, form, Some(&plan), Ok(Some(token))).await,
        Err(fault) => render(&visit, releases, form, Some(&plan), Err(fault.for_form()?)).await,
    }
}

fn plan_runner(form: &RunnerForm) -> Result<Plan, Fault> {
    let name = form.name.trim().to_owned();
    validate_name(&name).map_err(|fault| Fault::of_field("name", fault))?;
    let slots = form.slots.trim().parse().ok().filter(|slots| (1..=MAX_SLOTS).contains(slots));
    let labels = form.labels.split(',').filter_map(non_empty).collect();
    limits::check_labels("/labels", &labels)?;
    let isolation = ["auto", "external", "none"].into_iter().find(|known| *known == form.isolation);
    Ok(Plan {
        name,
        slots: slots.ok_or_else(|| Fault::of_field("slots", &format!("use 1 to {MAX_SLOTS}")))?,
        labels,
        isolation: isolation.ok_or_else(|| Fault::of_field("isolation", "choose one"))?,
        serves: parse_optional_id("project", &form.serves)?,
    })
}

/// Creates a token for this name only. Refuses a name in use, because the runner could not register with the token.
async fn create_runner_token(visit: &PageContext, plan: &Plan, form_key: String) -> Result<String, Fault> {
    match load_runner(&visit.ctx, &plan.name).await {
        Err(Error::NotFound { .. }) => {}
        Ok(_) => return Err(Error::Runner(Refusal::NameTaken { name: plan.name.clone() }).into()),
        Err(error) => return Err(error.into()),
    }
    let key = parse_id("form_key", &form_key)?;
    let new = NewToken {
        name: plan.name.clone(),
        kind: TokenKind::Runner,
        scopes: BTreeSet::new(),
        projects: plan.serves.clone().map(|project| [project].into()),
        runner: Some(plan.name.clone()),
        expires_in: None,
    };
    Ok(control::create_token(&visit.ctx, new, &visit.requester(), Some(key)).await?.text)
}

async fn render(
    visit: &PageContext,
    Releases(releases): Releases,
    form: RunnerForm,
    plan: Option<&Plan>,
    token: Result<Option<String>, Fault>,
) -> Result<Response, Fault> {
    let project = visit.load_selected_project(form.project.clone()).await?;
    let joined = match plan {
        Some(plan) => find_runner(visit, &plan.name).await?,
        None => None,
    };
    let (token, fault) = match token {
        Ok(token) => (token, None),
        Err(fault) => (None, Some(fault)),
    };
    let url = visit.ctx.pages_url();
    let page = NewRunnerPage {
        frame: visit.frame("Add runner", "runners", project.as_ref().map(|project| &project.id)),
        fault,
        plan: plan.map(|plan| line(&describe_plan(plan))),
        command: plan.zip(token).map(|(plan, token)| block(&format_command(plan, url, &token, releases))),
        joined,
        installs: !releases.is_empty(),
        local_only: ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|own| url.starts_with(own)),
        address: format_address(&form),
        form_key: new_form_key(),
        form: RunnerForm {
            slots: non_empty(&form.slots).unwrap_or_else(|| "3".into()),
            isolation: non_empty(&form.isolation).unwrap_or_else(|| "auto".into()),
            ..form
        },
    };
    Ok(render_form(page.fault.as_ref(), &page))
}

async fn find_runner(visit: &PageContext, name: &str) -> Result<Option<Joined>, Fault> {
    let member = match load_runner(&visit.ctx, name).await {
        Err(Error::NotFound { .. }) => return Ok(None),
        member => member?,
    };
    let runner = view_runner(member, visit.visitor.projects(), visit.ctx.clock.now());
    Ok(runner.map(|runner| Joined {
        pill: labels::runner(runner.status),
        online: runner.status == RunnerStatus::Online,
        address: format!("/setup/runners/{}", runner.id),
    }))
}

fn describe_plan(plan: &Plan) -> String {
    let mut parts = vec![plan.name.clone(), labels::format_count(plan.slots, "slot")];
    parts.extend(plan.labels.iter().map(|label| format!("label {label}")));
    parts.push(format!("isolation {}", plan.isolation));
    parts.extend(plan.serves.as_ref().map(|project| format!("only project {project}")));
    format!("{}.", parts.join(", "))
}

fn format_address(form: &RunnerForm) -> String {
    let fields = [
        ("name", &form.name),
        ("slots", &form.slots),
        ("labels", &form.labels),
        ("isolation", &form.isolation),
        ("serves", &form.serves),
    ];
    let pairs = fields.map(|(name, value)| format!("{name}={}", percent_encode(value)));
    let project = form.project.as_ref().map(|project| format!("&project={project}")).unwrap_or_default();
    format!("/setup/runners/new?{}{project}", pairs.join("&"))
}

/// The token is a variable, because every user of a machine can read argument lists.
fn format_command(plan: &Plan, url: &str, token: &str, releases: &str) -> String {
    let (install, start) = if releases.is_empty() {
        (String::new(), "pullyard runner start")
    } else {
        let install = format!("curl -fsSL {releases}/install.sh | sh -s -- --runner && ");
        (install + "PATH=\"$HOME/.local/bin:$PATH\" \\\n  ", "pullyard-runner setup --yes")
    };
    let mut command = format!(
        "{install}PULLYARD_RUNNER_TOKEN={token} \\\n  {start} --api-url {url} \\\n  --name {} --slots {} --isolation {}",
        plan.name, plan.slots, plan.isolation
    );
    if !plan.labels.is_empty() {
        let labels = plan.labels.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        command.push_str(&format!(" --labels {}", quote(&labels)));
    }
    command
}

/// Quotes for a POSIX shell: a link to this page may contain any label.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:/".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
