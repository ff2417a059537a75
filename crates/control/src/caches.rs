//! State in the memory of one process. A new process begins without it.

use pullyard_domain::job::Job;
use pullyard_domain::review::Permission;
use pullyard_domain::text::id::{HookName, IntegrationId, JobId};
use pullyard_domain::text::time::Timestamp;
use pullyard_tracker::{Connection, ToolClient};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

const MAX_PERMISSIONS: usize = 10_000;

/// The jobs that wait for a place of the machine. In memory, because the dispatcher of `up` is one process.
/// `find_first` loads the waiting jobs from the table at its first call.
#[derive(Debug, Default)]
pub(crate) struct MachineQueue {
    pub(crate) loaded: OnceCell<()>,
    jobs: Mutex<BTreeSet<(i64, JobId)>>,
}

impl MachineQueue {
    pub(crate) fn add(&self, job: &Job) {
        self.jobs().insert((job.order(), job.id.clone()));
    }

    /// For a job whose try failed. Its due time brings it back.
    pub(crate) fn remove(&self, job: &Job) {
        self.jobs().remove(&(job.order(), job.id.clone()));
    }

    pub(crate) fn jobs(&self) -> MutexGuard<'_, BTreeSet<(i64, JobId)>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Integration, repository, pull request (only where the answer depends on it), account.
type PermissionKey = (IntegrationId, u64, Option<u64>, u64);

type PermissionEntry = Arc<tokio::sync::Mutex<Option<(Permission, Timestamp)>>>;

/// The permissions of accounts, as forges returned them.
#[derive(Debug, Default)]
pub(crate) struct PermissionCache(tokio::sync::Mutex<HashMap<PermissionKey, PermissionEntry>>);

impl PermissionCache {
    pub(crate) async fn entry(&self, key: PermissionKey) -> PermissionEntry {
        let mut entries = self.0.lock().await;
        if entries.len() >= MAX_PERMISSIONS {
            entries.clear();
        }
        entries.entry(key).or_default().clone()
    }
}

/// Keyed by hook and creation time, because a new hook may reuse the name. Only existing hooks are added.
#[derive(Debug, Default)]
pub(crate) struct RejectedDeliveries(Mutex<HashMap<(HookName, Timestamp), DeliveryCounts>>);

#[derive(Debug, Default)]
pub(crate) struct DeliveryCounts {
    pub(crate) verified_at: Option<Timestamp>,
    pub(crate) refused_at: Option<Timestamp>,
    pub(crate) refused: u64,
}

impl RejectedDeliveries {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<(HookName, Timestamp), DeliveryCounts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client of each connection, which has the token of an app.
pub(crate) type ToolClients = Mutex<BTreeMap<IntegrationId, (Connection, ToolClient)>>;
