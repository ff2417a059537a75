//! Each service answers its own protocol, and DynamoDB's folder outlives the process.

use pullyard_emulator::{Aws, Options, ecs};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{call, world};

#[tokio::test]
async fn every_service_answers_over_http() {
    let world = world("true").await;
    let at = world.aws.endpoints().clone();
    let (status, tables) = call(&at.dynamodb, "DynamoDB_20120810.ListTables", &json!({})).await;
    assert_eq!((status, tables), (200, json!({ "TableNames": [] })));
    let secret = json!({ "Name": "n", "SecretString": "s", "ClientRequestToken": "t".repeat(32) });
    let (status, made) = call(&at.secretsmanager, "secretsmanager.CreateSecret", &secret).await;
    assert_eq!(status, 200, "{made}");
    let (_, got) = call(&at.secretsmanager, "secretsmanager.GetSecretValue", &json!({ "SecretId": "n" })).await;
    assert_eq!(got["SecretString"], "s");
    let (status, queue) = call(&at.sqs, "AmazonSQS.CreateQueue", &json!({ "QueueName": "q" })).await;
    assert_eq!(status, 200, "{queue}");
    assert_eq!(queue["QueueUrl"], format!("{}/000000000000/q", at.sqs));
    let (status, missing) = call(&at.sqs, "AmazonSQS.GetQueueUrl", &json!({ "QueueName": "x" })).await;
    assert_eq!(status, 400, "{missing}");
    let (status, unknown) = call(&at.ecs, "AmazonSQS.CreateQueue", &json!({})).await;
    assert_eq!((status, &unknown["__type"]), (400, &json!("UnknownOperationException")));
    world.aws.shutdown().await;
    for url in [at.dynamodb, at.sqs, at.secretsmanager, at.ecs] {
        let address = url.strip_prefix("http://").unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "{url} still listens");
    }
}

#[tokio::test]
async fn a_long_poll_does_not_hold_the_shutdown() {
    let world = world("true").await;
    let queue = world.queue("q", json!({})).await;
    let url = world.aws.endpoints().sqs.clone();
    let request = json!({ "QueueUrl": queue, "WaitTimeSeconds": 20 });
    let polling = tokio::spawn(async move { call(&url, "AmazonSQS.ReceiveMessage", &request).await });
    let began = std::time::Instant::now();
    world.aws.shutdown().await;
    polling.abort();
    assert!(began.elapsed() < std::time::Duration::from_secs(15));
}

#[tokio::test]
async fn tables_in_a_folder_outlive_a_restart() {
    let folder = TempDir::new().unwrap();
    let options = || Options {
        data: Some(folder.path().join("data")),
        tasks: ecs::Options::new(folder.path().to_owned(), Vec::new()),
    };
    let aws = Aws::start(options()).await.unwrap();
    let table = json!({
        "TableName": "table",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
    });
    let dynamodb = aws.endpoints().dynamodb.clone();
    let (status, made) = call(&dynamodb, "DynamoDB_20120810.CreateTable", &table).await;
    assert_eq!(status, 200, "{made}");
    let item = json!({ "TableName": "table", "Item": { "pk": { "S": "a" } } });
    let (status, put) = call(&dynamodb, "DynamoDB_20120810.PutItem", &item).await;
    assert_eq!(status, 200, "{put}");
    aws.shutdown().await;

    let aws = Aws::start(options()).await.unwrap();
    let key = json!({ "TableName": "table", "Key": { "pk": { "S": "a" } } });
    let (_, got) = call(&aws.endpoints().dynamodb, "DynamoDB_20120810.GetItem", &key).await;
    assert_eq!(got["Item"]["pk"]["S"], "a");
    aws.shutdown().await;
}
