//! Step 1: creates a project.

use super::{Drafts, Machine, render_failure, start_url};
use crate::prelude::*;
use axum::Extension;
use pullyard_domain::project::{Settings, Statuses};
use pullyard_protocol::project::CreateProject;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectForm {
    pub(super) name: String,
    #[serde(default)]
    pub(super) id: String,
    pub(super) trigger: String,
    pub(super) completion: String,
    pub(super) todo: String,
    pub(super) auto_create: Option<String>,
}

impl Default for ProjectForm {
    fn default() -> Self {
        let Statuses { todo, trigger, completion, .. } = Statuses::default();
        let auto_create = Some("on".to_owned());
        Self { name: String::new(), id: String::new(), trigger, completion, todo, auto_create }
    }
}

pub(super) async fn create(
    visit: PageContext,
    Extension(machine): Extension<Machine>,
    Form(form): Form<ProjectForm>,
) -> Result<Response, Fault> {
    super::check_admin(&visit)?;
    match create_project(&visit, &form).await {
        Ok(project) => Ok(redirect(&start_url(&project))),
        Err(fault) => {
            let drafts = Drafts { project: form, ..Drafts::default() };
            render_failure(&visit, machine, None, drafts, (1, fault)).await
        }
    }
}

async fn create_project(visit: &PageContext, form: &ProjectForm) -> Result<ProjectId, Fault> {
    let id = non_empty(&form.id).unwrap_or_else(|| slug(&form.name));
    let id = ProjectId::new(id).map_err(|bad| Fault::invalid(&format!("The project needs an id: {}.", bad.0)))?;
    if !visit.visitor.may_access(&id) {
        return Err(Fault::not_allowed(&format!("use the project {id}")));
    }
    let column = |text: &str| text.trim().to_owned();
    let statuses = Statuses {
        todo: column(&form.todo),
        trigger: column(&form.trigger),
        completion: column(&form.completion),
        columns: Vec::new(),
        ..Statuses::default()
    };
    let statuses = statuses.with_missing_columns();
    let settings = Settings { statuses, auto_create: form.auto_create.is_some(), ..Settings::default() };
    let new = CreateProject { id, name: form.name.trim().to_owned(), settings };
    limits::check_project(&new)?;
    Ok(control::create_project(&visit.ctx, new.id, new.name, new.settings).await?.id)
}

/// `Web shop` becomes `web-shop`.
fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
    let text: String = name.chars().map(plain).collect();
    text.split_whitespace().collect::<Vec<_>>().join("-")
}
