//! `pullyard jobs logs`: prints a job's events as readable text.

use super::JobArg;
use super::events::print_json;
use crate::client::prelude::*;
use crate::client::watch;
use pullyard_domain::id::JobId;
use pullyard_domain::usage::Usage;
use pullyard_protocol::artifact::Attempt;
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

impl Logs {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        if session.screen.is_json() && self.follow && !self.jsonl {
            return Err(CliError::usage("--json can't follow a log, because it prints one complete document")
                .with_help("use --jsonl"));
        }
        let id = self.job.resolve(session).await?;
        tokio::select! {
            ended = self.read(session, &id) => ended,
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
        let (mut has_news, mut used) = (true, UsagePrinter::default());
        let mut cursor = self.attempt.map(|attempt| format!("{attempt}.0"));
        loop {
            let page = session.api.events(id, cursor.as_deref()).await?;
            let nothing_new = page.events.is_empty();
            let is_past_attempt =
                self.attempt.is_some_and(|only| page.events.iter().any(|record| record.attempt > only));
            let ours = page.events.into_iter().filter(|record| self.attempt.is_none_or(|only| record.attempt == only));
            let ours: Vec<EventRecord> = ours.collect();
            let ended = is_past_attempt || page.end;
            let newest =
                ours.iter().rposition(|record| record.event.running_usage_sentence().is_some()).filter(|_| !ended);
            for (at, record) in ours.into_iter().enumerate() {
                used.add(&record);
                if as_document {
                    all.events.push(record);
                } else if self.jsonl {
                    print_json(screen, &record)?;
                } else {
                    print_event(screen, id, &record)?;
                    if newest == Some(at) {
                        used.print_interim(screen);
                    }
                }
            }
            if ended && !as_document && !self.jsonl {
                used.print_total(session, id).await?;
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

#[derive(Default)]
struct UsagePrinter {
    attempt: u32,
    interim: Option<String>,
    final_count: u32,
    final_usage: Option<String>,
    last_printed: Option<String>,
}

impl UsagePrinter {
    fn add(&mut self, record: &EventRecord) {
        let Some(usage) = record.event.usage() else { return };
        if record.attempt != self.attempt {
            *self = Self { attempt: record.attempt, last_printed: self.last_printed.take(), ..Self::default() };
        }
        let sentence = usage.to_sentence();
        if !usage.so_far {
            self.final_count += 1;
            self.final_usage = sentence.filter(|_| usage.cost_usd_micros.is_some());
        } else if sentence.is_some() {
            (self.interim, self.final_usage) = (sentence, None);
        }
    }

    fn print_interim(&mut self, screen: &Screen) {
        self.print(screen, self.interim.clone());
    }

    /// Prints the total of the attempt's record. Without one, prints the final usage of the agent's only start: after
    /// several starts, each final usage is only a part.
    async fn print_total(&mut self, session: &Session, job: &JobId) -> Result<(), CliError> {
        if self.interim.is_none() {
            return Ok(());
        }
        let attempts = session.api.attempts(job).await?.attempts;
        let record = attempts.iter().find(|record| record.attempt == self.attempt).and_then(record_usage);
        let end = self.final_usage.clone().filter(|_| self.final_count == 1);
        self.print(&session.screen, record.or(end).or_else(|| self.interim.clone()));
        Ok(())
    }

    fn print(&mut self, screen: &Screen, sentence: Option<String>) {
        if let Some(sentence) = sentence.filter(|sentence| self.last_printed.as_ref() != Some(sentence)) {
            screen.note(&format!("-- {sentence} --"));
            self.last_printed = Some(sentence);
        }
    }
}

fn record_usage(record: &Attempt) -> Option<String> {
    let (work, cost) = (record.work.as_ref()?, record.spent_usd_micros?);
    let used = Usage {
        turns: Some(work.turns.into()),
        input_tokens: Some(work.input_tokens),
        output_tokens: Some(work.output_tokens),
        cost_usd_micros: Some(cost),
        ..Usage::default()
    };
    used.to_sentence()
}

fn print_event(screen: &Screen, job: &JobId, record: &EventRecord) -> Result<(), CliError> {
    let event = &record.event;
    let named = [&event.name, &event.path].into_iter().flatten().next();
    let said_by = format!("{}: ", event.name.as_deref().map_or("unknown".into(), sanitize));
    let (before, colour) = match event.kind {
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
        EventKind::Steer => (said_by.as_str(), Some(Colour::Blue)),
        EventKind::Text | EventKind::ToolResult | EventKind::Result | EventKind::Raw => ("", None),
    };
    let text = match (&event.text, &event.data) {
        (Some(text), _) => text.clone(),
        (None, Some(data)) if event.kind == EventKind::Raw => data.to_string(),
        (None, _) => named.cloned().unwrap_or_default(),
    };
    let mut lines = text.lines().peekable();
    if lines.peek().is_none() {
        return Ok(());
    }
    lines.try_for_each(|line| screen.print_line(&screen.paint(colour, &format!("{before}{}", sanitize_line(line)))))?;
    if let Some(artifact) = event.data.as_ref().and_then(|data| data["artifact"].as_str()) {
        let hint = format!(
            "full text: `pullyard jobs artifacts {} {} --attempt {}`",
            job.short(),
            sanitize_line(artifact),
            record.attempt
        );
        screen.note(&hint);
    }
    Ok(())
}

/// Like `sanitize`, but keeps the indentation of code and diffs.
pub(super) fn sanitize_line(line: &str) -> String {
    let indent = line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect::<String>();
    format!("{indent}{}", sanitize(line))
}
