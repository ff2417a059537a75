//! Updates an open pull request's text about the newest commit before reviews are requested again.
//! Text of users is not changed (`published::newest`). The work is done, so an error does not fail the job.

use super::replies::log_event;
use crate::api::attempt::Attempt;
use crate::api::retry::retry_while_unreachable;
use pullyard_domain::published::commit_part::{self, ReplaceRefusal};
use pullyard_forge::{Error, Forge};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

const TIME_LIMIT: Duration = Duration::from_secs(30);
const MAX_OUTAGE: Duration = Duration::from_secs(15);

pub(crate) struct DescriptionUpdate<'a> {
    pub(crate) forge: &'a Forge,
    pub(crate) number: u64,
    pub(crate) commit: &'a str,
    pub(crate) text: &'a str,
}

impl DescriptionUpdate<'_> {
    /// Replaces the text about an earlier commit, if Pullyard wrote it and no user has changed it.
    /// Idempotent: by the commit that the text names.
    pub(crate) async fn apply(&self, attempt: &Attempt<'_>) {
        let until = attempt.deadline.get().min(Instant::now() + TIME_LIMIT);
        // Do not retry on a rate limit: the replies to reviewers need the remaining calls more.
        let is_unreachable = |error: &Error| error.is_transient() && !matches!(error, Error::RateLimited { .. });
        let name = attempt.assignment.repository.name.as_str();
        let update = retry_while_unreachable(MAX_OUTAGE, is_unreachable, async || self.try_update(name).await);
        let reason = match timeout_at(until, update).await {
            // The part is up to date, or a user removed it, or the pull request never had it.
            Ok(Ok(None | Some(ReplaceRefusal::UpToDate | ReplaceRefusal::Absent))) => return,
            Ok(Ok(Some(ReplaceRefusal::EditedByUser))) => {
                "somebody has changed what it says of the commit before".to_owned()
            }
            Ok(Ok(Some(ReplaceRefusal::TooLong))) => "it would be longer than the forge takes".to_owned(),
            Ok(Err(error)) => format!("failed to {error}"),
            Err(_) => "the forge did not answer in time".to_owned(),
        };
        let message = format!("The pull request's text does not say what came of this job, because {reason}.");
        log_event(attempt, &message);
    }

    /// Returns why the text was not changed. Reads it each time: an answer may be lost, or a user edited the text.
    async fn try_update(&self, name: &str) -> Result<Option<ReplaceRefusal>, Error> {
        let text = self.forge.pull_request_text(name, self.number).await?;
        match commit_part::replace_part(&text, self.commit, self.text) {
            Ok(text) => self.forge.edit_pull_request_text(name, self.number, &text).await.map(|()| None),
            Err(refusal) => Ok(Some(refusal)),
        }
    }
}
