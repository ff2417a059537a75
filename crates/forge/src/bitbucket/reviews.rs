//! Derives reviews, which Bitbucket does not have, from verdicts and comments.
//! The activity contains all verdicts; the participants show the current ones. A repository may reset change requests
//! on each push, so a request followed by a push counts even if its author has no current verdict.
//! A change request includes its author's comments since their previous request. Later comments also belong to it,
//! because many authors explain afterwards, unless the author makes another request.

use serde::Deserialize;

use super::{
    Bitbucket,
    comments::{CommentResponse, ThreadStart, thread_starts},
    participants::{ParticipantsResponse, Verdict},
    pull_requests::PER_PAGE,
    responses::{AccountResponse, CommitResponse},
    review_id,
    threads::line_comments,
};
use crate::{
    Actor, Error, Listing, Review, ReviewComment, ReviewState, SummaryPart, Time, http_client::RetryPolicy,
    review::join_parts,
};

/// Starts the last line of our comments. Without it, our comments would count as the review of our token's account.
const OWN_COMMENT_PREFIX: &str = "[//]: # (pullyard:";

#[derive(Deserialize)]
struct ActivityResponse {
    changes_requested: Option<VerdictResponse>,
    approval: Option<VerdictResponse>,
    update: Option<UpdateResponse>,
}

#[derive(Deserialize)]
struct UpdateResponse {
    date: Option<Time>,
    source: Option<SourceResponse>,
}

#[derive(Deserialize)]
struct SourceResponse {
    commit: Option<CommitResponse>,
}

impl UpdateResponse {
    fn head(&self) -> Option<(Time, &str)> {
        Some((self.date?, self.source.as_ref()?.commit.as_ref()?.hash.as_str()))
    }
}

#[derive(Deserialize)]
struct VerdictResponse {
    date: Option<Time>,
    user: Option<AccountResponse>,
}

struct VerdictEntry {
    id: u64,
    verdict: Verdict,
    author: Actor,
    at: Time,
}

impl VerdictEntry {
    /// Returns `None` without a time or a UUID (deleted account), because the verdict has no stable id.
    fn from_response(number: u64, verdict: Verdict, answer: VerdictResponse) -> Option<Self> {
        let (at, user) = (answer.date?, answer.user?);
        Some(Self { id: review_id(number, user.uuid.as_deref()?, at), verdict, author: user.actor()?, at })
    }

    fn to_review(&self, history: &History, participants: &ParticipantsResponse, parts: Vec<SummaryPart>) -> Review {
        let is_current = match participants.verdict_of(self.author.id) {
            Some(now) => now == self.verdict,
            None => self.may_be_reset_by_push(history),
        };
        Review {
            id: self.id,
            state: match self.verdict {
                _ if !is_current => ReviewState::Dismissed,
                Verdict::ChangesRequested => ReviewState::ChangesRequested,
                Verdict::Approved => ReviewState::Approved,
            },
            body: join_parts(&parts),
            parts,
            submitted_at: Some(self.at),
            updated_at: None,
            url: participants.links.url(),
            author: Some(self.author.clone()),
        }
    }

    /// Whether a push may have reset the request: a push followed, and the author has not approved since.
    /// A request withdrawn after a push also counts, because extra work is better than a lost request.
    /// The author's last request decides for earlier ones, because Bitbucket stores one verdict per account.
    fn may_be_reset_by_push(&self, history: &History) -> bool {
        let has_same_author = |other: &&VerdictEntry| other.author.id == self.author.id;
        let own_verdicts = || history.verdicts.iter().filter(has_same_author);
        let approved = |other: &VerdictEntry| other.verdict == Verdict::Approved && other.at > self.at;
        let last_request =
            own_verdicts().filter(|other| other.verdict == Verdict::ChangesRequested).map(|other| other.at).max();
        self.verdict == Verdict::ChangesRequested && history.last_push > last_request && !own_verdicts().any(approved)
    }
}

struct History {
    verdicts: Vec<VerdictEntry>,
    last_push: Option<Time>,
    truncated: bool,
}

impl History {
    /// Whether the activity lacks a participant's change request. It lags behind webhooks.
    fn is_change_request_missing(&self, participants: &ParticipantsResponse) -> bool {
        let is_listed = |account: u64| {
            self.verdicts.iter().any(|entry| entry.verdict == Verdict::ChangesRequested && entry.author.id == account)
        };
        participants.change_requesters().any(|account| !is_listed(account))
    }
}

fn last_push(activity: &[ActivityResponse]) -> Option<Time> {
    let mut heads: Vec<(Time, &str)> =
        activity.iter().filter_map(|entry| entry.update.as_ref().and_then(UpdateResponse::head)).collect();
    heads.sort_unstable();
    let push_time = |pair: &[(Time, &str)]| match pair {
        [(_, before), (at, after)] if before != after => Some(*at),
        _ => None,
    };
    heads.windows(2).filter_map(push_time).next_back()
}

fn parse_verdicts(number: u64, activity: Vec<ActivityResponse>) -> Vec<VerdictEntry> {
    let parse = |entry: ActivityResponse| {
        [(Verdict::ChangesRequested, entry.changes_requested), (Verdict::Approved, entry.approval)]
            .into_iter()
            .filter_map(move |(verdict, answer)| VerdictEntry::from_response(number, verdict, answer?))
    };
    let mut entries: Vec<VerdictEntry> = activity.into_iter().flat_map(parse).collect();
    entries.sort_by_key(|entry| (entry.at, entry.id));
    // New entries shift the list between pages, so an entry may appear on two pages.
    entries.dedup_by_key(|entry| entry.id);
    entries
}

struct CommentWindow {
    author: u64,
    after: Option<Time>,
    until: Option<Time>,
}

impl CommentWindow {
    /// Returns `None` for an approval, which has no comments.
    fn new(entry: &VerdictEntry, all: &[VerdictEntry]) -> Option<Self> {
        if entry.verdict != Verdict::ChangesRequested {
            return None;
        }
        let is_alike = |other: &&VerdictEntry| other.verdict == entry.verdict && other.author.id == entry.author.id;
        let times = || all.iter().filter(is_alike).map(|other| other.at);
        let after = times().filter(|at| *at < entry.at).max();
        let until = times().any(|at| at > entry.at).then_some(entry.at);
        Some(Self { author: entry.author.id, after, until })
    }

    fn contains(&self, comment: &CommentResponse, thread: &ThreadStart) -> bool {
        let at = comment.created_on;
        comment.is_visible()
            && !thread.resolved
            && comment.user.as_ref().and_then(AccountResponse::id) == Some(self.author)
            && self.after.is_none_or(|after| at > after)
            && self.until.is_none_or(|until| at <= until)
            && !is_own_comment(comment.text())
    }

    fn summary_parts(&self, all: &[CommentResponse]) -> Vec<SummaryPart> {
        let starts = thread_starts(all);
        let is_included = |comment: &&CommentResponse| {
            let start = starts.get(&comment.id);
            start.is_some_and(|start| start.inline.is_none() && self.contains(comment, start))
        };
        let mut comments: Vec<&CommentResponse> = all.iter().filter(is_included).collect();
        comments.sort_by_key(|comment| (comment.created_on, comment.id));
        let part =
            |comment: &CommentResponse| SummaryPart { comment: comment.id, text: comment.text().trim().to_owned() };
        comments.into_iter().map(part).filter(|part| !part.text.is_empty()).collect()
    }
}

fn is_own_comment(text: &str) -> bool {
    let last = text.trim_end().lines().next_back().unwrap_or_default();
    last.starts_with(OWN_COMMENT_PREFIX) && last.ends_with(')')
}

fn not_found(subject: &str) -> Error {
    Error::NotFound { resource: subject.to_owned(), message: "the activity has no review with this id".to_owned() }
}

/// Represents a verdict known from a webhook but missing in the complete activity: Bitbucket removes withdrawn ones.
fn withdrawn_review(id: u64) -> Review {
    Review {
        id,
        state: ReviewState::Dismissed,
        body: String::new(),
        parts: Vec::new(),
        submitted_at: None,
        updated_at: None,
        url: String::new(),
        author: None,
    }
}

impl Bitbucket {
    pub async fn reviews(&self, full_name: &str, number: u64) -> Result<Listing<Review>, Error> {
        let subject = format!("the reviews of pull request {number} of {full_name}");
        // Read the activity before the participants: a verdict given in between is then missing instead of `Dismissed`.
        let history = self.get_history(full_name, number, &subject).await?;
        if history.verdicts.is_empty() {
            return Ok(Listing { items: Vec::new(), truncated: history.truncated });
        }
        let participants = self.get_participants(full_name, number, &subject, RetryPolicy::Retry).await?;
        let items = history.verdicts.iter().map(|entry| entry.to_review(&history, &participants, Vec::new())).collect();
        Ok(Listing { items, truncated: history.truncated })
    }

    pub async fn review(&self, full_name: &str, number: u64, review: u64) -> Result<Review, Error> {
        let subject = format!("review {review} of pull request {number} of {full_name}");
        let history = self.get_history(full_name, number, &subject).await?;
        let Some(entry) = history.verdicts.iter().find(|entry| entry.id == review) else {
            if history.truncated {
                return Err(not_found(&subject));
            }
            let participants = self.get_participants(full_name, number, &subject, RetryPolicy::Retry).await?;
            return match history.is_change_request_missing(&participants) {
                true => Err(self.client.unexpected_response("the activity does not show a request for changes yet")),
                false => Ok(withdrawn_review(review)),
            };
        };
        let parts = match CommentWindow::new(entry, &history.verdicts) {
            Some(window) => window.summary_parts(&self.all_comments(full_name, number).await?.items),
            None => Vec::new(),
        };
        // Last, because a verdict may be withdrawn while failed calls for the comments are repeated.
        let participants = self.get_participants(full_name, number, &subject, RetryPolicy::Retry).await?;
        Ok(entry.to_review(&history, &participants, parts))
    }

    pub async fn review_comments(
        &self,
        full_name: &str,
        number: u64,
        review: u64,
    ) -> Result<Listing<ReviewComment>, Error> {
        let subject = format!("the comments of review {review} of pull request {number} of {full_name}");
        let history = self.get_history(full_name, number, &subject).await?;
        let entry = history.verdicts.iter().find(|entry| entry.id == review).ok_or_else(|| not_found(&subject))?;
        let Some(window) = CommentWindow::new(entry, &history.verdicts) else {
            return Ok(Listing { items: Vec::new(), truncated: false });
        };
        let all = self.all_comments(full_name, number).await?;
        let comments = line_comments(&all.items, |comment, thread| window.contains(comment, thread));
        // If the activity was cut before the previous request, these may include its comments.
        Ok(Listing { items: comments, truncated: all.truncated || (history.truncated && window.after.is_none()) })
    }

    /// Reads the activity, newest first; a long one is cut at its oldest entries.
    /// Source: `GET /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/activity`.
    async fn get_history(&self, full_name: &str, number: u64, subject: &str) -> Result<History, Error> {
        let address = self.url(full_name, &["pullrequests", &number.to_string(), "activity"])?;
        let activity: Listing<ActivityResponse> = self.client.list(address, subject, PER_PAGE).await?;
        Ok(History {
            last_push: last_push(&activity.items),
            verdicts: parse_verdicts(number, activity.items),
            truncated: activity.truncated,
        })
    }
}
