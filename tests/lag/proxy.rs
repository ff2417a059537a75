//! A proxy to DynamoDB whose indexes and eventually consistent reads lag.

use crate::prelude::*;
use crate::story::DynamodbProxy;
use pullyard_testkit::{Lag, SendCall};
use std::sync::OnceLock;

const TARGET: &str = "DynamoDB_20120810.";
/// A header that DynamoDB requires; the emulator does not verify signatures.
const SIGNATURE: &str =
    "AWS4-HMAC-SHA256 Credential=local/20261120/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0";

/// A proxy that every call of the functions passes through.
#[derive(Clone)]
pub(crate) struct LagProxy {
    lag: Lag,
    url: String,
    /// The URL of DynamoDB, set before the first call.
    behind: Arc<OnceLock<String>>,
    http: reqwest::Client,
}

impl LagProxy {
    pub(crate) async fn start(seed: u64) -> Self {
        println!("the reads lag by the seed {seed}");
        Self::of(Lag::new(seed)).await
    }

    /// Starts a proxy whose lagging reads return the state of the last [`Lagging::catch_up`].
    pub(crate) async fn still() -> Self {
        Self::of(Lag::frozen()).await
    }

    async fn of(lag: Lag) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let lagging = Self { lag, url, behind: Arc::default(), http: reqwest::Client::new() };
        let router = Router::new().fallback(forward).with_state(lagging.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        lagging
    }

    /// The setting that places the proxy in front of a system's DynamoDB.
    pub(crate) fn between(&self) -> DynamodbProxy {
        let lagging = self.clone();
        DynamodbProxy::new(move |behind| {
            lagging.behind.set(behind.to_owned()).unwrap();
            lagging.url.clone()
        })
    }

    pub(crate) async fn catch_up(&self) {
        self.lag.catch_up().await.unwrap();
    }

    async fn call(&self, operation: &str, body: Vec<u8>) -> Result<(u16, Vec<u8>), reqwest::Error> {
        let call = self
            .http
            .post(self.behind.get().unwrap())
            .header("x-amz-target", format!("{TARGET}{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("authorization", SIGNATURE)
            .header("x-amz-date", "20261120T000000Z");
        let answer = call.body(body).send().await?;
        Ok((answer.status().as_u16(), answer.bytes().await?.to_vec()))
    }

    fn ask(&self) -> SendCall {
        let lagging = self.clone();
        Arc::new(move |operation, body: Value| {
            let lagging = lagging.clone();
            Box::pin(async move {
                let answer = lagging.call(operation, body.to_string().into_bytes()).await;
                match answer.map_err(|error| error.to_string())? {
                    (200, body) => serde_json::from_slice(&body).map_err(|error| error.to_string()),
                    (_, body) => Err(format!("{operation}: {}", String::from_utf8_lossy(&body))),
                }
            })
        })
    }

    async fn answer(&self, operation: &str, body: &[u8]) -> Result<(u16, Vec<u8>), String> {
        let passing = self.lag.rewrite(operation, body, &self.ask()).await?;
        let (status, body) = self.call(operation, passing.body.clone()).await.map_err(|error| error.to_string())?;
        Ok((status, passing.answer(body)))
    }
}

async fn forward(State(lagging): State<LagProxy>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.strip_prefix(TARGET).unwrap_or_default().to_owned();
    match lagging.answer(&operation, &body).await {
        Ok((status, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [("content-type", "application/x-amz-json-1.0")], body).into_response()
        }
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why).into_response(),
    }
}
