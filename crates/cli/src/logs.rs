//! Where this program's own log goes: never between its answers.

use anyhow::Context as _;
use pullyard_local::telemetry::{self, Times};
use std::path::Path;
use std::sync::Mutex;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn filter() -> Targets {
    // The embedded DynamoDB warns of every refused condition; here a refused condition is an answer.
    telemetry::filter("info,dynoxide=error")
}

/// To standard error, for the runner: whoever starts it keeps that.
pub(crate) fn to_stderr() {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(lines.with_filter(filter())).init();
}

/// To a file, one JSON object a line, for the local system.
pub(crate) fn to_file(path: &Path) -> anyhow::Result<()> {
    let file = std::fs::File::create(path).with_context(|| format!("failed to write {}", path.display()))?;
    tracing_subscriber::registry().with(telemetry::layer(Mutex::new(file), filter(), Times::Written)).init();
    Ok(())
}

/// To a folder, a file a day, the last seven: a system that runs for months keeps its disk.
pub(crate) fn to_folder(folder: &Path) -> anyhow::Result<()> {
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("pullyard")
        .filename_suffix("log")
        .max_log_files(7)
        .build(folder)
        .with_context(|| format!("failed to write logs in {}", folder.display()))?;
    tracing_subscriber::registry().with(telemetry::layer(Mutex::new(file), filter(), Times::Written)).init();
    Ok(())
}
