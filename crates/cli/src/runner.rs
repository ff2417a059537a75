//! `pullyard runner …`: runs the runner inside this program, so that the embedded ECS needs no second binary.

use crate::client::{Global, Screen, saved_url};
use anyhow::Context as _;
use std::path::Path;
use std::process::ExitCode;

/// The runner.
#[derive(clap::Args)]
pub(crate) struct Runner {
    #[command(subcommand)]
    command: pullyard_runner::Command,
}

impl Runner {
    pub(crate) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        if self.command.logs_sentences() {
            crate::logs::sentences_to_stderr()
        } else {
            crate::logs::to_stderr()
        }
        let load_url = || {
            saved_url(global).unwrap_or_else(|fault| {
                Screen::new(global).warn(&format!("no saved context is used: {}", fault.message()));
                None
            })
        };
        Ok(ExitCode::from(self.command.with_saved_url(load_url).run(&["runner"]).await?))
    }
}

/// The command that runs a job, in this program.
pub(crate) fn command() -> anyhow::Result<Vec<String>> {
    let program = std::env::current_exe().context("can't find this program on disk")?;
    Ok(vec![program.display().to_string(), "runner".into(), "run-job".into()])
}

/// Adds flags that make a runner end with this process, and then delete `folder`.
pub(crate) fn bind_to_process(mut runner: Vec<String>, folder: Option<&Path>) -> Vec<String> {
    runner.extend(["--parent".to_owned(), std::process::id().to_string()]);
    if let Some(folder) = folder.and_then(Path::to_str) {
        runner.extend(["--parent-folder".to_owned(), folder.to_owned()]);
    }
    runner
}

pub(crate) fn agent_environment() -> Vec<(String, String)> {
    let variables =
        pullyard_runner::agent_variables().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
    variables.filter(|(_, value)| !value.is_empty()).collect()
}

pub(crate) fn forge_token() -> Option<String> {
    ["GH_TOKEN", "GITHUB_TOKEN"].iter().find_map(|name| std::env::var(name).ok().filter(|token| !token.is_empty()))
}
