//! Derives reviews, which Bitbucket does not have, from verdicts and comments.
//! The activity contains all verdicts; the participants show the current ones. A repository may reset change requests
//! on each push, so a request followed by a push counts even if its author has no current verdict.
//! A change request includes its author's comments since their previous request. Later comments also belong to it,
//! because many authors explain afterwards, unless the author makes another request.

use serde::Deserialize;

use super::{
    Bitbucket,
    answers::{AccountAnswer, CommitAnswer},
    comments::{Beginning, CommentAnswer, beginnings},
    people::{PeopleAnswer, Verdict},
    pull_requests::PER_PAGE,
    review_id,
    threads::on_lines,
};
use crate::{
    Actor, Error, Listed, Part, Review, ReviewComment, ReviewState, Time, call::Tries, names::RepositoryName,
    review::body_of,
};

/// Starts the last line of our comments. Without it, our comments would count as the review of our token's account.
const MARK: &str = "[//]: # (pullyard:";

#[derive(Deserialize)]
struct ActivityAnswer {
    changes_requested: Option<SaidAnswer>,
    approval: Option<SaidAnswer>,
    update: Option<UpdateAnswer>,
}

#[derive(Deserialize)]
struct UpdateAnswer {
    date: Option<Time>,
    source: Option<SourceAnswer>,
}

#[derive(Deserialize)]
struct SourceAnswer {
    commit: Option<CommitAnswer>,
}

impl UpdateAnswer {
    fn head(&self) -> Option<(Time, &str)> {
        Some((self.date?, self.source.as_ref()?.commit.as_ref()?.hash.as_str()))
    }
}

#[derive(Deserialize)]
struct SaidAnswer {
    date: Option<Time>,
    user: Option<AccountAnswer>,
}

struct Said {
    id: u64,
    verdict: Verdict,
    author: Actor,
    at: Time,
}

impl Said {
    /// Returns `None` without a time or a UUID (deleted account), because the verdict has no stable id.
    fn read(number: u64, verdict: Verdict, answer: SaidAnswer) -> Option<Self> {
        let (at, user) = (answer.date?, answer.user?);
        Some(Self { id: review_id(number, user.uuid.as_deref()?, at), verdict, author: user.actor()?, at })
    }

    fn review(&self, history: &History, people: &PeopleAnswer, parts: Vec<Part>) -> Review {
        let holds = match people.verdict_of(self.author.id) {
            Some(now) => now == self.verdict,
            None => self.may_have_been_taken_away(history),
        };
        Review {
            id: self.id,
            state: match self.verdict {
                _ if !holds => ReviewState::Dismissed,
                Verdict::AsksForChanges => ReviewState::ChangesRequested,
                Verdict::Approves => ReviewState::Approved,
            },
            body: body_of(&parts),
            parts,
            commit: None,
            submitted_at: Some(self.at),
            updated_at: None,
            url: people.links.url(),
            author: Some(self.author.clone()),
            author_association: String::new(),
        }
    }

    /// Whether a push may have reset the request: a push followed, and the author has not approved since.
    /// A request withdrawn after a push also counts, because extra work is better than a lost request.
    /// The author's last request decides for earlier ones, because Bitbucket stores one verdict per account.
    fn may_have_been_taken_away(&self, history: &History) -> bool {
        let is_theirs = |other: &&Said| other.author.id == self.author.id;
        let theirs = || history.said.iter().filter(is_theirs);
        let approved = |other: &Said| other.verdict == Verdict::Approves && other.at > self.at;
        let asked = theirs().filter(|other| other.verdict == Verdict::AsksForChanges).map(|other| other.at).max();
        self.verdict == Verdict::AsksForChanges && history.pushed > asked && !theirs().any(approved)
    }
}

struct History {
    said: Vec<Said>,
    /// Time of the last change of the head commit in the activity.
    pushed: Option<Time>,
    more: bool,
}

impl History {
    /// Whether the activity lacks a participant's change request. It lags behind webhooks.
    fn is_behind(&self, people: &PeopleAnswer) -> bool {
        let is_told = |account: u64| {
            self.said.iter().any(|said| said.verdict == Verdict::AsksForChanges && said.author.id == account)
        };
        people.asking().any(|account| !is_told(account))
    }
}

fn pushed(activity: &[ActivityAnswer]) -> Option<Time> {
    let mut heads: Vec<(Time, &str)> =
        activity.iter().filter_map(|entry| entry.update.as_ref().and_then(UpdateAnswer::head)).collect();
    heads.sort_unstable();
    let moved = |pair: &[(Time, &str)]| match pair {
        [(_, before), (at, after)] if before != after => Some(*at),
        _ => None,
    };
    heads.windows(2).filter_map(moved).next_back()
}

fn said(number: u64, activity: Vec<ActivityAnswer>) -> Vec<Said> {
    let read = |entry: ActivityAnswer| {
        let asks = entry.changes_requested.and_then(|asks| Said::read(number, Verdict::AsksForChanges, asks));
        let approves = entry.approval.and_then(|approves| Said::read(number, Verdict::Approves, approves));
        asks.into_iter().chain(approves)
    };
    let mut found: Vec<Said> = activity.into_iter().flat_map(read).collect();
    found.sort_by_key(|said| (said.at, said.id));
    // New entries shift the list between pages, so an entry may appear on two pages.
    found.dedup_by_key(|said| said.id);
    found
}

struct Window {
    author: u64,
    after: Option<Time>,
    until: Option<Time>,
}

impl Window {
    /// Returns `None` for an approval, which has no comments.
    fn of(one: &Said, all: &[Said]) -> Option<Self> {
        if one.verdict != Verdict::AsksForChanges {
            return None;
        }
        let is_alike = |other: &&Said| other.verdict == one.verdict && other.author.id == one.author.id;
        let times = || all.iter().filter(is_alike).map(|other| other.at);
        let after = times().filter(|at| *at < one.at).max();
        let until = times().any(|at| at > one.at).then_some(one.at);
        Some(Self { author: one.author.id, after, until })
    }

    /// Whether the comment exists, is unresolved, belongs to the request and was not written by us.
    fn has(&self, comment: &CommentAnswer, beginning: &Beginning) -> bool {
        let at = comment.created_on;
        comment.is_there()
            && !beginning.resolved
            && comment.user.as_ref().and_then(AccountAnswer::id) == Some(self.author)
            && self.after.is_none_or(|after| at > after)
            && self.until.is_none_or(|until| at <= until)
            && !is_marked(comment.text())
    }

    fn words(&self, all: &[CommentAnswer]) -> Vec<Part> {
        let beginnings = beginnings(all);
        let is_said = |comment: &&CommentAnswer| {
            let beginning = beginnings.get(&comment.id);
            beginning.is_some_and(|beginning| beginning.inline.is_none() && self.has(comment, beginning))
        };
        let mut said: Vec<&CommentAnswer> = all.iter().filter(is_said).collect();
        said.sort_by_key(|comment| (comment.created_on, comment.id));
        let part = |comment: &CommentAnswer| Part { comment: comment.id, text: comment.text().trim().to_owned() };
        said.into_iter().map(part).filter(|part| !part.text.is_empty()).collect()
    }
}

fn is_marked(text: &str) -> bool {
    let last = text.trim_end().lines().next_back().unwrap_or_default();
    last.starts_with(MARK) && last.ends_with(')')
}

fn missing(what: &str) -> Error {
    Error::NotFound { what: what.to_owned(), message: "the activity has no review with this id".to_owned() }
}

/// Represents a verdict known from a webhook but missing in the complete activity: Bitbucket removes withdrawn ones.
fn forgotten(id: u64) -> Review {
    Review {
        id,
        state: ReviewState::Dismissed,
        body: String::new(),
        parts: Vec::new(),
        commit: None,
        submitted_at: None,
        updated_at: None,
        url: String::new(),
        author: None,
        author_association: String::new(),
    }
}

impl Bitbucket {
    pub async fn reviews(&self, full_name: &str, number: u64) -> Result<Listed<Review>, Error> {
        let what = format!("the reviews of pull request {number} of {full_name}");
        // Read the activity before the participants: a verdict given in between is then missing instead of `Dismissed`.
        let history = self.history(full_name, number, &what).await?;
        if history.said.is_empty() {
            return Ok(Listed { found: Vec::new(), more: history.more });
        }
        let people = self.people(full_name, number, &what, Tries::Three).await?;
        let found = history.said.iter().map(|said| said.review(&history, &people, Vec::new())).collect();
        Ok(Listed { found, more: history.more })
    }

    pub async fn review(&self, full_name: &str, number: u64, review: u64) -> Result<Review, Error> {
        let what = format!("review {review} of pull request {number} of {full_name}");
        let history = self.history(full_name, number, &what).await?;
        let Some(one) = history.said.iter().find(|said| said.id == review) else {
            if history.more {
                return Err(missing(&what));
            }
            let people = self.people(full_name, number, &what, Tries::Three).await?;
            return match history.is_behind(&people) {
                true => Err(self.client.not_understood("the activity does not show a request for changes yet")),
                false => Ok(forgotten(review)),
            };
        };
        let people = self.people(full_name, number, &what, Tries::Three).await?;
        let words = match Window::of(one, &history.said) {
            Some(window) => window.words(&self.all_comments(full_name, number).await?.found),
            None => Vec::new(),
        };
        Ok(one.review(&history, &people, words))
    }

    pub async fn review_comments(
        &self,
        full_name: &str,
        number: u64,
        review: u64,
    ) -> Result<Listed<ReviewComment>, Error> {
        let what = format!("the comments of review {review} of pull request {number} of {full_name}");
        let history = self.history(full_name, number, &what).await?;
        let one = history.said.iter().find(|said| said.id == review).ok_or_else(|| missing(&what))?;
        let Some(window) = Window::of(one, &history.said) else {
            return Ok(Listed { found: Vec::new(), more: false });
        };
        let all = self.all_comments(full_name, number).await?;
        let found = on_lines(&all.found, Some(review), |comment, beginning| window.has(comment, beginning));
        // If the activity was cut before the previous request, these may include its comments.
        Ok(Listed { found, more: all.more || (history.more && window.after.is_none()) })
    }

    /// Reads the activity, newest first; a long one is cut at its oldest entries.
    /// Source: `GET /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/activity`.
    async fn history(&self, full_name: &str, number: u64, what: &str) -> Result<History, Error> {
        let repository = RepositoryName::parse(full_name)?;
        let address = self.address(repository, &["pullrequests", &number.to_string(), "activity"]);
        let activity: Listed<ActivityAnswer> = self.client.list(address, what, PER_PAGE).await?;
        let pushed = pushed(&activity.found);
        Ok(History { said: said(number, activity.found), pushed, more: activity.more })
    }
}
