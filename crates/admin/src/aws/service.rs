//! The AWS services that the operator's commands read, with their host names and protocols.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    CloudFormation,
    Ec2,
    Ecr,
    Ecs,
    SecretsManager,
    ServiceQuotas,
    Sns,
    Sqs,
}

pub(super) enum Protocol {
    Query(&'static str),
    /// Prefix of the target header, and version of the protocol.
    Json(&'static str, &'static str),
}

impl Service {
    /// Start of the host name, before the region.
    pub(super) fn host(self) -> &'static str {
        match self {
            Self::CloudFormation => "cloudformation",
            Self::Ec2 => "ec2",
            Self::Ecr => "api.ecr",
            Self::Ecs => "ecs",
            Self::SecretsManager => "secretsmanager",
            Self::ServiceQuotas => "servicequotas",
            Self::Sns => "sns",
            Self::Sqs => "sqs",
        }
    }

    pub(super) fn signing_name(self) -> &'static str {
        self.host().trim_start_matches("api.")
    }

    pub(super) fn display_name(self) -> &'static str {
        match self {
            Self::CloudFormation => "CloudFormation",
            Self::Ec2 => "EC2",
            Self::Ecr => "ECR",
            Self::Ecs => "ECS",
            Self::SecretsManager => "Secrets Manager",
            Self::ServiceQuotas => "Service Quotas",
            Self::Sns => "SNS",
            Self::Sqs => "SQS",
        }
    }

    pub(super) fn protocol(self) -> Protocol {
        match self {
            Self::CloudFormation => Protocol::Query("2010-05-15"),
            Self::Ec2 => Protocol::Query("2016-11-15"),
            Self::Sns => Protocol::Query("2010-03-31"),
            Self::Ecr => Protocol::Json("AmazonEC2ContainerRegistry_V20150921", "1.1"),
            Self::Ecs => Protocol::Json("AmazonEC2ContainerServiceV20141113", "1.1"),
            Self::SecretsManager => Protocol::Json("secretsmanager", "1.1"),
            Self::ServiceQuotas => Protocol::Json("ServiceQuotasV20190624", "1.1"),
            Self::Sqs => Protocol::Json("AmazonSQS", "1.0"),
        }
    }
}
