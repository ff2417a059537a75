//! `pullyard hooks install`: creates webhooks, or prints what to enter at the forge.

use super::list;
use crate::client::prelude::*;
use pullyard_domain::text::id::{HookName, IntegrationId, RepositoryName, TemplateName};
use pullyard_protocol::hook::{Hook, InstallHook};

/// Create or repair webhooks of repositories or of an organization, here and at the forge.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard hooks install --integration gh1 --base-url https://pullyard.acme.example --repo acme/app
  pullyard hooks install --integration gh1 --base-url https://pullyard.acme.example --org acme
  pullyard hooks install --integration bb1 --base-url https://pullyard.acme.example --repo acme/shop
  pullyard hooks install --integration gh1 --base-url https://pullyard.acme.example --repo acme/app --template fix-ci")]
pub(super) struct Install {
    /// URL at which the forge reaches this server.
    #[arg(long, value_name = "URL")]
    base_url: String,
    /// Repository; can be repeated.
    #[arg(long, value_name = "OWNER/NAME", required_unless_present_any = ["org", "app"], conflicts_with_all = ["org", "app"])]
    repo: Vec<RepositoryName>,
    /// All repositories of an organization or workspace, in all projects.
    #[arg(long, value_name = "LOGIN", conflicts_with = "app")]
    org: Option<String>,
    /// All installations of the integration's App, in all projects; points the App's webhook here.
    #[arg(long)]
    app: bool,
    /// Integration.
    #[arg(long, value_name = "ID")]
    integration: IntegrationId,
    /// Template of the project that the deliveries start; its plan names the events in `on`.
    #[arg(long, value_name = "NAME", requires = "repo")]
    template: Option<TemplateName>,
    /// Last part of its URL (default: the template, or derived from the repository or organization).
    #[arg(long, value_name = "NAME")]
    name: Option<HookName>,
    /// Print what to enter at the forge, for a token that can't create webhooks.
    #[arg(long)]
    by_hand: bool,
}

impl Install {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        if (self.name.is_some() || self.template.is_some()) && self.repo.len() > 1 {
            return Err(CliError::usage("--name and --template need exactly one --repo"));
        }
        warn_if_unreachable(session, &self.base_url, &self.integration).await?;
        let project = session.project().await?;
        let request = |subject: &str| {
            let name = self.name.clone().map_or_else(|| HookName::derive(subject), Ok).map_err(|bad| {
                CliError::usage(format!("can't derive a name from {subject}: {bad}"))
                    .with_help("choose one with --name")
            })?;
            Ok::<_, CliError>(InstallHook {
                name,
                integration: self.integration.clone(),
                project: project.clone(),
                repository: None,
                organisation: None,
                app: false,
                base_url: self.base_url.clone(),
                by_hand: self.by_hand,
                template: self.template.clone(),
            })
        };
        let mut requests = Vec::new();
        for repository in &self.repo {
            let subject = self.template.as_ref().map_or(repository.as_str(), TemplateName::as_str);
            requests.push(InstallHook { repository: Some(repository.clone()), ..request(subject)? });
        }
        if let Some(login) = &self.org {
            requests.push(InstallHook { organisation: Some(login.clone()), ..request(login)? });
        }
        if self.app {
            requests.push(InstallHook { app: true, ..request(&format!("{}-app", self.integration))? });
        }
        let mut hooks = Vec::new();
        for request in &requests {
            hooks.push(session.api.install_hook(request).await?);
        }
        list(session, &hooks)?;
        for hook in &hooks {
            if self.by_hand {
                session.screen.hint(&manual_setup_text(hook));
            } else if let Some(kind) = hook.forge.filter(|kind| !kind.spec().hook.lists_deliveries)
                && hook.verified_at.is_none()
            {
                session.screen.hint(&format!(
                    "{} has no test deliveries: `pullyard hooks verify {}` shows when the first one arrived; open pull \
                     requests are also polled every five minutes",
                    kind.label(),
                    hook.name
                ));
            }
        }
        Ok(())
    }
}

async fn warn_if_unreachable(session: &Session, base_url: &str, integration: &IntegrationId) -> Result<(), CliError> {
    let host = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    let is_private = ["127.", "10.", "192.168.", "169.254."].iter().any(|start| host.starts_with(start))
        || (16..32).any(|second| host.starts_with(&format!("172.{second}.")))
        || host == "localhost"
        || host.ends_with(".local")
        || host.starts_with('[');
    let forge = session.api.integration(integration).await?;
    if is_private && forge.api_url.starts_with(forge.kind.spec().api_url) {
        session.screen.warn(&format!(
            "{} can't reach {host}; without a public address use `pullyard repos ingress OWNER/NAME poll`",
            forge.kind.label()
        ));
    }
    Ok(())
}

fn manual_setup_text(hook: &Hook) -> String {
    let url = hook.url.as_deref().unwrap_or_default();
    let fields = match &hook.template {
        Some(template) => format!(", application/json, the events that `on` of {template} names"),
        None => hook.forge.map(|kind| format!(", {}", (kind.spec().hook.form)())).unwrap_or_default(),
    };
    let secret = &hook.secret;
    format!("at the forge enter {url}{fields}, and a secret that you set here with `pullyard secrets set {secret}`")
}
