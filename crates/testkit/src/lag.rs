//! A DynamoDB proxy with stale reads, which the embedded DynamoDB never returns.
//!
//! Writes go to the real table. Reads of an index, and reads without `ConsistentRead`, use two shadow tables. A seeded
//! copier updates the shadows item by item, in any order and some reads late. Each item is thus an earlier state of
//! itself, and two items may be of different moments.

use crate::dice::Dice;
use crate::wire::collected;
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

/// The prefix of DynamoDB's operations in `x-amz-target`.
const TARGET: &str = "DynamoDB_20120810.";
/// A read updates a stale item with a probability of one in this many.
const ONE_OF: usize = 3;

/// The stale items that are copied before a read.
#[derive(Clone, Copy, Debug)]
enum Pace {
    Everything,
    /// Each stale item, with a probability of one in this many.
    OneOf(usize),
    Nothing,
}
/// The suffixes of the shadow tables' names.
const SHADOWS: [&str; 2] = [INDEX, ITEMS];
const INDEX: &str = "-index";
const ITEMS: &str = "-items";

/// Sends a call of the copier to the real DynamoDB: operation and body to answer.
pub type Ask = Arc<dyn Fn(&'static str, Value) -> Asked + Send + Sync>;
/// The answer, or a description of the failure.
pub type Asked = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

/// The shadows of every table and their copier. Clones share them.
#[derive(Clone)]
pub struct Lag {
    pace: Pace,
    known: Arc<Mutex<Known>>,
    /// The connection of the last caller to DynamoDB.
    last: Arc<Mutex<Option<Ask>>>,
    /// One copy at a time: two copies of one item could overwrite each other in the wrong order.
    hand: Arc<tokio::sync::Mutex<Dice>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The key attributes of each table that has shadows.
    tables: BTreeMap<String, Vec<String>>,
    /// For each shadow, the JSON of the keys whose item may be stale.
    behind: BTreeMap<(String, &'static str), BTreeSet<String>>,
}

/// A rewritten call, and the state for its answer.
#[derive(Debug)]
pub struct Passing {
    pub body: Vec<u8>,
    lag: Lag,
    /// The keys that the call writes. They are stale from its start, and again from its answer.
    written: Vec<(String, Value)>,
    /// The shadow that answers the call, and the table that it stands for.
    renamed: Option<(String, String)>,
}

impl Passing {
    /// The answer with the name of the real table.
    #[must_use]
    pub fn answer(&self, body: Vec<u8>) -> Vec<u8> {
        match (&self.renamed, String::from_utf8(body)) {
            (Some((shadow, table)), Ok(text)) => {
                text.replace(&format!("\"{shadow}\""), &format!("\"{table}\"")).into_bytes()
            }
            (_, Ok(text)) => text.into_bytes(),
            (_, Err(raw)) => raw.into_bytes(),
        }
    }
}

impl Drop for Passing {
    /// A copy made during the write may be older than the write.
    fn drop(&mut self) {
        self.lag.note(&self.written);
    }
}

impl fmt::Debug for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lag").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Lag {
    /// The seed and the order of the reads decide the delay of each item.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            pace: Pace::OneOf(ONE_OF),
            known: Arc::default(),
            last: Arc::default(),
            hand: Arc::new(tokio::sync::Mutex::new(Dice::new(seed))),
        }
    }

    /// Copies nothing by itself: stale reads return the state of the last [`Lag::catch_up`].
    #[must_use]
    pub fn still() -> Self {
        Self { pace: Pace::Nothing, ..Self::new(0) }
    }

    /// Rewrites a call to DynamoDB.
    ///
    /// # Errors
    /// The real DynamoDB did not answer a call of the copier.
    pub async fn before(&self, operation: &str, body: &[u8], ask: &Ask) -> Result<Passing, String> {
        let mut passing = Passing { body: body.to_vec(), lag: self.clone(), written: Vec::new(), renamed: None };
        let Ok(mut call) = serde_json::from_slice::<Value>(body) else { return Ok(passing) };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(ask));
        for table in tables_of(operation, &call) {
            self.know(&table, ask).await?;
        }
        passing.written = self.written(operation, &call);
        self.note(&passing.written);
        let Some((table, shadow)) = lagging(operation, &call) else { return Ok(passing) };
        self.bring_on(&table, shadow, self.pace, ask).await?;
        let name = format!("{table}{shadow}");
        if operation == "BatchGetItem" {
            let wanted = call["RequestItems"].as_object_mut().and_then(|all| all.remove(&table));
            call["RequestItems"] = json!({ &name: wanted });
        } else {
            call["TableName"] = json!(name);
        }
        passing.body = call.to_string().into_bytes();
        passing.renamed = Some((name, table));
        Ok(passing)
    }

    /// Copies all stale items. Concurrent writes may make them stale again.
    ///
    /// # Errors
    /// No call preceded this one, or DynamoDB did not answer.
    pub async fn catch_up(&self) -> Result<(), String> {
        let ask = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or("nobody called yet")?;
        let tables: Vec<_> = self.known().tables.keys().cloned().collect();
        for table in &tables {
            for shadow in SHADOWS {
                self.bring_on(table, shadow, Pace::Everything, &ask).await?;
            }
        }
        Ok(())
    }

    /// The number of stale items in all shadows.
    #[must_use]
    pub fn behind(&self) -> usize {
        self.known().behind.values().map(BTreeSet::len).sum()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, table: &str) -> bool {
        self.known().tables.contains_key(table)
    }

    fn note(&self, written: &[(String, Value)]) {
        let mut known = self.known();
        for (table, key) in written {
            for shadow in SHADOWS {
                known.behind.entry((table.clone(), shadow)).or_default().insert(key.to_string());
            }
        }
    }

    /// Creates the shadows of a table at its first call.
    async fn know(&self, table: &str, ask: &Ask) -> Result<(), String> {
        // Checked without the copier's lock, so that a write waits for no copy.
        if self.knows(table) {
            return Ok(());
        }
        let _one = self.hand.lock().await;
        if self.knows(table) {
            return Ok(());
        }
        let described = ask("DescribeTable", json!({ "TableName": table })).await?;
        let described = &described["Table"];
        let words = |of: &Value, names: &[&str]| -> Value {
            names.iter().map(|name| ((*name).to_owned(), of[*name].clone())).collect::<Map<_, _>>().into()
        };
        let indexes = described["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
        let indexes: Vec<_> = indexes.map(|index| words(index, &["IndexName", "KeySchema", "Projection"])).collect();
        for shadow in SHADOWS {
            let mut made = words(described, &["AttributeDefinitions", "KeySchema"]);
            made["TableName"] = json!(format!("{table}{shadow}"));
            made["BillingMode"] = json!("PAY_PER_REQUEST");
            made["GlobalSecondaryIndexes"] = json!(indexes);
            ask("CreateTable", made).await?;
        }
        let keys = described["KeySchema"].as_array().into_iter().flatten();
        let keys = keys.filter_map(|key| key["AttributeName"].as_str().map(str::to_owned)).collect();
        self.known().tables.insert(table.to_owned(), keys);
        Ok(())
    }

    /// The keys that a call writes.
    fn written(&self, operation: &str, call: &Value) -> Vec<(String, Value)> {
        let of = |write: &Value| {
            let table = write["TableName"].as_str()?.to_owned();
            let from = if write["Item"].is_object() { &write["Item"] } else { &write["Key"] };
            let known = self.known();
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

    async fn bring_on(&self, table: &str, shadow: &'static str, pace: Pace, ask: &Ask) -> Result<(), String> {
        let mut hand = self.hand.lock().await;
        let behind = self.known().behind.get(&(table.to_owned(), shadow)).cloned().unwrap_or_default();
        for key in behind {
            match pace {
                Pace::Everything => {}
                Pace::OneOf(one_of) if hand.below(one_of) == 0 => {}
                Pace::OneOf(_) | Pace::Nothing => continue,
            }
            // Removed before the read, so that a later write makes the item stale again.
            if let Some(behind) = self.known().behind.get_mut(&(table.to_owned(), shadow)) {
                behind.remove(&key);
            }
            let named: Value = serde_json::from_str(&key).map_err(|error| error.to_string())?;
            let read = json!({ "TableName": table, "Key": named, "ConsistentRead": true });
            let found = ask("GetItem", read).await?;
            let name = format!("{table}{shadow}");
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
        SharedHttpClient::new(Lagging { lag: self.clone(), inner })
    }
}

fn tables_of(operation: &str, call: &Value) -> Vec<String> {
    let named = |of: &Value| of["TableName"].as_str().map(str::to_owned);
    match operation {
        "GetItem" | "Query" | "PutItem" | "UpdateItem" | "DeleteItem" => named(call).into_iter().collect(),
        "BatchGetItem" => call["RequestItems"].as_object().into_iter().flat_map(|all| all.keys().cloned()).collect(),
        "TransactWriteItems" => {
            let actions = call["TransactItems"].as_array().into_iter().flatten();
            let parts = actions.flat_map(|action| ["Put", "Update", "Delete"].map(|kind| &action[kind]));
            parts.filter_map(named).collect::<BTreeSet<_>>().into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The table and the shadow of a read that may be stale.
fn lagging(operation: &str, call: &Value) -> Option<(String, &'static str)> {
    let table = || call["TableName"].as_str().map(str::to_owned);
    match operation {
        "Query" if call["IndexName"].is_string() => Some((table()?, INDEX)),
        "Query" | "GetItem" if call["ConsistentRead"] != true => Some((table()?, ITEMS)),
        "BatchGetItem" => {
            let (table, wanted) = call["RequestItems"].as_object()?.iter().next()?;
            (wanted["ConsistentRead"] != true).then(|| (table.clone(), ITEMS))
        }
        _ => None,
    }
}

#[derive(Debug)]
struct Lagging {
    lag: Lag,
    inner: SharedHttpClient,
}

impl HttpClient for Lagging {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connected {
            lag: self.lag.clone(),
            inner: self.inner.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct Connected {
    lag: Lag,
    inner: SharedHttpConnector,
}

impl HttpConnector for Connected {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let Some(operation) = target.strip_prefix(TARGET).map(str::to_owned) else {
            return self.inner.call(request);
        };
        let (lag, inner) = (self.lag.clone(), self.inner.clone());
        HttpConnectorFuture::new(async move {
            let ask = asker(&request, &inner);
            let body = request.body().bytes().unwrap_or_default().to_vec();
            let passing = lag.before(&operation, &body, &ask).await.map_err(|why| ConnectorError::io(why.into()))?;
            let mut request = request;
            request.headers_mut().insert("content-length", passing.body.len().to_string());
            *request.body_mut() = SdkBody::from(passing.body.clone());
            let mut response = inner.call(request).await?;
            if passing.renamed.is_some() {
                let body = collected(&mut response).await.map_err(|why| ConnectorError::io(why.into()))?;
                let body = passing.answer(body);
                // Both headers belong to the shadow's answer.
                response.headers_mut().remove("x-amz-crc32");
                response.headers_mut().remove("content-length");
                *response.body_mut() = SdkBody::from(body);
            }
            Ok(response)
        })
    }
}

/// Sends calls to the destination of this request.
fn asker(request: &HttpRequest, inner: &SharedHttpConnector) -> Ask {
    let (uri, inner) = (request.uri().to_owned(), inner.clone());
    // The emulator requires signature headers but does not verify them.
    let signed = ["authorization", "x-amz-date"];
    let signed = signed.map(|name| (name, request.headers().get(name).unwrap_or_default().to_owned()));
    Arc::new(move |operation, body| {
        let mut asked = HttpRequest::new(SdkBody::from(body.to_string()));
        let inner = inner.clone();
        let prepared = asked.set_method("POST").and_then(|()| asked.set_uri(uri.clone()));
        asked.headers_mut().insert("x-amz-target", format!("{TARGET}{operation}"));
        asked.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        for (name, value) in signed.clone() {
            asked.headers_mut().insert(name, value);
        }
        Box::pin(async move {
            prepared.map_err(|error| error.to_string())?;
            let mut answer = inner.call(asked).await.map_err(|error| error.to_string())?;
            let body = collected(&mut answer).await?;
            if !answer.status().is_success() {
                return Err(format!("{operation}: {}", String::from_utf8_lossy(&body)));
            }
            serde_json::from_slice(&body).map_err(|error| error.to_string())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_eventually_consistent_reads_use_a_shadow() {
        let table = |shadow| Some(("t".to_owned(), shadow));
        let get = |strong: bool| json!({ "TableName": "t", "ConsistentRead": strong });
        assert_eq!(lagging("GetItem", &get(true)), None);
        assert_eq!(lagging("GetItem", &get(false)), table(ITEMS));
        assert_eq!(lagging("GetItem", &json!({ "TableName": "t" })), table(ITEMS));
        assert_eq!(lagging("Query", &json!({ "TableName": "t", "IndexName": "work" })), table(INDEX));
        assert_eq!(lagging("Query", &get(false)), table(ITEMS));
        assert_eq!(lagging("Query", &get(true)), None);
        let batch = |strong: bool| json!({ "RequestItems": { "t": { "ConsistentRead": strong } } });
        assert_eq!(
            (lagging("BatchGetItem", &batch(true)), lagging("BatchGetItem", &batch(false))),
            (None, table(ITEMS))
        );
        for operation in ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"] {
            assert_eq!(lagging(operation, &get(false)), None);
        }
    }
}
