//! Projects, their settings and their repositories.

use super::page::{After, PAGE};
use axum::Json;
use axum::extract::State;
use pullyard_control::{self as control, Context, Error, RepositoryWork};
use pullyard_domain::id::{ProjectId, RepositoryName};
use pullyard_domain::project::Settings;
use pullyard_entry::openapi::Created;
use pullyard_entry::{Caller, Path, Problem, Query, Revision, Strict, limits, scope};
use pullyard_protocol::project::{
    AddRepository, CreateProject, Project, ProjectPage, RemovedRepository, Repositories, Repository,
};

pub(crate) fn shown(project: pullyard_domain::project::Project) -> Project {
    Project { id: project.id, name: project.name, settings: project.settings, revision: project.rev }
}

fn repository(repository: pullyard_domain::project::Repository) -> Repository {
    Repository {
        integration: repository.integration,
        id: repository.id,
        name: repository.name,
        default_branch: repository.default_branch,
        clone_url: repository.clone_url,
        agent: repository.agent,
        workflows: repository.workflows,
        commands: repository.commands,
    }
}

/// Filtered after the read, so an empty page need not be the last.
pub(crate) async fn list(
    State(ctx): State<Context>,
    caller: Caller<scope::Read>,
    Query(After { after }): Query<After>,
) -> Result<Json<ProjectPage>, Problem> {
    let (ids, next) = ctx.store.project_ids(after.as_deref(), PAGE).await.map_err(Error::from)?;
    let mut projects = Vec::with_capacity(ids.len());
    for id in ids.iter().filter(|id| caller.may_touch(id).is_ok()) {
        projects.extend(ctx.store.project(id).await.map_err(Error::from)?.map(shown));
    }
    Ok(Json(ProjectPage { projects, next }))
}

pub(crate) async fn create(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Strict(new): Strict<CreateProject>,
) -> Result<Created<Project>, Problem> {
    caller.may_touch(&new.id)?;
    limits::project(&new)?;
    let made = control::create_project(&ctx, new.id, new.name, new.settings).await?;
    Ok(Created(shown(made)))
}

pub(crate) async fn show(
    State(ctx): State<Context>,
    caller: Caller<scope::Read>,
    Path(project): Path<ProjectId>,
) -> Result<Json<Project>, Problem> {
    caller.may_touch(&project)?;
    let found = ctx.store.project(&project).await.map_err(Error::from)?;
    Ok(Json(shown(found.ok_or_else(|| Problem::not_found(format!("There is no project {project}.")))?)))
}

/// `If-Match` must contain the current revision.
pub(crate) async fn set_settings(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Path(project): Path<ProjectId>,
    Revision(revision): Revision,
    Strict(settings): Strict<Settings>,
) -> Result<Json<Project>, Problem> {
    caller.may_touch(&project)?;
    Ok(Json(shown(control::set_settings(&ctx, &project, settings, revision).await?)))
}

pub(crate) async fn add_repository(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Path(project): Path<ProjectId>,
    Strict(new): Strict<AddRepository>,
) -> Result<Created<Repository>, Problem> {
    caller.may_touch(&project)?;
    let work = RepositoryWork { agent: new.agent, workflows: new.workflows, commands: new.commands };
    let made = control::add_repository(&ctx, &project, &new.integration, &new.name, work).await?;
    Ok(Created(repository(made)))
}

pub(crate) async fn repositories(
    State(ctx): State<Context>,
    caller: Caller<scope::Read>,
    Path(project): Path<ProjectId>,
) -> Result<Json<Repositories>, Problem> {
    caller.may_touch(&project)?;
    if ctx.store.project(&project).await.map_err(Error::from)?.is_none() {
        return Err(Problem::not_found(format!("There is no project {project}.")));
    }
    let found = ctx.store.repositories(&project).await.map_err(Error::from)?;
    Ok(Json(Repositories { repositories: found.into_iter().map(repository).collect() }))
}

pub(crate) async fn remove_repository(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Path((project, owner, name)): Path<(ProjectId, String, String)>,
) -> Result<Json<RemovedRepository>, Problem> {
    caller.may_touch(&project)?;
    let unknown = |_| Problem::not_found(format!("There is no repository {owner}/{name}."));
    let repository = RepositoryName::new(format!("{owner}/{name}")).map_err(unknown)?;
    let control::RemovedRepository { repository, was_default } =
        control::remove_repository(&ctx, &project, &repository).await?;
    Ok(Json(RemovedRepository { integration: repository.integration, name: repository.name, was_default }))
}
