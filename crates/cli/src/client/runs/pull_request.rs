//! `pullyard runs pr`: the pull request of a run.

use super::RunArg;
use crate::client::prelude::*;
use crate::client::prompt::confirm;
use pullyard_domain::pull_request::MergeMethod;
use pullyard_protocol::run::MergeRun;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pullyard runs pr merge K3TZ")]
pub(super) struct PullRequest {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Merge the pull request of an ended run, if its head is still the run's commit. Requires an admin token.
    ///
    /// The rules of the forge decide about checks and approvals.
    #[command(
        after_help = "Examples:\n  pullyard runs pr merge K3TZ\n  pullyard runs pr merge K3TZ --method squash --yes"
    )]
    Merge {
        #[command(flatten)]
        run: RunArg,
        /// How its commits are added to the base (default: the forge's).
        #[arg(long, value_name = "METHOD", value_parser = MergeMethod::ALL.map(MergeMethod::as_str))]
        method: Option<String>,
        /// Don't ask for confirmation.
        #[arg(long)]
        yes: bool,
    },
}

impl PullRequest {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let Command::Merge { run, method, yes } = self.command;
        let id = run.resolve(session).await?;
        let method = method.and_then(|code| MergeMethod::ALL.into_iter().find(|method| method.as_str() == code));
        let run = session.api.run(&id).await?;
        let (url, state) = (run.pull_request.clone().unwrap_or_default(), run.state.as_str());
        confirm(&session.screen, yes, &format!("Merge {url} of run {}, which is {state}?", id.short()))?;
        let run = session.api.merge_run(&id, &MergeRun { method }).await?;
        session.screen.report(&run, &format!("{url} of run {} is merged.", id.short()))
    }
}
