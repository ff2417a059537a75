//! `pullyard jobs provenance` and `context`: shows agent, cost and commits of each attempt, and the prompt.

use crate::client::fault::Fault;
use crate::client::session::Session;
use crate::client::table::{Cell, facts};
use crate::client::words;
use pullyard_domain::id::JobId;
use pullyard_domain::job::AgentReport;
use pullyard_protocol::artifact::{Attempt, AttemptOutcome};
use std::process::ExitCode;

pub(super) async fn provenance(session: &Session, id: &JobId) -> Result<ExitCode, Fault> {
    let (screen, attempts) = (&session.screen, session.api.attempts(id).await?);
    if screen.is_json() {
        screen.json(&attempts)?;
        return Ok(ExitCode::SUCCESS);
    }
    if attempts.attempts.is_empty() {
        screen.note(&format!("Job {} has no attempt yet.", id.short()));
    }
    for attempt in &attempts.attempts {
        facts(screen, &lines(attempt))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(attempt: &Attempt) -> Vec<(&'static str, Cell)> {
    let how = match attempt.how {
        AttemptOutcome::Running => "Running",
        AttemptOutcome::Completed => "Completed",
        AttemptOutcome::Failed => "Failed",
        AttemptOutcome::Cancelled => "Cancelled",
        AttemptOutcome::Requeued => "Requeued",
        AttemptOutcome::Asked => "Asked",
        AttemptOutcome::Paused => "Paused",
    };
    let mut lines = vec![
        ("Attempt", Cell::same(attempt.attempt.to_string())),
        ("Ended as", Cell::new(how, words::wire(&attempt.how))),
    ];
    lines.extend(attempt.failure.as_ref().map(|failure| ("Why", Cell::same(&failure.sentence))));
    lines.extend(attempt.runner.as_ref().map(|runner| ("Runner", Cell::same(runner.as_str()))));
    lines.extend(attempt.task.as_ref().map(|task| ("Task", Cell::same(task))));
    lines.extend(attempt.ended.map(|ended| ("Took", words::took(ended.since(attempt.started)))));
    match &attempt.work {
        Some(work) => lines.extend(of_work(work)),
        None => lines.push(("Agent", Cell::maybe(None::<&str>))),
    }
    let about = attempt.work.as_ref().and_then(|work| work.about_usd_micros);
    lines.push(("Cost", words::dollars(attempt.spent_usd_micros, about)));
    lines.extend(about.map(|about| ("Only about", words::dollars(Some(about), None))));
    lines
}

fn of_work(work: &AgentReport) -> Vec<(&'static str, Cell)> {
    let count = |count: u64| Cell::same(count.to_string());
    vec![
        ("Agent", Cell::same(&work.agent)),
        ("Version", Cell::maybe(work.version.as_ref())),
        ("Model", Cell::maybe(work.model.as_ref())),
        ("Session", Cell::maybe(work.session.as_ref())),
        ("Isolation", Cell::same(&work.isolation)),
        ("Starts", count(work.starts.into())),
        ("Turns", count(work.turns.into())),
        ("Tokens read", count(work.input_tokens)),
        ("From a cache", count(work.cached_input_tokens)),
        ("Tokens written", count(work.output_tokens)),
        ("Prices of", Cell::maybe(work.prices_of.as_ref())),
        ("Prompt SHA256", Cell::maybe(work.prompt_sha256.as_ref().map(|hash| hash.as_str()))),
        ("Base commit", Cell::maybe(work.base_commit.as_ref())),
        ("Commit", Cell::maybe(work.commit.as_ref())),
    ]
}

pub(super) async fn context(session: &Session, id: &JobId) -> Result<ExitCode, Fault> {
    let (screen, context) = (&session.screen, session.api.job_context(id).await?);
    if screen.is_json() {
        screen.json(&context)?;
    } else {
        // Clean each line, because ticket text may contain terminal escapes.
        context.prompt.lines().try_for_each(|line| screen.out(&super::logs::tame_line(line)))?;
    }
    Ok(ExitCode::SUCCESS)
}
