//! Finds the first job that waits for a place of the machine that runs all jobs (`pullyard up`). Only this job is tried,
//! so that the work of the dispatcher does not grow with the number of waiting jobs.

use crate::corrupt::skip_corrupt;
use crate::{Context, Error};
use pullyard_domain::job::Job;
use pullyard_domain::run::due::SHARDS;
use pullyard_domain::text::id::JobId;
use pullyard_store::WorkKey;

/// Rows of the index per page.
const PAGE: i32 = 100;

/// The first waiting job other than `except`. Removes the jobs before it that wait no longer.
pub(crate) async fn find_first(ctx: &Context, except: Option<&JobId>) -> Result<Option<Job>, Error> {
    let queue = ctx.machine_queue();
    queue.loaded.get_or_try_init(|| load(ctx)).await?;
    loop {
        let first = queue.jobs().iter().find(|(_, id)| Some(id) != except).cloned();
        let Some(first) = first else { return Ok(None) };
        let job = skip_corrupt(ctx, ctx.store.load_job(&first.1).await)?.flatten();
        if let Some(job) = job.filter(|job| job.awaits_machine(ctx.clock.now())) {
            return Ok(Some(job));
        }
        queue.jobs().remove(&first);
    }
}

async fn load(ctx: &Context) -> Result<(), Error> {
    for shard in 0..SHARDS {
        let mut last = None;
        loop {
            let mut page = ctx.store.list_due_after(shard, last.as_ref(), PAGE).await?;
            for (key, _) in &page.rows {
                let WorkKey::Job(id) = key else { continue };
                let job = skip_corrupt(ctx, ctx.store.load_job(id).await)?.flatten();
                if let Some(job) = job.filter(|job| job.awaits_machine(ctx.clock.now())) {
                    ctx.machine_queue().add(&job);
                }
            }
            last = page.rows.pop().filter(|_| page.is_full);
            if last.is_none() {
                break;
            }
        }
    }
    Ok(())
}
