//! Calls of the services' protocols for setup and inspection, outside the functions and the numbered calls.

use super::step::{Call, From};
use super::world::TABLE;
use crate::prelude::*;
use pullyard_emulator::Endpoints;
use pullyard_emulator::sqs::Sqs;

pub(super) struct Secret {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) previous: Option<String>,
}

pub(super) struct Raw {
    at: Endpoints,
    http: reqwest::Client,
}

impl Raw {
    pub(super) fn new(at: Endpoints, http: reqwest::Client) -> Self {
        Self { at, http }
    }

    async fn call(&self, url: &str, target: &str, body: Value) -> Value {
        self.try_call(url, target, body).await.unwrap_or_else(|refused| panic!("{target}: {refused}"))
    }

    /// The answer, or the text of the refusal.
    async fn try_call(&self, url: &str, target: &str, body: Value) -> Result<Value, String> {
        let call = self.http.post(url).header("x-amz-target", target);
        let answer = call.body(body.to_string()).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        if !status.is_success() {
            return Err(text);
        }
        Ok(serde_json::from_str(&text).unwrap())
    }

    async fn dynamodb(&self, operation: &str, body: Value) -> Value {
        self.call(&self.at.dynamodb, &format!("DynamoDB_20120810.{operation}"), body).await
    }

    async fn ecs(&self, operation: &str, body: Value) -> Value {
        self.call(&self.at.ecs, &format!("AmazonEC2ContainerServiceV20141113.{operation}"), body).await
    }

    pub(super) async fn items(&self) -> Vec<Value> {
        let mut found = self.dynamodb("Scan", json!({ "TableName": TABLE, "ConsistentRead": true })).await;
        assert!(found.get("LastEvaluatedKey").is_none(), "more than one page");
        serde_json::from_value(found["Items"].take()).unwrap()
    }

    pub(super) async fn put_items(&self, items: Vec<Value>) {
        for batch in items.chunks(25) {
            let puts: Vec<_> = batch.iter().map(|item| json!({ "PutRequest": { "Item": item } })).collect();
            self.dynamodb("BatchWriteItem", json!({ "RequestItems": { TABLE: puts } })).await;
        }
    }

    pub(super) async fn put_secret(&self, name: &str, value: &str) {
        let request = json!({ "Name": name, "SecretString": value, "ClientRequestToken": "0".repeat(32) });
        self.call(&self.at.secretsmanager, "secretsmanager.CreateSecret", request).await;
    }

    pub(super) async fn secrets(&self) -> Vec<Secret> {
        let at = &self.at.secretsmanager;
        let listed = self.call(at, "secretsmanager.ListSecrets", json!({ "MaxResults": 100 })).await;
        let mut secrets = Vec::new();
        for entry in listed["SecretList"].as_array().into_iter().flatten() {
            let name = entry["Name"].as_str().unwrap().to_owned();
            let value = self.call(at, "secretsmanager.GetSecretValue", json!({ "SecretId": name })).await;
            let before = json!({ "SecretId": name, "VersionStage": "AWSPREVIOUS" });
            // Refused if the secret has a single version.
            let before = self.try_call(at, "secretsmanager.GetSecretValue", before).await.ok();
            let before = before.and_then(|before| Some(before["VersionId"].as_str()?.to_owned()));
            secrets.push(Secret { name, value: value["SecretString"].as_str().unwrap().to_owned(), previous: before });
        }
        secrets
    }

    pub(super) async fn send(&self, sqs: &Sqs, queue: &str, body: &str) -> String {
        let mut request = json!({ "QueueUrl": self.url(sqs, queue).await, "MessageBody": body });
        if queue.ends_with(".fifo") {
            request["MessageGroupId"] = "walk".into();
            request["MessageDeduplicationId"] = "walk".into();
        }
        sqs.call("SendMessage", &request).await.unwrap()["MessageId"].as_str().unwrap().to_owned()
    }

    pub(super) async fn count(&self, sqs: &Sqs, queue: &str) -> u64 {
        let request = json!({ "QueueUrl": self.url(sqs, queue).await, "AttributeNames": ["All"] });
        let about = sqs.call("GetQueueAttributes", &request).await.unwrap();
        let counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        counts.map(|name| about["Attributes"][name].as_str().unwrap().parse::<u64>().unwrap()).iter().sum()
    }

    pub(super) async fn create_queue(&self, sqs: &Sqs, name: &str) -> String {
        let mut attributes = json!({ "VisibilityTimeout": "3600" });
        if name.ends_with(".fifo") {
            attributes["FifoQueue"] = "true".into();
        }
        let response = sqs.call("CreateQueue", &json!({ "QueueName": name, "Attributes": attributes })).await.unwrap();
        response["QueueUrl"].as_str().unwrap().to_owned()
    }

    async fn url(&self, sqs: &Sqs, queue: &str) -> Value {
        sqs.call("GetQueueUrl", &json!({ "QueueName": queue })).await.unwrap()["QueueUrl"].take()
    }

    pub(super) async fn receive(&self, sqs: &Sqs, queue: &str) -> Option<(Value, String)> {
        let request = json!({
            "QueueUrl": self.url(sqs, queue).await, "MaxNumberOfMessages": 1, "MessageSystemAttributeNames": ["All"],
        });
        let received = sqs.call("ReceiveMessage", &request).await.unwrap();
        let message = received["Messages"].as_array()?.first()?;
        let receipt = message["ReceiptHandle"].as_str()?.to_owned();
        let record = json!({
            "messageId": message["MessageId"], "receiptHandle": receipt, "body": message["Body"],
            "attributes": message["Attributes"], "messageAttributes": {}, "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs", "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:{queue}"),
            "awsRegion": "us-east-1",
        });
        Some((json!({ "Records": [record] }), receipt))
    }

    pub(super) async fn delete_message(&self, sqs: &Sqs, queue: &str, receipt: &str) {
        let request = json!({ "QueueUrl": self.url(sqs, queue).await, "ReceiptHandle": receipt });
        sqs.call("DeleteMessage", &request).await.unwrap();
    }

    pub(super) async fn delete_message_of(&self, sqs: &Sqs, call: &Call) {
        if let From::Queue { queue, receipt } = &call.from {
            self.delete_message(sqs, queue, receipt).await;
        }
    }

    pub(super) async fn stop_task(&self, task: &Value) {
        self.ecs("StopTask", json!({ "cluster": "pullyard", "task": task })).await;
    }

    pub(super) async fn tasks(&self) -> Vec<Value> {
        let mut arns = Vec::new();
        for status in ["RUNNING", "STOPPED"] {
            let listed = self.ecs("ListTasks", json!({ "cluster": "pullyard", "desiredStatus": status })).await;
            arns.extend(listed["taskArns"].as_array().cloned().unwrap_or_default());
        }
        if arns.is_empty() {
            return arns;
        }
        let mut found = self.ecs("DescribeTasks", json!({ "cluster": "pullyard", "tasks": arns })).await;
        let mut tasks: Vec<Value> = serde_json::from_value(found["tasks"].take()).unwrap();
        tasks.sort_by(|a, b| a["createdAt"].as_f64().partial_cmp(&b["createdAt"].as_f64()).unwrap());
        tasks
    }
}
