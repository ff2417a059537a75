//! `pullyard jobs cancel`: cancels jobs.

use crate::client::prelude::*;
use pullyard_domain::job::JobStatus;
use pullyard_domain::text::id::JobId;
use pullyard_protocol::job::{CancelJob, Job};
use serde_json::Value;
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Cancel jobs: waiting ones at once, running ones within a minute.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard jobs cancel 7F2K
  pullyard jobs cancel 7F2K 7F3A --yes --reason 'the wrong ticket' --wait")]
pub(super) struct Cancel {
    /// Job ids.
    #[arg(value_name = "JOB", required = true)]
    ids: Vec<String>,
    /// Skip the confirmation.
    #[arg(long, short)]
    yes: bool,
    /// Reason, in one line; shown with the job.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Wait until the jobs have ended.
    #[arg(long)]
    wait: bool,
}

impl Cancel {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let screen = &session.screen;
        let mut job_ids = Vec::<JobId>::new();
        for reference in &self.ids {
            let id = session.resolve_job(reference).await?;
            if !job_ids.contains(&id) {
                job_ids.push(id);
            }
        }
        if !self.yes {
            confirm(&session.screen, false, &cancel_question(session, &job_ids).await?)?;
        }
        let request = CancelJob { reason: self.reason.clone() };
        let (mut answers, mut first) = (Vec::new(), None);
        for id in &job_ids {
            match self.cancel_one(session, id, &request).await {
                Ok(job) => answers.push(serde_json::to_value(job).unwrap_or_default()),
                Err(fault) if job_ids.len() == 1 => return Err(fault),
                Err(fault) => {
                    first.get_or_insert(fault.exit);
                    fault.print(screen);
                    answers.push(serde_json::to_value(fault.into_problem()).unwrap_or_default());
                }
            }
        }
        if screen.is_json() {
            match answers.as_slice() {
                [answer] => screen.json(answer)?,
                all => screen.json(&Value::from(all.to_vec()))?,
            }
        }
        first.map_or(Ok(()), |exit| Err(CliError::silent(exit)))
    }

    async fn cancel_one(&self, session: &Session, id: &JobId, request: &CancelJob) -> Result<Job, CliError> {
        let mut job = session.api.cancel_job(id, request).await?;
        print_state(&session.screen, &job);
        if !self.wait || job.status.is_terminal() {
            return Ok(job);
        }
        while !job.status.is_terminal() {
            tokio::time::sleep(POLL_INTERVAL).await;
            job = session.api.job(id).await?;
        }
        if job.status != JobStatus::Cancelled {
            // The job completed or failed first. The server's refusal reports which.
            return Err(session
                .api
                .cancel_job(id, request)
                .await
                .map_or_else(CliError::from, |_| CliError::silent(Exit::Failed)));
        }
        print_state(&session.screen, &job);
        Ok(job)
    }
}

fn print_state(screen: &Screen, job: &Job) {
    let short = job.id.short();
    if job.status.is_terminal() {
        let by = job.cancel.as_ref().map(|cancel| format!(" by {}", cancel.by)).unwrap_or_default();
        screen.note(&format!("Job {short} was cancelled{by}."));
    } else {
        screen.note(&format!(
            "Stopping job {short} (up to a minute). If it is already publishing, it may still complete."
        ));
    }
}

async fn cancel_question(session: &Session, jobs: &[JobId]) -> Result<String, CliError> {
    Ok(match jobs {
        [id] => {
            let job = session.api.job(id).await?;
            format!("Cancel job {} ({})? Its agent stops, and its work is not published.", id.short(), job.title)
        }
        all => {
            let names = all.iter().map(JobId::short).collect::<Vec<_>>().join(", ");
            format!("Cancel {} jobs ({names})? Their agents stop, and their work is not published.", all.len())
        }
    })
}
