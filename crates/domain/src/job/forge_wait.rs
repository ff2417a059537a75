//! The wait of an attempt for its forge, as its runner reports it.
//! The runner repeats its current phase while it waits. In Syncing, each repeat also renews the push window, so that no
//! other process ends an attempt that holds finished work.

use super::transition::{Fence, PUSH_WINDOW, TransitionRefusal};
use super::{DesiredState, Job, JobStatus};
use crate::text::Cause;
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest wait for a forge: a limit of calls may last longer than the usual hour.
pub const MAX_FORGE_WAIT: Duration = Duration::from_secs(2 * 3_600);

/// Units: characters.
const MAX_REASON_CHARS: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeWait {
    pub since: Timestamp,
    /// The last report.
    pub last: Timestamp,
    pub reason: Cause,
}

impl Job {
    /// Repeats the current phase: records or removes the wait, and renews the push window unless a cancel is requested.
    /// The renewals end when the attempt has used its time limit and the longest wait. A wait before the push does not
    /// count against the time limit, so the attempt counts as started later.
    /// Errors: `LeaseLost`; `WrongStatus` for another phase.
    pub fn repeat_phase(
        &self,
        fence: &Fence,
        phase: JobStatus,
        waits_for: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, TransitionRefusal> {
        let run = self.check_fence(fence)?;
        if self.status != phase {
            return Err(TransitionRefusal::WrongStatus(self.status));
        }
        let (since, last_report) = run.forge_wait.as_ref().map_or((now, now), |wait| (wait.since, wait.last));
        let last = run.started.plus(Duration::from_secs(self.policy.wall_secs)).plus(MAX_FORGE_WAIT);
        let mut job = self.clone();
        if let Some(run) = &mut job.run {
            if phase != JobStatus::Syncing && now < since.plus(MAX_FORGE_WAIT) {
                run.started = run.started.plus(now.since(last_report));
            }
            let reason = waits_for.map(|reason| crate::text::truncate(reason, MAX_REASON_CHARS));
            run.forge_wait = reason.map(|reason| ForgeWait { since, last: now, reason: reason.into() });
        }
        if self.want != DesiredState::Cancel && now < last {
            job.push_until = job.push_until.map(|until| until.max(now.plus(PUSH_WINDOW)));
        }
        Ok(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{active, fence, heartbeat_at, time_at};
    use crate::job::explanation::{explain_job, wait_reason};

    fn syncing() -> Job {
        let job = active(JobStatus::Executing);
        job.advance(&fence(&job, 1, "c1"), JobStatus::Syncing, time_at(200)).unwrap()
    }

    fn repeat(job: &Job, waits_for: Option<&str>, secs: u64) -> Job {
        job.repeat_phase(&fence(job, 1, "c1"), job.status, waits_for, time_at(secs)).unwrap()
    }

    #[test]
    fn repeated_syncing_renews_the_push_window() {
        let job = syncing();
        assert_eq!(job.push_until, Some(time_at(200).plus(PUSH_WINDOW)));
        assert_eq!(repeat(&job, None, 290).push_until, Some(time_at(290).plus(PUSH_WINDOW)));
        assert_eq!(repeat(&job, None, 190), job, "a late repeat shortens nothing");
        let cancelled = Job { want: DesiredState::Cancel, ..job.clone() };
        assert_eq!(repeat(&cancelled, None, 290), cancelled);
        let end =
            job.run.as_ref().unwrap().started.plus(Duration::from_secs(job.policy.wall_secs)).plus(MAX_FORGE_WAIT);
        let late = job.repeat_phase(&fence(&job, 1, "c1"), JobStatus::Syncing, None, end).unwrap();
        assert_eq!(late, job, "renewed without end");
        let before = active(JobStatus::Preparing);
        assert_eq!(repeat(&before, None, 290), before);
    }

    #[test]
    fn wait_before_the_push_does_not_count_against_the_time_limit() {
        let started = |job: &Job| job.run.as_ref().unwrap().started;
        let preparing = active(JobStatus::Preparing);
        let begin = started(&preparing);
        let reports = [(Some("x"), 300), (Some("x"), 345), (Some("x"), 390), (None, 400), (None, 900)];
        let waited = reports.iter().fold(preparing, |job, (waits_for, secs)| repeat(&job, *waits_for, *secs));
        assert_eq!(started(&waited), begin.plus(Duration::from_secs(100)));
        let endless = [(Some("x"), 300), (Some("x"), 300 + 7_200), (Some("x"), 300 + 9_000)];
        let endless =
            endless.iter().fold(active(JobStatus::Preparing), |job, (waits_for, secs)| repeat(&job, *waits_for, *secs));
        assert_eq!(started(&endless), begin, "a report after the longest wait");
        let pushing = [(Some("x"), 300), (Some("x"), 345)];
        let pushing = pushing.iter().fold(syncing(), |job, (waits_for, secs)| repeat(&job, *waits_for, *secs));
        assert_eq!(started(&pushing), begin);
    }

    #[test]
    fn only_the_current_phase_of_the_holder_is_repeated() {
        let job = syncing();
        let other = job.repeat_phase(&fence(&job, 1, "c2"), JobStatus::Syncing, None, time_at(210));
        assert_eq!(other, Err(TransitionRefusal::LeaseLost));
        let earlier = job.repeat_phase(&fence(&job, 1, "c1"), JobStatus::Preparing, None, time_at(210));
        assert_eq!(earlier, Err(TransitionRefusal::WrongStatus(JobStatus::Syncing)));
    }

    #[test]
    fn wait_for_the_forge_is_explained_until_it_ends() {
        let preparing = active(JobStatus::Preparing);
        let waiting = repeat(&repeat(&preparing, Some("no route"), 300), Some("error: 502"), 360);
        let alive = heartbeat_at(&waiting, 400);
        let wait = wait_reason(&alive, None, time_at(420));
        let (sentence, help) = explain_job(&alive, wait.as_ref(), None, time_at(420));
        assert_eq!(sentence, "The job has waited for gh1 for 2 min: error: 502.");
        assert_eq!(help, "The attempt tries again for an hour.");
        let resumed = repeat(&waiting, None, 430);
        assert_eq!((wait_reason(&resumed, None, time_at(430)), resumed.push_until), (None, None));
        let executing = waiting.advance(&fence(&waiting, 1, "c1"), JobStatus::Executing, time_at(440)).unwrap();
        assert_eq!(wait_reason(&executing, None, time_at(440)), None);
    }
}
