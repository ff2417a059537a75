//! HTTP functions: an axum router fed with API Gateway events.

use crate::Problem;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
pub use lambda_http::Error;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Body, Context as LambdaContext, LambdaEvent};
use serde_json::Value;
use std::time::Instant;
use tower::ServiceExt;

/// What every HTTP function adds around its routes: answers for what has no route, the check of the
/// runner's version, one log line per request.
pub fn finished(router: Router) -> Router {
    router
        .fallback(async || Problem::not_found("There is no such route."))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This route does not take that method.")
        })
        .layer(from_fn(refuse_old_runners))
        .layer(from_fn(log_requests))
}

/// What a function adds whose answers are pages: one log line per request, and its own words for the rest.
pub fn logged(router: Router) -> Router {
    router.layer(from_fn(log_requests))
}

/// Runs a router in Lambda until the environment ends.
pub async fn run(router: Router) -> Result<(), Error> {
    lambda_http::run(tower::service_fn(move |request| answer(router.clone(), request))).await
}

/// Feeds one whole API Gateway event to a router, by the very code that Lambda's runtime uses.
pub async fn invoke(router: Router, event: Value) -> Result<Value, String> {
    let payload: LambdaRequest = serde_json::from_value(event).map_err(|error| error.to_string())?;
    let event = LambdaEvent::new(payload, LambdaContext::default());
    let service = tower::service_fn(move |request| answer(router.clone(), request));
    let response = Adapter::from(service).oneshot(event).await.map_err(|error| error.to_string())?;
    serde_json::to_value(response).map_err(|error| error.to_string())
}

/// The answer with its whole body: Lambda takes answers in one piece.
async fn answer(router: Router, request: lambda_http::Request) -> Result<lambda_http::Response<Body>, Error> {
    let Ok(response) = router.oneshot(request).await;
    let (head, body) = response.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let body = match String::from_utf8(bytes.to_vec()) {
        Ok(text) => Body::Text(text),
        Err(_) => Body::Binary(bytes.to_vec()),
    };
    Ok(lambda_http::Response::from_parts(head, body))
}

async fn refuse_old_runners(request: Request, next: Next) -> Response {
    let spoken =
        request.headers().get(pullyard_protocol::version::HEADER).map(|value| value.to_str().unwrap_or_default());
    match spoken.map(str::parse::<u32>) {
        None => next.run(request).await,
        Some(Ok(version)) if version >= pullyard_protocol::version::PROTOCOL => next.run(request).await,
        Some(_) => Problem::new(
            StatusCode::UPGRADE_REQUIRED,
            "runner_too_old",
            "This runner speaks an older protocol than the control plane understands.",
        )
        .help("Update the runner to the control plane's version.")
        .into_response(),
    }
}

/// Method, route and status; never headers, queries or bodies.
async fn log_requests(request: Request, next: Next) -> Response {
    let (method, path, since) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
    let response = next.run(request).await;
    let duration_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(%method, path, status = response.status().as_u16(), duration_ms, "answered");
    response
}
