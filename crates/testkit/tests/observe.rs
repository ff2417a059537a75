//! Tests that an observer receives every request to every service, with the name of its caller.

use pullyard_emulator::{Access, Aws, Options, ecs};
use pullyard_testkit::observe::Observer;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

#[tokio::test]
async fn every_request_is_observed_before_its_answer() {
    let folder = TempDir::new().unwrap();
    let actions = Arc::new(Mutex::new(Vec::new()));
    let seen = actions.clone();
    let observer = Observer::new(move |call| {
        let app = call.app.clone().unwrap_or_default();
        let permissions = call.permissions().into_iter();
        seen.lock().unwrap().extend(permissions.map(|permission| format!("{app} {}", permission.action)));
    });
    let tasks = ecs::Options::new(folder.path().to_owned(), Vec::new());
    let options = Options { data: None, tasks, access: Access::Open };
    let aws = Aws::start(options).await.unwrap();
    let at = observer.start_taps(aws.endpoints()).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let long = json!({ "TableName": "t", "Item": { "pk": { "S": "x".repeat(200_000) } } });
    for (url, target, body, action) in [
        (&at.dynamodb, "DynamoDB_20120810.ListTables", json!({}), "dynamodb:ListTables"),
        (&at.dynamodb, "DynamoDB_20120810.PutItem", long, "dynamodb:PutItem"),
        (&at.dynamodb, "DynamoDB_20120810.GetItem", json!({ "TableName": "t" }), "dynamodb:GetItem"),
        (&at.sqs, "AmazonSQS.CreateQueue", json!({ "QueueName": "q" }), "sqs:CreateQueue"),
        (&at.sqs, "AmazonSQS.CreateQueue", json!({ "QueueName": "r", "tags": { "a": "b" } }), "sqs:TagQueue"),
        (&at.secretsmanager, "secretsmanager.ListSecrets", json!({}), "secretsmanager:ListSecrets"),
        (&at.ecs, "AmazonEC2ContainerServiceV20141113.ListTasks", json!({}), "ecs:ListTasks"),
    ] {
        let call = http.post(url).header("x-amz-target", target).header("user-agent", "sdk/1 app/one lang/rust");
        let answer = call.body(body.to_string()).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert!(answer.is_object(), "{target}: the answer is not an object");
        let found = actions.lock().unwrap().last().cloned().unwrap_or_default();
        assert_eq!(found, format!("one {action}"));
    }
    assert_eq!(actions.lock().unwrap().len(), 8, "each request is observed once, and tags need an action of their own");
    // An object with a signed URL. Its bytes contain a request, which must not be parsed.
    let object =
        http.put(format!("{}/b/a/c?x-app=one&X-Amz-Signature=0", at.s3)).body("GET /b/d?x-app=two HTTP/1.1\r\n\r\n");
    assert_eq!(object.send().await.unwrap().status().as_u16(), 403, "the signature is wrong");
    assert_eq!(actions.lock().unwrap().split_off(8), ["one s3:PutObject"]);
    aws.shutdown().await;
}
