//! A client of the embedded AWS in this process, without a connection.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use axum::body::Body;
use axum::http::Request;
use pullyard_emulator::Direct;

/// Calls DynamoDB, SQS, Secrets Manager and ECS as functions. The body of a request must be in memory.
#[derive(Clone, Debug)]
pub struct DirectClient(pub Direct);

impl HttpClient for DirectClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for DirectClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let services = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = to_http(request).map_err(|error| ConnectorError::user(error.into()))?;
            // As over a connection, other branches of the caller continue between two calls of this one.
            tokio::task::yield_now().await;
            let answer = services.call(request).await;
            let answer = answer.ok_or_else(|| ConnectorError::io("no service answered".into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from)).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

fn to_http(request: HttpRequest) -> Result<Request<Body>, String> {
    let body = request.body().bytes().ok_or("the body is a stream")?.to_vec();
    let mut built = Request::builder().method(request.method()).uri(request.uri());
    for (name, value) in request.headers() {
        built = built.header(name, value);
    }
    built.body(Body::from(body)).map_err(|error| error.to_string())
}
