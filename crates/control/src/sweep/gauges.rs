//! Counts the work of the deployment. The index has no job status, so the first due jobs are read: a running job is due
//! late, at its time limit.

use super::time::Time;
use crate::{Context, Error};
use pullyard_domain::gauges::Gauges;
use pullyard_domain::id::JobId;
use pullyard_domain::time::Timestamp;
use pullyard_store::{Sweeps, WorkKey};

/// Keys read per shard. A read costs at least half a unit, which covers as many.
pub(super) const PER_SHARD: i32 = 40;
/// Limit of jobs read per snapshot. Units: each costs one or two read units.
const LOOKS: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Scheduled {
    jobs: Vec<(Timestamp, JobId)>,
    later: u32,
    more: bool,
}

impl Scheduled {
    pub(super) fn note(&mut self, rows: &[(WorkKey, Timestamp)], now: Timestamp) {
        self.more |= i32::try_from(rows.len()).is_ok_and(|len| len >= PER_SHARD);
        for (key, at) in rows {
            match key {
                WorkKey::Job(job) => self.jobs.push((*at, job.clone())),
                WorkKey::Ticket(..) if *at > now => self.later += 1,
                _ => {}
            }
        }
    }

    pub(super) async fn count(mut self, ctx: &Context, time: &Time<'_>, gauges: &mut Gauges) -> Result<(), Error> {
        self.jobs.sort();
        gauges.more |= self.more;
        gauges.later = self.later;
        let mut cut = Ok(());
        for (_, job) in self.jobs.iter().take(LOOKS) {
            match time.before(time.limits.held, "read a job", ctx.store.job(job)).await {
                Ok(Some(job)) => gauges.add_job(&job),
                Ok(None) => {}
                Err(error @ Error::TooSlow { .. }) => cut = Err(error),
                Err(_) => gauges.more = true,
            }
        }
        let rest = self.jobs.len().saturating_sub(LOOKS);
        gauges.running += u32::try_from(rest).unwrap_or(u32::MAX);
        cut
    }
}

/// Returns the previous snapshot, for a round that skipped a part. Repeats the read of the note if it failed.
pub(super) async fn of_before(ctx: &Context, time: &Time<'_>, last: &Result<Option<Sweeps>, Error>) -> Option<Gauges> {
    match last {
        Ok(last) => last.as_ref().and_then(|last| last.gauges.clone()),
        Err(_) => {
            let again = time.one("read the last round", ctx.store.sweeps()).await;
            again.ok().flatten().and_then(|last| last.gauges)
        }
    }
}
