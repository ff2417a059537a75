//! Holds the parts of a registered daemon. Watches the processes of jobs, and handles their ends.

use super::child::{ProcessExit, ProcessStarter, RunningProcess, remove_record};
use super::launch::Launch;
use super::process_record::{AttemptKey, ProcessRecord};
use super::settings::Settings;
use super::state::{State, StateSnapshot};
use super::state_folder::StateFolder;
use crate::api::outbox::Outbox;
use crate::git::workspace::Workspace;
use pullyard_domain::text::id::RunnerId;
use pullyard_protocol::client::RunnerClient;
use pullyard_protocol::runner::{RegisterAnswer, RegisterRequest};
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
    pub(crate) launch: Launch,
    pub(crate) client: RunnerClient,
    pub(crate) request: RegisterRequest,
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

    pub(crate) fn free_slots(&self) -> usize {
        self.state().read(|state| self.free_slots_in(state))
    }

    /// 0 while the runner drains or updates.
    pub(crate) fn free_slots_in(&self, state: &StateSnapshot) -> usize {
        let slots = usize::try_from(self.settings.slots).unwrap_or(usize::MAX);
        if state.is_draining || state.is_updating { 0 } else { slots.saturating_sub(state.running.len()) }
    }
}

impl JobProcesses {
    pub(crate) fn watch(self: &Arc<Self>, record: ProcessRecord, process: RunningProcess) {
        let (key, jobs) = (record.key(), Arc::clone(self));
        self.state.update(|state| state.running.insert(key.clone(), record));
        // The task ends with the process. If the daemon ends first, the next daemon takes over.
        tokio::spawn(async move {
            let exit = process.wait().await;
            let (job, attempt) = &key;
            match exit {
                ProcessExit::Success => tracing::info!(job.id = %job, attempt, "the process of {job} exited"),
                ProcessExit::Failure(code) => {
                    tracing::warn!(job.id = %job, attempt, code, "the process of {job} failed with {code}: see its log");
                }
            }
            // The slot becomes free once no process of the job is left.
            Workspace::kill_orphans(&jobs.starter.work_dir, job, *attempt).await;
            jobs.handle_exit(&key, exit);
        });
    }

    fn handle_exit(&self, key: &AttemptKey, exit: ProcessExit) {
        let undelivered = self.outbox.list_pending().contains(key);
        self.state.update(|state| {
            state.running.remove(key);
            if undelivered {
                state.pending_reports.insert(key.clone());
            }
            state.failures = if exit == ProcessExit::Success { 0 } else { state.failures.saturating_add(1) };
        });
        if !undelivered {
            remove_record(&self.starter.jobs, key);
        }
    }

    pub(crate) async fn deliver_finishes(&self) {
        let is_running = |key: &AttemptKey| self.state.read(|state| state.running.contains_key(key));
        self.outbox.deliver_others(&is_running).await;
        let pending = self.outbox.list_pending();
        for key in self.state.read(|state| &state.pending_reports - &pending) {
            remove_record(&self.starter.jobs, &key);
            self.state.update(|state| state.pending_reports.remove(&key));
        }
    }
}
