//! The state that the daemon's tasks share: which jobs run, and whether more may be claimed.
//!
//! Tasks wait for a state and send no messages.

use super::record::{Key, Record};
use pullyard_domain::id::JobId;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;

/// Why this process can no longer be the runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fall {
    pub(crate) code: u8,
    pub(crate) sentence: String,
}

#[derive(Debug, Default)]
pub(crate) struct Now {
    /// Attempts whose process is alive.
    pub(crate) running: BTreeMap<Key, Record>,
    /// Ended attempts whose finish is still in the outbox.
    pub(crate) undelivered: BTreeSet<Key>,
    /// The control plane pauses claims.
    pub(crate) told_to_drain: bool,
    /// This process claims no more jobs.
    pub(crate) leaving: bool,
    pub(crate) fallen: Option<Fall>,
    /// Attempts in a row whose process could not be started or failed.
    pub(crate) failures: u32,
}

impl Now {
    /// The jobs that heartbeats report. An attempt with an undelivered finish must not look like a crashed one.
    pub(crate) fn active(&self) -> BTreeSet<JobId> {
        self.running.keys().chain(&self.undelivered).map(|(job, _)| job.clone()).collect()
    }
}

pub(crate) struct State(watch::Sender<Now>);

impl State {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Now::default()))
    }

    pub(crate) fn look<T>(&self, at: impl FnOnce(&Now) -> T) -> T {
        at(&self.0.borrow())
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Now) -> T) -> T {
        let mut result = None;
        self.0.send_modify(|now| result = Some(change(now)));
        match result {
            Some(result) => result,
            // `send_modify` always calls.
            None => unreachable!(),
        }
    }

    pub(crate) async fn until(&self, is_so: impl FnMut(&Now) -> bool) {
        let mut changes = self.0.subscribe();
        if changes.wait_for(is_so).await.is_err() {
            // Never: `self` holds the sender.
            std::future::pending::<()>().await;
        }
    }

    pub(crate) async fn leaving(&self) {
        self.until(|now| now.leaving).await;
    }

    pub(crate) fn leave(&self) {
        self.change(|now| now.leaving = true);
    }

    /// Leaves for this reason. The first reason stays.
    pub(crate) fn fall(&self, fall: Fall) {
        tracing::error!(reason = %fall.sentence, "{}", fall.sentence);
        self.change(|now| {
            now.fallen.get_or_insert(fall);
            now.leaving = true;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::id::ClaimId;

    fn job(letter: &str) -> JobId {
        JobId::new(format!("job_{}", letter.repeat(26))).unwrap()
    }

    #[tokio::test]
    async fn first_reason_to_stop_is_reported() {
        let state = State::new();
        let fall = |code, sentence: &str| Fall { code, sentence: sentence.into() };
        state.fall(fall(4, "The token was revoked."));
        state.fall(fall(3, "Another process has taken the place."));
        state.leaving().await;
        assert_eq!(state.look(|now| now.fallen.clone()), Some(fall(4, "The token was revoked.")));
    }

    #[test]
    fn running_and_undelivered_jobs_are_active() {
        let state = State::new();
        let record = Record { job: job("a"), attempt: 1, claim_id: ClaimId::new("c").unwrap(), pid: None, began: None };
        state.change(|now| now.running.insert(record.key(), record.clone()));
        state.change(|now| now.undelivered.extend([(job("a"), 2), (job("b"), 1)]));
        assert_eq!(state.look(Now::active), BTreeSet::from([job("a"), job("b")]));
        state.change(|now| now.undelivered.clear());
        assert_eq!(state.look(Now::active), BTreeSet::from([job("a")]));
    }
}
