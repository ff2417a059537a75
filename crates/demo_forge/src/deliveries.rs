//! Calls hooks at loopback addresses once, and records requests and responses for three days, as GitHub does.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::{Semaphore, watch};

use crate::{
    Error, clock,
    extension::DeliveryHeaders,
    forge::Shared,
    state::{Face, HookRecord},
};

const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const KEPT_SECS: i64 = 3 * 24 * 60 * 60;
const AT_ONCE: usize = 128;
const MAX_ANSWER_BYTES: usize = 64 * 1024;

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
    Forgotten,
    /// The request is sent, but recorded as timed out.
    AnswerLost,
}

pub struct Parcel {
    pub guid: String,
    pub redelivery: bool,
    pub event: String,
    pub action: Option<String>,
    pub installation: Option<u64>,
    pub repository: Option<u64>,
    pub payload: Value,
}

#[derive(Debug)]
pub struct Deliveries {
    dir: PathBuf,
    kept: Mutex<BTreeMap<u64, Vec<Arc<DeliveryRecord>>>>,
    slots: Semaphore,
    under_way: watch::Sender<usize>,
    strict: OnceLock<Option<reqwest::Client>>,
    lax: OnceLock<Option<reqwest::Client>>,
}

impl Deliveries {
    /// Loads recorded deliveries and skips a truncated last line.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        // No repository owner has a dot in its name, so the name is free.
        let dir = dir.join("deliveries.d");
        std::fs::create_dir_all(&dir).map_err(Error::storage(&dir))?;
        let mut kept: BTreeMap<u64, Vec<Arc<DeliveryRecord>>> = BTreeMap::new();
        for file in std::fs::read_dir(&dir).map_err(Error::storage(&dir))? {
            let path = file.map_err(Error::storage(&dir))?.path();
            let text = std::fs::read_to_string(&path).map_err(Error::storage(&path))?;
            for record in text.lines().filter_map(|line| serde_json::from_str::<DeliveryRecord>(line).ok()) {
                kept.entry(record.hook).or_default().push(Arc::new(record));
            }
        }
        Ok(Self {
            dir,
            kept: Mutex::new(kept),
            slots: Semaphore::new(AT_ONCE),
            under_way: watch::Sender::new(0),
            strict: OnceLock::new(),
            lax: OnceLock::new(),
        })
    }

    pub fn of(&self, hook: u64, now_unix_secs: i64) -> Vec<Arc<DeliveryRecord>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(records) = kept.get_mut(&hook) else { return Vec::new() };
        records.retain(|record| now_unix_secs - clock::unix_secs_of(&record.delivered_at) < KEPT_SECS);
        let mut records = records.clone();
        records.sort_by_key(|record| std::cmp::Reverse(record.id));
        records
    }

    pub fn forget(&self, hook: u64) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&hook);
        let _ = std::fs::remove_file(self.path(hook));
    }

    fn path(&self, hook: u64) -> PathBuf {
        self.dir.join(format!("{hook}.jsonl"))
    }

    /// Writes: a line at the end of the hook's file.
    fn keep(&self, record: DeliveryRecord) -> Result<(), Error> {
        let path = self.path(record.hook);
        let mut line =
            serde_json::to_vec(&record).map_err(|source| Error::RecordUnreadable { path: path.clone(), source })?;
        line.push(b'\n');
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(&line)).map_err(Error::storage(&path))?;
        kept.entry(record.hook).or_default().push(Arc::new(record));
        Ok(())
    }

    pub async fn settled(&self) {
        let _ = self.under_way.subscribe().wait_for(|count| *count == 0).await;
    }

    fn client(&self, insecure: bool) -> Option<reqwest::Client> {
        let cell = if insecure { &self.lax } else { &self.strict };
        let build = || {
            let builder = reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(ANSWER_LIMIT)
                .tls_danger_accept_invalid_certs(insecure);
            builder.build().inspect_err(|error| tracing::warn!(error = %error, "no hook can be called: {error}")).ok()
        };
        cell.get_or_init(build).clone()
    }
}

/// Sends in a separate task, so that the caller does not wait for hooks.
pub fn send(shared: &Arc<Shared>, hook: HookRecord, parcel: Parcel) -> Result<(), Error> {
    let id = shared.ids.next()?;
    let fault = shared.extension.delivery_fault();
    if fault == Some(DeliveryFault::Forgotten) {
        return Ok(());
    }
    shared.deliveries.under_way.send_modify(|count| *count += 1);
    let shared = shared.clone();
    tokio::spawn(async move {
        let _done = Done(shared.clone());
        let mut over = shared.over.clone();
        let record = tokio::select! {
            record = call(&shared, id, &hook, parcel, fault) => record,
            _ = over.changed() => return,
        };
        if let Err(error) = shared.deliveries.keep(record) {
            tracing::warn!(error = %error, "a delivery was not recorded: failed to {error}");
        }
    });
    Ok(())
}

/// Decrements the count even if the task is cancelled or panics.
struct Done(Arc<Shared>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.deliveries.under_way.send_modify(|count| *count -= 1);
    }
}

async fn call(
    shared: &Shared,
    id: u64,
    hook: &HookRecord,
    parcel: Parcel,
    fault: Option<DeliveryFault>,
) -> DeliveryRecord {
    let _slot = shared.deliveries.slots.acquire().await;
    let body = body_of(hook, &parcel.payload);
    let sent_headers = headers_of(shared, hook, &parcel, &body);
    let mut record = DeliveryRecord {
        id,
        hook: hook.id,
        guid: parcel.guid,
        delivered_at: shared.clock.now(),
        redelivery: parcel.redelivery,
        duration_secs: 0.0,
        status: "failed to connect to host".to_owned(),
        status_code: 0,
        event: parcel.event,
        action: parcel.action,
        installation: parcel.installation,
        repository: parcel.repository,
        url: hook.url.clone(),
        sent_headers,
        payload: parcel.payload,
        received_headers: BTreeMap::new(),
        received: String::new(),
    };
    let client = shared.deliveries.client(hook.insecure_ssl == "1");
    let (Some(client), None | Some(DeliveryFault::AnswerLost), true) = (client, fault, is_loopback(&hook.url)) else {
        return record;
    };
    let mut request = client.post(&hook.url).body(body);
    for (name, value) in &record.sent_headers {
        request = request.header(name, value);
    }
    let started = Instant::now();
    match request.send().await {
        Ok(answer) if fault.is_none() => {
            let status = answer.status();
            record.status_code = status.as_u16();
            record.status = if status.is_success() {
                "OK".to_owned()
            } else {
                format!("Invalid HTTP Response: {}", status.as_u16())
            };
            let headers = answer.headers().iter();
            record.received_headers = headers
                .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
                .collect();
            let received = answer.bytes().await.unwrap_or_default();
            record.received =
                String::from_utf8_lossy(received.get(..MAX_ANSWER_BYTES).unwrap_or(&received)).into_owned();
        }
        Ok(_) => record.status = "timed out".to_owned(),
        Err(error) if error.is_timeout() => record.status = "timed out".to_owned(),
        Err(_) => {}
    }
    record.duration_secs = started.elapsed().as_secs_f64();
    record
}

fn body_of(hook: &HookRecord, payload: &Value) -> String {
    let json = payload.to_string();
    if hook.content_type != "form" {
        return json;
    }
    let mut form = "payload=".to_owned();
    for byte in json.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => form.push(byte.into()),
            b' ' => form.push('+'),
            _ => form.push_str(&format!("%{byte:02X}")),
        }
    }
    form
}

fn headers_of(shared: &Shared, hook: &HookRecord, parcel: &Parcel, body: &str) -> BTreeMap<String, String> {
    let DeliveryHeaders { mut headers, signature } = match hook.face {
        Face::GitHub => DeliveryHeaders { headers: githubs_headers(hook, parcel), signature: "X-Hub-Signature-256" },
        Face::Bitbucket => shared.extension.delivery_headers(hook, parcel),
    };
    if let Some(secret) = &hook.secret
        && let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
    {
        mac.update(body.as_bytes());
        let hex = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
        headers.insert(signature, format!("sha256={hex}"));
    }
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn githubs_headers(hook: &HookRecord, parcel: &Parcel) -> BTreeMap<&'static str, String> {
    let kind = match hook.content_type.as_str() {
        "form" => "application/x-www-form-urlencoded",
        _ => "application/json",
    };
    let target = match hook.kind {
        crate::state::TargetKind::Repository => "repository",
        crate::state::TargetKind::Organization => "organization",
        crate::state::TargetKind::Integration => "integration",
    };
    BTreeMap::from([
        ("Accept", "*/*".to_owned()),
        ("Content-Type", kind.to_owned()),
        ("User-Agent", "GitHub-Hookshot/demo".to_owned()),
        ("X-GitHub-Delivery", parcel.guid.clone()),
        ("X-GitHub-Event", parcel.event.clone()),
        ("X-GitHub-Hook-ID", hook.id.to_string()),
        ("X-GitHub-Hook-Installation-Target-ID", hook.target.to_string()),
        ("X-GitHub-Hook-Installation-Target-Type", target.to_owned()),
    ])
}

fn is_loopback(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host.parse::<std::net::IpAddr>().map_or(host == "localhost", |address| address.is_loopback());
    matches!(url.scheme(), "http" | "https") && is_here
}
