//! Lists, changes and runs schedules.

use crate::routes::prelude::*;
use pullyard_domain::project::schedule as domain;
use pullyard_domain::project::schedule::{ScheduleCommand, ScheduleId, ScheduleSpec};
use pullyard_domain::text::id::ScheduleName;
use pullyard_protocol::schedule::{Schedule, Schedules};

fn to_wire(ctx: &Context, schedule: domain::Schedule) -> Json<Schedule> {
    Json(Schedule::new(schedule, ctx.clock.now()))
}

fn to_list(ctx: &Context, all: Vec<domain::Schedule>) -> Json<Schedules> {
    Json(Schedules { schedules: all.into_iter().map(|schedule| to_wire(ctx, schedule).0).collect() })
}

pub(crate) async fn list(
    ProjectCaller { caller, project }: ProjectCaller<scope::Read>,
) -> Result<Json<Schedules>, Problem> {
    super::projects::load_project(&caller.ctx, &project).await?;
    Ok(to_list(&caller.ctx, caller.ctx.store.list_schedules(&project).await?))
}

pub(crate) async fn show(
    ProjectCaller { caller, .. }: ProjectCaller<scope::Read>,
    Path(id): Path<ScheduleId>,
) -> Result<Json<Schedule>, Problem> {
    Ok(to_wire(&caller.ctx, control::load_schedule(&caller.ctx, &id).await?))
}

pub(crate) async fn put(
    ProjectCaller { caller, .. }: ProjectCaller<scope::Jobs>,
    Path(id): Path<ScheduleId>,
    StrictJson(spec): StrictJson<ScheduleSpec>,
) -> Result<Json<Schedule>, Problem> {
    Ok(to_wire(&caller.ctx, control::put_schedule(&caller.ctx, &id, spec).await?))
}

pub(crate) async fn delete(
    ProjectCaller { caller, .. }: ProjectCaller<scope::Jobs>,
    Path(id): Path<ScheduleId>,
) -> Result<Json<Schedule>, Problem> {
    Ok(to_wire(&caller.ctx, control::delete_schedule(&caller.ctx, &id).await?))
}

pub(crate) async fn command(
    ProjectCaller { caller, .. }: ProjectCaller<scope::Jobs>,
    Path((project, name, command)): Path<(ProjectId, ScheduleName, ScheduleCommand)>,
) -> Result<Json<Schedule>, Problem> {
    let id = ScheduleId { project, name };
    Ok(to_wire(&caller.ctx, control::command_schedule(&caller.ctx, &id, command).await?))
}

pub(crate) async fn run_due(caller: Caller<scope::Jobs>) -> Result<Json<Schedules>, Problem> {
    let projects = match caller.projects() {
        Some(projects) => projects.iter().cloned().collect(),
        None => caller.ctx.store.list_all_project_ids().await?,
    };
    Ok(to_list(&caller.ctx, control::run_due_schedules(&caller.ctx, &projects).await?))
}
