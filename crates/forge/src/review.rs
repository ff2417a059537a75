//! Reviews of pull requests: verdicts, comments on lines, and threads.

use crate::{Actor, Time};

/// A verdict with a summary; its comments on lines are a separate call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Unique on its forge, on Bitbucket within its pull request; may be larger than 2^53.
    pub id: u64,
    pub state: ReviewState,
    /// The summary now; empty when there is none, and in Bitbucket's lists.
    pub body: String,
    /// Bitbucket only: the comments that form the summary, in order.
    pub parts: Vec<Part>,
    /// Reviewed commit; `None` when the forge no longer knows it, and on Bitbucket.
    pub commit: Option<String>,
    pub submitted_at: Option<Time>,
    pub updated_at: Option<Time>,
    /// The page of the review; on Bitbucket of the pull request.
    pub url: String,
    pub author: Option<Actor>,
    /// GitHub's relation of the author to the repository, such as `MEMBER`; empty on Bitbucket. Wrong for private
    /// members of an organisation: read the permission instead.
    pub author_association: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub comment: u64,
    pub text: String,
}

impl Review {
    pub fn without(mut self, is_left_out: impl Fn(u64, &str) -> bool) -> Self {
        if !self.parts.is_empty() {
            self.parts.retain(|part| !is_left_out(part.comment, &part.text));
            self.body = body_of(&self.parts);
        }
        self
    }
}

pub(crate) fn body_of(parts: &[Part]) -> String {
    parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join("\n\n")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewState {
    ChangesRequested,
    Approved,
    /// No verdict; each reply in a thread also creates one.
    Commented,
    Dismissed,
    Pending,
}

impl ReviewState {
    /// GitHub's word is lower case in webhooks and upper case elsewhere.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let words = [
            ("changes_requested", Self::ChangesRequested),
            ("approved", Self::Approved),
            ("commented", Self::Commented),
            ("dismissed", Self::Dismissed),
            ("pending", Self::Pending),
        ];
        words.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, state)| state)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewComment {
    pub id: u64,
    /// `None` for comments older than GitHub's reviews, and on Bitbucket unless read for one review.
    pub review: Option<u64>,
    /// First comment of its thread; `None` for the first one itself.
    pub in_reply_to: Option<u64>,
    pub path: String,
    pub lines: Lines,
    pub side: Side,
    pub author: Option<Actor>,
    pub body: String,
    /// May be earlier than the review's submission; on Bitbucket earlier or later.
    pub created_at: Time,
    pub updated_at: Time,
    pub url: String,
    /// Commit of its present position; empty on Bitbucket.
    pub commit: String,
    /// Commit on which it was written; empty on Bitbucket.
    pub original_commit: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    File,
    /// Lines of the pull request's newest commit.
    Current {
        start: Option<u64>,
        end: u64,
    },
    /// Lines of the original commit, removed by a later one.
    Original {
        start: Option<u64>,
        end: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    pub id: String,
    pub resolved: bool,
    pub outdated: bool,
    pub path: String,
    /// Line in the newest commit; `None` when it is gone or the thread is about the file.
    pub line: Option<u64>,
    /// Oldest first; the first one identifies the thread in REST.
    pub comments: Vec<u64>,
    pub more_comments: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub id: u64,
    pub url: String,
}
