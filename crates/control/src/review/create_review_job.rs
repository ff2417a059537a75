//! Creates the revise job of a review, and sends its hints.

use crate::jobs::new_job::{ChargeResult, charge_spending, create_class};
use crate::{Context, Error};
use pullyard_domain::kinds::{JobPlan, RevisionPlan, plan_revision};
use pullyard_domain::project::spending::SpendingLimits;
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::review::Review;
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::review::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::event::TicketText;
use pullyard_domain::ticket::required_labels::required_labels;
use pullyard_store::{ReviewTrigger, Write};
use std::collections::BTreeSet;

pub(super) struct NewReviewJob<'a> {
    pub(super) id: &'a JobId,
    pub(super) project: &'a Project,
    pub(super) repository: &'a Repository,
    pub(super) ticket: &'a Ticket,
    pub(super) pull_request: &'a PullRequest,
    /// In the state `Started` by this job.
    pub(super) review: Review,
    /// The decision, if it is made now. `None` for a review that waited.
    pub(super) delivery: Option<&'a Delivery>,
    pub(super) now: Timestamp,
}

/// Creates the job; its caller then sends the hints. The texts of the review are read later, so that an unreachable
/// forge does not lose the review.
/// Writes: CLASS, if the job waits for a runner; then see `Store::create_review_job`.
pub(super) async fn create_review_job(ctx: &Context, new: NewReviewJob<'_>) -> Result<Write, Error> {
    let (project, ticket) = (new.project, new.ticket);
    let repository = &new.repository.clone().resolve_agent(&project.settings);
    let text = ctx.store.load_ticket_text(&project.id, &ticket.key).await?.map(|stored| stored.text);
    let labels = required_labels(&project.settings, repository, text.as_ref(), &BTreeSet::new());
    let plan = JobPlan {
        id: new.id.clone(),
        project: &project.id,
        settings: &project.settings,
        repository,
        context: String::new(),
        labels: &labels,
        priority: text.as_ref().and_then(TicketText::priority).unwrap_or_default(),
        now: new.now,
    };
    let revision = RevisionPlan { review: &new.review.id, head: None };
    let (mut job, ticket, pull_request) = plan_revision(&plan, ticket, new.pull_request, revision);
    create_class(ctx, &job, repository, labels).await?;
    let charge = project.settings.budget.charge(&job);
    let limits = SpendingLimits::from(&project.settings);
    let ChargeResult::Room(spending) = charge_spending(ctx, &mut job, None, &limits).await? else {
        return Ok(Write::Stale);
    };
    let trigger = ReviewTrigger {
        job: &job,
        ticket: &ticket,
        pull_request: &pull_request,
        review: &new.review,
        delivery: new.delivery,
        charge: charge.as_ref(),
        spending: spending.as_ref(),
    };
    let write = ctx.store.create_review_job(&trigger).await?;
    if write == Write::Applied {
        tracing::info!(job.id = %job.id, project = %job.project, branch = %job.branch, "revise job created");
    }
    Ok(write)
}

/// Sends the hints of a new revise job. If a hint is lost, the sweeper continues the job within 90 seconds.
pub(super) async fn send_revision_hints(ctx: &Context, job: &JobId, pull_request: &PullRequestId) {
    ctx.send_hints(async {
        ctx.wake_review_freeze(job).await;
        ctx.wake_pull_request(pull_request).await;
    })
    .await;
}
