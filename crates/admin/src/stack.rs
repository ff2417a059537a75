//! Reads a deployed stack and its outputs from CloudFormation.

use crate::Error;
use crate::aws::{Aws, Service, unreadable_response};
use pullyard_cloud::xml;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    pub name: String,
    pub status: String,
    /// Without `/v1`.
    pub api_url: String,
    pub table: String,
    /// Name of the secret that signs attempts' tokens.
    pub key_secret: String,
    pub user_secret_prefix: String,
    /// The queue of submissions only if the stack has it.
    pub queues: Vec<Queue>,
    /// Queue of task state changes that no function processed; `None` in older releases.
    pub undelivered_queue_url: Option<String>,
    pub cluster: String,
    pub task_definitions: Vec<(String, String)>,
    pub repository_uri: String,
    pub subnets: Vec<String>,
    pub public_ip: bool,
    pub security_group: String,
    pub alarm_topic: String,
    pub version: String,
    /// Commit of the templates; `None` if deployed without `infra/preflight`, or by an older release.
    pub commit: Option<String>,
    /// Image of the tasks, by tag or digest; `None` in older releases.
    pub image: Option<String>,
    /// `x86_64` or `arm64`.
    pub architecture: Option<String>,
    pub deletion_protection: DeletionProtection,
}

/// Which program protects the table from deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionProtection {
    /// `pullyard init`, once the first deployment has succeeded.
    Init,
    /// A temporary stack, whose table stays unprotected.
    Off,
    /// CloudFormation, in a stack of an older release.
    Template,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    pub name: &'static str,
    pub url: String,
    pub dead_letter_url: String,
}

impl Stack {
    pub async fn load(aws: &Aws, name: &str) -> Result<Self, Error> {
        let response =
            aws.call_query(Service::CLOUD_FORMATION, "DescribeStacks", &[("StackName".into(), name.into())]).await;
        let answer = match response {
            Err(Error::Refused { message, .. }) if message.contains("does not exist") => {
                return Err(Error::StackNotFound { name: name.into(), region: aws.region().into() });
            }
            response => response?,
        };
        let stack = answer.child("DescribeStacksResult").and_then(|result| result.members("Stacks").next());
        Self::parse(name, stack.ok_or_else(|| unreadable_response("DescribeStacks"))?)
    }

    fn parse(name: &str, stack: &xml::Element) -> Result<Self, Error> {
        let outputs = stack
            .members("Outputs")
            .filter_map(|output| Some((output.child_text("OutputKey")?, output.child_text("OutputValue")?)))
            .collect::<BTreeMap<_, _>>();
        let output_value = |output: &'static str| {
            let value = outputs.get(output).map(|value| (*value).to_owned());
            value.ok_or_else(|| Error::MissingOutput { name: name.into(), output })
        };
        let queue = |name, url, dead_letter_url| {
            Ok::<_, Error>(Queue { name, url: output_value(url)?, dead_letter_url: output_value(dead_letter_url)? })
        };
        let list = |text: String| -> Vec<String> {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let sizes = list(output_value("TaskDefinitions")?).into_iter();
        Ok(Self {
            name: name.into(),
            status: stack.child_text("StackStatus").unwrap_or("UNKNOWN").into(),
            api_url: output_value("ApiUrl")?.trim_end_matches('/').into(),
            table: output_value("TableName")?,
            key_secret: output_value("KeySecretName")?,
            user_secret_prefix: output_value("UserSecretPrefix")?,
            queues: [
                queue("dispatch", "DispatchQueueUrl", "DispatchDeadLetterUrl")?,
                queue("effects", "EffectsQueueUrl", "EffectsDeadLetterUrl")?,
            ]
            .into_iter()
            // A stack of an older release has no queue of calls.
            .chain(queue("calls", "CallsQueueUrl", "CallsDeadLetterUrl").ok())
            .chain(queue("submissions", "SubmissionsQueueUrl", "SubmissionsDeadLetterUrl").ok())
            .collect(),
            undelivered_queue_url: output_value("UndeliveredUrl").ok(),
            cluster: output_value("ClusterName")?,
            task_definitions: sizes
                .filter_map(|pair| pair.split_once('=').map(|(size, family)| (size.into(), family.into())))
                .collect(),
            repository_uri: output_value("RepositoryUri")?,
            subnets: list(output_value("Subnets")?),
            public_ip: !stack.members("Parameters").any(|parameter| {
                parameter.child_text("ParameterKey") == Some("AssignPublicIp")
                    && parameter.child_text("ParameterValue") == Some("false")
            }),
            security_group: output_value("SecurityGroup")?,
            alarm_topic: output_value("AlarmTopicArn")?,
            version: output_value("Version")?,
            commit: output_value("Commit").ok(),
            image: output_value("Image").ok().filter(|image| !image.is_empty()),
            architecture: output_value("Architecture").ok(),
            deletion_protection: match outputs.get("DeletionProtection").copied() {
                Some("true") => DeletionProtection::Init,
                Some(_) => DeletionProtection::Off,
                None => DeletionProtection::Template,
            },
        })
    }
}

#[cfg(test)]
pub(crate) fn sample() -> Stack {
    let queue = |name| Queue { name, url: String::new(), dead_letter_url: String::new() };
    Stack {
        name: "py".into(),
        status: "CREATE_COMPLETE".into(),
        api_url: "https://api.example.com".into(),
        table: "py".into(),
        key_secret: "py/signing-key".into(),
        user_secret_prefix: "py/user/".into(),
        queues: vec![queue("dispatch"), queue("effects")],
        undelivered_queue_url: None,
        cluster: "py".into(),
        task_definitions: Vec::new(),
        repository_uri: "123456789012.dkr.ecr.us-east-1.amazonaws.com/py/runner".into(),
        subnets: Vec::new(),
        public_ip: true,
        security_group: "sg-1".into(),
        alarm_topic: String::new(),
        version: "0.1.0".into(),
        commit: None,
        image: None,
        architecture: None,
        deletion_protection: DeletionProtection::Init,
    }
}
