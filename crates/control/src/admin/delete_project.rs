//! Deletes a project and its tickets, unless a repository, a hook or a job uses it. Keeps its jobs and its ledger.
//! The checks are best effort; `start_attempt` cancels a job that they miss.

use crate::admin::removal::{PAGE_SIZE, check_hooks, check_jobs};
use crate::notify::endpoints::delete_endpoint;
use crate::requester::Requester;
use crate::runs::order::{RunOrder, order_run};
use crate::tickets::delete_ticket::delete_ticket_and_comments;
use crate::trackers::choose::remove_hook;
use crate::{Context, Error};
use pullyard_domain::review::removal::{deny_project_for_hook, deny_project_for_job, deny_project_for_repositories};
use pullyard_domain::text::id::ProjectId;
use pullyard_store::{WorkKey, Write};

const MAX_JOBS: usize = 2_000;

const MAX_HELD: i32 = 1_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectDeletion {
    /// Number of tickets that this call deleted, at most one page.
    pub tickets: usize,
    /// The project has further tickets, so it was not deleted. Call again.
    pub has_more_tickets: bool,
    /// A sentence for users about the webhook of its ticket tool. `None`: it had none, or another project uses it.
    pub report: Option<String>,
}

/// Deletes a page of tickets, and the project with its schedules, templates and endpoints if no other ticket remains.
/// Writes: see `delete_ticket_and_comments` and `Store::delete_project`; its held RUNs, which end; the webhook of its
/// ticket tool, if that answers.
/// Idempotent: a repeat continues; once the project is deleted, it returns `NotFound`.
/// Errors: `NotFound`; `Contended`; `Denied` while the project has a repository, a hook or an active job; `Store` if
/// one of these is unreadable.
pub async fn delete_project(ctx: &Context, id: &ProjectId) -> Result<ProjectDeletion, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let project = ctx.load_project(id).await?;
        check_unused(ctx, id).await?;
        let (tickets, next) = ctx.store.list_ticket_keys(id, None, PAGE_SIZE).await?;
        for ticket in &tickets {
            match delete_ticket_and_comments(ctx, id, ticket).await {
                // The index may still list a deleted ticket.
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let mut deletion = ProjectDeletion { tickets: tickets.len(), has_more_tickets: next.is_some(), report: None };
        if deletion.has_more_tickets {
            return Ok(deletion);
        }
        let mut is_stale = false;
        for schedule in ctx.store.list_schedules(id).await? {
            is_stale |= ctx.store.delete_schedule(&schedule).await? == Write::Stale;
        }
        for template in ctx.store.list_templates(id).await? {
            is_stale |= ctx.store.delete_template(&template).await? == Write::Stale;
        }
        for endpoint in &project.settings.notifications {
            delete_endpoint(ctx, id, &endpoint.id).await?;
        }
        deletion.report = remove_hook(ctx, id, project.settings.tracker.clone()).await?;
        // No sweep reads the held entries of a deleted project.
        for key in ctx.store.list_held(id, MAX_HELD).await? {
            if let WorkKey::Run(run) = key {
                let by = Requester { id: "project-deletion".into(), name: "the deletion of the project".into() };
                match order_run(ctx, &run, &RunOrder::Cancel, &by).await {
                    // The index may still list a run that has ended.
                    Ok(_) | Err(Error::Denied(_) | Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if !is_stale && ctx.store.delete_project(&project).await? == Write::Applied {
            tracing::info!(project = %id, "project deleted");
            return Ok(deletion);
        }
        rounds.backoff().await?;
    }
}

async fn check_unused(ctx: &Context, id: &ProjectId) -> Result<(), Error> {
    Error::refuse_if(deny_project_for_repositories(id, &ctx.store.list_repositories(id).await?))?;
    check_hooks(ctx, |hook| deny_project_for_hook(id, hook)).await?;
    check_jobs(ctx, id, MAX_JOBS, deny_project_for_job).await
}
