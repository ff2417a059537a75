//! `pullyard jobs answer` and `send`: sends text to a job's agent.

use crate::client::fault::CliError;
use crate::client::format;
use crate::client::prompt::read_text;
use crate::client::session::Session;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{JobStatus, MAX_INPUT_CHARS};
use pullyard_protocol::job::Job;
use std::process::ExitCode;

/// Answer the agent's question; the job then resumes.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard jobs answer 7F2K 'use an empty list'
  pullyard jobs answer @last - < answer.md")]
pub(super) struct Answer {
    /// Job id.
    #[arg(value_name = "JOB")]
    id: String,
    /// Text; `-` reads it from stdin.
    #[arg(value_name = "TEXT")]
    text: String,
}

/// Send a message to a job's agent, even while it works.
///
/// Claude Code reads it before its next model request, Codex by the end of its turn. A `command` agent gets it when it
/// starts again or after its next question.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard jobs send 7F2K 'leave the database alone'
  pullyard jobs send @last 'and keep the old name as an alias'
  git diff | pullyard jobs send 7F2K -")]
pub(super) struct Send {
    /// Job id.
    #[arg(value_name = "JOB")]
    id: String,
    /// Text; `-` reads it from stdin.
    #[arg(value_name = "TEXT")]
    text: String,
}

impl Answer {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, CliError> {
        run_send(session, &self.id, &self.text).await
    }
}

impl Send {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, CliError> {
        run_send(session, &self.id, &self.text).await
    }
}

async fn run_send(session: &Session, id: &str, text: &str) -> Result<ExitCode, CliError> {
    let id = session.resolve_job(id).await?;
    let text = read_text(text, 4 * MAX_INPUT_CHARS)?;
    let job = send_text(session, &id, text.trim()).await?;
    if session.screen.is_json() {
        session.screen.json(&job)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(in crate::client) async fn send_text(session: &Session, id: &JobId, text: &str) -> Result<Job, CliError> {
    let key = format::new_idempotency_key();
    let job = session.api.send_input(id, text, Some(&key)).await?;
    let (screen, short) = (&session.screen, job.id.short());
    match (job.status, &job.adopts) {
        (JobStatus::Ready, None) => screen.note(&format!("Sent to job {short}, which resumes.")),
        _ => screen.note(format!("Sent to job {short}. {}", job.delivery_hint().unwrap_or_default()).trim_end()),
    }
    Ok(job)
}
