//! Runs one function in a process of its own, so that tests need no second program.

use std::process::ExitCode;

/// The function that `_HANDLER` names, in Lambda's environment.
#[derive(clap::Args)]
pub(crate) struct Function {}

impl Function {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        pullyard_functions::run().await.map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(ExitCode::SUCCESS)
    }
}
