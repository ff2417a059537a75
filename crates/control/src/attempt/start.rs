//! Claims an attempt for a task and returns its assignment.

use crate::analyses::load_report;
use crate::jobs::cancel_job::cancel_job;
use crate::runner::check_runner_trust;
use crate::signed_tokens::Bootstrap;
use crate::{Context, Error};
use pullyard_domain::job::{Claim, Fence, Input, Job, TransitionRefusal};
use pullyard_domain::kinds::prompt;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::review::analysis::AnalysisReport;
use pullyard_domain::text::id::{ClaimId, InstanceId, JobId};
use pullyard_store::Write;

const MAX_RETRIES: usize = 50;

#[derive(Clone)]
pub struct Assignment {
    pub job: Job,
    pub context: prompt::Context,
    pub integration: Integration,
    pub revises_on_review: bool,
    pub inputs: Vec<Input>,
    /// Earlier jobs that may have answered the review comments of this retry.
    pub retried_jobs: Vec<JobId>,
    /// The report of the analysis before this one.
    pub previous_report: Option<AnalysisReport>,
    pub lease: String,
}

impl std::fmt::Debug for Assignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Omit the lease, which must not reach a log.
        let (job, attempt) = (&self.job.id, self.job.attempt);
        f.debug_struct("Assignment").field("job", job).field("attempt", &attempt).finish_non_exhaustive()
    }
}

/// Idempotent: by `claim`; a repeat returns the same assignment and lease.
/// Errors: `LeaseLost` if another task was faster; `WrongStatus`; `StopRequested`, also if the project was deleted.
pub async fn start_attempt(
    ctx: &Context,
    bootstrap: &Bootstrap,
    claim: ClaimId,
    instance: InstanceId,
    task: Option<String>,
) -> Result<Assignment, Error> {
    let mut claim = Claim { attempt: bootstrap.attempt, claim, instance, runner: None, task };
    let mut rounds = ctx.retries(&bootstrap.job);
    let job = loop {
        let now = ctx.clock.now();
        let job = ctx.load_job(&bootstrap.job).await?;
        if claim.task.is_none() && job.dispatch.number == bootstrap.dispatch {
            // The task could not read its ARN from ECS. Use the stored one, or its death would go unnoticed.
            claim.task.clone_from(&job.dispatch.task);
        }
        match job.claim(&claim, now) {
            Ok(next) if ctx.store.claim_job(&next).await? == Write::Applied => break next,
            Ok(_) => rounds.backoff().await?,
            Err(TransitionRefusal::AlreadyDone) => break job,
            Err(refusal) => return Err(Error::from_refusal(refusal, now)),
        }
    };
    check_runner_trust(ctx, &job).await?;
    tracing::info!(job.id = %job.id, attempt = job.attempt, "job claimed");
    let (project, context, integration) = tokio::try_join!(
        ctx.store.load_project(&job.project),
        ctx.store.load_context(&job.id, &job.context),
        ctx.store.load_integration(&job.integration)
    )?;
    // A job may have been created while its project was deleted. A condition on the project in each creation would make
    // all creations of a project wait for each other.
    let Some(project) = project else {
        cancel_job(ctx, &job.id, "Pullyard", Some("Its project was deleted.")).await?;
        return Err(Error::from_refusal(TransitionRefusal::StopRequested, ctx.clock.now()));
    };
    let inputs = if job.inputs > 0 { ctx.store.list_inputs(&job.id, 0).await? } else { Vec::new() };
    let retried_jobs = list_retried_jobs(ctx, &job).await?;
    let fence = Fence { job: job.id.clone(), attempt: job.attempt, claim: claim.claim };
    let context = context.ok_or_else(|| Error::Inconsistent(format!("{} has no context", job.id)))?;
    let previous = context.analysis.as_ref().and_then(|plan| plan.previous.as_ref());
    Ok(Assignment {
        previous_report: load_report(ctx, previous).await?,
        context,
        integration: integration
            .ok_or_else(|| Error::Inconsistent(format!("the integration of {} does not exist any more", job.id)))?,
        revises_on_review: project.settings.revise_on_review,
        inputs,
        retried_jobs,
        lease: ctx.load_signing_key().await?.sign_lease(&fence)?,
        job,
    })
}

/// Whether runners of this protocol version know the kind of the job, before its claim. Errors: `NotFound`.
pub async fn is_kind_known(ctx: &Context, bootstrap: &Bootstrap, protocol: u32) -> Result<bool, Error> {
    Ok(ctx.load_job(&bootstrap.job).await?.is_known_by(protocol))
}

async fn list_retried_jobs(ctx: &Context, job: &Job) -> Result<Vec<JobId>, Error> {
    let mut all = Vec::new();
    let mut next = job.retry_of.clone().filter(|_| job.answers_reviews());
    while let Some(id) = next.take().filter(|_| all.len() < MAX_RETRIES) {
        let earlier = ctx.store.load_job(&id).await?;
        next = earlier.filter(Job::answers_reviews).and_then(|earlier| earlier.retry_of);
        all.push(id);
    }
    Ok(all)
}
