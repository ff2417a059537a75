//! `pullyard jobs pause` and `continue`: pauses a job and resumes it.

use crate::client::fault::CliError;
use crate::client::session::Session;
use pullyard_domain::job::JobStatus;
use std::process::ExitCode;

/// Pause a job and free its slot; `pullyard jobs continue` resumes it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pullyard jobs pause 7F2K\n  pullyard jobs pause @last --json")]
pub(super) struct Pause {
    /// Job id.
    #[arg(value_name = "JOB")]
    id: String,
}

impl Pause {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, CliError> {
        let job = session.api.pause_job(&session.resolve_job(&self.id).await?).await?;
        let (screen, short) = (&session.screen, job.id.short());
        match job.status {
            JobStatus::Paused => screen.note(&format!("Job {short} is paused.")),
            _ => screen.note(&format!("Pausing job {short}. If it is already pushing, it may still complete.")),
        }
        if screen.is_json() {
            screen.json(&job)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Resume a paused job.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pullyard jobs continue 7F2K\n  pullyard jobs continue @last --json")]
pub(super) struct Continue {
    /// Job id.
    #[arg(value_name = "JOB")]
    id: String,
}

impl Continue {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, CliError> {
        let job = session.api.continue_job(&session.resolve_job(&self.id).await?).await?;
        let screen = &session.screen;
        screen.note(&format!("Job {} resumes.", job.id.short()));
        if screen.is_json() {
            screen.json(&job)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
