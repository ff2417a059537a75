//! A project's hold and budget.

use super::projects::shown;
use axum::Json;
use axum::extract::State;
use pullyard_control::{self as control, Context};
use pullyard_domain::id::ProjectId;
use pullyard_entry::{Caller, Path, Problem, Strict, limits, scope};
use pullyard_protocol::project::{BudgetUse, HoldProject, Project, ReleaseProject};

pub(crate) async fn hold(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Path(project): Path<ProjectId>,
    Strict(request): Strict<HoldProject>,
) -> Result<Json<Project>, Problem> {
    caller.may_touch(&project)?;
    limits::hold(&request)?;
    Ok(Json(shown(control::hold_project(&ctx, &project, &caller.name, &request.reason).await?)))
}

pub(crate) async fn release(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Path(project): Path<ProjectId>,
    Strict(ReleaseProject {}): Strict<ReleaseProject>,
) -> Result<Json<Project>, Problem> {
    caller.may_touch(&project)?;
    Ok(Json(shown(control::release_project(&ctx, &project).await?)))
}

pub(crate) async fn budget(
    State(ctx): State<Context>,
    caller: Caller<scope::Read>,
    Path(project): Path<ProjectId>,
) -> Result<Json<BudgetUse>, Problem> {
    caller.may_touch(&project)?;
    let (project, today) = control::budget_of(&ctx, &project).await?;
    Ok(Json(BudgetUse {
        project: project.id,
        budget: project.settings.budget,
        day: today.day.to_string(),
        until: today.day.end(),
        jobs: today.jobs,
        reserved_usd_micros: today.reserved_usd_micros(),
        spent_usd_micros: today.spent_usd_micros,
    }))
}
