//! Heartbeats of an attempt: when one is stored, and how long the attempt has been silent.

use super::{ActiveAttempt, Fence, Job, TransitionRefusal};
use crate::agent::runner::OFFLINE_AFTER;
use crate::text::time::Timestamp;
use std::time::Duration;

/// Time after its limit in which a job may end by itself, before the sweeper ends it.
const OVERDUE_GRACE: Duration = Duration::from_secs(60);

/// Age of the stored heartbeat at which the next one is stored. A write costs several times as much as the call's read.
const STORE_AFTER: Duration = Duration::from_secs(20);

/// How much younger than the stored heartbeat an attempt's last call may be. A call less than `STORE_AFTER` after the
/// stored heartbeat is not stored. The next call, at most 10 s later, is not stored either if a concurrent write makes
/// its own stale.
const UNSTORED: Duration = Duration::from_secs(30);

/// Age of the stored heartbeat at which the attempt has sent nothing for [`OFFLINE_AFTER`], the time of a process. Its
/// runner may state a longer time for its machine.
pub const SILENT_AFTER: Duration = OFFLINE_AFTER.saturating_add(UNSTORED);

/// The longest extension by short silences. A process that sends a heartbeat only now and then looks suspended each
/// time.
const MAX_SUSPENDED_MS: u64 = 24 * 3_600 * 1_000;

/// No attempt survives a longer silence while the control plane runs (`sweep::may_be_suspended`, plus a late sweep), so
/// during a longer one the control plane was suspended too.
const MAX_SURVIVED_MS: u64 = 3 * 3_600 * 1_000;

impl ActiveAttempt {
    pub fn last_heartbeat(&self) -> Timestamp {
        self.heartbeat.unwrap_or(self.started)
    }

    pub fn silence(&self, now: Timestamp) -> Duration {
        now.since(self.last_heartbeat())
    }

    /// When the sweeper ends the attempt, unless it sends a heartbeat or its runner's machine may be suspended.
    pub fn silent_at(&self) -> Timestamp {
        self.last_heartbeat().plus(SILENT_AFTER)
    }

    /// When the sweeper ends the attempt for its time limit. The runner's own limit is earlier.
    pub fn overdue_at(&self, limit: Duration) -> Timestamp {
        self.started.plus(limit).plus(Duration::from_millis(self.suspended_ms)).plus(OVERDUE_GRACE)
    }

    /// Only an attempt of a suspended machine survives such a silence. The runner's clock stopped for that time, so the
    /// silence extends the time limit.
    pub(super) fn set_heartbeat(&mut self, now: Timestamp) {
        let silence = self.silence(now);
        if silence >= SILENT_AFTER {
            let silence = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
            let is_short = silence <= MAX_SURVIVED_MS;
            let max = if is_short { MAX_SUSPENDED_MS.max(self.suspended_ms) } else { u64::MAX };
            self.suspended_ms = self.suspended_ms.saturating_add(silence).min(max);
        }
        self.heartbeat = Some(now);
    }
}

impl Job {
    /// Records that the attempt is alive. `AlreadyDone`: the stored heartbeat is recent enough.
    pub fn record_heartbeat(&self, fence: &Fence, now: Timestamp) -> Result<Self, TransitionRefusal> {
        let last = self.check_fence(fence)?.last_heartbeat();
        // A heartbeat far in the future comes from a clock that was wrong.
        if now.since(last) < STORE_AFTER && last.since(now) < STORE_AFTER {
            return Err(TransitionRefusal::AlreadyDone);
        }
        let mut job = self.clone();
        if let Some(run) = &mut job.run {
            run.set_heartbeat(now);
        }
        Ok(job)
    }
}

#[cfg(test)]
mod tests;
