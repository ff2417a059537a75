//! Lists the AWS calls of each function with their reasons. A new call needs a row here and a statement in
//! `infra/functions.yaml`.

use super::deployment::{DEPLOYMENT, arn};
use crate::calls::UsedPermission;
use crate::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource {
    Table,
    /// The table's index of due and claimable items.
    WorkIndex,
    ListIndex,
    Dispatch,
    Effects,
    CallQueue,
    Submissions,
    /// The queues of self-hosted runners.
    Mailboxes,
    DeadLetters,
    SigningKey,
    UserSecrets,
    JobSecrets,
    SecretNames,
    /// Task definitions of any revision, on our cluster.
    Definitions,
    Tasks,
    Artifacts,
    /// The list of our cluster's tasks, an action without a resource.
    TaskList,
}
use Resource::*;

impl Resource {
    pub(super) fn page_text(self) -> (&'static str, &'static str) {
        match self {
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
            SecretNames => ("`*`", ""),
            Definitions => ("the task definitions of the deployment, on its cluster", ""),
            Tasks => ("tasks of the cluster", ""),
            Artifacts => ("objects under `artifacts/` in the bucket for artifacts", ""),
            TaskList => ("`*`, on the cluster", ""),
        }
    }

    /// Maps a call of the local system to its resource.
    pub(super) fn of_call(used: &UsedPermission) -> Option<Self> {
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
            ("secretsmanager:ListSecrets", "*") => Some(SecretNames),
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
    pub(super) fn arns(self) -> (Vec<String>, Option<String>) {
        let name = DEPLOYMENT;
        let table = |rest: &str| vec![arn("dynamodb", &format!("table/{name}{rest}"))];
        let queue = |queue: &str| vec![arn("sqs", &format!("{name}-{queue}"))];
        let secret = |secret: &str| arn("secretsmanager", &format!("secret:{name}/{secret}-AbCdEf"));
        let cluster = Some(arn("ecs", &format!("cluster/{name}")));
        let definition =
            |(size, revision): (&str, u32)| arn("ecs", &format!("task-definition/{name}-{size}:{revision}"));
        match self {
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
            SecretNames => (vec!["*".into()], None),
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
}

/// Function, action, resource, reason.
pub(super) type Row = (&'static str, &'static str, Resource, &'static str);

pub(super) const CALLS: &[Row] = &[
    ("webhook", "dynamodb:GetItem", Table, "the hook, the day's budget"),
    ("webhook", "dynamodb:BatchGetItem", Table, "the repository in each project that a webhook serves"),
    ("webhook", "dynamodb:Query", Table, "the reviews of a pull request"),
    ("webhook", "dynamodb:Query", ListIndex, "the projects that an organization's or App's webhook serves"),
    ("webhook", "dynamodb:PutItem", Table, "jobs, tickets, links, reviews and ledger entries"),
    ("webhook", "dynamodb:UpdateItem", Table, "a hook's last call, marks of reviews, the day's budget"),
    ("webhook", "sqs:SendMessage", Dispatch, "a closed pull request ends its revision and its task"),
    ("webhook", "sqs:SendMessage", Effects, "read reviews, comment on pull requests, settle tickets"),
    ("webhook", "sqs:SendMessage", CallQueue, "look at tickets, write on pull requests, send notices"),
    ("webhook", "secretsmanager:GetSecretValue", UserSecrets, "webhook secrets; the forge's token"),
    ("tickets", "dynamodb:GetItem", Table, "the caller's token, the repository, the ticket's text"),
    ("tickets", "dynamodb:Query", Table, "the reviews of a pull request that a new job continues"),
    (
        "tickets",
        "dynamodb:PutItem",
        Table,
        "jobs, tickets and ledger entries, conditional on the revision that was read",
    ),
    ("tickets", "dynamodb:UpdateItem", Table, "single attributes: the last use of a token, the day's budget"),
    ("tickets", "sqs:SendMessage", Dispatch, "a new job needs a task or a runner"),
    ("tickets", "sqs:SendMessage", Effects, "settle a ticket, comment on a pull request"),
    ("tickets", "sqs:SendMessage", CallQueue, "write on pull requests, send notices"),
    ("api", "dynamodb:GetItem", Table, "the item of the request"),
    ("api", "dynamodb:BatchGetItem", Table, "pages of items, and the items of a claim"),
    ("api", "dynamodb:Query", Table, "events of a job, repositories, runners, reviews"),
    ("api", "dynamodb:Query", WorkIndex, "claimable jobs, items that wait for their project"),
    ("api", "dynamodb:Query", ListIndex, "every list"),
    ("api", "dynamodb:PutItem", Table, "created and changed items, conditional on the revision that was read"),
    ("api", "dynamodb:UpdateItem", Table, "heartbeats, claims, last uses, the day's budget, jobs of reviews"),
    ("api", "dynamodb:DeleteItem", Table, "repositories, hooks and runners that are removed"),
    ("api", "sqs:SendMessage", Dispatch, "jobs that need a task or a runner, or whose task must stop"),
    ("api", "sqs:SendMessage", Effects, "settle tickets, comment on pull requests, maintain webhooks"),
    ("api", "sqs:SendMessage", CallQueue, "look at tickets, write on pull requests, send notices"),
    ("api", "sqs:SendMessage", Submissions, "requeued dead letters"),
    ("api", "sqs:CreateQueue", Mailboxes, "the mailbox of a runner that registers"),
    ("api", "sqs:TagQueue", Mailboxes, "the stack's tags on a new mailbox"),
    ("api", "sqs:DeleteQueue", Mailboxes, "the mailbox of a runner that is removed"),
    ("api", "sqs:ReceiveMessage", DeadLetters, "`pullyard dlq` lists dead letters"),
    ("api", "sqs:ChangeMessageVisibility", DeadLetters, "listed dead letters become visible again"),
    ("api", "sqs:DeleteMessage", DeadLetters, "requeued and dropped dead letters"),
    ("api", "secretsmanager:GetSecretValue", SigningKey, "tokens of attempts and sign-in links"),
    (
        "api",
        "secretsmanager:GetSecretValue",
        UserSecrets,
        "forges' tokens and Apps' keys; webhook secrets, to compare them",
    ),
    ("api", "secretsmanager:PutSecretValue", UserSecrets, "users set and rotate secrets only through the API"),
    ("api", "secretsmanager:CreateSecret", UserSecrets, "the first value of a secret"),
    ("api", "secretsmanager:TagResource", UserSecrets, "the stack's tags on a new secret"),
    ("api", "secretsmanager:DeleteSecret", UserSecrets, "`pullyard secrets delete`"),
    (
        "api",
        "secretsmanager:GetSecretValue",
        JobSecrets,
        "keys for models and commit signatures, for the attempt that requests them",
    ),
    ("api", "secretsmanager:PutSecretValue", JobSecrets, "users set these through the API, too"),
    ("api", "secretsmanager:CreateSecret", JobSecrets, "the first value of a secret"),
    ("api", "secretsmanager:TagResource", JobSecrets, "the stack's tags on a new secret"),
    ("api", "secretsmanager:DeleteSecret", JobSecrets, "`pullyard secrets delete --for-jobs`"),
    ("api", "secretsmanager:ListSecrets", SecretNames, "the names of secrets, without values"),
    ("api", "s3:PutObject", Artifacts, "presigned URLs for runners' uploads"),
    ("api", "s3:GetObject", Artifacts, "presigned URLs for downloads; checks whether an object exists"),
    ("pages", "dynamodb:GetItem", Table, "the visitor's token and the items of the page"),
    ("pages", "dynamodb:BatchGetItem", Table, "pages of jobs, tickets and deliveries"),
    ("pages", "dynamodb:Query", Table, "events, repositories, runners, reviews of a cancelled job"),
    ("pages", "dynamodb:Query", WorkIndex, "items that wait for a project on hold"),
    ("pages", "dynamodb:Query", ListIndex, "the board and the other lists"),
    ("pages", "dynamodb:PutItem", Table, "jobs, tickets, settings and ledger entries"),
    ("pages", "dynamodb:UpdateItem", Table, "last uses of tokens, the day's budget, jobs of reviews"),
    ("pages", "sqs:SendMessage", Dispatch, "jobs that need a task or a runner, or whose task must stop"),
    ("pages", "sqs:SendMessage", Effects, "settle tickets, comment on pull requests"),
    ("pages", "sqs:SendMessage", CallQueue, "look at tickets, write on pull requests, send notices"),
    ("pages", "secretsmanager:GetSecretValue", SigningKey, "the key that signs sessions and sign-in links"),
    ("pages", "secretsmanager:GetSecretValue", UserSecrets, "the forge's token, for a revision that a user requests"),
    ("pages", "s3:GetObject", Artifacts, "presigned URLs for downloads; checks whether an object exists"),
    (
        "dispatcher",
        "dynamodb:GetItem",
        Table,
        "the job that needs a task or a runner, or whose task must stop; its class",
    ),
    (
        "dispatcher",
        "dynamodb:BatchGetItem",
        Table,
        "the breakers that the job waits for; profiles of idle runners; waiting jobs",
    ),
    ("dispatcher", "dynamodb:Query", Table, "the runners, to find idle ones; repositories with limits"),
    ("dispatcher", "dynamodb:Query", WorkIndex, "the jobs that wait for places"),
    (
        "dispatcher",
        "dynamodb:PutItem",
        Table,
        "the start of its task or its place, conditional on the revision that was read",
    ),
    ("dispatcher", "sqs:SendMessage", Dispatch, "jobs that get a place"),
    ("dispatcher", "sqs:SendMessage", Mailboxes, "hints about a job that a runner may claim"),
    ("dispatcher", "secretsmanager:GetSecretValue", SigningKey, "the token that a task claims its job with"),
    ("dispatcher", "ecs:RunTask", Definitions, "one task for each start"),
    (
        "dispatcher",
        "ecs:TagResource",
        Tasks,
        "RunTask copies the stack's tags to the new task; other tagging is refused",
    ),
    ("dispatcher", "ecs:StopTask", Tasks, "the task of a job that was cancelled"),
    ("dispatcher", "ecs:ListTasks", TaskList, "the task of a job that was cancelled during its RunTask call"),
    ("tasks", "dynamodb:GetItem", Table, "the job of the task that stopped"),
    ("tasks", "dynamodb:PutItem", Table, "the death of the task, conditional on the revision that was read"),
    ("effects", "dynamodb:GetItem", Table, "the ticket, job, pull request or hook of the message"),
    ("effects", "dynamodb:BatchGetItem", Table, "the open jobs of a run"),
    ("effects", "dynamodb:Query", Table, "the reviews of a pull request"),
    ("effects", "dynamodb:Query", ListIndex, "open pull requests, to compare them with the forge"),
    ("effects", "dynamodb:PutItem", Table, "results of the message, conditional on the revision that was read"),
    ("effects", "dynamodb:UpdateItem", Table, "marks of reviews, a hook's last call, the day's budget"),
    ("effects", "sqs:SendMessage", Dispatch, "a job whose review was read needs a task or a runner"),
    ("effects", "sqs:SendMessage", Effects, "comment on pull requests, settle further tickets"),
    ("effects", "sqs:SendMessage", CallQueue, "call ticket tools, forges and endpoints"),
    ("effects", "secretsmanager:GetSecretValue", UserSecrets, "forges' tokens and Apps' keys"),
    ("sweeper", "dynamodb:GetItem", Table, "due items"),
    (
        "sweeper",
        "dynamodb:BatchGetItem",
        Table,
        "runner profiles and breakers, to explain why no runner claimed an expired job, and to store a large fleet",
    ),
    ("sweeper", "dynamodb:Query", Table, "all runners and classes"),
    ("sweeper", "dynamodb:Query", WorkIndex, "due items, claimable jobs, items that wait for their project"),
    ("sweeper", "dynamodb:Query", ListIndex, "the projects, once a minute"),
    (
        "sweeper",
        "dynamodb:PutItem",
        Table,
        "finished, requeued and postponed items, conditional on the revision that was read",
    ),
    ("sweeper", "dynamodb:UpdateItem", Table, "single attributes: slots of runners, the day's budget"),
    ("sweeper", "dynamodb:DeleteItem", Table, "a runner that is to be removed, once it has no job"),
    ("sweeper", "sqs:SendMessage", Dispatch, "jobs that need a task or a runner, or whose task must stop"),
    ("sweeper", "sqs:SendMessage", Effects, "tickets, pull requests, reviews and hooks that are due"),
    ("sweeper", "sqs:SendMessage", CallQueue, "polls, notices and texts that are due"),
    ("sweeper", "sqs:DeleteQueue", Mailboxes, "the mailbox of a runner that is removed"),
];

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
