//! Updates an open pull request's text about the newest commit before reviews are requested again.
//! Text of users is not changed (`published::newest`). The work is done, so an error does not fail the job.

use super::replies::log_event;
use crate::api::calls::Calls;
use crate::api::forge_wait::Outage;
use pullyard_domain::review::published::commit_part::{self, ReplaceRefusal};
use pullyard_forge::{Error, Forge};
use std::time::Duration;
use tokio::time::timeout;

const TIME_LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct DescriptionUpdate<'a> {
    pub(crate) number: u64,
    pub(crate) commit: &'a str,
    pub(crate) text: &'a str,
}

impl DescriptionUpdate<'_> {
    /// Replaces the text about an earlier commit, if Pullyard wrote it and no user has changed it.
    /// Idempotent: by the commit that the text names.
    /// Errors: the forge is away. Other reasons are logged.
    pub(crate) async fn try_once(&self, attempt: &Calls<'_>, forge: &Forge) -> Result<(), Outage> {
        let name = attempt.assignment.repository.name.as_str();
        let reason = match timeout(TIME_LIMIT, self.update(forge, name)).await {
            // The part is up to date, or a user removed it, or the pull request never had it.
            Ok(Ok(None | Some(ReplaceRefusal::UpToDate | ReplaceRefusal::Absent))) => return Ok(()),
            Ok(Ok(Some(ReplaceRefusal::EditedByUser))) => {
                "somebody has changed what it says of the commit before".to_owned()
            }
            Ok(Ok(Some(ReplaceRefusal::TooLong))) => "it would be longer than the forge takes".to_owned(),
            // Do not wait for a rate limit: the replies to reviewers need the remaining calls more.
            Ok(Err(error)) if error.is_transient() && !matches!(error, Error::RateLimited { .. }) => {
                return Err(Outage::from(format!("failed to {error}")));
            }
            Ok(Err(error)) => format!("failed to {error}"),
            Err(_) => return Err(Outage::from("the forge did not answer in time".to_owned())),
        };
        Self::log_unchanged(attempt, &reason);
        Ok(())
    }

    pub(crate) fn log_unchanged(attempt: &Calls<'_>, reason: &str) {
        let message = format!("The pull request's text does not say what came of this job, because {reason}.");
        log_event(attempt, &message);
    }

    /// Returns why the text was not changed. Reads it each time: an answer may be lost, or a user edited the text.
    async fn update(&self, forge: &Forge, name: &str) -> Result<Option<ReplaceRefusal>, Error> {
        let text = forge.pull_request_text(name, self.number).await?;
        match commit_part::replace_part(&text, self.commit, self.text) {
            Ok(text) => forge.edit_pull_request_text(name, self.number, &text).await.map(|()| None),
            Err(refusal) => Ok(Some(refusal)),
        }
    }
}
