//! Starts, lists and stops Fargate tasks.

use crate::Error;
use crate::lazy::Lazy;
use aws_sdk_ecs::operation::run_task::RunTaskError;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, KeyValuePair,
    NetworkConfiguration, PropagateTags, TaskOverride,
};
use pullyard_domain::job::StartRefusal;
use pullyard_domain::project::task::{Task, TaskCapacity, TaskSize};
use pullyard_domain::text::id::JobId;

/// The container of the task definition that runs the job.
pub const RUNNER_CONTAINER: &str = "runner";

#[derive(Clone, Debug)]
pub struct Tasks {
    client: Lazy<aws_sdk_ecs::Client>,
    cluster: String,
    definitions: TaskDefinitions,
    network: Option<TaskNetwork>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDefinitions {
    pub small: String,
    pub medium: String,
    pub large: String,
}

impl TaskDefinitions {
    /// Parses `small=FAMILY,medium=FAMILY,large=FAMILY` in any order.
    pub fn parse(text: &str) -> Option<Self> {
        let find = |size: TaskSize| {
            let mut pairs = text.split(',').filter_map(|pair| pair.trim().split_once('='));
            let (_, family) = pairs.find(|(name, _)| name.trim() == size.as_str())?;
            Some(family.trim().to_owned()).filter(|family| !family.is_empty())
        };
        let (small, medium, large) = (find(TaskSize::Small)?, find(TaskSize::Medium)?, find(TaskSize::Large)?);
        let has_no_other_pair = text.split(',').count() == TaskSize::ALL.len();
        has_no_other_pair.then_some(Self { small, medium, large })
    }

    pub fn for_size(&self, size: TaskSize) -> &str {
        match size {
            TaskSize::Small => &self.small,
            TaskSize::Medium => &self.medium,
            TaskSize::Large => &self.large,
        }
    }
}

#[derive(Clone, Debug)]
pub struct TaskNetwork {
    pub subnets: Vec<String>,
    pub security_groups: Vec<String>,
    pub public_ip: bool,
}

/// One start of an attempt. A repeat with the same environment has no effect.
#[derive(Clone, Debug)]
pub struct TaskStart<'a> {
    pub job: &'a JobId,
    pub attempt: u32,
    pub dispatch: u32,
    pub task: Task,
    /// Ids and the bootstrap token, but no prompt and no lasting secret.
    pub environment: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartOutcome {
    Task {
        arn: String,
    },
    NoCapacity,
    /// The one machine that runs all tasks has no free place.
    NoPlace,
    Throttled,
    Refused {
        reason: String,
        refusal: StartRefusal,
    },
}

impl Tasks {
    pub fn new(
        config: &aws_config::SdkConfig,
        endpoint: Option<&str>,
        cluster: impl Into<String>,
        definitions: TaskDefinitions,
        network: Option<TaskNetwork>,
    ) -> Self {
        let (config, endpoint) = (config.clone(), endpoint.map(str::to_owned));
        Self {
            client: Lazy::new(move || {
                let mut builder = aws_sdk_ecs::config::Builder::from(&config);
                builder.set_endpoint_url(endpoint);
                aws_sdk_ecs::Client::from_conf(builder.build())
            }),
            cluster: cluster.into(),
            definitions,
            network,
        }
    }

    /// Idempotent: by the client token, on which all parameters depend; a repeat returns the same task.
    /// Source: <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>.
    pub async fn run(&self, start: &TaskStart<'_>) -> Result<StartOutcome, Error> {
        let mut container = ContainerOverride::builder().name(RUNNER_CONTAINER);
        for (name, value) in &start.environment {
            container = container.environment(KeyValuePair::builder().name(*name).value(value).build());
        }
        let strategy = CapacityProviderStrategyItem::builder()
            .capacity_provider(match start.task.capacity {
                TaskCapacity::Fargate => "FARGATE",
                TaskCapacity::FargateSpot => "FARGATE_SPOT",
            })
            .weight(1)
            .build()
            .map_err(|error| Error::unavailable("describe the capacity of a task", error))?;
        let mut call = self
            .client
            .run_task()
            .cluster(&self.cluster)
            .task_definition(self.definitions.for_size(start.task.size))
            // ECS refuses a launch type together with a capacity provider.
            .capacity_provider_strategy(strategy)
            .count(1)
            // Only the task definition passes on the stack's tags, which cost allocation needs.
            .propagate_tags(PropagateTags::TaskDefinition)
            .client_token(format!("{}-{}-{}", start.job, start.attempt, start.dispatch))
            .started_by(start.job.as_str())
            .overrides(TaskOverride::builder().container_overrides(container.build()).build());
        if let Some(network) = &self.network {
            let public = if network.public_ip { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled };
            let vpc = AwsVpcConfiguration::builder()
                .set_subnets(Some(network.subnets.clone()))
                .set_security_groups(Some(network.security_groups.clone()))
                .assign_public_ip(public)
                .build()
                .map_err(|error| Error::unavailable("describe the network of a task", error))?;
            call = call.network_configuration(NetworkConfiguration::builder().awsvpc_configuration(vpc).build());
        }
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => {
                return classify_error(error.as_service_error())
                    .ok_or_else(|| Error::unavailable("start a task", error));
            }
        };
        if let Some(arn) = answer.tasks().first().and_then(|task| task.task_arn()) {
            return Ok(StartOutcome::Task { arn: arn.into() });
        }
        let reason = answer.failures().first().and_then(|failure| failure.reason()).unwrap_or("no reason given");
        Ok(classify_reason(reason))
    }

    /// Lists the job's tasks that have not stopped, of all starts. ECS's lists lag and may miss a new task.
    pub async fn list(&self, job: &JobId) -> Result<Vec<String>, Error> {
        let call = self.client.list_tasks().cluster(&self.cluster).started_by(job.as_str());
        let page = call.send().await.map_err(|error| Error::unavailable("list the tasks of a job", error))?;
        Ok(page.task_arns().to_vec())
    }

    /// Idempotent: by the task. A missing task counts as stopped.
    /// Source: <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html>.
    pub async fn stop(&self, arn: &str, reason: &str) -> Result<(), Error> {
        let call = self.client.stop_task().cluster(&self.cluster).task(arn).reason(reason);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let meta = error.as_service_error().map(aws_sdk_ecs::error::ProvideErrorMetadata::meta);
                // ECS removes a stopped task within the hour.
                let is_missing =
                    meta.and_then(|meta| meta.message()).is_some_and(|message| message.contains("not found"));
                if is_missing { Ok(()) } else { Err(Error::unavailable("stop a task", error)) }
            }
        }
    }
}

/// `None` if the error is not about this start. A conflict, from an earlier request with other parameters, is refused:
/// a retry could create two tasks, and the next start has another number.
fn classify_error(error: Option<&RunTaskError>) -> Option<StartOutcome> {
    let error = error?;
    let meta = aws_sdk_ecs::error::ProvideErrorMetadata::meta(error);
    let (code, message) = (meta.code().unwrap_or_default(), meta.message().unwrap_or_default());
    match code {
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded" => {
            Some(StartOutcome::Throttled)
        }
        "ServerException" | "" => None,
        _ => {
            let outcome = classify_reason(if message.is_empty() { code } else { message });
            Some(match outcome {
                StartOutcome::Refused { reason, .. } if PASSING_CODES.contains(&code) => {
                    StartOutcome::Refused { reason, refusal: StartRefusal::Passing }
                }
                outcome => outcome,
            })
        }
    }
}

/// Refusals of the account, its permissions, its credentials or its cluster. AWS spreads a changed role for minutes,
/// blocks an account that it verifies, and finds no cluster while a deployment replaces it.
/// Source: <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html#API_RunTask_Errors>,
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html>.
const PASSING_CODES: [&str; 4] =
    ["AccessDeniedException", "BlockedException", "ClusterNotFoundException", "UnrecognizedClientException"];

/// The same refusals, as part of another error or of a failure. A new account has no service-linked role at first.
const PASSING_PHRASES: [&str; 3] =
    ["is not authorized to perform", "unable to assume the role", "Unable to assume the service linked role"];

/// Throttling. ECS reports throttling of its own internal calls as an `InvalidParameterException`.
const THROTTLING_PHRASES: [&str; 4] = ["Rate exceeded", "Request limit exceeded", "RequestLimitExceeded", "Throttling"];

/// No capacity in the zone or under the account's quota. Whole phrases: a missing capacity provider is permanent.
const CAPACITY_PHRASES: [&str; 5] = [
    "Capacity is unavailable",
    "at capacity",
    "enough capacity",
    "reached the limit on the number of tasks",
    "reached the limit on the number of vCPUs",
];

/// Source: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html>.
fn classify_reason(reason: &str) -> StartOutcome {
    let contains_any = |phrases: &[&str]| phrases.iter().any(|phrase| reason.contains(phrase));
    // ECS reports missing resources of a machine, but not of Fargate, in this form; the embedded ECS does, too.
    if reason.starts_with("RESOURCE:") {
        StartOutcome::NoPlace
    // `AGENT`: the chosen host is disconnected; another one may work.
    } else if reason == "AGENT" || contains_any(&CAPACITY_PHRASES) {
        StartOutcome::NoCapacity
    } else if contains_any(&THROTTLING_PHRASES) {
        StartOutcome::Throttled
    } else {
        let passes = contains_any(&PASSING_PHRASES);
        let refusal = if passes { StartRefusal::Passing } else { StartRefusal::Lasting };
        StartOutcome::Refused { reason: reason.into(), refusal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_needs_exactly_one_task_definition() {
        let families = |text: &str| TaskDefinitions::parse(text).map(|all| [all.small, all.medium, all.large]);
        let all = Some(["a".to_owned(), "b:3".to_owned(), "c".to_owned()]);
        assert_eq!(families("small=a,medium=b:3,large=c"), all);
        assert_eq!(families(" large = c, small=a ,medium=b:3"), all);
        for bad in [
            "",
            "a",
            "small=a,medium=b",
            "small=a,medium=b,large=",
            "small=a,medium=b,huge=c",
            "small=a,medium=b,large=c,huge=d",
            "small=a,small=b,medium=c,large=d",
        ] {
            assert_eq!(families(bad), None, "{bad}");
        }
    }

    fn refused_for(reason: &str, refusal: StartRefusal) -> StartOutcome {
        StartOutcome::Refused { reason: reason.into(), refusal }
    }

    #[test]
    fn start_failure_reasons_are_classified() {
        let no_capacity = [
            "AGENT",
            "Capacity is unavailable at this time. Please try again later or in a different availability zone",
            "The requested configuration is currently at capacity.",
            "We currently do not have enough capacity in the Availability Zone you requested.",
            "You've reached the limit on the number of tasks you can run concurrently",
            "You’ve reached the limit on the number of vCPUs you can run concurrently",
        ];
        let throttled = [
            "Rate exceeded",
            "ThrottlingException",
            "Error retrieving security group information for [sg-1]: Request limit exceeded. (ErrorCode: RequestLimitExceeded)",
        ];
        let refused = [
            "TaskDefinition is inactive",
            "TaskDefinition not found.",
            "MISSING",
            "ATTRIBUTE",
            "The specified capacity provider was not found.",
            "The requested CPU configuration is above your limit",
            "The clientToken was already used with other parameters.",
            "",
        ];
        let passing = [
            "User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/c",
            "ECS was unable to assume the role 'arn:aws:iam::1:role/c' that was provided for this task.",
            "Unable to assume the service linked role. Please verify that the ECS service linked role exists.",
        ];
        for reason in no_capacity {
            assert_eq!(classify_reason(reason), StartOutcome::NoCapacity, "{reason}");
        }
        for reason in ["RESOURCE:CPU", "RESOURCE:MEMORY", "RESOURCE:ENI"] {
            assert_eq!(classify_reason(reason), StartOutcome::NoPlace, "{reason}");
        }
        for reason in throttled {
            assert_eq!(classify_reason(reason), StartOutcome::Throttled, "{reason}");
        }
        for reason in refused {
            assert_eq!(classify_reason(reason), refused_for(reason, StartRefusal::Lasting), "{reason}");
        }
        for reason in passing {
            assert_eq!(classify_reason(reason), refused_for(reason, StartRefusal::Passing), "{reason}");
        }
    }

    #[test]
    fn start_errors_are_classified_by_code_and_message() {
        let outcome_of = |code: &str, message: &str| {
            let meta = aws_sdk_ecs::error::ErrorMetadata::builder().code(code).message(message).build();
            classify_error(Some(&RunTaskError::generic(meta)))
        };
        for code in ["ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"] {
            assert_eq!(outcome_of(code, "Slow down."), Some(StartOutcome::Throttled), "{code}");
        }
        assert_eq!(outcome_of("ServerException", "it broke"), None);
        assert_eq!(outcome_of("", "nobody knows"), None);
        assert_eq!(classify_error(None), None);
        for (code, refusal) in [
            ("ClientException", StartRefusal::Lasting),
            ("InvalidParameterException", StartRefusal::Lasting),
            ("PlatformUnknownException", StartRefusal::Lasting),
            ("UnsupportedFeatureException", StartRefusal::Lasting),
            ("ConflictException", StartRefusal::Lasting),
            ("AccessDeniedException", StartRefusal::Passing),
            ("BlockedException", StartRefusal::Passing),
            ("ClusterNotFoundException", StartRefusal::Passing),
            ("UnrecognizedClientException", StartRefusal::Passing),
        ] {
            assert_eq!(outcome_of(code, ""), Some(refused_for(code, refusal)), "{code}");
            assert_eq!(outcome_of(code, "It says no."), Some(refused_for("It says no.", refusal)), "{code}");
        }
        assert_eq!(outcome_of("InvalidParameterException", "Rate exceeded"), Some(StartOutcome::Throttled));
        assert_eq!(
            outcome_of("ClientException", "Capacity is unavailable at this time."),
            Some(StartOutcome::NoCapacity)
        );
    }
}
