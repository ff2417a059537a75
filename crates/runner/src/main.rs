//! `pullyard-runner`: the command line of the runner. The library does everything.

use clap::Parser;
use std::process::ExitCode;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Run Pullyard jobs on this machine.
#[derive(Parser)]
#[command(name = "pullyard-runner", version = pullyard_version::LONG, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: pullyard_runner::Command,
}

/// The levels by target from `RUST_LOG`. As everywhere in Pullyard, no other filters are supported.
fn log_filter() -> Targets {
    let filter =
        std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty()).and_then(|filter| filter.parse().ok());
    filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))
}

fn main() -> anyhow::Result<ExitCode> {
    if let Some(code) = pullyard_sandbox::run_helper(std::env::args_os()) {
        return Ok(code);
    }
    // The environment has the runner's token, also while these arguments are parsed.
    pullyard_runner::hide_from_children();
    let Cli { command } = Cli::parse();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    if command.logs_sentences() {
        let lines = lines.with_target(false).fmt_fields(debug_fn(pullyard_runner::write_message));
        tracing_subscriber::registry().with(lines.with_filter(log_filter())).init();
    } else {
        tracing_subscriber::registry().with(lines.with_filter(log_filter())).init();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(command.run(&[]));
    // A thread that waits for a disk must not keep the process alive.
    runtime.shutdown_background();
    match code {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) => anyhow::bail!("failed to {:#}", anyhow::Error::new(error)),
    }
}
