//! Replies to any comment. GitHub has replies only in threads on lines.

use std::sync::Arc;

use pullyard_demo_forge::{
    access::Actor,
    notes,
    pulls::{self},
    record::{LineCommentRecord, Pull, ReviewRecord},
    replies::on_a_line,
    repositories::Entry,
    reviews::Objection,
    shared::Shared,
};

/// Creates a reply and returns its id.
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
    // A review body is a comment in Bitbucket's API.
    let is_summary = |review: &ReviewRecord| review.submitted_at.is_some() && !review.body.trim().is_empty();
    let is_there = record.notes.iter().any(|note| note.id == parent)
        || record.reviews.iter().any(|review| review.id == parent && is_summary(review));
    if !is_there {
        return Err(Objection::NotFound);
    }
    let (note, pull) = notes::write_below(shared, entry, actor, (number, Some(parent)), body).await?;
    Ok((note.id, pull))
}
