//! `pullyard runs pr`: the pull request of a run.

use super::RunArg;
use crate::client::prelude::*;
use pullyard_domain::pull_request::MergeMethod;
use pullyard_protocol::run::MergeRun;

#[derive(clap::Args)]
pub(super) struct PullRequest {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Merge the pull request of an ended run, if its head is still the run's commit. Requires an admin token.
    ///
    /// The rules of the forge decide about checks and approvals.
    #[command(after_help = "Examples:\n  pullyard runs pr merge K3TZ\n  pullyard runs pr merge @last --method squash")]
    Merge {
        #[command(flatten)]
        run: RunArg,
        /// How its commits are added to the base (default: the forge's).
        #[arg(long, value_name = "METHOD", value_parser = MergeMethod::ALL.map(MergeMethod::as_str))]
        method: Option<String>,
    },
}

impl PullRequest {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let Command::Merge { run, method } = self.command;
        let id = run.resolve(session).await?;
        let method = method.and_then(|code| MergeMethod::ALL.into_iter().find(|method| method.as_str() == code));
        let run = session.api.merge_run(&id, &MergeRun { method }).await?;
        let url = run.pull_request.clone().unwrap_or_default();
        session.screen.report(&run, &format!("Merged {url} of run {}.", id.short()))
    }
}
