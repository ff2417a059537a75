//! A proxy to DynamoDB that adds up the consumed capacity.

use crate::prelude::*;
use crate::story::{DynamodbProxy, aws_credentials};
use pullyard_testkit::signed_headers;
use std::fmt;
use std::ops::AddAssign;
use std::sync::{MutexGuard, OnceLock, PoisonError};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Units {
    pub(super) read: f64,
    pub(super) written: f64,
    /// Units of batches of live events, one write and one read of the job each. Counted apart, because their number
    /// depends on the duration of the agent.
    pub(super) live: f64,
    /// Writes with a failed condition. They are charged as well, but DynamoDB does not return how much.
    pub(super) refused: u64,
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { written, read, live, refused } = self;
        write!(f, "{written} write units, {read} read units, live events {live}, {refused} writes refused")
    }
}

impl AddAssign for Units {
    fn add_assign(&mut self, more: Self) {
        self.read += more.read;
        self.written += more.written;
        self.live += more.live;
        self.refused += more.refused;
    }
}

#[derive(Default)]
struct MeterState {
    units: Units,
    calls: BTreeMap<String, (u64, f64)>,
    calls_at_last_check: u64,
    runner_calls: u64,
}

/// A proxy that every call passes through with `ReturnConsumedCapacity` set.
#[derive(Clone)]
pub(super) struct Meter {
    url: String,
    seen: Arc<Mutex<MeterState>>,
    /// The URL of DynamoDB, set before the first call.
    behind: Arc<OnceLock<String>>,
    http: reqwest::Client,
}

impl Meter {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let http = reqwest::Client::new();
        let meter = Self { url, seen: Arc::default(), behind: Arc::default(), http };
        let router = Router::new().fallback(forward).with_state(meter.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        meter
    }

    /// The setting that places the proxy in front of a system's DynamoDB.
    pub(super) fn between(&self) -> DynamodbProxy {
        let meter = self.clone();
        DynamodbProxy::new(move |behind| {
            meter.behind.set(behind.to_owned()).unwrap();
            meter.url.clone()
        })
    }

    fn lock(&self) -> MutexGuard<'_, MeterState> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reset(&self) {
        *self.lock() = MeterState::default();
    }

    pub(super) fn units(&self) -> Units {
        self.lock().units
    }

    /// Calls about runners and their profiles.
    pub(super) fn runner_calls(&self) -> u64 {
        self.lock().runner_calls
    }

    /// Whether no call arrived since the last `is_still`.
    pub(super) fn is_still(&self) -> bool {
        let mut seen = self.lock();
        let calls = seen.calls.values().map(|(count, _)| count).sum();
        std::mem::replace(&mut seen.calls_at_last_check, calls) == calls
    }

    pub(super) fn calls(&self) -> String {
        let seen = self.lock();
        let line = |(name, (count, units)): (&String, &(u64, f64))| format!("  {name}: {count} calls, {units} units");
        seen.calls.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn count(&self, operation: &str, is_ok: bool, is_event_batch: bool, answer: &Value) {
        let each = match &answer["ConsumedCapacity"] {
            Value::Array(each) => each.clone(),
            one => vec![one.clone()],
        };
        let units: f64 = each.iter().filter_map(|one| one["CapacityUnits"].as_f64()).sum();
        let is_read = ["GetItem", "Query", "BatchGetItem", "TransactGetItems"].contains(&operation);
        let taken = match (is_ok, is_read, is_event_batch) {
            (false, ..) => Units { refused: 1, ..Units::default() },
            (true, true, _) => Units { read: units, ..Units::default() },
            // The read of the job cannot be distinguished from other reads.
            (true, false, true) => Units { read: -1.0, live: units + 1.0, ..Units::default() },
            (true, false, false) => Units { written: units, ..Units::default() },
        };
        let mut seen = self.lock();
        seen.units += taken;
        let refused = if is_ok { "" } else { ", refused" };
        let call = seen.calls.entry(format!("{operation}{refused}")).or_default();
        *call = (call.0 + 1, call.1 + units);
    }
}

async fn forward(State(meter): State<Meter>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let mut request: Value = serde_json::from_slice(&body).unwrap();
    request["ReturnConsumedCapacity"] = json!("TOTAL");
    let is_event_batch = request["Item"]["pk"]["S"].as_str().is_some_and(|key| key.starts_with("EVENTS#"));
    let (url, body) = (meter.behind.get().unwrap(), request.to_string());
    meter.lock().runner_calls += u64::from(body.contains("\"RUNNER"));
    let mut call = meter.http.post(url).headers(signed_headers(&aws_credentials(), url, target, &body)).body(body);
    if let Some(agent) = headers.get("user-agent") {
        call = call.header("user-agent", agent);
    }
    let answer = call.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let bytes = answer.bytes().await.unwrap();
    let response = serde_json::from_slice(&bytes).unwrap_or_default();
    meter.count(&operation, status.is_success(), is_event_batch, &response);
    let names = ["content-type", "x-amzn-requestid"];
    let response_headers =
        names.iter().filter_map(|name| Some((*name, headers.get(*name)?.clone()))).collect::<Vec<_>>();
    let mut passed = (status, bytes).into_response();
    for (name, value) in response_headers {
        passed.headers_mut().insert(name, value);
    }
    passed
}
