//! Processes effects in order: tickets, review reads, deferred reviews, runs. The FIFO queue has at most one in flight
//! per ticket, job, pull request or run. A second FIFO queue has the calls to addresses of users, such as notices, texts
//! on pull requests and polls: at most two in flight per host or connection.
//! Also starts the runs of submissions, which have a queue without an order.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use pullyard_control::{self as control, Context};
use pullyard_domain::project::plan::PlanFault;
use pullyard_domain::project::template::Submission;
use pullyard_domain::run::wakeup::EffectMessage;
use pullyard_domain::text::id::{EventId, ProjectId};
use pullyard_entry::messages;
use pullyard_entry::strict::{self, FieldError};
use serde_json::Value;
use serde_json::value::RawValue;

pub async fn handle(ctx: &Context, event: SqsEvent) -> SqsBatchResponse {
    // Other accounts may send to the queue of submissions. The other queues are FIFO; a batch has one source.
    if !event.records.iter().all(messages::is_fifo) {
        let start = |body: Box<RawValue>| async move { Box::pin(submit(ctx, body.get())).await };
        return messages::process_batch("effects", event, start).await;
    }
    let is_call = event.records.iter().all(|record| has_suffix(record, CALLS));
    messages::process_grouped_batch("effects", event, |effect: EffectMessage, group: String| async move {
        if is_call {
            Box::pin(control::handle_call(ctx, effect, &group)).await
        } else {
            Box::pin(control::handle_effect(ctx, effect)).await
        }
    })
    .await
}

/// Ends the name of the queue of calls.
const CALLS: &str = "calls.fifo";

fn has_suffix(record: &SqsMessage, suffix: &str) -> bool {
    record.event_source_arn.as_ref().is_some_and(|arn| arn.ends_with(suffix))
}

/// Starts the run of a submission, or stores its fault in the ledger of the project that it names.
/// Errors: a body without project or id, an unknown project, a full group; the message becomes a dead letter.
async fn submit(ctx: &Context, body: &str) -> Result<(), String> {
    let result = match strict::parse::<Submission>(body.as_bytes()) {
        Ok(submission) => match Box::pin(control::submit(ctx, &submission, "queue of submissions")).await {
            // The group is full; a later receive may start the run.
            Ok(Err(fault)) if fault.pointer.is_empty() => return Err(fault.fault),
            submitted => submitted.map(|_| ()),
        },
        Err(FieldError { pointer, message }) => {
            let body: Value = serde_json::from_str(body).unwrap_or_default();
            let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
            let (Ok(project), Ok(id)) = (ProjectId::new(text("project")), EventId::new(text("id"))) else {
                return Err(format!("cannot read the submission: {pointer}: {message}"));
            };
            control::refuse_submission(ctx, &project, &id, &PlanFault::new(pointer, message)).await
        }
    };
    result.map_err(|error| error.to_string())
}
