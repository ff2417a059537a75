//! The argument that names a job.

use crate::client::prelude::*;
use pullyard_domain::text::id::JobId;

#[derive(clap::Args)]
pub(super) struct JobArg {
    /// Job id.
    #[arg(value_name = "JOB")]
    pub(super) id: String,
}

impl JobArg {
    pub(super) async fn resolve(&self, session: &Session) -> Result<JobId, CliError> {
        session.resolve_job(&self.id).await
    }
}
