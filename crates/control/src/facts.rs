//! Loads the facts of a decision. Reads are strong, because no write verifies most refusals.

use crate::{Context, Error};
use pullyard_domain::job::Job;
use pullyard_domain::project::Project;
use pullyard_domain::project::budget::{DailyUsage, Day};
use pullyard_domain::project::spending::{Spending, SpendingFact, SpendingLimits, SpentOn};
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::text::id::{DeliveryId, RepositoryName};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::event::{TicketEvent, TicketText};
use pullyard_domain::ticket::facts::{Facts, FirstDecision, RepositoryFact};

pub(crate) async fn load_facts(ctx: &Context, event: &TicketEvent) -> Result<(Facts, TicketText), Error> {
    let id = DeliveryId::for_ticket_event(&event.project, &event.event);
    let (first, project, ticket) = tokio::try_join!(
        ctx.store.load_delivery(&id),
        ctx.store.load_project(&event.project),
        ctx.store.load_ticket(&event.project, &event.key),
    )?;
    let text = match &event.text {
        Some(text) => text.clone(),
        None => load_ticket_text(ctx, event).await?,
    };
    let repository = match &project {
        Some(project) => load_repository_fact(ctx, project, text.repository.as_ref()).await?,
        None => RepositoryFact::NotNamed,
    };
    let (now, labels) = (ctx.clock.now(), text.runner_labels());
    let today = load_usage_today(ctx, project.as_ref(), now).await?;
    let of = SpentOn::Ticket(event.key.clone());
    let spending = load_spending_fact(ctx, project.as_ref(), Some(of), None, now).await?;
    let first_decision = first.map(to_first_decision);
    Ok((Facts { now, first_decision, project, ticket, repository, usage: today, spending, labels }, text))
}

fn to_first_decision(first: Delivery) -> FirstDecision {
    FirstDecision {
        reason: first.reason,
        at: first.at,
        status_before: first.facts.and_then(|facts| facts.status_before),
    }
}

/// Loads a project's usage of today. A project without a budget needs no read.
pub(crate) async fn load_usage_today(
    ctx: &Context,
    project: Option<&Project>,
    now: Timestamp,
) -> Result<DailyUsage, Error> {
    let day = Day::containing(now);
    let stored = match project.filter(|project| project.settings.budget.has_limit()) {
        Some(project) => ctx.store.load_budget(&project.id, day).await?,
        None => None,
    };
    Ok(stored.unwrap_or(DailyUsage::zero(day)))
}

/// Loads the use of the limits of a ticket or pull request. A project without such limits needs no read.
pub(crate) async fn load_spending_fact(
    ctx: &Context,
    project: Option<&Project>,
    of: Option<SpentOn>,
    label: Option<&str>,
    now: Timestamp,
) -> Result<Option<SpendingFact>, Error> {
    let (Some(project), Some(of)) = (project, of) else { return Ok(None) };
    let limits = SpendingLimits::from(&project.settings);
    if !limits.has_limit() {
        return Ok(None);
    }
    let stored = ctx.store.load_spending(&project.id, &of).await?;
    let spending = stored.unwrap_or_else(|| Spending::new(project.id.clone(), of));
    Ok(Some(spending.fact(&limits, label, now)))
}

pub(crate) async fn load_repository_fact(
    ctx: &Context,
    project: &Project,
    named: Option<&RepositoryName>,
) -> Result<RepositoryFact, Error> {
    let Some(name) = named.or(project.settings.default_repository.as_ref()) else {
        return Ok(RepositoryFact::NotNamed);
    };
    Ok(match ctx.store.load_repository_by_name(&project.id, name).await? {
        Some(repository) => RepositoryFact::Connected(Box::new(repository.resolve_agent(&project.settings))),
        None => RepositoryFact::NotConnected(name.clone()),
    })
}

/// Finds the repository of a retried job by id, even if renamed. If it was removed, looks up the name instead.
pub(crate) async fn load_repository_of_retry(
    ctx: &Context,
    project: &Project,
    retried: &Job,
    named: Option<&RepositoryName>,
) -> Result<RepositoryFact, Error> {
    match ctx.store.load_repository(&project.id, &retried.integration, retried.repository).await? {
        Some(repository) => Ok(RepositoryFact::Connected(Box::new(repository.resolve_agent(&project.settings)))),
        None => load_repository_fact(ctx, project, named).await,
    }
}

/// Loads the stored text, for an event without one. Falls back to the key as title.
async fn load_ticket_text(ctx: &Context, event: &TicketEvent) -> Result<TicketText, Error> {
    let stored = ctx.store.load_ticket_text(&event.project, &event.key).await?;
    Ok(stored
        .map_or_else(|| TicketText { title: event.key.to_string(), ..TicketText::default() }, |stored| stored.text))
}
