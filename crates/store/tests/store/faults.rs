//! A client below the SDK's retry loop that loses or replaces the answers of chosen calls.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// What becomes of one call.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It takes effect, and the connection breaks before its answer.
    LostAnswer,
    /// It takes effect, and the answer is this error.
    ErrorAfterEffect(u16, Value),
    /// It has no effect; the answer is this error.
    Refused(u16, Value),
}

impl Fault {
    pub(crate) fn error(status: u16, code: &str) -> Self {
        Self::Refused(status, error(code))
    }

    pub(crate) fn internal_error_after_effect() -> Self {
        Self::ErrorAfterEffect(500, error("InternalServerError"))
    }

    /// A transaction that was cancelled for these reasons, item by item.
    pub(crate) fn cancelled(reasons: &[&str]) -> Self {
        let mut body = error("TransactionCanceledException");
        body["CancellationReasons"] = reasons.iter().map(|code| json!({ "Code": code })).collect();
        Self::Refused(400, body)
    }
}

fn error(code: &str) -> Value {
    json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "injected" })
}

#[derive(Debug, Default)]
struct Plan {
    next: Vec<(&'static str, Fault)>,
    always: Vec<(&'static str, Fault)>,
    calls: Vec<String>,
}

/// Plain HTTP, with faults as planned.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    plan: Arc<Mutex<Plan>>,
    client: SharedHttpClient,
}

impl Faults {
    pub(crate) fn none() -> Self {
        Self { plan: Arc::default(), client: aws_smithy_http_client::Builder::new().build_http() }
    }

    /// The next call of `operation` that has no fault yet gets this one.
    pub(crate) fn next(&self, operation: &'static str, fault: Fault) {
        self.plan.lock().unwrap().next.push((operation, fault));
    }

    /// Every call of `operation` gets this one.
    pub(crate) fn always(&self, operation: &'static str, fault: Fault) {
        self.plan.lock().unwrap().always.push((operation, fault));
    }

    /// How many calls of `operation` were sent, the SDK's own repeats included, since this was asked last.
    /// Fails if a planned fault was not met.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        let mut plan = self.plan.lock().unwrap();
        assert!(plan.next.is_empty(), "never met: {:?}", plan.next);
        std::mem::take(&mut plan.calls).iter().filter(|call| *call == operation).count()
    }

    fn meet(&self, operation: &str) -> Option<Fault> {
        let mut plan = self.plan.lock().unwrap();
        plan.calls.push(operation.to_owned());
        if let Some(at) = plan.next.iter().position(|(name, _)| *name == operation) {
            return Some(plan.next.remove(at).1);
        }
        plan.always.iter().find(|(name, _)| *name == operation).map(|(_, fault)| fault.clone())
    }
}

impl HttpClient for Faults {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Faulty {
            faults: self.clone(),
            inner: self.client.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct Faulty {
    faults: Faults,
    inner: SharedHttpConnector,
}

impl HttpConnector for Faulty {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let fault = self.faults.meet(target.rsplit('.').next().unwrap_or_default());
        let Some(fault) = fault else {
            return self.inner.call(request);
        };
        let sent = (!matches!(fault, Fault::Refused(..))).then(|| self.inner.call(request));
        HttpConnectorFuture::new(async move {
            if let Some(sent) = sent {
                let status = sent.await?.status();
                assert!(status.is_success() || status.as_u16() == 400, "it should have been answered");
            }
            match fault {
                Fault::LostAnswer => Err(ConnectorError::io("the answer was lost".into())),
                Fault::ErrorAfterEffect(status, body) | Fault::Refused(status, body) => {
                    let status = status.try_into().expect("a status");
                    Ok(HttpResponse::new(status, SdkBody::from(body.to_string())))
                }
            }
        })
    }
}
