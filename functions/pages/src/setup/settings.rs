//! Shows a project's settings by section, and changes one section at a time.

mod columns;
mod deletion;

use crate::labels::format_count;
use crate::prelude::*;
use axum::Router;
use axum::routing::{get, post};
use columns::{ColumnForm, ColumnRow, NewColumn};
use pullyard_domain::agent::egress;
use pullyard_domain::project::Settings;
use pullyard_domain::project::budget::{Budget, DailyUsage, format_usd};
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::text::to_sentence;
use pullyard_protocol::setting::{Kind, Section, Setting};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn routes() -> Router<Context> {
    Router::new()
        .route("/setup/settings", get(show).post(save))
        .route("/setup/settings/columns", post(columns::change))
        .route("/setup/settings/delete", get(deletion::confirm).post(deletion::delete))
}

#[derive(Deserialize)]
struct SettingsQuery {
    project: Option<ProjectId>,
    saved: Option<String>,
    /// The old and the new name of a column that still has tickets of the old name.
    from: Option<String>,
    to: Option<String>,
}

#[derive(Template)]
#[template(path = "settings.html", whitespace = "minimize")]
struct SettingsPage {
    frame: Frame,
    revision: u64,
    sections: Vec<SectionView>,
    columns: Vec<ColumnRow>,
    new_column: NewColumn,
    unfinished: Option<(String, String)>,
    repositories: Vec<String>,
    secrets: Vec<String>,
}

struct SectionView {
    section: Section,
    rows: Vec<Row>,
    usage: Option<Usage>,
    saved: bool,
    conflict: bool,
    /// A refusal that belongs to a setting of another section.
    fault: Option<Help>,
}

struct Row {
    setting: &'static Setting,
    name: String,
    /// Raw, because a changed character would be saved.
    text: String,
    choices: Vec<String>,
    changed: bool,
    /// Whether the project has removed a limit that exists by default.
    no_limit: bool,
    reset: Option<SafeText>,
    fault: Option<Help>,
    warning: Option<&'static str>,
    /// The stored value, if another change came first.
    stored: Option<SafeText>,
}

struct Usage {
    sentence: String,
    /// Units: percent of the daily budget.
    percent: Option<u64>,
}

struct SectionForm {
    section: Section,
    revision: u64,
    texts: BTreeMap<String, String>,
}

struct Refusal {
    form: SectionForm,
    status: StatusCode,
    /// JSON pointers and what to use there.
    faults: Vec<(String, String)>,
    column: Option<ColumnForm>,
}

impl Refusal {
    /// Errors: a fault that the page of settings cannot show.
    fn new(form: SectionForm, error: Error) -> Result<Self, Fault> {
        let (status, faults) = match error {
            Error::Invalid { pointer, fault } => (StatusCode::UNPROCESSABLE_ENTITY, vec![(pointer.to_owned(), fault)]),
            Error::RevisionMismatch { .. } => (StatusCode::CONFLICT, Vec::new()),
            error => return Err(error.into()),
        };
        Ok(Self { form, status, faults, column: None })
    }
}

async fn show(visit: PageContext, Query(query): Query<SettingsQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    let saved = Saved { section: query.saved, unfinished: query.from.zip(query.to) };
    render(&visit, &project.id, saved, None).await
}

async fn save(visit: PageContext, Form(mut texts): Form<BTreeMap<String, String>>) -> Result<Response, Fault> {
    visit.check_admin("change settings")?;
    let mut field = |name: &str| texts.remove(name).unwrap_or_default();
    let (id, section, revision, reset) = (field("project"), field("section"), field("revision"), field("reset"));
    let section = Section::ALL.into_iter().find(|known| known.code() == section);
    let (Some(section), Ok(revision)) = (section, revision.parse()) else { return Err(bad_form()) };
    if !texts.keys().all(|name| section.settings().any(|setting| setting.name() == *name)) {
        return Err(bad_form());
    }
    if let Some(setting) = section.settings().find(|setting| setting.name() == reset) {
        texts.insert(reset, setting.format(setting.default_value()));
    }
    let project = visit.load_named_project(&id).await?;
    match change(&visit, &project, SectionForm { section, revision, texts }).await? {
        None => Ok(redirect(&format!("/setup/settings?project={id}&saved={code}#{code}", code = section.code()))),
        Some(refusal) => render(&visit, &project.id, Saved::default(), Some(refusal)).await,
    }
}

fn bad_form() -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "bad_form", "The form could not be read.")
        .help("Open the page again and resend the form.")
}

/// Writes the section's values over the revision of the form; other settings stay.
async fn change(visit: &PageContext, project: &Project, form: SectionForm) -> Result<Option<Refusal>, Fault> {
    let mut settings = to_json(&project.settings);
    let mut faults = Vec::new();
    for setting in form.section.settings() {
        let Some(text) = form.texts.get(&setting.name()) else { continue };
        match setting.parse(text) {
            Some(value) => setting.store(&mut settings, value),
            None => faults.push((setting.pointer(), format!("use {}", setting.kind.values()))),
        }
    }
    if !faults.is_empty() {
        return Ok(Some(Refusal { form, status: StatusCode::UNPROCESSABLE_ENTITY, faults, column: None }));
    }
    let settings = serde_json::from_value::<Settings>(settings).map_err(|_| bad_form())?;
    match control::set_settings(&visit.ctx, visit.change_of(&project.id), settings, form.revision).await {
        Ok(_) => Ok(None),
        Err(error) => Refusal::new(form, error).map(Some),
    }
}

fn to_json(settings: &Settings) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

#[derive(Default)]
struct Saved {
    section: Option<String>,
    unfinished: Option<(String, String)>,
}

async fn render(
    visit: &PageContext,
    id: &ProjectId,
    saved: Saved,
    refusal: Option<Refusal>,
) -> Result<Response, Fault> {
    let (project, today) = control::load_budget(&visit.ctx, id).await?;
    let stored = to_json(&project.settings);
    let secrets = match visit.visitor.may_operate() {
        true => {
            let users = control::list_secret_users(&visit.ctx).await?;
            control::list_secrets(&visit.ctx, &users, None).await?.0
        }
        false => Vec::new(),
    };
    let repositories = visit.ctx.store.list_repositories(id).await?;
    let section_view = |section: Section| {
        let refusal = refusal.as_ref().filter(|refusal| refusal.form.section == section);
        let foreign = refusal.iter().flat_map(|refusal| &refusal.faults).find_map(|(pointer, fault)| {
            let setting = Setting::at(pointer).filter(|setting| setting.section != section)?;
            Some(text::help(&format!("{}: {fault}.", setting.label)))
        });
        SectionView {
            section,
            rows: section
                .settings()
                .filter(|setting| has_row(setting, visit.ctx.on_one_machine))
                .map(|setting| row(setting, &stored, refusal))
                .collect(),
            usage: (section == Section::Budgets).then(|| usage(&project.settings.budget, &today)),
            saved: saved.section.as_deref() == Some(section.code()) && saved.unfinished.is_none(),
            conflict: refusal.is_some_and(|refusal| refusal.status == StatusCode::CONFLICT),
            fault: foreign,
        }
    };
    let page = SettingsPage {
        frame: visit.frame(&format!("Settings for {}", project.name), "settings", Some(id)),
        sections: Section::ALL.into_iter().map(section_view).collect(),
        columns: columns::list_rows(&project.settings.statuses, refusal.as_ref()),
        new_column: columns::new_column(refusal.as_ref()),
        unfinished: saved.unfinished.clone(),
        revision: project.rev,
        repositories: repositories.iter().map(|repository| repository.name.to_string()).collect(),
        secrets: secrets.into_iter().filter(|entry| entry.kind == SecretKind::Job).map(|entry| entry.secret).collect(),
    };
    Ok(render_page(refusal.as_ref().map_or(StatusCode::OK, |refusal| refusal.status), &page))
}

/// False for settings that only the column forms show, and for Fargate's on a machine of the user.
pub(crate) fn has_row(setting: &Setting, on_one_machine: bool) -> bool {
    match setting.path {
        "statuses.columns" | "statuses.closed" => false,
        "task_size" | "task_capacity" => !on_one_machine,
        _ => true,
    }
}

fn row(setting: &'static Setting, stored: &Value, refusal: Option<&Refusal>) -> Row {
    let (name, default) = (setting.name(), setting.format(setting.default_value()));
    let current = setting.format(setting.value(stored));
    let typed = refusal.and_then(|refusal| refusal.form.texts.get(&name)).cloned();
    let text = typed.unwrap_or_else(|| current.clone());
    let is_conflict = refusal.is_some_and(|refusal| refusal.status == StatusCode::CONFLICT);
    let differs = setting.parse(&text).as_ref() != Some(setting.value(stored));
    let faults = refusal.map(|refusal| refusal.faults.as_slice()).unwrap_or_default();
    let fault = faults.iter().find(|(pointer, _)| *pointer == setting.pointer());
    let changed = !setting.is_default(stored);
    let reset =
        if default.is_empty() { "Clear".to_owned() } else { format!("Reset to {}", label_of(setting, &default)) };
    let mut choices: Vec<String> = match setting.kind {
        Kind::Column => serde_json::from_value(stored["statuses"]["columns"].clone()).unwrap_or_default(),
        _ => Vec::new(),
    };
    if !choices.contains(&text) {
        choices.push(text.clone());
    }
    Row {
        setting,
        choices,
        changed,
        no_limit: changed && setting.value(stored).is_null() && matches!(setting.kind, Kind::Number(_) | Kind::Usd),
        reset: changed.then(|| line(&reset)),
        fault: fault.map(|(_, fault)| text::help(&to_sentence(fault))),
        warning: egress::warn_if_open(text.lines()).filter(|_| setting.path == "egress"),
        stored: (is_conflict && differs).then(|| match current.is_empty() {
            true => line("no value"),
            false => line(&label_of(setting, &current)),
        }),
        name,
        text,
    }
}

fn label_of(setting: &Setting, value: &str) -> String {
    let choice = match setting.kind {
        Kind::Choice(choices) => choices.iter().find(|(code, _)| *code == value).map(|(_, label)| *label),
        Kind::Flag => Some(if value == "true" { "on" } else { "off" }),
        _ => None,
    };
    choice.unwrap_or(value).replace('\n', ", ")
}

fn usage(budget: &Budget, today: &DailyUsage) -> Usage {
    if !budget.has_limit() {
        let sentence = "Pullyard counts today’s spending once a daily budget or a limit of jobs is set.".into();
        return Usage { sentence, percent: None };
    }
    let (spent, reserved) = (format_usd(today.spent_usd_micros), format_usd(today.reserved_usd_micros()));
    let jobs = format_count(today.jobs, "job");
    let percent = |limit: u64| (today.taken_usd_micros.saturating_mul(100) / limit.max(1)).min(100);
    Usage {
        sentence: format!("Today ({}, UTC): {spent} spent, {reserved} reserved, {jobs}.", today.day),
        percent: budget.usd_micros_per_day.map(percent),
    }
}
