//! Creates the span of an invocation, with its trace and the ids in its log lines.

use crate::Context;
use crate::metrics;
use axum::http::HeaderMap;
use pullyard_cloud::trace::{self, Lineage};
use pullyard_domain::text::trace::{HEADER, TraceId};
use std::fmt::Display;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// Limit for a logged id from outside. Units: bytes.
const MAX_ID_BYTES: usize = 200;

/// Runs an invocation in its span and writes its metrics. A local one without a request id gets a new id.
pub fn run<F: Future>(
    function: &'static str,
    ctx: &Context,
    context: &lambda_http::Context,
    invoked: F,
) -> impl Future<Output = F::Output> {
    let trace = context.xray_trace_id.as_deref().and_then(TraceId::from_header);
    let (request_id, lineage) = (request_id(context), request_lineage(context));
    // Boxed before wrapping, because the SDK's futures are large and expensive to compile.
    let invoked = Box::pin(invoked);
    async move {
        let answer = trace::with_lineage(lineage, run_in_span(function, Some(&request_id), trace, invoked)).await;
        metrics::flush(ctx);
        answer
    }
}

/// Runs a part of an invocation in its own span. It inherits a missing request id, and starts a missing trace.
pub(crate) async fn run_in_span<F: Future>(
    function: &'static str,
    request_id: Option<&str>,
    trace: Option<TraceId>,
    part: F,
) -> F::Output {
    let trace = trace.unwrap_or_else(new_trace);
    // At error level, so that the ids appear even with a filter for errors.
    let span = tracing::error_span!(
        "invocation",
        function,
        request_id,
        trace_id = %trace,
        gateway_id = Empty,
        caller = Empty,
        message_id = Empty,
        project = Empty,
        job = Empty,
        attempt = Empty,
        ticket = Empty,
        delivery = Empty,
        hook = Empty,
        runner = Empty,
        run = Empty,
        pull_request = Empty,
    );
    trace::with_trace(trace, part.instrument(span)).await
}

/// Adds an id to all later log lines of the invocation. The name must be a field of the span in `run_in_span`.
pub fn record_id(name: &'static str, value: impl Display) {
    let value = value.to_string();
    if !value.is_empty() && value.len() <= MAX_ID_BYTES && !value.contains(char::is_control) {
        Span::current().record(name, value);
    }
}

pub(crate) fn request_id(context: &lambda_http::Context) -> String {
    if context.request_id.is_empty() { random_id() } else { context.request_id.clone() }
}

/// 32 hex digits. Not a secret, only unique.
pub(crate) fn random_id() -> String {
    format!("{:032x}", random())
}

/// The caller's trace, else Lambda's. API Gateway forwards the caller's id, which is also in the caller's log.
pub(crate) fn request_trace(headers: &HeaderMap, context: &lambda_http::Context) -> Option<TraceId> {
    let trace = headers.get(HEADER).and_then(|value| value.to_str().ok()).and_then(TraceId::from_header);
    trace.or_else(|| context.xray_trace_id.as_deref().and_then(TraceId::from_header))
}

/// Lambda's loop counter. Never from a caller's header: a forged one could make Lambda stop our functions.
pub(crate) fn request_lineage(context: &lambda_http::Context) -> Option<Lineage> {
    context.xray_trace_id.as_deref().and_then(Lineage::from_header)
}

fn new_trace() -> TraceId {
    let now = pullyard_control::Clock::default().now().millis() / 1_000;
    TraceId::new(u32::try_from(now).unwrap_or_default(), random())
}

/// Not a secret, only unique; `RandomState` is seeded by the system.
fn random() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let half = || u128::from(RandomState::new().hash_one(std::time::Instant::now()));
    half() << 64 | half()
}
