//! `pullyard jobs list`: lists jobs by filter, once or repeatedly.

use super::show::{place, took};
use crate::client::fault::{Exit, Fault};
use crate::client::pages::{self, Part};
use crate::client::session::Session;
use crate::client::table::{Cell, Column, Table};
use crate::client::words;
use pullyard_domain::id::TicketKey;
use pullyard_domain::job::JobStatus;
use pullyard_domain::time::Timestamp;
use pullyard_protocol::job::{Job, JobPage, JobQuery};
use std::process::ExitCode;
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// List a project's jobs, newest first.
#[derive(clap::Args, Default)]
#[command(after_help = "Examples:
  pullyard jobs list --status failed,cancelled --since 2d
  pullyard jobs list --ticket DEMO-1 --json")]
pub(super) struct List {
    /// Only these statuses: ready, executing, failed, ….
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    status: Vec<JobStatus>,
    /// Only this ticket.
    #[arg(long, value_name = "KEY")]
    ticket: Option<TicketKey>,
    /// Only jobs created since then: 30m, 12h, 7d, 2026-11-20 or 2026-11-20T12:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only jobs created before then.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<Timestamp>,
    /// Maximum number (default: 50).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
    /// Continue after the page that printed this cursor.
    #[arg(long, value_name = "CURSOR", value_parser = crate::client::cursor)]
    after: Option<String>,
    /// Refresh every two seconds until Ctrl-C.
    #[arg(long)]
    watch: bool,
}

impl List {
    pub(super) fn asks_anything(&self) -> bool {
        self.is_filtered() || self.limit.is_some() || self.after.is_some() || self.watch
    }

    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        if !self.watch {
            self.once(session).await?;
            return Ok(ExitCode::SUCCESS);
        }
        if session.screen.width().is_none() || session.screen.is_json() {
            return Err(Fault::usage("--watch needs a terminal")
                .help("run it without --watch, or follow one job with `pullyard jobs watch`"));
        }
        tokio::select! {
            ended = self.again_and_again(session) => ended,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted.into()),
        }
    }

    async fn again_and_again(&self, session: &Session) -> Result<ExitCode, Fault> {
        loop {
            // Load before clearing the screen, so that the old page stays visible.
            let page = self.page(session).await?;
            session.screen.clear()?;
            self.show(session, page)?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn once(&self, session: &Session) -> Result<(), Fault> {
        let page = self.page(session).await?;
        if session.screen.is_json() {
            return session.screen.json(&page);
        }
        self.show(session, page)
    }

    fn is_filtered(&self) -> bool {
        !self.status.is_empty() || self.ticket.is_some() || self.since.is_some() || self.until.is_some()
    }

    async fn page(&self, session: &Session) -> Result<JobPage, Fault> {
        let project = session.project().await?;
        let all = pages::read(self.limit, self.after.clone(), async |limit, after| {
            let query = JobQuery {
                statuses: self.status.clone(),
                ticket: self.ticket.clone(),
                since: self.since,
                until: self.until,
                limit,
                after,
            };
            let JobPage { jobs, next, looked_back_to } = session.api.jobs_asked(&project, &query).await?;
            Ok(Part { found: jobs, next, looked_back_to })
        })
        .await?;
        session.known_if(all.found.is_empty(), &project).await?;
        Ok(JobPage { jobs: all.found, next: all.next, looked_back_to: all.looked_back_to })
    }

    fn show(&self, session: &Session, page: JobPage) -> Result<(), Fault> {
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
                title(job),
                Cell::maybe(job.ticket.as_ref().map(|key| key.as_str())),
                place(session, job.place),
                words::took(took(job, now)),
                words::when(job.started.unwrap_or(job.created), now),
            ];
            table.row_with(cells, sentence(job));
        }
        let next = page.next.as_deref();
        let empty = match self.is_filtered() {
            true => pages::nothing("job", next, page.looked_back_to),
            false => "No job yet. Request one with `pullyard jobs create`.".to_owned(),
        };
        table.show(&session.screen, &empty)?;
        pages::hint(&session.screen, next, page.looked_back_to);
        Ok(())
    }
}

fn title(job: &Job) -> Cell {
    match &job.pull_request {
        Some(pull) => Cell::new(format!("Revise #{}: {}", pull.number, job.title), &job.title),
        None => Cell::same(&job.title),
    }
}

fn sentence(job: &Job) -> &str {
    let said = if job.status == JobStatus::Failed { &job.failure } else { &job.waits };
    said.as_ref().map(|explained| explained.sentence.as_str()).unwrap_or_default()
}

fn status(word: &str) -> Result<JobStatus, String> {
    let meant = word.trim().to_lowercase().replace('-', "_");
    JobStatus::ALL.into_iter().find(|status| status.as_str() == meant).ok_or_else(|| {
        let all = JobStatus::ALL.map(JobStatus::as_str).join(", ");
        format!("use one of {all}")
    })
}

pub(in crate::client) fn moment(said: &str) -> Result<Timestamp, String> {
    let bad = || "use 30m, 12h, 7d, 2026-11-20 or 2026-11-20T12:00:00Z".to_owned();
    if let Ok(at) = Timestamp::parse(said).or_else(|_| Timestamp::parse(&format!("{said}T00:00:00Z"))) {
        return Ok(at);
    }
    let unit = said.chars().last().ok_or_else(bad)?;
    let count: u64 = said.strip_suffix(unit).and_then(|count| count.parse().ok()).ok_or_else(bad)?;
    let secs = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 24 * 3_600,
        _ => return Err(bad()),
    };
    let length = count.checked_mul(secs).filter(|length| *length <= 100 * 366 * 24 * 3_600).ok_or_else(bad)?;
    Ok(words::now().minus(Duration::from_secs(length)))
}
