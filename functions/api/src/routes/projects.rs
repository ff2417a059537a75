//! Projects, their settings and their repositories.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use pullyard_control::{self as control, Context, Error};
use pullyard_domain::id::ProjectId;
use pullyard_domain::project::Settings;
use pullyard_entry::{Caller, Path, Problem, Strict, limits, scope};
use pullyard_protocol::project::{AddRepository, CreateProject, Project, Repository};

fn shown(project: pullyard_domain::project::Project) -> Json<Project> {
    Json(Project { id: project.id, name: project.name, settings: project.settings, revision: project.rev })
}

/// Makes a project.
pub(crate) async fn create(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Strict(new): Strict<CreateProject>,
) -> Result<(StatusCode, Json<Project>), Problem> {
    caller.may_touch(&new.id)?;
    limits::project(&new)?;
    let made = control::create_project(&ctx, new.id, new.name, new.settings).await?;
    Ok((StatusCode::CREATED, shown(made)))
}

/// A project.
pub(crate) async fn show(
    State(ctx): State<Context>,
    caller: Caller<scope::Read>,
    Path(project): Path<ProjectId>,
) -> Result<Json<Project>, Problem> {
    caller.may_touch(&project)?;
    let found = ctx.store.project(&project).await.map_err(Error::from)?;
    Ok(shown(found.ok_or_else(|| Problem::not_found(format!("There is no project {project}.")))?))
}

/// Replaces the settings, over the revision that `If-Match` names.
pub(crate) async fn set_settings(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Path(project): Path<ProjectId>,
    headers: HeaderMap,
    Strict(settings): Strict<Settings>,
) -> Result<Json<Project>, Problem> {
    caller.may_touch(&project)?;
    let revision = headers
        .get(header::IF_MATCH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim_matches('"').parse().ok())
        .ok_or_else(|| {
            Problem::new(StatusCode::PRECONDITION_REQUIRED, "revision_missing", "The revision you saw is missing.")
                .help("Send `If-Match: \"REVISION\"` with the project's revision.")
        })?;
    Ok(shown(control::set_settings(&ctx, &project, settings, revision).await?))
}

/// Connects a repository, after asking its forge for it.
pub(crate) async fn add_repository(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Path(project): Path<ProjectId>,
    Strict(new): Strict<AddRepository>,
) -> Result<(StatusCode, Json<Repository>), Problem> {
    caller.may_touch(&project)?;
    let made = control::add_repository(&ctx, &project, &new.integration, &new.name, new.agent).await?;
    let shown = Repository {
        integration: made.integration,
        id: made.id,
        name: made.name,
        default_branch: made.default_branch,
        clone_url: made.clone_url,
        agent: made.agent,
    };
    Ok((StatusCode::CREATED, Json(shown)))
}
