//! The runner's commands, shared by `pullyard-runner` and `pullyard runner`.

use crate::daemon::update_watch::watch;
use crate::daemon::{Check, Config, SettingValue, Start};
use crate::{Error, RunJob, Setup};
use pullyard_protocol::version::PROTOCOL;
use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;
use tracing::field::Field;
use tracing_subscriber::fmt::format::Writer;

#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Take jobs and run them until stopped.
    Start(Start),
    /// Run one job (used by `start` and ECS).
    RunJob(RunJob),
    /// Check whether this machine can be a runner, without registering it.
    Check(Check),
    Setup(Box<Setup>),
    /// Show every setting with its value and source.
    Config(Config),
    /// Give up the program of an update unless the control plane answers it (used by `start`).
    #[command(hide = true)]
    WatchUpdate {
        pid: i32,
        began: String,
        limit_secs: u64,
        program: PathBuf,
    },
    /// Show release, commit and protocol version.
    Version,
}

/// Writes only the message of a log line. The runner's messages are sentences that contain their facts.
pub fn write_message(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    if field.name() == "message" { write!(writer, "{value:?}") } else { Ok(()) }
}

impl Command {
    /// Whether an operator reads the log. The log of `run-job` is for programs: its fields stay.
    pub fn logs_sentences(&self) -> bool {
        !matches!(self, Self::RunJob(_))
    }

    /// Sets the control plane's URL for when neither a flag nor a variable does. `load` returns the URL and its source.
    pub fn with_saved_url(mut self, load: impl FnOnce() -> Option<(String, String)>) -> Self {
        let flags = match &mut self {
            Self::Start(start) => &mut start.flags,
            Self::Check(check) => &mut check.flags,
            Self::Config(config) => &mut config.flags,
            Self::Setup(setup) => &mut setup.flags,
            Self::RunJob(_) | Self::WatchUpdate { .. } | Self::Version => return self,
        };
        flags.saved_api_url = load().map(|(value, source)| SettingValue { value, source });
        self
    }

    /// Runs the command and returns the exit code. `program` holds the arguments that lead to the runner's commands.
    /// Errors: the errors of `run-job`. Every other command prints its errors itself.
    pub async fn run(self, program: &[&str]) -> Result<u8, Error> {
        match self {
            Self::Start(start) => {
                let run_job: Vec<_> = program.iter().copied().chain(["run-job"]).collect();
                Ok(start.run(&run_job).await)
            }
            Self::RunJob(run_job) => Ok(run_job.run().await?.code()),
            Self::Check(check) => Ok(check.run().await),
            Self::Config(config) => Ok(config.run().await),
            Self::Setup(setup) => Ok(Box::pin(setup.run(program)).await),
            Self::WatchUpdate { pid, began, limit_secs, program } => {
                watch(pid, &began, Duration::from_secs(limit_secs), &program).await;
                Ok(0)
            }
            Self::Version => {
                println!("pullyard-runner {}, protocol {PROTOCOL}", pullyard_version::LONG);
                Ok(0)
            }
        }
    }
}
