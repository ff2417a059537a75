//! A client that records the conditions of the table's writes.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The conditions of the table's writes. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct WriteConditions(Arc<Mutex<BTreeSet<(String, String)>>>);

impl WriteConditions {
    #[must_use]
    pub fn wrap(&self, inner: impl HttpClient + 'static) -> SharedHttpClient {
        SharedHttpClient::new(Client { inner: SharedHttpClient::new(inner), conditions: self.clone() })
    }

    /// The conditions since the last call, each with its write: `Update RUNNERS/… of {Put JOB}`.
    #[must_use]
    pub fn take(&self) -> BTreeSet<(String, String)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, operation: &str, call: &Value) {
        let writes = writes(operation, call);
        let demanded = writes.iter().enumerate().filter_map(|(at, (action, write))| {
            let condition = readable_condition(write, write["ConditionExpression"].as_str()?);
            Some((format!("{action} {}{}", item_kind(write), other_writes(&writes, at)), condition))
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(demanded);
    }
}

#[derive(Clone, Debug)]
struct Client {
    inner: SharedHttpClient,
    conditions: WriteConditions,
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connector { inner, conditions: self.conditions.clone() })
    }
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    conditions: WriteConditions,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.strip_prefix("DynamoDB_20120810.").unwrap_or_default().to_owned();
        if let Some(Ok(call)) = request.body().bytes().map(serde_json::from_slice::<Value>) {
            self.conditions.record(&operation, &call);
        }
        self.inner.call(request)
    }
}

fn writes<'a>(operation: &'a str, call: &'a Value) -> Vec<(&'a str, &'a Value)> {
    let Some(items) = call["TransactItems"].as_array() else {
        return vec![(operation.trim_end_matches("Item"), call)];
    };
    let actions = items.iter().filter_map(|item| item.as_object()?.iter().next());
    actions.map(|(action, write)| (action.as_str(), write)).collect()
}

/// A condition with attribute names and booleans instead of their placeholders. Other values differ from call to call
/// and stay placeholders.
fn readable_condition(write: &Value, condition: &str) -> String {
    let (mut text, mut rest) = (String::new(), condition);
    while let Some(at) = rest.find(['#', ':']) {
        let (before, from) = rest.split_at(at);
        let ends = |(_, letter): &(usize, char)| !(letter.is_ascii_alphanumeric() || *letter == '_');
        let end = from.char_indices().skip(1).find(ends).map_or(from.len(), |(end, _)| end);
        let (placeholder, after) = from.split_at(end);
        text.push_str(before);
        text.push_str(&resolve_placeholder(write, placeholder).unwrap_or_else(|| placeholder.to_owned()));
        rest = after;
    }
    text + rest
}

fn resolve_placeholder(write: &Value, placeholder: &str) -> Option<String> {
    if let Some(name) = write["ExpressionAttributeNames"][placeholder].as_str() {
        // All other names are ids.
        let is_ours = name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        return is_ours.then(|| name.to_owned());
    }
    write["ExpressionAttributeValues"][placeholder]["BOOL"].as_bool().map(|yes| yes.to_string())
}

/// The other writes of the transaction: ` of {Put ATTEMPT, Update RUNNERS}`.
fn other_writes(writes: &[(&str, &Value)], at: usize) -> String {
    let others = writes.iter().enumerate().filter(|(other, _)| *other != at);
    let others = others.map(|(_, (action, write))| {
        let kind = item_kind(write);
        let (first, last) = kind.split_once('/').unwrap_or_default();
        format!("{action} {}", if last == "…" { first } else { last })
    });
    let others = others.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
    if others.is_empty() { others } else { format!(" of {{{others}}}") }
}

fn item_kind(write: &Value) -> String {
    let word = |name: &str| {
        let key = if write["Key"].is_object() { &write["Key"] } else { &write["Item"] };
        key[name]["S"].as_str().unwrap_or_default().to_owned()
    };
    let (pk, sk) = (word("pk"), word("sk"));
    let first = |word: &str| word.split('#').next().unwrap_or_default().to_owned();
    let sk = Some(first(&sk)).filter(|sk| sk.chars().all(|letter| letter.is_ascii_uppercase()));
    format!("{}/{}", first(&pk), sk.as_deref().unwrap_or("…"))
}
