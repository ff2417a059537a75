//! The state of the registered daemon, and two common steps: watch a process, and handle the end of an attempt.

use super::child::{Ended, Living, Starter, forget};
use super::home::Home;
use super::record::Key;
use super::record::Record;
use super::settings::Settings;
use super::state::State;
use super::take::Take;
use crate::api::outbox::Outbox;
use crate::git::workspace::Workspace;
use pullyard_domain::id::RunnerId;
use pullyard_protocol::client::RunnerClient;
use pullyard_protocol::runner::Registered;
use std::sync::Arc;

pub(crate) struct Jobs {
    pub(crate) state: State,
    pub(crate) starter: Starter,
    pub(crate) outbox: Outbox,
}

pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) take: Take,
    pub(crate) client: RunnerClient,
    pub(crate) registered: Registered,
    pub(crate) home: Home,
    pub(crate) jobs: Arc<Jobs>,
}

impl World {
    pub(crate) fn runner(&self) -> &RunnerId {
        &self.registered.runner
    }

    pub(crate) fn state(&self) -> &State {
        &self.jobs.state
    }
}

impl Jobs {
    /// Adds a process to the state, and waits for its end on a task.
    pub(crate) fn watch(self: &Arc<Self>, record: Record, living: Living) {
        let (key, jobs) = (record.key(), Arc::clone(self));
        self.state.change(|now| now.running.insert(key.clone(), record));
        // The task ends with the process. If the daemon ends first, the next daemon takes over.
        tokio::spawn(async move {
            let ended = living.wait().await;
            let (job, attempt) = &key;
            match ended {
                Ended::Well => tracing::info!(job.id = %job, attempt, "the process of {job} exited"),
                Ended::Badly(code) => {
                    tracing::warn!(job.id = %job, attempt, code, "the process of {job} failed with {code}: see its log");
                }
            }
            // The slot becomes free once no process of the job is left.
            Workspace::kill_remains(&jobs.starter.work_dir, job, *attempt).await;
            jobs.over(&key, ended);
        });
    }

    /// Handles an attempt without a process.
    fn over(&self, key: &Key, ended: Ended) {
        let undelivered = self.outbox.waiting().contains(key);
        self.state.change(|now| {
            now.running.remove(key);
            if undelivered {
                now.undelivered.insert(key.clone());
            }
            now.failures = if ended == Ended::Well { 0 } else { now.failures.saturating_add(1) };
        });
        if !undelivered {
            forget(&self.starter.jobs, key);
        }
    }

    /// Delivers the finishes of attempts without a process.
    pub(crate) async fn deliver(&self) {
        let running = |key: &Key| self.state.look(|now| now.running.contains_key(key));
        self.outbox.deliver_others(&running).await;
        let waiting = self.outbox.waiting();
        let delivered = self
            .state
            .look(|now| now.undelivered.iter().filter(|key| !waiting.contains(*key)).cloned().collect::<Vec<_>>());
        for key in delivered {
            forget(&self.starter.jobs, &key);
            self.state.change(|now| now.undelivered.remove(&key));
        }
    }
}
