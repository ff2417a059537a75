//! The state that the daemon's tasks share: which jobs run, and whether more may be claimed.
//! Tasks wait for a state and send no messages.

use super::call_failure::FatalExit;
use super::current_order::CurrentOrder;
use super::process_record::{AttemptKey, ProcessRecord};
use pullyard_domain::text::id::JobId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tokio::sync::watch;

#[derive(Debug, Default)]
pub(crate) struct StateSnapshot {
    pub(crate) running: BTreeMap<AttemptKey, ProcessRecord>,
    /// Ended attempts whose finish is still in the outbox.
    pub(crate) pending_reports: BTreeSet<AttemptKey>,
    pub(crate) is_draining: bool,
    /// An update waits for the jobs, or replaces the program.
    pub(crate) is_updating: bool,
    pub(crate) is_leaving: bool,
    pub(crate) fatal_exit: Option<FatalExit>,
    /// Attempts in a row whose process could not be started or failed.
    pub(crate) failures: u32,
    pub(crate) order: Option<CurrentOrder>,
    /// The program that replaces this process.
    pub(crate) replacement: Option<PathBuf>,
}

impl StateSnapshot {
    /// The jobs that heartbeats report. An attempt with an undelivered finish must not look like a crashed one.
    pub(crate) fn active_jobs(&self) -> BTreeSet<JobId> {
        self.running.keys().chain(&self.pending_reports).map(|(job, _)| job.clone()).collect()
    }
}

#[derive(Default)]
pub(crate) struct State(watch::Sender<StateSnapshot>);

impl State {
    pub(crate) fn read<T>(&self, read: impl FnOnce(&StateSnapshot) -> T) -> T {
        read(&self.0.borrow())
    }

    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut StateSnapshot) -> T) {
        self.0.send_modify(|state| drop(change(state)));
    }

    pub(crate) async fn wait_until(&self, condition: impl FnMut(&StateSnapshot) -> bool) {
        let mut changes = self.0.subscribe();
        if changes.wait_for(condition).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) async fn wait_until_leaving(&self) {
        self.wait_until(|state| state.is_leaving).await;
    }

    pub(crate) fn begin_leaving(&self) {
        self.update(|state| state.is_leaving = true);
    }

    pub(crate) fn leave_with_error(&self, fatal: FatalExit) {
        tracing::error!(reason = %fatal.message, "{}", fatal.message);
        self.update(|state| {
            state.fatal_exit.get_or_insert(fatal);
            state.is_leaving = true;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::text::id::ClaimId;

    fn job(letter: &str) -> JobId {
        JobId::new(format!("job_{}", letter.repeat(26))).unwrap()
    }

    #[tokio::test]
    async fn first_reason_to_stop_is_reported() {
        let state = State::default();
        let fatal = |code, message: &str| FatalExit { code, message: message.into() };
        state.leave_with_error(fatal(4, "The token was revoked."));
        state.leave_with_error(fatal(3, "Another process has taken the place."));
        state.wait_until_leaving().await;
        assert_eq!(state.read(|state| state.fatal_exit.clone()), Some(fatal(4, "The token was revoked.")));
    }

    #[test]
    fn running_and_undelivered_jobs_are_active() {
        let state = State::default();
        let record =
            ProcessRecord { job: job("a"), attempt: 1, claim_id: ClaimId::new("c").unwrap(), pid: None, began: None };
        state.update(|state| state.running.insert(record.key(), record.clone()));
        state.update(|state| state.pending_reports.extend([(job("a"), 2), (job("b"), 1)]));
        assert_eq!(state.read(StateSnapshot::active_jobs), BTreeSet::from([job("a"), job("b")]));
        state.update(|state| state.pending_reports.clear());
        assert_eq!(state.read(StateSnapshot::active_jobs), BTreeSet::from([job("a")]));
    }
}
