//! Replies once in each review thread after the push, and requests the reviews again.
//! The work is done, so an error does not fail the job; it is added to the events. Only authors resolve their threads.

mod agent_replies;

pub(crate) use agent_replies::{AgentReplies, load_agent_replies, read_replies_file, restore_replies_file};

use crate::api::calls::Calls;
use crate::api::forge_wait::Outage;
use crate::api::retry::retry_pause;
use crate::secrets::redact::Redactor;
use pullyard_domain::job::Replies;
use pullyard_domain::review::published;
use pullyard_domain::review::published::marker::Marker;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::untrusted;
use pullyard_forge::{Error, Forge, Listing, ReviewComment, Thread};
use pullyard_protocol::attempt::RevisedPullRequest;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct ReviewReplies<'a> {
    pub(crate) revises: &'a RevisedPullRequest,
    pub(crate) commit: &'a str,
    pub(crate) agent_replies: &'a AgentReplies,
    pub(crate) agent: Option<&'a str>,
}

/// The open threads and reviewers of a review.
pub(crate) struct OpenReview {
    /// The threads without a reply, each with the reason; empty before a try.
    threads: BTreeMap<u64, String>,
    reviewers: BTreeSet<String>,
    thread_count: usize,
    /// No attempt of this job, or of the job that it retries, can have replied before.
    is_first_try: bool,
}

impl OpenReview {
    pub(crate) fn new(revises: &RevisedPullRequest, is_first_try: bool) -> Self {
        let threads: BTreeMap<_, _> = revises.comments.iter().map(|comment| (comment.thread, String::new())).collect();
        let reviewers = revises.reviews.iter().map(|review| review.author.clone()).collect();
        Self { thread_count: threads.len(), threads, reviewers, is_first_try }
    }

    /// Logs each missing reply and request. `outage`: why the forge did not answer. `None` if the review has no thread.
    pub(crate) fn report(self, attempt: &Calls<'_>, outage: Option<&Outage>) -> Option<Replies> {
        for (thread, reason) in &self.threads {
            let reason = if reason.is_empty() { "there was no time" } else { reason };
            log_event(attempt, &format!("The thread of comment {thread} was not answered: {reason}."));
        }
        if let Some(Outage { reason, .. }) = outage {
            self.reviewers.iter().for_each(|reviewer| log_unasked(attempt, reviewer, reason));
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let failed = self.threads.len();
        let answered = count(self.thread_count - failed);
        (self.thread_count > 0).then(|| Replies { answered, failed: count(failed) })
    }
}

impl ReviewReplies<'_> {
    /// Replies in each open thread, and requests reviews again.
    /// Idempotent: by the job's marker in the thread. A repeated request for review changes nothing.
    /// Errors: the forge is away.
    pub(crate) async fn try_once(
        &self,
        attempt: &Calls<'_>,
        forge: &Forge,
        open: &mut OpenReview,
    ) -> Result<(), Outage> {
        let is_first_try = std::mem::replace(&mut open.is_first_try, false);
        let replied = self.post_replies(attempt, forge, &mut open.threads, is_first_try).await;
        // Also after a failed reply.
        let requested = self.request_reviews(attempt, forge, &mut open.reviewers).await;
        replied.and(requested)
    }

    /// Replies in the `open` threads. Failed threads stay in `open`, with the reason.
    /// Errors: another try may help.
    async fn post_replies(
        &self,
        attempt: &Calls<'_>,
        forge: &Forge,
        open: &mut BTreeMap<u64, String>,
        is_first_try: bool,
    ) -> Result<(), Outage> {
        if open.is_empty() {
            return Ok(());
        }
        // Read before each try, because an earlier reply may exist although its answer was lost.
        let (comments, threads) = match self.load_threads(attempt, forge).await {
            Ok(listings) => listings,
            Err(error) => {
                open.values_mut().for_each(|reason| *reason = format!("failed to {error}"));
                return to_outage(&error).map_or(Ok(()), Err);
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
            return Ok(());
        }
        let mut outage: Option<Outage> = None;
        for thread in open.keys().copied().collect::<Vec<_>>() {
            let result = match threads.items.iter().find(|listed| listed.comments.contains(&thread)) {
                Some(thread_of_comment) => {
                    let text = self.render_reply(thread, &attempt.redactor);
                    forge.reply(&thread_of_comment.id, &Marker::Job(job.clone()).append_to(kind, &text)).await
                }
                None => Err(Error::NotFound { resource: "the thread".into(), message: "it is gone".into() }),
            };
            match result {
                Ok(()) => drop(open.remove(&thread)),
                Err(error) => {
                    outage = to_outage(&error).or(outage);
                    let is_rate_limited = matches!(error, Error::RateLimited { .. });
                    open.insert(thread, format!("failed to {error}"));
                    if is_rate_limited {
                        break;
                    }
                }
            }
        }
        outage.map_or(Ok(()), Err)
    }

    async fn load_threads(
        &self,
        attempt: &Calls<'_>,
        forge: &Forge,
    ) -> Result<(Listing<ReviewComment>, Listing<Thread>), Error> {
        let name = attempt.assignment.repository.name.as_str();
        let comments = forge.comments(name, self.revises.number).await?;
        let threads = forge.threads(name, self.revises.number).await?;
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

    async fn request_reviews(
        &self,
        attempt: &Calls<'_>,
        forge: &Forge,
        open: &mut BTreeSet<String>,
    ) -> Result<(), Outage> {
        let name = attempt.assignment.repository.name.as_str();
        while let Some(reviewer) = open.first() {
            // Request each review separately: GitHub refuses all reviewers if one is not allowed.
            if let Err(error) = forge.request_reviewers(name, self.revises.number, &[reviewer]).await {
                if let Some(outage) = to_outage(&error) {
                    return Err(outage);
                }
                log_unasked(attempt, reviewer, &format!("failed to {error}"));
            }
            open.pop_first();
        }
        Ok(())
    }
}

/// `None` if another try cannot help.
fn to_outage(error: &Error) -> Option<Outage> {
    Some(Outage { retry_after: retry_pause(error)?, reason: format!("failed to {error}") })
}

fn log_unasked(attempt: &Calls<'_>, reviewer: &str, reason: &str) {
    log_event(attempt, &format!("{reviewer} was not asked to review again: {reason}."));
}

fn threads_with_reply(comments: &[ReviewComment], jobs: &BTreeSet<&JobId>) -> BTreeSet<u64> {
    let has_own_marker = |body: &str| matches!(Marker::parse(body), Some(Marker::Job(job)) if jobs.contains(&job));
    let own_replies = comments.iter().filter(|comment| has_own_marker(&comment.body));
    own_replies.map(|comment| comment.in_reply_to.unwrap_or(comment.id)).collect()
}

pub(super) fn log_event(attempt: &Calls<'_>, message: &str) {
    // Redact for the local log too, because the message quotes the forge.
    let message = attempt.redactor.redact_text(message).into_owned();
    tracing::warn!(job.id = %attempt.assignment.job, "{message}");
    attempt.events.log(message);
}
