//! The state of the registered daemon, and two common steps: watch a process, and handle the end of an attempt.

use super::child::{ProcessExit, ProcessStarter, RunningProcess, remove_record};
use super::process_record::{AttemptKey, ProcessRecord};
use super::settings::Settings;
use super::state::State;
use super::state_folder::StateFolder;
use crate::api::outbox::Outbox;
use crate::git::workspace::Workspace;
use pullyard_domain::id::RunnerId;
use pullyard_protocol::client::RunnerClient;
use pullyard_protocol::runner::RegisterAnswer;
use std::sync::Arc;

pub(crate) struct JobProcesses {
    pub(crate) state: State,
    pub(crate) starter: ProcessStarter,
    pub(crate) outbox: Outbox,
}

pub(crate) struct DaemonContext {
    pub(crate) settings: Settings,
    /// Whether the daemon leaves after one claim and its job.
    pub(crate) once: bool,
    pub(crate) client: RunnerClient,
    pub(crate) registration: RegisterAnswer,
    pub(crate) state_folder: StateFolder,
    pub(crate) jobs: Arc<JobProcesses>,
}

impl DaemonContext {
    pub(crate) fn runner_id(&self) -> &RunnerId {
        &self.registration.runner
    }

    pub(crate) fn state(&self) -> &State {
        &self.jobs.state
    }
}

impl JobProcesses {
    pub(crate) fn watch(self: &Arc<Self>, record: ProcessRecord, living: RunningProcess) {
        let (key, jobs) = (record.key(), Arc::clone(self));
        self.state.update(|now| now.running.insert(key.clone(), record));
        // The task ends with the process. If the daemon ends first, the next daemon takes over.
        tokio::spawn(async move {
            let ended = living.wait().await;
            let (job, attempt) = &key;
            match ended {
                ProcessExit::Success => tracing::info!(job.id = %job, attempt, "the process of {job} exited"),
                ProcessExit::Failure(code) => {
                    tracing::warn!(job.id = %job, attempt, code, "the process of {job} failed with {code}: see its log");
                }
            }
            // The slot becomes free once no process of the job is left.
            Workspace::kill_orphans(&jobs.starter.work_dir, job, *attempt).await;
            jobs.handle_exit(&key, ended);
        });
    }

    fn handle_exit(&self, key: &AttemptKey, ended: ProcessExit) {
        let undelivered = self.outbox.list_pending().contains(key);
        self.state.update(|now| {
            now.running.remove(key);
            if undelivered {
                now.pending_reports.insert(key.clone());
            }
            now.failures = if ended == ProcessExit::Success { 0 } else { now.failures.saturating_add(1) };
        });
        if !undelivered {
            remove_record(&self.starter.jobs, key);
        }
    }

    pub(crate) async fn deliver_finishes(&self) {
        let running = |key: &AttemptKey| self.state.read(|now| now.running.contains_key(key));
        self.outbox.deliver_others(&running).await;
        let waiting = self.outbox.list_pending();
        for key in self.state.read(|now| &now.pending_reports - &waiting) {
            remove_record(&self.starter.jobs, &key);
            self.state.update(|now| now.pending_reports.remove(&key));
        }
    }
}
