//! Reads a pull request and its reviews from the forge, as domain types.

use crate::Error;
use pullyard_domain::kinds::prompt::review::{
    FrozenComment, FrozenReview, KnownComments, Omitted, ReviewContext, ReviewedPullRequest,
};
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::review::report::review_output::Side as FrozenSide;
use pullyard_domain::review::{Review, ReviewState};
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use pullyard_forge as forge;
use pullyard_forge::{Forge, Lines, ReviewComment, Side};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// An update this soon after submission comes from the forge and is not an edit.
const UPDATE_TOLERANCE: Duration = Duration::from_secs(2);

pub(super) enum ReadError {
    Closed(PullRequestState),
    Dismissed,
    /// All reviews are empty. On Bitbucket the text may follow the verdict. An agent without instructions wastes money.
    Empty {
        submitted_at: Timestamp,
    },
    Failed(Error),
}

impl From<forge::Error> for ReadError {
    fn from(error: forge::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Error> for ReadError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

pub(super) async fn read_pull_request(
    forge: &Forge,
    repository: &str,
    number: u64,
) -> Result<forge::PullRequest, ReadError> {
    let pull = forge.pull_request(repository, number).await?;
    match state_of(pull.state) {
        PullRequestState::Open => Ok(pull),
        state => Err(ReadError::Closed(state)),
    }
}

/// Reads reviews that request changes and have no job or an `unfinished` one. A user's request means these.
pub(super) async fn load_unanswered_reviews(
    forge: &Forge,
    repository: &str,
    number: u64,
    stored: &[Review],
    unfinished: &BTreeSet<JobId>,
) -> Result<Vec<forge::Review>, ReadError> {
    let listed = forge.reviews(repository, number).await?;
    let asks = |review: &forge::Review| review.state == forge::ReviewState::ChangesRequested;
    Ok(listed.items.into_iter().filter(|review| asks(review) && !is_assigned(review.id, stored, unfinished)).collect())
}

/// Reads the `covered` reviews with all comments. Omits dismissed reviews and comments that an earlier agent received.
pub(super) async fn read_reviews(
    forge: &Forge,
    repository: &str,
    pull: forge::PullRequest,
    covered: &[Review],
    known: &KnownComments,
) -> Result<ReviewContext, ReadError> {
    let number = pull.number;
    let review_ids = covered.iter().filter(|review| review.request.is_none());
    let review_ids: Vec<u64> = review_ids.filter_map(forge_id).collect();
    let mut reviews = Vec::new();
    let mut omitted = Omitted::default();
    for id in &review_ids {
        let review =
            forge.review(repository, number, *id).await?.filter_parts(|comment, text| known.contains(comment, text));
        if review.state == forge::ReviewState::Dismissed {
            continue;
        }
        let mut comments = forge.review_comments(repository, number, *id).await?;
        comments.items.retain(|comment| !known.contains(comment.id, &comment.body));
        omitted.comments += u32::from(comments.truncated);
        reviews.push(to_frozen_review(review, comments.items));
    }
    // A user's request is an instruction in itself.
    if !review_ids.is_empty() && covered.iter().all(|review| review.request.is_none()) {
        if reviews.is_empty() {
            return Err(ReadError::Dismissed);
        }
        if let Some(submitted_at) = reviews.iter().map(|review| review.submitted_at).max()
            && reviews.iter().all(is_empty_review)
            && omitted.comments == 0
        {
            return Err(ReadError::Empty { submitted_at });
        }
    }
    resolve_threads(&mut reviews);
    Ok(ReviewContext {
        pull_request: ReviewedPullRequest {
            number,
            url: pull.url,
            title: pull.title,
            branch: pull.head_branch,
            base: pull.base_branch,
            head: pull.head_sha,
        },
        reviews,
        cut: (omitted != Omitted::default()).then_some(omitted),
    })
}

fn is_empty_review(review: &FrozenReview) -> bool {
    review.summary.trim().is_empty() && review.comments.is_empty()
}

fn forge_id(review: &Review) -> Option<u64> {
    review.id.as_str().parse().ok()
}

fn is_assigned(id: u64, all: &[Review], unfinished: &BTreeSet<JobId>) -> bool {
    let stored = all.iter().find(|review| forge_id(review) == Some(id));
    stored.is_some_and(|review| match &review.state {
        ReviewState::Refused { .. } => false,
        ReviewState::Started { job } => !unfinished.contains(job),
        ReviewState::Deferred {} | ReviewState::Absorbed { .. } => true,
    })
}

pub(super) fn state_of(state: forge::PullRequestState) -> PullRequestState {
    match state {
        forge::PullRequestState::Open => PullRequestState::Open,
        forge::PullRequestState::Closed => PullRequestState::Closed,
        forge::PullRequestState::Merged => PullRequestState::Merged,
    }
}

pub(crate) fn time_of(time: forge::Time) -> Timestamp {
    Timestamp::from_millis(time.millis())
}

fn login(actor: Option<&forge::Actor>) -> String {
    actor.map_or_else(|| "a deleted account".into(), |actor| actor.login.clone())
}

fn to_frozen_review(review: forge::Review, comments: Vec<ReviewComment>) -> FrozenReview {
    let submitted_at = review.submitted_at.map_or(Timestamp::from_millis(0), time_of);
    let is_changed = |at: forge::Time, since: Timestamp| time_of(at) > since.plus(UPDATE_TOLERANCE);
    FrozenReview {
        id: review.id,
        author: login(review.author.as_ref()),
        submitted_at,
        url: review.url,
        summary: review.body,
        said: review.parts.into_iter().map(|part| part.comment).collect(),
        comments: comments
            .into_iter()
            .map(|comment| {
                let (original, start_line, line) = match comment.lines {
                    Lines::File => (false, None, None),
                    Lines::Current { start, end } => (false, start, Some(end)),
                    Lines::Original { start, end } => (true, start, Some(end)),
                };
                FrozenComment {
                    id: comment.id,
                    thread: comment.in_reply_to.unwrap_or(comment.id),
                    path: comment.path,
                    line,
                    original,
                    start_line,
                    side: match comment.side {
                        Side::Left => FrozenSide::Left,
                        Side::Right => FrozenSide::Right,
                    },
                    author: login(comment.author.as_ref()),
                    text: comment.body,
                    // On Bitbucket a comment may be created after its verdict.
                    edited: is_changed(comment.updated_at, submitted_at.max(time_of(comment.created_at))),
                    url: comment.url,
                }
            })
            .collect(),
    }
}

/// Replies to replies belong to the thread of the first comment.
fn resolve_threads(reviews: &mut [FrozenReview]) {
    let parents: HashMap<u64, u64> =
        reviews.iter().flat_map(|review| &review.comments).map(|comment| (comment.id, comment.thread)).collect();
    for comment in reviews.iter_mut().flat_map(|review| &mut review.comments) {
        for _ in 0..parents.len() {
            match parents.get(&comment.thread) {
                Some(parent) if *parent != comment.thread => comment.thread = *parent,
                _ => break,
            }
        }
    }
}
