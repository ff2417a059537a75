//! `pullyard jobs list`: lists jobs by filter, once or repeatedly.

use super::show::{compute_cell, job_duration};
use crate::client::choices::choices;
use crate::client::pages::{Page, PageArgs, empty_message, hint_next_page};
use crate::client::prelude::*;
use crate::client::refresh::show_list;
use pullyard_domain::job::{JobKind, JobStatus};
use pullyard_domain::text::id::TicketKey;
use pullyard_domain::text::time::Timestamp;
use pullyard_protocol::job::{Job, JobPage, JobQuery};
use std::time::Duration;

/// List a project's jobs, newest first.
#[derive(clap::Args, Default, PartialEq)]
#[command(after_help = "Examples:
  pullyard jobs list --status failed,cancelled --since 2d
  pullyard jobs list --ticket DEMO-1 --json")]
pub(super) struct List {
    /// Only this kind.
    #[arg(long, value_name = "KIND", value_parser = choices(JobKind::ALL.map(|kind| (kind.as_str(), kind))))]
    kind: Option<JobKind>,
    /// Only these statuses; separated by commas.
    #[arg(long, value_name = "STATUS", value_delimiter = ',', ignore_case = true, value_parser = choices(JobStatus::ALL.map(|status| (status.as_str(), status))))]
    status: Vec<JobStatus>,
    /// Only this ticket.
    #[arg(long, value_name = "KEY")]
    ticket: Option<TicketKey>,
    /// Only jobs created since then: 30m, 12h, 7d, 2026-11-20 or 2026-11-20T12:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Only jobs created before then.
    #[arg(long, value_name = "WHEN", value_parser = parse_time)]
    until: Option<Timestamp>,
    #[command(flatten)]
    pages: PageArgs,
}

impl List {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        show_list(session, self.pages.watch, async || self.page(session).await, |page| self.show(session, page)).await
    }

    fn is_filtered(&self) -> bool {
        self.kind.is_some()
            || !self.status.is_empty()
            || self.ticket.is_some()
            || self.since.is_some()
            || self.until.is_some()
    }

    async fn page(&self, session: &Session) -> Result<JobPage, CliError> {
        let project = session.project().await?;
        let all = self
            .pages
            .load(async |limit, after| {
                let query = JobQuery {
                    kind: self.kind,
                    statuses: self.status.clone(),
                    ticket: self.ticket.clone(),
                    since: self.since,
                    until: self.until,
                    limit,
                    after,
                };
                let JobPage { jobs, next, searched_to } = session.api.list_jobs_matching(&project, &query).await?;
                Ok(Page { items: jobs, next, searched_to })
            })
            .await?;
        session.ensure_project_exists(all.items.is_empty(), &project).await?;
        Ok(JobPage { jobs: all.items, next: all.next, searched_to: all.searched_to })
    }

    fn show(&self, session: &Session, page: &JobPage) -> Result<(), CliError> {
        let mut table = Table::new([
            Fixed("STATUS"),
            Fixed("JOB"),
            Flexible("TITLE"),
            Flexible("TICKET"),
            Fixed("WHERE"),
            Right("TOOK"),
            Fixed("CREATED"),
        ]);
        for job in &page.jobs {
            let cells = [
                format::status_cell(&session.screen, job.status),
                Cell::new(job.id.short(), job.id.as_str()),
                title_cell(job),
                Cell::optional(job.ticket.as_ref()),
                compute_cell(session, job.place),
                format::duration_cell(job_duration(job)),
                format::time_cell(job.created),
            ];
            table.row_with(cells, job_sentence(job));
        }
        let next = page.next.as_deref();
        let empty = match self.is_filtered() {
            true => empty_message("job", next, page.searched_to),
            false => "No job yet. Request one with `pullyard jobs create`.".to_owned(),
        };
        table.show(&session.screen, &empty)?;
        hint_next_page(&session.screen, next, page.searched_to);
        Ok(())
    }
}

fn title_cell(job: &Job) -> Cell {
    match &job.pull_request {
        Some(pull) => {
            let prefix = job.kind.spec().title_prefix;
            Cell::new(format!("{prefix}#{}: {}", pull.number, job.title), &job.title)
        }
        None => Cell::text(&job.title),
    }
}

fn job_sentence(job: &Job) -> &str {
    let explanation = if job.status == JobStatus::Failed { &job.failure } else { &job.waits };
    explanation.as_ref().map(|explanation| explanation.sentence.as_str()).unwrap_or_default()
}

pub(in crate::client) fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = Timestamp::parse(text).or_else(|_| Timestamp::parse(&format!("{text}T00:00:00Z"))) {
        return Ok(at);
    }
    let secs = format::parse_seconds(text, "smhd").filter(|secs| *secs <= 100 * 366 * 86_400);
    let ago = secs.map(|secs| format::now().minus(Duration::from_secs(secs)));
    ago.ok_or_else(|| "use 30m, 12h, 7d, 2026-11-20 or 2026-11-20T12:00:00Z".into())
}
