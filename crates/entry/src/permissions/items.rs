//! The table items of each function, by the prefix of their partition key, to which the roles are limited.

/// Partition key prefix, description, and the functions that write the items.
pub type ItemWriters = (&'static str, &'static str, &'static [&'static str]);

pub const WRITERS: &[ItemWriters] = &[
    (
        "JOB#",
        "jobs, their contexts and attempts",
        &["webhook", "tickets", "api", "pages", "dispatcher", "tasks", "effects", "sweeper"],
    ),
    ("EVENTS#", "events of agents", &["api"]),
    ("TICKET#", "tickets, their texts and comments", &["webhook", "tickets", "api", "pages", "effects", "sweeper"]),
    ("PR#", "links to pull requests, and their reviews", &["webhook", "tickets", "api", "pages", "effects", "sweeper"]),
    ("DELIVERY#", "the ledger of decisions", &["webhook", "tickets", "api", "pages", "effects", "sweeper"]),
    ("ANALYSIS#", "the last analyses of repositories", &["api", "pages", "sweeper"]),
    ("BUDGET#", "a day's jobs and their cost", &["webhook", "tickets", "api", "pages", "effects", "sweeper"]),
    ("LIMIT#", "places of limits of running jobs", &["api", "dispatcher", "sweeper"]),
    (
        "PROJECT#",
        "projects, their repositories, repository names, endpoints and templates",
        &["webhook", "api", "pages", "effects"],
    ),
    ("INTEGRATION#", "connected forges", &["api"]),
    ("HOST#", "rests of hosts that hang", &["effects"]),
    ("HOOK#", "webhooks and their statistics", &["webhook", "api"]),
    ("POLL#", "polling state of repositories", &["webhook", "api", "effects", "sweeper"]),
    ("NOTICE#", "notices about events", &["webhook", "api", "pages", "effects", "sweeper"]),
    ("POOL#", "classes of runners' jobs", &["webhook", "tickets", "api", "pages", "effects", "sweeper"]),
    ("RUNNERS#", "runners", &["api", "sweeper"]),
    ("RUNNER#", "profiles of runners", &["api", "sweeper"]),
    ("NAME#", "names of runners", &["api", "sweeper"]),
    ("RUN#", "runs of plans", &["webhook", "api", "pages", "effects", "sweeper"]),
    ("SCHEDULE#", "schedules", &["api", "sweeper"]),
    ("BREAKER#", "paused model accounts", &["api"]),
    ("TRACKERS", "connections to ticket tools", &["api", "effects"]),
    ("ROTATION#", "secrets that are being replaced", &["api"]),
    ("SECRET#", "the projects that may use a secret", &["api"]),
    ("SECRETS", "the names of secrets that users set", &["api"]),
    ("IDEMPOTENCY#", "idempotency keys of requests", &["api", "pages"]),
    ("SIGNIN#", "sign-in links that were used", &["pages"]),
    ("TOKEN#", "tokens", &["api"]),
    ("SWEEPER", "the last sweep, and the runners of a large fleet", &["sweeper"]),
    ("FIRST", "the first token; `pullyard init --stack` writes it with the operator's rights", &[]),
];

/// Functions that delete items, with the partition key prefixes.
pub const DELETERS: &[(&str, &[&str])] = &[
    (
        "api",
        &[
            "TICKET#",
            "ANALYSIS#",
            "PROJECT#",
            "POLL#",
            "HOOK#",
            "RUNNERS#",
            "RUNNER#",
            "NAME#",
            "SCHEDULE#",
            "TRACKERS",
            "SECRETS",
        ],
    ),
    ("sweeper", &["RUNNERS#", "RUNNER#", "NAME#"]),
];

/// Functions with limited reads, with the partition key prefixes. The api and pages functions read the whole table.
///
/// Sessions, idempotency keys, agent events and the first token are in no row. Tickets and sweeper read a token only by
/// its hash.
pub const LIMITED_READERS: &[(&str, &[&str])] = &[
    (
        "webhook",
        &[
            "JOB#",
            "TICKET#",
            "PR#",
            "DELIVERY#",
            "BUDGET#",
            "PROJECT#",
            "INTEGRATION#",
            "HOOK#",
            "POLL#",
            "ROTATION#",
            "RUN#",
            "TRACKERS",
        ],
    ),
    ("tickets", &["JOB#", "TICKET#", "PR#", "DELIVERY#", "BUDGET#", "PROJECT#", "TOKEN#"]),
    ("dispatcher", &["JOB#", "BREAKER#", "PROJECT#", "LIMIT#", "POOL#", "RUNNERS#", "RUNNER#"]),
    ("tasks", &["JOB#"]),
    (
        "effects",
        &[
            "JOB#",
            "TICKET#",
            "PR#",
            "DELIVERY#",
            "BUDGET#",
            "PROJECT#",
            "INTEGRATION#",
            "HOST#",
            "POLL#",
            "NOTICE#",
            "ROTATION#",
            "SECRET#",
            "RUN#",
            "TRACKERS",
        ],
    ),
    (
        "sweeper",
        &[
            "JOB#",
            "TICKET#",
            "PR#",
            "ANALYSIS#",
            "BUDGET#",
            "LIMIT#",
            "PROJECT#",
            "INTEGRATION#",
            "POLL#",
            "SCHEDULE#",
            "RUN#",
            "POOL#",
            "RUNNERS#",
            "RUNNER#",
            "BREAKER#",
            "TOKEN#",
            "NOTICE#",
            "SWEEPER",
        ],
    ),
];

pub const TOKEN_USE_WRITERS: &[&str] = &["tickets", "pages"];
pub const TOKEN_USE_ATTRIBUTES: [&str; 4] = ["pk", "sk", "mark", "last_used"];
