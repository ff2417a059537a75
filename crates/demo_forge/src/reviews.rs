//! Creates, edits and dismisses reviews; checks permissions and commented lines.

use std::sync::Arc;

use serde_json::json;

use crate::{
    Error,
    access::Actor,
    diff::DiffLocation,
    events,
    forge_state::Shared,
    pulls::{self, UpdateOutcome},
    record::{LineCommentRecord, Pull, PullRecord, ReviewRecord, ReviewState, Side},
    repositories::RepositoryEntry,
};

/// Near the limits of file systems and program arguments.
const MAX_PATH_BYTES: usize = 4096;

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
    pub verdict: Option<Verdict>,
    pub body: String,
    pub commit: Option<String>,
    pub comments: Vec<NewComment>,
}

pub struct NewComment {
    pub path: String,
    pub body: String,
    pub position: CommentPosition,
    pub start_line: Option<u64>,
}

#[derive(Clone, Copy)]
pub enum CommentPosition {
    Line(Side, u64),
    Position(u64),
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

fn unprocessable(message: &str) -> Rejection {
    Rejection::Unprocessable(message.to_owned())
}

pub fn require_updated<T>(touched: UpdateOutcome<T>) -> Result<(T, Box<Pull>), Rejection> {
    match touched {
        UpdateOutcome::Updated(value, pull) => Ok((value, pull)),
        UpdateOutcome::Missing => Err(Rejection::NotFound),
    }
}

pub async fn create_review(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    number: u64,
    new: NewReview,
) -> Result<(ReviewRecord, Box<Pull>), Rejection> {
    let pull = pulls::find(shared, entry, number).await?.ok_or(Rejection::NotFound)?;
    let commit = resolve_commit(shared, entry, &pull, new.commit.as_deref()).await?;
    if let Some(verdict) = new.verdict {
        check_verdict(pull.record.author_id, actor, verdict, !new.body.trim().is_empty() || !new.comments.is_empty())?;
    }
    let now = shared.clock.now_unique();
    let review = ReviewRecord {
        id: shared.ids.next()?,
        author: actor.account.clone(),
        body: new.body,
        state: new.verdict.map_or(ReviewState::Pending, Verdict::state),
        commit: commit.clone(),
        submitted_at: new.verdict.map(|_| now.clone()),
        updated_at: now,
        dismissed: None,
    };
    let mut comments = Vec::new();
    for comment in new.comments {
        comments.push(new_line_comment(shared, entry, &pull, &review, comment).await?);
    }
    let (stored, added) = (review.clone(), comments.clone());
    let changed = pulls::update_record(shared, entry, number, |pull| {
        let pending =
            |existing: &ReviewRecord| existing.state == ReviewState::Pending && existing.author.id == stored.author.id;
        if stored.state == ReviewState::Pending && pull.reviews.iter().any(pending) {
            return Err(unprocessable("User can only have one pending review per pull request"));
        }
        if stored.state != ReviewState::Pending {
            pull.complete_review_request(stored.author.id);
        }
        pull.reviews.push(stored);
        pull.comments.extend(added);
        Ok(())
    });
    let ((), pull) = require_updated(changed.await?)?;
    if review.state != ReviewState::Pending {
        publish(shared, entry, actor, &pull, &review).await;
    }
    Ok((review, pull))
}

pub async fn submit(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, id): (u64, u64),
    (verdict, body): (Verdict, Option<String>),
) -> Result<(ReviewRecord, Box<Pull>), Rejection> {
    let changed = pulls::update_record(shared, entry, number, |pull| {
        let has_comments = pull.comments.iter().any(|comment| comment.review == id);
        let author = pull.author_id;
        let review = own_review(pull, actor, id)?;
        if review.state != ReviewState::Pending {
            return Err(unprocessable("Could not submit a review that was submitted already"));
        }
        if let Some(body) = body {
            review.body = body;
        }
        let says_something = has_comments || !review.body.trim().is_empty();
        check_verdict(author, actor, verdict, says_something)?;
        review.state = verdict.state();
        review.updated_at = shared.clock.now_unique();
        review.submitted_at = Some(review.updated_at.clone());
        let review = review.clone();
        pull.complete_review_request(actor.account.id);
        Ok(review)
    });
    let (review, pull) = require_updated(changed.await?)?;
    publish(shared, entry, actor, &pull, &review).await;
    Ok((review, pull))
}

pub async fn discard(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, id): (u64, u64),
) -> Result<(ReviewRecord, Box<Pull>), Rejection> {
    let changed = pulls::update_record(shared, entry, number, |pull| {
        let review = own_review(pull, actor, id)?.clone();
        if review.state != ReviewState::Pending {
            return Err(unprocessable("Can not delete a non-pending pull request review"));
        }
        pull.reviews.retain(|existing| existing.id != id);
        pull.comments.retain(|comment| comment.review != id);
        Ok(review)
    });
    require_updated(changed.await?)
}

pub async fn edit(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, id): (u64, u64),
    body: String,
) -> Result<(ReviewRecord, Box<Pull>), Rejection> {
    let changed = pulls::update_record(shared, entry, number, |pull| {
        let review = own_review(pull, actor, id)?;
        let before = std::mem::replace(&mut review.body, body);
        review.updated_at = shared.clock.now_unique();
        Ok::<_, Rejection>((review.clone(), before))
    });
    let ((review, before), pull) = require_updated(changed.await?)?;
    if review.state != ReviewState::Pending {
        let more = json!({ "changes": { "body": { "from": before } } });
        events::publish_review(shared, entry, actor, &pull, &review, ("edited", more)).await;
    }
    Ok((review, pull))
}

pub async fn dismiss(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, id): (u64, u64),
) -> Result<(ReviewRecord, Box<Pull>), Rejection> {
    let changed = pulls::update_record(shared, entry, number, |pull| {
        let review = pull.reviews.iter_mut().find(|review| review.id == id).ok_or(Rejection::NotFound)?;
        let word = match review.state {
            ReviewState::Approved | ReviewState::ChangesRequested => None,
            ReviewState::Commented => Some("commented"),
            ReviewState::Dismissed => Some("dismissed"),
            ReviewState::Pending => Some("pending"),
        };
        if let Some(word) = word {
            return Err(Rejection::Unprocessable(format!("Can not dismiss a {word} pull request review")));
        }
        review.dismiss(shared.clock.now_unique());
        Ok(review.clone())
    });
    let (review, pull) = require_updated(changed.await?)?;
    events::publish_review(shared, entry, actor, &pull, &review, ("dismissed", json!({}))).await;
    Ok((review, pull))
}

/// Also creates a review, as on GitHub.
pub async fn create_comment(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, commit): (u64, String),
    new: NewComment,
) -> Result<(LineCommentRecord, Box<Pull>), Rejection> {
    let commit = Some(commit);
    let new = NewReview { verdict: Some(Verdict::Comment), body: String::new(), commit, comments: vec![new] };
    let (review, pull) = create_review(shared, entry, actor, number, new).await?;
    let comment = pull.record.comments.iter().find(|comment| comment.review == review.id).cloned();
    Ok((comment.ok_or(Rejection::NotFound)?, pull))
}

fn own_review<'a>(pull: &'a mut PullRecord, actor: &Actor, id: u64) -> Result<&'a mut ReviewRecord, Rejection> {
    let review = pull.reviews.iter_mut().find(|review| review.id == id).ok_or(Rejection::NotFound)?;
    if review.author.id == actor.account.id {
        return Ok(review);
    }
    match review.state {
        ReviewState::Pending => Err(Rejection::NotFound),
        _ => Err(Rejection::Forbidden("You can only change your own reviews")),
    }
}

fn check_verdict(author: u64, actor: &Actor, verdict: Verdict, says_something: bool) -> Result<(), Rejection> {
    let own = author == actor.account.id;
    match verdict {
        Verdict::Approve if own => Err(unprocessable("Review Can not approve your own pull request")),
        Verdict::RequestChanges if own => Err(unprocessable("Review Can not request changes on your own pull request")),
        Verdict::RequestChanges | Verdict::Comment if !says_something => {
            Err(unprocessable("Review Body can't be blank"))
        }
        _ => Ok(()),
    }
}

async fn resolve_commit(
    shared: &Shared,
    entry: &RepositoryEntry,
    pull: &Pull,
    named: Option<&str>,
) -> Result<String, Rejection> {
    let Some(named) = named else { return Ok(pull.head_sha.clone()) };
    let git_dir = entry.git_dir();
    if !shared.git.is_commit(&git_dir, named).await? || !shared.git.is_ancestor(&git_dir, named, &pull.head_sha).await?
    {
        return Err(unprocessable("The commit_id is not part of the pull request"));
    }
    Ok(named.to_owned())
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
        return Err(unprocessable("Review comment Body can't be blank"));
    }
    if !is_plain_path(&new.path) {
        return Err(unprocessable("Path could not be resolved"));
    }
    let diff = shared.git.file_diff(&entry.git_dir(), &pull.base_sha, &review.commit, &new.path).await?;
    if diff.is_empty() {
        return Err(unprocessable("Path could not be resolved"));
    }
    let spot = match new.position {
        CommentPosition::Line(side, line) => diff.at_line(side, line),
        CommentPosition::Position(position) => diff.at_position(position),
    };
    let DiffLocation { side, line, position, hunk } =
        spot.ok_or_else(|| unprocessable("Line could not be resolved"))?;
    let start_fits = |start: u64| start < line && diff.at_line(side, start).is_some();
    if new.start_line.is_some_and(|start| !start_fits(start)) {
        return Err(unprocessable("Start line could not be resolved"));
    }
    let now = review.updated_at.clone();
    Ok(LineCommentRecord {
        id: shared.ids.next()?,
        review: review.id,
        in_reply_to: None,
        author: review.author.clone(),
        body: new.body,
        path: new.path,
        side,
        line: Some(line),
        start_line: new.start_line,
        original_line: line,
        original_start_line: new.start_line,
        position: Some(position),
        original_position: position,
        diff_hunk: hunk,
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
