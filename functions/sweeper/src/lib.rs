//! The schedule: one round over everything that is due.

use pullyard_control::{self as control, Context, Error, Report};
use pullyard_entry::metrics;

/// One round. The event carries nothing.
///
/// Errors: a part that failed, told after the metrics of the whole round.
pub async fn handle(ctx: &Context) -> Result<Report, Error> {
    let round = control::sweep(ctx).await;
    metrics::swept(ctx, &round);
    round.whole()
}
