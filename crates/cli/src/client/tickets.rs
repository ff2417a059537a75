//! `pullyard tickets`: lists, shows, creates, edits, moves and deletes tickets, and comments on them.

mod answer;
mod comments;

use super::open;
use super::pages::hint_more;
use super::raise::{self, RaiseArgs};
use super::refresh::show_list;
use crate::client::jobs::print_decision;
use crate::client::prelude::*;
use answer::{Change, print_answer, print_move};
use pullyard_domain::job::JobKind;
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::text::id::{JobId, ProjectId, RepositoryName, TicketKey};
use pullyard_protocol::job::CreateJob;
use pullyard_protocol::ticket::{Comment, CreateTicket, EditTicket, MoveTicket, Ticket, TicketPage};
use std::collections::BTreeSet;

/// List, create, edit, move and delete tickets, and comment on them.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard tickets list
  pullyard tickets move DEMO-1 'AI Processing'")]
pub(crate) struct Tickets {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List a project's tickets.
    #[command(after_help = "Examples:\n  pullyard tickets list --watch\n  pullyard tickets list --project acme --json")]
    List {
        /// Continue after the page that printed this cursor.
        #[arg(long, value_name = "CURSOR", value_parser = super::parse_cursor)]
        after: Option<String>,
        /// Refresh every two seconds until Ctrl-C.
        #[arg(long)]
        watch: bool,
    },
    /// Show a ticket.
    #[command(after_help = "Examples:\n  pullyard tickets show DEMO-1\n  pullyard tickets show DEMO-1 --json")]
    Show {
        /// Ticket key.
        key: TicketKey,
    },
    /// Open a ticket's page in a browser, signed in.
    #[command(after_help = "Examples:\n  pullyard tickets open DEMO-1")]
    Open {
        /// Ticket key.
        key: TicketKey,
    },
    /// Create a ticket; prints its key and Pullyard's decision.
    #[command(after_help = "Examples:
  pullyard tickets create --title 'Greet in Dutch'
  pullyard tickets create DEMO-4 --title 'Greet in German' --description 'In `greeting.txt` …'
  pullyard tickets create DEMO-5 --title 'Dark mode' --status 'AI Processing' --label ui")]
    Create {
        /// Ticket key (default: the project's next one, such as DEMO-8).
        key: Option<TicketKey>,
        /// Title, in one line.
        #[arg(long)]
        title: String,
        /// Description of the task, usually Markdown.
        #[arg(long, default_value = "")]
        description: String,
        /// First status (default: the project's todo status).
        #[arg(long)]
        status: Option<String>,
        /// Repository (default: the project's).
        #[arg(long, value_name = "OWNER/NAME")]
        repository: Option<RepositoryName>,
        /// Label; can be repeated.
        #[arg(long)]
        label: Vec<String>,
    },
    /// Edit fields of a ticket; never starts a job.
    #[command(after_help = "Examples:
  pullyard tickets edit DEMO-4 --title 'Greet in Dutch'
  pullyard tickets edit DEMO-4 --label ui --label small")]
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true)
        .args(["title", "description", "repository", "label"]))]
    Edit {
        /// Ticket key.
        key: TicketKey,
        /// Title, in one line.
        #[arg(long)]
        title: Option<String>,
        /// Description of the task, usually Markdown.
        #[arg(long)]
        description: Option<String>,
        /// Repository.
        #[arg(long, value_name = "OWNER/NAME")]
        repository: Option<RepositoryName>,
        /// Labels, replacing the present ones; can be repeated.
        #[arg(long)]
        label: Vec<String>,
    },
    Comment(comments::AddComment),
    Comments(comments::Comments),
    /// Move a ticket to another status and print Pullyard's decision.
    #[command(
        after_help = "Examples:\n  pullyard tickets move DEMO-1 'AI Processing'\n  pullyard tickets move DEMO-1 Todo --before DEMO-3"
    )]
    Move {
        /// Ticket key.
        key: TicketKey,
        /// Status.
        status: String,
        /// Ticket of that status before which the card goes (default: the end of the column).
        #[arg(long, value_name = "KEY")]
        before: Option<TicketKey>,
        /// Put the card at the end of its column.
        #[arg(long, conflicts_with = "before")]
        last: bool,
    },
    /// Raise the money or the jobs that a ticket may use.
    ///
    /// Without the scope admin, all raises in force add up to at most the limit itself. With --start, the last job is
    /// retried if the limit stopped it; otherwise the ticket gets a new job.
    #[command(after_help = "Examples:
  pullyard tickets raise DEMO-1 --usd 20
  pullyard tickets raise DEMO-1 --usd 20 --start
  pullyard tickets raise DEMO-1 --usd 10 --jobs 5 --for 2d")]
    Raise {
        /// Ticket key.
        key: TicketKey,
        #[command(flatten)]
        raise: RaiseArgs,
    },
    /// Repeat a failed write to the ticket's tool now.
    #[command(after_help = "Examples:\n  pullyard tickets sync APP-17")]
    Sync {
        /// Ticket key.
        key: TicketKey,
    },
    /// Delete a ticket; its jobs and decisions stay.
    ///
    /// Refused while a job of it has not ended, and while its pull request is open.
    #[command(
        after_help = "Examples:\n  pullyard tickets delete DEMO-4\n  pullyard tickets delete DEMO-4 --yes --json"
    )]
    Delete {
        /// Ticket key.
        key: TicketKey,
        /// Skip the confirmation.
        #[arg(long)]
        yes: bool,
    },
}

impl Tickets {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let (project, request_key) = (session.project().await?, format::new_idempotency_key());
        match self.command.unwrap_or(Command::List { after: None, watch: false }) {
            Command::List { after, watch } => {
                let load = async || {
                    let page = session.api.tickets(&project, after.as_deref()).await?;
                    session.ensure_project_exists(page.tickets.is_empty(), &project).await?;
                    Ok(page)
                };
                show_list(session, watch, load, |page| list(session, page)).await
            }
            Command::Show { key } => {
                let ticket = session.api.ticket(&project, &key).await?;
                if session.screen.is_json() {
                    return session.screen.json(&ticket);
                }
                show(session, &ticket, &session.api.comments(&project, &key, None).await?.comments)
            }
            Command::Open { key } => open::open_ticket(session, &project, &key).await,
            Command::Create { key, title, description, status, repository, label } => {
                let labels = label.into_iter().collect();
                let request = CreateTicket { project, key, title, description, status, labels, repository };
                let answer = session.api.create_ticket(&request, Some(&request_key)).await?;
                print_answer(session, &answer, Change::Created)
            }
            Command::Edit { key, title, description, repository, label } => {
                let labels = (!label.is_empty()).then(|| label.into_iter().collect());
                let edit = EditTicket { title, description, labels, repository };
                let answer = session.api.edit_ticket(&project, &key, &edit, Some(&request_key)).await?;
                print_answer(session, &answer, Change::Edited)
            }
            Command::Comment(comment) => comment.run(session, &project).await,
            Command::Comments(comments) => comments.run(session, &project).await,
            Command::Move { key, status, before, last } => {
                let to = MoveTicket { status, before, last };
                let moved = session.api.move_ticket(&project, &key, &to, Some(&request_key)).await?;
                print_move(session, moved, &to)
            }
            Command::Raise { key, raise } => {
                let (request, request_key) = (raise.to_request(), raise.key());
                // Read before the raise, so that a failure raises nothing.
                let stopped = match raise.start {
                    true => find_stopped_job(session, &project, &key).await?,
                    false => None,
                };
                let usage = session.api.raise_ticket(&project, &key, &request, Some(&request_key)).await?;
                raise::show(session, &usage, raise.start)?;
                if !raise.start {
                    return Ok(());
                }
                let start = async || {
                    let decision = match stopped {
                        Some(job) => session.api.retry_job(&job, Some(&request_key)).await?,
                        None => session.api.create_job(&new_job(project, key), Some(&request_key)).await?,
                    };
                    print_decision(session, &decision, false).await
                };
                raise::end_start(session, start().await, &request_key)
            }
            Command::Sync { key } => {
                let ticket = session.api.sync_ticket(&project, &key).await?;
                let note = match (&ticket.tracker, &ticket.sync_note) {
                    (None, _) => format!("Only the board has {key}."),
                    (Some(tool), None) => format!("{tool} shows the state of {key}."),
                    (Some(_), Some(note)) => format!("Trying again. {note}"),
                };
                session.screen.report(&ticket, &note)
            }
            Command::Delete { key, yes } => {
                confirm(&session.screen, yes, &format!("Delete {key} from {project}?"))?;
                let deleted = session.api.delete_ticket(&project, &key).await?;
                session.screen.report(&deleted, &format!("Deleted {key} from {project}"))
            }
        }
    }
}

fn list(session: &Session, page: &TicketPage) -> Result<(), CliError> {
    let mut table = Table::new([
        Flexible("STATUS"),
        Fixed("TICKET"),
        Flexible("TITLE"),
        Fixed("JOB"),
        Flexible("BADGES"),
        Fixed("PULL REQUEST"),
    ]);
    for ticket in &page.tickets {
        let job = ticket.active_job.as_ref().or(ticket.last_job.as_ref());
        table.row([
            Cell::text(&ticket.status),
            Cell::text(&ticket.key),
            Cell::text(&ticket.title),
            format::job_cell(job),
            Cell::list(&ticket.badges),
            pull_request(ticket),
        ]);
    }
    table.show(&session.screen, "No ticket yet. Create one with `pullyard tickets create --title TEXT`.")?;
    hint_more(&session.screen, "tickets list", page.next.as_ref());
    Ok(())
}

fn pull_request(ticket: &Ticket) -> Cell {
    let Some(url) = &ticket.pull_request else { return Cell::none() };
    let number = url.rsplit('/').next().unwrap_or_default();
    match ticket.pull_request_state {
        Some(state @ (PullRequestState::Merged | PullRequestState::Closed)) => {
            Cell::new(format!("#{number} {}", state.display_name()), url)
        }
        Some(PullRequestState::Open) | None => Cell::new(format!("#{number}"), url),
    }
}

fn show(session: &Session, ticket: &Ticket, comments: &[Comment]) -> Result<(), CliError> {
    let screen = &session.screen;
    let mut lines = vec![
        ("Ticket", Cell::text(&ticket.key)),
        ("Title", Cell::text(&ticket.title)),
        ("Status", Cell::text(&ticket.status)),
        ("Waits", Cell::optional(ticket.waits.as_ref().map(|waits| &waits.sentence))),
        ("Badges", Cell::list(&ticket.badges)),
        ("Labels", Cell::list(&ticket.labels)),
        ("Repository", Cell::optional(ticket.repository.as_ref())),
        ("Active job", Cell::optional(ticket.active_job.as_ref())),
        ("Last job", Cell::optional(ticket.last_job.as_ref())),
        ("Pull request", Cell::optional(ticket.pull_request.as_ref())),
        ("Pull request state", Cell::optional(ticket.pull_request_state.map(PullRequestState::display_name))),
        ("Ticket tool", Cell::optional(ticket.tracker.as_ref())),
        ("In the tool", Cell::optional(ticket.sync_note.as_ref())),
        ("Page", Cell::optional(ticket.url.as_ref())),
    ];
    if screen.width().is_none() {
        lines.push(("Description", Cell::text(&ticket.description)));
        let fact = |comment: &Comment| {
            ("Comment", Cell::text(format!("{} {}: {}", comment.created, comment.author, comment.text)))
        };
        lines.extend(comments.iter().rev().map(fact));
        return print_facts(screen, &lines);
    }
    print_facts(screen, &lines)?;
    if !ticket.description.is_empty() {
        screen.print_line("")?;
    }
    ticket.description.lines().try_for_each(|line| screen.print_line(&sanitize(line)))?;
    comments::print_comments(session, comments)
}

/// The ticket's last job if its limit stopped it.
async fn find_stopped_job(session: &Session, project: &ProjectId, key: &TicketKey) -> Result<Option<JobId>, CliError> {
    let Some(last) = session.api.ticket(project, key).await?.last_job else { return Ok(None) };
    let failure = session.api.job(&last).await?.failure;
    Ok(failure.filter(|failure| failure.code == "ticket_limit").map(|_| last))
}

fn new_job(project: ProjectId, ticket: TicketKey) -> CreateJob {
    CreateJob {
        project,
        kind: JobKind::default(),
        ticket: Some(ticket),
        prompt: None,
        repository: None,
        base: None,
        agent: None,
        model: None,
        labels: BTreeSet::new(),
        priority: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pull_request_cell_shows_its_state_and_pipes_its_url() {
        let url = "https://forge.test/acme/app/pull/7";
        let ticket = |url: Option<&str>, state: Option<&str>| -> Ticket {
            serde_json::from_value(json!({
                "project": "acme", "key": "APP-1", "title": "t", "description": "", "status": "In Review",
                "labels": [], "url": null, "repository": null, "badges": [], "pull_request": url,
                "pull_request_state": state, "active_job": null, "last_job": null, "waits": null, "synced": true,
            }))
            .unwrap()
        };
        for (state, expected) in
            [(Some("merged"), "#7 merged"), (Some("closed"), "#7 closed"), (Some("open"), "#7"), (None, "#7")]
        {
            assert_eq!(pull_request(&ticket(Some(url), state)).texts(), (expected, url));
        }
        assert_eq!(pull_request(&ticket(None, None)).texts(), ("-", ""));
    }
}
