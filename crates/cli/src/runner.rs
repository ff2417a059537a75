//! `pullyard runner …`: the runner inside this program, for the embedded ECS, which must not depend on
//! a second program having been built.

use clap::Subcommand;
use std::process::ExitCode;

/// The runner of one job.
#[derive(clap::Args)]
pub(crate) struct Runner {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    RunJob(pullyard_runner::RunJob),
}

impl Runner {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        crate::logs::to_stderr();
        let Command::RunJob(run_job) = self.command;
        Ok(ExitCode::from(run_job.run().await?.code()))
    }
}
