//! `pullyard try`: runs one job on a real repository, with an embedded system in a temporary folder.

use crate::client::choices::agent_choices;
use crate::client::{self, CliError, Exit, Global, Screen};
use crate::logs;
use crate::signals::{EndSignal, EndSignals};
use crate::temporary::Folder;
use pullyard_domain::agent::{AGENTS, AUTO, Agent, COMMAND, ChoiceLevel};
use pullyard_domain::job::JobKind;
use pullyard_domain::project::budget::parse_usd_micros;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::project::{Compute, Limits, Settings};
use pullyard_domain::text::id::{IntegrationId, ProjectId, RepositoryName, SecretName};
use pullyard_local::LocalSystem;
use pullyard_protocol::client::ApiClient;
use pullyard_protocol::integration::CreateIntegration;
use pullyard_protocol::job::CreateJob;
use pullyard_protocol::project::{AddRepository, CreateProject};
use pullyard_protocol::secret::SetSecret;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use tokio::process::Command;

const GITHUB: &str = "https://api.github.com";
const GH_TIMEOUT: Duration = Duration::from_secs(10);
const PROJECT: &str = "try";

const ABOUT: &str = "Run one job in a GitHub repository from this machine, and get a pull request";

/// The command `pullyard try`.
#[derive(clap::Args)]
#[command(about = ABOUT, long_about = long_about(), after_help = "Examples:
  pullyard try acme/app 'Fix the typo in the first line of README.md'
  pullyard try acme/app 'Add a test for parse_date' --agent codex --yes
  pullyard try acme/app 'Port the tests to pytest' --max-usd 2.50 --max-minutes 20
  pullyard try acme/app 'Format everything' --agent-command sh -c 'make format'")]
pub(crate) struct Try {
    /// Repository.
    #[arg(value_name = "OWNER/NAME")]
    repository: RepositoryName,
    /// Task.
    #[arg(value_name = "PROMPT")]
    prompt: String,
    /// Agent; auto is the first that is installed and has a key.
    #[arg(long, value_name = "AGENT", value_parser = agent_choices(ChoiceLevel::Job))]
    agent: Option<String>,
    /// Model name that the agent accepts.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Branch to start from (default: the repository's).
    #[arg(long, value_name = "BRANCH")]
    base: Option<String>,
    /// Stop the agent at this cost, as the agent reports it.
    #[arg(long, value_name = "USD", value_parser = parse_usd_micros)]
    max_usd: Option<u64>,
    /// Stop the agent after this time (default: 60).
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=1440))]
    max_minutes: Option<u64>,
    /// REST URL of the forge.
    #[arg(long, value_name = "URL", default_value = GITHUB)]
    api_url: String,
    /// Confirm everything: `gh`'s token, and an agent with your permissions on this machine.
    #[arg(long)]
    yes: bool,
    /// Store table, logs and worktree records in this new folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Program of the agent `command` with its arguments, to the end of the line.
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_name = "COMMAND")]
    agent_command: Vec<String>,
}

fn long_about() -> String {
    let keys = AGENTS.into_iter().flat_map(|agent| agent.keys).map(|key| key.spec().variable);
    format!(
        "{ABOUT}.\n\n\
         Needs no setup; only the branch and the pull request remain. Needs git, and an installed agent with its key in \
         the environment ({}). The forge's token is GH_TOKEN or GITHUB_TOKEN, else the token of `gh`, after \
         confirmation. On a terminal, lines that you type are sent to the agent, also as answers to its questions.",
        keys.collect::<Vec<_>>().join(", ")
    )
}

impl Try {
    pub(crate) async fn run(self, global: &Global) -> ExitCode {
        match self.run_local(global).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => fault.print_with_document(&Screen::new(global)),
        }
    }

    async fn run_local(self, global: &Global) -> Result<(), CliError> {
        let screen = Screen::new(global);
        self.confirm(
            &screen,
            "The agent runs on this machine with your permissions: it can read and change the same files as you. Continue?",
            "run `pullyard up` in a container or virtual machine instead",
        )?;
        let token = self.forge_token(&screen).await?;
        // Listen before creating the folder, so that it is deleted after any signal.
        let mut signals = EndSignals::listen()?;
        let folder = Folder::open(self.keep.as_deref(), "pullyard-try-")?;
        logs::to_file(&folder.path().join("pullyard.log"))?;
        let options = folder.options()?;
        let local = tokio::select! {
            local = LocalSystem::start(options) => local.map_err(anyhow::Error::from)?,
            end = signals.next() => return Err(interruption(&screen, end, "no agent was started")),
        };
        // The agent stops with this command. Listen only here: a task may start the agent before `run_job` follows it.
        let result = tokio::select! {
            biased;
            result = self.run_job(Screen::new(global), &local, token) => result,
            end = signals.next() => Err(interruption(&screen, end, "everything that `try` started is stopped")),
        };
        local.shutdown().await;
        result
    }

    async fn run_job(self, screen: Screen, local: &LocalSystem, token: String) -> Result<(), CliError> {
        let api = ApiClient::new(local.api_url(), local.admin_token())?;
        let name = SecretName::new("forge").map_err(anyhow::Error::from)?;
        let token_secret = api.set_secret(&name, &SetSecret { value: token, kind: SecretKind::Forge }).await?.secret;
        let integration = IntegrationId::new("github").map_err(anyhow::Error::from)?;
        let connect =
            CreateIntegration { id: integration.clone(), kind: ForgeKind::GitHub, api_url: self.api_url, token_secret };
        let connected = api.create_integration(&connect).await?;
        let project = ProjectId::new(PROJECT).map_err(anyhow::Error::from)?;
        let mut limits = Limits { cost_usd_micros: self.max_usd, ..Limits::default() };
        if let Some(minutes) = self.max_minutes {
            limits.wall_secs = minutes * 60;
        }
        let settings = Settings { compute: Compute::Fargate, limits, ..Settings::default() };
        api.create_project(&CreateProject { id: project.clone(), name: PROJECT.into(), settings }).await?;
        let capability = match self.agent {
            Some(agent) => agent,
            None if self.agent_command.is_empty() => AUTO.to_owned(),
            None => COMMAND.to_owned(),
        };
        let agent = Agent { capability, command: self.agent_command, model: self.model };
        let add = AddRepository::new(integration, self.repository, agent);
        let repository = api.add_repository(&project, &add).await?;
        screen.note(&format!("works on {} as {}", repository.name, connected.account.login));
        let request = CreateJob {
            kind: JobKind::default(),
            project: project.clone(),
            ticket: None,
            prompt: Some(self.prompt),
            repository: Some(repository.name),
            base: self.base,
            agent: None,
            model: None,
            labels: Default::default(),
            priority: None,
        };
        let decision = api.create_job(&request, None).await?;
        let Some(job) = decision.job else {
            return Err(CliError::new(Exit::Refused, decision.sentence).with_help(decision.help));
        };
        client::follow(screen, local.api_url(), api, project, &job).await
    }

    async fn forge_token(&self, screen: &Screen) -> Result<String, CliError> {
        if let Some(token) = crate::runner::forge_token() {
            return Ok(token);
        }
        let none = |reason: String| {
            CliError::new(Exit::NotAllowed, format!("there is no token for the forge: {reason}")).with_help(
                "set GH_TOKEN to one that may push branches and open pull requests, or sign in with `gh auth login`",
            )
        };
        self.confirm(
            screen,
            "Use `gh`'s token to push a branch and open a pull request?",
            "set GH_TOKEN to another one",
        )?;
        let mut gh = Command::new("gh");
        gh.args(["auth", "token", "--hostname", &forge_host(&self.api_url)]).stdin(Stdio::null()).kill_on_drop(true);
        let output = match tokio::time::timeout(GH_TIMEOUT, gh.output()).await {
            Err(_) => return Err(none("`gh` did not answer".into())),
            Ok(Err(error)) => return Err(none(format!("failed to run `gh`: {error}"))),
            Ok(Ok(output)) => output,
        };
        let token = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() || token.is_empty() {
            return Err(none("`gh` is not signed in there".into()));
        }
        Ok(token)
    }

    fn confirm(&self, screen: &Screen, question: &str, help: &str) -> Result<(), CliError> {
        if self.yes || screen.confirm(question)? {
            return Ok(());
        }
        Err(CliError::failed("cancelled; nothing was changed").with_help(help))
    }
}

/// Prints nothing for other signals, because their sender does not read this terminal.
fn interruption(screen: &Screen, end: EndSignal, consequence: &str) -> CliError {
    match end {
        EndSignal::Interrupt => CliError::interrupted(screen, consequence),
        EndSignal::Other => CliError::silent(Exit::Interrupted),
    }
}

fn forge_host(api_url: &str) -> String {
    let host = api_url.split_once("://").map_or(api_url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    host.strip_prefix("api.").unwrap_or(host).to_owned()
}

#[cfg(test)]
mod tests {
    use super::forge_host;

    #[test]
    fn gh_host_is_derived_from_the_api_url() {
        assert_eq!(forge_host("https://api.github.com"), "github.com");
        assert_eq!(forge_host("https://github.example.org/api/v3"), "github.example.org");
        assert_eq!(forge_host("http://127.0.0.1:80/api/v3"), "127.0.0.1:80");
    }
}
