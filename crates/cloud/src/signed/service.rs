//! The AWS services that are called without an SDK, with their host names and protocols.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Start of the host name, before the region.
    pub(super) host: &'static str,
    pub(super) display_name: &'static str,
    pub(super) protocol: Protocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Query {
        version: &'static str,
    },
    Json {
        target_prefix: &'static str,
        version: &'static str,
    },
    /// The path names the operation.
    Rest,
}

impl Service {
    pub const CLOUD_FORMATION: Self = Self::query("cloudformation", "CloudFormation", "2010-05-15");
    pub const DYNAMODB: Self = Self::json("dynamodb", "DynamoDB", "DynamoDB_20120810", "1.0");
    pub const EC2: Self = Self::query("ec2", "EC2", "2016-11-15");
    pub const ECR: Self = Self::json("api.ecr", "ECR", "AmazonEC2ContainerRegistry_V20150921", "1.1");
    pub const ECS: Self = Self::json("ecs", "ECS", "AmazonEC2ContainerServiceV20141113", "1.1");
    pub const SECRETS_MANAGER: Self = Self::json("secretsmanager", "Secrets Manager", "secretsmanager", "1.1");
    pub const LAMBDA: Self = Self::rest("lambda", "Lambda");
    pub const LOGS: Self = Self::json("logs", "CloudWatch Logs", "Logs_20140328", "1.1");
    pub const SERVICE_QUOTAS: Self = Self::json("servicequotas", "Service Quotas", "ServiceQuotasV20190624", "1.1");
    pub const SNS: Self = Self::query("sns", "SNS", "2010-03-31");
    pub const SQS: Self = Self::json("sqs", "SQS", "AmazonSQS", "1.0");
    pub const XRAY: Self = Self::rest("xray", "X-Ray");

    const fn query(host: &'static str, display_name: &'static str, version: &'static str) -> Self {
        Self { host, display_name, protocol: Protocol::Query { version } }
    }

    const fn json(
        host: &'static str,
        display_name: &'static str,
        target_prefix: &'static str,
        version: &'static str,
    ) -> Self {
        Self { host, display_name, protocol: Protocol::Json { target_prefix, version } }
    }

    const fn rest(host: &'static str, display_name: &'static str) -> Self {
        Self { host, display_name, protocol: Protocol::Rest }
    }

    pub fn display_name(self) -> &'static str {
        self.display_name
    }

    pub(super) fn signing_name(self) -> &'static str {
        self.host.trim_start_matches("api.")
    }
}
