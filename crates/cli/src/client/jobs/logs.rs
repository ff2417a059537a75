//! `pullyard jobs logs`: prints a job's events as readable text.

use super::events::as_json;
use crate::client::fault::{Exit, Fault};
use crate::client::screen::{Colour, Screen, tame};
use crate::client::session::Session;
use crate::client::watch;
use pullyard_domain::id::JobId;
use pullyard_domain::usage::Usage;
use pullyard_protocol::artifact::Attempt;
use pullyard_protocol::event::{EventKind, EventPage, SeenEvent};
use std::process::ExitCode;

/// Print a job's log: the agent's text, its commands and their output, and its stderr.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard jobs logs 7F2K -f
  pullyard jobs logs @last --attempt 1 --jsonl")]
pub(super) struct Logs {
    /// Job id.
    #[arg(value_name = "JOB")]
    id: String,
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
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        if session.screen.is_json() && self.follow && !self.jsonl {
            return Err(
                Fault::usage("--json can't follow a log, because it prints one complete document").help("use --jsonl")
            );
        }
        let id = session.job(&self.id).await?;
        tokio::select! {
            ended = self.read(session, &id) => ended,
            _ = tokio::signal::ctrl_c() => {
                session.screen.note(&format!("interrupted: job {} is still running", id.short()));
                Ok(Exit::Interrupted.into())
            }
        }
    }

    async fn read(&self, session: &Session, id: &JobId) -> Result<ExitCode, Fault> {
        let screen = &session.screen;
        let whole = screen.is_json() && !self.jsonl;
        let job = session.api.job(id).await?;
        if let Some(attempt) = self.attempt.filter(|_| !self.follow) {
            super::has_attempt(&job, attempt)?;
        }
        let mut all = EventPage { events: Vec::new(), cursor: String::new(), end: false };
        let (mut heard, mut used) = (true, Used::default());
        let mut cursor = self.attempt.map(|attempt| format!("{attempt}.0"));
        loop {
            let page = session.api.events(id, cursor.as_deref()).await?;
            let nothing_new = page.events.is_empty();
            let over = self.attempt.is_some_and(|only| page.events.iter().any(|seen| seen.attempt > only));
            let ours = page.events.into_iter().filter(|seen| self.attempt.is_none_or(|only| seen.attempt == only));
            let ours: Vec<SeenEvent> = ours.collect();
            let ended = over || page.end;
            let newest = ours.iter().rposition(|seen| seen.event.used_so_far().is_some()).filter(|_| !ended);
            for (at, seen) in ours.into_iter().enumerate() {
                used.note(&seen);
                if whole {
                    all.events.push(seen);
                } else if self.jsonl {
                    as_json(screen, &seen)?;
                } else {
                    say(screen, id, &seen)?;
                    if newest == Some(at) {
                        used.tell_so_far(screen);
                    }
                }
            }
            if ended && !whole && !self.jsonl {
                used.tell_in_all(session, id).await?;
            }
            all.cursor.clone_from(&page.cursor);
            all.end = page.end;
            cursor = Some(page.cursor);
            if over || page.end || (nothing_new && !self.follow) {
                break;
            }
            if nothing_new {
                tokio::time::sleep(watch::look_again(heard)).await;
            }
            heard = !nothing_new;
        }
        if whole {
            screen.json(&all)?;
        }
        if !self.follow || !all.end {
            return Ok(ExitCode::SUCCESS);
        }
        Ok(watch::said_of_end(screen, &session.api.job(id).await?))
    }
}

#[derive(Default)]
struct Used {
    attempt: u32,
    so_far: Option<String>,
    ends: u32,
    end: Option<String>,
    told: Option<String>,
}

impl Used {
    fn note(&mut self, seen: &SeenEvent) {
        let Some(usage) = seen.event.usage() else { return };
        if seen.attempt != self.attempt {
            *self = Self { attempt: seen.attempt, told: self.told.take(), ..Self::default() };
        }
        let said = usage.to_sentence();
        if !usage.so_far {
            self.ends += 1;
            self.end = said.filter(|_| usage.cost_usd_micros.is_some());
        } else if said.is_some() {
            (self.so_far, self.end) = (said, None);
        }
    }

    fn tell_so_far(&mut self, screen: &Screen) {
        self.tell(screen, self.so_far.clone());
    }

    /// Prints the total of the attempt's record. Without one, prints the final usage of the agent's only start: after
    /// several starts, each final usage is only a part.
    async fn tell_in_all(&mut self, session: &Session, job: &JobId) -> Result<(), Fault> {
        if self.so_far.is_none() {
            return Ok(());
        }
        let attempts = session.api.attempts(job).await?.attempts;
        let record = attempts.iter().find(|record| record.attempt == self.attempt).and_then(recorded);
        let end = self.end.clone().filter(|_| self.ends == 1);
        self.tell(&session.screen, record.or(end).or_else(|| self.so_far.clone()));
        Ok(())
    }

    fn tell(&mut self, screen: &Screen, said: Option<String>) {
        if let Some(said) = said.filter(|said| self.told.as_ref() != Some(said)) {
            screen.note(&format!("-- {said} --"));
            self.told = Some(said);
        }
    }
}

fn recorded(record: &Attempt) -> Option<String> {
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

fn say(screen: &Screen, job: &JobId, seen: &SeenEvent) -> Result<(), Fault> {
    let event = &seen.event;
    let named = [&event.name, &event.path].into_iter().flatten().next();
    let said_by = format!("{}: ", event.name.as_deref().map_or("unknown".into(), tame));
    let (before, colour) = match event.kind {
        EventKind::Phase => {
            screen.note(&format!("-- {}, attempt {} --", event.name.as_deref().unwrap_or("phase"), seen.attempt));
            if let Some(words) = &event.text {
                screen.note(&format!("-- agent: {} --", tame(words)));
            }
            return Ok(());
        }
        EventKind::Usage => return Ok(()),
        EventKind::Command => ("$ ", None),
        EventKind::ToolCall | EventKind::FileEdit => ("> ", Some(Colour::Muted)),
        EventKind::Log => ("", Some(Colour::Muted)),
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
    lines.try_for_each(|line| screen.out(&screen.painted(colour, &format!("{before}{}", tame_line(line)))))?;
    if let Some(whole) = event.data.as_ref().and_then(|data| data["artifact"].as_str()) {
        let said = format!(
            "full text: `pullyard jobs artifacts {} {} --attempt {}`",
            job.short(),
            tame_line(whole),
            seen.attempt
        );
        screen.note(&said);
    }
    Ok(())
}

/// Like `tame`, but keeps the indentation of code and diffs.
pub(super) fn tame_line(line: &str) -> String {
    let indent = line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect::<String>();
    format!("{indent}{}", tame(line))
}
