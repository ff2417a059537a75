//! The resources of the listed calls, in the tests' services and in a deployment, and allowed actions without a call.

use super::deployment::{DEPLOYMENT, arn};
use crate::calls::UsedPermission;
use crate::prelude::*;
use pullyard_entry::permissions::CALLS;
use pullyard_entry::permissions::Resource::{self, *};
use pullyard_entry::permissions::Row;

/// Calls that the tests need not reach, with the occasion.
pub(super) const UNTESTED_CALLS: &[Row] =
    &[("tickets", "sqs:SendMessage", CallQueue, "a ticket event continues a pull request with deferred reviews")];

pub(super) fn page_text(resource: Resource) -> (&'static str, &'static str) {
    match resource {
        Table => ("the table", ""),
        WorkIndex => ("the table", "`work`"),
        ListIndex => ("the table", "`list`"),
        Dispatch => ("the dispatch queue", ""),
        Effects => ("the effects queue", ""),
        CallQueue => ("the queue of calls", ""),
        Submissions => ("the queue of submissions", ""),
        Mailboxes => ("the mailboxes of runners, `{stack}-wake-*`", ""),
        DeadLetters => ("the dead-letter queues", ""),
        SigningKey => ("the signing key", ""),
        UserSecrets => ("user secrets, `{table}/user/*`", ""),
        JobSecrets => ("secrets for jobs, `{table}/job/*`", ""),
        Definitions => ("the task definitions of the deployment, on its cluster", ""),
        Tasks => ("tasks of the cluster", ""),
        Artifacts => ("objects under `artifacts/` in the bucket for artifacts", ""),
        TaskList => ("`*`, on the cluster", ""),
    }
}

/// Maps a call of the local system to its resource.
pub(super) fn resource_of_call(used: &UsedPermission) -> Option<Resource> {
    let resource = used.resource.split_once(":000000000000:").map_or(used.resource.as_str(), |(_, name)| name);
    let ours = used.cluster.as_deref() == Some("arn:aws:ecs:us-east-1:000000000000:cluster/pullyard");
    match (used.action.as_str(), resource) {
        (_, "table/pullyard") => Some(Table),
        (_, "table/pullyard/index/work") => Some(WorkIndex),
        (_, "table/pullyard/index/list") => Some(ListIndex),
        // Stories send lost hints to queues named `lost`.
        (_, "dispatch" | "lost") => Some(Dispatch),
        (_, "effects.fifo" | "lost.fifo") => Some(Effects),
        (_, "calls.fifo") => Some(CallQueue),
        (_, "submissions") => Some(Submissions),
        (_, queue) if used.action.starts_with("sqs:") && queue.starts_with("wake-") => Some(Mailboxes),
        (_, "dispatch-dead" | "effects-dead.fifo" | "calls-dead.fifo" | "submissions-dead" | "undelivered") => {
            Some(DeadLetters)
        }
        (_, "secret:pullyard/signing-key-AbCdEf") => Some(SigningKey),
        (_, secret) if secret.starts_with("secret:pullyard/user/") => Some(UserSecrets),
        (_, secret) if secret.starts_with("secret:pullyard/job/") => Some(JobSecrets),
        (_, object) if object.starts_with("arn:aws:s3:::pullyard-artifacts/artifacts/") => Some(Artifacts),
        ("ecs:ListTasks", "*") if ours => Some(TaskList),
        // IAM checks tags of a new task without a cluster.
        ("ecs:TagResource", task) if task.starts_with("task/pullyard/") => Some(Tasks),
        (_, task) if ours && task.starts_with("task/pullyard/") => Some(Tasks),
        (_, definition) if ours && definition.starts_with("task-definition/pullyard-") => Some(Definitions),
        _ => None,
    }
}

/// The ARNs in a deployment, all of which must be allowed, and the cluster of the request.
pub(super) fn arns(resource: Resource) -> (Vec<String>, Option<String>) {
    let name = DEPLOYMENT;
    let table = |rest: &str| vec![arn("dynamodb", &format!("table/{name}{rest}"))];
    let queue = |queue: &str| vec![arn("sqs", &format!("{name}-{queue}"))];
    let secret = |secret: &str| arn("secretsmanager", &format!("secret:{name}/{secret}-AbCdEf"));
    let cluster = Some(arn("ecs", &format!("cluster/{name}")));
    let definition = |(size, revision): (&str, u32)| arn("ecs", &format!("task-definition/{name}-{size}:{revision}"));
    match resource {
        Table => (table(""), None),
        WorkIndex => (table("/index/work"), None),
        ListIndex => (table("/index/list"), None),
        Dispatch => (queue("dispatch"), None),
        Effects => (queue("effects.fifo"), None),
        CallQueue => (queue("calls.fifo"), None),
        Submissions => (queue("submissions"), None),
        Mailboxes => (queue("wake-abcdefghijklmnopqrstuvwxyz"), None),
        DeadLetters => {
            let all = ["dispatch-dead", "effects-dead.fifo", "calls-dead.fifo", "submissions-dead", "undelivered"];
            (all.map(queue).concat(), None)
        }
        SigningKey => (vec![secret("key")], None),
        UserSecrets => (vec![secret("user/github-token"), secret("user/hook-acme")], None),
        JobSecrets => (vec![secret("job/anthropic"), secret("job/signing")], None),
        Definitions => {
            let all = [("small", 1), ("medium", 1), ("large", 1), ("medium", 12)];
            (all.into_iter().map(definition).collect(), cluster)
        }
        Tasks => (vec![arn("ecs", &format!("task/{name}/0123456789abcdef"))], cluster),
        Artifacts => {
            let object = "job_0/0001/art_0";
            (vec![format!("arn:aws:s3:::{name}-artifacts/artifacts/{object}")], None)
        }
        TaskList => (vec!["*".into()], cluster),
    }
}

/// An action that roles allow although our code does not call it: function, action, end of the resource, reason.
pub(super) type ExtraAction = (&'static str, &'static str, &'static str, &'static str);

pub(super) const EXTRA_OF_ALL: &[(&str, &str, &str)] = &[
    ("logs:CreateLogStream", ":log-group:/pullyard/pullyard/FUNCTION:*", "Lambda writes the function's output"),
    ("logs:PutLogEvents", ":log-group:/pullyard/pullyard/FUNCTION:*", "Lambda writes the function's output"),
    ("xray:PutTraceSegments", "*", "Lambda sends traces; X-Ray actions have no resources"),
    ("xray:PutTelemetryRecords", "*", "Lambda sends traces; X-Ray actions have no resources"),
];

pub(super) const EXTRA_ACTIONS: &[ExtraAction] = &[
    ("dispatcher", "sqs:ReceiveMessage", ":pullyard-dispatch", "Lambda polls the queue with the function's role"),
    ("dispatcher", "sqs:DeleteMessage", ":pullyard-dispatch", "Lambda polls the queue with the function's role"),
    ("dispatcher", "sqs:GetQueueAttributes", ":pullyard-dispatch", "Lambda polls the queue with the function's role"),
    ("dispatcher", "iam:PassRole", ":role/pullyard-TaskExecutionRole", "RunTask requires it"),
    ("effects", "sqs:ReceiveMessage", ":pullyard-effects.fifo", "Lambda polls the queue with the function's role"),
    ("effects", "sqs:ReceiveMessage", ":pullyard-calls.fifo", "Lambda polls the queue with the function's role"),
    ("effects", "sqs:DeleteMessage", ":pullyard-effects.fifo", "Lambda polls the queue with the function's role"),
    ("effects", "sqs:DeleteMessage", ":pullyard-calls.fifo", "Lambda polls the queue with the function's role"),
    ("effects", "sqs:GetQueueAttributes", ":pullyard-effects.fifo", "Lambda polls the queue with the function's role"),
    ("effects", "sqs:GetQueueAttributes", ":pullyard-calls.fifo", "Lambda polls the queue with the function's role"),
    ("effects", "sqs:ReceiveMessage", ":pullyard-submissions", "Lambda polls the queue with the function's role"),
    ("effects", "sqs:DeleteMessage", ":pullyard-submissions", "Lambda polls the queue with the function's role"),
    ("effects", "sqs:GetQueueAttributes", ":pullyard-submissions", "Lambda polls the queue with the function's role"),
    ("tasks", "sqs:SendMessage", ":pullyard-undelivered", "Lambda sends an event there after three failures"),
];

pub(super) const SERVICE_ROLE_ACTIONS: &[ExtraAction] = &[
    (
        "WakeRole",
        "sqs:ReceiveMessage",
        ":pullyard-wake-??????????????????????????",
        "API Gateway waits for the hints of a runner",
    ),
    ("ScheduleRole", "lambda:InvokeFunction", ":function:pullyard-sweeper", "EventBridge starts a sweep each minute"),
    ("TaskExecutionRole", "ecr:GetAuthorizationToken", "*", "ECS signs in to the registry"),
    ("TaskExecutionRole", "ecr:BatchCheckLayerAvailability", ":repository/pullyard-runner", "ECS pulls a task's image"),
    ("TaskExecutionRole", "ecr:BatchGetImage", ":repository/pullyard-runner", "ECS pulls a task's image"),
    ("TaskExecutionRole", "ecr:GetDownloadUrlForLayer", ":repository/pullyard-runner", "ECS pulls a task's image"),
    ("TaskExecutionRole", "logs:CreateLogStream", ":log-group:/pullyard/pullyard/runner:*", "ECS writes a task's log"),
    ("TaskExecutionRole", "logs:PutLogEvents", ":log-group:/pullyard/pullyard/runner:*", "ECS writes a task's log"),
];

pub(super) const KMS_ACTIONS: [&str; 2] = ["kms:Decrypt", "kms:GenerateDataKey"];

const ENCRYPTING_SERVICES: [&str; 4] = ["dynamodb", "s3", "secretsmanager", "sqs"];

/// The services through which a function uses the key: those that encrypt with it and are called.
pub(super) fn kms_services(function: &str) -> Vec<&'static str> {
    let listed = CALLS.iter().map(|(of, does, ..)| (*of, *does));
    let besides = EXTRA_ACTIONS.iter().map(|(of, does, ..)| (*of, *does));
    let called: BTreeSet<&'static str> = listed
        .chain(besides)
        .filter(|(of, _)| *of == function)
        .filter_map(|(_, does)| does.split(':').next())
        .collect();
    ENCRYPTING_SERVICES.into_iter().filter(|service| called.contains(service)).collect()
}
