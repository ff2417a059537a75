//! `pullyard demo`: turns three tickets into pull requests and a review into a commit, with everything embedded.
//! The demo uses the public API like any other client, and verifies the results with `git`.

mod agent;
mod follow;
mod review;
mod scenario;
mod screen;
mod verify;

use crate::client::write_stderr;
use crate::logs;
use crate::signals::EndSignals;
use agent::AgentChoice;
use anyhow::Context as _;
use pullyard_local::{LocalSystem, Options};
use screen::DemoScreen;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const INTERRUPTED: u8 = 130;
const TEMPORARY_PREFIX: &str = "pullyard-demo-";

/// Watch three tickets become pull requests and a review a revision, on this machine only.
///
/// Starts DynamoDB, SQS, ECS, Secrets Manager, a git forge and Pullyard's own functions in this process,
/// on 127.0.0.1; needs git and sh, no account, no Docker, no network. The agent is a script: no AI is
/// called, unless you choose one. Exits 0 only if the API and git confirm every step.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard demo
  pullyard demo --json > demo.json
  pullyard demo --keep ./demo --stay
  pullyard demo --agent claude_code  with your own ANTHROPIC_API_KEY")]
pub(crate) struct Demo {
    /// Print only one JSON document, at the end.
    #[arg(long)]
    json: bool,
    /// Store everything in this new folder: table, repositories, task logs, demo.json.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Keep running until Ctrl-C, so that you can open the printed URLs, and use the CLI in another terminal.
    #[arg(long)]
    stay: bool,
    /// Agent: command (the script), or claude_code, codex or auto (the installed one), with keys from your environment.
    /// An AI costs a few cents; the failing ticket is skipped.
    #[arg(long, value_name = "AGENT", default_value = agent::SCRIPTED_AGENT, value_parser = clap::builder::PossibleValuesParser::new(pullyard_domain::agent::AGENTS))]
    agent: String,
    /// Model name that the agent accepts.
    #[arg(long, value_name = "MODEL", requires = "agent")]
    model: Option<String>,
}

impl Demo {
    fn agent_choice(&self) -> AgentChoice {
        AgentChoice { agent: self.agent.clone(), model: self.model.clone() }
    }

    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        // Listen before creating the folder, so that an interrupt during the start also deletes it.
        let mut ends = EndSignals::listen()?;
        let agent_choice = self.agent_choice();
        let mut screen = DemoScreen::new(self.json, agent_choice.is_ai());
        screen.title(&format!(
            "Pullyard demo: tickets become pull requests, on this machine only. {}",
            agent_choice.billing_notice()
        ));
        let temporary;
        let folder = match &self.keep {
            Some(folder) => new_folder(folder)?,
            None => {
                temporary = crate::temporary::create_folder(TEMPORARY_PREFIX)?;
                temporary.path().to_path_buf()
            }
        };
        logs::to_file(&folder.join("pullyard.log"))?;
        screen.step("Isolation", agent_choice.isolation_notice());
        screen.step("Starting", "DynamoDB, SQS, ECS, Secrets Manager, Pullyard's functions, a git forge");
        let removed = self.keep.is_none().then_some(folder.as_path());
        let starts = start(&folder, removed);
        tokio::pin!(starts);
        let (local, is_interrupted) = tokio::select! {
            started = &mut starts => (started?, false),
            _ = ends.next() => {
                write_stderr("interrupted: the demo stops after its start; press Ctrl-C again to stop at once");
                tokio::select! {
                    started = &mut starts => (started?, true),
                    // The embedded services and the runners end with this process.
                    _ = ends.next() => return Ok(ExitCode::from(INTERRUPTED)),
                }
            }
        };
        let interrupted = async {
            if !is_interrupted {
                ends.next().await;
            }
        };
        let result = async {
            screen.step("Ready", &format!("API {}, forge {}", local.api_url(), local.forge().url()));
            self.run_scenario(&mut screen, &local, &folder).await
        };
        let ended = tokio::select! {
            biased;
            () = interrupted => {
                write_stderr("interrupted: stopping everything that the demo started");
                Ok(ExitCode::from(INTERRUPTED))
            }
            ended = result => ended,
        };
        if self.stay && matches!(&ended, Ok(code) if *code == ExitCode::SUCCESS) {
            screen.print_running(local.api_url(), &local.forge().url(), &folder);
            // An interrupt is the normal end here and not a failure.
            ends.next().await;
        }
        local.shutdown().await;
        ended
    }

    async fn run_scenario(
        &self,
        screen: &mut DemoScreen,
        local: &LocalSystem,
        folder: &Path,
    ) -> anyhow::Result<ExitCode> {
        let result = match scenario::run_scenario(local, screen, self.agent_choice()).await {
            Ok(pull_requests) => verify_and_merge(local, screen, self.agent_choice(), &pull_requests).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            screen.print_failure(&format!("{error:#}"));
        }
        let record = screen.record(result.is_ok(), local.api_url(), &local.forge().url());
        std::fs::write(folder.join("demo.json"), &record)?;
        screen.end(&record, result.is_ok());
        Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

async fn verify_and_merge(
    local: &LocalSystem,
    screen: &mut DemoScreen,
    agent_choice: AgentChoice,
    claims: &[verify::ExpectedResult],
) -> anyhow::Result<()> {
    verify::check(local, screen, claims).await?;
    let first = claims.first().context("the story has no pull request")?;
    scenario::DemoRun::new(local, screen, agent_choice)?.play_merge(local, first).await
}

/// Starts the local system with this program as its runner. If this process is killed, its runners delete `removed`.
async fn start(folder: &Path, removed: Option<&Path>) -> anyhow::Result<LocalSystem> {
    let program = std::env::current_exe().context("failed to find this program")?;
    let runner = vec![program.display().to_string(), "runner".into(), "run-job".into()];
    let runner = crate::runner::bind_to_process(runner, removed);
    let mut options = Options::new(folder.to_path_buf(), runner);
    options.task_environment = crate::runner::agent_environment();
    options.commit = pullyard_version::COMMIT;
    options.sweep_interval = Duration::from_secs(2);
    Ok(LocalSystem::start(options).await?)
}

/// Accepts only a new or empty folder, because another one may contain the user's work.
pub(crate) fn new_folder(folder: &PathBuf) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let mut entries = std::fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))?;
    if entries.next().is_some() {
        anyhow::bail!("{} is not empty\nhelp: choose a new folder with --keep", folder.display());
    }
    Ok(std::fs::canonicalize(folder)?)
}
