//! `pullyard demo`: turns three tickets into pull requests and a review into a commit, and reviews a pull request, with
//! everything embedded.
//! The demo uses the public API like any other client, and verifies the results with `git`.

mod agent;
mod agent_review;
mod context;
mod follow;
mod review;
mod scenario;
mod screen;
mod verify;

use crate::client::choices::agent_choices;
use crate::client::write_stderr;
use crate::logs;
use crate::signals::EndSignals;
use crate::temporary::Folder;
use agent::AgentChoice;
use pullyard_domain::agent::ChoiceLevel;
use pullyard_local::LocalSystem;
use pullyard_protocol::client::ApiClient;
use screen::{Access, DemoScreen, Record};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const INTERRUPTED: u8 = 130;

/// Watch three tickets become pull requests, a review a revision, and an agent review, on this machine only.
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
    /// Keep running until Ctrl-C, print a link that signs your browser in, and save the context `demo` meanwhile.
    #[arg(long)]
    stay: bool,
    /// Agent: command is the script, auto the first that is installed and has a key. All but the script use keys
    /// from your environment, cost a few cents and skip the failing ticket and the review by an agent.
    #[arg(long, value_name = "AGENT", default_value = agent::SCRIPTED_AGENT, value_parser = agent_choices(ChoiceLevel::Job))]
    agent: String,
    /// Model name that the agent accepts.
    #[arg(long, value_name = "MODEL", requires = "agent")]
    model: Option<String>,
}

impl Demo {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        // Listen before creating the folder, so that an interrupt during the start also deletes it.
        let mut signals = EndSignals::listen()?;
        let agent_choice = AgentChoice { agent: self.agent, model: self.model };
        let mut screen = DemoScreen::new(self.json);
        screen.title(&format!(
            "Pullyard demo: tickets become pull requests, on this machine only. {}",
            agent_choice.billing_notice()
        ));
        let folder = Folder::open(self.keep.as_deref(), context::FOLDER_PREFIX)?;
        logs::to_file(&folder.path().join("pullyard.log"))?;
        screen.step("Isolation", agent_choice.isolation_notice());
        screen.step("Starting", "DynamoDB, SQS, ECS, Secrets Manager, Pullyard's functions, a git forge");
        let start = LocalSystem::start(folder.options()?);
        tokio::pin!(start);
        let (local, is_interrupted) = tokio::select! {
            local = &mut start => (local?, false),
            _ = signals.next() => {
                write_stderr("interrupted: the demo stops after its start; press Ctrl-C again to stop at once");
                tokio::select! {
                    local = &mut start => (local?, true),
                    // The embedded services and the runners end with this process.
                    _ = signals.next() => return Ok(ExitCode::from(INTERRUPTED)),
                }
            }
        };
        let interrupted = async {
            if !is_interrupted {
                signals.next().await;
            }
        };
        let scenario = async {
            screen.step("Ready", &format!("API {}, forge {}", local.api_url(), local.forge().url()));
            run_scenario(&mut screen, &local, folder.path(), agent_choice).await
        };
        let result = tokio::select! {
            biased;
            () = interrupted => {
                write_stderr("interrupted: stopping everything that the demo started");
                Ok(None)
            }
            result = scenario => result.map(Some),
        };
        let result = match result {
            Ok(None) => Ok(ExitCode::from(INTERRUPTED)),
            Ok(Some(record)) if self.stay && record.is_ok() => {
                stay(&screen, &local, folder.path(), record, &mut signals).await
            }
            Ok(Some(record)) => {
                screen.end(&record);
                Ok(if record.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Err(error) => Err(error),
        };
        local.shutdown().await;
        result
    }
}

async fn run_scenario(
    screen: &mut DemoScreen,
    local: &LocalSystem,
    folder: &Path,
    agent_choice: AgentChoice,
) -> anyhow::Result<Record> {
    let result = scenario::play(local, screen, agent_choice).await;
    if let Err(error) = &result {
        screen.step("Failed", &format!("{error:#}"));
    }
    let record = screen.record(result.is_ok(), local.api_url(), &local.forge().url());
    std::fs::write(folder.join("demo.json"), record.to_text())?;
    Ok(record)
}

async fn stay(
    screen: &DemoScreen,
    local: &LocalSystem,
    folder: &Path,
    mut record: Record,
    signals: &mut EndSignals,
) -> anyhow::Result<ExitCode> {
    let link = ApiClient::new(local.api_url(), local.admin_token())?.create_sign_in_link().await;
    // Saved after the link, whose failure ends the demo.
    let access = match link {
        Ok(link) => Access { board: format!("{}&to=/board", link.url), context: context::save(local, folder) },
        Err(error) => {
            screen.end(&record);
            return Err(error.into());
        }
    };
    record.add_access(&access);
    screen.end(&record);
    screen.print_running(local.api_url(), &access);
    // An interrupt is the normal end here and not a failure.
    signals.next().await;
    if let Ok(name) = &access.context {
        context::remove(name, local.admin_token());
    }
    Ok(ExitCode::SUCCESS)
}
