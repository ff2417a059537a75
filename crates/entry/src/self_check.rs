//! The self-check of a function: one call of each kind that its role allows, to find what AWS denies.
//!
//! No emulator evaluates IAM as AWS does. Each call is expected to fail, or changes nothing: writes to the table require an
//! item that does not exist, secrets, tasks and task definitions do not exist, and readers of queues drop the message. Three
//! actions have no harmless call: the check creates and deletes secrets and a mailbox, and stores one empty object in the
//! bucket of artifacts, whose lifecycle deletes it. AWS returns another code for a denial than for these refusals.
//!
//! AWS's documents do not say whether SQS evaluates the role before the parameters. If it validates first, the calls
//! that receive, delete or hide a message, and the calls on a missing mailbox, cannot detect a denial.

mod probes;

use crate::{Config, config};
use aws_config::{AppName, BehaviorVersion, SdkConfig};
use probes::{Probe, Request};
use pullyard_cloud::signed::{Service, SignedCallError, SignedClient};
use pullyard_cloud::{Objects, with_timeouts};
use pullyard_domain::text::format_error_chain;
pub use pullyard_domain::text::self_check::SELF_CHECK;
use pullyard_domain::text::self_check::{RefusedCall, RoleReport};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Less than a function's time limit, so that an unreachable service does not end the check.
const CALL_LIMIT: Duration = Duration::from_secs(3);

/// Codes with which AWS refuses an allowed call of a self-check.
const EXPECTED: [&str; 14] = [
    "ClientException",
    "ConditionalCheckFailedException",
    "InvalidParameterException",
    "InvalidParameterValue",
    "InvalidRequestException",
    "MessageNotInflight",
    "NonExistentQueue",
    "QueueDeletedRecently",
    "QueueDoesNotExist",
    "ReceiptHandleIsInvalid",
    "ResourceAlreadyExistsException",
    "ResourceExistsException",
    "ResourceNotFoundException",
    "TransactionCanceledException",
];

/// The partition, region and account of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub partition: String,
    pub region: String,
    pub account: String,
}

impl Owner {
    /// Of the ARN of a function: `arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME`.
    pub fn from_arn(arn: &str) -> Option<Self> {
        let mut parts = arn.split(':').map(str::to_owned);
        (parts.next()? == "arn").then_some(())?;
        let (partition, _, region) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { partition, region, account: parts.next()? })
    }
}

/// The log to which Lambda writes the output of this environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnLog {
    pub group: String,
    pub stream: String,
}

pub struct SelfCheck {
    function: String,
    config: Config,
    owner: Owner,
    log: Option<OwnLog>,
    client: SignedClient,
    objects: Objects,
}

/// Whether the payload of an invocation, or the body of a message, is that of a self-check.
pub fn is_requested(payload: &str) -> bool {
    payload.trim() == SELF_CHECK
}

/// Checks the role of the function that this process is. `arn`: the ARN by which it was invoked.
/// Errors: a sentence, if the check cannot start.
pub async fn run(function: &str, arn: &str) -> Result<RoleReport, String> {
    let config = Config::from_env().map_err(|error| error.to_string())?;
    let owner = Owner::from_arn(arn).ok_or_else(|| format!("{arn} is not the ARN of a function"))?;
    // Embedded services have no logs and traces.
    let log = config::own_log().filter(|_| config.endpoints.dynamodb.is_none());
    let log = log.map(|(group, stream)| OwnLog { group, stream });
    let sdk = Box::pin(with_timeouts(aws_config::defaults(BehaviorVersion::latest())).load()).await;
    Ok(SelfCheck::new(function, config, sdk, owner, log).map_err(|error| error.to_string())?.run().await)
}

impl SelfCheck {
    pub fn new(
        function: &str,
        config: Config,
        sdk: SdkConfig,
        owner: Owner,
        log: Option<OwnLog>,
    ) -> Result<Self, SignedCallError> {
        // Names the check in CloudTrail, instead of the function.
        let mut sdk = sdk.into_builder();
        sdk.set_app_name(AppName::new("self-check").ok());
        let sdk = sdk.build();
        let objects = Objects::new(&sdk, config.endpoints.s3.as_deref(), &config.artifacts_bucket);
        let client = SignedClient::new(sdk, owner.region.clone())?;
        Ok(Self { function: function.to_owned(), config, owner, log, client, objects })
    }

    /// One call after the other, because some need the effect of an earlier one.
    pub async fn run(&self) -> RoleReport {
        let function = self.function.clone();
        let mut report = RoleReport { function, calls: 0, denied: Vec::new(), unanswered: Vec::new() };
        let mut unreachable = BTreeSet::new();
        let mut created = BTreeMap::new();
        for Probe { action, on, mut request } in self.probes() {
            if let (Request::Json { operation: "DeleteSecret", body, .. }, Some(arn)) = (&mut request, created.get(&on))
            {
                body["SecretId"] = Value::clone(arn);
            }
            if unreachable.contains(request.service_name()) {
                continue;
            }
            report.calls += 1;
            let refused = |reason: String| RefusedCall { action: action.to_owned(), on: on.clone(), reason };
            match self.send(&request).await {
                Outcome::Allowed(body) => {
                    let body: Value = serde_json::from_str(&body).unwrap_or_default();
                    if action == "secretsmanager:CreateSecret" && body["ARN"].is_string() {
                        created.insert(on, body["ARN"].clone());
                    }
                }
                Outcome::Denied(reason) => report.denied.push(refused(reason)),
                Outcome::Unclear(reason) => report.unanswered.push(refused(reason)),
                Outcome::Unreachable(reason) => {
                    report.unanswered.push(refused(reason));
                    unreachable.insert(request.service_name());
                }
            }
        }
        tracing::info!(calls = report.calls, denied = report.denied.len(), "role checked");
        report
    }

    async fn send(&self, request: &Request) -> Outcome {
        let answer = match request {
            Request::Json { service, operation, body } => {
                let call = self.client.call_json(*service, self.endpoint(*service), operation, body);
                tokio::time::timeout(CALL_LIMIT, call).await
            }
            Request::Post { service, operation, path, body } => {
                let body = body.to_string();
                let call = self.client.post(*service, None, operation, path, &body, CALL_LIMIT);
                tokio::time::timeout(CALL_LIMIT, call).await
            }
            Request::PutObject { key } => return object_outcome(self.objects.store_empty(key).await),
            Request::GetObject { key } => return object_outcome(self.objects.read_status(key).await),
        };
        match answer {
            Err(_) => Outcome::Unreachable(format!("no answer within {} seconds", CALL_LIMIT.as_secs())),
            Ok(Ok(body)) => Outcome::Allowed(body),
            Ok(Err(error)) if error.is_denied() => Outcome::Denied(format_error_chain(&error)),
            // SQS writes some codes with a prefix: `AWS.SimpleQueueService.NonExistentQueue`.
            Ok(Err(error)) => match error.code().and_then(|code| code.rsplit('.').next()) {
                Some(code) if EXPECTED.contains(&code) => Outcome::Allowed(String::new()),
                Some(_) => Outcome::Unclear(format_error_chain(&error)),
                None => Outcome::Unreachable(format_error_chain(&error)),
            },
        }
    }

    fn endpoint(&self, service: Service) -> Option<&str> {
        let endpoints = &self.config.endpoints;
        match service {
            Service::DYNAMODB => endpoints.dynamodb.as_deref(),
            Service::SQS => endpoints.sqs.as_deref(),
            Service::ECS => endpoints.ecs.as_deref(),
            Service::SECRETS_MANAGER => endpoints.secretsmanager.as_deref(),
            _ => None,
        }
    }
}

enum Outcome {
    /// With the body of the answer.
    Allowed(String),
    Denied(String),
    Unclear(String),
    /// Further calls to the service would take as long.
    Unreachable(String),
}

fn object_outcome(status: Result<u16, pullyard_cloud::Error>) -> Outcome {
    match status {
        Ok(200..=299) => Outcome::Allowed(String::new()),
        Ok(403) => Outcome::Denied("the bucket answered 403".to_owned()),
        Ok(status) => Outcome::Unclear(format!("the bucket answered {status}")),
        Err(error) => Outcome::Unreachable(format_error_chain(&error)),
    }
}
