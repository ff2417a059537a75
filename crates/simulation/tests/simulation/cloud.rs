//! The simulated AWS: its state and its answers. Time passes only when the simulation advances it.

pub(crate) mod cluster;
pub(crate) mod queue;
pub(crate) mod table;

use crate::forge::{FORGE, Forge};
use crate::prelude::*;
use cluster::Cluster;
use queue::Queues;
use table::Table;

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) service: String,
    /// For the forge: method and URL.
    pub(crate) operation: String,
    pub(crate) body: Vec<u8>,
}

impl Call {
    pub(crate) fn body(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn writes(&self) -> bool {
        matches!(
            self.operation.as_str(),
            "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems" | "SendMessage" | "RunTask" | "StopTask"
        )
    }
}

/// Status and body.
pub(crate) type Answer = (u16, String);

#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) table: Table,
    pub(crate) queues: Queues,
    pub(crate) cluster: Cluster,
    /// Not part of AWS, but called through the same gate.
    pub(crate) forge: Forge,
    /// By full name.
    pub(crate) secrets: Vec<(String, String)>,
    pub(crate) now: Timestamp,
}

impl Cloud {
    pub(crate) fn new(now: Timestamp, seed: u64) -> Self {
        let (queues, cluster, forge) = Default::default();
        Self { table: Table::new(seed), queues, cluster, forge, secrets: vec![], now }
    }

    pub(crate) fn answer(&mut self, call: &Call) -> Answer {
        match call.service.as_str() {
            "DynamoDB_20120810" => self.table.answer(&call.operation, &call.body, self.now),
            "AmazonSQS" => self.queues.answer(&call.operation, &call.body(), self.now),
            "secretsmanager" => self.secret(&call.body()),
            "AmazonEC2ContainerServiceV20141113" => self.cluster.answer(&call.operation, &call.body()),
            FORGE => self.forge.answer(call),
            other => panic!("{other} is not simulated"),
        }
    }

    fn secret(&self, request: &Value) -> Answer {
        // No secret was ever replaced.
        let is_kept = request["VersionStage"] != "AWSPREVIOUS";
        let named = |(name, _): &&(String, String)| is_kept && request["SecretId"] == **name;
        match self.secrets.iter().find(named) {
            Some((name, value)) => {
                let body =
                    json!({ "Name": name, "SecretString": value, "VersionId": "1", "VersionStages": ["AWSCURRENT"] });
                (200, body.to_string())
            }
            None => error_answer(400, "ResourceNotFoundException", "no such secret"),
        }
    }
}

pub(crate) fn error_answer(status: u16, code: &str, message: &str) -> Answer {
    (status, json!({ "__type": code, "message": message, "Message": message }).to_string())
}
