//! `pullyard jobs pause` and `continue`: pauses a job and resumes it.

use crate::client::fault::Fault;
use crate::client::session::Session;
use pullyard_domain::job::Status;
use std::process::ExitCode;

/// Pause a job: its agent stops and its slot is free; `jobs continue` lets it go on.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pullyard jobs pause 7F2K\n  pullyard jobs pause @last --json")]
pub(super) struct Pause {
    /// Its id.
    #[arg(value_name = "JOB")]
    id: String,
}

impl Pause {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        let job = session.api.pause_job(&session.job(&self.id).await?).await?;
        let (screen, short) = (&session.screen, job.id.short());
        match job.status {
            Status::Paused => screen.note(&format!("Job {short} is paused.")),
            _ => screen.note(&format!("Job {short} is to pause; its runner stops, unless its push succeeds first.")),
        }
        if screen.is_json() {
            screen.json(&job)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Let a paused job go on.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pullyard jobs continue 7F2K\n  pullyard jobs continue @last --json")]
pub(super) struct Continue {
    /// Its id.
    #[arg(value_name = "JOB")]
    id: String,
}

impl Continue {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        let job = session.api.continue_job(&session.job(&self.id).await?).await?;
        let screen = &session.screen;
        screen.note(&format!("Job {} goes on.", job.id.short()));
        if screen.is_json() {
            screen.json(&job)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
