//! Requests that the services refuse: unsigned ones, and requests of pages in a browser.

use pullyard_emulator::{Access, Aws, Credentials, Options, ecs};
use pullyard_testkit::signed_headers;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::client;

const BODY: &str = "{}";

async fn post(url: &str, headers: HeaderMap) -> (u16, String) {
    let response = client().post(url).headers(headers).body(BODY).send().await.unwrap();
    let status = response.status().as_u16();
    let answer: Value = response.json().await.unwrap_or_default();
    (status, answer["__type"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn only_requests_with_the_credentials_of_this_start_are_answered() {
    let folder = TempDir::new().unwrap();
    let credentials = Credentials::random();
    let tasks = ecs::Options::new(folder.path().to_owned(), vec![]);
    let access = Access::Signed(credentials.clone());
    let aws = Aws::start(Options { data: None, tasks, access }).await.unwrap();
    let at = aws.endpoints();
    for (url, target) in [
        (&at.dynamodb, "DynamoDB_20120810.ListTables"),
        (&at.sqs, "AmazonSQS.ListQueues"),
        (&at.secretsmanager, "secretsmanager.ListSecrets"),
        (&at.ecs, "AmazonEC2ContainerServiceV20141113.ListTasks"),
    ] {
        let signed = |by: &Credentials| signed_headers(by, url, target, BODY);
        let with = |name: &'static str, value: &str| {
            let mut headers = signed(&credentials);
            headers.insert(name, value.parse().unwrap());
            headers
        };
        let unsigned = HeaderMap::from_iter([("x-amz-target".parse().unwrap(), target.parse().unwrap())]);
        let other_secret = Credentials { secret_access_key: "x".into(), ..credentials.clone() };
        for (case, headers, status, kind) in [
            ("signed", signed(&credentials), 200, ""),
            ("unsigned", unsigned, 403, "MissingAuthenticationTokenException"),
            ("another start's key", signed(&Credentials::random()), 403, "UnrecognizedClientException"),
            ("another secret", signed(&other_secret), 403, "InvalidSignatureException"),
            ("another body", signed_headers(&credentials, url, target, "{ }"), 403, "InvalidSignatureException"),
            ("a page", with("origin", "http://evil.test"), 403, "AccessDeniedException"),
            ("a page's own site", with("sec-fetch-site", "same-origin"), 403, "AccessDeniedException"),
            ("another host", with("host", "evil.test"), 421, ""),
        ] {
            assert_eq!(post(url, headers).await, (status, kind.to_owned()), "{target}: {case}");
        }
    }
    let object = client().get(format!("{}/bucket/key", at.s3)).header("host", "evil.test").send().await.unwrap();
    assert_eq!(object.status(), 421);
    aws.shutdown().await;
}
