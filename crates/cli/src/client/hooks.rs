//! `pullyard hooks`: installs, verifies, repairs and deletes webhooks at forges.

use super::pages;
use crate::client::prelude::*;
use pullyard_domain::hook::subscribed_events;
use pullyard_domain::id::{HookName, IntegrationId, RepositoryName};
use pullyard_domain::project::ForgeKind;
use pullyard_protocol::hook::{Hook, HookCheck, InstallHook};

const NO_HOOKS: &str = "No hook. Create one with `pullyard hooks install`; its help has examples.";

/// Install, verify and repair the webhooks through which forges send reviews.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard hooks install --integration gh1 --base-url https://pullyard.acme.example --repo acme/app --repo acme/web
  pullyard hooks install --integration bb1 --base-url https://pullyard.acme.example --repo acme/shop
  pullyard hooks verify")]
pub(crate) struct Hooks {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Create or repair webhooks of repositories or of an organization, here and at the forge.
    ///
    /// On Bitbucket an organization is a workspace, and there are no Apps.
    #[command(after_help = "Examples:
  pullyard hooks install --integration gh1 --base-url https://pullyard.acme.example --repo acme/app
  pullyard hooks install --integration gh1 --base-url https://pullyard.acme.example --org acme
  pullyard hooks install --integration bb1 --base-url https://pullyard.acme.example --repo acme/shop")]
    Install {
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
        /// Last part of its URL (default: derived from the repository or organization).
        #[arg(long, value_name = "NAME")]
        name: Option<HookName>,
        /// Print what to enter at the forge, for a token that can't create webhooks.
        #[arg(long)]
        by_hand: bool,
    },
    /// Compare hooks with their expected settings; exits with 3 if one differs.
    ///
    /// Bitbucket has no list of deliveries: there, this checks the hook's settings and the signatures of received events.
    #[command(after_help = "Examples:\n  pullyard hooks verify\n  pullyard hooks verify acme-app --json")]
    Verify {
        /// Hooks (default: all).
        names: Vec<HookName>,
    },
    /// Repair hooks at the forge; exits with 3 if a problem remains.
    #[command(after_help = "Examples:\n  pullyard hooks repair\n  pullyard hooks repair acme-app")]
    Repair {
        /// Hooks (default: all).
        names: Vec<HookName>,
    },
    /// List the hooks.
    #[command(after_help = "Examples:\n  pullyard hooks list\n  pullyard hooks list --json")]
    List,
    /// Delete a hook at the forge and here.
    #[command(after_help = "Examples:\n  pullyard hooks delete acme-app --yes")]
    Delete {
        /// Hook.
        name: HookName,
        /// Skip the confirmation.
        #[arg(long)]
        yes: bool,
        /// Delete it here only, if the forge no longer accepts the token.
        #[arg(long)]
        keep_at_forge: bool,
    },
}

impl Hooks {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        match self.command.unwrap_or(Command::List) {
            Command::List => list(session, &list_all(session).await?),
            Command::Verify { names } => verify_or_repair(session, names, false).await,
            Command::Repair { names } => verify_or_repair(session, names, true).await,
            Command::Delete { name, yes, keep_at_forge } => {
                confirm(&session.screen, yes, &format!("Delete the hook {name}?"))?;
                let removed = session.api.remove_hook(&name, keep_at_forge).await?;
                session.screen.report(&removed, &format!("Deleted {name}"))
            }
            Command::Install { base_url, repo, org, app, integration, name, by_hand } => {
                if name.is_some() && repo.len() > 1 {
                    return Err(CliError::usage("--name needs exactly one --repo"));
                }
                warn_if_unreachable(session, &base_url, &integration).await?;
                let project = session.project().await?;
                let base = |name: HookName| InstallHook {
                    name,
                    integration: integration.clone(),
                    project: project.clone(),
                    repository: None,
                    organisation: None,
                    app: false,
                    base_url: base_url.clone(),
                    by_hand,
                };
                let named = |text: &str| match &name {
                    Some(name) => Ok(name.clone()),
                    None => derive_name(text),
                };
                let mut requests = Vec::new();
                for repository in repo {
                    let name = named(repository.as_str())?;
                    requests.push(InstallHook { repository: Some(repository), ..base(name) });
                }
                if let Some(login) = org {
                    requests.push(InstallHook { organisation: Some(login.clone()), ..base(named(&login)?) });
                }
                if app {
                    let name = named(&format!("{integration}-app"))?;
                    requests.push(InstallHook { app: true, ..base(name) });
                }
                let mut hooks = Vec::new();
                for request in &requests {
                    hooks.push(session.api.install_hook(request).await?);
                }
                list(session, &hooks)?;
                match by_hand {
                    true => hint_manual_setup(session, &hooks),
                    false => hint_verification(session, &hooks),
                }
                Ok(())
            }
        }
    }
}

fn derive_name(text: &str) -> Result<HookName, CliError> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(plain).take(40).collect();
    HookName::new(name.trim_matches('-')).map_err(|bad| {
        CliError::usage(format!("can't derive a name from {text}: {bad}")).with_help("choose one with --name")
    })
}

async fn warn_if_unreachable(session: &Session, base_url: &str, integration: &IntegrationId) -> Result<(), CliError> {
    let host = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    let private = ["127.", "10.", "192.168.", "169.254."].iter().any(|start| host.starts_with(start))
        || (16..32).any(|second| host.starts_with(&format!("172.{second}.")))
        || host == "localhost"
        || host.ends_with(".local")
        || host.starts_with('[');
    let forge = session.api.integration(integration).await?;
    if private && forge.api_url.starts_with(forge.kind.default_api_url()) {
        session.screen.warn(&format!(
            "{} can't reach {host}; without a public address use `pullyard repos ingress OWNER/NAME poll`",
            forge.kind.display_name()
        ));
    }
    Ok(())
}

fn hint_manual_setup(session: &Session, hooks: &[Hook]) {
    for hook in hooks {
        session.screen.hint(&manual_setup_text(hook));
    }
}

fn manual_setup_text(hook: &Hook) -> String {
    let url = hook.url.as_deref().unwrap_or_default();
    let fields = match hook.forge {
        Some(kind @ ForgeKind::Bitbucket) => format!("the triggers {}", subscribed_events(kind).join(", ")),
        Some(ForgeKind::GitHub) | None => "application/json, the events issue comments, pull requests, pull request \
                                           reviews and repositories"
            .to_owned(),
    };
    let secret = &hook.secret;
    format!("at the forge enter {url}, {fields}, and a secret that you set here with `pullyard secrets set {secret}`")
}

fn hint_verification(session: &Session, hooks: &[Hook]) {
    for hook in hooks.iter().filter(|hook| !can_list_deliveries(hook) && hook.verified_at.is_none()) {
        session.screen.hint(&format!(
            "Bitbucket has no test deliveries: `pullyard hooks verify {}` shows when the first one arrived; open pull \
             requests are also polled every five minutes",
            hook.name
        ));
    }
}

pub(super) fn can_list_deliveries(hook: &Hook) -> bool {
    hook.forge.is_none_or(ForgeKind::supports_redelivery)
}

pub(super) async fn list_all(session: &Session) -> Result<Vec<Hook>, CliError> {
    pages::load_all(async |after| {
        let page = session.api.hooks(after.as_deref()).await?;
        Ok((page.hooks, page.next))
    })
    .await
}

fn list(session: &Session, hooks: &[Hook]) -> Result<(), CliError> {
    let mut table = Table::new([
        Fixed("HOOK"),
        Flexible("OF"),
        Fixed("INTEGRATION"),
        Fixed("VERIFIED"),
        Fixed("REFUSED"),
        Flexible("ADDRESS"),
    ]);
    let now = format::now();
    for hook in hooks {
        let cells = [
            Cell::text(&hook.name),
            Cell::text(hook.kind.label()),
            Cell::text(&hook.integration),
            format::optional_time_cell(hook.verified_at, now),
            Cell::text(hook.refused),
            Cell::optional(hook.url.as_deref()),
        ];
        table.row(cells);
    }
    table.show_answer(&session.screen, &hooks, NO_HOOKS)
}

async fn verify_or_repair(session: &Session, names: Vec<HookName>, repair: bool) -> Result<(), CliError> {
    let names = match names.is_empty() {
        true => list_all(session).await?.into_iter().map(|hook| hook.name).collect(),
        false => names,
    };
    let mut checks: Vec<HookCheck> = Vec::new();
    for name in &names {
        checks.push(match repair {
            true => session.api.repair_hook(name).await?,
            false => session.api.verify_hook(name).await?,
        });
    }
    if session.screen.is_json() {
        session.screen.json(&checks)?;
    } else {
        for check in &checks {
            show_check(session, check)?;
        }
        if checks.is_empty() {
            session.screen.note(NO_HOOKS);
        }
    }
    match checks.iter().all(|check| check.drifts.is_empty()) {
        true => Ok(()),
        false => Err(CliError::silent(Exit::Refused)),
    }
}

fn show_check(session: &Session, check: &HookCheck) -> Result<(), CliError> {
    let (hook, now) = (&check.hook, format::now());
    // Forges never return a hook's secret; only a valid delivery proves that it matches.
    let verified = hook.verified_at.map_or_else(|| Cell::text("no delivery yet"), |at| format::time_cell(at, now));
    let state = match check.drifts.len() {
        0 => "OK".to_owned(),
        faults => format::format_count(faults as u64, "problem", "problems"),
    };
    print_facts(
        &session.screen,
        &[
            ("Hook", Cell::text(&hook.name)),
            ("Of", Cell::text(hook.kind.label())),
            ("State", Cell::text(state)),
            ("Verified", verified),
        ],
    )?;
    for drift in &check.drifts {
        session.screen.print_line(&format!("  {}: {}", drift.code, drift.sentence))?;
    }
    if check.drifts.iter().any(|drift| drift.repairable) {
        session.screen.hint(&format!("repair it with `pullyard hooks repair {}`", hook.name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::derive_name;

    #[test]
    fn hook_name_is_derived_from_the_repository_and_shortened() {
        for (words, name) in [("acme/app", "acme-app"), ("Acme/My_App.rs", "acme-my-app-rs"), ("-a/b-", "a-b")] {
            assert_eq!(derive_name(words).ok().as_ref().map(|name| name.as_str()), Some(name), "{words}");
        }
        let long = derive_name(&format!("acme/{}", "a".repeat(60))).map(|name| name.as_str().len());
        assert_eq!(long.ok(), Some(40));
        assert!(derive_name("///").is_err());
    }
}
