//! `pullyard review`: requests a review of a pull request by an agent.

use super::request::RequestArgs;
use crate::client::choices::agent_choices;
use crate::client::jobs::print_decision;
use crate::client::prelude::*;
use pullyard_domain::agent::ChoiceLevel;
use pullyard_protocol::pull_request::{PullRequestQuery, ReviewPullRequest};

/// Request a review of an open pull request by an agent; prints the job's id.
///
/// The agent reads the change and reports findings; Pullyard posts them as one review, each at its line. It never
/// approves, and changes no file. The pull request needs no ticket.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard review acme/app#7 --watch
  pullyard review acme/app#7 -m 'Is the retry loop safe?'
  pullyard review '#7' --full --message-file focus.md")]
pub(crate) struct Review {
    #[command(flatten)]
    request: RequestArgs,
    /// Review the whole change, also if it was reviewed.
    #[arg(long)]
    full: bool,
    /// Agent (default: the repository's, else the project's).
    #[arg(long, value_name = "AGENT", value_parser = agent_choices(ChoiceLevel::Job))]
    agent: Option<String>,
    /// Model name that the agent accepts (default: the model configured with that agent, else the agent's own).
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
}

impl Review {
    pub(in crate::client) async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { request, full, agent, model } = self;
        let (message, key) = (request.message()?, request.key());
        let PullRequestQuery { project, repository, number, integration } =
            request.pull_request.resolve(session).await?;
        let review = ReviewPullRequest { project, repository, number, integration, message, full, agent, model };
        let decision = session.api.review_pull_request(&review, Some(&key)).await?;
        print_decision(session, &decision, request.wait).await
    }
}
