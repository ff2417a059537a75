//! Plans a revise job, and sends its hints.

use crate::jobs::new_job::create_class;
use crate::{Context, Error};
use pullyard_domain::id::{JobId, ReviewId};
use pullyard_domain::job::{Job, JobPlan, Placement, RevisionPlan, plan_revision};
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::pull_request::PullRequest;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::time::Timestamp;
use std::collections::BTreeSet;

/// Plans the job of a review. The texts are read later, so that an unreachable forge does not lose the review.
#[expect(clippy::too_many_arguments, reason = "each is one item of the transaction that follows")]
pub(super) async fn plan_review_job(
    ctx: &Context,
    id: &JobId,
    project: &Project,
    repository: &Repository,
    ticket: &Ticket,
    pull_request: &PullRequest,
    review: &ReviewId,
    now: Timestamp,
) -> Result<(Job, Ticket, PullRequest), Error> {
    let repository = &repository.clone().resolve_agent(&project.settings);
    // Fargate ignores labels. A job that moves to runners later gets them from its frozen context.
    let labels = match Placement::from_compute(project.settings.compute) {
        Placement::Runners => load_runner_labels(ctx, project, ticket).await?,
        Placement::Fargate => BTreeSet::new(),
    };
    let plan = JobPlan {
        id: id.clone(),
        project: &project.id,
        settings: &project.settings,
        repository,
        context: String::new(),
        labels: &labels,
        now,
    };
    let planned = plan_revision(&plan, ticket, pull_request, RevisionPlan { review, head: None });
    create_class(ctx, &planned.0, repository, labels).await?;
    Ok(planned)
}

async fn load_runner_labels(ctx: &Context, project: &Project, ticket: &Ticket) -> Result<BTreeSet<String>, Error> {
    let text = ctx.store.load_ticket_text(&project.id, &ticket.key).await?;
    Ok(text.map(|stored| stored.text.runner_labels()).unwrap_or_default())
}

/// Sends the hints of a new revise job. A lost hint delays it by half a minute.
pub(super) async fn send_revision_hints(ctx: &Context, job: &Job, pull_request: &PullRequest) {
    tracing::info!(job.id = %job.id, project = %job.project, branch = %job.branch, "revise job created");
    ctx.send_hints(async {
        ctx.wake_review_freeze(&job.id).await;
        ctx.wake_pull_request(&pull_request.id).await;
    })
    .await;
}
