//! Checks plans, and starts, shows and orders their runs.

use crate::routes::prelude::*;
use axum::http::StatusCode;
use pullyard_control::{RunKey, RunOrder, RunSubmission, SubmitFault};
use pullyard_domain::project::budget::parse_usd_micros;
use pullyard_domain::project::plan::MAX_FAULTS;
use pullyard_domain::run::Answer;
use pullyard_domain::text::format_count;
use pullyard_domain::text::id::RunId;
use pullyard_entry::openapi::CreatedOrExisting;
use pullyard_protocol::run::{CheckPlan, MergeRun, OpenPullRequest, ResumeRun, Run, RunPage, StartRun};

/// `422` with the faults of the plan.
pub(crate) async fn check(
    caller: Caller<scope::Jobs>,
    StrictJson(CheckPlan { project, plan }): StrictJson<CheckPlan>,
) -> Result<Json<NoFields>, Problem> {
    caller.authorize_project(&project)?;
    control::check_plan(&caller.ctx, &project, &plan.into()).await.map_err(submit_problem)?;
    Ok(Json(NoFields {}))
}

/// `201` for a new run, `200` for a repeat, `422` with the faults of the plan.
pub(crate) async fn start(
    caller: Caller<scope::Jobs>,
    IdempotencyKey(key): IdempotencyKey,
    StrictJson(request): StrictJson<StartRun>,
) -> Result<CreatedOrExisting<Run>, Problem> {
    let StartRun { project, plan, params, repository, base, run_id } = request;
    caller.authorize_project(&project)?;
    let key = run_id.map(RunKey::Run).or_else(|| key.map(RunKey::Caller));
    let submission = RunSubmission { project, plan: plan.into(), template: None, params, repository, base };
    start_run(&caller, &submission, key).await
}

pub(super) async fn start_run(
    caller: &Caller<scope::Jobs>,
    submission: &RunSubmission,
    key: Option<RunKey>,
) -> Result<CreatedOrExisting<Run>, Problem> {
    let submitted = control::submit_run(&caller.ctx, submission, &caller.requester(), key.as_ref()).await;
    let submitted = submitted.map_err(submit_problem)?;
    let run = show_whole(&caller.ctx, &submitted.run.id).await?;
    Ok(if submitted.is_repeat { CreatedOrExisting::Existing(run) } else { CreatedOrExisting::Created(run) })
}

pub(super) fn submit_problem(fault: SubmitFault) -> Problem {
    let faults = match fault {
        SubmitFault::Plan(faults) => faults,
        SubmitFault::Error(error) => return error.into(),
    };
    let (what, help) = match faults.iter().any(|fault| fault.pointer.starts_with("/plan")) {
        true => ("plan", "Correct them: docs/plans.md describes the keys, `pullyard runs check FILE` checks a file."),
        false => (
            "request",
            "Correct each value: the plan declares its parameters, and `pullyard templates show NAME` shows those of a \
             template.",
        ),
    };
    let detail = format!("The {what} has {}.", format_count(faults.len(), "fault"));
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "plan_invalid", detail)
        .with_help(help)
        .with_faults(faults.into_iter().take(MAX_FAULTS).collect())
}

pub(crate) async fn list(
    caller: Caller<scope::Read>,
    Query(query): Query<ProjectPageQuery>,
) -> Result<Json<RunPage>, Problem> {
    caller.authorize_project(&query.project)?;
    let limit = PAGE_SIZE as usize;
    let (runs, next) = control::list_runs(&caller.ctx, &query.project, query.after.as_deref(), limit).await?;
    Ok(Json(RunPage { runs: runs.into_iter().map(wire::run::listed_run).collect(), next }))
}

/// Options for showing a run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct RunQuery {
    /// Also shows its plan and the values of its parameters.
    #[serde(default)]
    plan: bool,
}

pub(crate) async fn show(
    caller: Caller<scope::Read>,
    Path(run): Path<RunId>,
    Query(RunQuery { plan }): Query<RunQuery>,
) -> Result<Json<Run>, Problem> {
    check_visible(&caller, &run).await?;
    let view = control::show_run(&caller.ctx, &run).await?;
    Ok(Json(if plan { wire::run::run_with_plan(view) } else { wire::run::run(view) }))
}

/// Another project's run counts as missing.
async fn check_visible<S>(caller: &Caller<S>, run: &RunId) -> Result<(), Problem> {
    let found = control::load_run(&caller.ctx, run).await?;
    caller
        .authorize_project(&found.project)
        .map_err(|_| Problem::not_found(format!("There is no run {}.", run.short())))
}

pub(super) async fn show_whole(ctx: &Context, run: &RunId) -> Result<Run, Problem> {
    Ok(wire::run::run(control::show_run(ctx, run).await?))
}

async fn order(caller: &Caller<scope::Jobs>, run: &RunId, order: RunOrder) -> Result<Json<Run>, Problem> {
    check_visible(caller, run).await?;
    control::order_run(&caller.ctx, run, &order, &caller.requester()).await?;
    Ok(Json(show_whole(&caller.ctx, run).await?))
}

pub(crate) async fn cancel(
    caller: Caller<scope::Jobs>,
    Path(run): Path<RunId>,
    StrictJson(NoFields {}): StrictJson<NoFields>,
) -> Result<Json<Run>, Problem> {
    order(&caller, &run, RunOrder::Cancel).await
}

pub(crate) async fn resume(
    caller: Caller<scope::Jobs>,
    Path(run): Path<RunId>,
    StrictJson(ResumeRun { cost_usd }): StrictJson<ResumeRun>,
) -> Result<Json<Run>, Problem> {
    let cost = cost_usd.map(|cost| parse_usd_micros(&cost.to_string())).transpose();
    let invalid = |_| Error::Invalid { pointer: "/cost_usd", fault: "use dollars, such as 5 or 0.50".into() };
    order(&caller, &run, RunOrder::Resume { cost_usd_micros: cost.map_err(invalid)? }).await
}

pub(crate) async fn open_pull_request(
    caller: Caller<scope::Jobs>,
    Path(run): Path<RunId>,
    StrictJson(OpenPullRequest { step }): StrictJson<OpenPullRequest>,
) -> Result<Json<Run>, Problem> {
    check_visible(&caller, &run).await?;
    control::create_step_pull_request(&caller.ctx, &run, &step, &caller.requester()).await?;
    Ok(Json(show_whole(&caller.ctx, &run).await?))
}

/// Changes the base branch with the integration's credential.
pub(crate) async fn merge(
    caller: Caller<scope::Admin>,
    Path(run): Path<RunId>,
    StrictJson(MergeRun { step, method }): StrictJson<MergeRun>,
) -> Result<Json<Run>, Problem> {
    check_visible(&caller, &run).await?;
    control::merge_run_pull_request(&caller.ctx, &run, (step.as_deref(), method), &caller.requester()).await?;
    Ok(Json(show_whole(&caller.ctx, &run).await?))
}

/// `IS_APPROVAL`: whether the user approves the step.
pub(crate) async fn answer<const IS_APPROVAL: bool>(
    caller: Caller<scope::Jobs>,
    Path((run, step)): Path<(RunId, String)>,
    StrictJson(NoFields {}): StrictJson<NoFields>,
) -> Result<Json<Run>, Problem> {
    let answer = if IS_APPROVAL { Answer::Approve } else { Answer::Refuse };
    order(&caller, &run, RunOrder::Answer { step, answer }).await
}
