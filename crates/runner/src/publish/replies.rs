//! Replies once in each review thread after the push, and requests the reviews again.
//! The work is done, so an error does not fail the job; it is added to the events. Only authors resolve their threads.

mod agent_replies;

pub(crate) use agent_replies::{AgentReplies, load_agent_replies, read_replies_file, restore_replies_file};

use crate::api::attempt::Attempt;
use crate::api::retry::{BackOff, retry_pause, retry_with_pause};
use crate::secrets::redact::Redactor;
use pullyard_domain::forge::marker::Marker;
use pullyard_domain::id::JobId;
use pullyard_domain::job::Replies;
use pullyard_domain::prompt::untrusted;
use pullyard_domain::published;
use pullyard_forge::{Error, Forge, Listing, ReviewComment, Thread};
use pullyard_protocol::attempt::RevisedPullRequest;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const TIME_LIMIT: Duration = Duration::from_secs(180);
const TRIES: u32 = 4;

pub(crate) struct ReviewReplies<'a> {
    pub(crate) forge: &'a Forge,
    pub(crate) revises: &'a RevisedPullRequest,
    pub(crate) commit: &'a str,
    pub(crate) agent_replies: &'a AgentReplies,
    pub(crate) agent: Option<&'a str>,
    /// No attempt of this job, or of the job that it retries, can have replied before.
    pub(crate) is_first_try: bool,
}

impl ReviewReplies<'_> {
    /// Replies in each thread, then requests reviews again. `None` without threads.
    /// Idempotent: by the job's marker in the thread. A repeated request for review changes nothing.
    pub(crate) async fn post_all(&self, attempt: &Attempt<'_>) -> Option<Replies> {
        let until = attempt.deadline.get().min(Instant::now() + TIME_LIMIT);
        let mut open: BTreeMap<u64, String> =
            self.revises.comments.iter().map(|comment| (comment.thread, String::new())).collect();
        let total = open.len();
        let mut back_off = BackOff::new();
        let mut is_first_try = self.is_first_try;
        for try_number in 1..=TRIES {
            let Some(retry_after) = self.post_replies(attempt, &mut open, is_first_try).await else {
                break;
            };
            is_first_try = false;
            let pause = back_off.next().max(retry_after);
            if try_number == TRIES || Instant::now() + pause >= until {
                break;
            }
            sleep(pause).await;
        }
        for (thread, reason) in &open {
            let reason = if reason.is_empty() { "there was no time" } else { reason };
            log_event(attempt, &format!("The thread of comment {thread} was not answered: {reason}."));
        }
        self.request_reviews(attempt, until).await;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (total > 0).then(|| Replies { answered: count(total - open.len()), failed: count(open.len()) })
    }

    /// Replies in the `open` threads; failed ones stay in it, with the reason. Returns a pause if another try may help.
    async fn post_replies(
        &self,
        attempt: &Attempt<'_>,
        open: &mut BTreeMap<u64, String>,
        is_first_try: bool,
    ) -> Option<Duration> {
        if open.is_empty() {
            return None;
        }
        // Read each time: perhaps only the answer to an earlier try was lost.
        let (comments, threads) = match self.load_threads(attempt).await {
            Ok(listings) => listings,
            Err(error) => {
                open.values_mut().for_each(|reason| *reason = format!("failed to {error}"));
                return retry_pause(&error);
            }
        };
        let (job, kind) = (&attempt.assignment.job, attempt.assignment.repository.forge);
        let jobs: BTreeSet<&JobId> = self.revises.retries.iter().chain([job]).collect();
        for thread in threads_with_reply(&comments.items, &jobs) {
            open.remove(&thread);
        }
        if comments.truncated && !is_first_try {
            let unseen = "there are too many comments to see whether it has an answer";
            open.values_mut().for_each(|reason| *reason = unseen.into());
            return None;
        }
        let mut retry_after = None;
        for thread in open.keys().copied().collect::<Vec<_>>() {
            let result = match threads.items.iter().find(|listed| listed.comments.contains(&thread)) {
                Some(thread_of_comment) => {
                    let text = self.render_reply(thread, &attempt.redactor);
                    self.forge.reply(&thread_of_comment.id, &Marker::Job(job.clone()).append_to(kind, &text)).await
                }
                None => Err(Error::NotFound { resource: "the thread".into(), message: "it is gone".into() }),
            };
            match result {
                Ok(()) => drop(open.remove(&thread)),
                Err(error) => {
                    retry_after = retry_after.max(retry_pause(&error));
                    let is_rate_limited = matches!(error, Error::RateLimited { .. });
                    open.insert(thread, format!("failed to {error}"));
                    if is_rate_limited {
                        break;
                    }
                }
            }
        }
        retry_after
    }

    async fn load_threads(&self, attempt: &Attempt<'_>) -> Result<(Listing<ReviewComment>, Listing<Thread>), Error> {
        let name = attempt.assignment.repository.name.as_str();
        let comments = self.forge.comments(name, self.revises.number).await?;
        let threads = self.forge.threads(name, self.revises.number).await?;
        Ok((comments, threads))
    }

    fn render_reply(&self, thread: u64, redactor: &Redactor) -> String {
        let commit = published::short_commit(self.commit);
        let comments = self.revises.comments.iter().filter(|comment| comment.thread == thread);
        let ids: BTreeSet<u64> = comments.map(|comment| comment.id).chain([thread]).collect();
        // This name contains the model, which comes from the agent's output.
        let clean = |agent| redactor.redact_text(&untrusted::remove_hidden(agent)).into_owned();
        let agent_suffix = self.agent.map(|agent| format!(" (agent: {})", clean(agent))).unwrap_or_default();
        match self.agent_replies.for_thread(&ids, redactor) {
            // The text may explain why a change was not made.
            Some(text) => format!("In {commit}{agent_suffix}:\n\n{text}"),
            None => format!("Done in {commit}{agent_suffix}."),
        }
    }

    async fn request_reviews(&self, attempt: &Attempt<'_>, until: Instant) {
        let name = attempt.assignment.repository.name.as_str();
        let reviewers: BTreeSet<&str> = self.revises.reviews.iter().map(|review| review.author.as_str()).collect();
        for reviewer in reviewers {
            // Request each review separately: GitHub refuses all reviewers if one is not allowed.
            let limit = until.saturating_duration_since(Instant::now());
            let request = async || self.forge.request_reviewers(name, self.revises.number, &[reviewer]).await;
            if let Err(error) = retry_with_pause(limit, retry_pause, request).await {
                log_event(attempt, &format!("{reviewer} was not asked to review again: failed to {error}."));
            }
        }
    }
}

fn threads_with_reply(comments: &[ReviewComment], jobs: &BTreeSet<&JobId>) -> BTreeSet<u64> {
    let has_own_marker = |body: &str| matches!(Marker::parse(body), Some(Marker::Job(job)) if jobs.contains(&job));
    let own_replies = comments.iter().filter(|comment| has_own_marker(&comment.body));
    own_replies.map(|comment| comment.in_reply_to.unwrap_or(comment.id)).collect()
}

pub(super) fn log_event(attempt: &Attempt<'_>, message: &str) {
    // Redact for the local log too, because the message quotes the forge.
    let message = attempt.redactor.redact_text(message).into_owned();
    tracing::warn!(job.id = %attempt.assignment.job, "{message}");
    attempt.events.log(message);
}
