//! `pullyard runner …`: the runner inside this program, for the embedded ECS, which must not depend on
//! a second program having been built.

use std::process::ExitCode;

/// The runner.
#[derive(clap::Args)]
pub(crate) struct Runner {
    #[command(subcommand)]
    command: pullyard_runner::Command,
}

impl Runner {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        crate::logs::to_stderr();
        Ok(ExitCode::from(self.command.run(&["runner"]).await?))
    }
}
