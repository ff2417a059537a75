//! Reviews, which Bitbucket has none of: somebody says that changes are needed, or approves, and writes comments before
//! or after that. What was said is in the pull request's activity, and whether it still holds in its participants.
//!
//! With a request for changes come the comments of its author since their request before it. Those that were written
//! after their last one are that one's, as whoever asks for changes often says which only then; where another one
//! follows, they are the next one's, so that each comment comes with one request.

use serde::Deserialize;

use super::{
    Bitbucket,
    answers::AccountAnswer,
    comments::{Beginning, CommentAnswer, beginnings},
    people::{PeopleAnswer, Verdict},
    pull_requests::PER_PAGE,
    review_id,
    threads::on_lines,
};
use crate::{Actor, Error, Listed, Review, ReviewComment, ReviewState, Time, call::Tries, names::RepositoryName};

/// What every text of ours ends with. Where our token is a reviewer's own, what we say there would be theirs.
const MARK: &str = "[//]: # (pullyard:";

/// One entry of the activity; one of another kind has neither.
#[derive(Deserialize)]
struct ActivityAnswer {
    changes_requested: Option<SaidAnswer>,
    approval: Option<SaidAnswer>,
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

    fn review(&self, people: &PeopleAnswer, body: String) -> Review {
        let holds = people.verdict_of(self.author.id) == Some(self.verdict);
        Review {
            id: self.id,
            state: match self.verdict {
                _ if !holds => ReviewState::Dismissed,
                Verdict::AsksForChanges => ReviewState::ChangesRequested,
                Verdict::Approves => ReviewState::Approved,
            },
            body,
            commit: None,
            submitted_at: Some(self.at),
            updated_at: None,
            url: people.links.url(),
            author: Some(self.author.clone()),
            author_association: String::new(),
        }
    }
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
    fn words(&self, all: &[CommentAnswer]) -> String {
        let beginnings = beginnings(all);
        let is_said = |comment: &&CommentAnswer| {
            let beginning = beginnings.get(&comment.id);
            beginning.is_some_and(|beginning| beginning.inline.is_none() && self.has(comment, beginning))
        };
        let mut said: Vec<&CommentAnswer> = all.iter().filter(is_said).collect();
        said.sort_by_key(|comment| (comment.created_on, comment.id));
        let texts: Vec<&str> = said.into_iter().map(|comment| comment.text().trim()).collect();
        texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
    }
}

/// Whether a text says by its last line that it is ours.
fn is_marked(text: &str) -> bool {
    let last = text.trim_end().lines().next_back().unwrap_or_default();
    last.starts_with(MARK) && last.ends_with(')')
}

fn one<'a>(all: &'a [Said], review: u64, what: &str) -> Result<&'a Said, Error> {
    let missing = || Error::NotFound { what: what.to_owned(), message: "the activity has none of this id".to_owned() };
    all.iter().find(|said| said.id == review).ok_or_else(missing)
}

impl Bitbucket {
    /// See [`Forge::reviews`](crate::Forge::reviews).
    pub async fn reviews(&self, full_name: &str, number: u64) -> Result<Listed<Review>, Error> {
        let what = format!("the reviews of pull request {number} of {full_name}");
        // Before the participants: what is said in between is not told yet, rather than told as withdrawn.
        let Listed { found, more } = self.said(full_name, number, &what).await?;
        if found.is_empty() {
            return Ok(Listed { found: Vec::new(), more });
        }
        let people = self.people(full_name, number, &what, Tries::Three).await?;
        Ok(Listed { found: found.iter().map(|said| said.review(&people, String::new())).collect(), more })
    }

    /// See [`Forge::review`](crate::Forge::review).
    pub async fn review(&self, full_name: &str, number: u64, review: u64) -> Result<Review, Error> {
        let what = format!("review {review} of pull request {number} of {full_name}");
        let said = self.said(full_name, number, &what).await?.found;
        let one = one(&said, review, &what)?;
        let people = self.people(full_name, number, &what, Tries::Three).await?;
        let words = match Window::of(one, &said) {
            Some(window) => window.words(&self.all_comments(full_name, number).await?.found),
            None => String::new(),
        };
        Ok(one.review(&people, words))
    }

    /// See [`Forge::review_comments`](crate::Forge::review_comments).
    pub async fn review_comments(
        &self,
        full_name: &str,
        number: u64,
        review: u64,
    ) -> Result<Listed<ReviewComment>, Error> {
        let what = format!("the comments of review {review} of pull request {number} of {full_name}");
        let said = self.said(full_name, number, &what).await?;
        let one = one(&said.found, review, &what)?;
        let Some(window) = Window::of(one, &said.found) else {
            return Ok(Listed { found: Vec::new(), more: false });
        };
        let all = self.all_comments(full_name, number).await?;
        let found = on_lines(&all.found, Some(review), |comment, beginning| window.has(comment, beginning));
        // Where the account asked before what was read of the activity, comments of that request are among these.
        Ok(Listed { found, more: all.more || (said.more && window.after.is_none()) })
    }

    /// Bitbucket's `GET /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/activity`, newest first:
    /// where it is longer than a list is read, what was said first is left out.
    async fn said(&self, full_name: &str, number: u64, what: &str) -> Result<Listed<Said>, Error> {
        let repository = RepositoryName::parse(full_name)?;
        let address = self.address(repository, &["pullrequests", &number.to_string(), "activity"]);
        let activity: Listed<ActivityAnswer> = self.client.list(address, what, PER_PAGE).await?;
        Ok(Listed { found: said(number, activity.found), more: activity.more })
    }
}
