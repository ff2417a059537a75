//! `pullyard integrations`.

use super::fault::Fault;
use super::session::Session;
use super::table::{Cell, facts};
use clap::Subcommand;
use pullyard_domain::id::IntegrationId;
use pullyard_domain::project::ForgeKind;
use pullyard_protocol::integration::{CreateIntegration, Integration};
use std::process::ExitCode;

/// Connect forges.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard integrations add gh1 --api-url https://api.github.com --token-secret pullyard/github
  pullyard integrations show gh1")]
pub(crate) struct Integrations {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Connect GitHub or a GitHub Enterprise Server, after asking it who the token belongs to.
    #[command(after_help = "Examples:
  pullyard integrations add gh1 --api-url https://api.github.com --token-secret pullyard/github
  pullyard integrations add ghe --api-url https://git.acme.example/api/v3 --token-secret pullyard/ghe")]
    Add {
        /// Its short name.
        id: IntegrationId,
        /// The REST base.
        #[arg(long, value_name = "URL")]
        api_url: String,
        /// The name of the secret that holds the token; never the token.
        #[arg(long, value_name = "NAME")]
        token_secret: String,
    },
    /// Show a connected forge.
    #[command(after_help = "Examples:\n  pullyard integrations show gh1\n  pullyard integrations show gh1 --json")]
    Show {
        /// Its short name.
        id: IntegrationId,
    },
}

impl Integrations {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        let integration = match self.command {
            Command::Add { id, api_url, token_secret } => {
                let request = CreateIntegration { id, kind: ForgeKind::GitHub, api_url, token_secret };
                session.api.create_integration(&request).await?
            }
            Command::Show { id } => session.api.integration(&id).await?,
        };
        show(session, &integration)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn show(session: &Session, integration: &Integration) -> Result<(), Fault> {
    if session.screen.is_json() {
        return session.screen.json(integration);
    }
    let lines = [
        ("Integration", Cell::same(integration.id.as_str())),
        ("Kind", Cell::new(integration.kind.words(), super::words::wire(&integration.kind))),
        ("Address", Cell::same(&integration.api_url)),
        ("Account", Cell::same(&integration.account.login)),
        ("Token secret", Cell::same(&integration.token_secret)),
    ];
    facts(&session.screen, &lines)
}
