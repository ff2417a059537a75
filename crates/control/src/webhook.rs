//! Handles webhook deliveries. The order of checks is documented: unknown hook, signature, body, ping, irrelevant
//! event, then the guards of reviews. Only the signed body affects decisions; headers are for display.

mod strangers;
mod verify;

pub use strangers::Strangers;

use crate::forge::{forge_of, too_slow};
use crate::review::translate::{Told, repository_of, translate};
use crate::review::{Changed, Reach, decide_or_queue, pull_request_changed, repository_changed};
use crate::tally::Count;
use crate::{Answer, Context, Error};
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::{Delivery, MAX_REPEATS, ReviewSubject, Source};
use pullyard_domain::hook::Webhook;
use pullyard_domain::id::{DeliveryId, EventId, HookName, IntegrationId, RepositoryName};
use pullyard_domain::project::{ForgeKind, Repository};
use pullyard_domain::pull_request::{PullRequestId, pull_request_label};
use pullyard_domain::review::{PullRequestSnapshot, ReviewEvent};
use pullyard_domain::text::truncate;
use pullyard_forge::webhook::{Event, Language, parse};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Limit for the forge: its client would try three times ten seconds, longer than the function may run.
const FORGE_WITHIN: Duration = Duration::from_secs(8);

#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub forge: ForgeKind,
    pub hook: &'a str,
    /// GitHub's `X-GitHub-Event`, Bitbucket's `X-Event-Key`.
    pub event: &'a str,
    /// `X-GitHub-Delivery`, `X-Request-UUID`. Not signed.
    pub delivery: Option<&'a str>,
    /// `X-Hub-Signature-256`, `X-Hub-Signature`.
    pub signature: Option<&'a str>,
    pub body: &'a [u8],
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("hook", &self.hook).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    UnknownHook,
    Unverified(Reason),
    /// The body does not match the claimed event.
    Unreadable {
        pointer: String,
        fault: String,
    },
    Pong,
    Decided(Answer),
}

/// Idempotent: reviews by their ids, other deliveries by hook and body, across all sources and repeats.
/// Errors: `Store`, `Cloud`, `Forge`. The forge then lists the delivery as failed, and it is requested again.
pub async fn receive(ctx: &Context, call: &Call<'_>) -> Result<Received, Error> {
    let Ok(name) = HookName::new(call.hook) else { return Ok(Received::UnknownHook) };
    let hook = ctx.store.hook(&name).await?.filter(|hook| hook.forge == call.forge);
    let Some(hook) = hook else { return Ok(Received::UnknownHook) };
    if let Err(reason) = verify::verified(ctx, &hook, call).await? {
        ctx.tally().add(Count::SignatureRefused);
        ctx.tally().decided(&reason);
        strangers::note_refused(ctx, &hook, &reason).await?;
        return Ok(Received::Unverified(reason));
    }
    strangers::note_verified(ctx, &hook).await?;
    let unread = async |pointer: String, fault: String| {
        let shown = if pointer.is_empty() { "/".to_owned() } else { pointer.clone() };
        note(ctx, &hook, call, Reason::BodyUnreadable { pointer: shown, fault: fault.clone() }, None).await?;
        Ok(Received::Unreadable { pointer, fault })
    };
    let language = match hook.forge {
        ForgeKind::GitHub => Language::GitHub,
        ForgeKind::Bitbucket => Language::Bitbucket,
    };
    let event = match parse(language, call.event, call.body) {
        Ok(event) => event,
        Err(bad) => return unread(bad.pointer, bad.fault).await,
    };
    if let Some(reason) = foreign(&hook, &event) {
        return note(ctx, &hook, call, reason, None).await.map(Received::Decided);
    }
    let told = match translate(&hook, shown_name(call), event, ctx.clock.now()) {
        Ok(told) => told.named(hook.forge, call.event),
        Err(bad) => return unread("/repository/full_name".into(), bad.to_string()).await,
    };
    decided(ctx, &hook, call, told).await
}

async fn decided(ctx: &Context, hook: &Webhook, call: &Call<'_>, told: Told) -> Result<Received, Error> {
    let reach = reach_of(hook);
    let answer = match told {
        Told::Ping => {
            note(ctx, hook, call, Reason::Ping {}, None).await?;
            return Ok(Received::Pong);
        }
        Told::Review(event) => decide(ctx, &reach, &event).await?,
        Told::Comment(command) => {
            let Some(connected) = connected(ctx, &reach, &hook.integration, command.repository).await? else {
                let repo = command.repository_name.clone();
                let reason = Reason::RepositoryNotIntegrated { repo, project: hook.home.clone() };
                return note(ctx, hook, call, reason, None).await.map(Received::Decided);
            };
            let integration = ctx.store.integration(&hook.integration).await?;
            let integration = integration
                .ok_or_else(|| Error::NotFound { what: "integration", name: hook.integration.to_string() })?;
            let asked = async {
                let forge = forge_of(ctx, &integration, &connected).await?;
                Ok::<_, Error>(forge.pull_request(connected.name.as_str(), command.number).await?)
            };
            // The forge waits ten seconds for our answer. After a failure, polling finds the comment.
            let asked = tokio::time::timeout(FORGE_WITHIN, asked).await;
            let pull_request = asked.unwrap_or_else(|_| Err(too_slow(&integration, FORGE_WITHIN)))?;
            decide(ctx, &reach, &command.on(hook, shown_name(call), &pull_request)).await?
        }
        Told::PullRequest { seen, event } => {
            let about = pull_request_label(Some(&seen.repository), seen.id.number);
            let reason = match pull_request_changed(ctx, &reach, &seen).await? {
                Changed::NotOurs => Reason::EventIgnored { event: format!("{event} of {about}, which has no ticket,") },
                Changed::Nothing | Changed::Noted => Reason::Noted { event: format!("{event} of {about}") },
            };
            note(ctx, hook, call, reason, Some(subject(&seen))).await?
        }
        Told::Repository(event) => {
            let reason = repository_changed(ctx, &reach, &hook.integration, &event).await?;
            note(ctx, hook, call, reason, None).await?
        }
        Told::Edited { pull_request, review } => {
            if let Some(known) = ctx.store.review(&pull_request, &review).await?
                && reach.includes(&known.project)
            {
                // Stale is harmless: the review belongs to another project now.
                ctx.store.note_review_edited(&pull_request, &review, &known.project).await?;
            }
            // An unknown review, or another project's, is read later with the edited text and without the mark.
            note(ctx, hook, call, Reason::EditedReview {}, None).await?
        }
        Told::Nothing { event } => {
            note(ctx, hook, call, Reason::EventIgnored { event: truncate(&event, 80) }, None).await?
        }
    };
    Ok(Received::Decided(answer))
}

async fn decide(ctx: &Context, reach: &Reach, event: &ReviewEvent) -> Result<Answer, Error> {
    Box::pin(decide_or_queue(ctx, reach, event)).await
}

async fn connected(
    ctx: &Context,
    reach: &Reach,
    integration: &IntegrationId,
    repository: u64,
) -> Result<Option<Repository>, Error> {
    for project in reach.all() {
        if let Some(known) = ctx.store.repository(project, integration, repository).await? {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

fn reach_of(hook: &Webhook) -> Reach {
    Reach { hook: Some(hook.name.clone()), home: hook.home.clone(), others: hook.others.clone() }
}

/// Refuses a delivery of a repository's hook about another repository, which the hook's secret does not authorise.
fn foreign(hook: &Webhook, event: &Event) -> Option<Reason> {
    let (id, name) = repository_of(event)?;
    if hook.covers_repository(id) {
        return None;
    }
    Some(match RepositoryName::new(name) {
        Ok(repo) => Reason::RepositoryNotIntegrated { repo, project: hook.home.clone() },
        Err(_) => Reason::EventIgnored { event: "event of another repository".into() },
    })
}

fn shown_name(call: &Call<'_>) -> Option<EventId> {
    EventId::new(truncate(call.delivery?, 128)).ok()
}

fn subject(seen: &PullRequestSnapshot) -> ReviewSubject {
    let PullRequestSnapshot { id, repository, url, .. } = seen;
    let id: &PullRequestId = id;
    ReviewSubject {
        pull_request: id.clone(),
        label: pull_request_label(Some(repository), id.number),
        url: url.clone(),
        review: None,
        author: String::new(),
        facts: None,
    }
}

/// Records a delivery that is no review. The same body again has the same entry.
async fn note(
    ctx: &Context,
    hook: &Webhook,
    call: &Call<'_>,
    reason: Reason,
    review: Option<ReviewSubject>,
) -> Result<Answer, Error> {
    let hash: String = Sha256::digest(call.body).iter().map(|byte| format!("{byte:02x}")).collect();
    let id = DeliveryId::for_webhook(&hook.name, &hash);
    let event = shown_name(call)
        .or_else(|| EventId::new(truncate(&format!("sha256:{hash}"), 40)).ok())
        .ok_or_else(|| Error::Inconsistent("a hash is no event id".into()))?;
    let delivery = entry(ctx, hook, id.clone(), event, reason.clone().clipped(), review).await?;
    // Never stale, because only reviews have final answers.
    ctx.store.record(&delivery).await?;
    ctx.tally().decided(&reason);
    tracing::info!(
        hook = %hook.name, project = %hook.home, decision.reason = reason.code(), delivery = %id, "delivery answered"
    );
    Ok(Answer { delivery: id, reason, job: None })
}

async fn entry(
    ctx: &Context,
    hook: &Webhook,
    id: DeliveryId,
    event: EventId,
    reason: Reason,
    review: Option<ReviewSubject>,
) -> Result<Delivery, Error> {
    let now = ctx.clock.now();
    let (at, mut seen) = match ctx.store.delivery(&id).await? {
        None => (now, Vec::new()),
        Some(first) => (first.at, first.seen.into_iter().chain([now]).collect()),
    };
    seen.truncate(MAX_REPEATS);
    Ok(Delivery {
        id,
        project: hook.home.clone(),
        source: Source::Webhook,
        event,
        ticket: None,
        at,
        reason,
        job: None,
        facts: None,
        review,
        seen,
    })
}
