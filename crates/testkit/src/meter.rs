//! A client that adds up the capacity that DynamoDB charges.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde::Deserialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Calls and request units since the last [`Meter::restart`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Units {
    pub calls: u64,
    pub read_units: f64,
    /// Write request units, including index rows.
    pub write: f64,
}

/// The parsed part of an answer. It is small, because benchmarks measure this code too.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "ConsumedCapacity")]
    consumed: Option<Consumed>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Consumed {
    OneTable(Capacity),
    Tables(Vec<Capacity>),
}

#[derive(Deserialize)]
struct Capacity {
    #[serde(rename = "CapacityUnits")]
    units: f64,
}

/// Requests the consumed capacity with every call to DynamoDB. Clones share the sum.
#[derive(Clone, Debug)]
pub struct Meter {
    inner: SharedHttpClient,
    units: Arc<Mutex<Units>>,
}

impl Meter {
    #[must_use]
    pub fn wrap(inner: impl HttpClient + 'static) -> Self {
        Self { inner: SharedHttpClient::new(inner), units: Arc::default() }
    }

    pub fn restart(&self) {
        *self.lock() = Units::default();
    }

    #[must_use]
    pub fn units(&self) -> Units {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Units> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, reads: bool, answer: Answer) {
        let sum: f64 = match answer.consumed {
            None => 0.0,
            Some(Consumed::OneTable(table)) => table.units,
            Some(Consumed::Tables(tables)) => tables.iter().map(|table| table.units).sum(),
        };
        let mut units = self.lock();
        *(if reads { &mut units.read_units } else { &mut units.write }) += sum;
    }
}

impl HttpClient for Meter {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(MeteredConnector { meter: self.clone(), inner })
    }
}

#[derive(Debug)]
struct MeteredConnector {
    meter: Meter,
    inner: SharedHttpConnector,
}

impl HttpConnector for MeteredConnector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let Some(operation) = target.strip_prefix("DynamoDB_20120810.").map(str::to_owned) else {
            return self.inner.call(request);
        };
        let reads = operation.contains("Get") || operation == "Query";
        self.meter.lock().calls += 1;
        // This breaks the signature, which the emulator does not verify. Each call names at least its table, so the
        // object has more fields after this one.
        let rest = request.body().bytes().and_then(|body| body.strip_prefix(b"{"));
        if let Some(rest) = rest {
            let body = [br#"{"ReturnConsumedCapacity":"TOTAL","#, rest].concat();
            request.headers_mut().insert("content-length", body.len().to_string());
            *request.body_mut() = SdkBody::from(body);
        }
        let (meter, sent) = (self.meter.clone(), self.inner.call(request));
        HttpConnectorFuture::new(async move {
            let answer = sent.await?;
            let (status, headers, body) = (answer.status(), answer.headers().clone(), answer.into_body());
            let body = ByteStream::new(body).collect().await;
            let body = body.map_err(|error| ConnectorError::io(error.into()))?.into_bytes();
            if let Ok(consumption) = serde_json::from_slice(&body) {
                meter.count(reads, consumption);
            }
            let mut answer = HttpResponse::new(status, SdkBody::from(body));
            *answer.headers_mut() = headers;
            Ok(answer)
        })
    }
}
