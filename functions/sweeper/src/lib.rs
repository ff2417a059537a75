//! Runs one round of the sweeper per schedule event.

use pullyard_control::{self as control, Context, Error, Report};
use pullyard_entry::metrics;

/// Errors: a failed part, returned after the metrics of the whole round are written.
pub async fn handle(ctx: &Context) -> Result<Report, Error> {
    let round = control::sweep(ctx).await;
    metrics::publish_sweep(ctx, &round);
    round.into_result()
}
