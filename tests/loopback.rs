//! Listeners of `up`, `demo` and `try` against pages in the user's browser, whose host name resolves to 127.0.0.1.

use crate::prelude::*;
use pullyard_local::Options;

#[tokio::test(flavor = "multi_thread")]
async fn page_of_another_host_reaches_no_listener() {
    let folder = TempDir::new().unwrap();
    let mut options = Options::new(folder.path().to_path_buf(), vec!["true".into()]);
    options.public_url = Some("https://pullyard.example.com:8443".into());
    let local = LocalSystem::start(options).await.unwrap();
    let at = local.aws().endpoints().clone();
    let (api, forge) = (local.api_url().to_owned(), local.forge().url().to_owned());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let status = async |url: &str, host: &str| {
        let page = [("host", host), ("origin", "http://evil.test"), ("sec-fetch-site", "same-origin")];
        let call = page.into_iter().fold(http.get(url), |call, (name, value)| call.header(name, value));
        call.send().await.unwrap().status().as_u16()
    };
    for url in [&api, &forge, &at.dynamodb, &at.sqs, &at.secretsmanager, &at.ecs, &at.s3] {
        for host in ["evil.test", "evil.test:7878", "pullyard.example.com.evil.test"] {
            assert_eq!(status(url, host).await, 421, "{url} as {host}");
        }
    }
    let health = format!("{api}/healthz");
    for host in ["localhost", "127.0.0.1:1", "[::1]", "pullyard.example.com", "pullyard.example.com:8443"] {
        assert_eq!(status(&health, host).await, 200, "{host}");
    }
    assert_eq!(status(&forge, "pullyard.example.com").await, 421, "the forge is not published");
    local.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_aws_has_new_credentials_at_each_start() {
    let folder = TempDir::new().unwrap();
    let start =
        async || LocalSystem::start(Options::new(folder.path().to_path_buf(), vec!["true".into()])).await.unwrap();
    let local = start().await;
    let first = local.aws().credentials().clone();
    local.shutdown().await;
    let local = start().await;
    let second = local.aws().credentials().clone();
    assert_ne!(first, second);
    let file: Value = serde_json::from_slice(&std::fs::read(folder.path().join("aws.json")).unwrap()).unwrap();
    assert_eq!(file["SecretAccessKey"], second.secret_access_key);
    local.shutdown().await;
}
