//! `pullyard integrations`: connects, lists, tests and deletes forges.

use super::choices::choices;
use super::pages;
use crate::client::prelude::*;
use pullyard_domain::project::forge::{Auth, ForgeKind};
use pullyard_domain::project::secret::LOCAL_FORGE_SECRET;
use pullyard_domain::text::id::{IntegrationId, ProjectId};
use pullyard_protocol::client::Error;
use pullyard_protocol::integration::{ConnectGitHubApp, CreateIntegration, Integration, SetIntegrationProjects};

/// Longer than any name that a user types. Units: characters.
const MAX_TYPED_NAME_CHARS: usize = 32;

/// Connect forges.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard integrations add gh1 --token-secret pullyard/user/github
  pullyard integrations add bb1 --kind bitbucket --token-secret pullyard/user/bitbucket
  pullyard integrations allow gh1 --projects acme,shop
  pullyard integrations test gh1
  pullyard integrations delete gh1")]
pub(crate) struct Integrations {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Connect a forge; checks the token first.
    ///
    /// docs/forges.md lists the tokens of each forge and their permissions.
    #[command(after_help = "Examples:
  pullyard integrations add gh1 --token-secret pullyard/user/github
  pullyard integrations add ghe --api-url https://git.acme.example/api/v3 --token-secret pullyard/user/ghe
  pullyard integrations add bb1 --kind bitbucket --token-secret pullyard/user/bitbucket
  pullyard integrations add gh2 --app-id 12345 \\
    --key-secret pullyard/user/app-key --webhook-secret pullyard/user/app-webhook")]
    Add {
        /// Integration id.
        id: IntegrationId,
        /// Kind of forge.
        #[arg(long, value_name = "KIND", default_value = ForgeKind::DEFAULT.as_str(), ignore_case = true, value_parser = choices(ForgeKind::ALL.map(|kind| (kind.as_str(), kind))))]
        kind: ForgeKind,
        /// REST URL (default: that of the forge's public site).
        #[arg(long, value_name = "URL")]
        api_url: Option<String>,
        /// Secret with the token, as printed by `pullyard secrets set`; never the token itself.
        #[arg(long, value_name = "NAME", required_unless_present = "app_id", conflicts_with = "app_id")]
        token_secret: Option<String>,
        /// Connect an existing GitHub App by its id; the page Repositories creates one.
        #[arg(long, value_name = "ID", requires_all = ["key_secret", "webhook_secret"])]
        app_id: Option<u64>,
        /// Secret with the App's private key.
        #[arg(long, value_name = "NAME", requires = "app_id")]
        key_secret: Option<String>,
        /// Secret with which the App signs its deliveries.
        #[arg(long, value_name = "NAME", requires = "app_id")]
        webhook_secret: Option<String>,
        /// The only projects that may use it.
        #[arg(long, value_name = "ID", value_delimiter = ',')]
        projects: Vec<ProjectId>,
    },
    /// Replace the list of the projects that may use a connection.
    ///
    /// Without a list, only tokens for all projects can add its repositories to a project. With one, jobs, reviews and
    /// merges of other projects do not get its credentials, whatever their repositories name.
    #[command(after_help = "Examples:
  pullyard integrations allow gh1 --projects acme,shop
  pullyard integrations allow gh1 --no-list")]
    Allow {
        /// Integration id.
        id: IntegrationId,
        /// The only projects that may use it.
        #[arg(long, value_name = "ID", value_delimiter = ',', required_unless_present = "no_list")]
        projects: Vec<ProjectId>,
        /// Remove the list.
        #[arg(long, conflicts_with = "projects")]
        no_list: bool,
    },
    /// List the connected forges.
    #[command(after_help = "Examples:\n  pullyard integrations list\n  pullyard integrations list --json")]
    List,
    /// Check that a forge accepts its token; exits with 1 if not.
    #[command(after_help = "Examples:\n  pullyard integrations test gh1\n  pullyard integrations test gh1 --json")]
    Test {
        /// Integration id.
        id: IntegrationId,
    },
    /// Delete a connection; the forge is not changed, and the secrets stay.
    ///
    /// Refused while it has a repository, a hook or a running job; the error names the obstacle and the remedy. Its id
    /// stays reserved for the same forge.
    #[command(
        after_help = "Examples:\n  pullyard integrations delete gh1\n  pullyard integrations delete gh1 --yes --json"
    )]
    Delete {
        /// Integration id.
        id: IntegrationId,
        /// Skip the confirmation.
        #[arg(long)]
        yes: bool,
    },
    /// Show a connected forge.
    #[command(after_help = "Examples:\n  pullyard integrations show gh1\n  pullyard integrations show gh1 --json")]
    Show {
        /// Integration id.
        id: IntegrationId,
    },
}

fn api_url_or_default(kind: ForgeKind, api_url: Option<String>) -> String {
    api_url.unwrap_or_else(|| kind.spec().api_url.to_owned())
}

impl Integrations {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let mut listed = Vec::new();
        let command = self.command.unwrap_or(Command::List);
        if let Command::Add { projects, .. } = &command {
            listed.clone_from(projects);
        }
        let integration = match command {
            Command::List => return list(session).await,
            Command::Test { id } => return test(session, &id).await,
            Command::Delete { id, yes } => return delete(session, &id, yes).await,
            Command::Add { id, kind, api_url, token_secret: Some(token_secret), .. } => {
                let request = CreateIntegration { id, kind, api_url: api_url_or_default(kind, api_url), token_secret };
                session.api.create_integration(&request).await.map_err(|error| connection_fault(error, &request))?
            }
            Command::Add { kind, .. } if !kind.spec().hook.has_apps => {
                let fault = format!("{} has no Apps of this kind", kind.label());
                return Err(CliError::usage(fault).with_help("add --token-secret NAME"));
            }
            Command::Add {
                id,
                kind,
                api_url,
                app_id: Some(app_id),
                key_secret: Some(key_secret),
                webhook_secret: Some(webhook_secret),
                ..
            } => {
                let api_url = api_url_or_default(kind, api_url);
                let request = ConnectGitHubApp { id, api_url, app_id, key_secret, webhook_secret };
                session.api.connect_github_app(&request).await?
            }
            Command::Add { .. } => {
                return Err(CliError::usage("give a --token-secret, or an --app-id with its secrets"));
            }
            Command::Allow { id, projects, no_list } => {
                let projects = (!no_list).then(|| projects.into_iter().collect());
                session.api.set_integration_projects(&id, &SetIntegrationProjects { projects }).await?
            }
            Command::Show { id } => session.api.integration(&id).await?,
        };
        let integration = if listed.is_empty() {
            integration
        } else {
            let list = SetIntegrationProjects { projects: Some(listed.into_iter().collect()) };
            session.api.set_integration_projects(&integration.id, &list).await?
        };
        show(session, &integration)
    }
}

fn connection_fault(error: Error, request: &CreateIntegration) -> CliError {
    let secret = &request.token_secret;
    let help = match error.code() {
        // The value may be the token itself: do not print it.
        Some("secret_missing" | "invalid") if !secret.contains('/') && secret.chars().count() > MAX_TYPED_NAME_CHARS => Some(
            "give the name of a secret, not the token: `pullyard secrets set NAME` stores the token and prints the name"
                .to_owned(),
        ),
        Some("secret_missing" | "invalid") if !secret.contains('/') => Some(format!(
            "set it with `pullyard secrets set {secret}`, then use --token-secret pullyard/user/{secret}"
        )),
        Some("forge_refused") => Some(format!(
            "check that it is {} (--kind), the URL (--api-url), and the token's permissions",
            request.kind.label()
        )),
        _ => None,
    };
    let fault = CliError::from(error);
    match help {
        Some(help) => fault.with_help(help),
        None => fault,
    }
}

pub(super) async fn list_all(session: &Session) -> Result<Vec<Integration>, CliError> {
    pages::load_all(async |after| {
        let page = session.api.integrations(after.as_deref()).await?;
        Ok((page.integrations, page.next))
    })
    .await
}

async fn list(session: &Session) -> Result<(), CliError> {
    let all = list_all(session).await?;
    let mut table = Table::new([
        Fixed("INTEGRATION"),
        Fixed("KIND"),
        Flexible("ADDRESS"),
        Flexible("ACCOUNT"),
        Flexible("BY"),
        Flexible("PROJECTS"),
    ]);
    for integration in &all {
        table.row([
            Cell::text(&integration.id),
            Cell::new(integration.kind.label(), super::format::to_code(&integration.kind)),
            Cell::text(&integration.api_url),
            Cell::text(&integration.account.login),
            Cell::text(describe_auth(&integration.auth)),
            super::format::listed_projects_cell(integration.projects.as_ref()),
        ]);
    }
    let empty = "No forge is connected. Add one with `pullyard integrations add`; its help has examples.";
    table.show_answer(&session.screen, &all, empty)
}

async fn delete(session: &Session, id: &IntegrationId, yes: bool) -> Result<(), CliError> {
    confirm(&session.screen, yes, &format!("Delete the integration {id}?"))?;
    let removed = session.api.remove_integration(id).await?;
    if session.screen.is_json() {
        return session.screen.json(&removed);
    }
    session.screen.note(&format!("Deleted {id}"));
    for secret in &removed.secrets {
        let name = secret.rsplit('/').next().unwrap_or(secret);
        session.screen.hint(&match secret == LOCAL_FORGE_SECRET {
            true => format!("its secret {secret} stays"),
            false => format!("its secret {secret} stays; delete it with `pullyard secrets delete {name}`"),
        });
    }
    Ok(())
}

async fn test(session: &Session, id: &IntegrationId) -> Result<(), CliError> {
    let result = session.api.test_integration(id).await?;
    session.screen.report_test(&result, result.works, &result.sentence, &result.help)
}

fn describe_auth(auth: &Auth) -> String {
    match auth {
        Auth::Token { secret } => format!("token in {secret}"),
        Auth::App { slug, .. } => format!("App {slug}"),
    }
}

fn show(session: &Session, integration: &Integration) -> Result<(), CliError> {
    let mut lines = vec![
        ("Integration", Cell::text(&integration.id)),
        ("Kind", Cell::new(integration.kind.label(), super::format::to_code(&integration.kind))),
        ("Address", Cell::text(&integration.api_url)),
        ("Account", Cell::text(&integration.account.login)),
        ("Projects", super::format::listed_projects_cell(integration.projects.as_ref())),
    ];
    match &integration.auth {
        Auth::Token { secret } => lines.push(("Token secret", Cell::text(secret))),
        Auth::App { app_id, slug, key_secret, webhook_secret, .. } => lines.extend([
            ("App", Cell::text(format!("{slug}, {app_id}"))),
            ("Key secret", Cell::text(key_secret)),
            ("Webhook secret", Cell::text(webhook_secret)),
        ]),
    }
    session.screen.show(integration, |_| print_facts(&session.screen, &lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_api_url_follows_the_kind() {
        let resolve_url = |text: &str, api_url: Option<&str>| {
            api_url_or_default(ForgeKind::from_code(text).unwrap(), api_url.map(str::to_owned))
        };
        assert_eq!(resolve_url("github", None), "https://api.github.com");
        assert_eq!(resolve_url("bitbucket", None), "https://api.bitbucket.org/2.0");
        assert_eq!(resolve_url("bitbucket", Some("http://127.0.0.1:5/2.0")), "http://127.0.0.1:5/2.0");
    }
}
