//! `pullyard jobs watch`: prints a job's events as they arrive, until the job ends.

use super::conversation::Conversation;
use super::jobs;
use super::table::truncate;
use crate::client::prelude::*;
use pullyard_domain::job::JobStatus;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use pullyard_protocol::event::{EventKind, EventRecord};
use pullyard_protocol::job::Job;
use std::time::{Duration, Instant};

/// Polls as often as a watched runner sends events, and less often while the runner is silent.
pub(super) fn poll_interval(has_news: bool) -> Duration {
    Duration::from_millis(if has_news { 500 } else { 1_000 })
}

const EXPLAIN_AFTER: Duration = Duration::from_secs(2);

pub(super) async fn watch(session: &Session, job: &JobId) -> Result<(), CliError> {
    print_end(session, &until_end(session, job).await?).await
}

/// Prints the events, and returns the ended job.
pub(super) async fn until_end(session: &Session, job: &JobId) -> Result<Job, CliError> {
    tokio::select! {
        ended = follow(session, job, None) => ended,
        _ = tokio::signal::ctrl_c() => Err(interrupted(session, job)),
    }
}

pub(super) fn interrupted(session: &Session, job: &JobId) -> CliError {
    CliError::interrupted(&session.screen, &format!("job {} is still running", job.short()))
}

pub(super) async fn watch_with_input(session: &Session, job: &JobId) -> Result<(), CliError> {
    print_end(session, &follow(session, job, Some(Conversation::start(&session.screen))).await?).await
}

async fn follow(session: &Session, id: &JobId, mut conversation: Option<Conversation>) -> Result<Job, CliError> {
    let screen = &session.screen;
    let (mut cursor, mut printer) = (None, StatePrinter::default());
    loop {
        let job = session.api.job(id).await?;
        let is_asked = conversation.is_some() && job.status == JobStatus::AwaitingInput;
        if !job.status.is_terminal() && !is_asked {
            printer.print_change(session, &job).await?;
        }
        let page = session.api.events(id, cursor.as_deref()).await?;
        if !screen.is_json() {
            page.events.iter().try_for_each(|event| screen.print_line(&format_event(screen, event, job.created)))?;
        }
        let has_news = !page.events.is_empty();
        cursor = Some(page.cursor);
        if page.end {
            return Ok(session.api.job(id).await?);
        }
        match &mut conversation {
            Some(conversation) => {
                conversation.show_question(screen, &job)?;
                conversation.send_input(session, id, poll_interval(has_news)).await;
            }
            None => tokio::time::sleep(poll_interval(has_news)).await,
        }
    }
}

#[derive(Default)]
struct StatePrinter {
    state: String,
    since: Option<Instant>,
    has_explained: bool,
}

impl StatePrinter {
    async fn print_change(&mut self, session: &Session, job: &Job) -> Result<(), CliError> {
        let state = describe_state(job);
        if state != self.state {
            session.screen.note(&state);
            *self = Self { state, since: Some(Instant::now()), has_explained: false };
        }
        let is_stable = self.since.is_some_and(|since| since.elapsed() >= EXPLAIN_AFTER);
        if is_stable && !self.has_explained && (job.waits.is_some() || job.cancel.is_some()) {
            self.has_explained = true;
            session.screen.note(&session.api.explain_job(&job.id).await?.sentence);
        }
        Ok(())
    }
}

fn describe_state(job: &Job) -> String {
    let label = format::status_name(job.status);
    match &job.waits {
        // Print the code: the sentence counts seconds and would repeat.
        Some(waits) if job.attempt == 0 => format!("{label}: {}", waits.code.replace('_', " ")),
        Some(waits) => format!("{label} after attempt {}: {}", job.attempt, waits.code.replace('_', " ")),
        None if job.cancel.is_some() => format!("{label}: being cancelled"),
        None => label.to_owned(),
    }
}

async fn print_end(session: &Session, job: &Job) -> Result<(), CliError> {
    let screen = &session.screen;
    if screen.is_json() {
        screen.json(job)?;
    }
    let outcome = print_outcome(screen, job);
    if let Some(result) = job.result.as_ref().filter(|_| job.status == JobStatus::Completed && !screen.is_json()) {
        screen.print_line(&sanitize(&result.url))?;
    }
    let has_output = job.kind.reports() || job.result.is_none() && job.pushed.is_none();
    if has_output && job.status == JobStatus::Completed && !screen.is_json() {
        match jobs::print_end(session, &job.id).await {
            // It was deleted, which is no fault of the job.
            Err(error) if error.is_not_found() => screen.note(&error.message()),
            printed => printed?,
        }
    }
    outcome
}

pub(super) fn print_outcome(screen: &Screen, job: &Job) -> Result<(), CliError> {
    let took = format::format_duration(job.ended.unwrap_or(job.created).since(job.created));
    if job.status == JobStatus::Completed {
        screen.note(&match (&job.result, &job.pushed) {
            (Some(result), _) => {
                let files = format::format_count(result.files, "file");
                format!("Completed in {took}: pull request #{}, {files}", result.number)
            }
            (None, Some(pushed)) => {
                let files = format::format_count(pushed.files, "file");
                format!("Completed in {took}: branch {}, {files}", sanitize(&pushed.branch))
            }
            _ if job.kind.reviews() => format!("Completed in {took}: a review"),
            _ => format!("Completed in {took}: an answer"),
        });
        return Ok(());
    }
    let label = format::status_name(job.status).to_lowercase();
    match &job.failure {
        Some(failure) => {
            let sentence = failure.sentence.trim_end_matches('.');
            let cause = failure.class.and_then(|class| class.label_beside(sentence));
            let fault = cause.map(|cause| format!("; cause: {cause}")).unwrap_or_default();
            screen.error(&format!("job {} {label} after {took}: {sentence} ({}){fault}", job.id.short(), failure.code));
            hint_unreported_push(screen, job);
            screen.help(&format::with_job_id(&failure.help, &job.id));
        }
        None => {
            let by = job.cancel.as_ref().map(|cancel| format!(" by {}", cancel.by)).unwrap_or_default();
            screen.error(&format!("job {} was {label}{by} after {took}", job.id.short()));
            hint_unreported_push(screen, job);
            screen.help(&match &job.run {
                Some(run) => format!("see its run with `pullyard runs why {}`", run.short()),
                None => format!("retry it with `pullyard jobs retry {}`", job.id.short()),
            });
        }
    }
    Err(CliError::silent(Exit::Ended))
}

fn hint_unreported_push(screen: &Screen, job: &Job) {
    if job.unverified_push.is_some() {
        let id = job.id.short();
        screen.help(&format!("check the forge first: a lost attempt may have pushed; `pullyard why {id}`"));
    }
}

pub(super) fn format_event(screen: &Screen, record: &EventRecord, since: Timestamp) -> String {
    let event = &record.event;
    let kind = format::to_code(&event.kind);
    let details = [&event.name, &event.path, &event.text].into_iter().flatten().map(|text| sanitize(text));
    let mut text = details.collect::<Vec<_>>().join(" ");
    if let (true, Some(data)) = (text.is_empty(), &event.data) {
        let usage = event.usage().and_then(|usage| usage.to_sentence());
        text = usage.unwrap_or_else(|| sanitize(&data.to_string()));
    }
    let Some(width) = screen.width() else {
        return format!("{}\t{}.{}\t{kind}\t{text}", record.at, record.attempt, event.seq);
    };
    let colour = match event.kind {
        EventKind::Phase | EventKind::Result => Some(Colour::Green),
        EventKind::Question => Some(Colour::Magenta),
        EventKind::Steer => Some(Colour::Blue),
        EventKind::Log | EventKind::Raw | EventKind::Usage => Some(Colour::Grey),
        _ => None,
    };
    let label = screen.paint(colour, &format!("{:>11}", kind.replace('_', " ")));
    format!(
        "{:>7}  {label}  {}",
        format::format_duration(record.at.since(since)),
        truncate(&text, width.saturating_sub(22))
    )
}
