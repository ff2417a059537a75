//! Simulates DynamoDB: the current table, and a lagging copy that answers indexes and eventually consistent reads.

use super::Answer;
use crate::prelude::*;
use pullyard_emulator::MemoryDynamoDb;
use serde_json::{Map, Number};
use std::collections::VecDeque;

const LAG: Duration = Duration::from_secs(3);

pub(crate) type Key = (String, String);
pub(crate) type Items = BTreeMap<Key, Value>;

#[derive(Debug)]
pub(crate) struct ItemChange {
    pub(crate) key: Key,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

#[derive(Debug)]
struct Pending {
    at: Timestamp,
    operation: String,
    body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Table {
    main: MemoryDynamoDb,
    lagging: MemoryDynamoDb,
    pending: VecDeque<Pending>,
    rng: SeededRng,
    /// Whether eventually consistent reads return old data.
    pub(crate) weak_reads_lag: bool,
    pub(crate) items: Items,
    /// The writes since the last check, each with its items.
    pub(crate) changes: Vec<Vec<ItemChange>>,
}

impl Table {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            main: MemoryDynamoDb::new().unwrap(),
            lagging: MemoryDynamoDb::new().unwrap(),
            pending: VecDeque::new(),
            rng: SeededRng::new(seed ^ 0x7AB1E),
            weak_reads_lag: false,
            items: Items::new(),
            changes: vec![],
        }
    }

    pub(super) fn answer(&mut self, operation: &str, body: &[u8], now: Timestamp) -> Answer {
        match operation {
            "GetItem" | "BatchGetItem" | "Query" => self.read(operation, body, now),
            "DescribeTable" | "DescribeTimeToLive" => self.main.call(operation, body),
            _ => self.write(operation, body, now),
        }
    }

    fn read(&mut self, operation: &str, body: &[u8], now: Timestamp) -> Answer {
        let request: Value = serde_json::from_slice(body).unwrap();
        let strong = match operation {
            "BatchGetItem" => request["RequestItems"].as_object().unwrap().values().all(is_strong),
            _ => is_strong(&request),
        };
        if strong || !self.weak_reads_lag {
            return self.main.call(operation, body);
        }
        let old = self.pending.iter().take_while(|pending| now.since(pending.at) >= LAG).count();
        let young = self.pending.len() - old;
        let young = if self.rng.percent(50) { young } else { self.rng.below(young + 1) };
        self.catch_up(old + young);
        self.lagging.call(operation, body)
    }

    fn catch_up(&mut self, count: usize) {
        for pending in self.pending.drain(..count) {
            let (status, answer) = self.lagging.call(&pending.operation, &pending.body);
            assert_eq!(status, 200, "the lagging copy rejects an applied write: {answer}");
        }
    }

    fn write(&mut self, operation: &str, body: &[u8], now: Timestamp) -> Answer {
        let (status, answer) = self.main.call(operation, body);
        if status == 200 {
            self.pending.push_back(Pending { at: now, operation: operation.to_owned(), body: body.to_owned() });
            let request: Value = serde_json::from_slice(body).unwrap();
            let item_changes =
                keys_of(operation, &request).into_iter().map(|(table, key)| self.item_change(&table, key));
            // A repeated transaction returns its first answer and writes nothing.
            let item_changes: Vec<_> = item_changes.filter(|change| change.before != change.after).collect();
            self.apply(item_changes);
        }
        (status, answer)
    }

    fn item_change(&self, table: &str, key: Key) -> ItemChange {
        let ask = json!({ "TableName": table, "ConsistentRead": true, "Key": { "pk": { "S": key.0 }, "sk": { "S": key.1 } } });
        let (status, answer) = self.main.call("GetItem", ask.to_string().as_bytes());
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let after = answer.get("Item").and_then(Value::as_object).map(untyped_map);
        ItemChange { before: self.items.get(&key).cloned(), key, after }
    }

    fn apply(&mut self, item_changes: Vec<ItemChange>) {
        for one in &item_changes {
            match &one.after {
                Some(after) => self.items.insert(one.key.clone(), after.clone()),
                None => self.items.remove(&one.key),
            };
        }
        if !item_changes.is_empty() {
            self.changes.push(item_changes);
        }
    }
}

fn is_strong(request: &Value) -> bool {
    request["ConsistentRead"] == true
}

fn keys_of(operation: &str, request: &Value) -> Vec<(String, Key)> {
    let one = |request: &Value| {
        let key = request.get("Item").or(request.get("Key")).unwrap_or(&Value::Null);
        let part = |name: &str| key[name]["S"].as_str().unwrap_or_default().to_owned();
        (request["TableName"].as_str().unwrap_or_default().to_owned(), (part("pk"), part("sk")))
    };
    match operation {
        "PutItem" | "UpdateItem" | "DeleteItem" => vec![one(request)],
        "TransactWriteItems" => {
            let actions = request["TransactItems"].as_array().unwrap();
            let changes = actions.iter().filter(|action| action.get("ConditionCheck").is_none());
            changes.filter_map(|action| action.as_object()?.values().next().map(one)).collect()
        }
        _ => vec![],
    }
}

fn untyped_map(map: &Map<String, Value>) -> Value {
    map.iter().map(|(name, value)| (name.clone(), to_untyped_json(value))).collect::<Map<_, _>>().into()
}

fn to_untyped_json(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|map| map.iter().next()) else { return Value::Null };
    match (kind.as_str(), inner) {
        ("N", Value::String(number)) => Value::Number(number.parse::<Number>().unwrap()),
        ("M", Value::Object(map)) => untyped_map(map),
        ("L", Value::Array(list)) => list.iter().map(to_untyped_json).collect(),
        ("NULL", _) => Value::Null,
        (_, inner) => inner.clone(),
    }
}
