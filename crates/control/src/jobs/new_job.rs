//! Creates a job: plans it, writes it with its ledger entry, and sends hints.

use crate::tickets::comments::list_comments_of;
use crate::{Context, Error, review};
use pullyard_domain::agent::checks::JobCommands;
use pullyard_domain::job::limit::RunningLimits;
use pullyard_domain::job::select::ClassRequirements;
use pullyard_domain::job::{
    AgentWrites, Job, JobKind, JobStatus, Placement, Priority, PullRequestUnderReview, to_retry,
};
use pullyard_domain::kinds::prompt::comments::freeze_comments;
use pullyard_domain::kinds::{
    JobPlan, RevisionPlan, plan_analysis, plan_for_ticket, plan_reading, plan_review, plan_revision,
    plan_without_ticket, prompt,
};
use pullyard_domain::project::commits::Author;
use pullyard_domain::project::spending::{Spending, SpendingLimits};
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::review::analysis::{Analysis, AnalysisPlan};
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::review::pull_request::{PullRequest, PullRequestState};
use pullyard_domain::run::{Run, StepContext};
use pullyard_domain::text::id::{JobId, TicketKey};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::event::TicketText;
use pullyard_domain::ticket::required_labels::required_labels;
use pullyard_store::{JobCreation, Request, TicketCreation, Write};
use std::collections::BTreeSet;

pub(crate) struct NewJob<'a> {
    pub(crate) id: JobId,
    pub(crate) kind: JobKind,
    pub(crate) project: &'a Project,
    pub(crate) repository: &'a Repository,
    pub(crate) ticket: Option<(&'a Ticket, &'a TicketText)>,
    pub(crate) instructions: Option<String>,
    pub(crate) reviews: Option<NewReview>,
    /// The second value is the item of the repository's analyses, which names the job.
    pub(crate) analysis: Option<(AnalysisPlan, Analysis)>,
    /// The run, the name of the step, and its context.
    pub(crate) step: Option<(&'a Run, &'a str, StepContext)>,
    pub(crate) base: Option<String>,
    /// Labels of the request, in addition to the labels of project, repository and `ticket`.
    pub(crate) labels: BTreeSet<String>,
    /// Priority of the request. Without it, the label of `ticket` decides.
    pub(crate) priority: Option<Priority>,
    pub(crate) retry_of: Option<&'a Job>,
    pub(crate) now: Timestamp,
}

impl<'a> NewJob<'a> {
    /// A job without a request's choices.
    pub(crate) fn new(
        id: JobId,
        kind: JobKind,
        (project, repository): (&'a Project, &'a Repository),
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            kind,
            project,
            repository,
            ticket: None,
            instructions: None,
            reviews: None,
            analysis: None,
            step: None,
            base: None,
            labels: BTreeSet::new(),
            priority: None,
            retry_of: None,
            now,
        }
    }
}

/// The pull request of a job of kind `review` or `resolve`.
pub(crate) struct NewReview {
    pub(crate) pull_request: PullRequestUnderReview,
    /// The pull request's item, which names the job.
    pub(crate) item: PullRequest,
    /// The ticket to lock, if the job changes its pull request.
    pub(crate) ticket: Option<Ticket>,
}

struct PlannedJob {
    job: Job,
    ticket: Option<Ticket>,
    pull_request: Option<PullRequest>,
    analysis: Option<Analysis>,
    step: Option<StepContext>,
}

/// Creates a job with its ticket's lock and its ledger entry in one transaction.
/// Writes: the context, which stays unused if the job is not created; then see `Store::create_job`.
/// Idempotent: by the job's id.
pub(crate) async fn write_new_job(
    ctx: &Context,
    new: NewJob<'_>,
    entry: &Delivery,
    request: Option<&Request>,
) -> Result<Write, Error> {
    let budget = &new.project.settings.budget;
    let limits = SpendingLimits::from(&new.project.settings);
    // Boxed, because the future is large and this one is part of many.
    let mut plan = Box::pin(plan_job(ctx, new)).await?;
    let charge = budget.charge(&plan.job);
    let linked = plan.pull_request.as_ref().and_then(|linked| linked.ticket.clone());
    let ChargeResult::Room(spending) = charge_spending(ctx, &mut plan.job, linked.as_ref(), &limits).await? else {
        return Ok(Write::Stale);
    };
    let creation = JobCreation {
        job: &plan.job,
        ticket: plan.ticket.as_ref(),
        pull_request: plan.pull_request.as_ref(),
        analysis: plan.analysis.as_ref(),
        delivery: Some(entry),
        charge: charge.as_ref(),
        spending: spending.as_ref(),
        request,
    };
    let write = ctx.store.create_job(&creation).await?;
    if write == Write::Applied {
        send_new_job_hints(ctx, &plan).await;
    }
    Ok(write)
}

/// Writes: the context, as above; then see `Store::create_ticket`.
/// Idempotent: by the ticket's key.
pub(crate) async fn write_new_ticket_and_job(
    ctx: &Context,
    new: NewJob<'_>,
    delivery: &Delivery,
    request: Option<&Request>,
) -> Result<Write, Error> {
    let budget = &new.project.settings.budget;
    let limits = SpendingLimits::from(&new.project.settings);
    let text = new.ticket.map(|(_, text)| text);
    let mut plan = Box::pin(plan_job(ctx, new)).await?;
    let charge = budget.charge(&plan.job);
    let ChargeResult::Room(spending) = charge_spending(ctx, &mut plan.job, None, &limits).await? else {
        return Ok(Write::Stale);
    };
    let (Some(ticket), Some(text)) = (&plan.ticket, text) else {
        return Err(Error::Inconsistent("a new ticket's job has no ticket".into()));
    };
    let creation = TicketCreation {
        ticket,
        text,
        delivery,
        job: Some(&plan.job),
        charge: charge.as_ref(),
        spending: spending.as_ref(),
        request,
    };
    let write = ctx.store.create_ticket(&creation).await?;
    if write == Write::Applied {
        send_new_job_hints(ctx, &plan).await;
    }
    Ok(write)
}

/// Whether the limits of a job's ticket have room for it.
pub(crate) enum ChargeResult {
    /// The spending with the job. `None` without limits.
    Room(Option<Spending>),
    /// Another job took the rest since the decision. The caller decides again, and its guard refuses.
    Full,
}

/// Reserves money for a new job from the limits of its ticket or pull request. Loads them here, after the decision, so
/// that no caller can create a job without them. `linked`: the ticket of the job's pull request.
pub(crate) async fn charge_spending(
    ctx: &Context,
    job: &mut Job,
    linked: Option<&TicketKey>,
    limits: &SpendingLimits,
) -> Result<ChargeResult, Error> {
    let Some(of) = job.spent_on(linked).filter(|_| limits.has_limit()) else { return Ok(ChargeResult::Room(None)) };
    let stored = ctx.store.load_spending(&job.project, &of).await?;
    let spending = stored.unwrap_or_else(|| Spending::new(job.project.clone(), of));
    Ok(match spending.reserve(limits, job.kind.spec().writes, job.created) {
        Some((next, charge)) => {
            job.charged = Some(charge);
            ChargeResult::Room(Some(next))
        }
        None => ChargeResult::Full,
    })
}

/// Plans the job of a step, which its run creates.
/// Writes: the context and the class, as above.
pub(crate) async fn plan_new_job(ctx: &Context, new: NewJob<'_>) -> Result<Job, Error> {
    Ok(Box::pin(plan_job(ctx, new)).await?.job)
}

async fn plan_job(ctx: &Context, new: NewJob<'_>) -> Result<PlannedJob, Error> {
    let text = new.ticket.map(|(_, text)| text);
    let labels = required_labels(&new.project.settings, new.repository, text, &new.labels);
    let priority = new.priority.or(text.and_then(TicketText::priority));
    let plan = JobPlan {
        id: new.id.clone(),
        project: &new.project.id,
        settings: &new.project.settings,
        repository: new.repository,
        context: String::new(),
        labels: &labels,
        priority: priority.unwrap_or_default(),
        now: new.now,
    };
    let (project, repository, retry_of) = (new.project, new.repository, new.retry_of);
    let step = new.step.as_ref().map(|(run, name, _)| (*run, *name));
    let revision = match (retry_of, new.ticket) {
        (Some(retried), Some((ticket, _))) => plan_revision_retry(ctx, retried, &plan, ticket).await?,
        _ => None,
    };
    let mut planned = match revision {
        Some(revision) => revision,
        None => plan_implementation(ctx, new, plan).await?,
    };
    if let Some(retried) = retry_of {
        (planned.job, planned.ticket) = to_retry(retried, &project.settings, planned.job, planned.ticket);
    }
    if let Some(((run, name), context)) = step.zip(planned.step.take()) {
        planned.job = planned.job.for_step(run, name, &context);
    }
    planned.job = planned.job.await_place(&RunningLimits::new(project, [repository]));
    create_class(ctx, &planned.job, repository, labels).await?;
    Ok(planned)
}

/// Writes: the context, which stays unused if the job is not created.
async fn plan_implementation(ctx: &Context, new: NewJob<'_>, mut plan: JobPlan<'_>) -> Result<PlannedJob, Error> {
    let comments = match new.ticket {
        Some((ticket, _)) => list_comments_of(ctx, ticket, None).await?.comments,
        None => Vec::new(),
    };
    let writes_tree = new.kind.spec().writes == AgentWrites::Tree;
    let locked = new.reviews.as_ref().and_then(|review| review.ticket.clone());
    let (reviews, pull_request) = new.reviews.map(|review| (review.pull_request, review.item)).unzip();
    let (analysis, analysis_item) = new.analysis.unzip();
    let base = new.base.unwrap_or_else(|| new.repository.default_branch.clone());
    let context = prompt::Context {
        kind: new.kind,
        ticket: new.ticket.map(|(ticket, text)| (ticket.key.clone(), text.clone())),
        comments: freeze_comments(&comments),
        instructions: new.instructions,
        reviews,
        analysis,
        repository: new.repository.clone(),
        base: base.clone(),
        review: None,
        commands: JobCommands::from_settings(plan.settings, new.repository).filter(|_| writes_tree),
        egress: plan.settings.egress.clone(),
        author: Author::from_settings(plan.settings),
        labels: new.labels,
        priority: new.priority,
        step: new.step.map(|(.., context)| context),
    };
    plan.context = ctx.store.create_context(&plan.id, &context).await?;
    let (mut job, ticket) = match (new.ticket, &context.reviews) {
        (Some((ticket, _)), _) => {
            let (job, ticket) = plan_for_ticket(&plan, ticket);
            (job, Some(ticket))
        }
        (None, Some(pull_request)) => plan_review(&plan, new.kind, pull_request, locked.as_ref()),
        (None, None) if writes_tree => (plan_without_ticket(&plan), None),
        (None, None) if context.analysis.is_some() => (plan_analysis(&plan, &base), None),
        (None, None) => (plan_reading(&plan, &base), None),
    };
    if review::has_unanswered_reviews(ctx, &job).await? {
        job = job.await_reviews(plan.now);
    }
    Ok(PlannedJob { job, ticket, pull_request, analysis: analysis_item, step: context.step })
}

/// Stores the class of a job that waits for a runner.
pub(crate) async fn create_class(
    ctx: &Context,
    job: &Job,
    repository: &Repository,
    labels: BTreeSet<String>,
) -> Result<(), Error> {
    if job.place == Placement::Runners {
        let (capability, key) = (repository.agent.capability.clone(), job.policy.key_owner());
        ctx.store.create_class(&job.project, &job.class, &ClassRequirements { capability, labels, key }).await?;
    }
    Ok(())
}

/// Plans the retry of a revision as a revision while its pull request is open. Reuses the frozen review texts.
async fn plan_revision_retry(
    ctx: &Context,
    retried: &Job,
    plan: &JobPlan<'_>,
    ticket: &Ticket,
) -> Result<Option<PlannedJob>, Error> {
    let (Some(id), Some(revises)) = (retried.pull_request(), &retried.revises) else { return Ok(None) };
    let Some(review) = &revises.review else { return Ok(None) };
    let linked = ctx.store.load_pull_request(&id).await?;
    let open = |linked: &PullRequest| {
        linked.state == PullRequestState::Open
            && linked.id.integration == plan.repository.integration
            && linked.id.repository == plan.repository.id
            && linked.project == ticket.project
            && linked.ticket.as_ref() == Some(&ticket.key)
    };
    let Some(linked) = linked.filter(open) else { return Ok(None) };
    let (mut job, mut ticket, pull_request) = plan_revision(plan, ticket, &linked, RevisionPlan { review, head: None });
    if let Some(context) = ctx.store.load_context(&retried.id, &retried.context).await? {
        // Only the review texts stay frozen, because another repository may have this repository's old name.
        let (commands, author) =
            (JobCommands::from_settings(plan.settings, plan.repository), Author::from_settings(plan.settings));
        let repository = Repository { agent: context.repository.agent, ..plan.repository.clone() };
        let egress = plan.settings.egress.clone();
        let context = prompt::Context { commands, egress, author, repository, ..context };
        let frozen = ctx.store.create_context(&job.id, &context).await?;
        job = job.admit(frozen, &linked.head, plan.now).map_err(|refusal| Error::from_refusal(refusal, plan.now))?;
    }
    ticket.request_state(None, None, None);
    Ok(Some(PlannedJob { job, ticket: Some(ticket), pull_request: Some(pull_request), analysis: None, step: None }))
}

/// Sends the hints of a new job. A lost hint delays it by a minute.
async fn send_new_job_hints(ctx: &Context, plan: &PlannedJob) {
    let job = &plan.job;
    tracing::info!(job.id = %job.id, project = %job.project, branch = %job.branch, "job created");
    ctx.send_hints(async {
        if job.status == JobStatus::Pending {
            ctx.wake_review_freeze(&job.id).await;
        } else {
            ctx.wake_job(&job.id).await;
        }
        if let Some(pull_request) = plan.pull_request.as_ref().filter(|linked| linked.is_note_outdated()) {
            ctx.wake_pull_request(&pull_request.id).await;
        }
        if let Some(ticket) = plan.ticket.as_ref().filter(|ticket| ticket.is_unsynced()) {
            ctx.wake_ticket(&ticket.project, &ticket.key).await;
        }
    })
    .await;
}
