//! `pullyard jobs pause` and `continue`: pauses a job and resumes it.

use crate::client::prelude::*;
use pullyard_domain::job::JobStatus;
use pullyard_domain::text::id::JobId;

pub(super) async fn pause(session: &Session, job: &JobId) -> Result<(), CliError> {
    let job = session.api.pause_job(job).await?;
    let (screen, short) = (&session.screen, job.id.short());
    match job.status {
        JobStatus::Paused => screen.note(&format!("Job {short} is paused.")),
        _ => screen.note(&format!("Pausing job {short}. If it is already publishing, it may still complete.")),
    }
    screen.show(&job, |_| Ok(()))
}

pub(super) async fn continue_job(session: &Session, job: &JobId) -> Result<(), CliError> {
    let job = session.api.continue_job(job).await?;
    session.screen.note(&format!("Job {} resumes.", job.id.short()));
    session.screen.show(&job, |_| Ok(()))
}
