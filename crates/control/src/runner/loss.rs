//! Forecasts what happens to a runner's jobs when the sweeper takes them away.

use crate::{Context, Error};
use pullyard_domain::runner::Runner;
use pullyard_domain::runner::sweep::{LossReason, is_slot_of_job};
use pullyard_domain::sweep::{JobStep, step_after_runner_loss};

/// Number of a runner's jobs by the sweeper's step for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossForecast {
    /// Another runner continues them.
    pub requeued: usize,
    /// Another attempt only looks for a pushed commit, then completes or fails them.
    pub adopted: usize,
    pub failed: usize,
    /// They may be pushing, so the sweeper decides later.
    pub pushing: usize,
}

/// Applies the sweeper's rule to the jobs as they are now. Reads one item per slot.
pub async fn forecast_loss(ctx: &Context, runner: &Runner, loss: LossReason) -> Result<LossForecast, Error> {
    let (mut forecast, now) = (LossForecast::default(), ctx.clock.now());
    for (id, slot) in &runner.slots {
        let job = ctx.store.load_job(id).await?;
        let Some(job) = job.filter(|job| is_slot_of_job(job, runner, slot)) else { continue };
        match step_after_runner_loss(&job, loss.failure(runner, now), now) {
            JobStep::Requeue(_) => forecast.requeued += 1,
            JobStep::Adopt(_) => forecast.adopted += 1,
            JobStep::Fail(_) => forecast.failed += 1,
            _ => forecast.pushing += 1,
        }
    }
    Ok(forecast)
}
