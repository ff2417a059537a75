//! Executes calls of DynamoDB as functions, with bodies as on the wire.
//! `MemoryDynamoDb` is for callers that control when each call is answered: without a port, thread or timer.

use dynoxide::Database;
use dynoxide::errors::DynoxideError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

#[derive(Clone)]
pub struct MemoryDynamoDb(Database);

impl std::fmt::Debug for MemoryDynamoDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryDynamoDb { .. }")
    }
}

impl MemoryDynamoDb {
    pub fn new() -> Result<Self, Error> {
        let failed = |error: DynoxideError| Error::Database { path: None, reason: error.to_string() };
        Ok(Self(Database::memory().map_err(failed)?))
    }

    /// Executes one call: `operation` as in `X-Amz-Target`, bodies as on the wire. Returns status and body.
    #[must_use]
    pub fn call(&self, operation: &str, body: &[u8]) -> (u16, String) {
        call(&self.0, operation, body)
    }
}

pub(crate) fn call(db: &Database, operation: &str, body: &[u8]) -> (u16, String) {
    let result = match operation {
        "CreateTable" => handle(body, |request| db.create_table(request)),
        "DeleteTable" => handle(body, |request| db.delete_table(request)),
        "DescribeTable" => handle(body, |request| db.describe_table(request)),
        "ListTables" => handle(body, |request| db.list_tables(request)),
        "UpdateTimeToLive" => handle(body, |request| db.update_time_to_live(request)),
        "DescribeTimeToLive" => handle(body, |request| db.describe_time_to_live(request)),
        "GetItem" => handle(body, |request| db.get_item(request)),
        "BatchGetItem" => handle(body, |request| db.batch_get_item(request)),
        "Query" if has_empty_key(body) => {
            Err(DynoxideError::ValidationException("a key value is an empty string".into()))
        }
        "Query" => handle(body, |request| db.query(request)),
        "Scan" => handle(body, |request| db.scan(request)),
        "PutItem" => handle(body, |request| db.put_item(request)),
        "UpdateItem" => handle(body, |request| db.update_item(request)),
        "DeleteItem" => handle(body, |request| db.delete_item(request)),
        "BatchWriteItem" => handle(body, |request| db.batch_write_item(request)),
        "TransactWriteItems" => handle(body, |request| db.transact_write_items(request)),
        other => Err(DynoxideError::ValidationException(format!("{other} is not implemented"))),
    };
    match result {
        Ok(body) => (200, body),
        Err(error) => (error.status_code(), error.to_json()),
    }
}

/// DynamoDB refuses an empty string in a key condition.
fn has_empty_key(body: &[u8]) -> bool {
    let query: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let condition = query["KeyConditionExpression"].as_str().unwrap_or_default();
    let values = query["ExpressionAttributeValues"].as_object();
    values.into_iter().flatten().any(|(name, value)| value["S"] == "" && condition.contains(name.as_str()))
}

fn handle<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    act: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Result<String, DynoxideError> {
    let request =
        serde_json::from_slice(body).map_err(|error| DynoxideError::SerializationException(error.to_string()))?;
    serde_json::to_string(&act(request)?).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(db: &MemoryDynamoDb, operation: &str, request: &Value, status: u16, expected: &str) {
        let (actual, body) = db.call(operation, request.to_string().as_bytes());
        assert_eq!(actual, status, "{operation}: {body}");
        assert!(body.contains(expected), "{operation}: {body}");
    }

    #[test]
    fn item_is_read_back_and_errors_match_the_wire_format() {
        let db = MemoryDynamoDb::new().unwrap();
        let table = json!({
            "TableName": "table", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
        });
        let item = json!({ "TableName": "table", "Item": { "pk": { "S": "a" } }, "ConditionExpression": "attribute_not_exists(pk)" });
        check(&db, "CreateTable", &table, 200, "TableDescription");
        check(&db, "PutItem", &item, 200, "");
        check(&db, "PutItem", &item, 400, "ConditionalCheckFailedException");
        check(&db.clone(), "GetItem", &json!({ "TableName": "table", "Key": { "pk": { "S": "a" } } }), 200, "\"Item\"");
        check(&db, "PutItem", &json!("no request"), 400, "SerializationException");
        check(&db, "RestoreTable", &json!({}), 400, "RestoreTable is not implemented");
    }
}
