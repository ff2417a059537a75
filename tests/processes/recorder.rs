//! A proxy that records the calls of an AWS service.

use crate::prelude::*;
use axum::http::Response;
use std::sync::PoisonError;

#[derive(Clone, Default)]
pub(crate) struct Recorder {
    calls: Arc<Mutex<Option<Vec<Value>>>>,
}

#[derive(Clone)]
struct ProxyState {
    recorder: Recorder,
    service: String,
    http: reqwest::Client,
}

impl Recorder {
    pub(crate) async fn start_proxy(&self, service: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let behind = ProxyState { recorder: self.clone(), service: service.to_owned(), http };
        let router = Router::new().fallback(forward).with_state(behind);
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    pub(crate) fn begin(&self) {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    pub(crate) fn end(&self) -> Vec<Value> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap()
    }
}

async fn forward(State(behind): State<ProxyState>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let target = headers["x-amz-target"].to_str().unwrap();
    if let Some(calls) = behind.recorder.calls.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        let (service, operation) = target.split_once('.').unwrap();
        let names = [("Dyn", "DynamoDB"), ("AmazonSQS", "SQS"), ("secrets", "SecretsManager"), ("AmazonEC2", "ECS")];
        let (_, service) = names.iter().find(|(begins, _)| service.starts_with(begins)).unwrap();
        let body = serde_json::from_slice::<Value>(&body).unwrap();
        calls.push(json!({ "service": service, "operation": operation, "body": body }));
    }
    let answer = behind.http.post(&behind.service).headers(headers).body(body).send().await.unwrap();
    let mut passed = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        passed = passed.header(name, value);
    }
    passed.body(axum::body::Body::from(answer.bytes().await.unwrap())).unwrap()
}
