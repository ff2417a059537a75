//! `pullyard jobs answer` and `send`: sends text to a job's agent.

use super::job_arg::JobArg;
use crate::client::prelude::*;
use crate::client::prompt::read_text;
use pullyard_domain::job::{JobStatus, MAX_INPUT_CHARS};
use pullyard_domain::text::id::JobId;
use pullyard_protocol::job::Job;

#[derive(clap::Args)]
pub(super) struct Message {
    #[command(flatten)]
    job: JobArg,
    /// Text; `-` reads it from stdin.
    #[arg(value_name = "TEXT")]
    text: String,
}

impl Message {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let id = self.job.resolve(session).await?;
        let text = read_text(&self.text, 4 * MAX_INPUT_CHARS)?;
        let job = send_text(session, &id, text.trim()).await?;
        session.screen.show(&job, |_| Ok(()))
    }
}

pub(in crate::client) async fn send_text(session: &Session, id: &JobId, text: &str) -> Result<Job, CliError> {
    let key = format::new_idempotency_key();
    let job = session.api.send_input(id, text, Some(&key)).await?;
    let (screen, short) = (&session.screen, job.id.short());
    match job.status {
        JobStatus::Ready => screen.note(&format!("Sent to job {short}, which resumes.")),
        status => {
            let hint = status.delivery_hint().unwrap_or_default();
            screen.note(format!("Sent to job {short}. {hint}").trim_end());
        }
    }
    Ok(job)
}
