//! Explains a job in one sentence.

use crate::client::prelude::*;
use pullyard_domain::text::id::JobId;

pub(super) async fn explain_job(session: &Session, prefix: &str, id: &JobId) -> Result<(), CliError> {
    let explanation = session.api.explain_job(id).await?;
    session.screen.explain(
        &explanation,
        &format!("{prefix}{}", explanation.sentence),
        &format::with_job_id(&explanation.help, id),
    )
}
