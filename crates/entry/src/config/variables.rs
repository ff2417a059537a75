//! Lists the functions' environment variables for docs/reference/config.md. A test compares them with `Config`.

#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub name: &'static str,
    pub unit: &'static str,
    /// The default, or `off` with its effect; `None` for a required variable.
    pub default: Option<&'static str>,
    pub used_by: &'static str,
    pub description: &'static str,
}

const fn variable(
    name: &'static str,
    unit: &'static str,
    default: Option<&'static str>,
    used_by: &'static str,
    says: &'static str,
) -> Variable {
    Variable { name, unit, default, used_by, description: says }
}

const ALL_FUNCTIONS: &str = "all";

pub const VARIABLES: &[Variable] = &[
    variable("PULLYARD_TABLE", "name", None, ALL_FUNCTIONS, "The table; also the prefix of user secrets."),
    variable(
        "PULLYARD_DISPATCH_QUEUE_URL",
        "URL",
        None,
        "all that create or sweep jobs",
        "The queue that starts tasks.",
    ),
    variable(
        "PULLYARD_EFFECTS_QUEUE_URL",
        "URL",
        None,
        "all that change tickets or reviews",
        "The FIFO queue that settles tickets, reads reviews and writes on pull requests.",
    ),
    variable(
        "PULLYARD_DISPATCH_DLQ_URL",
        "URL",
        Some("off: `pullyard dlq` omits this queue"),
        "api",
        "The dead-letter queue of the dispatch queue.",
    ),
    variable(
        "PULLYARD_EFFECTS_DLQ_URL",
        "URL",
        Some("off: `pullyard dlq` omits this queue"),
        "api",
        "The dead-letter queue of the effects queue.",
    ),
    variable(
        "PULLYARD_UNDELIVERED_DLQ_URL",
        "URL",
        Some("off: `pullyard dlq` omits this queue"),
        "api",
        "The queue of task state changes that did not reach the tasks function or failed in it.",
    ),
    variable("PULLYARD_CLUSTER", "name or ARN", None, "dispatcher", "The ECS cluster of tasks."),
    variable(
        "PULLYARD_TASK_DEFINITIONS",
        "`small=F,medium=F,large=F`, each F a family, or family:revision",
        None,
        "dispatcher",
        "The task definition that runs a job, for each size.",
    ),
    variable(
        "PULLYARD_CONTAINER",
        "name",
        Some("`runner`"),
        "dispatcher",
        "The container of the task definition that runs the job.",
    ),
    variable(
        "PULLYARD_SUBNETS",
        "ids, separated by commas",
        Some("off: tasks start without a network configuration"),
        "dispatcher",
        "The subnets of tasks.",
    ),
    variable(
        "PULLYARD_SECURITY_GROUPS",
        "ids, separated by commas",
        Some("the VPC's default one"),
        "dispatcher",
        "The security groups of tasks.",
    ),
    variable(
        "PULLYARD_PUBLIC_IP",
        "`true` or anything else",
        Some("`false`"),
        "dispatcher",
        "Whether tasks get a public address.",
    ),
    variable(
        "PULLYARD_KEY_SECRET",
        "name of a secret",
        None,
        "api, pages, dispatcher",
        "The key that signs the tokens of attempts, sessions and sign-in links.",
    ),
    variable(
        "PULLYARD_API_URL",
        "URL",
        None,
        "api, dispatcher, effects, pages",
        "The base URL of the API and the pages; also used in links and as the origin of forms.",
    ),
    variable(
        "PULLYARD_TASK_ISOLATION",
        "`external`, `bubblewrap` or `none`",
        Some("`external`"),
        "dispatcher, api, pages",
        "The isolation that tasks receive: a container of their own, a sandbox of this machine, or none.",
    ),
    variable(
        "PULLYARD_LIVE",
        "`poll` or `longpoll`",
        Some("`poll`"),
        "api, pages",
        "How open job pages get changes: by short requests, or by held ones, which Lambda would bill.",
    ),
    variable("PULLYARD_ARTIFACTS_BUCKET", "name", None, "api, pages", "The bucket of artifacts."),
    variable(
        "PULLYARD_KMS_KEY",
        "ARN of a key",
        Some("AWS's own key"),
        "api",
        "The KMS key of new user secrets; existing secrets retain their key.",
    ),
    variable(
        "PULLYARD_DEPLOYMENT",
        "name",
        Some("off: no metrics"),
        ALL_FUNCTIONS,
        "The deployment name of the metrics: the stack's name.",
    ),
    variable(
        "PULLYARD_DYNAMODB_ENDPOINT",
        "URL",
        Some("AWS's own"),
        ALL_FUNCTIONS,
        "The URL of DynamoDB; for local systems.",
    ),
    variable("PULLYARD_SQS_ENDPOINT", "URL", Some("AWS's own"), ALL_FUNCTIONS, "The URL of SQS; for local systems."),
    variable("PULLYARD_ECS_ENDPOINT", "URL", Some("AWS's own"), "dispatcher", "The URL of ECS; for local systems."),
    variable(
        "PULLYARD_SECRETSMANAGER_ENDPOINT",
        "URL",
        Some("AWS's own"),
        ALL_FUNCTIONS,
        "The URL of Secrets Manager; for local systems.",
    ),
    variable("PULLYARD_S3_ENDPOINT", "URL", Some("AWS's own"), "api, pages", "The URL of S3; for local systems."),
];
