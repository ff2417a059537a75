//! One invocation of a function: the ids that its log lines carry, and what it is part of.

use crate::Context;
use crate::metrics;
use axum::http::HeaderMap;
use pullyard_cloud::trace::{self, Lineage};
use pullyard_domain::trace::{HEADER, TraceId};
use std::fmt::Display;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// The longest text from outside that a line shows as an id.
const LONGEST: usize = 200;

/// Runs what was invoked, with a span that says so, and publishes what it counted.
///
/// `context` is Lambda's; one without a request id is of the local system, which gets one here.
pub fn run<F: Future>(
    function: &'static str,
    ctx: &Context,
    context: &lambda_http::Context,
    invoked: F,
) -> impl Future<Output = F::Output> {
    let trace = context.xray_trace_id.as_deref().and_then(TraceId::from_header);
    let (request_id, lineage) = (request_id(context), lineage_of(context));
    // Boxed, and before anything is around it: a use case's future holds the SDK's, and the compiler has to lay
    // out all of it.
    let invoked = Box::pin(invoked);
    async move {
        let answer = trace::after(lineage, within(function, Some(&request_id), trace, invoked)).await;
        metrics::flush(ctx);
        answer
    }
}

/// Runs a part of an invocation in a span of its own; without a request id it has that of what is around it.
/// Without a trace it begins one.
pub(crate) async fn within<F: Future>(
    function: &'static str,
    request_id: Option<&str>,
    trace: Option<TraceId>,
    part: F,
) -> F::Output {
    let trace = trace.unwrap_or_else(new_trace);
    // At the highest level, so that a log of warnings has the ids as well.
    let span = tracing::error_span!(
        "invocation",
        function,
        request_id,
        trace_id = %trace,
        gateway_id = Empty,
        message_id = Empty,
        project = Empty,
        job = Empty,
        attempt = Empty,
        ticket = Empty,
        delivery = Empty,
        hook = Empty,
        runner = Empty,
        pull_request = Empty,
    );
    trace::within(trace, part.instrument(span)).await
}

/// Notes an id of the running invocation: every line after this one has it. Only names of `within` are kept.
pub fn note(name: &'static str, value: impl Display) {
    let value = value.to_string();
    if !value.is_empty() && value.len() <= LONGEST && !value.contains(char::is_control) {
        Span::current().record(name, value);
    }
}

/// Lambda's name of the invocation; a new one where there is none.
pub(crate) fn request_id(context: &lambda_http::Context) -> String {
    if context.request_id.is_empty() { format!("{:032x}", random()) } else { context.request_id.clone() }
}

/// What a request is part of: what the caller says, else what Lambda says.
///
/// The caller first, because its id is the one that its own log has; API Gateway hands on what it is told.
pub(crate) fn trace_of(headers: &HeaderMap, context: &lambda_http::Context) -> Option<TraceId> {
    let told = headers.get(HEADER).and_then(|value| value.to_str().ok()).and_then(TraceId::from_header);
    told.or_else(|| context.xray_trace_id.as_deref().and_then(TraceId::from_header))
}

/// What Lambda counts this invocation by. Never out of a caller's header: whoever could say it could have Lambda
/// end what our messages begin.
pub(crate) fn lineage_of(context: &lambda_http::Context) -> Option<Lineage> {
    context.xray_trace_id.as_deref().and_then(Lineage::from_header)
}

fn new_trace() -> TraceId {
    let now = pullyard_control::Clock::default().now().millis() / 1_000;
    TraceId::new(u32::try_from(now).unwrap_or_default(), random())
}

/// Not a secret: only its being different matters, and `RandomState` is seeded by the system.
fn random() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let half = || u128::from(RandomState::new().hash_one(std::time::Instant::now()));
    half() << 64 | half()
}
