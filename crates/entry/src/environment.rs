//! Converts a configuration to environment variables that [`Config::from_env`] reads.

use crate::config::{Config, Endpoints};
use pullyard_cloud::TaskNetwork;

impl Config {
    pub fn to_environment(&self) -> Vec<(String, String)> {
        // Destructured completely, so that a new field does not compile until it is added here.
        let Self {
            table,
            dispatch_queue_url,
            effects_queue_url,
            dispatch_dlq_url,
            effects_dlq_url,
            undelivered_dlq_url,
            cluster,
            task_definitions,
            container,
            network,
            key_secret,
            api_url,
            task_isolation,
            live_updates,
            artifacts_bucket,
            kms_key,
            deployment,
            endpoints,
        } = self;
        let Endpoints { dynamodb, sqs, ecs, secretsmanager, s3 } = endpoints;
        let definitions = task_definitions.to_string();
        let live = live_updates.as_str().to_owned();
        let required = [
            ("PULLYARD_TABLE", table),
            ("PULLYARD_DISPATCH_QUEUE_URL", dispatch_queue_url),
            ("PULLYARD_EFFECTS_QUEUE_URL", effects_queue_url),
            ("PULLYARD_CLUSTER", cluster),
            ("PULLYARD_TASK_DEFINITIONS", &definitions),
            ("PULLYARD_CONTAINER", container),
            ("PULLYARD_KEY_SECRET", key_secret),
            ("PULLYARD_API_URL", api_url),
            ("PULLYARD_TASK_ISOLATION", task_isolation),
            ("PULLYARD_LIVE", &live),
            ("PULLYARD_ARTIFACTS_BUCKET", artifacts_bucket),
        ];
        let optional = [
            ("PULLYARD_DISPATCH_DLQ_URL", dispatch_dlq_url),
            ("PULLYARD_EFFECTS_DLQ_URL", effects_dlq_url),
            ("PULLYARD_UNDELIVERED_DLQ_URL", undelivered_dlq_url),
            ("PULLYARD_KMS_KEY", kms_key),
            ("PULLYARD_DEPLOYMENT", deployment),
            ("PULLYARD_DYNAMODB_ENDPOINT", dynamodb),
            ("PULLYARD_SQS_ENDPOINT", sqs),
            ("PULLYARD_ECS_ENDPOINT", ecs),
            ("PULLYARD_SECRETSMANAGER_ENDPOINT", secretsmanager),
            ("PULLYARD_S3_ENDPOINT", s3),
        ];
        let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        let required = required.into_iter().map(|(name, value)| (name, value.clone()));
        let all = required.chain(optional).chain(network.iter().flat_map(network_variables));
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn network_variables(network: &TaskNetwork) -> [(&'static str, String); 3] {
    let TaskNetwork { subnets, security_groups, public_ip } = network;
    [
        ("PULLYARD_SUBNETS", subnets.join(",")),
        ("PULLYARD_SECURITY_GROUPS", security_groups.join(",")),
        ("PULLYARD_PUBLIC_IP", public_ip.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LiveUpdates, TaskDefinitions};

    fn check(config: &Config) {
        let variables = config.to_environment();
        let read = Config::from_vars(|name| {
            variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).filter(|v| !v.is_empty())
        });
        assert_eq!(format!("{:?}", read.unwrap()), format!("{config:?}"));
    }

    #[test]
    fn config_survives_a_round_trip_through_the_environment() {
        let mut config = Config {
            table: "t".into(),
            dispatch_queue_url: "http://q/dispatch".into(),
            effects_queue_url: "http://q/effects.fifo".into(),
            dispatch_dlq_url: None,
            effects_dlq_url: None,
            undelivered_dlq_url: None,
            cluster: "c".into(),
            task_definitions: TaskDefinitions::parse("small=s:3,medium=m,large=l").unwrap(),
            container: "other".into(),
            network: None,
            key_secret: "key".into(),
            api_url: "http://api".into(),
            task_isolation: "none".into(),
            live_updates: LiveUpdates::LongPoll,
            artifacts_bucket: "b".into(),
            kms_key: None,
            deployment: None,
            endpoints: Endpoints::default(),
        };
        check(&config);
        config.dispatch_dlq_url = Some("http://q/dispatch-dead".into());
        config.effects_dlq_url = Some("http://q/effects-dead.fifo".into());
        config.undelivered_dlq_url = Some("http://q/undelivered".into());
        config.kms_key = Some("arn:aws:kms:us-east-1:123456789012:key/1".into());
        config.deployment = Some("acme".into());
        config.endpoints = Endpoints {
            dynamodb: Some("http://d".into()),
            sqs: Some("http://s".into()),
            ecs: Some("http://e".into()),
            secretsmanager: Some("http://m".into()),
            s3: Some("http://o".into()),
        };
        config.network = Some(TaskNetwork {
            subnets: vec!["a".into(), "b".into()],
            security_groups: vec!["g".into()],
            public_ip: true,
        });
        check(&config);
        if let Some(network) = &mut config.network {
            network.public_ip = false;
        }
        check(&config);
    }
}
