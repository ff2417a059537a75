//! `pullyard hooks`: installs, verifies, repairs and deletes webhooks at forges.

mod install;

use super::pages;
use crate::client::prelude::*;
use pullyard_domain::text::id::HookName;
use pullyard_protocol::hook::{Hook, HookCheck};

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
    Install(install::Install),
    /// Compare hooks with their expected settings; exits with 3 if one differs.
    ///
    /// If the forge has no list of deliveries, this checks the hook's settings and the signatures of received events.
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
            Command::Install(install) => install.run(session).await,
        }
    }
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
    for hook in hooks {
        let cells = [
            Cell::text(&hook.name),
            Cell::text(
                hook.template
                    .as_ref()
                    .map_or_else(|| hook.kind.label(), |template| format!("{}, starts {template}", hook.kind.label())),
            ),
            Cell::text(&hook.integration),
            format::optional_time_cell(hook.verified_at),
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
    let hook = &check.hook;
    // Forges never return a hook's secret; only a valid delivery proves that it matches.
    let verified = hook.verified_at.map_or_else(|| Cell::text("no delivery yet"), format::time_cell);
    let state = match check.drifts.len() {
        0 => "OK".to_owned(),
        faults => format::format_count(faults, "problem"),
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
