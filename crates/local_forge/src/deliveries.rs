//! Records the newest deliveries of each hook, in memory.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::{Semaphore, watch};

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_CONCURRENT: usize = 128;
/// Per hook.
const MAX_RECORDED: usize = 100;

#[derive(Clone, Debug)]
pub struct DeliveryRecord {
    pub id: u64,
    pub status: String,
    pub status_code: u16,
    pub event: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryFault {
    NotSent,
    NotRecorded,
    /// The request is sent, but recorded as timed out.
    ResponseLost,
}

pub struct NewDelivery {
    pub guid: String,
    pub event: &'static str,
    pub payload: Value,
}

pub struct DeliveryHeaders {
    pub headers: BTreeMap<&'static str, String>,
    pub signature: &'static str,
}

#[derive(Debug)]
pub struct Deliveries {
    records: Mutex<BTreeMap<u64, Vec<DeliveryRecord>>>,
    pub(crate) slots: Semaphore,
    pub(crate) pending: watch::Sender<usize>,
    client: OnceLock<Option<reqwest::Client>>,
}

impl Default for Deliveries {
    fn default() -> Self {
        Self {
            records: Mutex::default(),
            slots: Semaphore::new(MAX_CONCURRENT),
            pending: watch::Sender::new(0),
            client: OnceLock::new(),
        }
    }
}

impl Deliveries {
    /// Newest first.
    pub fn list(&self, hook: u64) -> Vec<DeliveryRecord> {
        let by_hook = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = by_hook.get(&hook).cloned().unwrap_or_default();
        records.sort_by_key(|record| std::cmp::Reverse(record.id));
        records
    }

    pub fn delete(&self, hook: u64) {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).remove(&hook);
    }

    pub(crate) fn record(&self, hook: u64, record: DeliveryRecord) {
        let mut by_hook = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let records = by_hook.entry(hook).or_default();
        records.push(record);
        if records.len() > MAX_RECORDED {
            records.remove(0);
        }
    }

    pub async fn wait_idle(&self) {
        let _ = self.pending.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(crate) fn client(&self) -> Option<&reqwest::Client> {
        let build = || {
            let builder = reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only([])
                .redirect(reqwest::redirect::Policy::none())
                .timeout(RESPONSE_TIMEOUT);
            builder.build().inspect_err(|error| tracing::warn!(error = %error, "cannot call webhooks: {error}")).ok()
        };
        self.client.get_or_init(build).as_ref()
    }
}
