//! Claims a job for a self-hosted runner.

use super::candidates::{CandidateSearch, list_matching_classes};
use super::{RunnerToken, load_own_member};
use crate::signed_tokens::Bootstrap;
use crate::{Context, Error};
use pullyard_domain::agent::runner::{NoClaim, Runner};
use pullyard_domain::job::fleet::Member;
use pullyard_domain::job::sweep::runners::is_slot_of_job;
use pullyard_domain::job::{Claim, Job, START_TIMEOUT};
use pullyard_domain::text::id::{ClaimId, InstanceId, RunnerId};
use pullyard_store::Write;

#[derive(Clone)]
pub struct ClaimResult {
    pub job: Job,
    /// A token that `run-job` exchanges for the assignment.
    pub bootstrap: String,
}

impl std::fmt::Debug for ClaimResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Omit the bootstrap token, which must not reach a log.
        let (job, attempt) = (&self.job.id, self.job.attempt);
        f.debug_struct("Claimed").field("job", job).field("attempt", &attempt).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
pub enum ClaimAnswer {
    Job(Box<ClaimResult>),
    NoJob,
    /// This claim got a job before, and the runner no longer holds it.
    ClaimUsed,
}

/// Claims a Ready job of a kind that the runner's protocol version knows: the first by `Job::order`; after a lost race,
/// a random one of the first.
/// Idempotent: by `claim`; a repeat returns the same job, and never a second one.
/// Errors: `NotFound`; `Runner` if another process has replaced this one, or the runner is being removed.
pub async fn claim_job(
    ctx: &Context,
    token: &RunnerToken,
    id: &RunnerId,
    (instance, claim): (&InstanceId, &ClaimId),
    protocol: u32,
) -> Result<ClaimAnswer, Error> {
    let mut search = None;
    loop {
        let Member { runner, profile } = load_own_member(ctx, token, id).await?;
        if let Some(job) = find_earlier_claim(ctx, &runner, instance, claim).await? {
            return answer_with_bootstrap(ctx, job).await;
        }
        if let Some(refusal) = runner.check_claim(instance, claim, ctx.clock.now()).map_err(Error::Runner)? {
            tracing::debug!(runner = %id, why = ?refusal, "runner gets no job");
            return Ok(if refusal == NoClaim::AlreadyClaimed { ClaimAnswer::ClaimUsed } else { ClaimAnswer::NoJob });
        }
        let search = match &mut search {
            Some(search) => search,
            None => {
                let classes = list_matching_classes(ctx, token, &profile).await?;
                search.insert(CandidateSearch::new(ctx, claim, (id, protocol), classes))
            }
        };
        let Some(job) = search.next().await? else { return Ok(ClaimAnswer::NoJob) };
        let new_claim = Claim {
            attempt: job.attempt + 1,
            claim: claim.clone(),
            instance: instance.clone(),
            runner: Some(id.clone()),
            task: None,
        };
        let Ok(job) = job.claim(&new_claim, ctx.clock.now()) else { continue };
        if ctx.store.claim_job(&job).await? == Write::Applied {
            tracing::info!(job.id = %job.id, attempt = job.attempt, runner = %id, "runner claimed a job");
            return answer_with_bootstrap(ctx, job).await;
        }
    }
}

async fn find_earlier_claim(
    ctx: &Context,
    runner: &Runner,
    instance: &InstanceId,
    claim: &ClaimId,
) -> Result<Option<Job>, Error> {
    let Some((job, slot)) = runner.slot_of_claim(claim).filter(|_| runner.instance == *instance) else {
        return Ok(None);
    };
    Ok(ctx.store.load_job(job).await?.filter(|job| is_slot_of_job(job, runner, slot)))
}

async fn answer_with_bootstrap(ctx: &Context, job: Job) -> Result<ClaimAnswer, Error> {
    let bootstrap = Bootstrap {
        job: job.id.clone(),
        attempt: job.attempt,
        dispatch: job.dispatch.number,
        // Counted from each answer, so that a repeated claim has the full time.
        expires: ctx.clock.now().plus(START_TIMEOUT),
    };
    Ok(ClaimAnswer::Job(Box::new(ClaimResult {
        bootstrap: ctx.load_signing_key().await?.sign_bootstrap(&bootstrap)?,
        job,
    })))
}
