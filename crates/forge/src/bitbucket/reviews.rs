//! Reviews, which Bitbucket has none of: somebody says that changes are needed, or approves, and writes comments before
//! or after that. What was said is in the pull request's activity, and whether it still holds in its participants.
//! Repositories may be set to take requests away with each push: of who says nothing any more since somebody pushed,
//! that is no word of theirs, and what they asked for stands.
//!
//! With a request for changes come the comments of its author since their request before it. Those that were written
//! after their last one are that one's, as whoever asks for changes often says which only then; where another one
//! follows, they are the next one's, so that each comment comes with one request.

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

/// What every text of ours ends with. Where our token is a reviewer's own, what we say there would be theirs.
const MARK: &str = "[//]: # (pullyard:";

/// One entry of the activity; one of another kind has none of these.
#[derive(Deserialize)]
struct ActivityAnswer {
    changes_requested: Option<SaidAnswer>,
    approval: Option<SaidAnswer>,
    update: Option<UpdateAnswer>,
}

/// What the pull request was from then on.
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

/// What somebody said of a pull request.
struct Said {
    id: u64,
    verdict: Verdict,
    author: Actor,
    at: Time,
}

impl Said {
    /// None where it is not told who or when: of an account that was deleted nothing is left to know it by again.
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

    /// Whether a push may have taken a request for changes away, and not its author, who did not approve since. One
    /// that they took back after a push looks the same: it had better be worked on than lost. Whoever asked once more has
    /// that request alone, so that what became of it became of the others.
    fn may_have_been_taken_away(&self, history: &History) -> bool {
        let is_theirs = |other: &&Said| other.author.id == self.author.id;
        let theirs = || history.said.iter().filter(is_theirs);
        let approved = |other: &Said| other.verdict == Verdict::Approves && other.at > self.at;
        let asked = theirs().filter(|other| other.verdict == Verdict::AsksForChanges).map(|other| other.at).max();
        self.verdict == Verdict::AsksForChanges && history.pushed > asked && !theirs().any(approved)
    }
}

/// What the activity of a pull request says, as far as it is read.
struct History {
    /// Oldest first.
    said: Vec<Said>,
    /// When its branch moved last; none where that is not seen.
    pushed: Option<Time>,
    /// There is more of it.
    more: bool,
}

impl History {
    /// Somebody asks for changes now and it does not say since when: what a webhook told may stand in it a moment later.
    fn is_behind(&self, people: &PeopleAnswer) -> bool {
        let is_told = |account: u64| {
            self.said.iter().any(|said| said.verdict == Verdict::AsksForChanges && said.author.id == account)
        };
        people.asking().any(|account| !is_told(account))
    }
}

/// When the branch moved last.
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

/// What was said, oldest first.
fn said(number: u64, activity: Vec<ActivityAnswer>) -> Vec<Said> {
    let read = |entry: ActivityAnswer| {
        let asks = entry.changes_requested.and_then(|asks| Said::read(number, Verdict::AsksForChanges, asks));
        let approves = entry.approval.and_then(|approves| Said::read(number, Verdict::Approves, approves));
        asks.into_iter().chain(approves)
    };
    let mut found: Vec<Said> = activity.into_iter().flat_map(read).collect();
    found.sort_by_key(|said| (said.at, said.id));
    // What happens while the list is read moves the rest of it on: the last of a page is the first of the next as well.
    found.dedup_by_key(|said| said.id);
    found
}

/// Whose comments come with a request for changes, and of which time.
struct Window {
    author: u64,
    /// When the same account had asked before.
    after: Option<Time>,
    /// None for its last request.
    until: Option<Time>,
}

impl Window {
    /// None for an approval, with which nothing comes.
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

    /// Whether a comment is there and came with the request, unless somebody settled its thread or it is ours.
    fn has(&self, comment: &CommentAnswer, beginning: &Beginning) -> bool {
        let at = comment.created_on;
        comment.is_there()
            && !beginning.resolved
            && comment.user.as_ref().and_then(AccountAnswer::id) == Some(self.author)
            && self.after.is_none_or(|after| at > after)
            && self.until.is_none_or(|until| at <= until)
            && !is_marked(comment.text())
    }

    /// What was said below the pull request, oldest first.
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

/// Whether a text says by its last line that it is ours.
fn is_marked(text: &str) -> bool {
    let last = text.trim_end().lines().next_back().unwrap_or_default();
    last.starts_with(MARK) && last.ends_with(')')
}

fn missing(what: &str) -> Error {
    Error::NotFound { what: what.to_owned(), message: "the activity has none of this id".to_owned() }
}

/// One that the whole of the activity does not have. Whoever knows its id was told of it: it was taken back, and
/// Bitbucket forgot it with that.
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
    /// See [`Forge::reviews`](crate::Forge::reviews).
    pub async fn reviews(&self, full_name: &str, number: u64) -> Result<Listed<Review>, Error> {
        let what = format!("the reviews of pull request {number} of {full_name}");
        // Before the participants: what is said in between is not told yet, rather than told as withdrawn.
        let history = self.history(full_name, number, &what).await?;
        if history.said.is_empty() {
            return Ok(Listed { found: Vec::new(), more: history.more });
        }
        let people = self.people(full_name, number, &what, Tries::Three).await?;
        let found = history.said.iter().map(|said| said.review(&history, &people, Vec::new())).collect();
        Ok(Listed { found, more: history.more })
    }

    /// See [`Forge::review`](crate::Forge::review).
    pub async fn review(&self, full_name: &str, number: u64, review: u64) -> Result<Review, Error> {
        let what = format!("review {review} of pull request {number} of {full_name}");
        let history = self.history(full_name, number, &what).await?;
        let Some(one) = history.said.iter().find(|said| said.id == review) else {
            if history.more {
                return Err(missing(&what));
            }
            let people = self.people(full_name, number, &what, Tries::Three).await?;
            return match history.is_behind(&people) {
                true => {
                    Err(self.client.not_understood("somebody asks for changes, and the activity does not say it yet"))
                }
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

    /// See [`Forge::review_comments`](crate::Forge::review_comments).
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
        // Where the account asked before what was read of the activity, comments of that request are among these.
        Ok(Listed { found, more: all.more || (history.more && window.after.is_none()) })
    }

    /// Bitbucket's `GET /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/activity`, newest first:
    /// where it is longer than a list is read, what was said first is left out.
    async fn history(&self, full_name: &str, number: u64, what: &str) -> Result<History, Error> {
        let repository = RepositoryName::parse(full_name)?;
        let address = self.address(repository, &["pullrequests", &number.to_string(), "activity"]);
        let activity: Listed<ActivityAnswer> = self.client.list(address, what, PER_PAGE).await?;
        let pushed = pushed(&activity.found);
        Ok(History { said: said(number, activity.found), pushed, more: activity.more })
    }
}
