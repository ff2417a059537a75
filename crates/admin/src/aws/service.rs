//! The AWS services that the operator's commands call, with their host names and protocols.

#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    /// Start of the host name, before the region.
    pub(super) host: &'static str,
    pub(super) display_name: &'static str,
    pub(super) protocol: Protocol,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    Query { version: &'static str },
    Json { target_prefix: &'static str, version: &'static str },
}

impl Service {
    pub(crate) const CLOUD_FORMATION: Self = Self::query("cloudformation", "CloudFormation", "2010-05-15");
    pub(crate) const DYNAMODB: Self = Self::json("dynamodb", "DynamoDB", "DynamoDB_20120810", "1.0");
    pub(crate) const EC2: Self = Self::query("ec2", "EC2", "2016-11-15");
    pub(crate) const ECR: Self = Self::json("api.ecr", "ECR", "AmazonEC2ContainerRegistry_V20150921", "1.1");
    pub(crate) const ECS: Self = Self::json("ecs", "ECS", "AmazonEC2ContainerServiceV20141113", "1.1");
    pub(crate) const SECRETS_MANAGER: Self = Self::json("secretsmanager", "Secrets Manager", "secretsmanager", "1.1");
    pub(crate) const SERVICE_QUOTAS: Self =
        Self::json("servicequotas", "Service Quotas", "ServiceQuotasV20190624", "1.1");
    pub(crate) const SNS: Self = Self::query("sns", "SNS", "2010-03-31");
    pub(crate) const SQS: Self = Self::json("sqs", "SQS", "AmazonSQS", "1.0");

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

    pub(super) fn signing_name(self) -> &'static str {
        self.host.trim_start_matches("api.")
    }
}
