//! A configuration as the environment of a process: what [`Config::from_env`] reads back.

use crate::config::{Config, Endpoints};
use pullyard_cloud::Network;

impl Config {
    /// The variables that a function in a process of its own is given.
    pub fn environment(&self) -> Vec<(String, String)> {
        // Taken apart whole: a field that is new does not compile until it is handed on, too.
        let Self {
            table,
            dispatch_queue_url,
            effects_queue_url,
            cluster,
            task_definition,
            container,
            network,
            key_secret,
            api_url,
            task_isolation,
            endpoints,
        } = self;
        let Endpoints { dynamodb, sqs, ecs, secretsmanager } = endpoints;
        let told = [
            ("PULLYARD_TABLE", table),
            ("PULLYARD_DISPATCH_QUEUE_URL", dispatch_queue_url),
            ("PULLYARD_EFFECTS_QUEUE_URL", effects_queue_url),
            ("PULLYARD_CLUSTER", cluster),
            ("PULLYARD_TASK_DEFINITION", task_definition),
            ("PULLYARD_CONTAINER", container),
            ("PULLYARD_KEY_SECRET", key_secret),
            ("PULLYARD_API_URL", api_url),
            ("PULLYARD_TASK_ISOLATION", task_isolation),
        ];
        let replaced = [
            ("PULLYARD_DYNAMODB_ENDPOINT", dynamodb),
            ("PULLYARD_SQS_ENDPOINT", sqs),
            ("PULLYARD_ECS_ENDPOINT", ecs),
            ("PULLYARD_SECRETSMANAGER_ENDPOINT", secretsmanager),
        ];
        let replaced = replaced.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        let told = told.into_iter().map(|(name, value)| (name, value.clone()));
        let all = told.chain(replaced).chain(network.iter().flat_map(of_network));
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn of_network(network: &Network) -> [(&'static str, String); 3] {
    let Network { subnets, security_groups, public_ip } = network;
    [
        ("PULLYARD_SUBNETS", subnets.join(",")),
        ("PULLYARD_SECURITY_GROUPS", security_groups.join(",")),
        ("PULLYARD_PUBLIC_IP", public_ip.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &Config) {
        let variables = config.environment();
        let read = Config::read(|name| {
            variables.iter().find(|(told, _)| told == name).map(|(_, value)| value.clone()).filter(|v| !v.is_empty())
        });
        assert_eq!(format!("{:?}", read.unwrap()), format!("{config:?}"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut config = Config {
            table: "t".into(),
            dispatch_queue_url: "http://q/dispatch".into(),
            effects_queue_url: "http://q/effects.fifo".into(),
            cluster: "c".into(),
            task_definition: "family:3".into(),
            container: "other".into(),
            network: None,
            key_secret: "key".into(),
            api_url: "http://api".into(),
            task_isolation: "none".into(),
            endpoints: Endpoints::default(),
        };
        check(&config);
        config.endpoints = Endpoints {
            dynamodb: Some("http://d".into()),
            sqs: Some("http://s".into()),
            ecs: Some("http://e".into()),
            secretsmanager: Some("http://m".into()),
        };
        config.network =
            Some(Network { subnets: vec!["a".into(), "b".into()], security_groups: vec!["g".into()], public_ip: true });
        check(&config);
    }
}
