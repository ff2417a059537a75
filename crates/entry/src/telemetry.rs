//! Logs: one flat JSON object a line, for CloudWatch; metrics go the same way.
//!
//! Each line carries the ids of its invocation under the same names everywhere: docs/operations.md has the list.

mod lines;

pub use lines::Lines;

use crate::{config, metrics};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// Starts logging to standard output. `RUST_LOG` narrows or widens it; the default is `info`.
pub fn start() {
    // CloudWatch notes when a line came.
    if tracing_subscriber::registry().with(layer(std::io::stdout, filter("info"), Times::Left)).try_init().is_err() {
        // A test or a host has started it already.
        tracing::debug!("logging was started before");
    }
}

/// What `RUST_LOG` wants written; what it can't be read as, and without it, `default`. Levels by target and no more:
/// what also looks into spans and fields takes regular expressions, which every cold start would pay for.
pub fn filter(default: &str) -> Targets {
    let wanted = |text: &str| text.parse::<Targets>().ok();
    let told = config::logged().as_deref().and_then(wanted);
    told.or_else(|| wanted(default)).unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))
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
pub fn layer<W>(to: W, filter: Targets, times: Times) -> impl Layer<Registry>
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    // An alarm must not go quiet because somebody reads warnings only.
    Lines::new(to, times).with_filter(filter.with_target(metrics::TARGET, LevelFilter::INFO))
}
