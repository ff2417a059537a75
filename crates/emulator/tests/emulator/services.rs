//! Wire protocols, ports and persistence of the embedded services.

use pullyard_emulator::{Access, Aws, Endpoints, Options, ecs};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{call, client, wait_until, world};

async fn call_secrets(aws: &Aws, operation: &str, body: Value) -> (u16, Value) {
    call(&aws.endpoints().secretsmanager, &format!("secretsmanager.{operation}"), &body).await
}

#[tokio::test]
async fn each_service_responds_over_http() {
    let world = world("true").await;
    let at = world.aws.endpoints().clone();
    let (status, tables) = call(&at.dynamodb, "DynamoDB_20120810.ListTables", &json!({})).await;
    assert_eq!((status, tables), (200, json!({ "TableNames": [] })));
    let secret = json!({ "Name": "n", "SecretString": "s", "ClientRequestToken": "t".repeat(32) });
    let (status, answer) = call(&at.secretsmanager, "secretsmanager.CreateSecret", &secret).await;
    assert_eq!(status, 200, "{answer}");
    let (_, got) = call(&at.secretsmanager, "secretsmanager.GetSecretValue", &json!({ "SecretId": "n" })).await;
    assert_eq!(got["SecretString"], "s");
    let (status, queue) = call(&at.sqs, "AmazonSQS.CreateQueue", &json!({ "QueueName": "q" })).await;
    assert_eq!(status, 200, "{queue}");
    assert_eq!(queue["QueueUrl"], format!("{}/000000000000/q", at.sqs));
    let (status, missing) = call(&at.sqs, "AmazonSQS.GetQueueUrl", &json!({ "QueueName": "x" })).await;
    assert_eq!(status, 400, "{missing}");
    let (status, unknown) = call(&at.ecs, "AmazonSQS.CreateQueue", &json!({})).await;
    assert_eq!((status, &unknown["__type"]), (400, &json!("UnknownOperationException")));
    for url in [&at.dynamodb, &at.sqs, &at.secretsmanager, &at.ecs, &at.s3] {
        let preflight = client().request(reqwest::Method::OPTIONS, url).header("origin", "https://page.example");
        let preflight = preflight.header("access-control-request-headers", "x-amz-target").send().await.unwrap();
        assert!(!preflight.headers().contains_key("access-control-allow-origin"), "{url} allows web pages");
    }
    let (_, unnamed) = call(&at.dynamodb, "", &json!({})).await;
    assert!(unnamed["message"].as_str().unwrap().contains("not implemented"), "{unnamed}");
    world.aws.shutdown().await;
    for url in [at.dynamodb, at.sqs, at.secretsmanager, at.ecs] {
        let address = url.strip_prefix("http://").unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "{url} still listens");
    }
}

#[tokio::test]
async fn invalid_sqs_message_is_rejected() {
    let world = world("true").await;
    let queue = world.queue("q.fifo", json!({ "FifoQueue": "true" })).await;
    let url = world.aws.endpoints().sqs.clone();
    let send = async |body: &str, group: &str, id: &str| {
        let request = json!({
            "QueueUrl": queue, "MessageBody": body, "MessageGroupId": group, "MessageDeduplicationId": id,
        });
        let (status, answer) = call(&url, "AmazonSQS.SendMessage", &request).await;
        (status, answer["__type"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |code: &str| (400, code.to_owned());
    for body in ["a\u{fffe}", "\u{ffff}b", "\u{1}"] {
        assert_eq!(send(body, "group", "id").await, refused("InvalidMessageContents"), "{body:?}");
    }
    let (longest, longer) = ("~".repeat(128), "~".repeat(129));
    for name in ["a b", "\u{fc}", "", longer.as_str()] {
        assert_eq!(send("body", name, "id").await, refused("InvalidParameterValue"), "{name:?}");
        assert_eq!(send("body", "group", name).await, refused("InvalidParameterValue"), "{name:?}");
    }
    let response = send("\t\n\r \u{7f}\u{d7ff}\u{e000}\u{fffd}\u{1fffe}\u{10ffff}", longest.as_str(), "!").await;
    assert_eq!(response, (200, String::new()));
    world.aws.shutdown().await;
}

#[tokio::test]
async fn long_poll_does_not_delay_the_shutdown() {
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
async fn only_expired_items_are_deleted_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let options = || Options {
        data: Some(folder.path().join("data")),
        tasks: ecs::Options::new(folder.path().to_owned(), Vec::new()),
        access: Access::Open,
    };
    let aws = Aws::start(options()).await.unwrap();
    let dynamodb = aws.endpoints().dynamodb.clone();
    let table = json!({
        "TableName": "table",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
    });
    let lives = json!({ "AttributeName": "expires", "Enabled": true });
    let item = |key: &str, expires: &str| json!({ "TableName": "table", "Item": { "pk": { "S": key }, "expires": { "N": expires } } });
    for (operation, body) in [
        ("CreateTable", table),
        ("UpdateTimeToLive", json!({ "TableName": "table", "TimeToLiveSpecification": lives })),
        ("PutItem", item("over", "1000000000")),
        ("PutItem", item("lives", "9000000000")),
    ] {
        let (status, answer) = call(&dynamodb, &format!("DynamoDB_20120810.{operation}"), &body).await;
        assert_eq!(status, 200, "{operation}: {answer}");
    }
    aws.shutdown().await;

    let aws = Aws::start(options()).await.unwrap();
    let dynamodb = aws.endpoints().dynamodb.clone();
    let scan = wait_until("the expired item is gone", || async {
        let (_, got) = call(&dynamodb, "DynamoDB_20120810.Scan", &json!({ "TableName": "table" })).await;
        (got["Count"] == 1).then_some(got)
    });
    assert_eq!(scan.await["Items"][0]["pk"]["S"], "lives");
    aws.shutdown().await;
}

#[tokio::test]
async fn secrets_survive_a_crash_in_a_private_file() {
    let folder = TempDir::new().unwrap();
    let options = || Options {
        data: Some(folder.path().join("data")),
        tasks: ecs::Options::new(folder.path().to_owned(), Vec::new()),
        access: Access::Open,
    };
    let ask = async |aws: &Aws, operation: &str, body: Value| {
        let (status, answer) = call_secrets(aws, operation, body).await;
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    };
    let token = || "t".repeat(32);
    let aws = Aws::start(options()).await.unwrap();
    for (name, value) in [("a/one", "first"), ("a/two", "gone"), ("b/three", "kept")] {
        ask(&aws, "CreateSecret", json!({ "Name": name, "SecretString": value, "ClientRequestToken": token() })).await;
    }
    let put = json!({ "SecretId": "a/one", "SecretString": "second", "ClientRequestToken": "u".repeat(32) });
    ask(&aws, "PutSecretValue", put).await;
    ask(&aws, "DeleteSecret", json!({ "SecretId": "a/two", "ForceDeleteWithoutRecovery": true })).await;
    let dates = |list: Value| {
        let entries = list["SecretList"].as_array().unwrap().clone();
        entries.iter().map(|entry| (entry["Name"].to_string(), entry["LastChangedDate"].clone())).collect::<Vec<_>>()
    };
    let list = json!({ "Filters": [{ "Key": "name", "Values": ["a/"] }] });
    let before = dates(ask(&aws, "ListSecrets", list.clone()).await);
    assert_eq!(before.len(), 1);
    // No orderly shutdown, as after a crash.
    aws.detach().await;

    let aws = Aws::start(options()).await.unwrap();
    for (name, value) in [("a/one", "second"), ("b/three", "kept")] {
        let got = ask(&aws, "GetSecretValue", json!({ "SecretId": name })).await;
        assert_eq!(got["SecretString"], value);
    }
    let before_rotation = json!({ "SecretId": "a/one", "VersionStage": "AWSPREVIOUS" });
    assert_eq!(ask(&aws, "GetSecretValue", before_rotation).await["SecretString"], "first");
    assert_eq!(dates(ask(&aws, "ListSecrets", list.clone()).await), before, "the dates survive the restart");
    let create = json!({ "Name": "b/four", "SecretString": "new", "ClientRequestToken": token() });
    ask(&aws, "CreateSecret", create).await;
    assert_eq!(dates(ask(&aws, "ListSecrets", list).await), before, "the other secrets did not change");
    #[cfg(unix)]
    {
        let about = std::fs::metadata(folder.path().join("data/secretsmanager.json")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o777, 0o600);
    }
    aws.shutdown().await;
}

#[tokio::test]
async fn secret_version_is_stored_once_and_lists_have_pages() {
    let world = world("true").await;
    let ask = async |operation: &str, body: Value| call_secrets(&world.aws, operation, body).await;
    let refused = async |operation: &str, body: Value, kind: &str| {
        let (status, answer) = ask(operation, body).await;
        assert_eq!((status, &answer["__type"]), (400, &json!(kind)), "{operation}");
    };
    let put = |value: &str, token: &str| json!({ "SecretId": "a", "SecretString": value, "ClientRequestToken": token });
    refused("PutSecretValue", put("first", "1"), "ResourceNotFoundException").await;
    for name in ["a", "ab", "b"] {
        let create = json!({ "Name": name, "SecretString": "first", "ClientRequestToken": "1" });
        assert_eq!(ask("CreateSecret", create.clone()).await.0, 200);
        refused("CreateSecret", create, "ResourceExistsException").await;
    }
    let previous = json!({ "SecretId": "a", "VersionStage": "AWSPREVIOUS" });
    refused("GetSecretValue", previous.clone(), "ResourceNotFoundException").await;
    for _ in 0..2 {
        assert_eq!(ask("PutSecretValue", put("second", "2")).await.0, 200);
        assert_eq!(ask("GetSecretValue", previous.clone()).await.1["SecretString"], "first");
    }
    refused("PutSecretValue", put("other", "2"), "ResourceExistsException").await;
    let (_, described) = ask("DescribeSecret", json!({ "SecretId": "a" })).await;
    assert_eq!(described["VersionIdsToStages"], json!({ "2": ["AWSCURRENT"] }));
    let page = async |next: Value| {
        let filters = json!([{ "Key": "name", "Values": ["a"] }]);
        let (_, page) = ask("ListSecrets", json!({ "Filters": filters, "MaxResults": 1, "NextToken": next })).await;
        (page["SecretList"][0]["Name"].clone(), page["NextToken"].clone())
    };
    let (first, next) = page(Value::Null).await;
    assert_eq!((first, page(next).await), (json!("a"), (json!("ab"), Value::Null)));
    world.aws.shutdown().await;
}

#[tokio::test]
async fn malformed_secrets_file_fails_the_start_without_a_quote() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("secretsmanager.json"), r#"{"a":{"SecretString":hunter2}}"#).unwrap();
    let tasks = ecs::Options::new(folder.path().to_owned(), Vec::new());
    let error =
        Aws::start(Options { data: Some(folder.path().to_owned()), tasks, access: Access::Open }).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn services_prefer_consecutive_ports_and_skip_a_used_one() {
    let folder = TempDir::new().unwrap();
    let tasks = || ecs::Options::new(folder.path().to_owned(), Vec::new());
    let options = || Options { data: None, tasks: tasks(), access: Access::Open };
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    // Below Linux's ephemeral ports.
    let begin = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let first = (begin..32_000).find(|first| (*first..*first + 5).all(|port| is_free(&port))).unwrap();
    let ports = |at: &Endpoints| {
        [&at.dynamodb, &at.sqs, &at.secretsmanager, &at.ecs, &at.s3]
            .map(|url| url.rsplit_once(':').unwrap().1.parse::<u16>().unwrap())
    };
    let listener = std::net::TcpListener::bind(("127.0.0.1", first + 1)).unwrap();
    let aws = Aws::start_on(options(), Some(first)).await.unwrap();
    let [dynamodb, sqs, secretsmanager, ecs, s3] = ports(aws.endpoints());
    assert_eq!([dynamodb, secretsmanager, ecs, s3], [first, first + 2, first + 3, first + 4]);
    assert_ne!(sqs, first + 1);
    aws.shutdown().await;
    drop(listener);
}
