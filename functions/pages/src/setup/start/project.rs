//! Step 1: creates a project.

use super::facts::Facts;
use super::{Drafts, Machine, render_failure, start_url};
use crate::prelude::*;
use axum::Extension;
use pullyard_domain::project::{Settings, Statuses};
use pullyard_protocol::project::CreateProject;

/// The columns of [`ProjectForm::roles`], both switches, and the name, which is never empty.
type Values = [String; 6];

fn values_of(Project { name, settings, .. }: &Project) -> Values {
    let Statuses { todo, trigger, completion, .. } = &settings.statuses;
    let [auto_create, revise] = [settings.auto_create, settings.revise_on_review].map(|on| if on { "on" } else { "" });
    [todo, trigger, completion, auto_create, revise, name].map(str::to_owned)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectForm {
    /// The project to change; empty for a new one.
    #[serde(default)]
    project: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) id: String,
    pub(super) trigger: String,
    pub(super) completion: String,
    pub(super) todo: String,
    /// The values that the page showed, one in each line. A repeat finishes an interrupted rename with them.
    #[serde(default)]
    pub(super) shown: String,
    pub(super) auto_create: Option<String>,
    pub(super) revise: Option<String>,
}

impl Default for ProjectForm {
    fn default() -> Self {
        let Statuses { todo, trigger, completion, .. } = Statuses::default();
        let [auto_create, revise] = [(); 2].map(|()| Some("on".to_owned()));
        let (project, name, id, shown) = Default::default();
        Self { project, name, id, trigger, completion, todo, shown, auto_create, revise }
    }
}

impl ProjectForm {
    /// Shows a project's present values, unless the form was refused.
    pub(super) fn prefill(&mut self, facts: Option<&Facts>) {
        if let Some(facts) = facts.filter(|_| self.project.is_empty()) {
            let values = values_of(&facts.project);
            self.shown = values.join("\n");
            self.set_values(values);
        }
    }

    fn values(&self) -> Values {
        let [auto_create, revise] = [&self.auto_create, &self.revise].map(|field| field.as_deref().unwrap_or_default());
        [&self.todo, &self.trigger, &self.completion, auto_create, revise, &self.name]
            .map(|text| text.trim().to_owned())
    }

    fn set_values(&mut self, [todo, trigger, completion, auto_create, revise, name]: Values) {
        [self.todo, self.trigger, self.completion, self.name] = [todo, trigger, completion, name];
        [self.auto_create, self.revise] = [auto_create, revise].map(|value| non_empty(&value));
    }

    /// The values that the page showed; the present ones if the form does not have them.
    fn shown_values(&self, project: &Project) -> Values {
        let shown: Vec<_> = self.shown.lines().map(str::to_owned).collect();
        shown.try_into().unwrap_or_else(|_| values_of(project))
    }

    /// Fields that the visitor did not change get the project's present values.
    /// Errors: 409 if another user has changed the same field; a repeat of the form replaces it.
    fn merge_changes(&mut self, project: &Project) -> Result<(), Fault> {
        let (mut typed, mut shown) = (self.values(), self.shown_values(project));
        let mut changes = Vec::new();
        for ((typed, shown), present) in typed.iter_mut().zip(&mut shown).zip(values_of(project)) {
            if typed == shown {
                typed.clone_from(&present);
            } else if *shown == present || *typed == present {
                continue;
            } else {
                changes.push(format!("{shown} became {present}"));
            }
            *shown = present;
        }
        self.set_values(typed);
        self.shown = shown.join("\n");
        if changes.is_empty() {
            return Ok(());
        }
        let sentence = format!("After this form was opened, {}.", changes.join(" and "));
        Err(Fault::conflict(&sentence).help("Nothing was saved. Save again to use your values instead."))
    }

    fn roles(&self) -> [String; 3] {
        [&self.todo, &self.trigger, &self.completion].map(|column| column.trim().to_owned())
    }

    /// A column that no longer has a typed name gets the new name, so that its place and its tickets stay.
    fn list_renames(&self, project: &Project) -> Vec<(String, String)> {
        let (roles, statuses) = (self.roles(), &project.settings.statuses);
        let mut renames: Vec<(String, String)> = Vec::new();
        let is_other_column = |from: &String, to: &String| statuses.has_column(from) && statuses.has_column(to);
        let pairs = self.shown_values(project).into_iter().zip(roles.clone());
        for (from, to) in pairs.filter(|(from, to)| !roles.contains(from) && !is_other_column(from, to)) {
            if !renames.iter().any(|(other, new)| *other == from || *new == to) {
                renames.push((from, to));
            }
        }
        renames
    }

    fn apply(&self, settings: Settings) -> Settings {
        let [todo, trigger, completion] = self.roles();
        let statuses = Statuses { todo, trigger, completion, ..settings.statuses }.with_missing_columns();
        let (auto_create, revise_on_review) = (self.auto_create.is_some(), self.revise.is_some());
        Settings { statuses, auto_create, revise_on_review, ..settings }
    }
}

pub(super) async fn create(
    visit: PageContext,
    Extension(machine): Extension<Machine>,
    Form(mut form): Form<ProjectForm>,
) -> Result<Response, Fault> {
    super::check_admin(&visit)?;
    let existing = match form.project.as_str() {
        "" => None,
        id => Some(visit.load_named_project(id).await?),
    };
    let id = existing.as_ref().map(|project| project.id.clone());
    let result = match existing {
        Some(project) => change_project(&visit, project, &mut form).await,
        None => create_project(&visit, &form).await,
    };
    match result {
        Ok(id) => Ok(redirect(&start_url(&id))),
        Err(fault) => {
            let drafts = Drafts { project: form, ..Drafts::default() };
            render_failure(&visit, machine, id, drafts, (1, fault)).await
        }
    }
}

/// Checks the values before the first write.
async fn change_project(visit: &PageContext, mut project: Project, form: &mut ProjectForm) -> Result<ProjectId, Fault> {
    form.merge_changes(&project)?;
    let renames = form.list_renames(&project);
    let mut settings = project.settings.clone();
    for (from, to) in &renames {
        settings.statuses = settings.statuses.rename_column(from, to).map_err(Error::from)?;
    }
    let (id, name) = (project.id.clone(), form.name.trim().to_owned());
    let changed = CreateProject { id, name, settings: form.apply(settings) };
    limits::check_project(&changed)?;
    let CreateProject { id, name, settings } = changed;
    settings.validate().map_err(Error::from)?;
    for (from, to) in renames {
        let renamed = control::rename_column(&visit.ctx, &id, &from, &to).await?;
        project = renamed.project;
        if !renamed.is_complete {
            let sentence = format!("{from} is now {to}, but time ran out before all of its tickets were moved.");
            return Err(Fault::conflict(&sentence).help("Save again to move the rest."));
        }
    }
    let settings = form.apply(project.settings.clone());
    if settings != project.settings {
        control::set_settings(&visit.ctx, visit.change_of(&id), settings, project.rev).await?;
    }
    Ok(control::rename_project(&visit.ctx, &id, &name).await?.id)
}

async fn create_project(visit: &PageContext, form: &ProjectForm) -> Result<ProjectId, Fault> {
    let id = non_empty(&form.id).unwrap_or_else(|| slug(&form.name));
    let id = ProjectId::new(id).map_err(|bad| Fault::invalid(&format!("The project needs an id: {}.", bad.0)))?;
    if !visit.visitor.may_access(&id) {
        return Err(Fault::not_allowed(&format!("use the project {id}")));
    }
    let statuses = Statuses { columns: Vec::new(), ..Statuses::default() };
    let settings = form.apply(Settings { statuses, ..Settings::default() });
    let new = CreateProject { id, name: form.name.trim().to_owned(), settings };
    limits::check_project(&new)?;
    Ok(control::create_project(&visit.ctx, visit.visitor.projects(), new.id, new.name, new.settings).await?.id)
}

/// `Web shop` becomes `web-shop`.
fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
    let text: String = name.chars().map(plain).collect();
    text.split_whitespace().collect::<Vec<_>>().join("-")
}
