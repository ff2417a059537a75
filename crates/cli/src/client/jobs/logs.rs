//! `pullyard jobs logs`: prints a job's events as readable text.

use super::job_arg::JobArg;
use crate::client::prelude::*;
use crate::client::watch;
use pullyard_domain::text::id::JobId;
use pullyard_protocol::event::{EventKind, EventPage, EventRecord};

/// Print a job's log: the agent's text, its commands and their output, and its stderr.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard jobs logs 7F2K -f
  pullyard jobs logs @last --attempt 1 --jsonl")]
pub(super) struct Logs {
    #[command(flatten)]
    job: JobArg,
    /// Follow the log until the job ends; exits with 6 if it failed or was cancelled.
    #[arg(long, short)]
    follow: bool,
    /// Only this attempt.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Print every event as one JSON document per line.
    #[arg(long)]
    jsonl: bool,
}

/// The log of any job that is known already.
pub(in crate::client) async fn print_logs(session: &Session, job: &JobId, follow: bool) -> Result<(), CliError> {
    let job = JobArg { id: job.to_string() };
    Logs { job, follow, attempt: None, jsonl: false }.run(session).await
}

/// Prints all events of a job.
pub(in crate::client) async fn print_events(session: &Session, job: &JobId) -> Result<(), CliError> {
    let job = JobArg { id: job.to_string() };
    Logs { job, follow: false, attempt: None, jsonl: !session.screen.is_json() }.run(session).await
}

impl Logs {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        if session.screen.is_json() && self.follow && !self.jsonl {
            return Err(CliError::usage("--json can't follow a log, because it prints one complete document")
                .with_help("use --jsonl"));
        }
        let id = self.job.resolve(session).await?;
        tokio::select! {
            result = self.read(session, &id) => result,
            _ = tokio::signal::ctrl_c() => Err(watch::interrupted(session, &id)),
        }
    }

    async fn read(&self, session: &Session, id: &JobId) -> Result<(), CliError> {
        let screen = &session.screen;
        let as_document = screen.is_json() && !self.jsonl;
        let job = session.api.job(id).await?;
        if let Some(attempt) = self.attempt.filter(|_| !self.follow) {
            super::check_attempt(&job, attempt)?;
        }
        let mut all = EventPage { events: Vec::new(), cursor: String::new(), end: false };
        let mut has_news = true;
        let mut cursor = self.attempt.map(|attempt| format!("{attempt}.0"));
        loop {
            let page = session.api.events(id, cursor.as_deref()).await?;
            let nothing_new = page.events.is_empty();
            let is_past_attempt =
                self.attempt.is_some_and(|only| page.events.iter().any(|record| record.attempt > only));
            let records =
                page.events.into_iter().filter(|record| self.attempt.is_none_or(|only| record.attempt == only));
            for record in records {
                if as_document {
                    all.events.push(record);
                } else if self.jsonl {
                    print_json(screen, &record)?;
                } else {
                    print_event(screen, &record)?;
                }
            }
            all.cursor.clone_from(&page.cursor);
            all.end = page.end;
            cursor = Some(page.cursor);
            if is_past_attempt || page.end || (nothing_new && !self.follow) {
                break;
            }
            if nothing_new {
                tokio::time::sleep(watch::poll_interval(has_news)).await;
            }
            has_news = !nothing_new;
        }
        if as_document {
            screen.json(&all)?;
        }
        if !self.follow || !all.end {
            return Ok(());
        }
        watch::print_outcome(screen, &session.api.job(id).await?)
    }
}

fn print_json(screen: &Screen, event: &EventRecord) -> Result<(), CliError> {
    let line = serde_json::to_string(event).map_err(|error| CliError::failed(error.to_string()))?;
    screen.print_line(&line)
}

fn print_event(screen: &Screen, record: &EventRecord) -> Result<(), CliError> {
    let event = &record.event;
    let name = [&event.name, &event.path].into_iter().flatten().next();
    let author = format!("{}: ", event.name.as_deref().map_or("unknown".into(), sanitize));
    let (prefix, colour) = match event.kind {
        EventKind::Phase => {
            screen.note(&format!("-- {}, attempt {} --", event.name.as_deref().unwrap_or("phase"), record.attempt));
            if let Some(text) = &event.text {
                screen.note(&format!("-- agent: {} --", sanitize(text)));
            }
            return Ok(());
        }
        EventKind::Usage => return Ok(()),
        EventKind::Command => ("$ ", None),
        EventKind::ToolCall | EventKind::FileEdit => ("> ", Some(Colour::Grey)),
        EventKind::Log => ("", Some(Colour::Grey)),
        EventKind::Question => ("? ", Some(Colour::Magenta)),
        EventKind::Steer => (author.as_str(), Some(Colour::Blue)),
        EventKind::Text | EventKind::ToolResult | EventKind::Result | EventKind::Raw => ("", None),
    };
    let text = match (&event.text, &event.data) {
        (Some(text), _) => text.clone(),
        (None, Some(data)) if event.kind == EventKind::Raw => data.to_string(),
        (None, _) => name.cloned().unwrap_or_default(),
    };
    let mut lines = text.lines().peekable();
    if lines.peek().is_none() {
        return Ok(());
    }
    lines.try_for_each(|line| screen.print_line(&screen.paint(colour, &format!("{prefix}{}", sanitize_line(line)))))
}

/// Like `sanitize`, but keeps the indentation of code and diffs.
pub(super) fn sanitize_line(line: &str) -> String {
    let indent = line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect::<String>();
    format!("{indent}{}", sanitize(line))
}
