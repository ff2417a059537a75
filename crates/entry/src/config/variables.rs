//! Lists the functions' environment variables for docs/reference/config.md. A test compares them with `Config`.

#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub name: &'static str,
    pub unit: &'static str,
    /// The default, or `off` with its effect; `None` for a required variable.
    pub default: Option<&'static str>,
    pub used_by: &'static str,
    pub says: &'static str,
}

const fn variable(
    name: &'static str,
    unit: &'static str,
    default: Option<&'static str>,
    used_by: &'static str,
    says: &'static str,
) -> Variable {
    Variable { name, unit, default, used_by, says }
}

const ALL_FUNCTIONS: &str = "all";

pub const VARIABLES: &[Variable] = &[
    variable("PULLYARD_TABLE", "name", None, ALL_FUNCTIONS, "The table; people's secrets begin with it, too."),
    variable("PULLYARD_DISPATCH_QUEUE_URL", "URL", None, "all that make or sweep jobs", "The queue that starts tasks."),
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
        Some("off: `pullyard dlq` shows none of this queue, and says so when asked for it"),
        "api",
        "Where messages of the dispatch queue go that failed too often.",
    ),
    variable(
        "PULLYARD_EFFECTS_DLQ_URL",
        "URL",
        Some("off: `pullyard dlq` shows none of this queue, and says so when asked for it"),
        "api",
        "The same of the effects queue.",
    ),
    variable(
        "PULLYARD_UNDELIVERED_DLQ_URL",
        "URL",
        Some("off: `pullyard dlq` shows none of this queue, and says so when asked for it"),
        "api",
        "Where deaths of tasks go that the tasks function did not get, or failed on.",
    ),
    variable("PULLYARD_CLUSTER", "name or ARN", None, "dispatcher", "The ECS cluster of tasks."),
    variable(
        "PULLYARD_TASK_DEFINITIONS",
        "`small=F,medium=F,large=F`, each F a family, or family:revision",
        None,
        "dispatcher",
        "The task definition that runs a job, for each size.",
    ),
    variable("PULLYARD_CONTAINER", "name", Some("`runner`"), "dispatcher", "The container in it that runs the job."),
    variable(
        "PULLYARD_SUBNETS",
        "ids, separated by commas",
        Some("off: tasks are started without a network of their own"),
        "dispatcher",
        "Where tasks run.",
    ),
    variable(
        "PULLYARD_SECURITY_GROUPS",
        "ids, separated by commas",
        Some("the VPC's default one"),
        "dispatcher",
        "What guards tasks.",
    ),
    variable(
        "PULLYARD_PUBLIC_IP",
        "`true` or anything else",
        Some("`false`"),
        "dispatcher",
        "Tasks get a public address.",
    ),
    variable(
        "PULLYARD_KEY_SECRET",
        "name of a secret",
        None,
        "api, pages, dispatcher",
        "What the tokens of attempts, sessions and sign-in links are signed with.",
    ),
    variable(
        "PULLYARD_API_URL",
        "URL",
        None,
        "api, dispatcher, effects, pages",
        "Where runners reach the API and people the pages; links and the origin of forms are made of it.",
    ),
    variable(
        "PULLYARD_TASK_ISOLATION",
        "`external` or `none`",
        Some("`external`"),
        "dispatcher, api, pages",
        "What tasks are told about their isolation: a container of their own, or none.",
    ),
    variable("PULLYARD_ARTIFACTS_BUCKET", "name", None, "api, pages", "The bucket that artifacts are in."),
    variable(
        "PULLYARD_KMS_KEY",
        "ARN of a key",
        Some("AWS's own key"),
        "api",
        "The key of KMS that people's secrets are made under; one that is there keeps its own.",
    ),
    variable(
        "PULLYARD_DEPLOYMENT",
        "name",
        Some("off: no metrics are written"),
        ALL_FUNCTIONS,
        "The name that metrics are kept under: the stack's.",
    ),
    variable(
        "PULLYARD_DYNAMODB_ENDPOINT",
        "URL",
        Some("AWS's own"),
        ALL_FUNCTIONS,
        "Where DynamoDB is; for local systems.",
    ),
    variable("PULLYARD_SQS_ENDPOINT", "URL", Some("AWS's own"), ALL_FUNCTIONS, "Where SQS is; for local systems."),
    variable("PULLYARD_ECS_ENDPOINT", "URL", Some("AWS's own"), "dispatcher", "Where ECS is; for local systems."),
    variable(
        "PULLYARD_SECRETSMANAGER_ENDPOINT",
        "URL",
        Some("AWS's own"),
        ALL_FUNCTIONS,
        "Where Secrets Manager is; for local systems.",
    ),
    variable("PULLYARD_S3_ENDPOINT", "URL", Some("AWS's own"), "api, pages", "Where S3 is; for local systems."),
];
