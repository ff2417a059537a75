//! Settles a ticket: writes its state to the ticket tool, then decides queued entries and reviews.

use crate::facts::facts_of;
use crate::review::settle_reviews;
use crate::sweep::put_off::put_off;
use crate::tickets::move_ticket::{delivery_of, trigger};
use crate::{Context, Error};
use pullyard_domain::delivery::Source;
use pullyard_domain::event::TicketEvent;
use pullyard_domain::guard::{FollowUp, decide_again};
use pullyard_domain::id::{DeliveryId, ProjectId, TicketKey};
use pullyard_domain::project::Settings;
use pullyard_domain::ticket::{Entry, SettleStep, Ticket};
use pullyard_store::{WorkKey, Write};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    pub written_back: bool,
    pub entered: bool,
    pub reviewed: bool,
}

/// Reads the ticket and not the message, so that duplicate and late wake-ups are harmless.
///
/// Idempotent: by the ticket's revision.
/// Errors: after any error but `Contended`, the ticket is put off, longer each time.
pub async fn settle_ticket(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<Settled, Error> {
    match settle(ctx, project, key).await {
        Err(error) if !matches!(error, Error::Contended { .. }) => {
            put_off(ctx, &WorkKey::Ticket(project.clone(), key.clone()), Some(&error)).await;
            Err(error)
        }
        settled => settled,
    }
}

async fn settle(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<Settled, Error> {
    let mut settled = Settled::default();
    // Terminates: each step leaves less to do, and each has bounded rounds.
    while let Some(step) = next_step(ctx, project, key).await? {
        match step {
            SettleStep::WriteBack(_) => settled.written_back = true,
            SettleStep::DecideEntry(_) | SettleStep::DropEntry(_) => settled.entered = true,
            SettleStep::DecideReviews(_) | SettleStep::DropInvalidMark(_) => settled.reviewed = true,
            SettleStep::Nothing => break,
        }
    }
    Ok(settled)
}

async fn next_step(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<Option<SettleStep>, Error> {
    let mut rounds = ctx.rounds(key);
    loop {
        let Some(ticket) = ctx.store.ticket(project, key).await? else {
            return Ok(None);
        };
        let Some(stored) = ctx.store.project(project).await? else {
            return Err(Error::Inconsistent(format!("the ticket {key} has no project {project}")));
        };
        let step = ticket.next_settle_step(&stored.settings, ctx.clock.now());
        let done = match &step {
            SettleStep::Nothing => return Ok(None),
            SettleStep::DecideReviews(pull_request) => settle_reviews(ctx, &stored, &ticket, pull_request).await?,
            SettleStep::WriteBack(next) | SettleStep::DropEntry(next) | SettleStep::DropInvalidMark(next) => {
                Done::of(ctx.store.update_ticket(next).await?)
            }
            SettleStep::DecideEntry(entry) => enter(ctx, &ticket, entry, &stored.settings).await?,
        };
        match done {
            Done::Step => {
                tracing::info!(project = %project, ticket = %key, version = ticket.wanted.version, "ticket settled");
                return Ok(Some(step));
            }
            Done::Waits => return Ok(None),
            Done::Stale => rounds.again().await?,
        }
    }
}

pub(crate) enum Done {
    Step,
    Waits,
    Stale,
}

impl Done {
    pub(crate) fn of(written: Write) -> Self {
        match written {
            Write::Applied => Self::Step,
            Write::Stale => Self::Stale,
        }
    }
}

/// Decides the entry that was queued during the last job or a hold.
async fn enter(ctx: &Context, ticket: &Ticket, entry: &Entry, settings: &Settings) -> Result<Done, Error> {
    // The ledger has the source; the queued entry has only the parts of the job's id.
    let told = ctx.store.delivery(&DeliveryId::for_ticket_event(&ticket.project, &entry.event)).await?;
    let (source, facts) = told.map_or((Source::TicketTool, None), |told| (told.source, told.facts));
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
    };
    let (facts, text) = facts_of(ctx, &event).await?;
    if facts.ticket.as_ref().is_none_or(|now| now.rev != ticket.rev) {
        // Not every decision is verified by a write of the ticket. An outdated one could record that an entry waits.
        return Ok(Done::Stale);
    }
    let decision = decide_again(&event, &facts);
    let delivery = delivery_of(&event, &facts, &decision.reason);
    // Keep the status and text, which may be newer than the entry.
    let entered = Ticket { last_entry: Some(entry.clone()), ..ticket.clone() };
    let written = match decision.follow_up {
        FollowUp::CreateJob => trigger(ctx, &facts, &text, entered, &delivery).await?,
        // The entry keeps waiting; record a changed reason.
        FollowUp::Nothing => {
            if facts.first_decision.as_ref().is_none_or(|first| first.reason != decision.reason) {
                ctx.store.record(&delivery).await?;
            }
            return Ok(Done::Waits);
        }
        FollowUp::HoldEntry => {
            ctx.store.record(&delivery).await?;
            let waiting = ticket.clone().hold_entry(entry.clone());
            return Ok(match ctx.store.update_ticket(&waiting).await? {
                Write::Applied => Done::Waits,
                Write::Stale => Done::Stale,
            });
        }
        _ => {
            ctx.store.record(&delivery).await?;
            ctx.store.update_ticket(&ticket.drop_entry(settings)).await?
        }
    };
    Ok(Done::of(written))
}
