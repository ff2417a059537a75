//! `pullyard jobs show`: shows a job.

use super::provenance::isolation_lines;
use crate::client::prelude::*;
use pullyard_domain::job::{JobStatus, Placement, Publishes};
use pullyard_domain::project::labels::join_labels;
use pullyard_domain::text::id::JobId;
use pullyard_protocol::job::Job;
use std::time::Duration;

pub(super) async fn show(session: &Session, id: &JobId) -> Result<(), CliError> {
    let (screen, job) = (&session.screen, session.api.job(id).await?);
    if screen.is_json() {
        return screen.json(&job);
    }
    let mut lines = vec![
        ("Job", Cell::text(&job.id)),
        ("Title", Cell::text(&job.title)),
        ("Status", format::status_cell(screen, job.status)),
    ];
    let works_on = if job.kind.spec().publishes == Publishes::Review { "Reviews" } else { "Revises" };
    lines.extend(job.pull_request.as_ref().map(|pull| (works_on, Cell::new(&pull.label, &pull.url))));
    let explanation = if job.status == JobStatus::Failed { &job.failure } else { &job.waits };
    if let Some(explanation) = explanation {
        lines.push(("Why", Cell::text(&explanation.sentence)));
        lines.extend(explanation.class.map(|class| ("Cause", Cell::new(class.label(), format::to_code(&class)))));
    }
    lines.extend(job.unverified_push.as_ref().map(|sentence| ("Pushed", Cell::text(sentence))));
    lines.extend(job.question.as_ref().map(|question| ("Question", Cell::text(&question.text))));
    if let Some(cancel) = &job.cancel {
        let reason = cancel.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let suffix = if cancel.until.is_some() { " (its runner is stopping it)" } else { "" };
        lines.push(("Cancelled by", Cell::text(format!("{}{reason}{suffix}", cancel.by))));
    }
    lines.extend([("Ticket", Cell::optional(job.ticket.as_ref()))]);
    lines.extend(job.run.as_ref().map(|run| ("Run", Cell::new(run.short(), run.as_str()))));
    lines.extend(job.step.as_ref().map(|step| ("Step", Cell::text(step))));
    lines.extend([
        ("Repository", Cell::optional(job.repository.as_ref())),
        ("Branch", Cell::text(&job.branch)),
        ("Where", compute_cell(session, job.place)),
        ("Attempt", Cell::text(job.attempt)),
        ("Took", format::duration_cell(job_duration(&job))),
        ("Created", format::time_cell(job.created)),
    ]);
    lines.extend((!job.priority.is_normal()).then(|| ("Priority", Cell::text(job.priority.as_str()))));
    lines.extend((!job.labels.is_empty()).then(|| ("Labels", Cell::text(join_labels(&job.labels)))));
    let task = job.task.filter(|_| session.data.is_none());
    lines.extend(task.map(|task| ("Task", Cell::text(task.display_name()))));
    lines.extend(job.retry_of.as_ref().map(|of| ("Retry of", Cell::new(of.short(), of.as_str()))));
    lines.extend(job.started.map(|at| ("Started", format::time_cell(at))));
    lines.extend(job.ended.map(|at| ("Ended", format::time_cell(at))));
    let changed = |files: u32, insertions: u32, deletions: u32| {
        Cell::text(format!("{}, +{insertions} -{deletions}", format::format_count(files, "file")))
    };
    if let Some(pushed) = job.pushed.as_ref().filter(|_| job.result.is_none()) {
        lines.extend([
            ("Head", Cell::text(&pushed.head)),
            ("Changed", changed(pushed.files, pushed.insertions, pushed.deletions)),
        ]);
    }
    if let Some(result) = &job.result {
        lines.extend([
            ("Pull request", Cell::text(&result.url)),
            ("Head", Cell::text(&result.head)),
            ("Changed", changed(result.files, result.insertions, result.deletions)),
        ]);
    }
    if job.result.is_none() && job.pushed.is_none() && job.status == JobStatus::Completed {
        lines.push(("Output", Cell::text(format!("`pullyard jobs output {}`", job.id.short()))));
    }
    if job.attempt > 0 {
        let attempts = session.api.attempts(id).await?.attempts;
        let last = attempts.iter().rev().find_map(|attempt| attempt.work.as_ref());
        lines.extend(last.into_iter().flat_map(isolation_lines));
    }
    print_facts(screen, &lines)?;
    if let Some(explanation) = explanation {
        screen.hint(&format::with_job_id(&explanation.help, &job.id));
    }
    Ok(())
}

pub(super) fn compute_cell(session: &Session, place: Placement) -> Cell {
    match place {
        Placement::Fargate if session.data.is_some() => Cell::text("this machine"),
        Placement::Fargate => Cell::new("Fargate", format::to_code(&place)),
        Placement::Runners => Cell::text("runners"),
    }
}

/// From creation to end with all waits, as the pages show it.
pub(super) fn job_duration(job: &Job) -> Duration {
    job.ended.unwrap_or_else(format::now).since(job.created)
}
