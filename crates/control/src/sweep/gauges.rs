//! What the deployment is doing, counted from what a round reads anyway.
//!
//! The index says which jobs there are and not where they stand, so the few that are due first are looked at:
//! those wait for a task or for their review, while one that is worked on is due at its time limit.

use super::time::Time;
use crate::{Context, Error};
use pullyard_domain::gauges::Gauges;
use pullyard_domain::id::JobId;
use pullyard_domain::time::Timestamp;
use pullyard_store::{Sweeps, WorkKey};

/// How many keys of a shard are read: what fits into the half unit that the read costs at least.
pub(super) const PER_SHARD: i32 = 40;
/// How many jobs are looked at in one snapshot. Units: each costs a read unit or two.
const LOOKS: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Scheduled {
    jobs: Vec<(Timestamp, JobId)>,
    later: u32,
    more: bool,
}

impl Scheduled {
    /// Notes what one shard holds.
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

    /// Adds them to a snapshot. A job that can't be read is left out, and there is more then: why, the sweep itself says.
    ///
    /// Errors: `TooSlow`: some were not looked at.
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

/// The snapshot of before, for a round that left a part out. Where the note with it was not read when the round began,
/// perhaps only that one call failed, and what nobody read is not to be lost for it.
pub(super) async fn of_before(ctx: &Context, time: &Time<'_>, last: &Result<Option<Sweeps>, Error>) -> Option<Gauges> {
    match last {
        Ok(last) => last.as_ref().and_then(|last| last.gauges.clone()),
        Err(_) => {
            let again = time.one("read the note of the last round", ctx.store.sweeps()).await;
            again.ok().flatten().and_then(|last| last.gauges)
        }
    }
}
