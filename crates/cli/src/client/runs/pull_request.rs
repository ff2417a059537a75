//! `pullyard runs pr`: the pull requests of a run and of its steps.

use super::{RunArg, find_step};
use crate::client::choices::choices;
use crate::client::prelude::*;
use pullyard_domain::review::pull_request::MergeMethod;
use pullyard_protocol::run::{MergeRun, OpenPullRequest, Run};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pullyard runs pr create K3TZ --step parser\n  pullyard runs pr merge K3TZ")]
pub(super) struct PullRequest {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Open the pull request of a done step with a branch of its own.
    ///
    /// The other steps that write share the pull request of the run, which the first of them opens.
    #[command(after_help = "Examples:
  pullyard runs pr create K3TZ --step parser
  pullyard runs pr create @last --step lead/parser")]
    Create {
        #[command(flatten)]
        run: RunArg,
        /// Step, or MANAGER/STEP.
        #[arg(long, value_name = "STEP")]
        step: String,
    },
    /// Merge the pull request of an ended run, if its head is still the run's commit. Requires an admin token.
    ///
    /// The rules of the forge decide about checks and approvals.
    #[command(after_help = "Examples:
  pullyard runs pr merge K3TZ
  pullyard runs pr merge K3TZ --step parser --method squash --yes")]
    Merge {
        #[command(flatten)]
        run: RunArg,
        /// Merge the pull request that `pr create` opened for this step.
        #[arg(long, value_name = "STEP")]
        step: Option<String>,
        /// How its commits are added to the base (default: the forge's).
        #[arg(long, value_name = "METHOD", value_parser = choices(MergeMethod::ALL.map(|method| (method.as_str(), method))))]
        method: Option<MergeMethod>,
        /// Don't ask for confirmation.
        #[arg(long)]
        yes: bool,
    },
}

impl PullRequest {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        match self.command {
            Command::Create { run, step } => {
                let id = run.resolve(session).await?;
                let run = session.api.open_pull_request(&id, &OpenPullRequest { step: step.clone() }).await?;
                let url = find_step(&run, &step)?.pull_request.clone().unwrap_or_default();
                session.screen.report(&run, &format!("Pull request of {step}: {url}."))
            }
            Command::Merge { run, step, method, yes } => {
                let id = run.resolve(session).await?;
                let run = session.api.run(&id).await?;
                let find = |run: &Run| match &step {
                    Some(step) => find_step(run, step).map(|step| step.pull_request.clone()),
                    None => Ok(run.pull_request.clone()),
                };
                // Without one the server refuses, and names the next step.
                if let Some(url) = find(&run)? {
                    let state = run.state.as_str();
                    confirm(&session.screen, yes, &format!("Merge {url} of run {}, which is {state}?", id.short()))?;
                }
                let run = session.api.merge_run(&id, &MergeRun { step: step.clone(), method }).await?;
                let url = find(&run)?.unwrap_or_default();
                session.screen.report(&run, &format!("{url} of run {} is merged.", id.short()))
            }
        }
    }
}
