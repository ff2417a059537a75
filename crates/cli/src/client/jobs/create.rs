//! `pullyard jobs create`: requests a job and prints the decision.

use crate::client::choices::{agent_choices, choices};
use crate::client::prelude::*;
use crate::client::watch;
use pullyard_domain::agent::ChoiceLevel;
use pullyard_domain::job::{JobKind, Priority};
use pullyard_domain::text::decision::Verdict;
use pullyard_domain::text::id::{RepositoryName, TicketKey};
use pullyard_protocol::decision::Decision;
use pullyard_protocol::job::CreateJob;

/// Request a job for a ticket, from a prompt, or both; prints its id.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard jobs create --ticket DEMO-1 --wait
  pullyard jobs create --ticket DEMO-1 --agent codex --model gpt-5.2-codex
  pullyard jobs create --prompt 'In `README.md` replace `A` with `B`' --idempotency-key k1
  pullyard jobs create --ticket DEMO-1 --label gpu --priority high
  pullyard jobs create --kind read -p 'Who calls retry()?' --wait")]
#[command(group = clap::ArgGroup::new("work").required(true).multiple(true).args(["ticket", "prompt"]))]
pub(super) struct Create {
    /// Kind of work: `implement` opens a pull request; `read` answers the prompt and changes nothing.
    #[arg(long, value_name = "KIND", value_parser = ["implement", "read"], default_value = "implement")]
    kind: String,
    /// Ticket.
    #[arg(long, value_name = "KEY")]
    ticket: Option<TicketKey>,
    /// Task; added to the ticket's text, if there is a ticket.
    #[arg(long, short, value_name = "TEXT")]
    prompt: Option<String>,
    /// Repository (default: the ticket's, else the project's).
    #[arg(long, value_name = "OWNER/NAME")]
    repository: Option<RepositoryName>,
    /// Branch to start from (default: the repository's).
    #[arg(long, value_name = "BRANCH")]
    base: Option<String>,
    /// Agent; auto is the first that is installed where the job runs and has a key (default: the repository's, else
    /// the project's).
    #[arg(long, value_name = "AGENT", value_parser = agent_choices(ChoiceLevel::Job))]
    agent: Option<String>,
    /// Model name that the agent accepts (default: the model configured with that agent, else the agent's own).
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Label that the runner must have, besides those of project, repository and ticket; can be repeated. A retry
    /// requires it too, a revision of the pull request does not.
    #[arg(long = "label", value_name = "LABEL", value_delimiter = ',')]
    labels: Vec<String>,
    /// Priority among jobs that wait for a runner or for a place in a limit: high counts as an hour older, low as an hour
    /// younger (default: by the ticket's label `priority:high` or `priority:low`, else normal).
    #[arg(long, value_name = "PRIORITY", value_parser = choices(Priority::ALL.map(|priority| (priority.as_str(), priority))))]
    priority: Option<Priority>,
    /// Key of this request; repeating it returns the same job.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Follow the job until it ends; exits with 6 if it failed or was cancelled.
    #[arg(long)]
    wait: bool,
}

impl Create {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { kind, ticket, prompt, repository, base, agent, model, labels, priority, idempotency_key, wait } =
            self;
        let kind = if kind == "read" { JobKind::Read } else { JobKind::default() };
        let (project, labels) = (session.project().await?, labels.into_iter().collect());
        let request = CreateJob { project, kind, ticket, prompt, repository, base, agent, model, labels, priority };
        let decision = session.api.create_job(&request, idempotency_key.as_deref()).await?;
        print_decision(session, &decision, wait).await
    }
}

/// Prints a decision, and follows the job if wanted. With `--json`, prints only the last document.
pub(in crate::client) async fn print_decision(
    session: &Session,
    decision: &Decision,
    wait: bool,
) -> Result<(), CliError> {
    let screen = &session.screen;
    let followed_job = decision.job.as_ref().filter(|_| wait);
    if screen.is_json() && followed_job.is_none() {
        return screen.json(decision);
    }
    if let Some(job) = decision.job.as_ref().filter(|_| !screen.is_json()) {
        screen.print_line(job.as_str())?;
    }
    screen.note(&decision.sentence);
    match followed_job {
        Some(job) => watch::watch(session, job).await,
        None => {
            if let (Some(job), Verdict::Accepted) = (&decision.job, decision.verdict) {
                screen.hint(&format!("watch it with `pullyard jobs watch {}`", job.short()));
            }
            Ok(())
        }
    }
}
