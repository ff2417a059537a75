//! Logs: one flat JSON object a line, for CloudWatch; metrics go the same way.
//!
//! Each line carries the ids of its invocation under the same names everywhere: docs/observability.md has the list.

mod lines;

pub use lines::Lines;

use crate::metrics;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// Starts logging to standard output. `RUST_LOG` narrows or widens it; the default is `info`.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // CloudWatch notes when a line came.
    if tracing_subscriber::registry().with(layer(std::io::stdout, filter, Times::Left)).try_init().is_err() {
        // A test or a host has started it already.
        tracing::debug!("logging was started before");
    }
}

/// Whether lines say when they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Whoever keeps them notes that.
    Left,
    /// They do.
    Written,
}

/// What writes lines; metrics among them pass whatever `filter` says.
pub fn layer<W>(to: W, filter: EnvFilter, times: Times) -> impl Layer<Registry>
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    // An alarm must not go quiet because somebody reads warnings only.
    let filter = match format!("{}=info", metrics::TARGET).parse() {
        Ok(always) => filter.add_directive(always),
        Err(_) => filter,
    };
    Lines::new(to, times).with_filter(filter)
}
