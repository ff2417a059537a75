//! Handles a ticket event: decides whether it starts a job, and writes the decision.

use crate::answer::{Answer, named_job};
use crate::facts::load_facts;
use crate::jobs::new_job::{NewJob, write_new_job};
use crate::{Context, Error};
use pullyard_domain::job::JobKind;
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, IntegrationId, JobId};
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::event::{TicketEvent, TicketText};
use pullyard_domain::ticket::facts::{Facts, RepositoryFact};
use pullyard_domain::ticket::guard::{self, Decision, FollowUp};
use pullyard_store::Write;

/// Decides a ticket event, stores the ticket's new state, and creates a job if every guard passes.
/// Idempotent: by event id; a repeated event returns the first decision.
/// Errors: `Contended` if the ticket changed during every round. No job exists then, and the same call may be repeated.
/// The event's text, an unused context and a ledger entry that is not final may exist.
pub async fn move_ticket(ctx: &Context, event: &TicketEvent) -> Result<Answer, Error> {
    let mut rounds = ctx.retries(&event.key);
    let (mut facts, mut text) = load_facts(ctx, event).await?;
    loop {
        // A repeat gets the same time, and thereby the same job.
        let received_at = facts.first_decision.as_ref().map_or(facts.now, |first| first.at);
        let dated = event.with_plausible_time(received_at);
        let decision = guard::decide(&dated, &facts);
        // Boxed: otherwise the future of a whole trigger is on the caller's stack.
        if let Some(answer) = Box::pin(apply(ctx, &dated, &facts, &text, decision)).await? {
            ctx.counters().count_decision(&answer.reason);
            return Ok(answer);
        }
        rounds.backoff().await?;
        (facts, text) = load_facts(ctx, event).await?;
    }
}

async fn apply(
    ctx: &Context,
    event: &TicketEvent,
    facts: &Facts,
    text: &TicketText,
    decision: Decision,
) -> Result<Option<Answer>, Error> {
    let delivery = new_delivery(event, facts, &decision.reason);
    if let Reason::Repeat { .. } = decision.reason {
        let first = ctx.store.load_delivery(&delivery.id).await?.map(|first| first.job);
        // The job's id can be derived even after the ledger entry expired.
        let first = first
            .unwrap_or_else(|| Some(JobId::for_entry(&event.project, &event.key, event.occurred_at, &event.event)));
        return Ok(Some(Answer { delivery: delivery.id, reason: decision.reason, job: first }));
    }
    let write = match decision.follow_up {
        FollowUp::Ignore => ctx.store.record_delivery(&delivery).await?,
        // The whole ticket, once: its versions change, too.
        FollowUp::UpdateTicket if is_new_in_tool(event, facts) => {
            ctx.store.store_text(event).await?;
            let ticket = ticket_after(event, facts);
            let write = ctx.store.record_delivery_and_ticket(&delivery, &ticket).await?;
            if write == Write::Applied && ticket.held {
                ctx.wake_ticket(&event.project, &event.key).await;
            }
            write
        }
        FollowUp::UpdateTicket => {
            // The ledger first: its facts hold the previous status for a repeated decision.
            let write = ctx.store.record_delivery(&delivery).await?;
            if write == Write::Applied {
                ctx.store.store_text(event).await?;
            }
            match (write, &decision.reason) {
                (Write::Stale, _) => Write::Stale,
                // The decision holds only while the ticket still has that status.
                (Write::Applied, Reason::StatusUnchanged { .. }) => ctx.store.confirm_status(event).await?,
                (Write::Applied, _) => {
                    let tool = tool_of(event, facts).map(|tool| (tool, facts.now));
                    ctx.store.update_snapshot(event, tool).await?;
                    if facts.ticket.as_ref().is_some_and(|ticket| ticket.held) {
                        // The ticket may have left the status of its queued entry. A release would notice that, too.
                        ctx.wake_ticket(&event.project, &event.key).await;
                    }
                    Write::Applied
                }
            }
        }
        // The text first, so that a crash leaves no entry without its text.
        FollowUp::QueueEntry => {
            ctx.store.store_text(event).await?;
            let queued = Ticket { again: Some(event.entry()), held: false, ..ticket_after(event, facts) };
            ctx.store.record_delivery_and_ticket(&delivery, &queued).await?
        }
        FollowUp::HoldEntry => {
            ctx.store.store_text(event).await?;
            let waiting = ticket_after(event, facts).hold_entry(event.entry());
            ctx.store.record_delivery_and_ticket(&delivery, &waiting).await?
        }
        FollowUp::CreateJob => {
            ctx.store.store_text(event).await?;
            let ticket = Ticket { last_entry: Some(event.entry()), ..ticket_after(event, facts) };
            // Boxed, as its future is the largest one on a thread's stack.
            Box::pin(create_triggered_job(ctx, facts, text, ticket, &delivery)).await?
        }
    };
    Ok(match write {
        Write::Stale => None,
        Write::Applied => Some(log_answer(event, delivery, decision.reason)),
    })
}

pub(crate) fn log_answer(event: &TicketEvent, delivery: Delivery, reason: Reason) -> Answer {
    tracing::info!(
        project = %event.project,
        ticket = %event.key,
        decision.reason = reason.code(),
        delivery = %delivery.id,
        "ticket event decided"
    );
    Answer { delivery: delivery.id, job: named_job(&reason), reason }
}

/// Creates the job of an accepted entry, with its ticket's lock and ledger entry, in one transaction.
pub(crate) async fn create_triggered_job(
    ctx: &Context,
    facts: &Facts,
    text: &TicketText,
    ticket: Ticket,
    entry: &Delivery,
) -> Result<Write, Error> {
    write_new_job(ctx, plan_new_job(facts, text, &ticket, entry)?, entry, None).await
}

pub(crate) fn plan_new_job<'a>(
    facts: &'a Facts,
    text: &'a TicketText,
    ticket: &'a Ticket,
    delivery: &Delivery,
) -> Result<NewJob<'a>, Error> {
    let (Some(project), RepositoryFact::Connected(repository), Some(id)) =
        (&facts.project, &facts.repository, &delivery.job)
    else {
        return Err(Error::Inconsistent("event accepted without project or repository".into()));
    };
    let new = NewJob::new(id.clone(), JobKind::default(), (project, repository), facts.now);
    Ok(NewJob { ticket: Some((ticket, text)), ..new })
}

fn ticket_after(event: &TicketEvent, facts: &Facts) -> Ticket {
    let mut ticket = facts.ticket.clone().unwrap_or_else(|| {
        Ticket::new(event.project.clone(), event.key.clone(), event.status.clone(), event.occurred_at, None)
    });
    // The tool's own report of the move that a user requested on the board follows.
    let is_confirmed = !event.source.is_external() && ticket.requested_status() == Some(&event.status);
    ticket.written_trigger = is_confirmed.then(|| event.status.clone());
    ticket.written = None;
    ticket.status.clone_from(&event.status);
    ticket.seen_at = event.occurred_at;
    ticket.seen_event = Some(event.event.clone());
    if let Some(tool) = tool_of(event, facts) {
        ticket = ticket.in_tool(tool.clone(), facts.now);
    }
    ticket.rank = event.rank.unwrap_or(ticket.rank);
    ticket
}

/// Whether the board had the ticket until now, or another tool.
fn is_new_in_tool(event: &TicketEvent, facts: &Facts) -> bool {
    let known = facts.ticket.as_ref().zip(tool_of(event, facts));
    known.is_some_and(|(ticket, tool)| ticket.tracker.as_ref() != Some(tool))
}

/// The connection to the tool that sent the event.
fn tool_of<'a>(event: &TicketEvent, facts: &'a Facts) -> Option<&'a IntegrationId> {
    let is_external = event.source.tracker().is_some_and(|tracker| tracker.is_external);
    let settings = facts.project.as_ref().map(|project| &project.settings).filter(|_| is_external)?;
    settings.tracker.as_ref().map(|tool| &tool.connection)
}

pub(crate) fn new_delivery(event: &TicketEvent, facts: &Facts, reason: &Reason) -> Delivery {
    Delivery {
        id: DeliveryId::for_ticket_event(&event.project, &event.event),
        project: event.project.clone(),
        source: event.source,
        event: event.event.clone(),
        ticket: Some(event.key.clone()),
        at: facts.first_decision.as_ref().map_or(facts.now, |first| first.at),
        reason: reason.clone().clipped(),
        job: reason.created_job().cloned(),
        facts: Some(guard::record_facts(event, facts)),
        review: None,
    }
}
