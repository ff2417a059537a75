//! Stores the orders of users for a run: cancel, resume, answer.

use super::{find_step, load_plan, load_run};
use crate::requester::Requester;
use crate::{Context, Error};
use pullyard_domain::run::{Answer, Run};
use pullyard_domain::text::id::RunId;
use pullyard_store::Write;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOrder {
    Cancel,
    Resume { cost_usd_micros: Option<u64> },
    Answer { step: String, answer: Answer },
}

/// Cancels or resumes a run, or answers the question of a step. A hint then moves the run.
/// Writes: RUN if `rev` is unchanged.
/// Idempotent: a repeat returns the run.
/// Errors: `NotFound` (run, step); `Denied`; `Contended`.
pub async fn order_run(ctx: &Context, id: &RunId, order: &RunOrder, by: &Requester) -> Result<Run, Error> {
    let plan = load_plan(ctx, id).await?.plan;
    let mut rounds = ctx.retries(id);
    loop {
        let (run, signed) = (load_run(ctx, id).await?, (by.name.as_str(), ctx.clock.now()));
        let next = match order {
            RunOrder::Cancel => run.cancel(signed),
            RunOrder::Resume { cost_usd_micros } => run.resume(&plan, *cost_usd_micros, signed),
            RunOrder::Answer { step, answer } => run.answer(find_step(&run, step)?, *answer, &plan, signed),
        };
        let next = next.map_err(Error::Denied)?;
        if next == run {
            return Ok(run);
        }
        if ctx.store.update_run(&next).await? == Write::Applied {
            tracing::info!(run = %id, caller = by.id, order = ?order, "run ordered");
            ctx.send_hints(ctx.wake_run(id)).await;
            return Ok(next);
        }
        rounds.backoff().await?;
    }
}
