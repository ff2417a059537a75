//! `pullyard jobs output`: prints what a job reports.

use super::logs::sanitize_line;
use crate::client::prelude::*;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{JobStatus, Publishes};
use pullyard_domain::output::{Answer, JobOutput};

pub(in crate::client) async fn print_output(session: &Session, id: &JobId) -> Result<(), CliError> {
    let answer = session.api.job_output(id).await?;
    let Some(JobOutput::Read(Answer { text })) = &answer.output else {
        return Err(missing_output(session, id).await?);
    };
    if session.screen.is_json() {
        return session.screen.json(&answer);
    }
    text.lines().try_for_each(|line| session.screen.print_line(&sanitize_line(line)))
}

async fn missing_output(session: &Session, id: &JobId) -> Result<CliError, CliError> {
    let (job, short) = (session.api.job(id).await?, id.short());
    let reports = job.kind.spec().publishes == Publishes::Nothing;
    Ok(match job.status {
        JobStatus::Completed if reports => {
            CliError::not_found(format!("the output of job {short} was deleted after 90 days"))
        }
        status if reports && !status.is_terminal() => {
            CliError::not_found(format!("no output yet: job {short} has not ended"))
                .with_help(format!("wait for it with `pullyard jobs watch {short}`"))
        }
        _ => CliError::not_found(format!("job {short} has no output"))
            .with_help(format!("`pullyard jobs show {short}` shows its result")),
    })
}
