//! Creates reviews; checks verdicts and commented lines.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use crate::{
    Error,
    access::Actor,
    diff, events,
    forge_state::Shared,
    pulls, pushes,
    record::{LineCommentRecord, Pull, PullRecord, ReviewRecord, ReviewState, Side},
    repositories::RepositoryEntry,
};

/// Near the limits of file systems and program arguments.
const MAX_PATH_BYTES: usize = 4096;
const MAX_SHOWN_CHARS: usize = 160;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Approve,
    RequestChanges,
    Comment,
}

impl Verdict {
    pub fn parse(event: &str) -> Option<Self> {
        match event {
            "APPROVE" => Some(Self::Approve),
            "REQUEST_CHANGES" => Some(Self::RequestChanges),
            "COMMENT" => Some(Self::Comment),
            _ => None,
        }
    }

    pub fn state(self) -> ReviewState {
        match self {
            Self::Approve => ReviewState::Approved,
            Self::RequestChanges => ReviewState::ChangesRequested,
            Self::Comment => ReviewState::Commented,
        }
    }
}

pub struct NewReview {
    pub verdict: Verdict,
    pub body: String,
    pub comments: Vec<NewComment>,
    /// The commit that the reviewer saw.
    pub head: Option<String>,
    pub key: Option<String>,
}

/// Shown to a reviewer whose pull request got new commits.
const MOVED: &str = "The branch has new commits: look at the changes again, then send the review.";

#[derive(Clone, Deserialize)]
pub struct NewComment {
    pub path: String,
    #[serde(default)]
    pub side: Side,
    pub start_line: Option<u64>,
    pub line: u64,
    pub body: String,
}

impl NewComment {
    pub fn on_line(path: String, line: u64, body: String) -> Self {
        Self { path, side: Side::Right, start_line: None, line, body }
    }
}

#[derive(Debug)]
pub enum Rejection {
    Unprocessable(String),
    Forbidden(&'static str),
    NotFound,
    Internal(Error),
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self::Internal(error)
    }
}

fn unprocessable<T>(message: &str) -> Result<T, Rejection> {
    Err(Rejection::Unprocessable(message.to_owned()))
}

/// Reviews the newest commit, or an earlier one without a verdict. Idempotent: by the key, if there is one.
pub async fn create_review(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    number: u64,
    new: NewReview,
) -> Result<(ReviewRecord, Box<Pull>), Rejection> {
    let pull = pulls::find(entry, number).await?.ok_or(Rejection::NotFound)?;
    // Before the checks: a repeat must succeed after the branch moved.
    if let Some(first) = find_earlier_review(&pull.record, actor.account.id, &new).cloned() {
        return Ok((first, Box::new(pull)));
    }
    check_verdict(pull.record.author_id, actor, &new)?;
    let commit = new.head.clone().unwrap_or_else(|| pull.head_sha.clone());
    let has_moved = commit != pull.head_sha;
    if has_moved && !(new.verdict == Verdict::Comment && is_earlier_commit(shared, entry, &pull, &commit).await?) {
        return unprocessable(MOVED);
    }
    let now = shared.clock.now_unique();
    let review = ReviewRecord {
        id: shared.ids.next()?,
        author: actor.account.clone(),
        body: new.body.clone(),
        state: new.verdict.state(),
        commit,
        submitted_at: now.clone(),
        updated_at: now,
        dismissed: None,
        key: new.key.clone(),
    };
    let mut comments = Vec::new();
    for comment in &new.comments {
        comments.push(new_line_comment(shared, entry, &pull, &review, comment.clone()).await?);
    }
    if has_moved {
        pushes::update_comments(shared, entry, &mut comments, &pull.head_sha).await?;
    }
    let stored = review.clone();
    let changed = pulls::update_record(shared, entry, number, |pull| {
        if let Some(first) = find_earlier_review(pull, stored.author.id, &new) {
            return Ok(Some(first.clone()));
        }
        pull.complete_review_request(stored.author.id);
        pull.reviews.push(stored);
        pull.comments.extend(comments);
        Ok::<_, Rejection>(None)
    });
    let (first, pull) = changed.await?.ok_or(Rejection::NotFound)?;
    if let Some(first) = first {
        return Ok((first, pull));
    }
    publish(shared, entry, actor, &pull, &review).await;
    Ok((review, pull))
}

/// Whether the pull request still contains a commit that was its newest. A verdict about it would be outdated; comments
/// are as useful as before.
async fn is_earlier_commit(shared: &Shared, entry: &RepositoryEntry, pull: &Pull, commit: &str) -> Result<bool, Error> {
    let (git, dir) = (&shared.git, &entry.git_dir);
    Ok(git.is_commit(dir, commit).await? && git.is_ancestor(dir, commit, &pull.head_sha).await?)
}

/// The review that an earlier request with the same key and content has created.
fn find_earlier_review<'a>(pull: &'a PullRecord, author: u64, new: &NewReview) -> Option<&'a ReviewRecord> {
    let key = Some(new.key.as_deref()?);
    let comments = |review: u64| {
        let of_review = pull.comments.iter().filter(move |comment| comment.review == review);
        let first = of_review.filter(|comment| comment.in_reply_to.is_none());
        first.map(|comment| (comment.path.as_str(), comment.original_line, comment.body.as_str()))
    };
    let new_comments =
        || new.comments.iter().map(|comment| (comment.path.as_str(), comment.line, comment.body.as_str()));
    pull.reviews.iter().find(|review| {
        (review.author.id, review.key.as_deref()) == (author, key)
            && (review.state, review.body.as_str()) == (new.verdict.state(), new.body.as_str())
            && comments(review.id).eq(new_comments())
    })
}

fn check_verdict(author: u64, actor: &Actor, new: &NewReview) -> Result<(), Rejection> {
    let is_own = author == actor.account.id;
    match new.verdict {
        Verdict::Approve if is_own => unprocessable("Review Can not approve your own pull request"),
        Verdict::RequestChanges if is_own => unprocessable("Review Can not request changes on your own pull request"),
        Verdict::RequestChanges | Verdict::Comment if new.body.trim().is_empty() && new.comments.is_empty() => {
            unprocessable("Review Body can't be blank")
        }
        _ => Ok(()),
    }
}

/// `part` is as on GitHub; a review has many comments, so the rest names the one to change.
fn unresolved<T>(part: &str, comment: &NewComment) -> Result<T, Rejection> {
    let path: String = comment.path.chars().take(MAX_SHOWN_CHARS).collect();
    unprocessable(&format!(
        "{part} could not be resolved: the changes do not show {path}:{}. Delete this comment, or write it at another line",
        comment.line
    ))
}

/// Refuses other pathspecs: git would interpret `.` as all files.
fn is_plain_path(path: &str) -> bool {
    path.len() <= MAX_PATH_BYTES
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !path.chars().any(char::is_control)
}

async fn new_line_comment(
    shared: &Shared,
    entry: &RepositoryEntry,
    pull: &Pull,
    review: &ReviewRecord,
    new: NewComment,
) -> Result<LineCommentRecord, Rejection> {
    if new.body.trim().is_empty() {
        return unprocessable("Review comment Body can't be blank");
    }
    if !is_plain_path(&new.path) {
        return unresolved("Path", &new);
    }
    let file_diff = shared.git.file_diff(&entry.git_dir, &pull.base_sha, &review.commit, &new.path).await?;
    if file_diff.is_empty() {
        return unresolved("Path", &new);
    }
    let Some(hunk) = diff::find_hunk(&file_diff, new.side, new.line) else { return unresolved("Line", &new) };
    if new.start_line.is_some_and(|start| !(hunk.start..new.line).contains(&start)) {
        return unresolved("Start line", &new);
    }
    let now = review.updated_at.clone();
    Ok(LineCommentRecord {
        id: shared.ids.next()?,
        review: review.id,
        in_reply_to: None,
        author: review.author.clone(),
        body: new.body,
        path: new.path,
        side: new.side,
        line: Some(new.line),
        start_line: new.start_line,
        original_line: new.line,
        commit: review.commit.clone(),
        original_commit: review.commit.clone(),
        created_at: now.clone(),
        updated_at: now,
    })
}

pub async fn publish(shared: &Arc<Shared>, entry: &RepositoryEntry, actor: &Actor, pull: &Pull, review: &ReviewRecord) {
    events::publish_review(shared, entry, actor, pull, review, ("submitted", json!({}))).await;
    for comment in pull.record.comments.iter().filter(|comment| comment.review == review.id) {
        events::publish_line_comment(shared, entry, actor, pull, comment, ("created", json!({}))).await;
    }
}
