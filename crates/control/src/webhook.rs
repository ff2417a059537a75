//! Handles webhook deliveries. The checks run in a documented order: unknown hook, signature, body, ping, irrelevant
//! event, then the guards of reviews or the start of a template. Only the signed body affects decisions; headers are for
//! display.

mod delivery;
mod rejected_deliveries;
mod start_template;
pub(crate) mod verify;

use crate::allowed_names::check_integration_use;
use crate::counters::Counter;
use crate::forge::{forge_client, timeout_error};
use crate::review::translate::{ReviseComment, WebhookEvent, event_repository, to_pull_request_snapshot, translate};
use crate::review::{
    ProjectScope, PullRequestChange, decide_or_queue, record_pull_request_change, record_repository_change,
};
use crate::tickets::raise_comment::raise_by_forge_comment;
use crate::trackers::issues::{has_issues_as_tickets, issue_key};
use crate::{Answer, Context, Error};
use data_encoding::HEXLOWER;
pub use delivery::WebhookRequest;
use delivery::{new_delivery, refuse_repository};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::review::PullRequestSnapshot;
use pullyard_domain::review::delivery::{Delivery, ReviewSubject, Source};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, EventId, HookName, ProjectId, RepositoryName};
use pullyard_domain::text::truncate;
use pullyard_forge::parse_start_event;
use pullyard_forge::webhook::{Event, parse};
use sha2::{Digest, Sha256};
use start_template::decide_start;
use std::time::Duration;

/// Limit for the forge: its client would try three times ten seconds, longer than the function may run.
const FORGE_TIMEOUT: Duration = Duration::from_secs(8);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookOutcome {
    UnknownHook,
    Unverified(Reason),
    Unreadable { pointer: String, fault: String },
    Pong,
    Decided(Answer),
}

/// Idempotent: reviews by their ids, other deliveries by hook and body, across all sources and repeats.
/// Errors: `Store`, `Cloud`, `Forge`. The forge then lists the delivery as failed, and it is requested again.
pub async fn receive_webhook(ctx: &Context, call: &WebhookRequest<'_>) -> Result<WebhookOutcome, Error> {
    let Ok(name) = HookName::new(call.hook) else { return Ok(WebhookOutcome::UnknownHook) };
    let hook = ctx.store.load_hook(&name).await?.filter(|hook| hook.forge == call.forge);
    let Some(hook) = hook else { return Ok(WebhookOutcome::UnknownHook) };
    if let Err(reason) = verify::verify_signature(ctx, &hook, call).await? {
        ctx.counters().add(Counter::SignatureRefused);
        ctx.counters().count_decision(&reason);
        rejected_deliveries::record_refused(ctx, &hook, &reason).await?;
        return Ok(WebhookOutcome::Unverified(reason));
    }
    rejected_deliveries::record_verified(ctx, &hook).await?;
    let record_unreadable = async |pointer: String, fault: String| {
        let location = if pointer.is_empty() { "/".to_owned() } else { pointer.clone() };
        record_delivery(ctx, &hook, call, Reason::BodyUnreadable { pointer: location, fault: fault.clone() }, None)
            .await?;
        Ok(WebhookOutcome::Unreadable { pointer, fault })
    };
    let event = match parse(hook.forge, call.event, call.body) {
        Ok(event) => event,
        Err(bad) => return record_unreadable(bad.pointer, bad.fault).await,
    };
    if let Some(template) = hook.template.as_ref().filter(|_| !matches!(event, Event::Ping)) {
        let reason = match parse_start_event(call.event, call.body) {
            Ok(event) => Box::pin(decide_start(ctx, &hook, call, template, event)).await?,
            Err(bad) => return record_unreadable(bad.pointer, bad.fault).await,
        };
        return record_delivery(ctx, &hook, call, reason, None).await.map(WebhookOutcome::Decided);
    }
    if let Some(reason) = check_repository(&hook, &event) {
        return record_delivery(ctx, &hook, call, reason, None).await.map(WebhookOutcome::Decided);
    }
    let webhook_event = match translate(&hook, display_event_id(call), event, ctx.clock.now()) {
        Ok(webhook_event) => webhook_event.with_forge_event_name(hook.forge, call.event),
        Err(bad) => return record_unreadable("/repository/full_name".into(), bad.to_string()).await,
    };
    Box::pin(decide_event(ctx, &hook, call, webhook_event)).await
}

async fn decide_event(
    ctx: &Context,
    hook: &Webhook,
    call: &WebhookRequest<'_>,
    webhook_event: WebhookEvent,
) -> Result<WebhookOutcome, Error> {
    let scope = load_project_scope(ctx, hook, webhook_event.repository()).await?;
    let answer = match webhook_event {
        WebhookEvent::Ping => {
            record_delivery(ctx, hook, call, Reason::Ping {}, None).await?;
            return Ok(WebhookOutcome::Pong);
        }
        WebhookEvent::Review(event) => Box::pin(decide_or_queue(ctx, &scope, &event)).await?,
        WebhookEvent::Comment(command) => {
            let integration = ctx.load_integration(&hook.integration).await?;
            let connected = load_connected_repository(ctx, &scope, &integration, command.repository).await?;
            let Some(connected) = connected else {
                let repo = command.repository_name.clone();
                let reason = Reason::RepositoryNotIntegrated { repo, project: hook.home.clone() };
                return record_delivery(ctx, hook, call, reason, None).await.map(WebhookOutcome::Decided);
            };
            let lookup = async {
                let forge = forge_client(ctx, &integration, &connected).await?;
                Ok::<_, Error>(forge.pull_request(connected.name.as_str(), command.number).await?)
            };
            // The forge waits ten seconds for our answer. After a failure, polling finds the comment of a known pull
            // request, and `hooks verify` the failed delivery.
            let lookup = tokio::time::timeout(FORGE_TIMEOUT, lookup).await;
            let pull_request = lookup.unwrap_or_else(|_| Err(timeout_error(&integration, FORGE_TIMEOUT)))?;
            let ReviseComment { request, repository, repository_name, .. } = *command;
            let snapshot =
                to_pull_request_snapshot(hook.integration.clone(), repository, repository_name, &pull_request);
            let event = request.into_event(Source::Webhook, display_event_id(call), snapshot);
            Box::pin(decide_or_queue(ctx, &scope, &event)).await?
        }
        WebhookEvent::Raise(comment) => {
            let integration = ctx.load_integration(&hook.integration).await?;
            let raise = raise_by_forge_comment(ctx, &scope, Source::Webhook, &integration, &comment);
            // As above. A repeat of the delivery raises nothing and sends the missing reply.
            let raised = Box::pin(tokio::time::timeout(FORGE_TIMEOUT, raise)).await;
            raised.unwrap_or_else(|_| Err(timeout_error(&integration, FORGE_TIMEOUT)))?
        }
        WebhookEvent::PullRequest { snapshot, event } => {
            let label = snapshot.label();
            let reason = match Box::pin(record_pull_request_change(ctx, &scope, &snapshot)).await? {
                PullRequestChange::Unlinked => {
                    Reason::EventIgnored { event: format!("{event} of {label}, which has no ticket,") }
                }
                PullRequestChange::Unchanged | PullRequestChange::Recorded => {
                    Reason::Noted { event: format!("{event} of {label}") }
                }
            };
            record_delivery(ctx, hook, call, reason, Some(review_subject(&snapshot))).await?
        }
        WebhookEvent::Repository(event) => {
            let reason = record_repository_change(ctx, &scope, &hook.integration, &event).await?;
            record_delivery(ctx, hook, call, reason, None).await?
        }
        WebhookEvent::Issue { name, number, .. } => {
            let event = format!("issues of {name}#{number}");
            let reason = match wake_looks(ctx, &scope, hook, &name, number).await? {
                0 => Reason::EventIgnored { event },
                _ => Reason::Noted { event },
            };
            record_delivery(ctx, hook, call, reason, None).await?
        }
        WebhookEvent::Edited { .. } => record_delivery(ctx, hook, call, Reason::EditedReview {}, None).await?,
        WebhookEvent::Ignored { event } => {
            record_delivery(ctx, hook, call, Reason::EventIgnored { event: truncate(&event, 80) }, None).await?
        }
    };
    Ok(WebhookOutcome::Decided(answer))
}

/// Requests a look at the issue in each project whose tickets are issues here. Returns their number.
/// Errors: a lost message; the forge then sends the delivery again.
async fn wake_looks(
    ctx: &Context,
    scope: &ProjectScope,
    hook: &Webhook,
    name: &RepositoryName,
    number: u64,
) -> Result<usize, Error> {
    let mut count = 0;
    for project in scope.projects() {
        let is_used = has_issues_as_tickets(ctx, project, &hook.integration).await?;
        if let Some(key) = issue_key(name, number).filter(|_| is_used) {
            ctx.wake_look(project, &hook.integration, &key, None).await?;
            count += 1;
        }
    }
    Ok(count)
}

/// The repository in the first project that connects it and may use the integration.
async fn load_connected_repository(
    ctx: &Context,
    scope: &ProjectScope,
    integration: &Integration,
    repository: u64,
) -> Result<Option<Repository>, Error> {
    for project in scope.projects() {
        // The comment may be for another project, which may use the integration.
        if check_integration_use(integration, project).is_ok()
            && let Some(stored) = ctx.store.load_repository(project, &integration.id, repository).await?
        {
            return Ok(Some(stored));
        }
    }
    Ok(None)
}

/// The hook's project and, for a shared hook, all projects that connect the event's repository. Those that may use the
/// integration come first.
async fn load_project_scope(ctx: &Context, hook: &Webhook, repository: Option<u64>) -> Result<ProjectScope, Error> {
    let connections = match repository.filter(|_| hook.is_shared()) {
        Some(id) => ctx.store.list_connections(&hook.integration, id).await?,
        None => Vec::new(),
    };
    let others = connections.into_iter().map(|repository| repository.project).filter(|project| *project != hook.home);
    let mut projects: Vec<ProjectId> = others.collect();
    projects.insert(0, hook.home.clone());
    if projects.len() > 1 {
        let integration = ctx.load_integration(&hook.integration).await?;
        // An event without a ticket goes to the first project. One that may not use the integration would lose it.
        projects.sort_by_key(|project| check_integration_use(&integration, project).is_err());
    }
    let scope = ProjectScope::from_projects(Some(hook.name.clone()), projects);
    scope.ok_or_else(|| Error::Inconsistent(format!("the webhook {} has no project", hook.name)))
}

/// Refuses a delivery of a repository's hook about another repository, which the hook's secret does not authorise.
fn check_repository(hook: &Webhook, event: &Event) -> Option<Reason> {
    let (id, name) = event_repository(event)?;
    (!hook.is_for_repository(id)).then(|| refuse_repository(hook, name))
}

fn display_event_id(call: &WebhookRequest<'_>) -> Option<EventId> {
    EventId::new(truncate(call.delivery?, 128)).ok()
}

fn review_subject(snapshot: &PullRequestSnapshot) -> ReviewSubject {
    ReviewSubject {
        pull_request: snapshot.id.clone(),
        label: snapshot.label(),
        url: snapshot.url.clone(),
        review: None,
        author: String::new(),
        facts: None,
    }
}

/// Records a delivery that is no review. The same body again has the same entry.
async fn record_delivery(
    ctx: &Context,
    hook: &Webhook,
    call: &WebhookRequest<'_>,
    reason: Reason,
    review: Option<ReviewSubject>,
) -> Result<Answer, Error> {
    let hash = HEXLOWER.encode(&Sha256::digest(call.body));
    let id = DeliveryId::for_webhook(&hook.name, &hash);
    let event = match display_event_id(call) {
        Some(event) => event,
        None => EventId::new(truncate(&format!("sha256:{hash}"), 40))?,
    };
    let delivery = new_delivery(ctx, hook, id.clone(), event, reason.clone().clipped()).await?;
    let delivery = Delivery { review, ..delivery };
    // Never stale, because only reviews have final answers.
    ctx.store.record_delivery(&delivery).await?;
    ctx.counters().count_decision(&reason);
    tracing::info!(
        hook = %hook.name, project = %hook.home, decision.reason = reason.code(), delivery = %id, "delivery answered"
    );
    Ok(Answer { delivery: id, reason, job: None })
}
