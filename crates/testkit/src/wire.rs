//! A client below the SDK's retry loop that numbers calls and injects faults.

use crate::{Fault, Schedule, split_batch};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// One call to AWS as sent; each retry of the SDK is a separate point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// AWS's name of the service, for example `DynamoDB_20120810`.
    pub service: String,
    /// For example `PutItem`.
    pub operation: String,
}

#[derive(Debug, Default)]
struct Plan {
    next: Vec<(&'static str, Fault)>,
    always: Vec<(&'static str, Fault)>,
    /// The call of this number since the last [`Wire::restart`], counted from 0.
    numbered_fault: Option<(usize, Fault)>,
    points: Vec<Point>,
    tokens: Vec<String>,
}

/// A plain HTTP client with planned faults. Clones share the plan.
#[derive(Clone, Debug)]
pub struct Wire {
    plan: Arc<Mutex<Plan>>,
    schedule: Option<Arc<Schedule>>,
    stop_notice: Arc<Notify>,
    client: SharedHttpClient,
}

impl Default for Wire {
    fn default() -> Self {
        let client = aws_smithy_http_client::Builder::new().build_http();
        Self { plan: Arc::default(), schedule: None, stop_notice: Arc::default(), client }
    }
}

impl Wire {
    /// Calls to DynamoDB without a planned fault get the faults of this schedule.
    #[must_use]
    pub fn with_schedule(schedule: Arc<Schedule>) -> Self {
        Self { schedule: Some(schedule), ..Self::default() }
    }

    #[must_use]
    pub fn with_client(self, client: impl HttpClient + 'static) -> Self {
        Self { client: SharedHttpClient::new(client), ..self }
    }

    pub fn fail_next(&self, operation: &'static str, fault: Fault) {
        self.plan().next.push((operation, fault));
    }

    pub fn fail_always(&self, operation: &'static str, fault: Fault) {
        self.plan().always.push((operation, fault));
    }

    /// Restarts the numbering at 0. The call of number `at` gets the fault, if given.
    pub fn restart(&self, at: Option<(usize, Fault)>) {
        let mut plan = self.plan();
        plan.points.clear();
        plan.numbered_fault = at;
    }

    pub fn points(&self) -> Vec<Point> {
        self.plan().points.clone()
    }

    pub async fn wait_for_stop(&self) {
        self.stop_notice.notified().await;
    }

    /// Runs `life` to its end. If a call stops it, drops it like a dying process and returns `None`.
    pub async fn run_until_stopped<T>(&self, life: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.wait_for_stop() => None,
            done = life => Some(done),
        }
    }

    pub(crate) fn stop(&self) {
        self.stop_notice.notify_one();
    }

    /// The number of calls of `operation` since the last query, including the SDK's retries.
    ///
    /// # Panics
    /// If a planned fault was not met.
    pub fn take_call_count(&self, operation: &str) -> usize {
        let mut plan = self.plan();
        assert!(plan.next.is_empty(), "never met: {:?}", plan.next);
        std::mem::take(&mut plan.points).iter().filter(|point| point.operation == operation).count()
    }

    #[must_use]
    pub fn take_tokens(&self) -> Vec<String> {
        std::mem::take(&mut self.plan().tokens)
    }

    fn note_token(&self, request: &HttpRequest) {
        let body: Option<Value> = request.body().bytes().and_then(|body| serde_json::from_slice(body).ok());
        let token = body.as_ref().and_then(|body| body["ClientRequestToken"].as_str()).map(str::to_owned);
        self.plan().tokens.extend(token);
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_fault(&self, point: Point) -> Option<Fault> {
        let mut plan = self.plan();
        let number = plan.points.len();
        let operation = point.operation.clone();
        plan.points.push(point);
        if let Some((_, fault)) = plan.numbered_fault.take_if(|(at, _)| *at == number) {
            return Some(fault);
        }
        if let Some(at) = plan.next.iter().position(|(name, _)| *name == operation) {
            return Some(plan.next.remove(at).1);
        }
        plan.always.iter().find(|(name, _)| *name == operation).map(|(_, fault)| fault.clone())
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(WireConnector {
            wire: self.clone(),
            inner: self.client.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct WireConnector {
    wire: Wire,
    inner: SharedHttpConnector,
}

impl HttpConnector for WireConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let (service, operation) = target.split_once('.').unwrap_or_default();
        let point = Point { service: service.to_owned(), operation: operation.to_owned() };
        if operation == "TransactWriteItems" {
            self.wire.note_token(&request);
        }
        let scheduled = self.wire.schedule.as_ref().filter(|_| service.starts_with("DynamoDB_"));
        let scheduled = || scheduled?.fault(operation, &request);
        let Some(fault) = self.wire.next_fault(point).or_else(scheduled) else {
            return self.inner.call(request);
        };
        if fault == Fault::Half {
            return send_half(request, &self.inner);
        }
        if fault == Fault::ShortPage {
            return self.inner.call(limit_to_one_item(request));
        }
        let sent = fault.has_effect().then(|| self.inner.call(request));
        let stopped = Arc::clone(&self.wire.stop_notice);
        HttpConnectorFuture::new(async move {
            if let Some(sent) = sent {
                let status = sent.await?.status();
                assert!(
                    status.is_success() || status.as_u16() == 400,
                    "the service answered with an unexpected status"
                );
            }
            match fault {
                Fault::NeverSent => Err(ConnectorError::io("the connection was refused".into())),
                Fault::LostAnswer => Err(ConnectorError::io("the answer was lost".into())),
                Fault::ErrorAfterEffect(status, body) | Fault::Refused(status, body) => {
                    let status = status.try_into().map_err(|error| ConnectorError::user(Box::new(error)))?;
                    Ok(HttpResponse::new(status, SdkBody::from(body.to_string())))
                }
                Fault::Half | Fault::ShortPage => {
                    Err(ConnectorError::other("only a part of it was to be answered".into(), None))
                }
                Fault::StopBefore | Fault::StopAfter => {
                    stopped.notify_one();
                    std::future::pending().await
                }
            }
        })
    }
}

fn request_body(request: &HttpRequest) -> Value {
    request.body().bytes().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default()
}

/// The request with another body. This breaks the signature, which the emulator does not verify.
fn with_body(mut request: HttpRequest, call: &Value) -> HttpRequest {
    let body = call.to_string();
    request.headers_mut().insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
    request
}

/// Limits a query to one item; the service's answer then has the key of the next page.
fn limit_to_one_item(request: HttpRequest) -> HttpRequest {
    let mut call = request_body(&request);
    call["Limit"] = 1.into();
    with_body(request, &call)
}

/// Requests the first half of the keys and names the rest as unprocessed.
fn send_half(request: HttpRequest, inner: &SharedHttpConnector) -> HttpConnectorFuture {
    let (first, rest) = split_batch::split_batch(&request_body(&request));
    let request = with_body(request, &first);
    let sent = inner.call(request);
    HttpConnectorFuture::new(async move {
        let mut response = sent.await?;
        let body = collect_body(&mut response).await.map_err(|error| ConnectorError::io(error.into()))?;
        // Both headers belong to the original body.
        response.headers_mut().remove("x-amz-crc32");
        response.headers_mut().remove("content-length");
        *response.body_mut() = SdkBody::from(split_batch::partial_answer(&body, rest));
        Ok(response)
    })
}

/// Takes the whole body of an answer.
pub(crate) async fn collect_body(response: &mut HttpResponse) -> Result<Vec<u8>, String> {
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let body = ByteStream::new(body).collect().await.map_err(|error| error.to_string())?;
    Ok(body.to_vec())
}
