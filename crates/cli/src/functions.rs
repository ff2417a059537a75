//! The functions inside this program, for tests that run them in processes of their own: those must not depend on a
//! second program having been built.

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
