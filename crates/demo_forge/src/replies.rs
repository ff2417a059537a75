//! Creates replies to comments on lines. On GitHub all replies belong to the first comment of the thread.

use std::sync::Arc;

use crate::{
    access::Actor,
    forge_state::Shared,
    pulls::{self},
    record::{LineCommentRecord, Pull, ReviewRecord, ReviewState},
    repositories::RepositoryEntry,
    reviews::{Rejection, publish, require_updated},
};

/// A reply also creates an empty review, as on GitHub.
pub async fn create_reply(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, first): (u64, u64),
    body: String,
) -> Result<(LineCommentRecord, Box<Pull>), Rejection> {
    create_line_reply(shared, entry, actor, (number, first, None), body).await
}

pub async fn create_line_reply(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, first, parent): (u64, u64, Option<u64>),
    body: String,
) -> Result<(LineCommentRecord, Box<Pull>), Rejection> {
    let (review_id, id, now) = (shared.ids.next()?, shared.ids.next()?, shared.clock.now_unique());
    let changed = pulls::update_record(shared, entry, number, |pull| {
        let pending: Vec<u64> =
            pull.reviews.iter().filter(|review| review.state == ReviewState::Pending).map(|review| review.id).collect();
        // The first comment may be deleted, but every comment of the thread has the line.
        let before = pull
            .comments
            .iter()
            .find(|comment| comment.thread() == first && !pending.contains(&comment.review))
            .ok_or(Rejection::NotFound)?;
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
            submitted_at: Some(now.clone()),
            updated_at: now,
            dismissed: None,
        };
        let answers_an_answer = parent.filter(|parent| *parent != first);
        pull.parents.extend(answers_an_answer.map(|parent| (id, parent)));
        pull.reviews.push(review.clone());
        pull.comments.push(comment.clone());
        Ok::<_, Rejection>((review, comment))
    });
    let ((review, comment), pull) = require_updated(changed.await?)?;
    publish(shared, entry, actor, &pull, &review).await;
    Ok((comment, pull))
}
