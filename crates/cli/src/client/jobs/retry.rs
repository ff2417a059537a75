//! `pullyard jobs retry`: repeats an ended job as a new job.

use super::create::print_decision;
use crate::client::prelude::*;

/// Retry a failed or cancelled job as a new job; prints its id.
///
/// The new job uses the ticket's current text or the same prompt, and the same repository and base.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard jobs retry 7F2K
  pullyard jobs retry @last --wait")]
pub(super) struct Retry {
    /// Failed or cancelled job.
    #[arg(value_name = "JOB")]
    id: String,
    /// Follow the new job until it ends; exits with 6 if it failed or was cancelled.
    #[arg(long)]
    wait: bool,
    /// Key of this request; repeating it returns the same job.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Retry {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let job = session.resolve_job(&self.id).await?;
        let key = self.idempotency_key.unwrap_or_else(format::new_idempotency_key);
        let decision = session.api.retry_job(&job, Some(&key)).await?;
        print_decision(session, &decision, self.wait).await
    }
}
