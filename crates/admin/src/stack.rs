//! A stack and what it says of itself.

use crate::aws::{Aws, Service};
use crate::{Error, xml};
use std::collections::BTreeMap;

/// A deployed stack, by its outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// CloudFormation's word for its state: `UPDATE_COMPLETE`.
    pub status: String,
    /// Where the API is, without `/v1`.
    pub api_url: String,
    /// The table.
    pub table: String,
    /// The secret that tokens of attempts are signed with.
    pub key_secret: String,
    /// What names of people's secrets begin with.
    pub user_secret_prefix: String,
    /// Queues, with their dead-letter queues.
    pub queues: [Queue; 2],
    /// The address of the queue of task state changes that nobody took. None: a release that did not tell it.
    pub undelivered: Option<String>,
    /// The cluster of tasks.
    pub cluster: String,
    /// The family of each size: `small=FAMILY,…`.
    pub task_definitions: Vec<(String, String)>,
    /// Where the tasks' image is pushed.
    pub repository_uri: String,
    /// The subnets of tasks.
    pub subnets: Vec<String>,
    /// Tasks get a public address; the parameter `AssignPublicIp`.
    pub public_ip: bool,
    /// The security group of tasks.
    pub security_group: String,
    /// Whom alarms are told.
    pub alarm_topic: String,
    /// The release that is deployed.
    pub version: String,
    /// The git commit of the templates. None: deployed without `infra/preflight`, or older than the output.
    pub commit: Option<String>,
    /// The image that tasks run, by tag or digest. None: older than the output.
    pub image: Option<String>,
    /// The architecture of functions and tasks: `x86_64` or `arm64`.
    pub architecture: Option<String>,
}

/// A queue and where its messages end that nobody could deal with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name for people.
    pub name: &'static str,
    /// Its address.
    pub url: String,
    /// The address of its dead-letter queue.
    pub dead_letters: String,
}

impl Stack {
    /// Asks CloudFormation for a stack of ours.
    pub async fn find(aws: &Aws, name: &str) -> Result<Self, Error> {
        let asked = aws.query(Service::CloudFormation, "DescribeStacks", &[("StackName".into(), name.into())]).await;
        let answer = match asked {
            Err(Error::Refused { message, .. }) if message.contains("does not exist") => {
                return Err(Error::NoStack { name: name.into(), region: aws.region().into() });
            }
            asked => asked?,
        };
        let stack = answer.child("DescribeStacksResult").and_then(|result| result.list("Stacks").next());
        Self::read(name, stack.ok_or(Error::Unreadable { operation: "DescribeStacks".into() })?)
    }

    fn read(name: &str, stack: &xml::Element) -> Result<Self, Error> {
        let outputs = stack
            .list("Outputs")
            .filter_map(|output| Some((output.text_of("OutputKey")?, output.text_of("OutputValue")?)))
            .collect::<BTreeMap<_, _>>();
        let said = |output: &'static str| {
            outputs.get(output).map(|value| (*value).to_owned()).ok_or(Error::NotOurs { name: name.into(), output })
        };
        let list = |text: String| -> Vec<String> {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let sizes = list(said("TaskDefinitions")?).into_iter();
        Ok(Self {
            name: name.into(),
            status: stack.text_of("StackStatus").unwrap_or("UNKNOWN").into(),
            api_url: said("ApiUrl")?.trim_end_matches('/').into(),
            table: said("TableName")?,
            key_secret: said("KeySecretName")?,
            user_secret_prefix: said("UserSecretPrefix")?,
            queues: [
                Queue {
                    name: "dispatch",
                    url: said("DispatchQueueUrl")?,
                    dead_letters: said("DispatchDeadLetterUrl")?,
                },
                Queue { name: "effects", url: said("EffectsQueueUrl")?, dead_letters: said("EffectsDeadLetterUrl")? },
            ],
            undelivered: said("UndeliveredUrl").ok(),
            cluster: said("ClusterName")?,
            task_definitions: sizes
                .filter_map(|pair| pair.split_once('=').map(|(size, family)| (size.into(), family.into())))
                .collect(),
            repository_uri: said("RepositoryUri")?,
            subnets: list(said("Subnets")?),
            public_ip: !stack.list("Parameters").any(|parameter| {
                parameter.text_of("ParameterKey") == Some("AssignPublicIp")
                    && parameter.text_of("ParameterValue") == Some("false")
            }),
            security_group: said("SecurityGroup")?,
            alarm_topic: said("AlarmTopicArn")?,
            version: said("Version")?,
            commit: said("Commit").ok(),
            image: said("Image").ok().filter(|image| !image.is_empty()),
            architecture: said("Architecture").ok(),
        })
    }
}

/// A stack for tests of what reads one.
#[cfg(test)]
pub(crate) fn sample() -> Stack {
    let queue = |name| Queue { name, url: String::new(), dead_letters: String::new() };
    Stack {
        name: "py".into(),
        status: "CREATE_COMPLETE".into(),
        api_url: "https://api.example.com".into(),
        table: "py".into(),
        key_secret: "py/signing-key".into(),
        user_secret_prefix: "py/user/".into(),
        queues: [queue("dispatch"), queue("effects")],
        undelivered: None,
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
    }
}
