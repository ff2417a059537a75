//! The calls of a self-check, from the rows of the permissions.

use super::SelfCheck;
use crate::permissions::{CALLS, DELETERS, LIMITED_READERS, Resource, TOKEN_USE_WRITERS, WRITERS};
use pullyard_cloud::signed::Service;
use pullyard_domain::text::self_check::SELF_CHECK;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) struct Probe {
    pub(super) action: &'static str,
    /// The resource, as a person reads it.
    pub(super) on: String,
    pub(super) request: Request,
}

pub(super) enum Request {
    Json { service: Service, operation: &'static str, body: Value },
    Post { service: Service, operation: &'static str, path: &'static str, body: Value },
    PutObject { key: &'static str },
    GetObject { key: &'static str },
}

impl Request {
    pub(super) fn service_name(&self) -> &'static str {
        match self {
            Self::Json { service, .. } | Self::Post { service, .. } => service.display_name(),
            Self::PutObject { .. } | Self::GetObject { .. } => "S3",
        }
    }
}

/// Part of every name that a self-check uses.
const NAME: &str = "self-check";
/// Ends the names of its secrets. No user can set a secret of this name.
const SECRET: &str = "_self-check";
/// A mailbox has an id of 26 characters.
const MAILBOX: &str = "wake-selfcheckselfcheckselfchec";
const OBJECT: &str = "artifacts/self-check";
/// No family has that many revisions.
const REVISION: u32 = 999_999_999;
/// A condition that is false: no item has the key of a self-check.
const EXISTS: &str = "attribute_exists(pk)";

impl SelfCheck {
    pub(super) fn probes(&self) -> Vec<Probe> {
        let rows = CALLS.iter().filter(|(function, ..)| *function == self.function);
        let listed = rows.flat_map(|(_, action, resource, _)| self.probes_of(action, *resource));
        listed.chain(self.token_use()).chain(self.own_queues()).chain(self.output()).collect()
    }

    fn probes_of(&self, action: &'static str, resource: Resource) -> Vec<Probe> {
        use Resource::{
            Artifacts, CallQueue, DeadLetters, Definitions, Dispatch, Effects, JobSecrets, ListIndex, Mailboxes,
            SigningKey, Submissions, Table, TaskList, Tasks, UserSecrets, WorkIndex,
        };
        let config = &self.config;
        match resource {
            Table => self.items(action),
            WorkIndex => vec![self.index("work", "wk", NAME)],
            // The only list that the role of webhook allows.
            ListIndex => vec![self.index("list", "lk", "PROJECT")],
            Dispatch => vec![send(&config.dispatch_queue_url)],
            Effects => vec![send(&config.effects_queue_url)],
            CallQueue => vec![send(&config.calls_queue_url)],
            Submissions => config.submissions.iter().map(|pair| send(&pair.queue_url)).collect(),
            // The call that creates the mailbox or the secret has the tags.
            Mailboxes if action == "sqs:TagQueue" => Vec::new(),
            UserSecrets | JobSecrets if action == "secretsmanager:TagResource" => Vec::new(),
            Mailboxes => vec![self.mailbox(action)],
            DeadLetters => self.dead_letter_urls().into_iter().map(|url| receive(action, url)).collect(),
            SigningKey => vec![secret(action, json!({ "SecretId": config.key_secret }), &config.key_secret)],
            UserSecrets => vec![self.secret(action, "user")],
            JobSecrets => vec![self.secret(action, "job")],
            Definitions => self.definitions(),
            // Only a task that starts can be tagged, and the self-check starts none.
            Tasks if action == "ecs:TagResource" => Vec::new(),
            Tasks => {
                let body = json!({ "cluster": config.cluster, "task": "0".repeat(32), "reason": NAME });
                vec![ecs(action, "StopTask", "tasks of the cluster", body)]
            }
            TaskList => {
                let body = json!({ "cluster": config.cluster, "maxResults": 1 });
                vec![ecs(action, "ListTasks", "tasks of the cluster", body)]
            }
            Artifacts if action == "s3:PutObject" => vec![object(action, Request::PutObject { key: OBJECT })],
            Artifacts => vec![object(action, Request::GetObject { key: OBJECT })],
        }
    }

    /// Each kind of item, as the functions write them: mostly in a transaction, to which AWS applies the same conditions
    /// per item. One call for each action without a transaction.
    fn items(&self, action: &'static str) -> Vec<Probe> {
        let table = &self.config.table;
        let kinds = self.kinds(action);
        let first = *kinds.first().unwrap_or(&"JOB#");
        let each = |make: &dyn Fn(&str) -> Value, one: (&'static str, Value)| {
            let in_transaction = kinds.iter().map(|kind| {
                let body = json!({ "TransactItems": [make(kind)] });
                dynamodb(action, &format!("{kind} in a transaction"), "TransactWriteItems", body)
            });
            let mut all: Vec<Probe> = in_transaction.collect();
            all.push(dynamodb(action, first, one.0, one.1));
            all
        };
        match action {
            "dynamodb:GetItem" => {
                let get =
                    |kind: &&str| dynamodb(action, kind, "GetItem", json!({ "TableName": table, "Key": key(kind) }));
                kinds.iter().map(get).collect()
            }
            "dynamodb:BatchGetItem" => {
                let body = json!({ "RequestItems": { table: { "Keys": [key(first)] } } });
                vec![dynamodb(action, first, "BatchGetItem", body)]
            }
            "dynamodb:Query" => {
                let body = json!({
                    "TableName": table, "Limit": 1, "KeyConditionExpression": "pk = :pk",
                    "ExpressionAttributeValues": { ":pk": key(first)["pk"] },
                });
                vec![dynamodb(action, first, "Query", body)]
            }
            "dynamodb:PutItem" => {
                let put = |kind: &str| json!({ "TableName": table, "Item": key(kind), "ConditionExpression": EXISTS });
                each(&|kind| json!({ "Put": put(kind) }), ("PutItem", put(first)))
            }
            "dynamodb:UpdateItem" => {
                let update = |kind: &str| self.update(kind, "SET self_check = :value", EXISTS);
                each(&|kind| json!({ "Update": update(kind) }), ("UpdateItem", update(first)))
            }
            "dynamodb:DeleteItem" => {
                let delete =
                    |kind: &str| json!({ "TableName": table, "Key": key(kind), "ConditionExpression": EXISTS });
                each(&|kind| json!({ "Delete": delete(kind) }), ("DeleteItem", delete(first)))
            }
            _ => Vec::new(),
        }
    }

    /// Prefixes of partition keys that the role allows for an action. Roles with unlimited reads read any item.
    fn kinds(&self, action: &str) -> Vec<&'static str> {
        let function = self.function.as_str();
        let written = || WRITERS.iter().filter(|(.., writers)| writers.contains(&function)).map(|(kind, ..)| *kind);
        match action {
            "dynamodb:PutItem" | "dynamodb:UpdateItem" => written().collect(),
            "dynamodb:DeleteItem" => {
                DELETERS.iter().filter(|(of, _)| *of == function).flat_map(|(_, kinds)| kinds.iter().copied()).collect()
            }
            _ => match LIMITED_READERS.iter().find(|(of, _)| *of == function) {
                Some((_, kinds)) => kinds.to_vec(),
                None => WRITERS.iter().map(|(kind, ..)| *kind).collect(),
            },
        }
    }

    fn update(&self, kind: &str, expression: &str, condition: &str) -> Value {
        json!({
            "TableName": self.config.table, "Key": key(kind), "UpdateExpression": expression,
            "ConditionExpression": condition, "ExpressionAttributeValues": { ":value": { "N": "1" } },
        })
    }

    /// The update of a token that names only the attributes of its use.
    fn token_use(&self) -> Option<Probe> {
        TOKEN_USE_WRITERS.contains(&self.function.as_str()).then(|| {
            let mut body = self.update("TOKEN#", "SET last_used = :value", EXISTS);
            body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD".into();
            dynamodb("dynamodb:UpdateItem", "last_used of TOKEN#", "UpdateItem", body)
        })
    }

    fn index(&self, index: &str, attribute: &str, value: &str) -> Probe {
        let body = json!({
            "TableName": self.config.table, "IndexName": index, "Limit": 1,
            "KeyConditionExpression": format!("{attribute} = :value"),
            "ExpressionAttributeValues": { ":value": { "S": value } },
        });
        dynamodb("dynamodb:Query", &format!("the index {index}"), "Query", body)
    }

    fn mailbox(&self, action: &'static str) -> Probe {
        let url = &self.config.dispatch_queue_url;
        let url = format!("{}{MAILBOX}", url.strip_suffix("dispatch").unwrap_or(url));
        match action {
            "sqs:CreateQueue" => {
                let name = url.rsplit('/').next().unwrap_or_default();
                let mut body = json!({ "QueueName": name });
                let tags: BTreeMap<_, _> = self.config.tags.iter().collect();
                if !tags.is_empty() {
                    body["tags"] = json!(tags);
                }
                sqs(action, name, "CreateQueue", body)
            }
            "sqs:DeleteQueue" => sqs(action, name_of(&url), "DeleteQueue", json!({ "QueueUrl": url })),
            _ => send(&url),
        }
    }

    fn dead_letter_urls(&self) -> Vec<&str> {
        let config = &self.config;
        let urls =
            [&config.dispatch_dlq_url, &config.effects_dlq_url, &config.calls_dlq_url, &config.undelivered_dlq_url];
        urls.into_iter().chain(config.submissions.iter().map(|pair| &pair.dead_url)).map(String::as_str).collect()
    }

    /// The calls of Lambda, which polls the queues of a function with its role and keeps an event that failed.
    fn own_queues(&self) -> Vec<Probe> {
        let config = &self.config;
        let polled = match self.function.as_str() {
            "dispatcher" => vec![&config.dispatch_queue_url],
            "effects" => {
                let submissions = config.submissions.iter().map(|pair| &pair.queue_url);
                [&config.effects_queue_url, &config.calls_queue_url].into_iter().chain(submissions).collect()
            }
            "tasks" => {
                // Two parameters are invalid, so that no event is stored.
                let url = &config.undelivered_dlq_url;
                let body = json!({
                    "QueueUrl": url, "MessageBody": SELF_CHECK, "DelaySeconds": 901, "MessageDeduplicationId": NAME,
                });
                return vec![sqs("sqs:SendMessage", name_of(url), "SendMessage", body)];
            }
            _ => Vec::new(),
        };
        let calls = |url: &&String| {
            let url = url.as_str();
            let attributes = json!({ "QueueUrl": url, "AttributeNames": ["QueueArn"] });
            [
                receive("sqs:ReceiveMessage", url),
                sqs("sqs:GetQueueAttributes", name_of(url), "GetQueueAttributes", attributes),
                receive("sqs:DeleteMessage", url),
            ]
        };
        polled.iter().flat_map(calls).collect()
    }

    fn secret(&self, action: &'static str, folder: &str) -> Probe {
        let name = format!("{}/{folder}/{SECRET}", self.config.table);
        // By its name, AWS would evaluate the permission for a missing secret on no ARN, which the role does not allow.
        let super::Owner { partition, region, account } = &self.owner;
        let arn = format!("arn:{partition}:secretsmanager:{region}:{account}:secret:{name}-SelfCh");
        let body = match action {
            "secretsmanager:CreateSecret" => {
                let mut body = json!({ "Name": name, "SecretString": NAME, "ClientRequestToken": unique() });
                if let Some(key) = &self.config.kms_key {
                    body["KmsKeyId"] = key.as_str().into();
                }
                let tags: Vec<_> =
                    self.config.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
                if !tags.is_empty() {
                    body["Tags"] = tags.into();
                }
                body
            }
            // Of the secret that `CreateSecret` created, if it did: the run replaces the ARN.
            "secretsmanager:DeleteSecret" => json!({ "SecretId": arn, "ForceDeleteWithoutRecovery": true }),
            "secretsmanager:PutSecretValue" => {
                json!({ "SecretId": arn, "SecretString": NAME, "ClientRequestToken": unique() })
            }
            _ => json!({ "SecretId": arn }),
        };
        secret(action, body, &name)
    }

    fn definitions(&self) -> Vec<Probe> {
        let families = &self.config.task_definitions;
        let run = |family: &String| {
            let family = family.split(':').next().unwrap_or_default();
            let mut body = json!({
                "cluster": self.config.cluster, "taskDefinition": format!("{family}:{REVISION}"),
                "launchType": "FARGATE", "count": 1,
            });
            if let Some(network) = &self.config.network {
                let configuration = json!({ "subnets": network.subnets, "securityGroups": network.security_groups });
                body["networkConfiguration"] = json!({ "awsvpcConfiguration": configuration });
            }
            ecs("ecs:RunTask", "RunTask", family, body)
        };
        [&families.small, &families.medium, &families.large].map(run).into()
    }

    /// The calls with which Lambda writes logs and traces.
    fn output(&self) -> Vec<Probe> {
        let Some(super::OwnLog { group, stream }) = &self.log else { return Vec::new() };
        let logs = |action, operation, stream: &str, events: Value| {
            let mut body = json!({ "logGroupName": group, "logStreamName": stream });
            if !events.is_null() {
                body["logEvents"] = events;
            }
            Probe { action, on: group.clone(), request: Request::Json { service: Service::LOGS, operation, body } }
        };
        let xray = |action, operation, path, body| {
            let request = Request::Post { service: Service::XRAY, operation, path, body };
            Probe { action, on: "*".to_owned(), request }
        };
        vec![
            // This stream exists, so AWS refuses the call.
            logs("logs:CreateLogStream", "CreateLogStream", stream, Value::Null),
            // A stream of this name does not exist.
            logs("logs:PutLogEvents", "PutLogEvents", NAME, json!([{ "timestamp": 0, "message": NAME }])),
            xray(
                "xray:PutTraceSegments",
                "PutTraceSegments",
                "TraceSegments",
                json!({ "TraceSegmentDocuments": ["{}"] }),
            ),
            xray(
                "xray:PutTelemetryRecords",
                "PutTelemetryRecords",
                "TelemetryRecords",
                json!({ "TelemetryRecords": [] }),
            ),
        ]
    }
}

fn key(kind: &str) -> Value {
    let pk = if kind.ends_with('#') { format!("{kind}{NAME}") } else { kind.to_owned() };
    json!({ "pk": { "S": pk }, "sk": { "S": NAME } })
}

fn dynamodb(action: &'static str, on: &str, operation: &'static str, body: Value) -> Probe {
    Probe { action, on: on.to_owned(), request: Request::Json { service: Service::DYNAMODB, operation, body } }
}

fn sqs(action: &'static str, on: &str, operation: &'static str, body: Value) -> Probe {
    Probe { action, on: on.to_owned(), request: Request::Json { service: Service::SQS, operation, body } }
}

fn ecs(action: &'static str, operation: &'static str, on: &str, body: Value) -> Probe {
    Probe { action, on: on.to_owned(), request: Request::Json { service: Service::ECS, operation, body } }
}

fn object(action: &'static str, request: Request) -> Probe {
    Probe { action, on: OBJECT.to_owned(), request }
}

fn secret(action: &'static str, body: Value, on: &str) -> Probe {
    let operation = action.split_once(':').map_or(action, |(_, operation)| operation);
    Probe { action, on: on.to_owned(), request: Request::Json { service: Service::SECRETS_MANAGER, operation, body } }
}

fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

fn send(url: &str) -> Probe {
    let mut body = json!({ "QueueUrl": url, "MessageBody": SELF_CHECK });
    if url.ends_with(".fifo") {
        body["MessageGroupId"] = NAME.into();
        body["MessageDeduplicationId"] = unique().into();
    }
    sqs("sqs:SendMessage", name_of(url), "SendMessage", body)
}

/// A call on a message of a queue that reaches none: no message has this receipt.
fn receive(action: &'static str, url: &str) -> Probe {
    let (operation, body) = match action {
        // Eleven messages are more than the limit, so that none is received; if it changed, they would stay visible.
        "sqs:ReceiveMessage" => {
            ("ReceiveMessage", json!({ "QueueUrl": url, "MaxNumberOfMessages": 11, "VisibilityTimeout": 0 }))
        }
        "sqs:ChangeMessageVisibility" => {
            ("ChangeMessageVisibility", json!({ "QueueUrl": url, "ReceiptHandle": NAME, "VisibilityTimeout": 0 }))
        }
        _ => ("DeleteMessage", json!({ "QueueUrl": url, "ReceiptHandle": NAME })),
    };
    sqs(action, name_of(url), operation, body)
}

/// 32 hex digits that no other call has.
fn unique() -> String {
    crate::invocation::random_id()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::text::id::SecretName;

    #[test]
    fn no_user_can_set_the_secret_of_a_self_check() {
        assert!(SecretName::new(SECRET).is_err());
    }
}
