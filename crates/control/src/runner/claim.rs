//! Claims a job for a self-hosted runner.

use super::waiting::{Seeker, classes_of};
use super::{RunnerToken, own_member};
use crate::admin::proof::Bootstrap;
use crate::{Context, Error};
use pullyard_domain::fleet::Member;
use pullyard_domain::id::{ClaimId, InstanceId, RunnerId};
use pullyard_domain::job::{Claim, Job, START_TIMEOUT};
use pullyard_domain::runner::sweep::slot_holds_job;
use pullyard_domain::runner::{NoClaim, Runner};
use pullyard_store::Write;

#[derive(Clone)]
pub struct Claimed {
    pub job: Job,
    /// A token that `run-job` exchanges for the assignment.
    pub bootstrap: String,
}

impl std::fmt::Debug for Claimed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Omit the bootstrap token, which must not reach a log.
        let (job, attempt) = (&self.job.id, self.job.attempt);
        f.debug_struct("Claimed").field("job", job).field("attempt", &attempt).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
pub enum Answer {
    Job(Box<Claimed>),
    Nothing,
    /// This claim got a job before, and the runner no longer holds it.
    Spent,
}

/// Claims a Ready job for a runner: adopting jobs first, then the oldest; after a lost race, a random old one.
///
/// Idempotent: by `claim`; a repeat returns the same job, and never a second one.
/// Errors: `NotFound`; `Runner` if another process has replaced this one, or the runner is being removed.
pub async fn claim(
    ctx: &Context,
    token: &RunnerToken,
    id: &RunnerId,
    instance: &InstanceId,
    claim: &ClaimId,
) -> Result<Answer, Error> {
    let mut seeker = None;
    loop {
        let Member { runner, profile } = own_member(ctx, token, id).await?;
        if let Some(job) = claimed_before(ctx, &runner, instance, claim).await? {
            return handed_out(ctx, job).await;
        }
        if let Some(closed) = runner.check_claim(instance, claim, ctx.clock.now()).map_err(Error::Runner)? {
            tracing::debug!(runner = %id, why = ?closed, "runner gets no job");
            return Ok(if closed == NoClaim::AlreadyClaimed { Answer::Spent } else { Answer::Nothing });
        }
        let seeker = match &mut seeker {
            Some(seeker) => seeker,
            None => seeker.insert(Seeker::new(ctx, claim, id, classes_of(ctx, token, &profile).await?)),
        };
        let Some(job) = seeker.next().await? else { return Ok(Answer::Nothing) };
        let asked = Claim {
            attempt: job.attempt + 1,
            claim: claim.clone(),
            instance: instance.clone(),
            runner: Some(id.clone()),
            task: None,
        };
        let Ok(job) = job.claim(&asked, ctx.clock.now()) else { continue };
        if ctx.store.claim(&job).await? == Write::Applied {
            tracing::info!(job.id = %job.id, attempt = job.attempt, runner = %id, "runner claimed a job");
            return handed_out(ctx, job).await;
        }
    }
}

async fn claimed_before(
    ctx: &Context,
    runner: &Runner,
    instance: &InstanceId,
    claim: &ClaimId,
) -> Result<Option<Job>, Error> {
    let Some((job, slot)) = runner.slot_of_claim(claim).filter(|_| runner.instance == *instance) else {
        return Ok(None);
    };
    Ok(ctx.store.job(job).await?.filter(|job| slot_holds_job(job, runner, slot)))
}

async fn handed_out(ctx: &Context, job: Job) -> Result<Answer, Error> {
    let bootstrap = Bootstrap {
        job: job.id.clone(),
        attempt: job.attempt,
        dispatch: job.dispatch.number,
        // Counted from each answer, so that a repeated claim has the full time.
        expires: ctx.clock.now().plus(START_TIMEOUT),
    };
    Ok(Answer::Job(Box::new(Claimed { bootstrap: ctx.keys().await?.bootstrap(&bootstrap)?, job })))
}
