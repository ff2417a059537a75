//! `pullyard pulls`, `link` and `unlink`: lists pull requests, links them to tickets, and resolves their names.

mod request;
mod review;
mod revise;

pub(crate) use review::{Resolve, Review};
pub(crate) use revise::Revise;

use super::pages::hint_more;
use super::raise::{self, RaiseArgs};
use super::refresh::show_list;
use crate::client::prelude::*;
use pullyard_domain::text::id::{IntegrationId, TicketKey};
use pullyard_protocol::pull_request::{
    AgentReviews, LinkPullRequest, PULL_REQUEST_NAME_HELP, PullRequestName, PullRequestPage, PullRequestQuery,
    RaisePullRequest,
};
use pullyard_protocol::ticket::RaiseLimit;

/// List open pull requests and the state of their reviews.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard prs
  pullyard pulls list --project acme --json")]
pub(crate) struct Pulls {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Subcommand)]
enum Command {
    List(List),
    Raise(Raise),
}

/// Raise the money or the jobs that a pull request's ticket may use.
///
/// A pull request without a ticket, which only agents reviewed, has limits of its own. Without the scope admin, all
/// raises in force add up to at most the limit itself. With --start, the pull request of a ticket is revised, and one
/// without a ticket reviewed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard pulls raise acme/app#7 --usd 20
  pullyard pulls raise acme/app#7 --usd 20 --start
  pullyard pulls raise '#7' --jobs 5 --for 2d")]
struct Raise {
    #[command(flatten)]
    which: PullRequestArgs,
    #[command(flatten)]
    raise: RaiseArgs,
}

/// List the open pull requests that are linked to the project's tickets or that agents review.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard pulls list --watch
  pullyard pulls list --json")]
struct List {
    /// Continue after the page that printed this cursor.
    #[arg(long, value_name = "CURSOR", value_parser = super::parse_cursor)]
    after: Option<String>,
    /// Refresh every two seconds until Ctrl-C.
    #[arg(long)]
    watch: bool,
}

/// Link a pull request to a ticket; its reviews then start jobs.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard link https://github.com/acme/app/pull/7 DEMO-1
  pullyard link acme/app#7 DEMO-1")]
pub(crate) struct Link {
    #[command(flatten)]
    which: PullRequestArgs,
    /// Ticket key.
    #[arg(value_name = "KEY")]
    ticket: TicketKey,
}

/// Unlink a pull request; its reviews no longer start jobs.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard unlink https://github.com/acme/app/pull/7
  pullyard unlink acme/app#7")]
pub(crate) struct Unlink {
    #[command(flatten)]
    which: PullRequestArgs,
}

/// The arguments that identify a pull request.
#[derive(clap::Args)]
pub(super) struct PullRequestArgs {
    /// URL, OWNER/NAME#7, or #7 in the default repository.
    #[arg(value_name = "PR")]
    pull_request: String,
    /// Integration, if several forges have a repository of that name.
    #[arg(long, value_name = "ID")]
    integration: Option<IntegrationId>,
}

impl PullRequestArgs {
    pub(super) async fn resolve(&self, session: &Session) -> Result<PullRequestQuery, CliError> {
        resolve_pull_request(session, &self.pull_request, self.integration.clone()).await
    }
}

impl Pulls {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let List { after, watch } = match self.command {
            Some(Command::List(list)) => {
                List { after: list.after.or(self.list.after), watch: list.watch || self.list.watch }
            }
            Some(Command::Raise(raise)) => return raise.run(session).await,
            None => self.list,
        };
        let project = session.project().await?;
        let load = async || {
            let page = session.api.pulls(&project, after.as_deref()).await?;
            session.ensure_project_exists(page.pulls.is_empty(), &project).await?;
            Ok(page)
        };
        show_list(session, watch, load, |page| show(session, page)).await
    }
}

impl Raise {
    async fn run(self, session: &Session) -> Result<(), CliError> {
        let (which, key) = (self.which.resolve(session).await?, self.raise.key());
        let PullRequestQuery { project, repository, number, integration } = which.clone();
        let RaiseLimit { usd_micros, jobs, for_secs } = self.raise.to_request();
        let starts = self.raise.start;
        // Read before the raise, so that a failure raises nothing.
        let has_ticket = starts && session.api.explain_pull_request(&which).await?.ticket.is_some();
        let request = RaisePullRequest { project, repository, number, integration, usd_micros, jobs, for_secs };
        raise::show(session, &session.api.raise_pull_request(&request, Some(&key)).await?, starts)?;
        let started = match (starts, has_ticket) {
            (false, _) => return Ok(()),
            (true, true) => revise::request_revision(session, which, None, &key, false).await,
            (true, false) => review::request_review(session, which, &key).await,
        };
        raise::end_start(session, started, &key)
    }
}

fn show(session: &Session, page: &PullRequestPage) -> Result<(), CliError> {
    let mut table = Table::new([
        Flexible("PULL REQUEST"),
        Flexible("TICKET"),
        Fixed("JOB"),
        Fixed("LAST REVISION"),
        Flexible("BRANCH"),
        Fixed("REVIEWED"),
        Right("COST"),
    ]);
    for pull in &page.pulls {
        let cells = [
            Cell::new(&pull.label, &pull.url),
            Cell::optional(pull.ticket.as_ref()),
            format::job_cell(pull.job.as_ref()),
            format::optional_time_cell(pull.revised),
            Cell::text(&pull.branch),
            reviewed_cell(&pull.reviews),
            format::dollars_cell((pull.reviews.count > 0).then_some(pull.reviews.spent_usd_micros), None),
        ];
        table.row_with(cells, &pull.sentence);
    }
    let empty = "No open pull request is linked to a ticket or has a review by an agent. A job that completes links \
                 its own; link others with `pullyard link PR KEY`.";
    table.show(&session.screen, empty)?;
    hint_more(&session.screen, "pulls", page.next.as_ref());
    Ok(())
}

/// The job that reviews now, or the end of the last review.
fn reviewed_cell(reviews: &AgentReviews) -> Cell {
    match &reviews.active_job {
        Some(job) => Cell::new("now", job),
        None => format::optional_time_cell(reviews.ended.first().map(|review| review.at)),
    }
}

impl Link {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let PullRequestQuery { project, repository, number, integration } = self.which.resolve(session).await?;
        let request = LinkPullRequest { project, repository, number, integration, ticket: self.ticket };
        let linked = session.api.link_pull_request(&request).await?;
        session.screen.show(&linked, |linked| {
            session.screen.note(&format!("Linked {} to {}.", linked.label, request.ticket));
            session.screen.explain(linked, &linked.sentence, &linked.help)
        })
    }
}

impl Unlink {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let which = self.which.resolve(session).await?;
        let answer = session.api.unlink_pull_request(&which).await?;
        let label = format!("{}#{}", which.repository, which.number);
        let note = match &answer.ticket {
            Some(ticket) => format!("Unlinked {label} from {ticket}."),
            None => format!("{label} was not linked to a ticket."),
        };
        session.screen.report(&answer, &note)
    }
}

pub(super) async fn explain(session: &Session, text: &str) -> Result<(), CliError> {
    let pull = session.api.explain_pull_request(&resolve_pull_request(session, text, None).await?).await?;
    session.screen.explain(&pull, &pull.sentence, &pull.help)
}

/// The host in a URL must match the repository's forge: another forge may have a repository of the same name.
async fn resolve_pull_request(
    session: &Session,
    text: &str,
    integration: Option<IntegrationId>,
) -> Result<PullRequestQuery, CliError> {
    let unknown = || CliError::usage(format!("\"{text}\" is not a pull request")).with_help(PULL_REQUEST_NAME_HELP);
    let name = PullRequestName::parse(text).ok_or_else(unknown)?;
    let project = session.project().await?;
    let number = name.number;
    let repository = match &name.repository {
        Some(repository) => repository.clone(),
        None => {
            let settings = session.api.project(&project).await?.settings;
            settings.default_repository.ok_or_else(|| {
                CliError::usage(format!("{text} has no repository, and project {project} has no default repository"))
                    .with_help("write OWNER/NAME#7")
            })?
        }
    };
    let Some(host) = &name.host else { return Ok(PullRequestQuery { project, repository, number, integration }) };
    let connected = match session.api.repositories(&project).await.map_err(CliError::from) {
        Ok(answer) => answer.repositories,
        // The token may create jobs but not read. Let the server decide.
        Err(fault) if fault.exit == Exit::NotAllowed => {
            return Ok(PullRequestQuery { project, repository, number, integration });
        }
        Err(fault) => return Err(fault),
    };
    let has_name = |name: &str| name.eq_ignore_ascii_case(repository.as_str());
    let connection = connected.into_iter().find(|connection| {
        let is_expected = integration.as_ref().is_none_or(|expected| *expected == connection.integration);
        is_expected && has_name(connection.name.as_str()) && name.has_host_of(&connection.clone_url)
    });
    let connection = connection.ok_or_else(|| {
        CliError::not_found(format!("{repository} on {host} is not connected to project {project}"))
            .with_help("`pullyard repos list` lists connected repositories, `pullyard repos add` connects one")
    })?;
    Ok(PullRequestQuery { project, repository: connection.name, number, integration: Some(connection.integration) })
}
