//! Lists secrets by name, sets, rotates, tests and deletes them. No page contains a value.

use super::machine::{LocalMachine, model_urls};
use super::repositories::RemovalPage;
use crate::labels::format_time;
use crate::prelude::*;
use axum::routing::{get, post};
use axum::{Extension, Router};
use pullyard_domain::agent::key_check::ModelKeyTest;
use pullyard_domain::project::secret::{SecretKind, SecretUser};
use pullyard_domain::text::id::SecretName;
use pullyard_domain::text::to_sentence;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) fn routes() -> Router<Context> {
    Router::new()
        .route("/setup/secrets", get(show).post(set))
        .route("/setup/secrets/projects", post(set_projects))
        .route("/setup/secrets/rotate", post(rotate))
        .route("/setup/secrets/delete", get(confirm_deletion).post(delete))
}

/// Choices of how long the previous value stays valid. Units: seconds.
const OVERLAPS: [(u64, &str); 4] =
    [(0, "No longer"), (3_600, "For 1 hour"), (86_400, "For 24 hours"), (604_800, "For 7 days")];

#[derive(Default, Deserialize)]
struct SecretsQuery {
    project: Option<ProjectId>,
    after: Option<String>,
    saved: Option<SecretName>,
    listed: Option<SecretName>,
    deleted: Option<SecretName>,
    name: Option<SecretName>,
    kind: Option<SecretKind>,
    rotate: Option<SecretName>,
    test: Option<SecretName>,
}

#[derive(Template)]
#[template(path = "secrets.html")]
struct SecretsPage {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
    saved: Option<SafeText>,
    listed: Option<SafeText>,
    deleted: Option<SafeText>,
    key_test: Option<ModelKeyTest>,
    is_hook: bool,
    forms: Forms,
}

struct Forms {
    name: SafeText,
    kind: SecretKind,
    set_fault: Option<Fault>,
    listed: SafeText,
    listed_kind: SecretKind,
    projects: SafeText,
    list_fault: Option<Fault>,
    rotate: SafeText,
    /// Units: seconds.
    overlap: u64,
    rotate_fault: Option<Fault>,
}

impl Default for Forms {
    fn default() -> Self {
        let kind = SecretKind::default();
        Self {
            name: SafeText::default(),
            kind,
            set_fault: None,
            listed: SafeText::default(),
            listed_kind: kind,
            projects: SafeText::default(),
            list_fault: None,
            rotate: SafeText::default(),
            overlap: 86_400,
            rotate_fault: None,
        }
    }
}

struct Row {
    name: SafeText,
    full_name: SafeText,
    kind: SecretKind,
    users: SafeText,
    /// The projects that may use it; `None` without a list.
    projects: Option<SafeText>,
    set: Option<TimeLabel>,
    previous_until: Option<String>,
    /// Addresses of the forms that change it; `None` for a secret that Pullyard made.
    addresses: Option<[String; 2]>,
    /// The address of a test, if the project uses the secret as a key that has one.
    test: Option<String>,
}

/// No `Debug`, because it contains the value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetForm {
    #[serde(default)]
    project: String,
    name: String,
    kind: SecretKind,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListForm {
    #[serde(default)]
    project: String,
    name: String,
    kind: SecretKind,
    projects: String,
}

/// No `Debug`, because it contains the value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateForm {
    #[serde(default)]
    project: String,
    name: String,
    value: String,
    overlap_secs: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteForm {
    #[serde(default)]
    project: String,
    name: SecretName,
    kind: SecretKind,
}

async fn show(
    visit: PageContext,
    Extension(machine): Extension<Option<LocalMachine>>,
    Query(query): Query<SecretsQuery>,
) -> Result<Response, Fault> {
    check_admin(&visit)?;
    let project = visit.load_selected_project(query.project.clone()).await?;
    let test = match (&query.test, &project) {
        (Some(name), Some(project)) => {
            let urls = model_urls(machine.as_ref());
            Some(control::check_model_key_of_project(&visit.ctx, &urls, project, name).await.map_err(explain)?)
        }
        _ => None,
    };
    let text = |name: &Option<SecretName>| line(name.as_ref().map(SecretName::as_str).unwrap_or_default());
    let (name, rotate) = (text(&query.name), text(&query.rotate));
    let forms = Forms { name, kind: query.kind.unwrap_or_default(), rotate, ..Forms::default() };
    render(&visit, project.as_ref(), query, test, forms).await
}

async fn set(visit: PageContext, Form(form): Form<SetForm>) -> Result<Response, Fault> {
    check_admin(&visit)?;
    let value = normalize_value(&form.value);
    let result = match parse_name(&form.name) {
        Ok(name) => control::set_secret(&visit.ctx, form.kind, &name, &value).await.map_err(explain),
        Err(fault) => Err(fault),
    };
    match result {
        Ok(secret) => Ok(redirect(&address("saved", &form.project, &secret.name))),
        Err(fault) => {
            let set_fault = Some(fault.for_form()?);
            let forms = Forms { name: line(&form.name), kind: form.kind, set_fault, ..Forms::default() };
            render_refusal(&visit, form.project, forms).await
        }
    }
}

async fn set_projects(visit: PageContext, Form(form): Form<ListForm>) -> Result<Response, Fault> {
    check_admin(&visit)?;
    let change = async {
        let name = parse_name(&form.name)?;
        let projects = parse_projects(&form.projects).map_err(|bad| Fault::of_field("projects", bad))?;
        control::set_secret_projects(&visit.ctx, form.kind, &name, projects.as_ref()).await.map_err(explain)?;
        Ok::<_, Fault>(name)
    };
    match change.await {
        Ok(name) => Ok(redirect(&address("listed", &form.project, &name))),
        Err(fault) => {
            let forms = Forms {
                listed: line(&form.name),
                listed_kind: form.kind,
                projects: line(&form.projects),
                list_fault: Some(fault.for_form()?),
                ..Forms::default()
            };
            render_refusal(&visit, form.project, forms).await
        }
    }
}

/// The ids of a list, separated by commas or spaces. An empty text is no list.
pub(super) fn parse_projects(text: &str) -> Result<Option<BTreeSet<ProjectId>>, &'static str> {
    let ids = text.split([',', ' ']).filter_map(non_empty);
    let projects: BTreeSet<_> = ids.map(ProjectId::new).collect::<Result<_, _>>().map_err(|bad| bad.0)?;
    Ok(Some(projects).filter(|projects| !projects.is_empty()))
}

pub(super) fn join_projects(projects: Option<&BTreeSet<ProjectId>>) -> String {
    projects.into_iter().flatten().map(ProjectId::as_str).collect::<Vec<_>>().join(", ")
}

async fn rotate(visit: PageContext, Form(form): Form<RotateForm>) -> Result<Response, Fault> {
    check_admin(&visit)?;
    let value = Some(normalize_value(&form.value)).filter(|value| !value.is_empty());
    let value = value.unwrap_or_else(control::generate_secret_value);
    let overlap = Duration::from_secs(form.overlap_secs);
    let result = match parse_name(&form.name) {
        Ok(name) if form.value.trim().is_empty() && !name.is_for_hook() => {
            Err(Fault::invalid("Enter the new value. Pullyard generates one only for a webhook’s secret."))
        }
        Ok(name) => control::rotate_secret(&visit.ctx, &name, &value, overlap).await.map_err(explain),
        Err(fault) => Err(fault),
    };
    match result {
        Ok((secret, _)) => Ok(redirect(&address("saved", &form.project, &secret.name))),
        Err(fault) => {
            let rotate_fault = Some(fault.for_form()?);
            let (rotate, overlap) = (line(&form.name), form.overlap_secs);
            render_refusal(&visit, form.project, Forms { rotate, overlap, rotate_fault, ..Forms::default() }).await
        }
    }
}

async fn confirm_deletion(visit: PageContext, Query(form): Query<DeleteForm>) -> Result<Response, Fault> {
    check_admin(&visit)?;
    Ok(question(&visit, form, None).render())
}

async fn delete(visit: PageContext, Form(form): Form<DeleteForm>) -> Result<Response, Fault> {
    check_admin(&visit)?;
    match control::delete_secret(&visit.ctx, form.kind, &form.name).await {
        Ok(_) => Ok(redirect(&address("deleted", &form.project, &form.name))),
        Err(error @ Error::Denied(_)) => Ok(question(&visit, form, Some(error.into())).render()),
        Err(error) => Err(error.into()),
    }
}

fn question(visit: &PageContext, DeleteForm { project, name, kind }: DeleteForm, fault: Option<Fault>) -> RemovalPage {
    let id = ProjectId::new(&project).ok();
    let kind = match kind {
        SecretKind::Forge => "forge",
        SecretKind::Job => "job",
    };
    RemovalPage {
        frame: visit.frame("Delete a secret", "settings", id.as_ref()),
        question: line(&format!("Delete the secret {name}?")),
        effect: line(
            "Its value cannot be restored. A connection, a webhook or a setting that names it blocks the deletion.",
        ),
        verb: "Delete secret",
        action: "/setup/secrets/delete".into(),
        fields: vec![("project", project.clone()), ("name", name.to_string()), ("kind", kind.into())],
        option: None,
        back: format!("/setup/secrets{}", id.map(|id| format!("?project={id}")).unwrap_or_default()),
        fault,
    }
}

fn check_admin(visit: &PageContext) -> Result<(), Fault> {
    visit.check_operator("list or change secrets, which belong to all projects")
}

fn explain(error: Error) -> Fault {
    match error {
        Error::NotFound { resource: "project", name } => {
            Fault::of_field("projects", &format!("there is no project {name}"))
        }
        Error::Invalid { fault, .. } => Fault::invalid(&to_sentence(&fault)),
        error => error.into(),
    }
}

fn parse_name(name: &str) -> Result<SecretName, Fault> {
    SecretName::new(name.trim()).map_err(|bad| Fault::invalid(&format!("The field name: {}.", bad.0)))
}

/// Browsers send line breaks as CRLF, and a copied value often ends with a line break that does not belong to it.
fn normalize_value(value: &str) -> String {
    let value = value.replace("\r\n", "\n");
    value.strip_suffix('\n').unwrap_or(&value).to_owned()
}

fn address(change: &str, project: &str, name: &SecretName) -> String {
    let project = non_empty(project).map(|project| format!("&project={}", percent_encode(&project)));
    format!("/setup/secrets?{change}={name}{}", project.unwrap_or_default())
}

async fn render_refusal(visit: &PageContext, project: String, forms: Forms) -> Result<Response, Fault> {
    let project = visit.load_selected_project(ProjectId::new(project).ok()).await?;
    render(visit, project.as_ref(), SecretsQuery::default(), None, forms).await
}

async fn render(
    visit: &PageContext,
    project: Option<&Project>,
    query: SecretsQuery,
    test: Option<ModelKeyTest>,
    forms: Forms,
) -> Result<Response, Fault> {
    let keys: Vec<_> = project.iter().flat_map(|project| project.settings.model_secrets.iter()).collect();
    let project = project.map(|project| &project.id);
    let all_users = control::list_secret_users(&visit.ctx).await?;
    let (secrets, next) = control::list_secrets(&visit.ctx, &all_users, query.after.as_deref()).await?;
    let names = secrets.iter().map(|secret| secret.secret.as_str());
    let lists: BTreeMap<_, _> = control::list_secret_projects(&visit.ctx, names).await?.into_iter().collect();
    let now = visit.ctx.clock.now();
    let mut rows = Vec::with_capacity(secrets.len());
    for secret in &secrets {
        let previous = match secret.kind {
            SecretKind::Forge => control::previous_valid_until(&visit.ctx, &secret.secret).await?,
            SecretKind::Job => None,
        };
        let of_project = project.map(|project| format!("&project={project}")).unwrap_or_default();
        let is_testable = keys.iter().any(|(kind, name)| *name == secret.secret && kind.spec().is_testable);
        let users = all_users.get(&secret.secret).map(Vec::as_slice).unwrap_or_default();
        let (kind, change) = match secret.kind {
            SecretKind::Forge => ("forge", format!("/setup/secrets?rotate={}{of_project}#rotate", secret.name)),
            SecretKind::Job => ("job", format!("/setup/secrets?name={}&kind=job{of_project}#set", secret.name)),
        };
        let delete = format!("/setup/secrets/delete?name={}&kind={kind}{of_project}", secret.name);
        rows.push(Row {
            test: is_testable.then(|| format!("/setup/secrets?test={}{of_project}", secret.name)),
            name: line(secret.name.as_str()),
            full_name: line(&secret.secret),
            kind: secret.kind,
            set: secret.set_at.map(|at| format_time(at, now)),
            previous_until: previous.map(|until| until.to_string()),
            addresses: (!users.contains(&SecretUser::LocalForge {})).then_some([change, delete]),
            projects: lists.get(&secret.secret).map(|list| match list.is_empty() {
                true => line("no project"),
                false => line(&join_projects(Some(list))),
            }),
            users: line(&users.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        });
    }
    let page = SecretsPage {
        frame: visit.frame("Secrets", "settings", project),
        rows,
        next: next.map(|next| format!("/setup/secrets?after={next}")),
        is_hook: query.saved.as_ref().is_some_and(SecretName::is_for_hook),
        saved: query.saved.as_ref().map(|name| line(name.as_str())),
        listed: query.listed.as_ref().map(|name| line(name.as_str())),
        deleted: query.deleted.as_ref().map(|name| line(name.as_str())),
        key_test: test,
        forms,
    };
    let Forms { set_fault, list_fault, rotate_fault, .. } = &page.forms;
    let refusal = set_fault.as_ref().or(list_fault.as_ref()).or(rotate_fault.as_ref());
    Ok(render_form(refusal, &page))
}
