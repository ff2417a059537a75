//! `pullyard init`: creates a GitHub App and connects it, in one visit of a browser.
//! The App's key never reaches this machine: GitHub gives the browser a code, and the server exchanges it.

mod loopback;
mod manifest;
mod stack;

use super::open::open_in_browser;
use super::{Global, integrations};
use crate::client::prelude::*;
use axum::http::StatusCode;
use loopback::{Loopback, Page};
use pullyard_domain::auth::Auth;
use pullyard_domain::id::{HookName, IntegrationId, ProjectId};
use pullyard_domain::project::ForgeKind;
use pullyard_forge::features::WorkflowPolicy;
use pullyard_forge::{AppManifest, GitHubSite};
use pullyard_protocol::hook::InstallHook;
use pullyard_protocol::integration::{CreateGitHubApp, Integration};
use stack::StackSetUp;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::timeout;

const BROWSER_TIMEOUT: Duration = Duration::from_secs(3_600);

const BITBUCKET_URL: &str = "https://bitbucket.org";

/// Set up a deployed stack, or connect GitHub through an App of your own.
///
/// With --stack: the first admin token, which signs this command line in, then the first project, the forge and a
/// repository. Existing objects stay unchanged; it is safe to run twice.
///
/// With --github-app: creates the App at GitHub from a manifest with its permissions, which you confirm once. Each token
/// is for one repository and one attempt, and is valid for an hour.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard init --stack pullyard --project acme --repo acme/app --agent claude_code
  pullyard init --stack pullyard --project acme --forge https://bitbucket.org --repo acme/app
  pullyard init --stack pullyard --project acme --no-forge
  pullyard init --github-app
  pullyard init --github-app --org acme --base-url https://pullyard.acme.example
  pullyard init --github-app --forge https://git.acme.example --id ghe")]
pub(crate) struct Init {
    /// Create a GitHub App and connect it.
    #[arg(long, required_unless_present = "stack", conflicts_with = "stack")]
    github_app: bool,
    #[command(flatten)]
    stack: StackSetUp,
    /// Organization that will own the App (default: you).
    #[arg(long, value_name = "ORG", value_parser = manifest::parse_account)]
    org: Option<String>,
    /// Name of the App, unique at GitHub; can be changed there later.
    #[arg(long, value_name = "NAME", value_parser = manifest::parse_name)]
    name: Option<String>,
    /// URL of GitHub or a GitHub Enterprise Server; with --stack also https://bitbucket.org.
    #[arg(long, value_name = "URL", default_value = "https://github.com")]
    forge: String,
    /// URL at which GitHub reaches this system (default: the server's URL, if it is https).
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Integration id.
    #[arg(
        long,
        value_name = "ID",
        default_value_ifs([("forge", BITBUCKET_URL, "bitbucket"), ("forge", "https://bitbucket.org/", "bitbucket")]),
        default_value = "github"
    )]
    id: IntegrationId,
    /// Also request the permission to change files under .github/workflows.
    #[arg(long)]
    workflows: bool,
    /// Print the URL instead of opening a browser.
    #[arg(long)]
    print: bool,
}

impl Init {
    pub(super) fn stack(&self) -> Option<&str> {
        self.stack.account.stack.as_deref()
    }

    pub(super) async fn run_on_stack(self, global: &Global, screen: &Screen) -> Result<(), CliError> {
        let (kind, api_url) = match self.forge.trim_end_matches('/') {
            BITBUCKET_URL => (ForgeKind::Bitbucket, ForgeKind::Bitbucket.default_api_url().to_owned()),
            forge => (ForgeKind::GitHub, manifest::parse_site(forge)?.api_url()),
        };
        let forge = stack::Forge { id: self.id, kind, api_url };
        self.stack.run(global, screen, forge, self.workflows).await
    }

    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let site = manifest::parse_site(&self.forge)?;
        let public = self.base_url.as_deref().or(session.url.starts_with("https://").then_some(session.url.as_str()));
        let public = public.map(manifest::parse_public_url).transpose()?;
        self.ensure_name_free(session).await?;
        // Check before GitHub creates anything: the App's hook needs a project.
        let hook = match &public {
            Some(base_url) => self.plan_hook(session, base_url).await?,
            None => None,
        };

        let loopback = Loopback::bind().await.map_err(|error| {
            CliError::failed(format!("can't listen on 127.0.0.1 for the browser's answer: {error}"))
        })?;
        let manifest = AppManifest {
            name: self.name.clone().unwrap_or_else(AppManifest::random_name),
            home: session.url.clone(),
            hook: public.as_deref().map(|base| format!("{base}/webhooks/github/{}", self.id)),
            redirect: loopback.redirect(),
            workflows: if self.workflows { WorkflowPolicy::Allow } else { WorkflowPolicy::Forbid },
        };
        let page = Page { action: site.new_app_url(self.org.as_deref(), loopback.state()), manifest: manifest.json() };
        let mut waiting = loopback.serve(page);
        self.show_address(session, waiting.address())?;

        let Ok(Some(callback)) = timeout(BROWSER_TIMEOUT, waiting.callback()).await else {
            return Err(CliError::failed("the setup at GitHub was not finished within an hour")
                .with_help("run it again; if GitHub has created an App, delete it there"));
        };
        let request = CreateGitHubApp { id: self.id.clone(), api_url: site.api_url(), code: callback.code.clone() };
        let integration = session.api.create_github_app(&request).await;
        // Answer the browser now: the server has stored the key or failed permanently.
        let (status, message) = match &integration {
            Ok(integration) => {
                (StatusCode::OK, format!("The App is connected as {}. You can close this page.", integration.id))
            }
            Err(_) => (StatusCode::BAD_GATEWAY, "Failed to connect the App. The terminal shows the reason.".to_owned()),
        };
        waiting.answer(callback, status, &message).await;
        let integration = integration.map_err(|error| self.creation_fault(&site, error))?;
        self.show(session, &site, &integration)?;
        match (&public, hook) {
            (Some(base_url), Some(hook)) => {
                session.api.install_hook(&hook).await.map_err(|error| {
                    CliError::from(error).with_help(format!(
                        "the App is connected; create its hook with `{}`",
                        hooks_install_command(&self.id, base_url, Some(&hook.project))
                    ))
                })?;
                session.screen.note(&format!("the hook {} receives its deliveries", hook.name));
            }
            (Some(base_url), None) => session.screen.hint(&format!(
                "then create a project and the App's hook: {}",
                hooks_install_command(&self.id, base_url, None)
            )),
            (None, _) => session.screen.hint(
                "GitHub can't reach this system, so the App's webhook is off; poll for reviews instead: \
                 pullyard repos ingress OWNER/NAME poll",
            ),
        }
        Ok(())
    }

    async fn plan_hook(&self, session: &Session, base_url: &str) -> Result<Option<InstallHook>, CliError> {
        let project = match session.project().await {
            Ok(project) => project,
            Err(fault) if fault.is_not_found() => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let name = HookName::new(self.id.as_str()).map_err(|bad| CliError::usage(bad.to_string()))?;
        Ok(Some(InstallHook {
            name,
            integration: self.id.clone(),
            project,
            repository: None,
            organisation: None,
            app: true,
            base_url: base_url.to_owned(),
            by_hand: false,
        }))
    }

    /// Fails if the name is taken, before GitHub creates an App that could not be connected.
    async fn ensure_name_free(&self, session: &Session) -> Result<(), CliError> {
        match session.api.integration(&self.id).await.map_err(CliError::from) {
            Ok(existing) => {
                Err(CliError::new(Exit::Refused, format!("the integration {} already exists", existing.id))
                    .with_help("choose another name with --id; `pullyard integrations` lists them"))
            }
            Err(fault) if fault.is_not_found() => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    fn show_address(&self, session: &Session, address: &str) -> Result<(), CliError> {
        if session.screen.is_json() {
            session.screen.note(&format!("open {address} in a browser on this machine"));
            return Ok(());
        }
        session.screen.print_line(address)?;
        let opened = !self.print && std::io::stdout().is_terminal() && open_in_browser(address);
        session.screen.hint(match opened {
            true => "opened in a browser; continue there, this command waits",
            false => "open it in a browser on this machine and continue there; this command waits",
        });
        Ok(())
    }

    /// GitHub accepts the code once and shows the key once. The help covers an App that exists after the failure.
    fn creation_fault(&self, site: &GitHubSite, error: pullyard_protocol::client::Error) -> CliError {
        CliError::from(error).with_help(format!(
            "if GitHub has created the App, generate a private key on its page ({}), store it and a webhook secret with \
             `pullyard secrets set`, and connect it with `pullyard integrations add {} --app-id …`; or delete it \
             there and start again",
            site.apps_url(self.org.as_deref()),
            self.id
        ))
    }

    fn show(&self, session: &Session, site: &GitHubSite, integration: &Integration) -> Result<(), CliError> {
        integrations::show(session, integration)?;
        if let Auth::App { slug, .. } = &integration.auth {
            session.screen.hint(&format!("install it on your repositories: {}", site.install_url(slug)));
        }
        session
            .screen
            .hint(&format!("then connect one: pullyard repos add OWNER/NAME --integration {} …", integration.id));
        Ok(())
    }
}

fn hooks_install_command(id: &IntegrationId, base_url: &str, project: Option<&ProjectId>) -> String {
    let project = project.map(|project| format!(" --project {project}")).unwrap_or_default();
    format!("pullyard hooks install --app --integration {id} --name {id} --base-url {base_url}{project}")
}
