//! `pullyard-runner`: the command line of the runner. Everything it does is in the library.

use clap::Parser;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Runs Pullyard's jobs.
#[derive(Parser)]
#[command(name = "pullyard-runner", version, arg_required_else_help = true)]
struct Line {
    #[command(subcommand)]
    command: pullyard_runner::Command,
}

fn main() -> anyhow::Result<ExitCode> {
    let Line { command } = Line::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(command.run(&[]));
    // A thread that waits for a disk must not keep the process.
    runtime.shutdown_background();
    match code {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) => anyhow::bail!("failed to {:#}", anyhow::Error::new(error)),
    }
}
