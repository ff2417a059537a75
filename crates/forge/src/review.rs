//! Reviews of pull requests: verdicts, comments, and threads.

use serde::Serialize;

use crate::{Actor, Time};

/// A comment on an issue or a whole pull request, not on lines. Deserialized only from the form in `github`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    pub id: u64,
    pub body: String,
    pub author: Option<Actor>,
    pub created_at: Time,
    /// Zero on Bitbucket, which has none.
    pub reactions: u32,
}

/// A verdict with a summary; comments on lines need a separate call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Unique per forge, on Bitbucket per pull request; may exceed 2^53.
    pub id: u64,
    pub state: ReviewState,
    pub body: String,
    /// Bitbucket only: the comments that form the summary, in order.
    pub parts: Vec<SummaryPart>,
    pub submitted_at: Option<Time>,
    pub updated_at: Option<Time>,
    /// The page of the review, on Bitbucket of the pull request.
    pub url: String,
    pub author: Option<Actor>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryPart {
    pub comment: u64,
    pub text: String,
}

impl Review {
    pub fn filter_parts(mut self, is_left_out: impl Fn(u64, &str) -> bool) -> Self {
        if !self.parts.is_empty() {
            self.parts.retain(|part| !is_left_out(part.comment, &part.text));
            self.body = join_parts(&self.parts);
        }
        self
    }
}

pub(crate) fn join_parts(parts: &[SummaryPart]) -> String {
    parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join("\n\n")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewState {
    ChangesRequested,
    Approved,
    /// No verdict; each reply in a thread also creates such a review.
    Commented,
    Dismissed,
    Pending,
}

impl ReviewState {
    /// GitHub uses lower case in webhooks and upper case elsewhere.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let states = [
            ("changes_requested", Self::ChangesRequested),
            ("approved", Self::Approved),
            ("commented", Self::Commented),
            ("dismissed", Self::Dismissed),
            ("pending", Self::Pending),
        ];
        states.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, state)| state)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewComment {
    pub id: u64,
    /// First comment of the thread; `None` for that comment itself.
    pub in_reply_to: Option<u64>,
    pub path: String,
    pub lines: Lines,
    pub side: Side,
    pub author: Option<Actor>,
    pub body: String,
    pub created_at: Time,
    pub updated_at: Time,
    pub url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    File,
    /// Lines of the pull request's newest commit.
    Current {
        start: Option<u64>,
        end: u64,
    },
    /// Lines of the original commit that a later commit removed.
    Original {
        start: Option<u64>,
        end: u64,
    },
}

/// GitHub's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Side {
    Left,
    Right,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReview {
    /// The commit that the user saw. The local forge refuses a review of an older one.
    pub head: String,
    pub verdict: Verdict,
    pub body: String,
    pub comments: Vec<NewLineComment>,
    /// Makes a repeated call the same review at the local forge. GitHub ignores it.
    pub key: String,
}

/// A comment on lines that the pull request's diff shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLineComment {
    pub path: String,
    /// `Right` counts lines of the newest commit.
    pub side: Side,
    /// The first of several lines, in the hunk of `line`.
    pub start_line: Option<u64>,
    pub line: u64,
    pub body: String,
}

impl NewLineComment {
    /// A comment on one line of the newest commit.
    pub fn on_line(path: String, line: u64, body: String) -> Self {
        Self { path, side: Side::Right, start_line: None, line, body }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    Approve,
    RequestChanges,
    Comment,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    pub id: String,
    pub resolved: bool,
    /// Oldest first; the first id identifies the thread in REST.
    pub comments: Vec<u64>,
}
