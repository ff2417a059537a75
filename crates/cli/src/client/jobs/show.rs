//! `pullyard jobs show`: shows a job.

use crate::client::fault::Fault;
use crate::client::session::Session;
use crate::client::table::{Cell, facts};
use crate::client::words;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{JobStatus, Placement};
use pullyard_domain::time::Timestamp;
use pullyard_protocol::job::Job;
use std::process::ExitCode;
use std::time::Duration;

pub(super) async fn show(session: &Session, id: &JobId) -> Result<ExitCode, Fault> {
    let (screen, job) = (&session.screen, session.api.job(id).await?);
    if screen.is_json() {
        screen.json(&job)?;
        return Ok(ExitCode::SUCCESS);
    }
    let now = words::now();
    let mut lines = vec![
        ("Job", Cell::same(job.id.as_str())),
        ("Title", Cell::same(&job.title)),
        ("Status", words::status(screen, job.status)),
    ];
    lines.extend(job.pull_request.as_ref().map(|pull| ("Revises", Cell::new(&pull.label, &pull.url))));
    let explained = if job.status == JobStatus::Failed { &job.failure } else { &job.waits };
    if let Some(explained) = explained {
        lines.push(("Why", Cell::same(&explained.sentence)));
        lines.extend(explained.class.map(|class| ("Cause", Cell::new(class.label(), words::wire(&class)))));
    }
    if let Some(loss) = job.adopts.as_ref().filter(|_| !job.status.is_terminal()) {
        let looks =
            format!("only the commit that a lost attempt may have pushed. Cause of the loss: {}", loss.sentence);
        lines.push(("Adopts", Cell::same(looks)));
    }
    lines.extend(job.untold_push.as_ref().map(|untold| ("Pushed", Cell::same(untold))));
    lines.extend(job.question.as_ref().map(|question| ("Question", Cell::same(&question.text))));
    if let Some(cancel) = &job.cancel {
        let reason = cancel.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let stops = if cancel.until.is_some() { " (its runner is stopping it)" } else { "" };
        lines.push(("Cancelled by", Cell::same(format!("{}{reason}{stops}", cancel.by))));
    }
    lines.extend([
        ("Ticket", Cell::maybe(job.ticket.as_ref().map(|key| key.as_str()))),
        ("Repository", Cell::maybe(job.repository.as_ref().map(|name| name.as_str()))),
        ("Branch", Cell::same(&job.branch)),
        ("Where", place(session, job.place)),
        ("Attempt", Cell::same(job.attempt.to_string())),
        ("Took", words::took(took(&job, now))),
        ("Created", words::when(job.created, now)),
    ]);
    let task = job.task.filter(|_| session.data.is_none());
    lines.extend(task.map(|task| ("Task", Cell::same(task.display_name()))));
    lines.extend(job.retry_of.as_ref().map(|of| ("Retry of", Cell::new(of.short(), of.as_str()))));
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
    if let Some(explained) = explained {
        screen.hint(&words::about_job(&explained.help, &job.id));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn place(session: &Session, place: Placement) -> Cell {
    let word = match place {
        Placement::Fargate if session.data.is_some() => "this machine",
        Placement::Fargate => "Fargate",
        Placement::Runners => "runners",
    };
    Cell::new(word, words::wire(&place))
}

pub(super) fn took(job: &Job, now: Timestamp) -> Duration {
    job.ended.unwrap_or(now).since(job.started.unwrap_or(job.created))
}
