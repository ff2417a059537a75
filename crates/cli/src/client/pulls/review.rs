//! `pullyard review` and `resolve`: request a review of a pull request by an agent.

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
    request: AgentRequest,
    /// Review the whole change, also if it was reviewed.
    #[arg(long)]
    full: bool,
}

/// Request a review of an open pull request by an agent, and the fix of what it finds; prints the job's id.
///
/// The agent reviews the whole change; a second session fixes the findings that matter, and follows the instructions.
/// The project's checks run, the commits are pushed to the branch of the pull request, and one review reports the rest.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard resolve acme/app#7 --watch
  pullyard resolve '#7' -m 'Also add a test for the empty list.'")]
pub(crate) struct Resolve {
    #[command(flatten)]
    request: AgentRequest,
}

#[derive(clap::Args)]
struct AgentRequest {
    #[command(flatten)]
    request: RequestArgs,
    /// Agent (default: the repository's, else the project's).
    #[arg(long, value_name = "AGENT", value_parser = agent_choices(ChoiceLevel::Job))]
    agent: Option<String>,
    /// Model name that the agent accepts (default: the model configured with that agent, else the agent's own).
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
}

impl Review {
    pub(in crate::client) async fn run(self, session: &Session) -> Result<(), CliError> {
        self.request.send(session, Some(self.full)).await
    }
}

impl Resolve {
    pub(in crate::client) async fn run(self, session: &Session) -> Result<(), CliError> {
        self.request.send(session, None).await
    }
}

/// Requests a review without instructions, as after a refusal.
pub(super) async fn request_review(session: &Session, which: PullRequestQuery, key: &str) -> Result<(), CliError> {
    let PullRequestQuery { project, repository, number, integration } = which;
    let (message, full, agent, model) = (None, false, None, None);
    let body = ReviewPullRequest { project, repository, number, integration, message, full, agent, model };
    print_decision(session, &session.api.review_pull_request(&body, Some(key)).await?, false).await
}

impl AgentRequest {
    /// Sends a review, which may be `full`, or the request to resolve.
    async fn send(self, session: &Session, full: Option<bool>) -> Result<(), CliError> {
        let Self { request, agent, model } = self;
        let (message, key) = (request.message()?, request.key());
        let PullRequestQuery { project, repository, number, integration } =
            request.pull_request.resolve(session).await?;
        let (is_review, full) = (full.is_some(), full.unwrap_or_default());
        let body = ReviewPullRequest { project, repository, number, integration, message, full, agent, model };
        let decision = match is_review {
            true => session.api.review_pull_request(&body, Some(&key)).await?,
            false => session.api.resolve_pull_request(&body, Some(&key)).await?,
        };
        print_decision(session, &decision, request.wait).await
    }
}
