//! `pullyard init --stack`: sets up a deployed stack up to its first project.
//! Steps keep existing items and can be repeated. The token is saved locally first, so that none is lost.

use crate::client::config::{Config, Signed};
use crate::client::doctor::Account;
use crate::client::fault::{Exit, Fault};
use crate::client::screen::Screen;
use crate::client::session::Session;
use crate::client::{Global, ask};
use pullyard_admin::{Aws, Error, FirstToken, Renew, Stack, first_token, new_token};
use pullyard_domain::agent::Agent;
use pullyard_domain::checks::CommandOverrides;
use pullyard_domain::id::{IntegrationId, ProjectId, RepositoryName, SecretName};
use pullyard_domain::project::{ForgeKind, Settings};
use pullyard_domain::secret::SecretKind;
use pullyard_protocol::integration::CreateIntegration;
use pullyard_protocol::project::{AddRepository, CreateProject};
use pullyard_protocol::secret::SetSecret;
use serde::Serialize;
use std::process::ExitCode;

/// Limit of Secrets Manager. Units: bytes.
const LARGEST: usize = 65_536;

/// What a stack begins with.
#[derive(clap::Args)]
pub(super) struct StackSetUp {
    #[command(flatten)]
    pub(super) account: Account,
    /// Revoke the first admin token and create another, if it was lost.
    #[arg(long, requires = "stack")]
    new_admin_token: bool,
    /// Skip the forge; connect an App afterwards with `pullyard init --github-app`.
    #[arg(long, requires = "stack", conflicts_with = "repo")]
    no_forge: bool,
    /// Connect this repository of the forge.
    #[arg(long, value_name = "OWNER/NAME", requires = "stack")]
    repo: Option<RepositoryName>,
    /// Agent: claude_code, codex, auto (the one installed where a job runs), command, or project (the project's agent,
    /// auto at first).
    #[arg(long, value_name = "AGENT", requires = "repo", default_value_if("agent_command", clap::builder::ArgPredicate::IsPresent, "command"), default_value = "project", value_parser = clap::builder::PossibleValuesParser::new(pullyard_domain::agent::REPOSITORY_CHOICES))]
    agent: String,
    /// Program of the agent `command` with its arguments, to the end of the line.
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_name = "COMMAND", requires = "repo")]
    agent_command: Vec<String>,
}

pub(super) struct Forge {
    pub(super) id: IntegrationId,
    pub(super) kind: ForgeKind,
    pub(super) api_url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Did {
    Made,
    Existed,
    Skipped,
}

#[derive(Debug, Serialize)]
struct Step {
    step: &'static str,
    did: Did,
    sentence: String,
}

#[derive(Debug, Serialize)]
struct Done {
    stack: String,
    api_url: String,
    context: String,
    project: ProjectId,
    steps: Vec<Step>,
    next: Vec<String>,
}

impl StackSetUp {
    pub(super) async fn run(
        self,
        global: &Global,
        screen: &Screen,
        forge: Forge,
        workflows: bool,
    ) -> Result<ExitCode, Fault> {
        let Account { stack, region, profile } = self.account;
        let name = stack.unwrap_or_default();
        let aws = Aws::connect(region, profile).await.map_err(fault)?;
        let stack = Stack::find(&aws, &name).await.map_err(fault)?;
        let renew = if self.new_admin_token { Renew::First } else { Renew::Never };
        let context = global.context_name().unwrap_or(name);
        let mut steps = vec![sign_in(&aws, &stack, &context, renew).await?];
        steps[0].tell(screen);

        let Some(session) = Session::at(global, Screen::new(global), &stack.api_url)? else {
            return Err(Fault::new(Exit::Failed, format!("context {context} was removed meanwhile")));
        };
        session.api.own_token().await.map_err(|error| {
            Fault::from(error).help(format!(
                "the stack exists, but its API does not respond: `pullyard doctor --stack {}`",
                stack.name
            ))
        })?;
        let (project, step) = first_project(&session).await?;
        step.tell(screen);
        steps.push(step);
        remember(&context, &project)?;
        if self.no_forge {
            let sentence = "No forge is connected: connect one with `pullyard init --github-app`.".to_owned();
            steps.push(Step { step: "forge", did: Did::Skipped, sentence });
        } else {
            let step = connect(&session, &forge).await?;
            step.tell(screen);
            steps.push(step);
        }
        if let Some(name) = self.repo {
            let agent = Agent { capability: self.agent, command: self.agent_command, model: None };
            let wanted = AddRepository {
                integration: forge.id.clone(),
                name,
                agent,
                workflows,
                commands: CommandOverrides::default(),
            };
            let step = repository(&session, &project, &wanted).await?;
            step.tell(screen);
            steps.push(step);
        }
        let next = next(&stack, &forge, &project);
        if screen.is_json() {
            screen.json(&Done { stack: stack.name, api_url: stack.api_url, context, project, steps, next })?;
        } else {
            for line in next {
                screen.hint(&line);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Step {
    fn new(step: &'static str, did: Did, sentence: impl Into<String>) -> Self {
        Self { step, did, sentence: sentence.into() }
    }

    fn tell(&self, screen: &Screen) {
        screen.note(&self.sentence);
    }
}

fn fault(error: Error) -> Fault {
    let help = match &error {
        Error::NotExported { help, .. } => help,
        Error::NoRegion => "name one with --region, or set AWS_REGION",
        Error::NoStack { .. } => "choose another --region or --profile; `aws cloudformation list-stacks` lists stacks",
        Error::NotOurs { .. } => "name the root stack, and deploy it with a release that is as new as this program",
        error if error.is_denied() => {
            "it needs cloudformation:DescribeStacks, and reading and writing the stack's table"
        }
        _ => "run it again; finished steps are skipped",
    };
    let exit = match &error {
        Error::NoStack { .. } => Exit::NotFound,
        Error::NoCredentials { .. } | Error::NotExported { .. } => Exit::NotAllowed,
        error if error.is_denied() => Exit::NotAllowed,
        _ => Exit::Failed,
    };
    Fault::new(exit, format!("failed to {}", pullyard_domain::text::format_error_chain(&error))).help(help)
}

async fn sign_in(aws: &Aws, stack: &Stack, context: &str, renew: Renew) -> Result<Step, Fault> {
    let before = Config::load()?;
    let url = &stack.api_url;
    if let Some(other) = before.contexts.get(context).filter(|other| other.url != *url) {
        return Err(Fault::usage(format!("context {context} belongs to another server, {}", other.url))
            .help("choose another with --context, or remove it with `pullyard logout`"));
    }
    let saved = before.contexts.get(context).or_else(|| before.contexts.values().find(|other| other.url == *url));
    let token = match (saved, renew) {
        (Some(saved), Renew::Never) => saved.token.clone(),
        _ => new_token(),
    };
    let mut config = Config::load()?;
    let project = saved.and_then(|saved| saved.project.clone());
    config.contexts.insert(context.into(), Signed { url: url.clone(), token: token.clone(), project, data: None });
    config.current = Some(context.into());
    config.save()?;
    let made = match first_token(aws, stack, &token, renew).await {
        Ok(made) => made,
        // The write may have succeeded: keep the token for a second run.
        Err(error) if error.is_transient() => return Err(fault(error)),
        Err(error) => {
            before.save()?;
            return Err(fault(error));
        }
    };
    match made {
        FirstToken::Made => {
            let sentence =
                format!("Created the first admin token; this command line is signed in to {url} as context {context}.");
            Ok(Step::new("token", Did::Made, sentence))
        }
        FirstToken::There => {
            let sentence =
                format!("The first admin token exists; this command line is signed in to {url} as context {context}.");
            Ok(Step::new("token", Did::Existed, sentence))
        }
        FirstToken::Taken { name, prefix } => {
            let works =
                saved.is_some() && pullyard_protocol::client::Operator::new(url, &token)?.own_token().await.is_ok();
            if works {
                let sentence =
                    format!("An admin token exists, {name} ({prefix}…); context {context} is signed in to {url}.");
                return Ok(Step::new("token", Did::Existed, sentence));
            }
            before.save()?;
            Err(Fault::new(Exit::Refused, format!("{} already has an admin token, {name} ({prefix}…)", stack.name)).help(
                "sign in with it: `pullyard login`; if it is lost, --new-admin-token revokes the first one and creates another",
            ))
        }
        FirstToken::Unfit { name, prefix } => {
            before.save()?;
            let error = format!("the saved token of {url}, {name} ({prefix}…), is not a valid admin token");
            Err(Fault::new(Exit::Refused, error).help(
                "it was revoked, has expired or is limited: sign in with an admin token (`pullyard login`), or replace the first one with --new-admin-token",
            ))
        }
    }
}

async fn first_project(session: &Session) -> Result<(ProjectId, Step), Fault> {
    let id = if session.named_none() && session.projects().await?.is_empty() {
        asked_name(&session.screen)?
    } else {
        session.project().await?
    };
    match session.api.project(&id).await.map_err(Fault::from) {
        Ok(there) => Ok((there.id, Step::new("project", Did::Existed, format!("The project {id} exists.")))),
        Err(fault) if fault.is_not_found() => {
            let wanted = CreateProject { id: id.clone(), name: id.to_string(), settings: Settings::default() };
            session.api.create_project(&wanted).await?;
            Ok((id.clone(), Step::new("project", Did::Made, format!("Created the project {id}."))))
        }
        Err(fault) => Err(fault),
    }
}

fn asked_name(screen: &Screen) -> Result<ProjectId, Fault> {
    let named = ask::answer(screen, "the name of the first project, such as acme")?.filter(|named| !named.is_empty());
    let Some(named) = named else {
        return Err(Fault::usage("there is no project yet").help("run it again with --project ID"));
    };
    named.parse().map_err(|bad| Fault::usage(format!("{named} is not a project id: {bad}")))
}

fn remember(context: &str, project: &ProjectId) -> Result<(), Fault> {
    let mut config = Config::load()?;
    if let Some(saved) = config.contexts.get_mut(context)
        && saved.project.is_none()
    {
        saved.project = Some(project.to_string());
        config.save()?;
    }
    Ok(())
}

async fn connect(session: &Session, forge: &Forge) -> Result<Step, Fault> {
    let Forge { id, kind, api_url } = forge;
    match session.api.integration(id).await.map_err(Fault::from) {
        Ok(_) => return Ok(Step::new("forge", Did::Existed, format!("The integration {id} exists."))),
        Err(fault) if fault.is_not_found() => {}
        Err(fault) => return Err(fault),
    }
    let name = SecretName::new(format!("{id}-token"))
        .map_err(|bad| Fault::usage(format!("can't derive a secret's name from {id}: {bad}")))?;
    let what = match kind {
        ForgeKind::GitHub => format!("the token of Pullyard's account at {api_url}"),
        ForgeKind::Bitbucket => format!("an access token for {api_url}, or E-MAIL:API-TOKEN of Pullyard's account"),
    };
    let value = ask::hidden(&session.screen, &what, LARGEST)?;
    let set = session.api.set_secret(&name, &SetSecret { value, kind: SecretKind::Forge }).await?;
    let request =
        CreateIntegration { id: id.clone(), kind: *kind, api_url: api_url.clone(), token_secret: set.secret.clone() };
    let made = session.api.create_integration(&request).await?;
    let sentence = format!(
        "Connected {api_url} as {id}, where Pullyard is {}; its token is in the secret {}.",
        made.account.login, set.secret
    );
    Ok(Step::new("forge", Did::Made, sentence))
}

async fn repository(session: &Session, project: &ProjectId, wanted: &AddRepository) -> Result<Step, Fault> {
    let there = session.api.repositories(project).await?.repositories;
    let same = |name: &RepositoryName| name.as_str().eq_ignore_ascii_case(wanted.name.as_str());
    if there.iter().any(|there| same(&there.name) && there.integration == wanted.integration) {
        return Ok(Step::new("repository", Did::Existed, format!("{} is connected.", wanted.name)));
    }
    let made = session.api.add_repository(project, wanted).await?;
    Ok(Step::new("repository", Did::Made, format!("Connected {}, branch {}.", made.name, made.default_branch)))
}

fn next(stack: &Stack, forge: &Forge, project: &ProjectId) -> Vec<String> {
    let heard_of = match forge.kind {
        ForgeKind::GitHub => format!(
            "receive reviews: pullyard hooks install --base-url {} --integration {} --repo OWNER/NAME",
            stack.api_url, forge.id
        ),
        ForgeKind::Bitbucket => {
            format!("detect merged pull requests: pullyard repos ingress OWNER/NAME poll --project {project}")
        }
    };
    vec![
        format!("build and push the image of tasks: infra/image/push --stack {}", stack.name),
        heard_of,
        format!("let tickets start jobs: pullyard settings set auto_create=true --project {project}"),
        format!(
            "or run jobs on machines of your own: pullyard tokens create --name NAME --kind runner --projects {project}"
        ),
        format!("then check everything: pullyard doctor --stack {}", stack.name),
    ]
}
