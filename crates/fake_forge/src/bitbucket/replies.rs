//! Replies to any comment. GitHub has replies only in threads on lines.

use std::sync::Arc;

use pullyard_local_forge::access::Actor;
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::issue_comments::{self, NewNote};
use pullyard_local_forge::record::{LineCommentRecord, Pull, ReviewRecord};
use pullyard_local_forge::repositories::RepositoryEntry;
use pullyard_local_forge::reviews::Rejection;
use pullyard_local_forge::{pulls, replies};

pub(crate) async fn create_reply(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, parent): (u64, u64),
    body: String,
) -> Result<(u64, Box<Pull>), Rejection> {
    let record = pulls::find(entry, number).await?.ok_or(Rejection::NotFound)?.record;
    let thread = record.comments.iter().find(|comment| comment.id == parent).map(LineCommentRecord::thread);
    if let Some(thread) = thread {
        let of = (number, thread, Some(parent));
        let (comment, pull) = replies::create_reply(shared, entry, actor, of, body).await?;
        return Ok((comment.id, pull));
    }
    // A review body is a comment in Bitbucket's API.
    let is_summary = |review: &ReviewRecord| !review.body.trim().is_empty();
    let is_there = record.notes.iter().any(|note| note.id == parent)
        || record.reviews.iter().any(|review| review.id == parent && is_summary(review));
    if !is_there {
        return Err(Rejection::NotFound);
    }
    let (note, pull) =
        issue_comments::create(shared, entry, actor, NewNote { number, parent: Some(parent), body, key: None }).await?;
    Ok((note.id, pull))
}
