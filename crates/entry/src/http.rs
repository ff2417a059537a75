//! Runs HTTP functions: an axum router that receives API Gateway events.

use crate::{Context, Problem, invocation, metrics};
pub use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
pub use lambda_http::Error;
pub use lambda_http::request::LambdaRequest;
use lambda_http::request::RequestContext;
use lambda_http::{Adapter, Body, Context as LambdaContext, LambdaEvent, RequestExt};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use pullyard_protocol::version::{HEADER, OLDEST_PROTOCOL};
use serde_json::Value;
use std::time::Instant;
use tower::ServiceExt;

pub fn with_fallbacks(router: Router) -> Router {
    router
        .fallback(async || Problem::not_found("There is no such route."))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This route does not take that method.")
        })
        .layer(from_fn(reject_old_runners))
}

/// Adds the request's ids to each log line, one line per request, and the metrics.
pub fn with_logging(function: &'static str, ctx: &Context, router: Router) -> Router {
    router.layer(from_fn_with_state((function, ctx.clone()), run_invocation))
}

/// Sends one API Gateway event to a router, through the code of Lambda's runtime.
pub async fn respond(router: Router, event: LambdaEvent<LambdaRequest>) -> Result<Value, Error> {
    let service = tower::service_fn(move |request| handle_request(router.clone(), request));
    let response = Adapter::from(service).map_request(reencode_path).oneshot(event).await?;
    Ok(serde_json::to_value(response)?)
}

/// Like [`respond`], without the context of an invocation.
pub async fn invoke(router: Router, event: Value) -> Result<Value, String> {
    let payload: LambdaRequest = serde_json::from_value(event).map_err(|error| error.to_string())?;
    let event = LambdaEvent::new(payload, LambdaContext::default());
    respond(router, event).await.map_err(|error| error.to_string())
}

/// Encodes the path again: API Gateway's HTTP APIs decode it, but the router expects an encoded path.
/// Source: <https://github.com/honojs/hono/issues/2156>.
fn reencode_path(mut event: LambdaEvent<LambdaRequest>) -> LambdaEvent<LambdaRequest> {
    if let LambdaRequest::ApiGatewayV2(request) = &mut event.payload
        && let Some(path) = &mut request.raw_path
    {
        *path = percent_encode(path);
    }
    event
}

fn percent_encode(path: &str) -> String {
    const ENCODED: &AsciiSet = &CONTROLS.add(b'%').add(b'#').add(b'?').add(b'\\');
    utf8_percent_encode(path, ENCODED).to_string()
}

/// Buffers the whole body, because Lambda requires the response in one piece.
async fn handle_request(router: Router, request: lambda_http::Request) -> Result<lambda_http::Response<Body>, Error> {
    let Ok(response) = router.oneshot(request).await;
    let (head, body) = response.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let body = match String::from_utf8(bytes.to_vec()) {
        Ok(text) => Body::Text(text),
        Err(_) => Body::Binary(bytes.to_vec()),
    };
    Ok(lambda_http::Response::from_parts(head, body))
}

async fn reject_old_runners(request: Request, next: Next) -> Response {
    let header = request.headers().get(HEADER).map(|value| value.to_str().unwrap_or_default());
    match header.map(str::parse::<u32>) {
        None => next.run(request).await,
        Some(Ok(version)) if version >= OLDEST_PROTOCOL => next.run(request).await,
        Some(_) => {
            Problem::runner_too_old("This runner's protocol version is too old for the control plane.").into_response()
        }
    }
}

/// Path parameters that are logged, with their names in log lines. Others may contain a code or a secret's name.
const LOGGED_PARAMETERS: [(&str, &str); 8] = [
    ("project", "project"),
    ("job", "job"),
    ("attempt", "attempt"),
    ("key", "ticket"),
    ("delivery", "delivery"),
    ("hook", "hook"),
    ("runner", "runner"),
    ("run", "run"),
];

#[derive(Clone, Debug)]
pub struct RequestId(pub String);

async fn run_invocation(
    State((function, ctx)): State<(&'static str, Context)>,
    mut request: Request,
    next: Next,
) -> Response {
    let extensions = request.extensions();
    let lambda = extensions.lambda_context_ref().cloned().unwrap_or_default();
    let trace = invocation::request_trace(request.headers(), &lambda);
    let (request_id, lineage) = (invocation::request_id(&lambda), invocation::request_lineage(&lambda));
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let answer = invocation::run_in_span(function, Some(&request_id), trace, log_request(request, next));
    let answer = pullyard_cloud::trace::with_lineage(lineage, answer).await;
    metrics::flush(&ctx);
    answer
}

async fn log_request(request: Request, next: Next) -> Response {
    let since = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    if let Some(id) = request.extensions().request_context_ref().and_then(gateway_id) {
        invocation::record_id("gateway_id", id);
    }
    for (name, value) in route.as_deref().map(|route| path_ids(route, request.uri().path())).unwrap_or_default() {
        invocation::record_id(name, value);
    }
    let response = next.run(request).await;
    let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (route, status) = (route.unwrap_or_else(|| "none".into()), response.status().as_u16());
    tracing::info!(%method, route, status, ms, "answered");
    response
}

fn gateway_id(context: &RequestContext) -> Option<&str> {
    match context {
        RequestContext::ApiGatewayV2(context) => context.request_id.as_deref(),
        _ => None,
    }
}

fn path_ids<'a>(route: &str, path: &'a str) -> Vec<(&'static str, &'a str)> {
    let pairs = route.split('/').zip(path.split('/'));
    let to_id = |(segment, value): (&str, &'a str)| {
        let segment = segment.strip_prefix('{')?.strip_suffix('}')?;
        LOGGED_PARAMETERS.iter().find(|(parameter, _)| *parameter == segment).map(|(_, name)| (*name, value))
    };
    pairs.filter_map(to_id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoded_path_is_percent_encoded_again() {
        assert_eq!(percent_encode("/v1/tickets/APP-1"), "/v1/tickets/APP-1");
        assert_eq!(percent_encode("/v1/tickets/A#1 50%?ü\\\n"), "/v1/tickets/A%231 50%25%3F%C3%BC%5C%0A");
    }

    #[test]
    fn only_id_parameters_of_a_path_are_logged() {
        let job = path_ids("/v1/jobs/{job}/attempts/{attempt}/start", "/v1/jobs/job_1/attempts/2/start");
        assert_eq!(job, [("job", "job_1"), ("attempt", "2")]);
        assert_eq!(path_ids("/v1/tickets/{key}", "/v1/tickets/A%2F1"), [("ticket", "A%2F1")]);
        assert_eq!(path_ids("/v1/secrets/{secret}", "/v1/secrets/github"), []);
        assert_eq!(path_ids("/webhooks/github/{hook}", "/webhooks/github/shop"), [("hook", "shop")]);
        assert_eq!(path_ids("/webhooks/bitbucket/{hook}", "/webhooks/bitbucket/shop"), [("hook", "shop")]);
    }
}
