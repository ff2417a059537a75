//! Messages that say "this ticket may need settling": settles it. The queue is FIFO by ticket, so at
//! most one write-back of a ticket is in flight.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use pullyard_control::{self as control, Context};
use pullyard_domain::wakeup::TicketWakeup;
use pullyard_entry::messages;

/// Does a batch; what failed comes again, after the rest of its group.
pub async fn handle(ctx: &Context, event: SqsEvent) -> SqsBatchResponse {
    messages::each(event, |wakeup: TicketWakeup| async move {
        control::settle_ticket(ctx, &wakeup.project, &wakeup.ticket).await.map(|_| ())
    })
    .await
}
