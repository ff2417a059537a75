//! The functions inside this program, for processes of their own that must not depend on a second program
//! having been built; and the choice of how they run.

use anyhow::Context as _;
use pullyard_local::Functions as How;
use std::path::PathBuf;
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

/// How the functions run.
#[derive(clap::Args)]
pub(crate) struct Functions {
    /// Run each function in processes of its own, as Lambda does: processes of this program, or of the
    /// `pullyard-functions` that is named.
    #[arg(long, value_name = "PROGRAM")]
    functions: Option<Option<PathBuf>>,
}

impl Functions {
    /// As the local system is told.
    pub(crate) fn how(&self) -> anyhow::Result<How> {
        let command = match &self.functions {
            None => return Ok(How::Libraries),
            Some(None) => {
                let program = std::env::current_exe().context("failed to find this program")?;
                vec![program.display().to_string(), "function".into()]
            }
            Some(Some(program)) => {
                let found = std::fs::canonicalize(program).ok().filter(|path| path.is_file());
                let found = found.with_context(|| format!("failed to find the program {}", program.display()))?;
                vec![found.display().to_string()]
            }
        };
        Ok(How::Processes { command, environment: Vec::new() })
    }
}
