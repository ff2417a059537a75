//! Runs functions as separate processes, like Lambda, instead of as libraries in the test's process.

use crate::prelude::*;
use pullyard_entry::Config;
use pullyard_entry::config::{Endpoints, TaskDefinitions};
use pullyard_local::FunctionOverrides;
use pullyard_testkit::lambda::{EnvironmentInfo, FunctionConfig, Runtime};

/// The value of `infra`.
const MEMORY_MB: u32 = 256;

/// The timeouts of `infra`; functions behind the gateway end before the gateway's timeout. Units: seconds.
pub(crate) const FUNCTION_TIMEOUTS: [(&str, u64); 8] = [
    ("api", 28),
    ("dispatcher", 30),
    ("effects", 60),
    ("pages", 28),
    ("sweeper", 120),
    ("tasks", 30),
    ("tickets", 28),
    ("webhook", 28),
];
/// The timeout of a function that is not listed. Units: seconds.
const DEFAULT_TIMEOUT_SECS: u64 = 28;

fn timeout_of(function: &str) -> Duration {
    let listed = FUNCTION_TIMEOUTS.iter().find(|(name, _)| *name == function);
    Duration::from_secs(listed.map_or(DEFAULT_TIMEOUT_SECS, |(_, secs)| *secs))
}

/// The maximum number of processes per function. An event source sends two batches at once; a gateway has no limit.
const MAX_PROCESSES: usize = 8;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Functions {
    #[default]
    Libraries,
    /// As processes of a program that reads its function from `_HANDLER`. Their clock is real and cannot be advanced.
    Processes {
        command: Vec<String>,
        /// Variables in addition to the configuration.
        environment: Vec<(String, String)>,
    },
}

/// The variables of a local system's configuration. It has no network, no KMS key and no metrics.
fn variables(config: &Config) -> Vec<(String, String)> {
    let Endpoints { dynamodb, sqs, ecs, secretsmanager, s3 } = &config.endpoints;
    let TaskDefinitions { small, medium, large } = &config.task_definitions;
    let definitions = format!("small={small},medium={medium},large={large}");
    let endpoint = |url: &Option<String>| url.clone().unwrap();
    let submissions = config.submissions.clone().unwrap();
    let variables = [
        ("PULLYARD_TABLE", config.table.clone()),
        ("PULLYARD_DISPATCH_QUEUE_URL", config.dispatch_queue_url.clone()),
        ("PULLYARD_EFFECTS_QUEUE_URL", config.effects_queue_url.clone()),
        ("PULLYARD_CALLS_QUEUE_URL", config.calls_queue_url.clone()),
        ("PULLYARD_DISPATCH_DLQ_URL", config.dispatch_dlq_url.clone()),
        ("PULLYARD_EFFECTS_DLQ_URL", config.effects_dlq_url.clone()),
        ("PULLYARD_CALLS_DLQ_URL", config.calls_dlq_url.clone()),
        ("PULLYARD_UNDELIVERED_DLQ_URL", config.undelivered_dlq_url.clone()),
        ("PULLYARD_SUBMISSIONS_QUEUE_URL", submissions.queue_url),
        ("PULLYARD_SUBMISSIONS_DLQ_URL", submissions.dead_url),
        ("PULLYARD_CLUSTER", config.cluster.clone()),
        ("PULLYARD_TASK_DEFINITIONS", definitions),
        ("PULLYARD_KEY_SECRET", config.key_secret.clone()),
        ("PULLYARD_API_URL", config.api_url.clone()),
        ("PULLYARD_TASK_ISOLATION", config.task_isolation.clone()),
        ("PULLYARD_ONE_MACHINE", config.on_one_machine.to_string()),
        ("PULLYARD_OUTBOUND_ALLOW", "127.0.0.0/8,::1/128".to_owned()),
        ("PULLYARD_ARTIFACTS_BUCKET", config.artifacts_bucket.clone()),
        ("PULLYARD_DYNAMODB_ENDPOINT", endpoint(dynamodb)),
        ("PULLYARD_SQS_ENDPOINT", endpoint(sqs)),
        ("PULLYARD_ECS_ENDPOINT", endpoint(ecs)),
        ("PULLYARD_SECRETSMANAGER_ENDPOINT", endpoint(secretsmanager)),
        ("PULLYARD_S3_ENDPOINT", endpoint(s3)),
    ];
    variables.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The functions that run as processes, by name. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    functions: Functions,
    logs: PathBuf,
    running: Arc<Mutex<BTreeMap<&'static str, Runtime>>>,
}

impl Processes {
    pub(crate) fn new(functions: Functions, logs: PathBuf) -> Self {
        Self { functions, logs, running: Arc::default() }
    }

    /// The deployment for the local system; `None` for libraries.
    pub(crate) fn deploy(&self) -> Option<FunctionOverrides> {
        let own = self.clone();
        let Functions::Processes { command, environment } = self.functions.clone() else { return None };
        std::fs::create_dir_all(&self.logs).unwrap();
        Some(Arc::new(move |name: &'static str, config: &Config| {
            // The template sets the function's name in the User-Agent as well.
            let app = vec![("AWS_SDK_UA_APP_ID".to_owned(), name.to_owned())];
            let runtime = Runtime::deploy(FunctionConfig {
                name: format!("pullyard-{name}"),
                handler: name.into(),
                command: command.clone(),
                environment: [variables(config), app, environment.clone()].concat(),
                timeout: timeout_of(name),
                memory_mb: MEMORY_MB,
                max_environments: MAX_PROCESSES,
                log: own.logs.join(format!("{name}.log")),
            });
            let function = runtime.function();
            own.running.lock().unwrap().insert(name, runtime);
            Some(function)
        }))
    }

    pub(crate) fn of(&self, name: &str) -> Vec<Arc<EnvironmentInfo>> {
        self.running.lock().unwrap().get(name).map(Runtime::environments).unwrap_or_default()
    }

    pub(crate) fn runtime(&self, name: &str) -> Runtime {
        self.running.lock().unwrap()[name].clone()
    }

    pub(crate) async fn shutdown(&self) {
        let running = std::mem::take(&mut *self.running.lock().unwrap());
        for runtime in running.values() {
            runtime.shutdown().await;
        }
    }
}
