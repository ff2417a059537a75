//! The conversation of a pull request: reviews, comments, and threads at lines, as Markdown.

use crate::labels::{self, TimeLabel};
use crate::markdown::{self, Below, SafeHtml};
use crate::text::{SafeText, line};
use pullyard_control::{ForgeActor, ForgeReviewState, ForgeTime, Lines, LocalPullRequest, ReviewComment};
use pullyard_domain::text::time::Timestamp;

/// A review or a comment. Its id is the anchor that the forge's addresses name.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) anchor: String,
    pub(crate) author: SafeText,
    pub(crate) initial: char,
    pub(crate) action: &'static str,
    pub(crate) when: TimeLabel,
    pub(crate) html: SafeHtml,
}

/// Entries at one place, oldest first; a review has no replies.
pub(crate) struct Thread {
    pub(crate) entries: Vec<Entry>,
    /// `src/app.rs:12`, and whether a later commit changed the line.
    pub(crate) place: Option<(SafeText, bool)>,
    began: ForgeTime,
}

pub(crate) struct Conversation {
    pub(crate) threads: Vec<Thread>,
    pub(crate) at_lines: Vec<LineThread>,
}

/// A thread at a line of the newest commit.
pub(crate) struct LineThread {
    pub(crate) path: String,
    pub(crate) line: u64,
    pub(crate) entries: Vec<Entry>,
}

impl Conversation {
    pub(crate) fn new(pull: &LocalPullRequest, now: Timestamp) -> Self {
        let mut threads = Vec::new();
        for review in &pull.reviews {
            let action = match review.state {
                ForgeReviewState::ChangesRequested => "requested changes",
                ForgeReviewState::Approved => "approved",
                ForgeReviewState::Dismissed => "had a review dismissed",
                // Each thread and each reply at a line has such a review without a text.
                ForgeReviewState::Commented if review.body.trim().is_empty() => continue,
                ForgeReviewState::Commented => "commented",
                ForgeReviewState::Pending => continue,
            };
            let Some(began) = review.submitted_at.or(review.updated_at) else { continue };
            let anchor = format!("pullrequestreview-{}", review.id);
            let post = Post { anchor, author: review.author.as_ref(), action, body: &review.body, at: began };
            threads.push(Thread::single(began, post.into_entry(now)));
        }
        for comment in &pull.comments {
            let (anchor, at) = (format!("issuecomment-{}", comment.id), comment.created_at);
            let author = comment.author.as_ref();
            let post = Post { anchor, author, action: "commented", body: &comment.body, at };
            threads.push(Thread::single(at, post.into_entry(now)));
        }
        let mut at_lines = Vec::new();
        for first in pull.line_comments.iter().filter(|comment| comment.in_reply_to.is_none()) {
            let replies = pull.line_comments.iter().filter(|comment| comment.in_reply_to == Some(first.id));
            let all = std::iter::once(first).chain(replies);
            let entries: Vec<Entry> = all.map(|comment| to_line_entry(comment, now)).collect();
            let (number, is_outdated) = match first.lines {
                Lines::Current { end, .. } => (Some(end), false),
                Lines::Original { end, .. } => (Some(end), true),
                Lines::File => (None, false),
            };
            if let (Some(number), false) = (number, is_outdated) {
                at_lines.push(LineThread { path: first.path.clone(), line: number, entries: entries.clone() });
            }
            let number = number.map(|number| format!(":{number}")).unwrap_or_default();
            let place = Some((line(&format!("{}{number}", first.path)), is_outdated));
            threads.push(Thread { entries, place, began: first.created_at });
        }
        threads.sort_by_key(|thread| thread.began);
        Self { threads, at_lines }
    }
}

impl Thread {
    fn single(began: ForgeTime, entry: Entry) -> Self {
        Self { entries: vec![entry], place: None, began }
    }
}

fn to_line_entry(comment: &ReviewComment, now: Timestamp) -> Entry {
    let (author, at) = (comment.author.as_ref(), comment.created_at);
    let action = if comment.in_reply_to.is_some() { "replied" } else { "commented" };
    Post { anchor: format!("discussion_r{}", comment.id), author, action, body: &comment.body, at }.into_entry(now)
}

/// A review or a comment as the forge returns it.
struct Post<'a> {
    anchor: String,
    author: Option<&'a ForgeActor>,
    action: &'static str,
    body: &'a str,
    at: ForgeTime,
}

impl Post<'_> {
    fn into_entry(self, now: Timestamp) -> Entry {
        let author = login(self.author);
        Entry {
            anchor: self.anchor,
            author: line(author),
            initial: author.chars().find(|c| c.is_alphanumeric()).unwrap_or('?'),
            action: self.action,
            when: labels::format_time(Timestamp::from_millis(self.at.millis()), now),
            html: markdown::render(self.body, Below::Section),
        }
    }
}

pub(super) fn login(account: Option<&ForgeActor>) -> &str {
    account.map_or("a deleted account", |account| account.login.as_str())
}
