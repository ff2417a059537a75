//! `pullyard-runner`: the command line of the runner. Everything it does is in the library.

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Runs Pullyard's jobs.
#[derive(Parser)]
#[command(version)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    RunJob(pullyard_runner::RunJob),
}

fn main() -> anyhow::Result<ExitCode> {
    let Line { command } = Line::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = match command {
        Command::RunJob(run_job) => runtime.block_on(run_job.run()),
    };
    // A thread that waits for a disk must not keep the process.
    runtime.shutdown_background();
    match exit {
        Ok(exit) => Ok(ExitCode::from(exit.code())),
        Err(error) => anyhow::bail!("failed to {:#}", anyhow::Error::new(error)),
    }
}
