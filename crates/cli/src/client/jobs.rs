//! `pullyard jobs`, all but watching.

use super::fault::{Exit, Fault};
use super::session::Session;
use super::table::{Cell, Column, Table, facts};
use super::{watch, words};
use clap::Subcommand;
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::{JobId, RepositoryName, TicketKey};
use pullyard_domain::job::{Place, Status};
use pullyard_domain::time::Timestamp;
use pullyard_protocol::event::EventPage;
use pullyard_protocol::job::{CreateJob, Job};
use std::process::ExitCode;
use std::time::Duration;

/// List, show, make and watch jobs.
///
/// A job is named by its id, by the id's last characters (7F2K) or first ones, or by @last.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard jobs
  pullyard jobs watch @last")]
pub(crate) struct Jobs {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List a project's jobs, newest first.
    #[command(after_help = "Examples:\n  pullyard jobs list\n  pullyard jobs list --project acme --json")]
    List {
        /// Go on after the page that gave this cursor.
        #[arg(long, value_name = "CURSOR", value_parser = super::cursor)]
        after: Option<String>,
    },
    /// Show a job.
    #[command(after_help = "Examples:\n  pullyard jobs show 7F2K\n  pullyard jobs show @last --json")]
    Show {
        /// Its id.
        #[arg(value_name = "JOB")]
        id: String,
    },
    /// Ask for a job, for a ticket, from a prompt, or both; prints its id.
    #[command(after_help = "Examples:
  pullyard jobs create --ticket DEMO-1
  pullyard jobs create --prompt 'In `README.md` replace `A` with `B`' --idempotency-key k1")]
    #[command(group = clap::ArgGroup::new("work").required(true).multiple(true).args(["ticket", "prompt"]))]
    Create {
        /// The ticket it is for.
        #[arg(long, value_name = "KEY")]
        ticket: Option<TicketKey>,
        /// What to do, beside or instead of the ticket's text.
        #[arg(long, value_name = "TEXT")]
        prompt: Option<String>,
        /// Where; the ticket's or the project's default when not given.
        #[arg(long, value_name = "OWNER/NAME")]
        repository: Option<RepositoryName>,
        /// The branch to start from; the repository's default when not given.
        #[arg(long, value_name = "BRANCH")]
        base: Option<String>,
        /// The same key again is the same request, and gets the same job.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// Follow a job until it ends; exits with 6 when it failed or was cancelled.
    #[command(after_help = "Examples:\n  pullyard jobs watch 7F2K\n  pullyard jobs watch @last --quiet")]
    Watch {
        /// Its id.
        #[arg(value_name = "JOB")]
        id: String,
    },
    /// Print what the agent and its runner did, oldest first.
    #[command(after_help = "Examples:\n  pullyard jobs events 7F2K\n  pullyard jobs events @last --jsonl")]
    Events {
        /// The job's id.
        #[arg(value_name = "JOB")]
        id: String,
        /// One JSON document per event.
        #[arg(long)]
        jsonl: bool,
    },
}

impl Jobs {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        match self.command.unwrap_or(Command::List { after: None }) {
            Command::List { after } => list(session, after).await?,
            Command::Show { id } => show(session, &session.api.job(&session.job(&id).await?).await?)?,
            Command::Create { ticket, prompt, repository, base, idempotency_key } => {
                let project = session.project().await?;
                let request = CreateJob { project, ticket, prompt, repository, base };
                create(session, &request, idempotency_key.as_deref()).await?;
            }
            Command::Watch { id } => return watch::watch(session, &session.job(&id).await?).await,
            Command::Events { id, jsonl } => events(session, &session.job(&id).await?, jsonl).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn list(session: &Session, after: Option<String>) -> Result<(), Fault> {
    let project = session.project().await?;
    let page = session.api.jobs(&project, after.as_deref()).await?;
    session.known_if(page.jobs.is_empty(), &project).await?;
    if session.screen.is_json() {
        return session.screen.json(&page);
    }
    let columns = [
        Column::Whole("STATUS"),
        Column::Whole("JOB"),
        Column::Text("TITLE"),
        Column::Text("TICKET"),
        Column::Whole("WHERE"),
        Column::Right("TOOK"),
        Column::Whole("STARTED"),
    ];
    let (mut table, now) = (Table::new(columns), words::now());
    for job in &page.jobs {
        let cells = [
            words::status(&session.screen, job.status),
            Cell::new(job.id.short(), job.id.as_str()),
            Cell::same(&job.title),
            Cell::maybe(job.ticket.as_ref().map(|key| key.as_str())),
            place(job.place),
            words::took(took(job, now)),
            words::when(job.started.unwrap_or(job.created), now),
        ];
        table.row_with(cells, sentence(job));
    }
    table.show(&session.screen, "No job yet. Ask for one with `pullyard jobs create`.")?;
    if let Some(next) = page.next {
        session.screen.hint(&format!("there are older ones: `pullyard jobs list --after {next}`"));
    }
    Ok(())
}

fn place(place: Place) -> Cell {
    let word = match place {
        Place::Fargate => "Fargate",
        Place::Runners => "runners",
    };
    Cell::new(word, words::wire(&place))
}

/// How long it has waited, worked, or worked in all.
fn took(job: &Job, now: Timestamp) -> Duration {
    job.ended.unwrap_or(now).since(job.started.unwrap_or(job.created))
}

/// Why it waits or failed.
fn sentence(job: &Job) -> &str {
    let said = if job.status == Status::Failed { &job.failure } else { &job.waits };
    said.as_ref().map(|explained| explained.sentence.as_str()).unwrap_or_default()
}

fn show(session: &Session, job: &Job) -> Result<(), Fault> {
    let screen = &session.screen;
    if screen.is_json() {
        return screen.json(job);
    }
    let now = words::now();
    let mut lines = vec![
        ("Job", Cell::same(job.id.as_str())),
        ("Title", Cell::same(&job.title)),
        ("Status", words::status(screen, job.status)),
    ];
    let explained = if job.status == Status::Failed { &job.failure } else { &job.waits };
    if let Some(explained) = explained {
        lines.push(("Why", Cell::same(&explained.sentence)));
    }
    lines.extend([
        ("Ticket", Cell::maybe(job.ticket.as_ref().map(|key| key.as_str()))),
        ("Repository", Cell::maybe(job.repository.as_ref().map(|name| name.as_str()))),
        ("Branch", Cell::same(&job.branch)),
        ("Where", place(job.place)),
        ("Attempt", Cell::same(job.attempt.to_string())),
        ("Took", words::took(took(job, now))),
        ("Created", words::when(job.created, now)),
    ]);
    lines.extend(job.started.map(|at| ("Started", words::when(at, now))));
    lines.extend(job.ended.map(|at| ("Ended", words::when(at, now))));
    if let Some(made) = &job.result {
        let changed = format!("{}, +{} -{}", words::files(made.files), made.insertions, made.deletions);
        lines.extend([
            ("Pull request", Cell::same(&made.url)),
            ("Head", Cell::same(&made.head)),
            ("Changed", Cell::same(changed)),
        ]);
    }
    facts(screen, &lines)?;
    if let Some(explained) = explained.as_ref().filter(|explained| explained.help != NOTHING) {
        screen.hint(&explained.help);
    }
    Ok(())
}

/// What the server says when there is nothing to do.
pub(super) const NOTHING: &str = "Nothing to do.";

async fn create(session: &Session, request: &CreateJob, key: Option<&str>) -> Result<(), Fault> {
    let decision = session.api.create_job(request, key).await?;
    let screen = &session.screen;
    if screen.is_json() {
        return screen.json(&decision);
    }
    if let Some(job) = &decision.job {
        screen.out(job.as_str())?;
    }
    screen.note(&decision.sentence);
    if let (Some(job), Verdict::Accepted) = (&decision.job, decision.verdict) {
        screen.hint(&format!("watch it with `pullyard jobs watch {}`", job.short()));
    }
    Ok(())
}

async fn events(session: &Session, job: &JobId, jsonl: bool) -> Result<(), Fault> {
    let screen = &session.screen;
    let mut all = EventPage { events: Vec::new(), cursor: String::new(), end: false };
    let since = session.api.job(job).await?.created;
    loop {
        let after = Some(all.cursor.as_str()).filter(|cursor| !cursor.is_empty());
        let page = session.api.events(job, after).await?;
        let (last, end) = (page.events.is_empty() || page.end, page.end);
        if screen.is_json() && !jsonl {
            all.events.extend(page.events);
        } else if jsonl {
            for event in &page.events {
                let line = serde_json::to_string(event).map_err(|error| Fault::new(Exit::Failed, error.to_string()))?;
                screen.out(&line)?;
            }
        } else {
            page.events.iter().try_for_each(|event| screen.out(&watch::line(screen, event, since)))?;
        }
        (all.cursor, all.end) = (page.cursor, end);
        if last {
            break;
        }
    }
    if screen.is_json() && !jsonl { screen.json(&all) } else { Ok(()) }
}
