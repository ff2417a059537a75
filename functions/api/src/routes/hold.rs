//! Holds and releases a project, and shows its budget.

use super::projects::project_to_wire;
use crate::routes::prelude::*;
use pullyard_protocol::project::{BudgetUse, HoldProject, Project};

pub(crate) async fn hold(
    ProjectCaller { caller, project }: ProjectCaller<scope::Admin>,
    StrictJson(request): StrictJson<HoldProject>,
) -> Result<Json<Project>, Problem> {
    limits::check_hold(&request)?;
    Ok(Json(project_to_wire(control::hold_project(&caller.ctx, &project, &caller.name, &request.reason).await?)))
}

pub(crate) async fn release(
    ProjectCaller { caller, project }: ProjectCaller<scope::Admin>,
    StrictJson(NoFields {}): StrictJson<NoFields>,
) -> Result<Json<Project>, Problem> {
    Ok(Json(project_to_wire(control::release_project(&caller.ctx, &project).await?)))
}

pub(crate) async fn budget(
    ProjectCaller { caller, project }: ProjectCaller<scope::Read>,
) -> Result<Json<BudgetUse>, Problem> {
    let (project, today) = control::load_budget(&caller.ctx, &project).await?;
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
