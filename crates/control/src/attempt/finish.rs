//! Finishes an attempt when its runner reports the outcome.

use crate::attempt::breaker::{load_capability, open_breaker};
use crate::jobs::finish_job::{WriteParts, load_linked_pull_request, write_end};
use crate::jobs::load_leased_job::load_job_of;
use crate::jobs::suspension::write_suspension;
use crate::{Context, Error};
use pullyard_domain::agent::breaker::AccountFault;
use pullyard_domain::job::{
    AgentReport, AttemptEnd, End, Fence, Job, JobKind, JobStatus, ModelFaultReport, Publishes, TransitionRefusal,
};
use pullyard_domain::project::spending::SpentOn;
use pullyard_domain::review::outcome::pull_request_link;
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::review::pull_request::pull_request_label;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::FinishId;
use pullyard_domain::ticket::Ticket;
use pullyard_store::Write;

#[derive(Clone, Debug)]
pub struct Finish {
    pub id: FinishId,
    pub end: End,
    /// Known or estimated cost. Units: millionths of a US dollar.
    pub spent_usd_micros: Option<u64>,
    pub work: Option<AgentReport>,
    /// Only of a completed attempt whose kind reports.
    pub output: Option<JobOutput>,
}

impl Finish {
    fn write_parts(&self) -> WriteParts<'_> {
        let (work, output) = (self.work.as_ref(), self.output.as_ref());
        WriteParts { work, output, spent_usd_micros: self.spent_usd_micros, ..WriteParts::default() }
    }
}

/// Ends an attempt and its job. If the model's account is unavailable, the job waits instead (see `breaker.rs`).
/// Idempotent: by the finish's id.
/// Errors: `Invalid` for a result or an output that the job's kind does not have; `LeaseLost` if the attempt no longer
/// holds the job. A late result is still stored (`recorded`) and its pull request linked; without the link, every later
/// review would be refused.
pub async fn finish_attempt(ctx: &Context, fence: &Fence, finish: &Finish) -> Result<JobStatus, Error> {
    let mut rounds = ctx.retries(&fence.job);
    loop {
        let now = ctx.clock.now();
        let job = load_job_of(ctx, fence).await?;
        check_result(&job, finish)?;
        let holds_job = job.check_fence(fence).is_ok();
        if let Some((failure, fault)) = model_fault(&finish.end).filter(|_| holds_job) {
            match wait_for_model(ctx, &job, fence, finish, (failure, &fault)).await? {
                Some(status) => return Ok(status),
                None => {
                    rounds.backoff().await?;
                    continue;
                }
            }
        }
        let end = name_limit(ctx, &job, finish.end.clone()).await?;
        let ended = match job.finish(fence, &finish.id, end, now) {
            Ok(ended) => ended.with_cost(finish.spent_usd_micros.unwrap_or(0)),
            Err(TransitionRefusal::AlreadyDone) => return Ok(job.status),
            Err(TransitionRefusal::LeaseLost) => {
                return Err(Error::LeaseLost { recorded: store_late_result(ctx, &job, fence, &finish.end).await? });
            }
            Err(refusal) => return Err(Error::from_refusal(refusal, now)),
        };
        if write_end(ctx, &job, &ended, finish.write_parts(), now).await? == Write::Applied {
            return Ok(ended.status);
        }
        rounds.backoff().await?;
    }
}

/// Names the limit that a user can raise, in a failure at a limit of cost.
async fn name_limit(ctx: &Context, job: &Job, end: End) -> Result<End, Error> {
    let label = match &end {
        End::Failed(Failure::CostLimit { .. }, _) => load_charged_label(ctx, job).await?,
        _ => None,
    };
    Ok(job.name_limit_of(end, label.as_deref()))
}

/// The name of the pull request in which the job counts. `None`: it counts in a ticket.
pub(crate) async fn load_charged_label(ctx: &Context, job: &Job) -> Result<Option<String>, Error> {
    let Some(SpentOn::PullRequest(id)) = job.charged.as_ref().map(|charge| &charge.of) else { return Ok(None) };
    let repository = ctx.store.load_repository(&job.project, &job.integration, job.repository).await?;
    Ok(repository.map(|repository| pull_request_label(Some(&repository.name), id.number)))
}

/// A result and an output belong to certain kinds of job.
fn check_result(job: &Job, finish: &Finish) -> Result<(), Error> {
    let (result, is_completed) = match &finish.end {
        End::Completed(result) => (result.as_ref(), true),
        End::Pushed(_) => (None, true),
        End::Failed(_, result) => (result.as_ref(), false),
        End::Cancelled => (None, false),
    };
    let (changes, reports) = (job.publishes() == Publishes::Change, job.kind.reports());
    let step = job.step.as_ref();
    let step_reports = step.is_some_and(|step| step.reports);
    let has_own_branch = step.is_some_and(|step| step.has_own_branch);
    let is_pushed = matches!(finish.end, End::Pushed(_));
    let is_own = |output: &JobOutput| match output {
        JobOutput::Read(_) => job.kind == JobKind::Read || step_reports,
        JobOutput::Review(_) => job.kind.reviews(),
        JobOutput::Analysis(_) => job.kind == JobKind::Analysis,
    };
    let fault = match (result, &finish.output) {
        (Some(_), _) if !changes => ("/result", "a job of this kind has no result"),
        (Some(_), _) if has_own_branch => ("/result/pull_request", "this job has no pull request"),
        (None, _) if is_pushed && !has_own_branch => ("/result/pull_request", "this job has a pull request"),
        (_, Some(_)) if !reports && !step_reports => ("/output", "a job of this kind has no output"),
        (_, Some(_)) if !is_completed => ("/output", "only a completed attempt has an output"),
        (_, Some(output)) if !is_own(output) => ("/output", "a job of this kind has another output"),
        (_, None) if is_completed && reports => ("/output", "a completed attempt of this kind has an output"),
        // A job that reports has none if it found nothing to fix, or left the tree unchanged.
        (None, None) if is_completed && !is_pushed => ("/result", "a completed attempt has a result"),
        _ => return Ok(()),
    };
    Err(Error::Invalid { pointer: fault.0, fault: fault.1.into() })
}

fn model_fault(end: &End) -> Option<(&Failure, AccountFault)> {
    match end {
        End::Failed(failure, None) => AccountFault::from_failure(failure).map(|fault| (failure, fault)),
        End::Completed(_) | End::Pushed(_) | End::Failed(..) | End::Cancelled => None,
    }
}

/// Opens the breaker, then requeues the job, or ends it if it has waited too long. Returns `None` if the job changed.
/// Idempotent: a repeat finds the breaker opened by this attempt, and the job requeued by this finish.
async fn wait_for_model(
    ctx: &Context,
    job: &Job,
    fence: &Fence,
    finish: &Finish,
    (failure, fault): (&Failure, &AccountFault),
) -> Result<Option<JobStatus>, Error> {
    let runner = job.run.as_ref().and_then(|run| run.runner.as_ref());
    let capability = load_capability(ctx, job).await?;
    let until = open_breaker(ctx, job, &capability, runner, fault).await?;
    let report = ModelFaultReport {
        finish: finish.id.clone(),
        failure: failure.clone(),
        fault: *fault,
        capability,
        blocked_until: until,
        session: finish.work.as_ref().map(|work| (work.agent.clone(), work.session.clone())),
    };
    let now = ctx.clock.now();
    let next = job.requeue_for_model(fence, &report, now).map_err(|refusal| Error::from_refusal(refusal, now))?;
    let next = next.with_cost(finish.spent_usd_micros.unwrap_or(0));
    let ended = AttemptEnd::Requeued { failure: failure.clone() };
    let write = write_suspension(ctx, job, &next, ended, finish.write_parts(), now).await?;
    Ok((write == Write::Applied).then_some(next.status))
}

async fn store_late_result(ctx: &Context, job: &Job, fence: &Fence, end: &End) -> Result<bool, Error> {
    let (End::Completed(Some(result)) | End::Failed(_, Some(result))) = end else {
        return Ok(false);
    };
    let is_recorded = ctx.store.update_late_result(&fence.job, fence.attempt, result).await? == Write::Applied;
    link_late_pull_request(ctx, &Job { result: Some(result.clone()), ..job.clone() }).await?;
    tracing::warn!(job.id = %fence.job, attempt = fence.attempt, noted = is_recorded, "late result recorded");
    Ok(is_recorded)
}

/// Links a late result's pull request and shows it on the ticket, in one write: the runner may not report again.
pub(crate) async fn link_late_pull_request(ctx: &Context, job: &Job) -> Result<(), Error> {
    let mut rounds = ctx.retries(&job.id);
    while let Some(pull_request) = load_linked_pull_request(ctx, job).await? {
        let stored = ctx.store.load_pull_request(&pull_request.id).await?;
        let is_linked = stored.is_some_and(|stored| !stored.is_only_reviewed());
        let ticket = ticket_with_link(ctx, job).await?;
        let write = match &ticket {
            Some(ticket) if is_linked => ctx.store.update_ticket(ticket).await?,
            Some(ticket) => ctx.store.link_pull_request(&pull_request, ticket).await?,
            None if is_linked => break,
            None if pull_request.rev > 0 => ctx.store.update_pull_request(&pull_request).await?,
            None => ctx.store.link_if_absent(&pull_request).await?,
        };
        if write == Write::Applied {
            if let Some(ticket) = ticket {
                ctx.wake_ticket(&ticket.project, &ticket.key).await;
            }
            break;
        }
        rounds.backoff().await?;
    }
    Ok(())
}

async fn ticket_with_link(ctx: &Context, job: &Job) -> Result<Option<Ticket>, Error> {
    let (Some(key), Some(link)) = (&job.ticket, pull_request_link(job)) else { return Ok(None) };
    let ticket = ctx.store.load_ticket(&job.project, key).await?.filter(|ticket| ticket.pull_request.is_none());
    Ok(ticket.map(|mut ticket| {
        // Keep a pending status change, but do not request a synced one again.
        let status = ticket.wanted.status.clone().filter(|_| ticket.is_unsynced());
        ticket.request_state(status, ticket.wanted.badge, Some(link));
        ticket
    }))
}
