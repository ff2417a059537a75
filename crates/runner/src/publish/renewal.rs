//! What a pull request that was open says of our newest commit: brought up to date before anybody is asked to look
//! again. What people wrote in its text stays as it is (`published::newest`).
//!
//! The work is done by then, so nothing here fails a job; what did not succeed is said in its events.

use crate::api::attempt::Attempt;
use crate::api::retry::while_away;
use crate::api::said::Said;
use pullyard_domain::published::newest::{self, Stays};
use pullyard_forge::{Error, Forge};
use pullyard_protocol::event::EventKind;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How long the forge may be away.
const AWAY: Duration = Duration::from_secs(15);

/// The text of one pull request, and what it is to say of which commit.
pub(crate) struct Renewal<'a> {
    pub(crate) forge: &'a Forge,
    /// The number of the pull request.
    pub(crate) number: u64,
    pub(crate) commit: &'a str,
    pub(crate) words: &'a str,
}

impl Renewal<'_> {
    /// Replaces what the text says of an earlier commit, where we wrote it and nobody has changed it.
    ///
    /// Idempotent: by the commit that the text names.
    pub(crate) async fn make(&self, this: &Attempt<'_>) {
        let until = this.until.min(Instant::now() + LIMIT);
        // A forge that wants rest is left alone: the answers to reviewers need it more.
        let is_away = |error: &Error| error.is_transient() && !matches!(error, Error::RateLimited { .. });
        let name = this.assignment.repository.name.as_str();
        let reason = match timeout_at(until, while_away(AWAY, is_away, async || self.once(name).await)).await {
            // Who took our lines out, or never had them, wants a text of their own.
            Ok(Ok(None | Some(Stays::Said | Stays::Absent))) => return,
            Ok(Ok(Some(Stays::Changed))) => "somebody has changed what it says of the commit before".to_owned(),
            Ok(Ok(Some(Stays::TooLong))) => "it would be longer than the forge takes".to_owned(),
            Ok(Err(error)) => format!("failed to {error}"),
            Err(_) => "the forge did not answer in time".to_owned(),
        };
        let words = format!("The pull request's text does not say what came of this job, because {reason}.");
        // The log is nobody's but this machine's, and quotes the forge all the same.
        let words = this.redactor.text(&words).into_owned();
        tracing::warn!(job.id = %this.assignment.job, "{words}");
        this.events.add(Said::words(EventKind::Log, words));
    }

    /// Why it stays as it is, if it does. Read each time: an answer may be all that was lost, and somebody may have
    /// written meanwhile.
    async fn once(&self, name: &str) -> Result<Option<Stays>, Error> {
        let text = self.forge.pull_request_text(name, self.number).await?;
        match newest::renewed(&text, self.commit, self.words) {
            Ok(text) => self.forge.edit_pull_request_text(name, self.number, &text).await.map(|()| None),
            Err(stays) => Ok(Some(stays)),
        }
    }
}
