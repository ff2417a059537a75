//! Records deliveries for three days, as GitHub does.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::{Error, clock};

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const RETENTION_SECS: i64 = 3 * 24 * 60 * 60;
const MAX_CONCURRENT: usize = 128;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeliveryRecord {
    pub id: u64,
    pub hook: u64,
    /// Equal for all deliveries of an event.
    pub guid: String,
    pub delivered_at: String,
    pub redelivery: bool,
    pub duration_secs: f64,
    pub status: String,
    pub status_code: u16,
    pub event: String,
    pub action: Option<String>,
    pub installation: Option<u64>,
    pub repository: Option<u64>,
    pub url: String,
    pub sent_headers: BTreeMap<String, String>,
    pub payload: Value,
    pub received_headers: BTreeMap<String, String>,
    pub received: String,
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
    pub redelivery: bool,
    pub event: String,
    pub action: Option<String>,
    pub installation: Option<u64>,
    pub repository: Option<u64>,
    pub payload: Value,
}

pub struct DeliveryHeaders {
    pub headers: BTreeMap<&'static str, String>,
    pub signature: &'static str,
}

#[derive(Debug)]
pub struct Deliveries {
    dir: PathBuf,
    records: Mutex<BTreeMap<u64, Vec<Arc<DeliveryRecord>>>>,
    pub(crate) slots: Semaphore,
    pub(crate) pending: watch::Sender<usize>,
    strict: OnceLock<Option<reqwest::Client>>,
    insecure: OnceLock<Option<reqwest::Client>>,
}

impl Deliveries {
    pub fn load(dir: &Path) -> Result<Self, Error> {
        // No repository owner has a dot in its name, so the name is free.
        let dir = dir.join("deliveries.d");
        std::fs::create_dir_all(&dir).map_err(Error::storage(&dir))?;
        let mut records: BTreeMap<u64, Vec<Arc<DeliveryRecord>>> = BTreeMap::new();
        for file in std::fs::read_dir(&dir).map_err(Error::storage(&dir))? {
            let path = file.map_err(Error::storage(&dir))?.path();
            let text = std::fs::read_to_string(&path).map_err(Error::storage(&path))?;
            for record in text.lines().filter_map(|line| serde_json::from_str::<DeliveryRecord>(line).ok()) {
                records.entry(record.hook).or_default().push(Arc::new(record));
            }
        }
        Ok(Self {
            dir,
            records: Mutex::new(records),
            slots: Semaphore::new(MAX_CONCURRENT),
            pending: watch::Sender::new(0),
            strict: OnceLock::new(),
            insecure: OnceLock::new(),
        })
    }

    pub fn list(&self, hook: u64, now_unix_secs: i64) -> Vec<Arc<DeliveryRecord>> {
        let mut by_hook = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(records) = by_hook.get_mut(&hook) else { return Vec::new() };
        records.retain(|record| now_unix_secs - clock::parse_unix_secs(&record.delivered_at) < RETENTION_SECS);
        let mut records = records.clone();
        records.sort_by_key(|record| std::cmp::Reverse(record.id));
        records
    }

    pub fn delete(&self, hook: u64) {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).remove(&hook);
        let _ = std::fs::remove_file(self.path(hook));
    }

    fn path(&self, hook: u64) -> PathBuf {
        self.dir.join(format!("{hook}.jsonl"))
    }

    /// Writes: a line at the end of the hook's file.
    pub(crate) fn record(&self, record: DeliveryRecord) -> Result<(), Error> {
        let path = self.path(record.hook);
        let mut line =
            serde_json::to_vec(&record).map_err(|source| Error::RecordUnreadable { path: path.clone(), source })?;
        line.push(b'\n');
        let mut by_hook = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(&line)).map_err(Error::storage(&path))?;
        by_hook.entry(record.hook).or_default().push(Arc::new(record));
        Ok(())
    }

    pub async fn wait_idle(&self) {
        let _ = self.pending.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(crate) fn client(&self, insecure: bool) -> Option<reqwest::Client> {
        let cell = if insecure { &self.insecure } else { &self.strict };
        let build = || {
            let builder = reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(RESPONSE_TIMEOUT)
                .tls_danger_accept_invalid_certs(insecure);
            builder.build().inspect_err(|error| tracing::warn!(error = %error, "cannot call webhooks: {error}")).ok()
        };
        cell.get_or_init(build).clone()
    }
}
