//! `pullyard submissions`: starts templates for programs, each id once.

use super::run::{collect_params, parse_param, print_faults_in};
use crate::client::prelude::*;
use pullyard_domain::project::template::Submission;
use pullyard_domain::text::id::{EventId, TemplateName};

/// Start a template for a program that may repeat itself.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pullyard submissions send fix --id alert-17 --param task='Retry on 503'")]
pub(crate) struct Submissions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a run of a template, or print the run of an earlier submission with the same id.
    #[command(after_help = "Examples:\n  pullyard submissions send fix --id alert-17 --param task='Retry on 503'")]
    Send {
        /// Template, which allows submissions.
        template: TemplateName,
        /// Own id of the submission: repeats with it start no second run.
        #[arg(long, value_name = "ID")]
        id: EventId,
        /// Value of a parameter of the template; can be repeated.
        #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_param)]
        params: Vec<(String, String)>,
    },
}

impl Submissions {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let Command::Send { template, id, params } = self.command;
        let (project, params) = (session.project().await?, collect_params(params)?);
        let submission = Submission { v: Submission::version(), id, project, template, params };
        let run = session.api.submit(&submission).await.map_err(CliError::from);
        let run = run.inspect_err(|fault| print_faults_in(fault, None))?;
        session.screen.show(&run, |run| session.screen.print_line(run.id.as_str()))
    }
}
