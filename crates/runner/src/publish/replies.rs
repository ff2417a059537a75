//! Replies once in each review thread after the push, and requests the reviews again.
//! The work is done, so an error does not fail the job; it is added to the events. Only authors resolve their threads.

mod words;

pub(crate) use words::{Words, put_back, text_of_agent, words_of_agent};

use crate::api::attempt::Attempt;
use crate::api::retry::{BackOff, rest};
use crate::api::said::Said;
use crate::secrets::redact::Redactor;
use pullyard_domain::id::JobId;
use pullyard_domain::job::Replies;
use pullyard_domain::marker::Marker;
use pullyard_domain::prompt::untrusted;
use pullyard_domain::published;
use pullyard_forge::{Error, Forge, Listed, ReviewComment, Thread};
use pullyard_protocol::attempt::Revises;
use pullyard_protocol::event::EventKind;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const LIMIT: Duration = Duration::from_secs(180);
const TRIES: u32 = 4;

pub(crate) struct Answers<'a> {
    pub(crate) forge: &'a Forge,
    pub(crate) revises: &'a Revises,
    pub(crate) commit: &'a str,
    pub(crate) words: &'a Words,
    pub(crate) agent: Option<&'a str>,
    /// No attempt of this job, or of the job that it retries, can have replied before.
    pub(crate) fresh: bool,
}

impl Answers<'_> {
    /// Replies in each thread, then requests reviews again. `None` without threads.
    ///
    /// Idempotent: by the job's marker in the thread. A repeated request for review changes nothing.
    pub(crate) async fn give(&self, this: &Attempt<'_>) -> Option<Replies> {
        let until = this.until.min(Instant::now() + LIMIT);
        let mut open: BTreeMap<u64, String> =
            self.revises.comments.iter().map(|comment| (comment.thread, String::new())).collect();
        let all = open.len();
        let mut back_off = BackOff::new();
        let mut fresh = self.fresh;
        for tried in 1..=TRIES {
            let Some(rest) = self.answer(this, &mut open, fresh).await else {
                break;
            };
            fresh = false;
            let pause = back_off.next().max(rest);
            if tried == TRIES || Instant::now() + pause >= until {
                break;
            }
            sleep(pause).await;
        }
        for (thread, reason) in &open {
            let reason = if reason.is_empty() { "there was no time" } else { reason };
            say(this, &format!("The thread of comment {thread} was not answered: {reason}."));
        }
        self.ask_again(this, until).await;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (all > 0).then(|| Replies { answered: count(all - open.len()), failed: count(open.len()) })
    }

    /// Replies in the `open` threads. Threads without a reply remain in `open`, with the reason. Returns a pause if
    /// another try may help.
    async fn answer(&self, this: &Attempt<'_>, open: &mut BTreeMap<u64, String>, fresh: bool) -> Option<Duration> {
        if open.is_empty() {
            return None;
        }
        // Read each time: perhaps only the answer to an earlier try was lost.
        let (comments, threads) = match self.look(this).await {
            Ok(seen) => seen,
            Err(error) => {
                open.values_mut().for_each(|reason| *reason = format!("failed to {error}"));
                return rest(&error);
            }
        };
        let (job, kind) = (&this.assignment.job, this.assignment.repository.forge);
        let jobs: BTreeSet<&JobId> = self.revises.retries.iter().chain([job]).collect();
        for thread in answered(&comments.found, &jobs) {
            open.remove(&thread);
        }
        if comments.more && !fresh {
            let unseen = "there are too many comments to see whether it has an answer";
            open.values_mut().for_each(|reason| *reason = unseen.into());
            return None;
        }
        let mut again = None;
        for thread in open.keys().copied().collect::<Vec<_>>() {
            let said = match threads.found.iter().find(|one| one.comments.contains(&thread)) {
                Some(at) => self
                    .forge
                    .reply(&at.id, &Marker::Job(job.clone()).append_to(kind, &self.text(thread, &this.redactor)))
                    .await
                    .map(drop),
                None => Err(Error::NotFound { what: "the thread".into(), message: "it is gone".into() }),
            };
            match said {
                Ok(()) => drop(open.remove(&thread)),
                Err(error) => {
                    again = again.max(rest(&error));
                    let is_tired = matches!(error, Error::RateLimited { .. });
                    open.insert(thread, format!("failed to {error}"));
                    if is_tired {
                        // Later calls would be refused as well.
                        break;
                    }
                }
            }
        }
        again
    }

    async fn look(&self, this: &Attempt<'_>) -> Result<(Listed<ReviewComment>, Listed<Thread>), Error> {
        let name = this.assignment.repository.name.as_str();
        let comments = self.forge.comments(name, self.revises.number).await?;
        let threads = self.forge.threads(name, self.revises.number).await?;
        Ok((comments, threads))
    }

    /// The text of a reply: the agent's text without secrets, if any, the commit, and its agent.
    fn text(&self, thread: u64, redactor: &Redactor) -> String {
        let commit = published::short_commit(self.commit);
        let of_thread = self.revises.comments.iter().filter(|comment| comment.thread == thread);
        let ids: BTreeSet<u64> = of_thread.map(|comment| comment.id).chain([thread]).collect();
        // This name contains the model, which comes from the agent's output.
        let clean = |agent| redactor.text(&untrusted::remove_hidden(agent)).into_owned();
        let by = self.agent.map(|agent| format!(" (agent: {})", clean(agent))).unwrap_or_default();
        match self.words.of(&ids, redactor) {
            // The text may explain why a change was not made.
            Some(words) => format!("In {commit}{by}:\n\n{words}"),
            None => format!("Done in {commit}{by}."),
        }
    }

    async fn ask_again(&self, this: &Attempt<'_>, until: Instant) {
        let name = this.assignment.repository.name.as_str();
        let reviewers: BTreeSet<&str> = self.revises.reviews.iter().map(|review| review.author.as_str()).collect();
        for reviewer in reviewers {
            // Request each review separately: GitHub refuses all reviewers if one is not allowed.
            if let Err(error) = self.ask(name, reviewer, until).await {
                say(this, &format!("{reviewer} was not asked to review again: failed to {error}."));
            }
        }
    }

    /// Requests one review. Retries are safe, because a repeated request changes nothing.
    async fn ask(&self, name: &str, reviewer: &str, until: Instant) -> Result<(), Error> {
        let mut back_off = BackOff::new();
        let mut tried = 1;
        loop {
            let Err(error) = self.forge.request_reviewers(name, self.revises.number, &[reviewer]).await else {
                return Ok(());
            };
            let Some(rest) = rest(&error) else { return Err(error) };
            let pause = back_off.next().max(rest);
            if tried == TRIES || Instant::now() + pause >= until {
                return Err(error);
            }
            tried += 1;
            sleep(pause).await;
        }
    }
}

fn answered(comments: &[ReviewComment], jobs: &BTreeSet<&JobId>) -> BTreeSet<u64> {
    let is_of_us = |body: &str| matches!(Marker::parse(body), Some(Marker::Job(job)) if jobs.contains(&job));
    let of_us = comments.iter().filter(|comment| is_of_us(&comment.body));
    of_us.map(|comment| comment.in_reply_to.unwrap_or(comment.id)).collect()
}

fn say(this: &Attempt<'_>, words: &str) {
    // Redact for the local log too, because the message quotes the forge.
    let words = this.redactor.text(words).into_owned();
    tracing::warn!(job.id = %this.assignment.job, "{words}");
    this.events.add(Said::words(EventKind::Log, words));
}
