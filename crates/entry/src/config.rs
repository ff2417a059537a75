//! Reads the environment and builds the context from it.

mod https;

use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::Builder;
use pullyard_cloud::{DeadLetters, Objects, Secrets, Tasks, Wakeups, with_timeouts};
pub use pullyard_cloud::{QueuePair, RUNNER_CONTAINER, Tags, TaskDefinitions, TaskNetwork};
use pullyard_control::{Clock, Connections, Context, ContextParts, Disk, ForgeTokens};
pub use pullyard_domain::job::artifact::RETENTION as ARTIFACTS_KEPT;
use pullyard_outbound as outbound;
pub use pullyard_outbound::AllowedRanges;
use pullyard_store::Store;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Config {
    pub table: String,
    pub dispatch_queue_url: String,
    pub effects_queue_url: String,
    pub calls_queue_url: String,
    pub dispatch_dlq_url: String,
    pub effects_dlq_url: String,
    pub calls_dlq_url: String,
    pub undelivered_dlq_url: String,
    /// `PULLYARD_SUBMISSIONS_QUEUE_URL` and `PULLYARD_SUBMISSIONS_DLQ_URL`, if programs submit by a queue.
    pub submissions: Option<QueuePair>,
    pub cluster: String,
    /// `PULLYARD_TASK_DEFINITIONS`: `small=F,medium=F,large=F`, each a family, or a family and revision.
    pub task_definitions: TaskDefinitions,
    /// `PULLYARD_SUBNETS`, `PULLYARD_SECURITY_GROUPS` (comma-separated), `PULLYARD_PUBLIC_IP` (`true`).
    pub network: Option<TaskNetwork>,
    pub key_secret: String,
    pub api_url: String,
    /// The address for users, if it differs from `api_url`, which tasks call.
    pub public_url: Option<String>,
    /// `PULLYARD_TASK_ISOLATION`: `external` if each task is a container of its own.
    pub task_isolation: String,
    /// `PULLYARD_ONE_MACHINE` (`true`): one process serves everything, and tasks are processes of its machine.
    pub on_one_machine: bool,
    pub disk: Disk,
    pub artifacts_bucket: String,
    /// `PULLYARD_KMS_KEY`: encrypts the users' secrets; without it, AWS's own key does.
    pub kms_key: Option<String>,
    /// `PULLYARD_TAGS`: the tags of users' secrets and runners' mailboxes, as `project=a,stage=b`.
    pub tags: Tags,
    /// `PULLYARD_OUTBOUND_ALLOW`: private addresses that users may name, as `10.20.0.0/16,fd00::/8`.
    pub outbound_allow: AllowedRanges,
    /// `PULLYARD_DEPLOYMENT`: the stack's name in metrics; without it, no metrics are written.
    pub deployment: Option<String>,
    pub endpoints: Endpoints,
}

#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    pub dynamodb: Option<String>,
    pub sqs: Option<String>,
    pub ecs: Option<String>,
    pub secretsmanager: Option<String>,
    pub s3: Option<String>,
}

pub fn handler_name() -> Option<String> {
    std::env::var("_HANDLER").ok().filter(|name| !name.is_empty())
}

pub(crate) fn log_filter() -> Option<String> {
    std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty())
}

/// The log group and stream to which Lambda writes the output of this environment.
pub(crate) fn own_log() -> Option<(String, String)> {
    let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    var("AWS_LAMBDA_LOG_GROUP_NAME").zip(var("AWS_LAMBDA_LOG_STREAM_NAME"))
}

#[derive(Debug, PartialEq, Eq)]
pub struct VariableError {
    name: &'static str,
    fault: String,
}

impl std::fmt::Display for VariableError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the environment variable {} {}", self.name, self.fault)
    }
}

impl std::error::Error for VariableError {}

fn missing(name: &'static str) -> VariableError {
    VariableError { name, fault: "is not set".into() }
}

impl Config {
    pub fn from_env() -> Result<Self, VariableError> {
        Self::from_vars(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    pub fn from_vars(var: impl Fn(&'static str) -> Option<String>) -> Result<Self, VariableError> {
        let needed = |name| var(name).ok_or_else(|| missing(name));
        let list =
            |name| var(name).map(|value| value.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>());
        Ok(Self {
            table: needed("PULLYARD_TABLE")?,
            dispatch_queue_url: needed("PULLYARD_DISPATCH_QUEUE_URL")?,
            effects_queue_url: needed("PULLYARD_EFFECTS_QUEUE_URL")?,
            calls_queue_url: needed("PULLYARD_CALLS_QUEUE_URL")?,
            dispatch_dlq_url: needed("PULLYARD_DISPATCH_DLQ_URL")?,
            effects_dlq_url: needed("PULLYARD_EFFECTS_DLQ_URL")?,
            calls_dlq_url: needed("PULLYARD_CALLS_DLQ_URL")?,
            undelivered_dlq_url: needed("PULLYARD_UNDELIVERED_DLQ_URL")?,
            submissions: var("PULLYARD_SUBMISSIONS_QUEUE_URL")
                .zip(var("PULLYARD_SUBMISSIONS_DLQ_URL"))
                .map(|(queue_url, dead_url)| QueuePair { queue_url, dead_url }),
            cluster: needed("PULLYARD_CLUSTER")?,
            task_definitions: TaskDefinitions::parse(&needed("PULLYARD_TASK_DEFINITIONS")?)
                .ok_or_else(|| missing("PULLYARD_TASK_DEFINITIONS (small=FAMILY,medium=FAMILY,large=FAMILY)"))?,
            network: list("PULLYARD_SUBNETS").map(|subnets| TaskNetwork {
                subnets,
                security_groups: list("PULLYARD_SECURITY_GROUPS").unwrap_or_default(),
                public_ip: var("PULLYARD_PUBLIC_IP").as_deref() == Some("true"),
            }),
            key_secret: needed("PULLYARD_KEY_SECRET")?,
            api_url: needed("PULLYARD_API_URL")?,
            public_url: None,
            task_isolation: var("PULLYARD_TASK_ISOLATION").unwrap_or_else(|| "external".into()),
            on_one_machine: var("PULLYARD_ONE_MACHINE").as_deref() == Some("true"),
            disk: Disk::default(),
            artifacts_bucket: needed("PULLYARD_ARTIFACTS_BUCKET")?,
            kms_key: var("PULLYARD_KMS_KEY"),
            tags: Tags::parse(&var("PULLYARD_TAGS").unwrap_or_default()).ok_or_else(|| VariableError {
                name: "PULLYARD_TAGS",
                fault: "is wrong: use KEY=VALUE,KEY=VALUE".into(),
            })?,
            outbound_allow: var("PULLYARD_OUTBOUND_ALLOW").unwrap_or_default().parse().map_err(|error| {
                VariableError { name: "PULLYARD_OUTBOUND_ALLOW", fault: format!("is wrong: {error}") }
            })?,
            deployment: var("PULLYARD_DEPLOYMENT"),
            endpoints: Endpoints {
                dynamodb: var("PULLYARD_DYNAMODB_ENDPOINT"),
                sqs: var("PULLYARD_SQS_ENDPOINT"),
                ecs: var("PULLYARD_ECS_ENDPOINT"),
                secretsmanager: var("PULLYARD_SECRETSMANAGER_ENDPOINT"),
                s3: var("PULLYARD_S3_ENDPOINT"),
            },
        })
    }

    pub async fn connect(self) -> Context {
        let loader = with_timeouts(aws_config::defaults(BehaviorVersion::latest())).http_client(https::client());
        let sdk = Box::pin(loader.load()).await;
        self.context(&sdk, Clock::default())
    }

    pub fn context(self, sdk: &SdkConfig, clock: Clock) -> Context {
        self.context_with(sdk, clock, Connections::default())
    }

    pub fn context_with(self, sdk: &SdkConfig, clock: Clock, forges: Connections) -> Context {
        let Endpoints { dynamodb, sqs, ecs, secretsmanager, s3 } = self.endpoints;
        // The table's name is unique in the account, so deployments never share a secret.
        let secret_root = format!("{}/", self.table);
        let lane = |queue_url: &str, dead_url| QueuePair { queue_url: queue_url.to_owned(), dead_url };
        let dispatch = lane(&self.dispatch_queue_url, self.dispatch_dlq_url);
        let effects = lane(&self.effects_queue_url, self.effects_dlq_url);
        let calls = lane(&self.calls_queue_url, self.calls_dlq_url);
        let steady = clock.clone();
        Context::new(ContextParts {
            store: Store::new(sdk, dynamodb.as_deref(), self.table),
            dead_letters: DeadLetters::new(sdk, sqs.as_deref(), dispatch, effects, calls, self.undelivered_dlq_url)
                .with_submissions(self.submissions),
            wakeups: Wakeups::new(
                sdk,
                sqs.as_deref(),
                self.dispatch_queue_url,
                self.effects_queue_url,
                self.calls_queue_url,
            )
            .with_mailbox_tags(self.tags.clone()),
            tasks: Tasks::new(sdk, ecs.as_deref(), self.cluster, self.task_definitions, self.network),
            secrets: Secrets::new(sdk, secretsmanager.as_deref())
                .with_clock(move || steady.monotonic())
                .with_kms_key(self.kms_key)
                .with_tags(self.tags),
            objects: Objects::new(sdk, s3.as_deref(), &self.artifacts_bucket),
            forges,
            forge_tokens: ForgeTokens::default(),
            outbound: outbound::Client::new(self.outbound_allow),
            clock,
            key_secret: self.key_secret,
            secret_root,
            api_url: self.api_url,
            public_url: self.public_url,
            task_isolation: self.task_isolation,
            on_one_machine: self.on_one_machine,
            disk: self.disk,
            deployment: self.deployment,
        })
    }
}

const LOCAL_TRY_TIMEOUT: Duration = Duration::from_secs(15);
const LOCAL_CALL_TIMEOUT: Duration = Duration::from_secs(18);

/// SDK configuration for services in this process, which a proxy could not reach.
/// Such a service is slow only while the machine is busy, and a repeated call would make it slower. The limits are below
/// the 20 seconds of our own client, so that it still receives an answer.
pub async fn local_sdk_config(region: &'static str, key: &str, secret: &str) -> SdkConfig {
    let limits = TimeoutConfig::builder()
        .connect_timeout(LOCAL_TRY_TIMEOUT)
        .operation_attempt_timeout(LOCAL_TRY_TIMEOUT)
        .operation_timeout(LOCAL_CALL_TIMEOUT)
        .build();
    with_timeouts(aws_config::defaults(BehaviorVersion::latest()))
        .timeout_config(limits)
        .http_client(Builder::new().build_http())
        .region(Region::new(region))
        .credentials_provider(Credentials::new(key, secret, None, None, "embedded"))
        .load()
        .await
}

/// Like [`local_sdk_config`], with own connections and `app/NAME` in the User-Agent. On AWS, `AWS_SDK_UA_APP_ID` sets
/// the name.
pub async fn local_sdk_config_for(function: &'static str, region: &'static str, key: &str, secret: &str) -> SdkConfig {
    let mut sdk = local_sdk_config(region, key, secret).await.into_builder();
    sdk.set_app_name(AppName::new(function).ok());
    sdk.build()
}

/// Replaces the time limits of a [`local_sdk_config`], for a try and for the whole call.
pub fn with_call_limit(sdk: SdkConfig, limit: Duration) -> SdkConfig {
    let limits = TimeoutConfig::builder()
        .connect_timeout(limit)
        .operation_attempt_timeout(limit)
        .operation_timeout(limit)
        .build();
    sdk.into_builder().timeout_config(limits).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_variable_is_named_in_the_error() {
        assert_eq!(Config::from_vars(|_| None).unwrap_err(), missing("PULLYARD_TABLE"));
        let wrong = |name| {
            Some(if name == "PULLYARD_OUTBOUND_ALLOW" { "10.0.0.0/33" } else { "small=s,medium=m,large=l" }.into())
        };
        let error = Config::from_vars(wrong).unwrap_err().to_string();
        assert!(error.contains("PULLYARD_OUTBOUND_ALLOW is wrong: 10.0.0.0/33"), "{error}");
        let wrong = |name| Some(if name == "PULLYARD_TAGS" { "project" } else { "small=s,medium=m,large=l" }.into());
        let error = Config::from_vars(|name| wrong(name).filter(|_| name != "PULLYARD_OUTBOUND_ALLOW")).unwrap_err();
        assert_eq!(error.name, "PULLYARD_TAGS");
    }

    #[tokio::test]
    async fn aws_calls_have_time_limits_and_four_attempts() {
        let aws =
            with_timeouts(aws_config::defaults(BehaviorVersion::latest())).http_client(Builder::new().build_http());
        let local = local_sdk_config("us-east-1", "key", "secret").await;
        let patient = with_call_limit(local.clone(), Duration::from_secs(300));
        for (sdk, expected) in [(aws.load().await, [2, 5, 15]), (local, [15, 15, 18]), (patient, [300, 300, 300])] {
            let limits = sdk.timeout_config().unwrap();
            let limits = [limits.connect_timeout(), limits.operation_attempt_timeout(), limits.operation_timeout()];
            assert_eq!(limits, expected.map(|secs| Some(Duration::from_secs(secs))));
            assert_eq!(sdk.retry_config().unwrap().max_attempts(), 4);
        }
    }

    #[tokio::test]
    async fn stalled_stream_protection_of_the_sdk_is_disabled() {
        let sdk = local_sdk_config("us-east-1", "key", "secret").await;
        assert!(!sdk.stalled_stream_protection().unwrap().is_enabled());
    }

    #[test]
    fn lists_are_split_and_defaults_apply() {
        let config = Config::from_vars(|name| match name {
            "PULLYARD_SUBNETS" => Some("subnet-a, subnet-b".into()),
            "PULLYARD_OUTBOUND_ALLOW" => Some("10.0.0.0/8, fd00::/8".into()),
            "PULLYARD_TAGS" => Some("project=a,stage=b".into()),
            "PULLYARD_SECURITY_GROUPS" | "PULLYARD_PUBLIC_IP" | "PULLYARD_TASK_ISOLATION" => None,
            "PULLYARD_TASK_DEFINITIONS" => Some("small=s,medium=m,large=l".into()),
            _ => Some("x".into()),
        })
        .unwrap();
        assert_eq!(config.network.unwrap().subnets, ["subnet-a", "subnet-b"]);
        assert_eq!(config.task_isolation, "external");
    }
}
