//! Settles a ticket: applies the wanted state to its card, then decides queued entries and reviews.

use crate::corrupt::{load_readable_tracker, skip_corrupt, skip_corrupt_items};
use crate::facts::load_facts;
use crate::host_rest::load_tool_rest;
use crate::postpone::{postpone, postpone_after};
use crate::review::settle_reviews;
use crate::tickets::move_ticket::{create_triggered_job, new_delivery};
use crate::tickets::step_result::StepResult;
use crate::tickets::write_to_tool::{self, record_shown, write_to_tool};
use crate::{Context, Error};
use pullyard_domain::project::Settings;
use pullyard_domain::project::tracker::TrackerSettings;
use pullyard_domain::review::delivery::Source;
use pullyard_domain::run::wakeup::TicketWakeup;
use pullyard_domain::text::id::{DeliveryId, ProjectId, TicketKey};
use pullyard_domain::ticket::event::TicketEvent;
use pullyard_domain::ticket::guard::{FollowUp, decide_again};
use pullyard_domain::ticket::{Entry, SettleStep, Ticket};
use pullyard_store::WorkKey;

/// Reads the ticket and not the message, so that duplicate and late wake-ups are harmless.
/// Idempotent: by the ticket's revision.
/// Errors: after any error but `Contended`, the ticket is put off, longer each time.
pub async fn settle_ticket(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<(), Error> {
    settle(ctx, project, key, ToolCalls::Make).await
}

/// Like [`settle_ticket`], but a write to a tool is sent to the queue of calls, where the other steps follow it.
pub(crate) async fn settle_without_calls(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<(), Error> {
    settle(ctx, project, key, ToolCalls::Forward).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ToolCalls {
    Make,
    Forward,
}

async fn settle(ctx: &Context, project: &ProjectId, key: &TicketKey, calls: ToolCalls) -> Result<(), Error> {
    let result = settle_steps(ctx, project, key, calls).await;
    let is_lasting = |error: &Error| !matches!(error, Error::Contended { .. });
    postpone_after(ctx, &WorkKey::Ticket(project.clone(), key.clone()), result, is_lasting).await
}

/// Puts a ticket off whose settlement was stopped at the time limit of its message, most likely by its tool.
pub(crate) async fn put_off_late(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<(), Error> {
    let work = WorkKey::Ticket(project.clone(), key.clone());
    match skip_corrupt(ctx, ctx.store.load_ticket(project, key).await)?.flatten() {
        Some(ticket) if ticket.tracker.is_some() && ticket.is_unsynced() => {
            let problem = "the tool did not answer in time".to_owned();
            write_to_tool::postpone(ctx, &ticket, problem, None).await.map(drop)
        }
        _ => postpone(ctx, &work, None).await,
    }
}

/// Wakes the tickets that wait for a tool, because the project left that tool.
pub(crate) async fn wake_unsynced_tickets(ctx: &Context, project: &ProjectId) -> Result<(), Error> {
    for ticket in load_unsynced_tickets(ctx, project).await? {
        ctx.wake_ticket(project, &ticket.key).await;
    }
    Ok(())
}

/// The tickets whose tool does not show their wanted state yet.
pub(crate) async fn load_unsynced_tickets(ctx: &Context, project: &ProjectId) -> Result<Vec<Ticket>, Error> {
    let mut found = Vec::new();
    for keys in ctx.store.list_all_ticket_keys(project).await?.chunks(100) {
        let tickets = skip_corrupt_items(ctx, ctx.store.load_tickets(project, keys).await?)?;
        found.extend(tickets.into_iter().filter(|ticket| ticket.tracker.is_some() && ticket.is_unsynced()));
    }
    Ok(found)
}

async fn settle_steps(ctx: &Context, project: &ProjectId, key: &TicketKey, calls: ToolCalls) -> Result<(), Error> {
    // Terminates: each step leaves less to do, and each has bounded rounds.
    while take_step(ctx, project, key, calls).await? {}
    Ok(())
}

/// Returns whether another step may follow.
async fn take_step(ctx: &Context, project: &ProjectId, key: &TicketKey, calls: ToolCalls) -> Result<bool, Error> {
    let mut rounds = ctx.retries(key);
    loop {
        let Some(ticket) = ctx.store.load_ticket(project, key).await? else {
            return Ok(false);
        };
        let Some(stored) = ctx.store.load_project(project).await? else {
            return Err(Error::Inconsistent(format!("the ticket {key} has no project {project}")));
        };
        let result = match ticket.next_settle_step(&stored.settings, ctx.clock.now()) {
            SettleStep::Skip => return Ok(false),
            SettleStep::DecideReviews(pull_request) => {
                Box::pin(settle_reviews(ctx, &stored, &ticket, &pull_request)).await?
            }
            SettleStep::WriteBack(next) => match ticket.tool(&stored.settings) {
                // The write to a tool that rests makes no call, and the decisions follow it here.
                Some(tool) if calls == ToolCalls::Forward && !rests(ctx, tool).await? => {
                    let wakeup = TicketWakeup { project: project.clone(), ticket: key.clone() };
                    ctx.wakeups.write_to_tool(&tool.connection, &wakeup).await?;
                    return Ok(false);
                }
                Some(tool) => Box::pin(write_to_tool(ctx, &stored.settings, tool, &ticket)).await?,
                // The board decides a move that a user requested from the former tool.
                None if ticket.requested_status().is_some() => {
                    Box::pin(record_shown(ctx, &stored.settings, &ticket, false)).await?
                }
                None => StepResult::from_write(ctx.store.update_ticket(&next).await?),
            },
            SettleStep::DropEntry(next) => StepResult::from_write(ctx.store.update_ticket(&next).await?),
            SettleStep::DecideEntry(entry) => {
                Box::pin(decide_queued_entry(ctx, &ticket, &entry, &stored.settings)).await?
            }
        };
        match result {
            StepResult::Applied => {
                tracing::info!(project = %project, ticket = %key, version = ticket.wanted.version, "ticket settled");
                return Ok(true);
            }
            StepResult::Postponed => return Ok(true),
            StepResult::Waiting => return Ok(false),
            StepResult::Stale => rounds.backoff().await?,
        }
    }
}

async fn rests(ctx: &Context, tool: &TrackerSettings) -> Result<bool, Error> {
    match load_readable_tracker(ctx, &tool.connection).await? {
        Some(connection) => Ok(load_tool_rest(ctx, &connection).await?.is_some()),
        None => Ok(false),
    }
}

async fn decide_queued_entry(
    ctx: &Context,
    ticket: &Ticket,
    entry: &Entry,
    settings: &Settings,
) -> Result<StepResult, Error> {
    // The ledger has the source; the queued entry has only the parts of the job's id.
    let stored = ctx.store.load_delivery(&DeliveryId::for_ticket_event(&ticket.project, &entry.event)).await?;
    let (source, facts) = stored.map_or((Source::TicketTool, None), |stored| (stored.source, stored.facts));
    let event = TicketEvent {
        source,
        project: ticket.project.clone(),
        event: entry.event.clone(),
        occurred_at: entry.at,
        actor: facts.as_ref().and_then(|facts| facts.actor.clone()),
        previous_status: facts.and_then(|facts| facts.previous_status),
        key: ticket.key.clone(),
        status: ticket.status.clone(),
        text: None,
        rank: None,
        is_own: false,
    };
    let (facts, text) = load_facts(ctx, &event).await?;
    if facts.ticket.as_ref().is_none_or(|current| current.rev != ticket.rev) {
        // Not every decision is verified by a write of the ticket. An outdated one could record that an entry waits.
        return Ok(StepResult::Stale);
    }
    let decision = decide_again(&event, &facts);
    let delivery = new_delivery(&event, &facts, &decision.reason);
    // Keep the status and text, which may be newer than the entry.
    let entered = Ticket { last_entry: Some(entry.clone()), ..ticket.clone() };
    let write = match decision.follow_up {
        FollowUp::CreateJob => create_triggered_job(ctx, &facts, &text, entered, &delivery).await?,
        // The entry keeps waiting; record a changed reason.
        FollowUp::Ignore => {
            if facts.first_decision.as_ref().is_none_or(|first| first.reason != decision.reason) {
                ctx.store.record_delivery(&delivery).await?;
            }
            return Ok(StepResult::Waiting);
        }
        FollowUp::HoldEntry => {
            ctx.store.record_delivery(&delivery).await?;
            let waiting = ticket.clone().hold_entry(entry.clone());
            return Ok(StepResult::waiting_after(ctx.store.update_ticket(&waiting).await?));
        }
        _ => {
            ctx.store.record_delivery(&delivery).await?;
            ctx.store.update_ticket(&ticket.drop_entry(settings)).await?
        }
    };
    Ok(StepResult::from_write(write))
}
