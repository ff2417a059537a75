//! Answers a request to a service of this process without a connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderValue, Response, header};
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

/// The services by host and port. Clones share them.
#[derive(Clone, Debug)]
pub struct Direct(Arc<BTreeMap<String, Router>>);

impl Direct {
    pub(crate) fn new(services: impl IntoIterator<Item = (String, Router)>) -> Self {
        Self(Arc::new(services.into_iter().collect()))
    }

    /// The response with its whole body. `None` if no service of this process has the host and port of the request's URL,
    /// or if the answer broke off.
    pub async fn call(&self, mut request: Request) -> Option<Response<Bytes>> {
        let host = request.uri().authority()?.as_str().to_owned();
        let router = self.0.get(&host)?.clone();
        request.headers_mut().insert(header::HOST, HeaderValue::from_str(&host).ok()?);
        let Ok(answer) = TowerToHyperService::new(router).call(request).await;
        let (head, body) = answer.into_parts();
        Some(Response::from_parts(head, body.collect().await.ok()?.to_bytes()))
    }
}
