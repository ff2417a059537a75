//! `pullyard init`: sets up a deployed stack up to its first project.
//! Steps skip existing items, so the command can be repeated.

mod sign_in;

use super::config::Config;
use super::doctor::Account;
use super::{Global, prompt};
use crate::client::choices::agent_choices;
use crate::client::prelude::*;
use pullyard_admin::doctor::{self, Finding, Verdict};
use pullyard_admin::{Aws, Error, ProtectionOutcome, Renew, Stack, protect_table};
use pullyard_domain::agent::{Agent, ChoiceLevel};
use pullyard_domain::project::Settings;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::project::hook::Ingress;
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::text::id::{IntegrationId, ProjectId, RepositoryName, SecretName};
use pullyard_forge::GitHubSite;
use pullyard_protocol::integration::CreateIntegration;
use pullyard_protocol::project::{AddRepository, CreateProject};
use pullyard_protocol::secret::SetSecret;
use serde::Serialize;
use sign_in::sign_in;

/// Set up a deployed stack.
///
/// Creates the first admin token, which signs this command line in, then the first project, the forge and a repository, and
/// protects the table from deletion. Each function then checks its role. Existing objects stay unchanged; it is safe to run twice.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard init --stack pullyard --project acme --repo acme/app --agent claude_code
  pullyard init --stack pullyard --project acme --forge https://bitbucket.org --repo acme/app
  pullyard init --stack pullyard --project acme --no-forge")]
pub(crate) struct Init {
    #[command(flatten)]
    account: Account,
    /// Revoke the first admin token and create another, if it was lost.
    #[arg(long)]
    new_admin_token: bool,
    #[arg(long, value_name = "URL", help = forge_help(), default_value = site_urls(ForgeKind::DEFAULT)[0])]
    forge: String,
    /// Integration id.
    #[arg(
        long,
        value_name = "ID",
        default_value_ifs(ForgeKind::ALL.into_iter().flat_map(|kind| site_urls(kind).map(|url| ("forge", url, kind.as_str())))),
        default_value = ForgeKind::DEFAULT.as_str()
    )]
    id: IntegrationId,
    /// Skip the forge; connect it afterwards on the page Repositories, which `pullyard open` shows.
    #[arg(long, conflicts_with = "repo")]
    no_forge: bool,
    /// Also connect this repository.
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Option<RepositoryName>,
    /// Agent; auto is the first that is installed where a job runs and has a key, project the project's agent (auto at
    /// first).
    #[arg(long, value_name = "AGENT", requires = "repo", default_value_if("agent_command", clap::builder::ArgPredicate::IsPresent, "command"), default_value = "project", value_parser = agent_choices(ChoiceLevel::Repository))]
    agent: String,
    /// Program of the agent `command` with its arguments, to the end of the line.
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_name = "COMMAND", requires = "repo")]
    agent_command: Vec<String>,
    /// Jobs may change files under .github/workflows of the repository.
    #[arg(long, requires = "repo")]
    workflows: bool,
}

struct Forge {
    id: IntegrationId,
    kind: ForgeKind,
    api_url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum StepOutcome {
    Made,
    Existed,
    Skipped,
}

#[derive(Debug, Serialize)]
struct Step {
    step: &'static str,
    did: StepOutcome,
    sentence: String,
}

#[derive(Debug, Serialize)]
struct SetUpReport {
    stack: String,
    api_url: String,
    context: String,
    project: ProjectId,
    steps: Vec<Step>,
    next: Vec<String>,
}

impl Init {
    pub(super) async fn run(self, global: &Global, screen: &Screen) -> Result<(), CliError> {
        let Account { stack, region, profile } = self.account;
        let Some(name) = stack else {
            return Err(CliError::usage("the name of the stack is missing")
                .with_help("run pullyard init --stack NAME; it sets up a stack that you have deployed"));
        };
        let (kind, api_url) = parse_forge(&self.forge)?;
        let forge = Forge { id: self.id, kind, api_url };
        let aws = Aws::connect(region, profile).await.map_err(to_fault)?;
        let stack = Stack::load(&aws, &name).await.map_err(to_fault)?;
        let renew = if self.new_admin_token { Renew::First } else { Renew::Never };
        let context = global.context().unwrap_or(name);
        let mut steps = Vec::new();
        let mut record = |step: Step| {
            if step.did != StepOutcome::Skipped {
                screen.note(&step.sentence);
            }
            steps.push(step);
        };
        record(sign_in(&aws, &stack, &context, renew).await?);

        let Some(session) = Session::open_for_url(global, &stack.api_url)? else {
            return Err(CliError::failed(format!("another process removed context {context}")));
        };
        session.api.own_token().await.map_err(|error| {
            CliError::from(error).with_help(format!(
                "the stack exists, but its API does not respond: `pullyard doctor --stack {}`",
                stack.name
            ))
        })?;
        let (project, step) = ensure_first_project(&session).await?;
        record(step);
        save_project(&context, &project)?;
        if self.no_forge {
            let sentence = "No forge is connected: connect one on the page Repositories, which `pullyard open` shows.";
            record(Step::new("forge", StepOutcome::Skipped, sentence));
        } else {
            record(ensure_integration(&session, &forge).await?);
        }
        if let Some(name) = self.repo {
            let agent = Agent { capability: self.agent, command: self.agent_command, model: None };
            let request = AddRepository::new(forge.id.clone(), name, agent);
            let request = AddRepository { workflows: self.workflows, ..request };
            record(ensure_repository(&session, &project, &request).await?);
        }
        // Last: a user without these permissions has done every other step.
        let (protection, roles) = (ensure_protection(&aws, &stack).await, check_roles(&aws, &stack).await);
        let mut faults = Vec::new();
        for outcome in [protection, roles] {
            match outcome {
                Ok(step) => step.into_iter().for_each(&mut record),
                Err(fault) => faults.push(fault),
            }
        }
        let next = next_steps(&stack, &forge, &project);
        if screen.is_json() {
            screen.json(&SetUpReport { stack: stack.name, api_url: stack.api_url, context, project, steps, next })?;
        } else {
            for line in next {
                screen.hint(&line);
            }
        }
        // After the report, which the faults leave complete.
        let last = faults.pop();
        for fault in faults {
            screen.note(&fault.message());
        }
        last.map_or(Ok(()), Err)
    }
}

impl Step {
    fn new(step: &'static str, did: StepOutcome, sentence: impl Into<String>) -> Self {
        Self { step, did, sentence: sentence.into() }
    }
}

/// The URL of the site that the vendor runs, without and with a slash at its end.
fn site_urls(kind: ForgeKind) -> [&'static str; 2] {
    let url = kind.spec().site_url;
    [url.trim_end_matches('/'), url]
}

fn forge_help() -> String {
    let sites = ForgeKind::ALL.map(|kind| site_urls(kind)[0]).join(", ");
    let own_servers = ForgeKind::ALL.into_iter().flat_map(|kind| kind.spec().own_servers).map(|server| server.name);
    format!("URL of the forge: {sites}, or of your {}", own_servers.collect::<Vec<_>>().join(" or "))
}

fn parse_forge(url: &str) -> Result<(ForgeKind, String), CliError> {
    if let Some(kind) = ForgeKind::ALL.into_iter().find(|kind| site_urls(*kind)[0] == url.trim_end_matches('/')) {
        return Ok((kind, kind.spec().api_url.to_owned()));
    }
    // Any other host can be a GitHub Enterprise Server.
    let site = GitHubSite::parse(url).ok_or_else(|| {
        let forges = ForgeKind::ALL.map(ForgeKind::label).join(" or ");
        CliError::usage(format!("{url} is not a URL of {forges}")).with_help("write it as https://HOST")
    })?;
    Ok((ForgeKind::GitHub, site.api_url()))
}

fn to_fault(error: Error) -> CliError {
    let exit = match &error {
        Error::StackNotFound { .. } => Exit::NotFound,
        Error::NoCredentials { .. } | Error::ExportFailed { .. } => Exit::NotAllowed,
        error if error.is_denied() => Exit::NotAllowed,
        _ => Exit::Failed,
    };
    let chain = pullyard_domain::text::format_error_chain(&error);
    CliError::new(exit, format!("failed to {chain}")).with_help(error.help())
}

async fn ensure_first_project(session: &Session) -> Result<(ProjectId, Step), CliError> {
    let id = if session.has_no_project() && session.projects().await?.is_empty() {
        prompt_project_id(&session.screen)?
    } else {
        session.project().await?
    };
    match session.api.project(&id).await.map_err(CliError::from) {
        Ok(existing) => {
            Ok((existing.id, Step::new("project", StepOutcome::Existed, format!("The project {id} exists."))))
        }
        Err(fault) if fault.is_not_found() => {
            let request = CreateProject { id: id.clone(), name: id.to_string(), settings: Settings::default() };
            session.api.create_project(&request).await?;
            Ok((id.clone(), Step::new("project", StepOutcome::Made, format!("Created the project {id}."))))
        }
        Err(fault) => Err(fault),
    }
}

fn prompt_project_id(screen: &Screen) -> Result<ProjectId, CliError> {
    let line =
        prompt::prompt_line(screen, "the name of the first project, such as acme")?.filter(|line| !line.is_empty());
    let Some(line) = line else {
        return Err(CliError::usage("there is no project yet").with_help("run it again with --project ID"));
    };
    line.parse().map_err(|bad| CliError::usage(format!("{line} is not a project id: {bad}")))
}

fn save_project(context: &str, project: &ProjectId) -> Result<(), CliError> {
    let mut config = Config::load()?;
    if let Some(saved) = config.contexts.get_mut(context)
        && saved.project.is_none()
    {
        saved.project = Some(project.to_string());
        config.save()?;
    }
    Ok(())
}

async fn ensure_integration(session: &Session, forge: &Forge) -> Result<Step, CliError> {
    let Forge { id, kind, api_url } = forge;
    match session.api.integration(id).await.map_err(CliError::from) {
        Ok(_) => return Ok(Step::new("forge", StepOutcome::Existed, format!("The integration {id} exists."))),
        Err(fault) if fault.is_not_found() => {}
        Err(fault) => return Err(fault),
    }
    let name = SecretName::new(format!("{id}-token"))
        .map_err(|bad| CliError::usage(format!("can't derive a secret's name from {id}: {bad}")))?;
    let label = format!("{} at {api_url}", kind.spec().token.prompt);
    let value = prompt::prompt_hidden(&session.screen, &label)?;
    let secret = session.api.set_secret(&name, &SetSecret { value, kind: SecretKind::Forge }).await?.secret;
    let request =
        CreateIntegration { id: id.clone(), kind: *kind, api_url: api_url.clone(), token_secret: secret.clone() };
    let integration = session.api.create_integration(&request).await?;
    let sentence = format!(
        "Connected {api_url} as {id}, where Pullyard is {}; its token is in the secret {secret}.",
        integration.account.login
    );
    Ok(Step::new("forge", StepOutcome::Made, sentence))
}

async fn ensure_repository(session: &Session, project: &ProjectId, request: &AddRepository) -> Result<Step, CliError> {
    let existing = session.api.repositories(project).await?.repositories;
    let has_name = |name: &RepositoryName| name.as_str().eq_ignore_ascii_case(request.name.as_str());
    if existing.iter().any(|existing| has_name(&existing.name) && existing.integration == request.integration) {
        return Ok(Step::new("repository", StepOutcome::Existed, format!("{} is connected.", request.name)));
    }
    let repository = session.api.add_repository(project, request).await?;
    let sentence = format!("Connected {}, branch {}.", repository.name, repository.default_branch);
    Ok(Step::new("repository", StepOutcome::Made, sentence))
}

/// None where the stack is temporary, or where its template protects the table.
async fn ensure_protection(aws: &Aws, stack: &Stack) -> Result<Option<Step>, CliError> {
    let table = &stack.table;
    let outcome = protect_table(aws, stack).await.map_err(|error| {
        let advice = match error.is_denied() {
            true => "run this command again with the permissions dynamodb:DescribeTable and dynamodb:UpdateTable",
            false => "run this command again",
        };
        to_fault(error).with_help(format!("the table {table} can still be deleted by mistake: {advice}"))
    })?;
    Ok(match outcome {
        ProtectionOutcome::Enabled => {
            Some(Step::new("protection", StepOutcome::Made, format!("Protected the table {table} from deletion.")))
        }
        ProtectionOutcome::AlreadyEnabled => Some(Step::new(
            "protection",
            StepOutcome::Existed,
            format!("The table {table} is protected from deletion."),
        )),
        ProtectionOutcome::Unchanged => None,
    })
}

/// Only AWS knows what it denies: emulators do not evaluate roles as it does.
async fn check_roles(aws: &Aws, stack: &Stack) -> Result<Option<Step>, CliError> {
    let mut findings = doctor::check_roles(aws, stack).await;
    findings.sort_by_key(|finding| finding.verdict != Verdict::Wrong);
    let further = findings.len().saturating_sub(1);
    match findings.into_iter().next() {
        Some(Finding { verdict: Verdict::Wrong, sentence, help, .. }) => {
            let more = if further > 0 {
                format!(" `pullyard doctor --stack {}` shows {further} more.", stack.name)
            } else {
                String::new()
            };
            let help = format!("{}{more}", help.unwrap_or_default());
            Err(CliError::failed(sentence.trim_end_matches('.')).with_help(help.trim_end_matches('.')))
        }
        Some(Finding { sentence, .. }) => Ok(Some(Step::new("roles", StepOutcome::Existed, sentence))),
        None => Ok(None),
    }
}

fn next_steps(stack: &Stack, forge: &Forge, project: &ProjectId) -> Vec<String> {
    let ingress = match forge.kind.spec().first_ingress {
        Ingress::Webhook => format!(
            "receive reviews: pullyard hooks install --base-url {} --integration {} --repo OWNER/NAME",
            stack.api_url, forge.id
        ),
        Ingress::Poll | Ingress::Both => {
            format!("detect merged pull requests: pullyard repos ingress OWNER/NAME poll --project {project}")
        }
    };
    vec![
        format!("build and push the image of tasks: infra/image/push --stack {}", stack.name),
        ingress,
        format!("let tickets start jobs: pullyard settings set auto_create=true --project {project}"),
        format!(
            "or run jobs on machines of your own: pullyard tokens create --name NAME --kind runner --projects {project}"
        ),
        format!("then check everything: pullyard doctor --stack {}", stack.name),
    ]
}
