//! Access to the embedded AWS services: tasks, queues and the table.

use super::{Story, wait_until};
use crate::prelude::*;
use pullyard_domain::text::id::ClaimId;
use pullyard_emulator::Credentials;
use pullyard_protocol::attempt::{Assignment, StartRequest};
use pullyard_protocol::client::Error;
use pullyard_testkit::signed_headers;

/// The credentials of a story's embedded AWS. `up` makes random ones.
pub(crate) fn aws_credentials() -> Credentials {
    Credentials { access_key_id: ACCESS_KEY_ID.into(), secret_access_key: SECRET_ACCESS_KEY.into() }
}

impl Story {
    pub(crate) async fn list_tasks(&self, job: &JobId) -> Vec<Value> {
        let listed = |status: &'static str| async move {
            let request = json!({ "cluster": "pullyard", "startedBy": job, "desiredStatus": status });
            self.call_ecs("ListTasks", request).await["taskArns"].as_array().cloned().unwrap_or_default()
        };
        let arns = [listed("RUNNING").await, listed("STOPPED").await].concat();
        if arns.is_empty() {
            return Vec::new();
        }
        let request = json!({ "cluster": "pullyard", "tasks": arns });
        let mut tasks = self.call_ecs("DescribeTasks", request).await["tasks"].as_array().cloned().unwrap_or_default();
        tasks.sort_by(|a, b| a["createdAt"].as_f64().partial_cmp(&b["createdAt"].as_f64()).unwrap());
        tasks
    }

    pub(crate) async fn wait_for_task(&self, job: &JobId, count: usize) -> Value {
        wait_until("the task is asked for", async || {
            let tasks = self.list_tasks(job).await;
            tasks.get(count - 1).cloned().ok_or_else(|| format!("{} tasks", tasks.len()))
        })
        .await
    }

    pub(crate) async fn call_ecs(&self, operation: &str, body: Value) -> Value {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        let (_, text) = self.call_aws(&self.local.aws().endpoints().ecs, &target, &body).await;
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn claim(&self, job: &JobId, claim: &str) -> Result<(Assignment, AttemptClient), Error> {
        let task = wait_until("the task is asked for", async || {
            let mut tasks = self.list_tasks(job).await;
            tasks.pop().ok_or("none".to_owned())
        })
        .await;
        self.claim_with_task(&task, job, claim).await
    }

    pub(crate) async fn claim_with_task(
        &self,
        task: &Value,
        job: &JobId,
        claim: &str,
    ) -> Result<(Assignment, AttemptClient), Error> {
        let variable = |name: &str| task_variable(task, name);
        let attempt = variable("PULLYARD_ATTEMPT").parse().unwrap();
        let request = StartRequest {
            claim_id: ClaimId::new(claim).unwrap(),
            instance: format!("instance-{claim}").parse().unwrap(),
            task: task["taskArn"].as_str().map(str::to_owned),
        };
        let base = self.local.api_url();
        let client =
            AttemptClient::new(base, &variable("PULLYARD_BOOTSTRAP"), job, attempt)?.with_call_timeout(WAIT_LIMIT);
        let assignment = client.start(&request).await?;
        let client =
            AttemptClient::new(base, &assignment.lease, job, assignment.attempt)?.with_call_timeout(WAIT_LIMIT);
        Ok((assignment, client))
    }

    pub(crate) async fn send_wake_up(&self, job: &JobId) {
        let message =
            json!({ "QueueUrl": self.queue_url("dispatch").await, "MessageBody": json!({ "job": job }).to_string() });
        self.local.aws().sqs().call("SendMessage", &message).await.unwrap();
    }

    pub(crate) async fn wait_for_empty_queues(&self) {
        for name in ["dispatch", "submissions", "effects.fifo", "calls.fifo"] {
            let request = json!({ "QueueUrl": self.queue_url(name).await, "AttributeNames": ["All"] });
            wait_until("the queue is empty", async || {
                let about = self.local.aws().sqs().call("GetQueueAttributes", &request).await.unwrap();
                let none = |attribute: &str| about["Attributes"][attribute] == "0";
                let empty = none("ApproximateNumberOfMessages") && none("ApproximateNumberOfMessagesNotVisible");
                if empty { Ok(()) } else { Err(about.to_string()) }
            })
            .await
        }
    }

    pub(crate) async fn queue_url(&self, name: &str) -> Value {
        self.local.aws().sqs().call("GetQueueUrl", &json!({ "QueueName": name })).await.unwrap()["QueueUrl"].take()
    }

    /// Calls the embedded DynamoDB, to read or to break an item.
    pub(crate) async fn call_dynamodb(&self, operation: &str, body: Value) -> Value {
        let target = format!("DynamoDB_20120810.{operation}");
        let (status, text) = self.call_aws(&self.local.aws().endpoints().dynamodb, &target, &body).await;
        assert!(status.is_success(), "{operation}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn call_aws(&self, url: &str, target: &str, body: &Value) -> (StatusCode, String) {
        let body = body.to_string();
        let headers = signed_headers(&aws_credentials(), url, target, &body);
        let answer = self.http.post(url).headers(headers).body(body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    pub(crate) async fn corrupt_sweep_note(&self) {
        self.break_item("SWEEPER", "SWEEPER", "gauges").await;
    }

    /// Replaces an attribute by a value that no version can parse.
    pub(crate) async fn break_item(&self, pk: &str, sk: &str, attribute: &str) {
        let edit = json!({
            "TableName": "pullyard",
            "Key": { "pk": { "S": pk }, "sk": { "S": sk } },
            "UpdateExpression": "SET #broken = :broken",
            "ExpressionAttributeNames": { "#broken": attribute },
            "ExpressionAttributeValues": { ":broken": { "S": "broken" } },
        });
        self.call_dynamodb("UpdateItem", edit).await;
    }

    /// A stored item as plain JSON; null if missing.
    pub(crate) async fn load_item(&self, pk: &str, sk: &str) -> Value {
        let key = json!({ "pk": { "S": pk }, "sk": { "S": sk } });
        let request = json!({ "TableName": "pullyard", "Key": key, "ConsistentRead": true });
        match self.call_dynamodb("GetItem", request).await.get("Item") {
            Some(item) => plain_json(&json!({ "M": item })),
            None => Value::Null,
        }
    }

    pub(crate) async fn load_job_item(&self, job: &JobId) -> Value {
        self.load_item(&format!("JOB#{job}"), "JOB").await
    }

    pub(crate) async fn kill_task(&self, task: &Value) {
        self.signal_task(task, "-KILL").await;
    }

    /// Stops its processes without an end, like a machine that swaps or a lost network.
    pub(crate) async fn freeze_task(&self, task: &Value) {
        self.signal_task(task, "-STOP").await;
    }

    async fn signal_task(&self, task: &Value, signal: &str) {
        let id = task["taskArn"].as_str().unwrap().rsplit('/').next().unwrap();
        let path = self.folder().join("ecs/tasks").join(id).join("task.json");
        let pid = wait_until("the task runs", async || {
            let record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap_or_default();
            record["process"]["pid"].as_u64().ok_or_else(|| record.to_string())
        })
        .await;
        let group = format!("-{pid}");
        let sent = tokio::process::Command::new("/bin/kill").args([signal, "--", &group]).status().await.unwrap();
        assert!(sent.success(), "{signal} {group}");
    }

    pub(crate) async fn wait_for_stopped_task(&self, task: &Value) {
        let request = json!({ "cluster": "pullyard", "tasks": [task["taskArn"]] });
        wait_until("the task is stopped", async || {
            let task = self.call_ecs("DescribeTasks", request.clone()).await["tasks"][0].take();
            if task["lastStatus"] == "STOPPED" { Ok(()) } else { Err(task.to_string()) }
        })
        .await
    }

    pub(crate) async fn wait_for_noted_death(&self, job: &JobId) {
        wait_until("the death is noted", async || {
            let job = self.load_job_item(job).await;
            if job["run"]["died"].is_object() { Ok(()) } else { Err(job.to_string()) }
        })
        .await
    }
}

pub(crate) fn task_variable(task: &Value, name: &str) -> String {
    let environment = task["overrides"]["containerOverrides"][0]["environment"].as_array().unwrap();
    let found = environment.iter().find(|pair| pair["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    found["value"].as_str().unwrap().to_owned()
}

fn plain_json(value: &Value) -> Value {
    let (kind, inner) = value.as_object().and_then(|typed| typed.iter().next()).unwrap();
    match kind.as_str() {
        "N" => serde_json::from_str(inner.as_str().unwrap()).unwrap(),
        "M" => inner.as_object().unwrap().iter().map(|(name, value)| (name.clone(), plain_json(value))).collect(),
        "L" => inner.as_array().unwrap().iter().map(plain_json).collect(),
        _ => inner.clone(),
    }
}
