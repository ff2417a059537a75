//! Messages that say "this job may need a task": starts it.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use pullyard_control::{self as control, Context, Error};
use pullyard_domain::wakeup::JobWakeup;
use pullyard_entry::messages;

/// Does a batch; what failed comes again.
pub async fn handle(ctx: &Context, event: SqsEvent) -> SqsBatchResponse {
    messages::each("dispatcher", event, |wakeup: JobWakeup| async move {
        match control::dispatch(ctx, &wakeup.job).await {
            // A wake-up of a job that is gone has nothing left to wake.
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    })
    .await
}
