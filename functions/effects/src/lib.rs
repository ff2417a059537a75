//! Processes effects in order: ticket updates, review reads, texts on pull requests, polls, deferred reviews,
//! notices. The FIFO queue has at most one in flight per ticket, job, pull request or endpoint.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use pullyard_control::review::{ProjectScope, decide_review, freeze_reviews, post_status};
use pullyard_control::{self as control, Context, Error};
use pullyard_domain::wakeup::{EffectMessage, QueuedReview};
use pullyard_entry::messages;

pub async fn handle(ctx: &Context, event: SqsEvent) -> SqsBatchResponse {
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
