//! Wakes idle runners for a Ready job. The hint only saves time: the claim decides who gets the job.

use crate::corrupt::skip_corrupt_items;
use crate::{Context, Error};
use futures::future::try_join_all;
use pullyard_domain::job::Job;
use pullyard_domain::job::select::{matches, sort_idle_runners};
use pullyard_store::Store;

/// Runners that get a hint. The second claims the job if the first does not.
const MAX_WOKEN: usize = 2;
/// A busy deployment has many idle runners, and the first ones usually match.
const PROFILES_PER_READ: usize = 25;

pub(crate) async fn wake_runners(ctx: &Context, job: &Job) -> Result<(), Error> {
    let Some(requirements) = ctx.store.load_class(&job.project, &job.class).await? else { return Ok(()) };
    // At once, because the job waits for them.
    let shards = try_join_all(Store::runner_shards().map(|shard| ctx.store.list_shard_runners(shard))).await?;
    let runners = skip_corrupt_items(ctx, shards.into_iter().flatten().collect())?;
    let mut woken = 0;
    for some in sort_idle_runners(job, runners, ctx.clock.now()).chunks(PROFILES_PER_READ) {
        let ids = some.iter().map(|runner| runner.id.clone()).collect::<Vec<_>>();
        let profiles = skip_corrupt_items(ctx, ctx.store.load_runner_profiles(&ids).await?)?;
        for runner in some {
            let profile = profiles.iter().find(|profile| profile.id == runner.id);
            if woken < MAX_WOKEN
                && profile.is_some_and(|it| it.includes_project(&job.project) && matches(&requirements, it))
            {
                ctx.wake_runner(runner, &job.id).await;
                woken += 1;
            }
        }
        if woken == MAX_WOKEN {
            break;
        }
    }
    tracing::debug!(job.id = %job.id, woken, "runners woken");
    Ok(())
}
