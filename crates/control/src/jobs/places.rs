//! Places in the limits of running jobs: who waits for one, who gets the next one, and who still holds one.

use crate::corrupt::{skip_corrupt, skip_corrupt_items};
use crate::sweep::postpone::postpone_after;
use crate::{Context, Error};
use futures::future::try_join_all;
use pullyard_domain::id::{JobId, ProjectId};
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::limit::{LimitScope, LimitUse, MAX_PLACED, Places, RunningLimits, repository_key};
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::wait::Wait;
use pullyard_store::{Error as StoreError, WorkKey, Write};
use std::collections::BTreeSet;

/// Rows of waiting jobs that are counted per repository.
const MAX_COUNTED_ROWS: i32 = 500;
/// Older waiting jobs that a sentence counts.
const MAX_AHEAD: i32 = 200;
/// The newest jobs of a project that a count reads, and those read at once.
const MAX_COUNTED_JOBS: usize = 1_000;
const JOBS_PER_PAGE: usize = 100;
/// Each end of a job writes the places of its project.
const MAX_ROUNDS: u32 = 20;

/// The next state of a job: it waits for a place if it becomes Ready and limits are set.
pub(crate) async fn await_place(ctx: &Context, before: &Job, next: Job) -> Result<Job, Error> {
    let may_become_ready = before.status.is_suspended() || before.status == JobStatus::Pending;
    if next.status != JobStatus::Ready || !may_become_ready {
        return Ok(next);
    }
    let Some(project) = ctx.store.load_project(&next.project).await? else { return Ok(next) };
    let repository = ctx.store.load_repository(&next.project, &next.integration, next.repository).await?;
    Ok(next.await_place(&RunningLimits::new(&project, &repository)))
}

/// Assigns free places after the hint of a job that waits for one or has left one. A held project assigns none.
/// Writes: LIMIT, and each JOB that gets a place, over `rev`.
/// Idempotent: a repeat finds no free place or no waiting job.
pub(crate) async fn assign_places(ctx: &Context, hinted: &Job) -> Result<(), Error> {
    let project = ctx.store.load_project(&hinted.project).await?;
    if project.as_ref().is_some_and(|project| project.settings.held_by.is_some()) {
        return Ok(());
    }
    // A deleted project has no limits; the claim cancels its jobs.
    let (mut limits, mut repositories) = (RunningLimits::default(), Vec::new());
    if let Some(project) = &project {
        repositories = ctx.store.list_repositories(&project.id).await?;
        limits = RunningLimits::new(project, &repositories);
    }
    let mut keys = keys_of(&repositories);
    keys.insert(hinted.repository_key());
    let mut rounds = ctx.retries(&hinted.project).up_to(MAX_ROUNDS);
    loop {
        let stored = load_places(ctx, &hinted.project).await?;
        // Jobs are read after the places: the write then refuses places that a job got since.
        let hinted = ctx.load_job(&hinted.id).await?;
        let mut places = stored.clone();
        if !hinted.takes_place() {
            places.holders.remove(&hinted.id);
        }
        let waiting = list_waiting(ctx, &places, &limits, &keys, &hinted).await?;
        let ids = waiting.iter().map(|job| job.id.clone()).collect::<Vec<_>>();
        let placed = places.fill(&limits, waiting, ctx.clock.now());
        if placed.is_empty() && places == stored {
            return Ok(());
        }
        if ctx.store.put_places(&places, &placed).await? == Write::Applied {
            tracing::info!(project = %places.project, jobs = placed.len(), "places assigned");
            let is_placed = |id: &&JobId| placed.iter().any(|job| job.id == **id);
            // The hint of the next job continues after a full write.
            let next = ids.iter().find(|id| !is_placed(id)).filter(|_| placed.len() == MAX_PLACED);
            let placed = ids.iter().filter(is_placed).filter(|id| **id != hinted.id);
            ctx.send_hints(async {
                for id in placed.chain(next) {
                    ctx.wake_job(id).await;
                }
            })
            .await;
            return Ok(());
        }
        rounds.backoff().await?;
    }
}

/// The waiting jobs that may find a place, and the hinted one, which the index may not list yet.
async fn list_waiting(
    ctx: &Context,
    places: &Places,
    limits: &RunningLimits,
    keys: &BTreeSet<String>,
    hinted: &Job,
) -> Result<Vec<Job>, Error> {
    let max = MAX_PLACED + 1;
    let with_room = keys.iter().map(|key| (key, places.room(limits, key).min(max))).filter(|(_, room)| *room > 0);
    let rows = try_join_all(with_room.map(async |(key, room)| {
        ctx.store.list_limited_jobs(&places.project, key, i32::try_from(room).unwrap_or(i32::MAX)).await
    }));
    let mut rows = rows.await?.into_iter().flatten().collect::<Vec<_>>();
    rows.sort();
    let ids = rows.into_iter().take(max).map(|(_, id)| id).filter(|id| *id != hinted.id);
    let ids = ids.collect::<Vec<_>>();
    let mut waiting = skip_corrupt_items(ctx, ctx.store.load_each_job(&ids).await?)?;
    waiting.push(hinted.clone());
    Ok(waiting)
}

/// Compares the holders of places with their jobs, while jobs wait. After a change of limits, and hourly, it also counts
/// the jobs that are no holders. Sends a hint for the oldest one. Returns the number of waiting jobs.
/// Writes: LIMIT over `rev`; JOBs that were Ready when their limit was set.
/// Idempotent: a repeat finds the same.
pub(crate) async fn recount_places(ctx: &Context, project: &Project) -> Result<u32, Error> {
    let found = ctx.store.load_places(&project.id).await?;
    if found.is_none() && project.settings.limits.running_jobs.is_none() {
        return Ok(0);
    }
    let repositories = ctx.store.list_repositories(&project.id).await?;
    let limits = RunningLimits::new(project, &repositories);
    let stored = found.unwrap_or_else(|| Places::new(project.id.clone()));
    let (mut places, now) = (stored.clone(), ctx.clock.now());
    let is_count_due = places.is_count_due(&limits, now);
    let (mut waiting, mut oldest) = (0, None);
    for key in keys_of(&repositories) {
        let rows = ctx.store.list_limited_jobs(&project.id, &key, MAX_COUNTED_ROWS).await?;
        waiting += rows.len();
        let Some(first) = rows.into_iter().next() else { continue };
        let loaded = ctx.store.load_job(&first.1).await.map_err(Error::from);
        // An unreadable job must not block those behind it.
        let is_corrupt = |error: &Error| matches!(error, Error::Store(StoreError::Corrupt { .. }));
        let loaded = postpone_after(ctx, &WorkKey::Job(first.1.clone()), loaded, is_corrupt).await;
        let readable = skip_corrupt(ctx, loaded)?.map(|_| first);
        oldest = [oldest, readable].into_iter().flatten().min();
    }
    if is_count_due || waiting > 0 {
        let ids = places.holders.keys().cloned().collect::<Vec<_>>();
        // An unreadable job cannot run: each of its calls fails.
        places.retain_holders(&skip_corrupt_items(ctx, ctx.store.load_each_job(&ids).await?)?);
    }
    if is_count_due {
        count_jobs(ctx, &limits, &mut places).await?;
        places.end_count(limits, now);
    }
    if places != stored {
        // Stale: the next round counts again.
        ctx.store.put_places(&places, &[]).await?;
    }
    if let Some((_, job)) = oldest.filter(|_| project.settings.held_by.is_none()) {
        ctx.wake_job(&job).await;
    }
    Ok(u32::try_from(waiting).unwrap_or(u32::MAX))
}

/// Counts the newest jobs of the project that became Ready before a limit was set, or under an older version.
async fn count_jobs(ctx: &Context, limits: &RunningLimits, places: &mut Places) -> Result<(), Error> {
    let (mut after, mut counted) = (None, 0);
    while counted < MAX_COUNTED_JOBS && !limits.is_empty() {
        let page = ctx.store.list_job_ids(&places.project, None, after.as_deref(), JOBS_PER_PAGE);
        let (ids, next) = page.await?;
        for job in skip_corrupt_items(ctx, ctx.store.load_each_job(&ids).await?)? {
            if let Some(waiting) = places.count(limits, &job) {
                // Stale: the job changed, and the second count sees it.
                ctx.store.update_job(&waiting).await?;
            }
        }
        counted += JOBS_PER_PAGE;
        after = next;
        if after.is_none() {
            break;
        }
    }
    Ok(())
}

async fn load_places(ctx: &Context, project: &ProjectId) -> Result<Places, Error> {
    Ok(ctx.store.load_places(project).await?.unwrap_or_else(|| Places::new(project.clone())))
}

fn keys_of(repositories: &[Repository]) -> BTreeSet<String> {
    repositories.iter().map(|it| repository_key(&it.integration, it.id)).collect()
}

/// The jobs of a repository that wait for a place, and the facts that explain it.
pub(crate) struct PlaceQueue {
    project: Option<Project>,
    repository: Option<Repository>,
    limits: RunningLimits,
    places: Places,
    waiting: Vec<JobId>,
}

impl PlaceQueue {
    pub(crate) async fn load(ctx: &Context, job: &Job) -> Result<Self, Error> {
        let project = ctx.store.load_project(&job.project).await?;
        let repository = ctx.store.load_repository(&job.project, &job.integration, job.repository).await?;
        let limits = project.as_ref().map(|project| RunningLimits::new(project, &repository)).unwrap_or_default();
        let waiting = ctx.store.list_limited_jobs(&job.project, &job.repository_key(), MAX_AHEAD).await?;
        let places = load_places(ctx, &job.project).await?;
        Ok(Self { project, repository, limits, places, waiting: waiting.into_iter().map(|(_, id)| id).collect() })
    }

    pub(crate) fn explain(&self, job: &Job) -> Wait {
        let older = self.waiting.iter().take_while(|id| **id != job.id).count();
        let or_more = if older >= MAX_AHEAD as usize { " or more" } else { "" };
        let (project, ahead) = (job.project.clone(), format!("{older}{or_more}"));
        if let Some(who) = self.project.as_ref().and_then(|project| project.settings.held_by.clone()) {
            return Wait::ProjectHeld { project, who };
        }
        let key = job.repository_key();
        let Some(LimitUse { scope, max, taken, oldest }) = self.places.first_full(&self.limits, &key) else {
            return Wait::PlaceFree { ahead };
        };
        let (n, max) = (u64::try_from(taken).unwrap_or(u64::MAX), u64::from(max));
        let job = oldest.map(JobId::short).unwrap_or_default();
        match (&self.repository, scope) {
            (Some(repository), LimitScope::Repository) => {
                Wait::RepositoryLimit { n, max, repo: repository.name.clone(), job, ahead }
            }
            _ => Wait::ProjectLimit { n, max, project, job, ahead },
        }
    }
}
