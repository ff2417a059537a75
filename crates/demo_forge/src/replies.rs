//! What an answer to a comment makes, whichever face it is written through. GitHub has answers in threads on lines,
//! each to the first comment; Bitbucket has them to any comment.

use std::sync::Arc;

use crate::{
    access::Actor,
    forge::Shared,
    notes,
    pulls::{self, Pull},
    record::{LineCommentRecord, ReviewRecord, ReviewState},
    repositories::Entry,
    reviews::{Objection, announce, touched},
};

/// An answer in a thread, named by its first comment. It makes a review that says nothing, as on GitHub.
pub(crate) async fn in_thread(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    (number, first): (u64, u64),
    body: String,
) -> Result<(LineCommentRecord, Box<Pull>), Objection> {
    on_a_line(shared, entry, actor, (number, first, None), body).await
}

/// An answer to any comment. Gives its id.
pub(crate) async fn to_any(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    (number, parent): (u64, u64),
    body: String,
) -> Result<(u64, Box<Pull>), Objection> {
    let record = pulls::find(shared, entry, number).await?.ok_or(Objection::NotFound)?.record;
    let thread = record.comments.iter().find(|comment| comment.id == parent).map(LineCommentRecord::thread);
    if let Some(thread) = thread {
        let of = (number, thread, Some(parent));
        let (comment, pull) = on_a_line(shared, entry, actor, of, body).await?;
        return Ok((comment.id, pull));
    }
    // On Bitbucket's face a review's summary is a comment on the whole.
    let is_summary = |review: &ReviewRecord| review.submitted_at.is_some() && !review.body.trim().is_empty();
    let is_there = record.notes.iter().any(|note| note.id == parent)
        || record.reviews.iter().any(|review| review.id == parent && is_summary(review));
    if !is_there {
        return Err(Objection::NotFound);
    }
    let (note, pull) = notes::write_below(shared, entry, actor, (number, Some(parent)), body).await?;
    Ok((note.id, pull))
}

async fn on_a_line(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    (number, first, parent): (u64, u64, Option<u64>),
    body: String,
) -> Result<(LineCommentRecord, Box<Pull>), Objection> {
    let (review_id, id, now) = (shared.ids.next()?, shared.ids.next()?, shared.clock.moment());
    let changed = pulls::touch(shared, entry, number, |pull| {
        let pending: Vec<u64> =
            pull.reviews.iter().filter(|review| review.state == ReviewState::Pending).map(|review| review.id).collect();
        // The first comment may have been deleted: then any other of its thread knows the place.
        let before = pull
            .comments
            .iter()
            .find(|comment| comment.thread() == first && !pending.contains(&comment.review))
            .ok_or(Objection::NotFound)?;
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
        Ok::<_, Objection>((review, comment))
    });
    let ((review, comment), pull) = touched(changed.await?)?;
    announce(shared, entry, actor, &pull, &review).await;
    Ok((comment, pull))
}
