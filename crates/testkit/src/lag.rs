//! A DynamoDB proxy with stale indexes, which the embedded DynamoDB never has.
//! Reads of an index use a shadow table. A seeded copier updates it item by item, in any order and some reads late. Each
//! item is thus an earlier state of itself, and two items may be of different moments. All other calls use the real
//! table. Its reads must be strongly consistent; the proxy refuses any other.

use crate::rng::SeededRng;
use crate::wire::collect_body;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const TARGET: &str = "DynamoDB_20120810.";
/// A read updates a stale item with a probability of one in this many.
const UPDATE_ONE_IN: usize = 3;

#[derive(Clone, Copy, Debug)]
enum CopyPolicy {
    Everything,
    /// Each stale item, with a probability of one in this many.
    OneIn(usize),
    Nothing,
}

/// Sends a call of the copier to the real DynamoDB: operation and body to answer.
type SendCall = Arc<dyn Fn(&'static str, Value) -> CallFuture + Send + Sync>;
/// The answer, or a description of the failure.
type CallFuture = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

#[derive(Clone)]
pub struct Lag {
    policy: CopyPolicy,
    state: Arc<Mutex<LagState>>,
    last_connection: Arc<Mutex<Option<SendCall>>>,
    /// One copy at a time: two copies of one item could overwrite each other in the wrong order.
    copier: Arc<tokio::sync::Mutex<SeededRng>>,
}

#[derive(Debug, Default)]
struct LagState {
    /// The key attributes of each table.
    tables: BTreeMap<String, Vec<String>>,
    stale_keys: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug)]
struct RewrittenCall {
    body: Vec<u8>,
    lag: Lag,
    /// The keys that the call writes. They are stale from its start, and again from its answer.
    written_keys: Vec<(String, Value)>,
}

impl Drop for RewrittenCall {
    /// A copy made during the write may be older than the write.
    fn drop(&mut self) {
        self.lag.mark_stale(&self.written_keys);
    }
}

impl fmt::Debug for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lag").field("known", &self.state).finish_non_exhaustive()
    }
}

impl Lag {
    /// The seed and the order of the reads decide the delay of each item.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            policy: CopyPolicy::OneIn(UPDATE_ONE_IN),
            state: Arc::default(),
            last_connection: Arc::default(),
            copier: Arc::new(tokio::sync::Mutex::new(SeededRng::new(seed))),
        }
    }

    /// Copies nothing by itself: stale reads return the state of the last [`Lag::catch_up`].
    #[must_use]
    pub fn frozen() -> Self {
        Self { policy: CopyPolicy::Nothing, ..Self::new(0) }
    }

    /// Directs a query of an index to the shadow. Errors: the real DynamoDB did not answer a call of the copier, or the
    /// call is an eventually consistent read of the table.
    async fn rewrite(&self, operation: &str, body: &[u8], ask: &SendCall) -> Result<RewrittenCall, String> {
        let mut passing = RewrittenCall { body: body.to_vec(), lag: self.clone(), written_keys: Vec::new() };
        let Ok(mut call) = serde_json::from_slice::<Value>(body) else { return Ok(passing) };
        *self.last_connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(ask));
        let index_read = operation == "Query" && call["IndexName"].is_string();
        if !index_read && is_weak_read(operation, &call) {
            return Err(format!("{operation} must be strongly consistent: {call}"));
        }
        for table in tables_of(operation, &call) {
            self.create_shadow(&table, ask).await?;
        }
        passing.written_keys = self.written_keys(operation, &call);
        self.mark_stale(&passing.written_keys);
        if index_read && let Some(table) = call["TableName"].as_str().map(str::to_owned) {
            self.copy_stale_items(&table, self.policy, ask).await?;
            call["TableName"] = json!(shadow_name(&table));
            passing.body = call.to_string().into_bytes();
        }
        Ok(passing)
    }

    /// Copies all stale items. Concurrent writes may make them stale again.
    ///
    /// # Errors
    /// No call preceded this one, or DynamoDB did not answer.
    pub async fn catch_up(&self) -> Result<(), String> {
        let ask =
            self.last_connection.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or("nobody called yet")?;
        let tables: Vec<_> = self.lock_state().tables.keys().cloned().collect();
        for table in &tables {
            self.copy_stale_items(table, CopyPolicy::Everything, &ask).await?;
        }
        Ok(())
    }

    fn lock_state(&self) -> MutexGuard<'_, LagState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_shadow(&self, table: &str) -> bool {
        self.lock_state().tables.contains_key(table)
    }

    fn mark_stale(&self, written: &[(String, Value)]) {
        let mut known = self.lock_state();
        for (table, key) in written {
            known.stale_keys.entry(table.clone()).or_default().insert(key.to_string());
        }
    }

    async fn create_shadow(&self, table: &str, ask: &SendCall) -> Result<(), String> {
        // Checked without the copier's lock, so that a write waits for no copy.
        if self.has_shadow(table) {
            return Ok(());
        }
        let _one = self.copier.lock().await;
        if self.has_shadow(table) {
            return Ok(());
        }
        let described = ask("DescribeTable", json!({ "TableName": table })).await?;
        let described = &described["Table"];
        let select_fields = |of: &Value, names: &[&str]| -> Value {
            names.iter().map(|name| ((*name).to_owned(), of[*name].clone())).collect::<Map<_, _>>().into()
        };
        let indexes = described["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
        let indexes: Vec<_> =
            indexes.map(|index| select_fields(index, &["IndexName", "KeySchema", "Projection"])).collect();
        let mut definition = select_fields(described, &["AttributeDefinitions", "KeySchema"]);
        definition["TableName"] = json!(shadow_name(table));
        definition["BillingMode"] = json!("PAY_PER_REQUEST");
        definition["GlobalSecondaryIndexes"] = json!(indexes);
        ask("CreateTable", definition).await?;
        let keys = described["KeySchema"].as_array().into_iter().flatten();
        let keys = keys.filter_map(|key| key["AttributeName"].as_str().map(str::to_owned)).collect();
        self.lock_state().tables.insert(table.to_owned(), keys);
        Ok(())
    }

    fn written_keys(&self, operation: &str, call: &Value) -> Vec<(String, Value)> {
        let of = |write: &Value| {
            let table = write["TableName"].as_str()?.to_owned();
            let from = if write["Item"].is_object() { &write["Item"] } else { &write["Key"] };
            let known = self.lock_state();
            let key: Map<_, _> =
                known.tables.get(&table)?.iter().map(|name| (name.clone(), from[name].clone())).collect();
            Some((table, key.into()))
        };
        match operation {
            "PutItem" | "UpdateItem" | "DeleteItem" => of(call).into_iter().collect(),
            "TransactWriteItems" => {
                let actions = call["TransactItems"].as_array().into_iter().flatten();
                let writes = actions.flat_map(|action| ["Put", "Update", "Delete"].map(|kind| &action[kind]));
                writes.filter(|write| write.is_object()).filter_map(of).collect()
            }
            _ => Vec::new(),
        }
    }

    async fn copy_stale_items(&self, table: &str, policy: CopyPolicy, ask: &SendCall) -> Result<(), String> {
        let mut rng = self.copier.lock().await;
        let stale_keys = self.lock_state().stale_keys.get(table).cloned().unwrap_or_default();
        for key in stale_keys {
            match policy {
                CopyPolicy::Everything => {}
                CopyPolicy::OneIn(one_of) if rng.below(one_of) == 0 => {}
                CopyPolicy::OneIn(_) | CopyPolicy::Nothing => continue,
            }
            // Removed before the read, so that a later write makes the item stale again.
            if let Some(stale_keys) = self.lock_state().stale_keys.get_mut(table) {
                stale_keys.remove(&key);
            }
            let named: Value = serde_json::from_str(&key).map_err(|error| error.to_string())?;
            let read = json!({ "TableName": table, "Key": named, "ConsistentRead": true });
            let found = ask("GetItem", read).await?;
            let name = shadow_name(table);
            match found.get("Item") {
                Some(item) => ask("PutItem", json!({ "TableName": name, "Item": item })).await?,
                None => ask("DeleteItem", json!({ "TableName": name, "Key": named })).await?,
            };
        }
        Ok(())
    }

    /// A client whose calls to DynamoDB see the lag.
    #[must_use]
    pub fn client(&self) -> SharedHttpClient {
        let inner = aws_smithy_http_client::Builder::new().build_http();
        SharedHttpClient::new(LagClient { lag: self.clone(), inner })
    }
}

fn tables_of(operation: &str, call: &Value) -> Vec<String> {
    let named = |of: &Value| of["TableName"].as_str().map(str::to_owned);
    match operation {
        "Query" | "PutItem" | "UpdateItem" | "DeleteItem" => named(call).into_iter().collect(),
        "TransactWriteItems" => {
            let actions = call["TransactItems"].as_array().into_iter().flatten();
            let parts = actions.flat_map(|action| ["Put", "Update", "Delete"].map(|kind| &action[kind]));
            parts.filter_map(named).collect::<BTreeSet<_>>().into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn shadow_name(table: &str) -> String {
    format!("{table}-index")
}

fn is_weak_read(operation: &str, call: &Value) -> bool {
    match operation {
        "Query" | "GetItem" => call["ConsistentRead"] != true,
        "BatchGetItem" => call["RequestItems"]
            .as_object()
            .is_some_and(|tables| tables.values().any(|wanted| wanted["ConsistentRead"] != true)),
        _ => false,
    }
}

#[derive(Debug)]
struct LagClient {
    lag: Lag,
    inner: SharedHttpClient,
}

impl HttpClient for LagClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(LagConnector {
            lag: self.lag.clone(),
            inner: self.inner.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct LagConnector {
    lag: Lag,
    inner: SharedHttpConnector,
}

impl HttpConnector for LagConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let Some(operation) = target.strip_prefix(TARGET).map(str::to_owned) else {
            return self.inner.call(request);
        };
        let (lag, inner) = (self.lag.clone(), self.inner.clone());
        HttpConnectorFuture::new(async move {
            let ask = sender_to(&request, &inner);
            let body = request.body().bytes().unwrap_or_default().to_vec();
            let passing =
                lag.rewrite(&operation, &body, &ask).await.map_err(|error| ConnectorError::io(error.into()))?;
            let mut request = request;
            request.headers_mut().insert("content-length", passing.body.len().to_string());
            *request.body_mut() = SdkBody::from(passing.body.clone());
            inner.call(request).await
        })
    }
}

fn sender_to(request: &HttpRequest, inner: &SharedHttpConnector) -> SendCall {
    let (uri, inner) = (request.uri().to_owned(), inner.clone());
    // The emulator requires signature headers but does not verify them.
    let signed = ["authorization", "x-amz-date"];
    let signed = signed.map(|name| (name, request.headers().get(name).unwrap_or_default().to_owned()));
    Arc::new(move |operation, body| {
        let mut http_request = HttpRequest::new(SdkBody::from(body.to_string()));
        let inner = inner.clone();
        let prepared = http_request.set_method("POST").and_then(|()| http_request.set_uri(uri.clone()));
        http_request.headers_mut().insert("x-amz-target", format!("{TARGET}{operation}"));
        http_request.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        for (name, value) in signed.clone() {
            http_request.headers_mut().insert(name, value);
        }
        Box::pin(async move {
            prepared.map_err(|error| error.to_string())?;
            let mut answer = inner.call(http_request).await.map_err(|error| error.to_string())?;
            let body = collect_body(&mut answer).await?;
            if !answer.status().is_success() {
                return Err(format!("{operation}: {}", String::from_utf8_lossy(&body)));
            }
            serde_json::from_slice(&body).map_err(|error| error.to_string())
        })
    })
}
