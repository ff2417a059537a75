//! Starts the review that a project's setting wants.

use super::decide::decide_review;
use super::facts::ProjectScope;
use super::translate::{to_author, to_pull_request_snapshot};
use crate::forge::forge_client;
use crate::own_comment::is_refused;
use crate::{Context, Error};
use pullyard_domain::project::ReviewWhen;
use pullyard_domain::review::delivery::Source;
use pullyard_domain::review::pull_request::{AutomaticReviews, PullRequest};
use pullyard_domain::review::{RequestedAction, ReviewEvent, ReviewRequest};
use pullyard_domain::text::OrWait;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::ReviewId;
use pullyard_store::Write;
use std::time::Duration;

/// Time until a review is decided again that could not start now.
const BLOCKED_DELAY: Duration = Duration::from_secs(3_600);

/// Decides the wanted review of a pull request, which is due. A hold, the budget or an unknown permission delays it;
/// after another refusal it is no longer wanted.
/// Idempotent: by the newest commit, through the ledger.
/// Errors: `Forge`, `Contended`. The review stays wanted.
pub(super) async fn start_wanted_review(ctx: &Context, stored: PullRequest) -> Result<(), Error> {
    let now = ctx.clock.now();
    let delay = |automatic: &mut AutomaticReviews| automatic.wanted = Some(now.plus(BLOCKED_DELAY));
    let event = match load_event(ctx, &stored).await {
        Ok(Some(event)) => event,
        Ok(None) => return update_automatic(ctx, stored, AutomaticReviews::forget).await,
        // Until the integration lists the project again.
        Err(Error::NotListed { .. }) => return update_automatic(ctx, stored, delay).await,
        Err(error) => return Err(error),
    };
    let scope = ProjectScope::single(stored.project.clone());
    match decide_review(ctx, &scope, &event).await?.reason {
        Reason::Accepted { .. } => Ok(()),
        Reason::ProjectHeld { .. }
        | Reason::BudgetExhausted { .. }
        | Reason::PermissionUnknown { .. }
        | Reason::TicketLimit { or_wait: OrWait(true), .. } => update_automatic(ctx, stored, delay).await,
        _ => update_automatic(ctx, stored, |automatic| automatic.wanted = None).await,
    }
}

/// The request for the review, with the pull request as the forge has it now. `None` if there is nothing to review.
async fn load_event(ctx: &Context, stored: &PullRequest) -> Result<Option<ReviewEvent>, Error> {
    let id = &stored.id;
    let (project, integration, repository) = tokio::try_join!(
        ctx.store.load_project(&stored.project),
        ctx.store.load_integration(&id.integration),
        ctx.store.load_repository(&stored.project, &id.integration, id.repository),
    )?;
    let (Some(project), Some(integration), Some(repository)) = (project, integration, repository) else {
        return Ok(None);
    };
    if project.settings.review.when == ReviewWhen::Asked {
        return Ok(None);
    }
    let forge = forge_client(ctx, &integration, &repository).await?;
    let pull_request = match forge.pull_request(repository.name.as_str(), id.number).await {
        Ok(pull_request) if pull_request.draft => return Ok(None),
        Ok(pull_request) => pull_request,
        Err(error) if is_refused(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let snapshot = to_pull_request_snapshot(id.integration.clone(), id.repository, repository.name, &pull_request);
    Ok(Some(ReviewEvent {
        source: Source::Automatic,
        delivery: None,
        review: ReviewId::for_request("automatic", &snapshot.head),
        asks: RequestedAction::Review(ReviewRequest { automatic: true, ..ReviewRequest::default() }),
        author: to_author(pull_request.author.as_ref()),
        submitted_at: ctx.clock.now(),
        marked: false,
        pull_request: snapshot,
    }))
}

/// Changes the wanted review, unless a newer commit replaced it.
async fn update_automatic(
    ctx: &Context,
    stored: PullRequest,
    change: impl Fn(&mut AutomaticReviews),
) -> Result<(), Error> {
    let mut rounds = ctx.retries(&stored.id);
    let (id, decided) = (stored.id.clone(), stored.reviews.automatic.clone());
    let mut current = Some(stored);
    while let Some(mut changed) = current.filter(|current| current.reviews.automatic == decided) {
        change(&mut changed.reviews.automatic);
        (changed.tries, changed.not_before) = (0, None);
        if ctx.store.update_pull_request(&changed).await? == Write::Applied {
            break;
        }
        rounds.backoff().await?;
        current = ctx.store.load_pull_request(&id).await?;
    }
    Ok(())
}
