//! Logs: one JSON object a line, for CloudWatch.

use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` narrows or widens it; the default is `info`.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .without_time()
        .with_current_span(false);
    if subscriber.try_init().is_err() {
        // A test or a host has started it already.
        tracing::debug!("logging was started before");
    }
}
