//! What is asked of the embedded services, told to whoever wants to know, and which permissions AWS would ask
//! for it.
//!
//! Owns the words of IAM for what the services here answer: one action for each item of a transaction, an ARN
//! for each index, the item's partition key and the attributes that an update names. It refuses nothing: whether somebody may is for the observer to say.

mod expression;
mod permission;
mod tap;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

pub use permission::Permission;
pub(crate) use tap::tapped;

/// The largest request that any of the services takes: DynamoDB's.
const LARGEST: usize = 16 << 20;

/// A service of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// DynamoDB.
    DynamoDb,
    /// SQS.
    Sqs,
    /// Secrets Manager.
    SecretsManager,
    /// ECS.
    Ecs,
    /// S3. Its body says `Bucket` and `Key`.
    S3,
}

/// One request, before it is answered.
#[derive(Clone, Debug)]
pub struct Call {
    /// The name that the caller's SDK was given: `app/NAME` in its User-Agent. Of a signed address, of whoever
    /// signed it: `x-app`.
    pub app: Option<String>,
    /// Whom it is for.
    pub service: Service,
    /// The operation.
    pub operation: String,
    /// What it says; null if it is no JSON.
    pub body: Value,
}

impl Call {
    fn of(service: Service, header: impl Fn(&str) -> Option<String>, body: &[u8]) -> Self {
        let target = header("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let agent = header("user-agent").unwrap_or_default();
        let app = agent.split_whitespace().find_map(|word| word.strip_prefix("app/")).map(str::to_owned);
        Self { app, service, operation, body: serde_json::from_slice(body).unwrap_or_default() }
    }

    /// What AWS would ask the caller's policies for it; all of it must be allowed.
    #[must_use]
    pub fn permissions(&self) -> Vec<Permission> {
        permission::asked(self)
    }
}

/// Told of every request over HTTP; it must not wait.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(&Call) + Send + Sync>);

impl Observer {
    /// Calls this for every request.
    pub fn new(observe: impl Fn(&Call) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    pub(crate) fn tell(&self, call: &Call) {
        (self.0)(call);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Observer { .. }")
    }
}

/// A service whose every request the observer is told of, if there is one.
pub(crate) fn observed(router: Router, service: Service, observer: Option<Observer>) -> Router {
    match observer {
        None => router,
        Some(observer) => {
            router.layer(from_fn(move |request: Request, next: Next| told(observer.clone(), service, request, next)))
        }
    }
}

async fn told(observer: Observer, service: Service, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let body: Bytes = match to_bytes(body, LARGEST).await {
        Ok(body) => body,
        Err(error) => return (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response(),
    };
    let headers: &HeaderMap = &head.headers;
    if headers.contains_key("x-amz-target") {
        let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        observer.tell(&Call::of(service, header, &body));
    }
    next.run(Request::from_parts(head, Body::from(body))).await
}
