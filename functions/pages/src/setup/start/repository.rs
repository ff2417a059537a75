//! Step 2: connects a forge and a repository.

use super::{Drafts, Machine, render_failure, start_url};
use crate::prelude::*;
use crate::setup::machine::{LOCAL_FORGE, LocalMachine};
use axum::Extension;
use pullyard_control::{IfConnected, RepositorySettings};
use pullyard_domain::agent::Agent;
use pullyard_domain::agent::checks::CommandOverrides;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::project::{Repository, Settings};
use pullyard_domain::text::format_error_chain;
use pullyard_domain::text::id::{IntegrationId, RepositoryName};
use std::path::Path;

/// Contains a token, so it has no `Debug`; templates show the other fields only.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RepositoryForm {
    project: String,
    /// `folder`, `connection` or the code of a forge.
    pub(super) by: String,
    pub(super) connection: String,
    pub(super) id: String,
    pub(super) api_url: String,
    token: String,
    pub(super) name: String,
    pub(super) folder: String,
    /// The connected repository that this one replaces, if any.
    pub(super) replace: String,
}

impl RepositoryForm {
    /// Shows the connected repository, unless the form was refused or the user chose another kind (`by`).
    pub(super) fn prefill(&mut self, connected: Option<&Repository>, machine: Option<&LocalMachine>, by: Option<&str>) {
        let refused = !self.by.is_empty();
        if let Some(by) = by {
            by.clone_into(&mut self.by);
        }
        let Some(repository) = connected.filter(|_| !refused) else { return };
        self.replace = repository.name.to_string();
        let folder = machine.filter(|_| repository.integration.as_str() == LOCAL_FORGE);
        let kind = if folder.is_some() { "folder" } else { "connection" };
        if by.is_some_and(|by| by != kind) {
            return;
        }
        (self.by, self.connection) = (kind.into(), repository.integration.to_string());
        let folder = folder.and_then(|machine| (machine.find_folder)(repository.name.as_str()));
        self.folder = folder.and_then(|folder| folder.to_str().map(str::to_owned)).unwrap_or_default();
        // A name that was made from the folder would be wrong for another one.
        let is_own = !self.folder.is_empty() && name_of_folder(&self.folder) != self.replace;
        if kind == "connection" || is_own {
            self.name.clone_from(&self.replace);
        }
    }
}

pub(super) async fn connect(
    visit: PageContext,
    Extension(machine): Extension<Machine>,
    Form(mut form): Form<RepositoryForm>,
) -> Result<Response, Fault> {
    let project = super::load_project(&visit, &form.project).await?;
    match connect_repository(&visit, machine.as_ref(), &project, &mut form).await {
        Ok(()) => Ok(redirect(&start_url(&project.id))),
        Err(fault) => {
            let drafts = Drafts { repository: form, ..Drafts::default() };
            render_failure(&visit, machine, Some(project.id), drafts, (2, fault)).await
        }
    }
}

async fn connect_repository(
    visit: &PageContext,
    machine: Option<&LocalMachine>,
    project: &Project,
    form: &mut RepositoryForm,
) -> Result<(), Fault> {
    if let Some(home) = machine.and_then(|machine| machine.home.as_deref()?.to_str()) {
        form.folder = expand_home(&form.folder, home);
    }
    // Not in the form, which shows the typed name again after a wrong folder.
    let typed = match form.name.trim() {
        "" if form.by == "folder" => name_of_folder(&form.folder),
        typed => typed.to_owned(),
    };
    let name: RepositoryName = parse_id("repository", &typed)?;
    let ctx = &visit.ctx;
    let replace: Option<RepositoryName> = match non_empty(&form.replace) {
        Some(replace) => Some(parse_id("repository to replace", &replace)?),
        None => None,
    };
    let replaced = match &replace {
        Some(replace) => ctx.store.load_repository_by_name(&project.id, replace).await?,
        None => None,
    };
    if let Some(connected) = ctx.store.load_repository_by_name(&project.id, &name).await? {
        let is_wanted = is_connected_as(machine, &connected, form);
        match (&replace, &replaced) {
            _ if !is_wanted => return Err(explain_connected(&connected, form)),
            // A crash may have come before the removal.
            (_, Some(replaced)) if !is_same(&connected, replaced) => {
                replace_repository(visit, &project.id, replaced, &connected).await?;
            }
            // The form was sent twice.
            (Some(_), None) => {}
            _ => {
                control::make_only_repository_default(ctx, &project.id).await?;
                return Err(explain_connected(&connected, form));
            }
        }
        return Ok(control::make_only_repository_default(ctx, &project.id).await?);
    }
    if let (Some(name), None) = (&replace, &replaced) {
        return Err(Fault::not_found(&format!("{} has no repository {name}.", project.id)));
    }
    let integration = connect_forge(visit, machine, &name, form).await?;
    // The forge stays connected if it refuses the repository.
    if form.by != "folder" {
        (form.by, form.connection) = ("connection".into(), integration.to_string());
    }
    let agent = replaced.as_ref().map_or_else(Agent::project_default, |replaced| replaced.agent.clone());
    let (workflows, commands, if_connected) = (false, CommandOverrides::default(), IfConnected::Keep);
    let works = RepositorySettings { agent, workflows, commands, running_jobs: None, labels: None, if_connected };
    let added = control::add_repository(ctx, visit.change_of(&project.id), &integration, &name, works).await?;
    match replaced {
        // The forge redirects a former name to the same repository.
        Some(replaced) if !is_same(&added, &replaced) => {
            replace_repository(visit, &project.id, &replaced, &added).await?;
        }
        _ => {}
    }
    Ok(control::make_only_repository_default(ctx, &project.id).await?)
}

/// Whether the repository is connected to the folder or by the connection of the form.
fn is_connected_as(machine: Option<&LocalMachine>, connected: &Repository, form: &RepositoryForm) -> bool {
    match form.by.as_str() {
        "folder" => {
            let folder = machine.and_then(|machine| (machine.find_folder)(connected.name.as_str()));
            let typed = Path::new(form.folder.trim()).canonicalize().ok();
            connected.integration.as_str() == LOCAL_FORGE
                && folder.is_some_and(|path| path.canonicalize().ok() == typed && typed.is_some())
        }
        "connection" => connected.integration.as_str() == form.connection.trim(),
        _ => connected.integration.as_str() == form.id.trim(),
    }
}

fn is_same(one: &Repository, other: &Repository) -> bool {
    (&one.integration, one.id) == (&other.integration, other.id)
}

fn explain_connected(connected: &Repository, form: &RepositoryForm) -> Fault {
    let Repository { project, name, .. } = connected;
    let sentence = format!("{name} is already connected to {project}; nothing was changed.");
    let help = match form.by.as_str() {
        "folder" => "For another folder, enter a name that is free in “Name here”.".to_owned(),
        _ => format!("For another connection, remove {name} on the page Repositories, then connect it here again."),
    };
    Fault::new(StatusCode::CONFLICT, "taken", &sentence).help(&help)
}

/// Removes the replaced repository. `added` becomes the default if the other one was.
async fn replace_repository(
    visit: &PageContext,
    id: &ProjectId,
    replaced: &Repository,
    added: &Repository,
) -> Result<(), Fault> {
    let removed = match control::remove_repository(&visit.ctx, id, &replaced.name).await {
        Err(Error::Denied(denial)) => {
            let help = format!(
                "{} is connected too. Remove {} on the page Repositories later, or keep both.",
                added.name, replaced.name
            );
            return Err(Fault::from(Error::Denied(denial)).help(&help));
        }
        removed => removed?,
    };
    if removed.was_default {
        let project = visit.load_project(id).await?;
        let settings = Settings { default_repository: Some(added.name.clone()), ..project.settings };
        control::set_settings(&visit.ctx, visit.change_of(id), settings, project.rev).await?;
    }
    Ok(())
}

fn expand_home(folder: &str, home: &str) -> String {
    match folder.trim().strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        _ => folder.to_owned(),
    }
}

/// Returns the connection: an existing one, or a new one whose secrets are stored first.
async fn connect_forge(
    visit: &PageContext,
    machine: Option<&LocalMachine>,
    name: &RepositoryName,
    form: &RepositoryForm,
) -> Result<IntegrationId, Fault> {
    let ctx = &visit.ctx;
    if form.by == "connection" {
        return parse_id("connection", form.connection.trim());
    }
    visit.check_all_projects()?;
    if form.by == "folder" {
        let machine = machine.ok_or_else(|| Fault::not_found("This server has no folder of yours."))?;
        let folder = Path::new(form.folder.trim());
        if !folder.is_absolute() {
            return Err(Fault::of_field("folder", "enter the full path, such as /home/ana/shop"));
        }
        (machine.link_folder)(name.as_str(), folder).map_err(|error| {
            let sentence = format!("Pullyard can’t {}.", format_error_chain(&*error));
            Fault::invalid(&sentence)
                .help("Enter the top folder of a git repository that has a commit, and a name that is free.")
        })?;
        return parse_id("connection", LOCAL_FORGE);
    }
    let id = parse_id("name of the connection", form.id.trim())?;
    let kind = ForgeKind::from_code(&form.by).ok_or_else(|| Fault::invalid("Pullyard does not know this forge."))?;
    let api_url = non_empty(&form.api_url).unwrap_or_else(|| kind.spec().api_url.to_owned());
    Ok(control::connect_forge_with_token(ctx, id, kind, &api_url, form.token.trim()).await?.id)
}

/// `local/shop` for `/home/ana/shop`; an empty text if the path has no last folder.
pub(super) fn name_of_folder(path: &str) -> String {
    let folder = Path::new(path.trim()).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    format!("{LOCAL_FORGE}/{}", folder.strip_suffix(".git").unwrap_or(folder))
}
