//! Processes effects in order: ticket updates, review reads, texts on pull requests, polls, deferred reviews,
//! notices. The FIFO queue has at most one in flight per ticket, job, pull request or endpoint.
//! Also starts the runs of submissions, which have a queue without an order.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use pullyard_control::review::{ProjectScope, decide_review, freeze_reviews, post_status};
use pullyard_control::{self as control, Context, Error};
use pullyard_domain::id::{EventId, ProjectId};
use pullyard_domain::plan::PlanFault;
use pullyard_domain::template::Submission;
use pullyard_domain::wakeup::{EffectMessage, QueuedReview};
use pullyard_entry::messages;
use pullyard_entry::strict::{self, FieldError};
use serde_json::Value;
use serde_json::value::RawValue;

pub async fn handle(ctx: &Context, event: SqsEvent) -> SqsBatchResponse {
    // Other accounts may send to the queue of submissions. Only the queue of effects is FIFO; a batch has one source.
    if !event.records.iter().all(messages::is_fifo) {
        let start = |body: Box<RawValue>| async move { Box::pin(submit(ctx, body.get())).await };
        return messages::process_batch("effects", event, start).await;
    }
    messages::process_batch("effects", event, |effect: EffectMessage| async move {
        match effect {
            EffectMessage::Settle(wakeup) => {
                Box::pin(control::settle_ticket(ctx, &wakeup.project, &wakeup.ticket)).await
            }
            EffectMessage::Admit(wakeup) => freeze_reviews(ctx, &wakeup.job).await,
            EffectMessage::Tell(wakeup) => post_status(ctx, &wakeup.pull_request).await,
            EffectMessage::Poll(wakeup) => {
                control::poll_repository(ctx, &wakeup.poll, &wakeup.integration, wakeup.repository).await
            }
            EffectMessage::Notify(wakeup) => control::send_notice(ctx, &wakeup.notice, &wakeup.endpoint).await,
            EffectMessage::Look(wakeup) => Box::pin(control::look_at_ticket(ctx, &wakeup.look, &wakeup.ticket)).await,
            EffectMessage::Advance(wakeup) => Box::pin(control::advance_run(ctx, &wakeup.advance)).await,
            EffectMessage::Review(queued) => decide(ctx, *queued).await,
        }
    })
    .await
}

async fn decide(ctx: &Context, queued: QueuedReview) -> Result<(), Error> {
    let scope = ProjectScope::from_projects(queued.hook, queued.projects)
        .ok_or_else(|| Error::Inconsistent("queued review has no project".into()))?;
    decide_review(ctx, &scope, &queued.event).await.map(|_| ())
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
