//! Admits the jobs of a project that wait for places in limits: the oldest that has room in all its limits is first.

use crate::{Context, Error};
use pullyard_domain::id::ProjectId;
use pullyard_domain::job::Job;
use pullyard_domain::limit::{Holders, LimitKey, LimitScope, Limits, first_admissible, limits_of};
use pullyard_domain::project::Repository;
use pullyard_domain::wait::Wait;
use pullyard_store::{Place, Write};
use std::collections::{BTreeMap, BTreeSet};

/// Waiting jobs that one admission considers. Behind so many of a full repository, a job waits until some are admitted.
const MAX_WAITING: i32 = 200;

/// Jobs that one message admits. The hint of the last one continues.
const MAX_ADMITTED: usize = 10;

/// The limits of a job's project and repository, as they are set now.
pub(crate) async fn load_limits(ctx: &Context, job: &Job) -> Result<Limits, Error> {
    let Some(project) = ctx.store.load_project(&job.project).await? else { return Ok(Limits::new()) };
    let repository = ctx.store.load_repository(&job.project, &job.integration, job.repository).await?;
    Ok(limits_of(&project, repository.as_ref()))
}

/// Idempotent: an admitted job waits no more. Concurrent admissions exceed no limit, because each takes its places under
/// their condition. `hinted` is considered even if the index does not list it yet.
pub(crate) async fn admit_jobs(ctx: &Context, hinted: &Job) -> Result<(), Error> {
    let Some(project) = ctx.store.load_project(&hinted.project).await? else { return Ok(()) };
    let repositories = ctx.store.list_repositories(&project.id).await?;
    let limits = |job: &Job| {
        let own =
            |repository: &&Repository| repository.integration == job.integration && repository.id == job.repository;
        limits_of(&project, repositories.iter().find(own))
    };
    let waiting = list_waiting(ctx, &project.id, hinted).await?;
    let mut waiting = waiting.into_iter().map(|job| (limits(&job), job)).collect::<Vec<_>>();
    let mut rounds = ctx.retries(&project.id);
    let mut admitted = 0;
    while !waiting.is_empty() {
        let holders = load_holders(ctx, &waiting).await?;
        let Some((job, limits)) = first_admissible(waiting.iter().map(|(limits, job)| (job, limits)), &holders) else {
            return Ok(());
        };
        let Some(next) = job.admit_to_places(limits, ctx.clock.now()) else { return Ok(()) };
        let keys = limits.iter().map(|(scope, max)| (job.limit_key(*scope), *max)).collect::<Vec<_>>();
        let places = keys.iter().map(|(limit, max)| Place { limit, max: *max, seen: holders.get(limit) });
        let id = job.id.clone();
        if ctx.store.admit_job(&next, &places.collect::<Vec<_>>()).await? == Write::Applied {
            tracing::info!(job.id = %id, "job admitted to its limits");
            ctx.wake_job(&id).await;
            waiting.retain(|(_, job)| job.id != id);
            admitted += 1;
            if admitted == MAX_ADMITTED
                && let Some((_, next)) = waiting.first()
            {
                ctx.wake_job(&next.id).await;
                return Ok(());
            }
            continue;
        }
        // The job changed, or another admission took the place.
        rounds.backoff().await?;
        let now = ctx.store.load_job(&id).await?.filter(|job| job.is_limited);
        let renew = |(limits, job): (Limits, Job)| Some((limits, if job.id == id { now.clone()? } else { job }));
        waiting = waiting.into_iter().filter_map(renew).collect();
    }
    Ok(())
}

/// Oldest first, read strongly.
async fn list_waiting(ctx: &Context, project: &ProjectId, hinted: &Job) -> Result<Vec<Job>, Error> {
    let mut ids = ctx.store.list_limited_jobs(project, MAX_WAITING).await?;
    if !ids.contains(&hinted.id) {
        ids.push(hinted.id.clone());
    }
    let mut jobs = ctx.store.load_jobs(&ids).await?;
    jobs.retain(|job| job.is_limited);
    jobs.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(jobs)
}

/// The holders of all limits of these jobs.
async fn load_holders(ctx: &Context, waiting: &[(Limits, Job)]) -> Result<BTreeMap<LimitKey, Holders>, Error> {
    let mut found = BTreeMap::new();
    let keys = waiting.iter().flat_map(|(limits, job)| limits.keys().map(|scope| job.limit_key(*scope)));
    for key in keys.collect::<BTreeSet<_>>() {
        if let Some(holders) = ctx.store.load_holders(&key).await? {
            found.insert(key, holders);
        }
    }
    Ok(found)
}

/// Why a limited job waits: the first limit that is full.
pub(crate) async fn explain_limit(ctx: &Context, job: &Job) -> Result<Option<Wait>, Error> {
    let ahead = ctx.store.list_limited_jobs(&job.project, MAX_WAITING).await?;
    let ahead = ahead.iter().take_while(|id| **id != job.id).count();
    let m = u64::try_from(ahead).unwrap_or(u64::MAX);
    for (scope, max) in load_limits(ctx, job).await? {
        let holders = ctx.store.load_holders(&job.limit_key(scope)).await?.unwrap_or_default();
        if holders.has_room(&job.id, max) {
            continue;
        }
        let n = u64::try_from(holders.holders.len()).unwrap_or(u64::MAX);
        let max = u64::from(max);
        let repository = ctx.store.load_repository(&job.project, &job.integration, job.repository).await?;
        return Ok(match (scope, repository) {
            (LimitScope::Repository, Some(repository)) => {
                Some(Wait::RepositoryLimit { n, max, repo: repository.name, m })
            }
            _ => Some(Wait::ProjectLimit { n, max, project: job.project.clone(), m }),
        });
    }
    Ok(None)
}
