//! Step 1: creates a project.

use super::facts::Facts;
use super::{Drafts, Machine, render_failure, start_url};
use crate::prelude::*;
use axum::Extension;
use pullyard_domain::project::{Settings, Statuses};
use pullyard_protocol::project::CreateProject;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectForm {
    /// The project to change; empty for a new one.
    #[serde(default)]
    project: String,
    /// Of the project that the form shows.
    #[serde(default)]
    pub(super) revision: u64,
    pub(super) name: String,
    #[serde(default)]
    pub(super) id: String,
    pub(super) trigger: String,
    pub(super) completion: String,
    pub(super) todo: String,
    /// The columns that the page showed, one in each line. A repeat finishes an interrupted rename with them.
    #[serde(default)]
    pub(super) shown: String,
    pub(super) auto_create: Option<String>,
    pub(super) revise: Option<String>,
}

impl Default for ProjectForm {
    fn default() -> Self {
        let Statuses { todo, trigger, completion, .. } = Statuses::default();
        let [auto_create, revise] = [(); 2].map(|()| Some("on".to_owned()));
        let (project, revision, name, id, shown) = Default::default();
        Self { project, revision, name, id, trigger, completion, todo, shown, auto_create, revise }
    }
}

impl ProjectForm {
    /// Shows a project's present values, unless the form was refused.
    pub(super) fn prefill(&mut self, facts: Option<&Facts>) {
        let Some(Facts { project: Project { name, settings, rev, .. }, .. }) =
            facts.filter(|_| self.project.is_empty())
        else {
            return;
        };
        let Statuses { todo, trigger, completion, .. } = settings.statuses.clone();
        let [auto_create, revise] =
            [settings.auto_create, settings.revise_on_review].map(|on| on.then(|| "on".to_owned()));
        let shown = [todo.as_str(), &trigger, &completion].join("\n");
        *self = Self {
            revision: *rev,
            name: name.clone(),
            trigger,
            completion,
            todo,
            shown,
            auto_create,
            revise,
            ..Self::default()
        };
    }

    fn roles(&self) -> [String; 3] {
        [&self.todo, &self.trigger, &self.completion].map(|column| column.trim().to_owned())
    }

    /// The columns that the page showed; `None` if the form does not have them.
    fn shown_roles(&self) -> Option<[String; 3]> {
        self.shown.lines().map(str::to_owned).collect::<Vec<_>>().try_into().ok()
    }

    /// Whether an earlier try of this form began to rename columns and did not end.
    fn is_interrupted(&self, statuses: &Statuses) -> bool {
        let (present, typed) = (roles_of(statuses), self.roles());
        self.shown_roles().is_some_and(|shown| {
            let mut all = present.iter().zip(&shown);
            present != shown && all.all(|(present, shown)| present == shown || typed.contains(present))
        })
    }

    /// A column that no longer has a typed name gets the new name, so that its place and its tickets stay.
    fn list_renames(&self, statuses: &Statuses) -> Vec<(String, String)> {
        let roles = self.roles();
        let shown = self.shown_roles().unwrap_or_else(|| roles_of(statuses));
        let mut renames: Vec<(String, String)> = Vec::new();
        let is_other_column = |from: &String, to: &String| statuses.has_column(from) && statuses.has_column(to);
        let pairs = shown.into_iter().zip(roles.clone());
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
    Form(form): Form<ProjectForm>,
) -> Result<Response, Fault> {
    super::check_admin(&visit)?;
    let existing = match form.project.as_str() {
        "" => None,
        id => Some(visit.load_named_project(id).await?),
    };
    let id = existing.as_ref().map(|project| project.id.clone());
    if existing.as_ref().is_some_and(|project| is_outdated(&form, project)) {
        // The form would undo the other change, so the page shows the present values instead.
        let fault = Fault::conflict("This project changed after the form was opened.")
            .help("Nothing was saved. The form now shows the present values: change them, then save again.");
        return render_failure(&visit, machine, id, Drafts::default(), (1, fault)).await;
    }
    let result = match existing {
        Some(project) => change_project(&visit, project, &form).await,
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

fn is_outdated(form: &ProjectForm, project: &Project) -> bool {
    let is_repeat = form.apply(project.settings.clone()) == project.settings;
    form.revision != project.rev && !is_repeat && !form.is_interrupted(&project.settings.statuses)
}

/// In the order of [`ProjectForm::roles`].
fn roles_of(Statuses { todo, trigger, completion, .. }: &Statuses) -> [String; 3] {
    [todo, trigger, completion].map(String::clone)
}

/// Checks the values before the first write.
async fn change_project(visit: &PageContext, mut project: Project, form: &ProjectForm) -> Result<ProjectId, Fault> {
    let renames = form.list_renames(&project.settings.statuses);
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
        control::set_settings(&visit.ctx, &id, settings, project.rev).await?;
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
    Ok(control::create_project(&visit.ctx, new.id, new.name, new.settings).await?.id)
}

/// `Web shop` becomes `web-shop`.
fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
    let text: String = name.chars().map(plain).collect();
    text.split_whitespace().collect::<Vec<_>>().join("-")
}
