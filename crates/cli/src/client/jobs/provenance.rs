//! `pullyard jobs provenance` and `context`: shows agent, cost and commits of each attempt, and the prompt.

use crate::client::prelude::*;
use pullyard_domain::job::AgentReport;
use pullyard_domain::text::id::JobId;
use pullyard_protocol::artifact::{Attempt, AttemptOutcome};

pub(in crate::client) async fn provenance(session: &Session, id: &JobId) -> Result<(), CliError> {
    let (screen, attempts) = (&session.screen, session.api.attempts(id).await?);
    if screen.is_json() {
        return screen.json(&attempts);
    }
    if attempts.attempts.is_empty() {
        screen.note(&format!("Job {} has no attempt yet.", id.short()));
    }
    for attempt in &attempts.attempts {
        print_facts(screen, &lines(attempt))?;
    }
    Ok(())
}

fn lines(attempt: &Attempt) -> Vec<(&'static str, Cell)> {
    let outcome = match attempt.how {
        AttemptOutcome::Running => "Running",
        AttemptOutcome::Completed => "Completed",
        AttemptOutcome::Failed => "Failed",
        AttemptOutcome::Cancelled => "Cancelled",
        AttemptOutcome::Requeued => "Requeued",
        AttemptOutcome::Asked => "Asked",
        AttemptOutcome::Paused => "Paused",
    };
    let mut lines =
        vec![("Attempt", Cell::text(attempt.attempt)), ("Ended as", Cell::new(outcome, format::to_code(&attempt.how)))];
    lines.extend(attempt.failure.as_ref().map(|failure| ("Why", Cell::text(&failure.sentence))));
    lines.extend(attempt.runner.as_ref().map(|runner| ("Runner", Cell::text(runner))));
    lines.extend(attempt.task.as_ref().map(|task| ("Task", Cell::text(task))));
    lines.extend(attempt.ended.map(|ended| ("Took", format::duration_cell(ended.since(attempt.started)))));
    match &attempt.work {
        Some(work) => lines.extend(work_lines(work)),
        None => lines.push(("Agent", Cell::none())),
    }
    let about = attempt.work.as_ref().and_then(|work| work.about_usd_micros);
    lines.push(("Cost", format::dollars_cell(attempt.spent_usd_micros, about)));
    lines.extend(about.map(|about| ("Only about", format::dollars_cell(Some(about), None))));
    lines
}

fn work_lines(work: &AgentReport) -> Vec<(&'static str, Cell)> {
    let count = |count: u64| Cell::text(count);
    let mut lines = vec![
        ("Agent", Cell::text(&work.agent)),
        ("Version", Cell::optional(work.version.as_ref())),
        ("Model", Cell::optional(work.model.as_ref())),
        ("Session", Cell::optional(work.session.as_ref())),
        ("Starts", count(work.starts.into())),
        ("Turns", count(work.turns.into())),
        ("Tokens read", count(work.input_tokens)),
        ("From a cache", count(work.cached_input_tokens)),
        ("Tokens written", count(work.output_tokens)),
        ("Prompt SHA256", Cell::optional(work.prompt_sha256.as_ref())),
        ("Base commit", Cell::optional(work.base_commit.as_ref())),
        ("Commit", Cell::optional(work.commit.as_ref())),
    ];
    lines.extend(isolation_lines(work));
    lines
}

pub(super) fn isolation_lines(work: &AgentReport) -> Vec<(&'static str, Cell)> {
    let mut lines = vec![("Isolation", Cell::text(work.describe_isolation()))];
    lines.extend(work.refused_hosts.iter().map(|host| ("Refused host", Cell::text(host))));
    lines
}

pub(super) async fn context(session: &Session, id: &JobId) -> Result<(), CliError> {
    let (screen, context) = (&session.screen, session.api.job_context(id).await?);
    // Clean each line, because ticket text may contain terminal escapes.
    let print = |line: &str| screen.print_line(&super::logs::sanitize_line(line));
    screen.show(&context, |context| context.prompt.lines().try_for_each(print))
}
