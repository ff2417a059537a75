//! `pullyard jobs watch`: a job's events as they come, until it ends.

use super::fault::{Exit, Fault};
use super::screen::{Colour, Screen, tame};
use super::session::Session;
use super::table::cut;
use super::words;
use pullyard_domain::id::JobId;
use pullyard_domain::job::Status;
use pullyard_domain::time::Timestamp;
use pullyard_protocol::event::{EventKind, SeenEvent};
use pullyard_protocol::job::Job;
use std::process::ExitCode;
use std::time::Duration;

/// How often the server is asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Follows a job; Ctrl-C leaves it alone.
pub(super) async fn watch(session: &Session, job: &JobId) -> Result<ExitCode, Fault> {
    tokio::select! {
        ended = follow(session, job) => ended,
        _ = tokio::signal::ctrl_c() => {
            session.screen.note(&format!("interrupted: job {} goes on without you", job.short()));
            Ok(Exit::Interrupted.into())
        }
    }
}

async fn follow(session: &Session, id: &JobId) -> Result<ExitCode, Fault> {
    let screen = &session.screen;
    let (mut cursor, mut told) = (None, String::new());
    loop {
        let job = session.api.job(id).await?;
        let state = state(&job);
        if state != told && !job.status.is_terminal() {
            screen.note(&state);
            told = state;
        }
        let page = session.api.events(id, cursor.as_deref()).await?;
        if !screen.is_json() {
            page.events.iter().try_for_each(|event| screen.out(&line(screen, event, job.created)))?;
        }
        cursor = Some(page.cursor);
        if page.end {
            return ended(screen, &session.api.job(id).await?);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Where it is, and what it waits for.
fn state(job: &Job) -> String {
    let word = words::status_word(job.status);
    match &job.waits {
        // Its sentence counts the seconds; said again for each it would be noise.
        Some(waits) if job.attempt == 0 => format!("{word}: {}", waits.code.replace('_', " ")),
        Some(waits) => format!("{word} after attempt {}: {}", job.attempt, waits.code.replace('_', " ")),
        None => word.to_owned(),
    }
}

fn ended(screen: &Screen, job: &Job) -> Result<ExitCode, Fault> {
    if screen.is_json() {
        screen.json(job)?;
    }
    let took = words::length(job.ended.unwrap_or(job.created).since(job.created));
    if job.status == Status::Completed {
        if let Some(made) = &job.result {
            screen.note(&format!("Completed in {took}: pull request #{}, {}", made.number, words::files(made.files)));
            if !screen.is_json() {
                screen.out(&tame(&made.url))?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let word = words::status_word(job.status).to_lowercase();
    match &job.failure {
        Some(failure) => {
            let sentence = failure.sentence.trim_end_matches('.');
            screen.error(&format!("job {} {word} after {took}: {sentence} ({})", job.id.short(), failure.code));
            screen.help(&failure.help);
        }
        None => screen.error(&format!("job {} was {word} after {took}", job.id.short())),
    }
    Ok(Exit::Ended.into())
}

/// One event: cut to one line for people, whole for programs.
pub(super) fn line(screen: &Screen, seen: &SeenEvent, since: Timestamp) -> String {
    let event = &seen.event;
    let kind = words::wire(&event.kind);
    let said = [&event.name, &event.path, &event.text].into_iter().flatten().map(|text| tame(text));
    let mut text = said.collect::<Vec<_>>().join(" ");
    if let (true, Some(data)) = (text.is_empty(), &event.data) {
        text = tame(&data.to_string());
    }
    let Some(width) = screen.width() else {
        return format!("{}\t{}.{}\t{kind}\t{text}", seen.at, seen.attempt, event.seq);
    };
    let colour = match event.kind {
        EventKind::Phase | EventKind::Result => Some(Colour::Green),
        EventKind::Question => Some(Colour::Magenta),
        EventKind::Log | EventKind::Raw | EventKind::Usage => Some(Colour::Muted),
        _ => None,
    };
    let word = screen.painted(colour, &format!("{:>11}", kind.replace('_', " ")));
    format!("{:>7}  {word}  {}", words::length(seen.at.since(since)), cut(&text, width.saturating_sub(22)))
}
