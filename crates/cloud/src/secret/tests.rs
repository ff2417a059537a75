use super::*;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use pullyard_testkit::{Fault, Wire};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn parse_json_body(read: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(read);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    (body.len() == length.unwrap_or(0)).then(|| serde_json::from_str(body).unwrap())
}

const MISSING: &str = "ResourceNotFoundException";

async fn create_request(missing: &str, kms_key: Option<&str>, tags: Tags) -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let wire = Wire::default();
    let none = json!({ "__type": missing, "Message": "none" });
    wire.fail_next("PutSecretValue", Fault::Refused(400, none));
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("local"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("k", "s", None, None, "test")))
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .http_client(wire)
        .build();
    let secrets = Secrets::new(&config, Some(&url)).with_kms_key(kms_key.map(str::to_owned)).with_tags(tags);
    let answering = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        let request = loop {
            assert!(socket.read_buf(&mut read).await.unwrap() > 0, "the connection closed early");
            if let Some(request) = parse_json_body(&read) {
                break request;
            }
        };
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: 2\r\n\r\n{}";
        socket.write_all(answer).await.unwrap();
        request
    };
    let (set, request) = tokio::join!(secrets.put("t/user/s", "v"), answering);
    set.unwrap();
    request
}

#[tokio::test]
async fn secret_is_created_with_the_configured_kms_key_or_none() {
    let key = "arn:aws:kms:us-east-1:123456789012:key/1";
    let asked_with = create_request(MISSING, Some(key), Tags::default()).await;
    assert_eq!((&asked_with["Name"], &asked_with["KmsKeyId"]), (&json!("t/user/s"), &json!(key)));
    let with_none = create_request(MISSING, None, Tags::default()).await;
    assert_eq!((&with_none["KmsKeyId"], &with_none["Tags"]), (&Value::Null, &Value::Null));
}

/// AWS denies the call if the role names ARNs, because a missing secret has none.
#[tokio::test]
async fn secret_is_created_if_aws_denies_the_missing_name() {
    let created = create_request("AccessDeniedException", None, Tags::default()).await;
    assert_eq!(created["Name"], "t/user/s");
}

#[tokio::test]
async fn secret_is_created_with_the_configured_tags() {
    let tags = Tags::parse("stage=prod,pullyard:deployment=acme").unwrap();
    let expected = json!([
        { "Key": "pullyard:deployment", "Value": "acme" },
        { "Key": "stage", "Value": "prod" },
    ]);
    assert_eq!(create_request(MISSING, None, tags).await["Tags"], expected);
}
