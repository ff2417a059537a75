//! The schedule: one round over everything that is due.

use pullyard_control::{self as control, Context, Error, Report};

/// One round. The event carries nothing.
pub async fn handle(ctx: &Context) -> Result<Report, Error> {
    control::sweep(ctx).await
}
