//! Step 2: connects a forge and a repository.

use super::{Drafts, Machine, render_failure, start_url};
use crate::prelude::*;
use crate::setup::machine::{LOCAL_FORGE, LocalMachine};
use axum::Extension;
use pullyard_control::RepositorySettings;
use pullyard_domain::agent::Agent;
use pullyard_domain::checks::CommandOverrides;
use pullyard_domain::id::{IntegrationId, RepositoryName};
use pullyard_domain::project::ForgeKind;
use pullyard_domain::text::format_error_chain;
use std::path::Path;

/// Contains a token, so it has no `Debug`; templates show the other fields only.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RepositoryForm {
    project: String,
    /// One of the choices of the page: folder, connection, github, bitbucket.
    pub(super) by: String,
    pub(super) connection: String,
    pub(super) id: String,
    pub(super) api_url: String,
    token: String,
    pub(super) name: String,
    pub(super) folder: String,
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
    if form.by == "folder" && form.name.trim().is_empty() {
        form.name = name_of_folder(&form.folder);
    }
    let name: RepositoryName = parse_id("repository", form.name.trim())?;
    let ctx = &visit.ctx;
    if ctx.store.load_repository_by_name(&project.id, &name).await?.is_some() {
        // A crash may have come before this write.
        control::make_only_repository_default(ctx, &project.id).await?;
        let sentence = format!("{name} is already connected to {}; nothing was changed.", project.id);
        return Err(Fault::new(StatusCode::CONFLICT, "taken", &sentence).help("Connect another repository."));
    }
    let integration = connect_forge(visit, machine, &name, form).await?;
    // The forge stays connected if it refuses the repository.
    if form.by != "folder" {
        (form.by, form.connection) = ("connection".into(), integration.to_string());
    }
    let commands = CommandOverrides::default();
    let works = RepositorySettings { agent: Agent::project_default(), workflows: false, commands };
    control::add_repository(ctx, &project.id, &integration, &name, works).await?;
    Ok(control::make_only_repository_default(ctx, &project.id).await?)
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
    let kind = if form.by == "bitbucket" { ForgeKind::Bitbucket } else { ForgeKind::GitHub };
    let api_url = non_empty(&form.api_url).unwrap_or_else(|| kind.default_api_url().to_owned());
    Ok(control::connect_forge_with_token(ctx, id, kind, &api_url, form.token.trim()).await?.id)
}

/// `local/shop` for `/home/ana/shop`; an empty text if the path has no last folder.
fn name_of_folder(path: &str) -> String {
    let folder = Path::new(path.trim()).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    format!("{LOCAL_FORGE}/{}", folder.strip_suffix(".git").unwrap_or(folder))
}
