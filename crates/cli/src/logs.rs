//! Sets up this program's own log.

use anyhow::Context as _;
use pullyard_local::telemetry::{self, Timestamps};
use std::path::Path;
use std::sync::Mutex;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn filter() -> Targets {
    telemetry::filter("info")
}

pub(crate) fn to_stderr() {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(lines.with_filter(filter())).init();
}

pub(crate) fn sentences_to_stderr() {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    let lines = lines.fmt_fields(debug_fn(pullyard_runner::write_message));
    tracing_subscriber::registry().with(lines.with_filter(filter())).init();
}

pub(crate) fn to_file(path: &Path) -> anyhow::Result<()> {
    let file = std::fs::File::create(path).with_context(|| format!("failed to write {}", path.display()))?;
    tracing_subscriber::registry().with(telemetry::layer(Mutex::new(file), filter(), Timestamps::Include)).init();
    Ok(())
}

pub(crate) fn to_folder(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("can't create {}", folder.display()))?;
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("pullyard")
        .filename_suffix("log")
        .max_log_files(7)
        .build(folder)
        .with_context(|| format!("failed to write logs in {}", folder.display()))?;
    tracing_subscriber::registry().with(telemetry::layer(Mutex::new(file), filter(), Timestamps::Include)).init();
    Ok(())
}
