//! Starts logging: one flat JSON object per line, for CloudWatch. An id has the same name in every line.

mod lines;

pub use lines::JsonLines;

use crate::{config, metrics};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// Logs to standard output. `RUST_LOG` sets the filter; the default is `info`.
pub fn init_logging() {
    // CloudWatch stores the time of each line.
    if tracing_subscriber::registry().with(layer(std::io::stdout, filter("info"), Timestamps::Omit)).try_init().is_err()
    {
        tracing::debug!("logging was started before");
    }
}

/// The filter of `RUST_LOG`, or `default` if it is unset or invalid. Only levels by target are supported: other filters
/// need regular expressions, which slow down every cold start.
pub fn filter(default: &str) -> Targets {
    let parse = |text: &str| text.parse::<Targets>().ok();
    let targets = config::log_filter().as_deref().and_then(parse);
    targets.or_else(|| parse(default)).unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamps {
    Omit,
    Include,
}

pub fn layer<W>(to: W, filter: Targets, times: Timestamps) -> impl Layer<Registry>
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    // Alarms need metrics even if the filter excludes `info`.
    JsonLines::new(to, times).with_filter(filter.with_target(metrics::TARGET, LevelFilter::INFO))
}
