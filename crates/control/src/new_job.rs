//! What a new job is made of, before it is written, and the bells that ring once it is.

use crate::{Context, Error};
use pullyard_domain::event::TicketText;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{Job, Kind, Place, Plan, as_retry, plan_for_ticket, plan_without_ticket};
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::prompt;
use pullyard_domain::select::Needs;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::time::Timestamp;

/// Everything a new job is made from.
pub(crate) struct NewJob<'a> {
    /// Its id, derived from what asked for it.
    pub(crate) id: JobId,
    /// Its project.
    pub(crate) project: &'a Project,
    /// Where the work goes.
    pub(crate) repository: &'a Repository,
    /// Its ticket, with everything but the job already in it.
    pub(crate) ticket: Option<(&'a Ticket, &'a TicketText)>,
    /// What a person asked for.
    pub(crate) instructions: Option<String>,
    /// The branch to start from; the repository's default when none.
    pub(crate) base: Option<String>,
    /// The ended job whose work this does again.
    pub(crate) retry_of: Option<&'a Job>,
    /// When.
    pub(crate) now: Timestamp,
}

/// Freezes the context of a new job, and makes the job and the ticket that has it.
///
/// Writes: the context, which stays behind unread if the job is then not made.
pub(crate) async fn prepare(ctx: &Context, new: NewJob<'_>) -> Result<(Job, Option<Ticket>), Error> {
    let context = prompt::Context {
        v: 1,
        kind: Kind::Implement,
        ticket: new.ticket.map(|(ticket, text)| (ticket.key.clone(), text.clone())),
        instructions: new.instructions,
        repository: new.repository.clone(),
        base: new.base.unwrap_or_else(|| new.repository.default_branch.clone()),
        review: None,
    };
    let labels = new.ticket.map(|(_, text)| text.runner_labels()).unwrap_or_default();
    let plan = Plan {
        id: new.id.clone(),
        project: &new.project.id,
        settings: &new.project.settings,
        repository: new.repository,
        context: ctx.store.freeze_context(&new.id, &context).await?,
        labels: &labels,
        now: new.now,
    };
    let (job, ticket) = match new.ticket {
        Some((ticket, _)) => {
            let (job, ticket) = plan_for_ticket(&plan, ticket);
            (job, Some(ticket))
        }
        None => (plan_without_ticket(&plan), None),
    };
    let (job, ticket) = match new.retry_of {
        Some(of) => as_retry(of, &new.project.settings, job, ticket),
        None => (job, ticket),
    };
    if job.place == Place::Runners {
        let needs = Needs { capability: new.repository.agent.capability.clone(), labels };
        ctx.store.note_class(&job.project, &job.class, &needs).await?;
    }
    Ok((job, ticket))
}

/// Rings the bells of a new job. Losing them costs a minute.
pub(crate) async fn announce(ctx: &Context, job: &Job, ticket: Option<&Ticket>) {
    tracing::info!(job.id = %job.id, project = %job.project, branch = %job.branch, "a job was made");
    if job.place == Place::Fargate {
        ctx.wake_job(&job.id).await;
    }
    if let Some(ticket) = ticket.filter(|ticket| ticket.is_unsynced()) {
        ctx.wake_ticket(&ticket.project, &ticket.key).await;
    }
}
