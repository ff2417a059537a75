//! The schedule: one round over everything that is due.

use pullyard_control::{self as control, Context, Error, Report};
use pullyard_entry::metrics;

/// One round. The event carries nothing.
pub async fn handle(ctx: &Context) -> Result<Report, Error> {
    let report = control::sweep(ctx).await?;
    metrics::swept(ctx, &report);
    Ok(report)
}
