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
        Service::Sqs => with_tags(sqs(call), call, "tags", "sqs:TagQueue"),
        Service::SecretsManager => with_tags(secretsmanager(call), call, "Tags", "secretsmanager:TagResource"),
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
    let base = permission(format!("dynamodb:{kind}"), resource);
    let attributes = if kind == "UpdateItem" { attributes(of) } else { Vec::new() };
    Permission { leading_key: key.and_then(leading_key), attributes, ..base }
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
            let to_permission = |resource| Permission { leading_key: key.clone(), ..permission(own(), resource) };
            resource.into_iter().map(to_permission).collect()
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

/// Tags at the creation of a resource need their own action.
fn with_tags(creation: Permission, call: &Call, field: &str, action: &str) -> Vec<Permission> {
    let is_tagged = call.operation.starts_with("Create") && call.body.get(field).is_some();
    let tags = is_tagged.then(|| permission(action.to_owned(), creation.resource.clone()));
    std::iter::once(creation).chain(tags).collect()
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
