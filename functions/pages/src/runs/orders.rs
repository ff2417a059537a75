//! Forms that cancel or resume a run, or answer the question of a step.

use crate::prelude::*;
use pullyard_control::RunOrder;
use pullyard_domain::project::budget::parse_usd_micros;
use pullyard_domain::run::{Answer, Run};
use pullyard_domain::text::id::RunId;

/// Another project's run counts as missing.
pub(super) async fn load_visible_run(visit: &PageContext, id: &RunId) -> Result<Run, Fault> {
    let run = visit.ctx.store.load_run(id).await?.filter(|run| visit.visitor.may_access(&run.project));
    run.ok_or_else(|| Fault::not_found(&format!("There is no run {id}.")))
}

async fn order(visit: &PageContext, id: &RunId, order: RunOrder) -> Result<Response, Fault> {
    visit.check_may_work()?;
    load_visible_run(visit, id).await?;
    control::order_run(&visit.ctx, id, &order, &visit.requester()).await?;
    Ok(redirect(&format!("/runs/{id}")))
}

pub(crate) async fn cancel(visit: PageContext, Path(id): Path<RunId>) -> Result<Response, Fault> {
    order(&visit, &id, RunOrder::Cancel).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeForm {
    #[serde(default)]
    cost_usd: String,
}

pub(crate) async fn resume(
    visit: PageContext,
    Path(id): Path<RunId>,
    Form(form): Form<ResumeForm>,
) -> Result<Response, Fault> {
    let cost = non_empty(&form.cost_usd).map(|cost| parse_usd_micros(cost.trim_start_matches('$'))).transpose();
    let cost_usd_micros = cost.map_err(|fault| Fault::of_field("cost limit", &fault))?;
    order(&visit, &id, RunOrder::Resume { cost_usd_micros }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerForm {
    step: String,
    approve: bool,
}

pub(crate) async fn answer(
    visit: PageContext,
    Path(id): Path<RunId>,
    Form(AnswerForm { step, approve }): Form<AnswerForm>,
) -> Result<Response, Fault> {
    let answer = if approve { Answer::Approve } else { Answer::Refuse };
    order(&visit, &id, RunOrder::Answer { step, answer }).await
}
