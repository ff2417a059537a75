//! Derives the IAM permissions of a request.
//! Source: the Service Authorization Reference of each service,
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>.

use serde_json::Value;

use super::expression::attributes;
use super::{Call, Service};
use pullyard_emulator::{ACCOUNT, REGION};

/// The six random characters that Secrets Manager appends to a secret's name in its ARN.
const SECRET_SUFFIX: &str = "AbCdEf";

const PARTITION_KEY: &str = "pk";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// For example `dynamodb:PutItem`.
    pub action: String,
    pub resource: String,
    /// The condition key `ecs:cluster`: the cluster's ARN.
    pub cluster: Option<String>,
    /// The condition key `dynamodb:LeadingKeys`: the partition key of an item or of a table query. `None` for a query
    /// of an index, which no policy here restricts by key.
    pub leading_key: Option<String>,
    /// The condition key `dynamodb:Attributes`, for updates only: the sorted names in their key and expressions.
    pub attributes: Vec<String>,
}

pub(super) fn required_permissions(call: &Call) -> Vec<Permission> {
    match call.service {
        Service::DynamoDb => dynamodb(call),
        Service::Sqs => vec![sqs(call)],
        Service::SecretsManager => vec![secretsmanager(call)],
        Service::Ecs => ecs(call),
        Service::S3 => vec![s3(call)],
    }
}

fn permission(action: String, resource: String) -> Permission {
    Permission { action, resource, cluster: None, leading_key: None, attributes: Vec::new() }
}

fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}

fn text_field<'a>(body: &'a Value, field: &str) -> Option<&'a str> {
    body.get(field).and_then(Value::as_str).filter(|word| !word.is_empty())
}

fn leading_key(of: &Value) -> Option<String> {
    Some(of.get(PARTITION_KEY)?.get("S")?.as_str()?.to_owned())
}

/// The partition key of a query of a table. In an index the attribute has another name.
fn queried_key(of: &Value) -> Option<String> {
    let condition = text_field(of, "KeyConditionExpression")?;
    let value = condition.strip_prefix(PARTITION_KEY)?.trim_start().strip_prefix('=')?.trim_start();
    let value = value.split_whitespace().next()?;
    Some(of.get("ExpressionAttributeValues")?.get(value)?.get("S")?.as_str()?.to_owned())
}

fn item_permission(kind: &str, resource: String, of: &Value) -> Permission {
    let key = of.get("Item").or_else(|| of.get("Key"));
    let asked = permission(format!("dynamodb:{kind}"), resource);
    let attributes = if kind == "UpdateItem" { attributes(of) } else { Vec::new() };
    Permission { leading_key: key.and_then(leading_key), attributes, ..asked }
}

/// Transactions have no action of their own: each item needs its own action.
fn dynamodb(call: &Call) -> Vec<Permission> {
    let table = |name: &str| match name.starts_with("arn:") {
        true => name.to_owned(),
        false => arn("dynamodb", &format!("table/{name}")),
    };
    let action = |name: &str| format!("dynamodb:{name}");
    let own = || action(&call.operation);
    let named = |of: &Value| text_field(of, "TableName").map(table);
    let mut all = match call.operation.as_str() {
        "TransactWriteItems" | "TransactGetItems" => {
            let items = call.body.get("TransactItems").and_then(Value::as_array);
            let each = items.into_iter().flatten().filter_map(Value::as_object).flatten();
            each.filter_map(|(kind, one)| {
                let kind = match kind.as_str() {
                    "Put" => "PutItem",
                    "Update" => "UpdateItem",
                    "Delete" => "DeleteItem",
                    "Get" => "GetItem",
                    "ConditionCheck" => "ConditionCheckItem",
                    other => other,
                };
                Some(item_permission(kind, named(one)?, one))
            })
            .collect()
        }
        "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem" => {
            named(&call.body).into_iter().map(|table| item_permission(&call.operation, table, &call.body)).collect()
        }
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = call.body.get("RequestItems").and_then(Value::as_object);
            let each = tables.into_iter().flatten().flat_map(|(name, of)| {
                let keys = of.get("Keys").and_then(Value::as_array).into_iter().flatten();
                let keys =
                    keys.map(|key| Permission { leading_key: leading_key(key), ..permission(own(), table(name)) });
                let keys = keys.collect::<Vec<_>>();
                if keys.is_empty() { vec![permission(own(), table(name))] } else { keys }
            });
            each.collect()
        }
        "Query" | "Scan" => {
            let table = named(&call.body);
            // IAM checks the index only, not its table.
            let resource = table.map(|table| match text_field(&call.body, "IndexName") {
                Some(index) => format!("{table}/index/{index}"),
                None => table,
            });
            let key = queried_key(&call.body);
            let asked = |resource| Permission { leading_key: key.clone(), ..permission(own(), resource) };
            resource.into_iter().map(asked).collect()
        }
        _ => named(&call.body).into_iter().map(|table| permission(own(), table)).collect::<Vec<_>>(),
    };
    if all.is_empty() {
        all.push(permission(own(), "*".to_owned()));
    }
    all.sort();
    all.dedup();
    all
}

fn sqs(call: &Call) -> Permission {
    let operation = call.operation.strip_suffix("Batch").unwrap_or(&call.operation);
    let url = text_field(&call.body, "QueueUrl").and_then(|url| url.rsplit('/').next());
    let queue = url.or_else(|| text_field(&call.body, "QueueName"));
    permission(format!("sqs:{operation}"), queue.map_or("*".to_owned(), |queue| arn("sqs", queue)))
}

fn secretsmanager(call: &Call) -> Permission {
    let name = text_field(&call.body, "SecretId").or_else(|| text_field(&call.body, "Name"));
    let resource = match name {
        Some(arn) if arn.starts_with("arn:") => arn.to_owned(),
        Some(name) => arn("secretsmanager", &format!("secret:{name}-{SECRET_SUFFIX}")),
        None => "*".to_owned(),
    };
    permission(format!("secretsmanager:{}", call.operation), resource)
}

/// `HeadObject` needs `GetObject`.
fn s3(call: &Call) -> Permission {
    let operation = if call.operation == "HeadObject" { "GetObject" } else { &call.operation };
    let part = |name| text_field(&call.body, name).unwrap_or_default();
    permission(format!("s3:{operation}"), format!("arn:aws:s3:::{}/{}", part("Bucket"), part("Key")))
}

fn ecs(call: &Call) -> Vec<Permission> {
    let last = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let cluster = last(text_field(&call.body, "cluster").unwrap_or("default"));
    let resource = match call.operation.as_str() {
        "RunTask" => {
            let definition = last(text_field(&call.body, "taskDefinition").unwrap_or_default());
            // A family without a revision means its newest revision, and IAM checks that revision.
            let revision = if definition.contains(':') { "" } else { ":1" };
            arn("ecs", &format!("task-definition/{definition}{revision}"))
        }
        "StopTask" => {
            arn("ecs", &format!("task/{cluster}/{}", last(text_field(&call.body, "task").unwrap_or_default())))
        }
        // The call concerns several tasks or none; only the cluster restricts it.
        _ => "*".to_owned(),
    };
    let action = format!("ecs:{}", call.operation);
    // Tags at the creation of a task need their own action, with `ecs:CreateAction` and without a cluster.
    let tags = text_field(&call.body, "propagateTags").filter(|_| call.operation == "RunTask");
    let tags = tags.map(|_| permission("ecs:TagResource".to_owned(), arn("ecs", &format!("task/{cluster}/*"))));
    let on = Some(arn("ecs", &format!("cluster/{cluster}")));
    std::iter::once(Permission { cluster: on, ..permission(action, resource) }).chain(tags).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(service: Service, operation: &str, body: Value, expected: &[(&str, &str)]) {
        let call = Call { app: None, service, operation: operation.into(), body };
        let found = call.permissions();
        let found: Vec<_> = found.iter().map(|one| (one.action.as_str(), one.resource.as_str())).collect();
        assert_eq!(found, expected, "{operation}");
    }

    #[test]
    fn transaction_needs_the_permission_of_each_item() {
        let of = |kind: &str| json!({ kind: { "TableName": "t" } });
        let body = json!({ "TransactItems": [of("Update"), of("Put"), of("Put"), of("Delete"), of("ConditionCheck")] });
        let table = "arn:aws:dynamodb:us-east-1:000000000000:table/t";
        check(
            Service::DynamoDb,
            "TransactWriteItems",
            body,
            &[
                ("dynamodb:ConditionCheckItem", table),
                ("dynamodb:DeleteItem", table),
                ("dynamodb:PutItem", table),
                ("dynamodb:UpdateItem", table),
            ],
        );
        let body = json!({ "TransactItems": [of("Get")] });
        check(Service::DynamoDb, "TransactGetItems", body, &[("dynamodb:GetItem", table)]);
        let body = json!({ "RequestItems": { "t": {} } });
        check(Service::DynamoDb, "BatchGetItem", body, &[("dynamodb:BatchGetItem", table)]);
    }

    #[test]
    fn permission_names_partition_key_and_updated_attributes() {
        let of = |operation: &str, body: Value| {
            let call = Call { app: None, service: Service::DynamoDb, operation: operation.into(), body };
            let each = call.permissions().into_iter();
            each.map(|one| (one.leading_key.unwrap_or_default(), one.attributes.join(" "))).collect::<Vec<_>>()
        };
        let (key, item) = (json!({ "pk": { "S": "JOB#1" }, "sk": { "S": "JOB" } }), json!({ "pk": { "S": "JOB#1" } }));
        let update = json!({ "TableName": "t", "Key": key, "UpdateExpression": "SET mark = :m" });
        let plain = || ("JOB#1".to_owned(), String::new());
        let updated = || ("JOB#1".to_owned(), "mark pk sk".to_owned());
        assert_eq!(of("GetItem", json!({ "TableName": "t", "Key": key })), [plain()]);
        assert_eq!(of("PutItem", json!({ "TableName": "t", "Item": item })), [plain()]);
        assert_eq!(of("UpdateItem", update.clone()), [updated()]);
        let batch = json!({ "RequestItems": { "t": { "Keys": [key, { "pk": { "S": "PR#1" } }] } } });
        assert_eq!(of("BatchGetItem", batch), [plain(), ("PR#1".to_owned(), String::new())]);
        let whole = json!({ "TransactItems": [
            { "Update": update }, { "Delete": { "TableName": "t", "Key": key } }, { "Put": { "TableName": "t", "Item": item } },
        ] });
        assert_eq!(of("TransactWriteItems", whole), [plain(), plain(), updated()]);
        assert_eq!(of("Query", json!({ "TableName": "t" })), [(String::new(), String::new())]);
        for (condition, key) in [("pk = :p", "JOB#1"), ("pk=:p AND begins_with(sk, :s)", "JOB#1"), ("lk = :p", "")] {
            let values = json!({ ":p": { "S": "JOB#1" }, ":s": { "S": "ATTEMPT#" } });
            let query =
                json!({ "TableName": "t", "KeyConditionExpression": condition, "ExpressionAttributeValues": values });
            assert_eq!(of("Query", query), [(key.to_owned(), String::new())], "{condition}");
        }
    }

    #[test]
    fn resource_is_the_index_queue_secret_or_object() {
        let table = "arn:aws:dynamodb:us-east-1:000000000000:table/t";
        let index = "arn:aws:dynamodb:us-east-1:000000000000:table/t/index/i";
        let body = json!({ "TableName": "t", "IndexName": "i" });
        check(Service::DynamoDb, "Query", body, &[("dynamodb:Query", index)]);
        check(Service::DynamoDb, "Query", json!({ "TableName": "t" }), &[("dynamodb:Query", table)]);
        let queue = "arn:aws:sqs:us-east-1:000000000000:q.fifo";
        let body = json!({ "QueueUrl": "http://127.0.0.1:1/000000000000/q.fifo" });
        check(Service::Sqs, "SendMessageBatch", body, &[("sqs:SendMessage", queue)]);
        let secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:t/user/a-AbCdEf";
        for name in ["t/user/a", secret] {
            let get = [("secretsmanager:GetSecretValue", secret)];
            check(Service::SecretsManager, "GetSecretValue", json!({ "SecretId": name }), &get);
        }
        check(Service::SecretsManager, "ListSecrets", json!({}), &[("secretsmanager:ListSecrets", "*")]);
        let object = json!({ "Bucket": "b", "Key": "a/c" });
        check(Service::S3, "HeadObject", object, &[("s3:GetObject", "arn:aws:s3:::b/a/c")]);
    }

    #[test]
    fn task_permission_names_definition_and_cluster() {
        let call = |operation: &str, body| {
            let call = Call { app: None, service: Service::Ecs, operation: operation.into(), body };
            call.permissions().remove(0)
        };
        let cluster = Some("arn:aws:ecs:us-east-1:000000000000:cluster/c".to_owned());
        let of = |action: &str, resource: &str| Permission {
            action: action.into(),
            resource: resource.into(),
            cluster: cluster.clone(),
            leading_key: None,
            attributes: Vec::new(),
        };
        let definition = "arn:aws:ecs:us-east-1:000000000000:task-definition/f:1";
        for named in ["f", "f:1", definition] {
            let found = call("RunTask", json!({ "cluster": "c", "taskDefinition": named }));
            assert_eq!(found, of("ecs:RunTask", definition));
        }
        let tagged = json!({ "cluster": "c", "taskDefinition": "f", "propagateTags": "TASK_DEFINITION" });
        let tags = [("ecs:RunTask", definition), ("ecs:TagResource", "arn:aws:ecs:us-east-1:000000000000:task/c/*")];
        check(Service::Ecs, "RunTask", tagged, &tags);
        let task = "arn:aws:ecs:us-east-1:000000000000:task/c/1a";
        assert_eq!(call("StopTask", json!({ "cluster": "c", "task": task })), of("ecs:StopTask", task));
        assert_eq!(call("ListTasks", json!({ "cluster": "c" })), of("ecs:ListTasks", "*"));
    }
}
