//! Shows a decision about a review on its pull request. `post_status` sends it to the forge.

use super::facts::LoadedFacts;
use super::snapshot::with_snapshot;
use crate::{Context, Error};
use pullyard_domain::review::pull_request::{Note, PullRequest};
use pullyard_domain::review::{RequestedAction, ReviewEvent};
use pullyard_domain::text::decision::Reason;
use pullyard_store::Write;

/// Strangers, our own comments and irrelevant events get no visible answer.
pub(super) fn is_shown_to_users(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::UnknownCommand { .. }
            | Reason::RetriggerDisabled { .. }
            | Reason::TicketInactive { .. }
            | Reason::JobActive { .. }
            | Reason::ReviewRunning { .. }
            | Reason::AlreadyReviewed { .. }
            | Reason::ForkNotSupported { .. }
            | Reason::PreviousJobNotCompleted { .. }
            | Reason::RateLimited { .. }
            | Reason::HeldForJob { .. }
            | Reason::HeldUntil { .. }
            | Reason::HeldWithOthers { .. }
            | Reason::ProjectHeld { .. }
            | Reason::BudgetExhausted { .. }
            | Reason::TicketLimit { .. }
    )
}

/// Stores a refusal to be shown on the pull request. `Stale` means that the pull request changed, so decide again.
/// Idempotent: the same refusal is not stored twice.
pub(super) async fn post_refusal(
    ctx: &Context,
    event: &ReviewEvent,
    loaded: &LoadedFacts,
    reason: &Reason,
) -> Result<Write, Error> {
    if !loaded.may_store_refusal {
        return Ok(Write::Applied);
    }
    let stored = match (&loaded.pull_request, &loaded.project) {
        (Some(stored), _) => stored.clone(),
        // The request gets a visible answer, although no job has stored the pull request yet.
        (None, Some(project)) if asks_by_command(&event.asks) => {
            let new = PullRequest::new(event.pull_request.id.clone(), project.id.clone(), None, None);
            with_snapshot(&new, &event.pull_request)
        }
        (None, _) => return Ok(Write::Applied),
    };
    let mut linked = stored.clone();
    linked.repository_name = Some(loaded.facts.repository.clone());
    let reason = reason.clone().clipped();
    match event.asks.is_agent_review() {
        true => linked.set_review_note(Note::ReviewRefusal { reason }),
        false => linked.set_note(Note::Decision { reason }),
    }
    if linked != stored && ctx.store.update_pull_request(&linked).await? == Write::Stale {
        return Ok(Write::Stale);
    }
    if linked.is_note_outdated() {
        ctx.wake_pull_request(&linked.id).await;
    }
    Ok(Write::Applied)
}

fn asks_by_command(asks: &RequestedAction) -> bool {
    matches!(asks, RequestedAction::Review(_) | RequestedAction::Misspelled {})
}

/// Best effort: the ledger has the answer, and the final one is shown later.
pub(super) async fn post_note(ctx: &Context, loaded: &LoadedFacts, reason: &Reason) {
    let Some(stored) = &loaded.pull_request else { return };
    let linked = PullRequest { repository_name: Some(loaded.facts.repository.clone()), ..stored.clone() };
    if let Err(error) = show_decision(ctx, linked, reason).await {
        tracing::warn!(pull_request = %stored.id, error = %error, "answer not queued for its pull request");
    }
}

/// Shows the decision on the pull request, unless its note is newer than in `pull_request`.
pub(super) async fn show_decision(ctx: &Context, pull_request: PullRequest, reason: &Reason) -> Result<(), Error> {
    let mut rounds = ctx.retries(&pull_request.id);
    let version = pull_request.note_version;
    let mut linked = pull_request;
    loop {
        linked.set_note(Note::Decision { reason: reason.clone().clipped() });
        if !linked.is_note_outdated() {
            return Ok(());
        }
        if ctx.store.update_pull_request(&linked).await? == Write::Applied {
            ctx.wake_pull_request(&linked.id).await;
            return Ok(());
        }
        // Usually a concurrent write marked the earlier note as shown.
        rounds.backoff().await?;
        match ctx.store.load_pull_request(&linked.id).await? {
            Some(again) if again.note_version == version => linked = again,
            _ => return Ok(()),
        }
    }
}
