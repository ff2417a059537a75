//! Starts tasks for jobs named by queue messages.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use pullyard_control::{self as control, Context, Error};
use pullyard_domain::run::wakeup::JobWakeup;
use pullyard_entry::messages;

pub use pullyard_control::start_waiting;

pub async fn handle(ctx: &Context, event: SqsEvent) -> SqsBatchResponse {
    messages::process_batch("dispatcher", event, |wakeup: JobWakeup| async move {
        match control::dispatch(ctx, &wakeup.job).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    })
    .await
}
