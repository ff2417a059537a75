//! The jobs that wait for a place of the machine that runs all jobs (`pullyard up`). Only the first of them is tried, so
//! that the work of the dispatcher does not grow with their number.

use crate::corrupt::skip_corrupt;
use crate::{Context, Error};
use pullyard_domain::due::SHARDS;
use pullyard_domain::id::JobId;
use pullyard_domain::job::Job;
use pullyard_store::WorkKey;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

/// Rows of the index per page.
const PAGE: i32 = 100;

/// In memory, because the dispatcher of `up` is one process. Its first use loads the waiting jobs from the table.
#[derive(Debug, Default)]
pub(crate) struct MachineQueue {
    loaded: OnceCell<()>,
    jobs: Mutex<BTreeSet<(i64, JobId)>>,
}

impl MachineQueue {
    pub(crate) fn add(&self, job: &Job) {
        self.jobs().insert((job.order(), job.id.clone()));
    }

    /// For a job whose try failed. Its due time brings it back.
    pub(crate) fn remove(&self, job: &Job) {
        self.jobs().remove(&(job.order(), job.id.clone()));
    }

    /// The first waiting job other than `except`. Removes the jobs before it that wait no longer.
    pub(crate) async fn first(&self, ctx: &Context, except: Option<&JobId>) -> Result<Option<Job>, Error> {
        self.loaded.get_or_try_init(|| self.load(ctx)).await?;
        loop {
            let first = self.jobs().iter().find(|(_, id)| Some(id) != except).cloned();
            let Some(first) = first else { return Ok(None) };
            let job = skip_corrupt(ctx, ctx.store.load_job(&first.1).await)?.flatten();
            if let Some(job) = job.filter(|job| job.awaits_machine(ctx.clock.now())) {
                return Ok(Some(job));
            }
            self.jobs().remove(&first);
        }
    }

    async fn load(&self, ctx: &Context) -> Result<(), Error> {
        for shard in 0..SHARDS {
            let mut last = None;
            loop {
                let mut page = ctx.store.list_due_after(shard, last.as_ref(), PAGE).await?;
                for (key, _) in &page.rows {
                    let WorkKey::Job(id) = key else { continue };
                    let job = skip_corrupt(ctx, ctx.store.load_job(id).await)?.flatten();
                    if let Some(job) = job.filter(|job| job.awaits_machine(ctx.clock.now())) {
                        self.add(&job);
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

    fn jobs(&self) -> MutexGuard<'_, BTreeSet<(i64, JobId)>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
