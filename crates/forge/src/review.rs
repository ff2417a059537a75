//! Reviews of pull requests: verdicts, comments on lines, and the threads that the comments make.

use crate::{Actor, Time};

/// One review: a verdict with a summary. Its comments on lines are asked for apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Unique on its forge, on Bitbucket within its pull request; may be larger than 2^53.
    pub id: u64,
    /// The verdict.
    pub state: ReviewState,
    /// The summary, as it is now; empty when there is none, and in Bitbucket's lists.
    pub body: String,
    /// The comments that the summary is made of, in its order, on Bitbucket; none where it is a text of its own.
    pub parts: Vec<Part>,
    /// The commit that was looked at; `None` when the forge doesn't know it any more, and on Bitbucket.
    pub commit: Option<String>,
    /// When it was submitted; `None` while it is pending.
    pub submitted_at: Option<Time>,
    /// When it was last changed; told by webhooks only.
    pub updated_at: Option<Time>,
    /// The page for people: on Bitbucket the pull request's.
    pub url: String,
    /// Who wrote it; `None` for an account that was deleted.
    pub author: Option<Actor>,
    /// What the author is to the repository, in the forge's words, such as `MEMBER`; empty on Bitbucket.
    ///
    /// Wrong for private members of an organisation: ask for the permission instead.
    pub author_association: String,
}

/// A comment that is part of a review's summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its id.
    pub comment: u64,
    /// What it says.
    pub text: String,
}

impl Review {
    /// The same without those comments of its summary which this is so of.
    pub fn without(mut self, is_left_out: impl Fn(u64, &str) -> bool) -> Self {
        if !self.parts.is_empty() {
            self.parts.retain(|part| !is_left_out(part.comment, &part.text));
            self.body = body_of(&self.parts);
        }
        self
    }
}

/// The summary that is made of these.
pub(crate) fn body_of(parts: &[Part]) -> String {
    parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join("\n\n")
}

/// The verdict of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewState {
    /// Changes are asked for.
    ChangesRequested,
    /// It may be merged.
    Approved,
    /// No verdict; every reply in a thread makes one of these, too.
    Commented,
    /// It was a verdict, and somebody took its force away.
    Dismissed,
    /// Not submitted yet: only its author sees it.
    Pending,
}

impl ReviewState {
    /// Reads GitHub's word, which is in small letters in webhooks and in capitals elsewhere.
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

/// One comment on a line or a file of a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewComment {
    /// Unique on its forge; may be larger than 2^53.
    pub id: u64,
    /// The review it came with; `None` for comments from before there were reviews, and on Bitbucket where no review's
    /// were asked for.
    pub review: Option<u64>,
    /// The first comment of its thread; `None` when it is that.
    pub in_reply_to: Option<u64>,
    /// The file.
    pub path: String,
    /// Which lines of it are meant.
    pub lines: Lines,
    /// Which side of the change the line is on.
    pub side: Side,
    /// Who wrote it; `None` for an account that was deleted.
    pub author: Option<Actor>,
    /// The text, as it is now.
    pub body: String,
    /// When it was written: for a comment of a review before the review was submitted, on Bitbucket before or after.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
    /// The page for people.
    pub url: String,
    /// The commit it stands on now; empty on Bitbucket.
    pub commit: String,
    /// The commit it was written on; empty on Bitbucket.
    pub original_commit: String,
}

/// Which lines of a file a comment is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// The whole file, or the forge doesn't say which line.
    File,
    /// These lines, as the newest commit of the pull request has them.
    Current {
        /// The first line, if there are several.
        start: Option<u64>,
        /// The only or last line.
        end: u64,
    },
    /// These lines of the commit it was written on: a later commit took them away.
    Original {
        /// The first line, if there are several.
        start: Option<u64>,
        /// The only or last line.
        end: u64,
    },
}

/// Which side of a change is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What was there before.
    Left,
    /// What is there now.
    Right,
}

/// Comments that answer one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// What a reply names; only the forge knows what is in it.
    pub id: String,
    /// Whether somebody said that it is settled.
    pub resolved: bool,
    /// Whether the line it is about was changed since.
    pub outdated: bool,
    /// The file.
    pub path: String,
    /// The line as it is now; `None` when it is gone or the whole file is meant.
    pub line: Option<u64>,
    /// Its comments' ids, oldest first; the first one names the thread in REST.
    pub comments: Vec<u64>,
    /// Whether there are more comments than these.
    pub more_comments: bool,
}

/// A comment that was written in answer to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The comment's id.
    pub id: u64,
    /// The page for people.
    pub url: String,
}
