//! Raises the limits of a ticket or pull request for a time, and shows their use.

use crate::review::{PullRequestRef, load_repository};
use crate::{Context, Error, Requester};
use pullyard_domain::project::Project;
use pullyard_domain::project::spending::{Raise, RaiseResult, RaiseRight, Spending, SpendingLimits, SpentOn};
use pullyard_domain::review::pull_request::pull_request_label;
use pullyard_domain::text::id::{ProjectId, TicketKey};
use pullyard_domain::text::truncate;
use pullyard_store::Write;
use std::time::Duration;

const MAX_NAME_CHARS: usize = 64;

#[derive(Clone, Debug)]
pub enum RaisedSubject {
    Ticket(ProjectId, TicketKey),
    /// A linked pull request counts for its ticket.
    PullRequest(PullRequestRef),
}

#[derive(Clone, Debug)]
pub struct LimitRaise {
    pub subject: RaisedSubject,
    /// Units: millionths of a US dollar.
    pub usd_micros: u64,
    pub jobs: u32,
    pub duration: Duration,
    pub right: RaiseRight,
    pub caller: Requester,
    /// The caller's own key for this request.
    pub key: Option<String>,
}

/// The use of the limits, and the limits with the raises in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendingView {
    /// The name of the ticket or pull request.
    pub subject: String,
    pub spending: Spending,
    pub limits: SpendingLimits,
    /// Raises that are in force.
    pub raises: Vec<Raise>,
}

/// Writes: SPENT if `rev` is the one seen (absent if new).
/// Idempotent: with a key, by caller and key; the same request again raises nothing.
/// Errors: `NotFound` (project, ticket, repository); `Invalid` for a raise that is refused; `KeyReused`; `Contended`.
pub async fn raise_limit(ctx: &Context, raise: &LimitRaise) -> Result<SpendingView, Error> {
    let (project, of, subject) = find_subject(ctx, &raise.subject).await?;
    let limits = SpendingLimits::from(&project.settings);
    // Without a key, each call is a request of its own.
    let key = raise.key.clone().unwrap_or_else(|| ctx.clock.ulid());
    let mut rounds = ctx.retries(&subject);
    loop {
        let at = ctx.clock.now();
        let stored = ctx.store.load_spending(&project.id, &of).await?;
        let spending = stored.unwrap_or_else(|| Spending::new(project.id.clone(), of.clone()));
        let new = Raise {
            id: format!("{}/{key}", raise.caller.id),
            by: truncate(&raise.caller.name, MAX_NAME_CHARS),
            at,
            usd_micros: raise.usd_micros,
            jobs: raise.jobs,
            until: at.plus(raise.duration),
        };
        match spending.raise(new, &limits, raise.right) {
            Ok(RaiseResult::KeyReused) => return Err(Error::KeyReused),
            Ok(RaiseResult::Repeat) => return Ok(show(subject, spending, &limits, ctx)),
            Ok(RaiseResult::Raised(raised)) => {
                if ctx.store.put_spending(&raised).await? == Write::Applied {
                    tracing::info!(project = %project.id, subject, caller = raise.caller.id, usd_micros = raise.usd_micros, jobs = raise.jobs, "limit raised");
                    return Ok(show(subject, raised, &limits, ctx));
                }
            }
            Err(refused) => return Err(Error::Invalid { pointer: refused.pointer, fault: refused.fault }),
        }
        rounds.backoff().await?;
    }
}

/// The use of a ticket's limits. `None`: it has no limits.
pub async fn load_ticket_spending(
    ctx: &Context,
    project: &Project,
    ticket: &TicketKey,
) -> Result<Option<SpendingView>, Error> {
    let limits = SpendingLimits::from(&project.settings);
    if !limits.has_limit() {
        return Ok(None);
    }
    let of = SpentOn::Ticket(ticket.clone());
    let stored = ctx.store.load_spending(&project.id, &of).await?;
    let spending = stored.unwrap_or_else(|| Spending::new(project.id.clone(), of));
    Ok(Some(show(ticket.to_string(), spending, &limits, ctx)))
}

fn show(subject: String, spending: Spending, limits: &SpendingLimits, ctx: &Context) -> SpendingView {
    let now = ctx.clock.now();
    let limits = spending.limits_in_force(limits, now);
    let raises = spending.raises.iter().filter(|raise| now < raise.until).cloned().collect();
    SpendingView { subject, spending, limits, raises }
}

async fn find_subject(ctx: &Context, subject: &RaisedSubject) -> Result<(Project, SpentOn, String), Error> {
    match subject {
        RaisedSubject::Ticket(project, key) => {
            let of = SpentOn::Ticket(key.clone());
            let (project, ticket) =
                tokio::try_join!(ctx.load_project(project), async { Ok(ctx.store.load_ticket(project, key).await?) })?;
            // The pull request of a deleted ticket still counts for it.
            if ticket.is_none() && ctx.store.load_spending(&project.id, &of).await?.is_none() {
                return Err(Error::not_found("ticket", key));
            }
            Ok((project, of, key.to_string()))
        }
        RaisedSubject::PullRequest(reference) => {
            let repository = load_repository(ctx, reference).await?;
            let label = pull_request_label(Some(&repository.name), reference.number);
            let id = pullyard_domain::review::pull_request::PullRequestId {
                integration: repository.integration,
                repository: repository.id,
                number: reference.number,
            };
            let project = ctx.load_project(&reference.project).await?;
            let stored = ctx.store.load_pull_request(&id).await?.filter(|stored| stored.project == project.id);
            // An unknown pull request has used nothing.
            let stored = stored.ok_or_else(|| Error::not_found("pull request", &label))?;
            Ok(match stored.ticket {
                Some(ticket) => (project, SpentOn::Ticket(ticket.clone()), ticket.to_string()),
                None => (project, SpentOn::PullRequest(id), label),
            })
        }
    }
}
