//! Creates replies to comments on lines. On GitHub all replies belong to the first comment of the thread.

use std::sync::Arc;

use crate::{
    access::Actor,
    forge_state::Shared,
    pulls,
    record::{LineCommentRecord, Pull, ReviewRecord, ReviewState},
    repositories::RepositoryEntry,
    reviews::{Rejection, publish},
};

/// A reply also creates an empty review, as on GitHub. `parent` is Bitbucket's: the comment that the reply answers.
pub async fn create_reply(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, first, parent): (u64, u64, Option<u64>),
    body: String,
) -> Result<(LineCommentRecord, Box<Pull>), Rejection> {
    let (review_id, id, now) = (shared.ids.next()?, shared.ids.next()?, shared.clock.now_unique());
    let changed = pulls::update_record(shared, entry, number, |pull| {
        // The first comment may be deleted, but every comment of the thread has the line.
        let before = pull.comments.iter().find(|comment| comment.thread() == first).ok_or(Rejection::NotFound)?;
        let comment = LineCommentRecord {
            id,
            review: review_id,
            in_reply_to: Some(first),
            author: actor.account.clone(),
            body,
            created_at: now.clone(),
            updated_at: now.clone(),
            ..before.clone()
        };
        let review = ReviewRecord {
            id: review_id,
            author: actor.account.clone(),
            body: String::new(),
            state: ReviewState::Commented,
            commit: comment.commit.clone(),
            submitted_at: now.clone(),
            updated_at: now,
            dismissed: None,
            key: None,
        };
        pull.parents.extend(parent.filter(|parent| *parent != first).map(|parent| (id, parent)));
        pull.reviews.push(review.clone());
        pull.comments.push(comment.clone());
        Ok::<_, Rejection>((review, comment))
    });
    let ((review, comment), pull) = changed.await?.ok_or(Rejection::NotFound)?;
    publish(shared, entry, actor, &pull, &review).await;
    Ok((comment, pull))
}
