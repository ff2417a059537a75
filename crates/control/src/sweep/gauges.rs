//! Counts the work of the deployment. The index has no job status, so the first due jobs are read.

use super::deadlines::RoundTimer;
use crate::{Context, Error};
use pullyard_domain::gauges::Gauges;
use pullyard_domain::id::JobId;
use pullyard_domain::time::Timestamp;
use pullyard_store::{SweeperState, WorkKey};

/// Keys read per shard. A read costs at least half a unit, which covers as many.
pub(super) const KEYS_PER_SHARD: i32 = 40;
/// Limit of jobs read per snapshot. Units: each costs one or two read units.
const MAX_JOBS_READ: usize = 10;

#[derive(Debug, Default)]
pub(super) struct ScheduledItems {
    jobs: Vec<(Timestamp, JobId)>,
    later_tickets: u32,
    is_truncated: bool,
}

impl ScheduledItems {
    pub(super) fn add_rows(&mut self, rows: &[(WorkKey, Timestamp)], now: Timestamp) {
        self.is_truncated |= i32::try_from(rows.len()).is_ok_and(|len| len >= KEYS_PER_SHARD);
        for (key, at) in rows {
            match key {
                WorkKey::Job(job) => self.jobs.push((*at, job.clone())),
                WorkKey::Ticket(..) if *at > now => self.later_tickets += 1,
                _ => {}
            }
        }
    }

    pub(super) async fn count_jobs(
        mut self,
        ctx: &Context,
        time: &RoundTimer<'_>,
        gauges: &mut Gauges,
    ) -> Result<(), Error> {
        self.jobs.sort();
        gauges.more |= self.is_truncated;
        gauges.later = self.later_tickets;
        let mut cut = Ok(());
        for (_, job) in self.jobs.iter().take(MAX_JOBS_READ) {
            match time.run_before(time.limits.held_entries, "read a job", ctx.store.load_job(job)).await {
                Ok(Some(job)) => gauges.add_job(&job),
                Ok(None) => {}
                Err(error @ Error::Timeout { .. }) => cut = Err(error),
                Err(_) => gauges.more = true,
            }
        }
        let unread = self.jobs.len().saturating_sub(MAX_JOBS_READ);
        gauges.running += u32::try_from(unread).unwrap_or(u32::MAX);
        cut
    }
}

/// Returns the previous snapshot, for a round that skipped a part. Repeats the read of the note if it failed.
pub(super) async fn load_previous_gauges(
    ctx: &Context,
    time: &RoundTimer<'_>,
    last: &Result<Option<SweeperState>, Error>,
) -> Option<Gauges> {
    match last {
        Ok(last) => last.as_ref().and_then(|last| last.gauges.clone()),
        Err(_) => {
            let again = time.run("read the last round", ctx.store.load_sweeper_state()).await;
            again.ok().flatten().and_then(|last| last.gauges)
        }
    }
}
