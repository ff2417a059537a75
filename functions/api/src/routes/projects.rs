//! Manages projects, their settings and their repositories.

use crate::routes::prelude::*;
use pullyard_control::{IfConnected, RepositorySettings};
use pullyard_domain::project::Settings;
use pullyard_domain::text::id::RepositoryName;
use pullyard_entry::Revision;
use pullyard_entry::openapi::CreatedResponse;
use pullyard_protocol::project::{
    AddRepository, CreateProject, DeletedProject, Project, ProjectPage, RemovedRepository, RenameColumn, RenameProject,
    RenamedColumn, Repositories, Repository,
};

pub(crate) fn project_to_wire(project: pullyard_domain::project::Project) -> Project {
    Project { id: project.id, name: project.name, settings: project.settings, revision: project.rev }
}

fn repository_to_wire(repository: pullyard_domain::project::Repository) -> Repository {
    Repository {
        integration: repository.integration,
        id: repository.id,
        name: repository.name,
        default_branch: repository.default_branch,
        clone_url: repository.clone_url,
        agent: repository.agent,
        workflows: repository.workflows,
        running_jobs: repository.running_jobs,
        labels: repository.labels,
        commands: repository.commands,
    }
}

pub(super) async fn load_project(ctx: &Context, id: &ProjectId) -> Result<pullyard_domain::project::Project, Problem> {
    let project = ctx.store.load_project(id).await?;
    project.ok_or_else(|| Problem::not_found(format!("There is no project {id}.")))
}

pub(crate) async fn list(
    caller: Caller<scope::Read>,
    Query(CursorQuery { after }): Query<CursorQuery>,
) -> Result<Json<ProjectPage>, Problem> {
    let may_see = |id: &ProjectId| caller.authorize_project(id).is_ok();
    let (ids, next) = caller.ctx.store.list_visible_project_ids(after.as_deref(), PAGE_SIZE, may_see).await?;
    let mut projects = Vec::with_capacity(ids.len());
    for id in &ids {
        projects.extend(caller.ctx.store.load_project(id).await?.map(project_to_wire));
    }
    Ok(Json(ProjectPage { projects, next }))
}

pub(crate) async fn create(
    caller: Caller<scope::Admin>,
    StrictJson(new): StrictJson<CreateProject>,
) -> Result<CreatedResponse<Project>, Problem> {
    caller.authorize_project(&new.id)?;
    limits::check_project(&new)?;
    let project = control::create_project(&caller.ctx, caller.projects(), new.id, new.name, new.settings).await?;
    Ok(CreatedResponse(project_to_wire(project)))
}

pub(crate) async fn show(
    ProjectCaller { caller, project }: ProjectCaller<scope::Read>,
) -> Result<Json<Project>, Problem> {
    Ok(Json(project_to_wire(load_project(&caller.ctx, &project).await?)))
}

pub(crate) async fn rename(
    ProjectCaller { caller, project }: ProjectCaller<scope::Admin>,
    StrictJson(request): StrictJson<RenameProject>,
) -> Result<Json<Project>, Problem> {
    limits::check_rename(&request)?;
    Ok(Json(project_to_wire(control::rename_project(&caller.ctx, &project, &request.name).await?)))
}

pub(crate) async fn delete(
    ProjectCaller { caller, project }: ProjectCaller<scope::Admin>,
) -> Result<Json<DeletedProject>, Problem> {
    let deletion = control::delete_project(&caller.ctx, &project).await?;
    let (tickets, deleted) = (u32::try_from(deletion.tickets).unwrap_or(u32::MAX), !deletion.has_more_tickets);
    Ok(Json(DeletedProject { id: project, tickets, deleted, report: deletion.report }))
}

/// `If-Match` must contain the current revision.
pub(crate) async fn set_settings(
    ProjectCaller { caller, project }: ProjectCaller<scope::Admin>,
    Revision(revision): Revision,
    StrictJson(settings): StrictJson<Settings>,
) -> Result<Json<Project>, Problem> {
    let changed = control::set_settings(&caller.ctx, caller.change_of(&project), settings, revision).await?;
    Ok(Json(project_to_wire(changed)))
}

pub(crate) async fn rename_column(
    ProjectCaller { caller, project }: ProjectCaller<scope::Admin>,
    StrictJson(request): StrictJson<RenameColumn>,
) -> Result<Json<RenamedColumn>, Problem> {
    limits::check_rename_column(&request)?;
    let control::RenamedColumn { project, moved_tickets, is_complete } =
        control::rename_column(&caller.ctx, &project, &request.from, &request.to).await?;
    Ok(Json(RenamedColumn { moved_tickets, complete: is_complete, columns: project.settings.statuses.columns }))
}

pub(crate) async fn add_repository(
    ProjectCaller { caller, project }: ProjectCaller<scope::Admin>,
    StrictJson(new): StrictJson<AddRepository>,
) -> Result<CreatedResponse<Repository>, Problem> {
    let AddRepository { integration, name, agent, workflows, commands, running_jobs, labels } = new;
    let if_connected = IfConnected::Replace;
    let work = RepositorySettings { agent, workflows, commands, running_jobs, labels, if_connected };
    let change = caller.change_of(&project);
    let repository = control::add_repository(&caller.ctx, change, &integration, &name, work).await?;
    Ok(CreatedResponse(repository_to_wire(repository)))
}

pub(crate) async fn repositories(
    ProjectCaller { caller, project }: ProjectCaller<scope::Read>,
) -> Result<Json<Repositories>, Problem> {
    // The list of an unknown project would be empty.
    load_project(&caller.ctx, &project).await?;
    let repositories = caller.ctx.store.list_repositories(&project).await?;
    Ok(Json(Repositories { repositories: repositories.into_iter().map(repository_to_wire).collect() }))
}

pub(crate) async fn remove_repository(
    ProjectCaller { caller, project }: ProjectCaller<scope::Admin>,
    Path((_, owner, name)): Path<(ProjectId, String, String)>,
) -> Result<Json<RemovedRepository>, Problem> {
    let unknown = |_| Problem::not_found(format!("There is no repository {owner}/{name}."));
    let repository = RepositoryName::new(format!("{owner}/{name}")).map_err(unknown)?;
    let control::RemovedRepository { repository, was_default } =
        control::remove_repository(&caller.ctx, &project, &repository).await?;
    Ok(Json(RemovedRepository { integration: repository.integration, name: repository.name, was_default }))
}
