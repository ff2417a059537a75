//! Places in the limits of running jobs: gives free places to waiting jobs, and removes holders that need none.

use crate::corrupt::skip_corrupt_items;
use crate::{Context, Error};
use futures::future::try_join_all;
use pullyard_domain::job::limit::{LimitScope, LimitUse, MAX_PLACED, Places, RunningLimits, repository_key};
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::text::id::{JobId, ProjectId};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::text::wait::Wait;
use pullyard_store::Write;
use std::collections::BTreeSet;

/// Rows of waiting jobs that are counted per repository.
const MAX_COUNTED_ROWS: usize = 500;
/// The index still lists jobs that just got their place.
const STALE_ROWS: usize = 10;
const CONCURRENT_QUERIES: usize = 16;
/// Writes for one hint, each of `MAX_PLACED` places. The next hint or sweep continues: after the removal of a limit,
/// about 50 jobs a minute get a place.
const MAX_WRITES: u32 = 5;
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
    let places = load_places(ctx, &hinted.project).await?;
    if !limits.is_empty() && places.limits != limits {
        // The sweeper first counts the jobs that run since before the limit. It finds repositories' limits by the item.
        if places.rev == 0 {
            ctx.store.put_places(&places, &[]).await?;
        }
        return Ok(());
    }
    // One write may be full, or the rows of some repositories took the turn of others.
    for _ in 0..MAX_WRITES {
        let placed = assign_next(ctx, hinted, &limits, &keys).await?;
        let others = placed.iter().filter(|id| **id != hinted.id);
        ctx.send_hints(async {
            for id in others {
                ctx.wake_job(id).await;
            }
        })
        .await;
        if placed.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Assigns as many places as one write can. Returns their jobs.
async fn assign_next(
    ctx: &Context,
    hinted: &Job,
    limits: &RunningLimits,
    keys: &BTreeSet<String>,
) -> Result<Vec<JobId>, Error> {
    let mut rounds = ctx.retries(&hinted.project).up_to(MAX_ROUNDS);
    loop {
        let stored = load_places(ctx, &hinted.project).await?;
        // Jobs are read after the places: the write then refuses places that a job got since.
        let hinted = ctx.load_job(&hinted.id).await?;
        let mut places = stored.clone();
        if limits.is_empty() {
            // The jobs that start without a limit are counted if it is set again.
            places.limits = RunningLimits::default();
        }
        if !hinted.takes_place() {
            places.holders.remove(&hinted.id);
        }
        let waiting = list_waiting(ctx, &places, limits, keys, &hinted).await?;
        let placed = places.fill(limits, waiting, ctx.clock.now());
        if placed.is_empty() && places == stored {
            return Ok(Vec::new());
        }
        if ctx.store.put_places(&places, &placed).await? == Write::Applied {
            tracing::info!(project = %places.project, jobs = placed.len(), "places assigned");
            return Ok(placed.into_iter().map(|job| job.id).collect());
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
    let room = |key: &String| (key.clone(), places.room(limits, key).min(MAX_PLACED));
    let with_room = keys.iter().map(room).filter(|(_, room)| *room > 0);
    let with_room: Vec<_> = with_room.map(|(key, room)| (key, room + STALE_ROWS)).collect();
    let rows = list_rows(ctx, &places.project, &with_room).await?;
    let ids = rows.into_iter().take(MAX_PLACED + STALE_ROWS).map(|(_, id)| id).filter(|id| *id != hinted.id);
    let ids = ids.collect::<Vec<_>>();
    let mut waiting = skip_corrupt_items(ctx, ctx.store.load_each_job(&ids).await?)?;
    waiting.push(hinted.clone());
    Ok(waiting)
}

/// The first waiting jobs of each repository, up to its number, with their orders.
async fn list_rows(
    ctx: &Context,
    project: &ProjectId,
    repositories: &[(String, usize)],
) -> Result<Vec<(i64, JobId)>, Error> {
    let mut rows = Vec::new();
    for part in repositories.chunks(CONCURRENT_QUERIES) {
        let pages = try_join_all(part.iter().map(|(key, max)| {
            let max = i32::try_from(*max).unwrap_or(i32::MAX);
            ctx.store.list_limited_jobs(project, key, max)
        }));
        rows.extend(pages.await?.into_iter().flatten());
    }
    rows.sort();
    Ok(rows)
}

/// Compares the holders of places with their jobs, while jobs wait. After a change of limits, and hourly, it also counts
/// the jobs that are no holders. Sends a hint for the first one. Returns the number of waiting jobs.
/// Writes: LIMIT over `rev`; JOBs that were Ready when their limit was set.
/// Idempotent: a repeat finds the same.
pub(crate) async fn recount_places(ctx: &Context, project: &Project) -> Result<u32, Error> {
    let now = ctx.clock.now();
    let found = ctx.store.load_places(&project.id).await?;
    if found.is_none() && project.settings.limits.running_jobs.is_none() {
        return Ok(0);
    }
    let repositories = ctx.store.list_repositories(&project.id).await?;
    let limits = RunningLimits::new(project, &repositories);
    let before = found.unwrap_or_else(|| Places::new(project.id.clone()));
    let is_count_due = before.is_count_due(&limits, now);
    let keys: Vec<_> = keys_of(&repositories).into_iter().map(|key| (key, MAX_COUNTED_ROWS)).collect();
    let rows = list_rows(ctx, &project.id, &keys).await?;
    let mut after = before.clone();
    if is_count_due || !rows.is_empty() {
        let ids = before.holders.keys().cloned().collect::<Vec<_>>();
        // An unreadable job cannot run: each of its calls fails.
        after.retain_holders(&skip_corrupt_items(ctx, ctx.store.load_each_job(&ids).await?)?);
    }
    if is_count_due {
        count_jobs(ctx, &limits, &mut after, now).await?;
    }
    let mut rounds = ctx.retries(&project.id).up_to(MAX_ROUNDS);
    loop {
        // Places may be assigned during the count, so that only its differences are stored.
        let stored = load_places(ctx, &project.id).await?;
        let mut places = stored.clone();
        places.apply_changes(&before, &after);
        // If the limit was removed during the count, its return needs another count.
        if is_count_due && stored.limits == before.limits {
            places.end_count(limits.clone(), now);
        }
        if places == stored || ctx.store.put_places(&places, &[]).await? == Write::Applied {
            break;
        }
        rounds.backoff().await?;
    }
    if project.settings.held_by.is_none() {
        // Stale rows and unreadable jobs must not hide those behind them.
        let ids = rows.iter().take(STALE_ROWS).map(|(_, id)| id.clone()).collect::<Vec<_>>();
        let jobs = skip_corrupt_items(ctx, ctx.store.load_each_job(&ids).await?)?;
        if let Some(first) = jobs.iter().find(|job| job.awaits_place()) {
            ctx.wake_job(&first.id).await;
        }
    }
    Ok(u32::try_from(rows.len()).unwrap_or(u32::MAX))
}

/// Counts the newest jobs of the project that became Ready before a limit was set, or under an older version.
async fn count_jobs(ctx: &Context, limits: &RunningLimits, places: &mut Places, begun: Timestamp) -> Result<(), Error> {
    let (mut after, mut counted) = (None, 0);
    while counted < MAX_COUNTED_JOBS && !limits.is_empty() {
        let page = ctx.store.list_job_ids(&places.project, None, after.as_deref(), JOBS_PER_PAGE);
        let (ids, next) = page.await?;
        for job in skip_corrupt_items(ctx, ctx.store.load_each_job(&ids).await?)? {
            // It got its place during the count.
            let is_new_holder = job.is_placed && job.ready_since > begun;
            if let Some(waiting) = places.count(limits, &job).filter(|_| !is_new_holder) {
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
    waiting: Vec<(i64, JobId)>,
}

impl PlaceQueue {
    pub(crate) async fn load(ctx: &Context, job: &Job) -> Result<Self, Error> {
        let project = ctx.store.load_project(&job.project).await?;
        let repository = ctx.store.load_repository(&job.project, &job.integration, job.repository).await?;
        let limits = project.as_ref().map(|project| RunningLimits::new(project, &repository)).unwrap_or_default();
        let waiting = ctx.store.list_limited_jobs(&job.project, &job.repository_key(), MAX_AHEAD).await?;
        let places = load_places(ctx, &job.project).await?;
        Ok(Self { project, repository, limits, places, waiting })
    }

    pub(crate) fn explain(&self, job: &Job) -> Wait {
        let is_ahead = |(order, id): &&(i64, JobId)| (*order, id) < (job.order(), &job.id);
        let before = self.waiting.iter().filter(is_ahead).count();
        let or_more = if before >= MAX_AHEAD as usize { " or more" } else { "" };
        let (project, ahead) = (job.project.clone(), format!("{before}{or_more}"));
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
