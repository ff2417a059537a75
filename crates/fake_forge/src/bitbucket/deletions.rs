//! Deletes the caller's own comments. Bitbucket still lists a deleted comment with its replies; GitHub's API drops it
//! and a thread that it started.

use std::sync::Arc;

use serde_json::json;

use pullyard_local_forge::access::Actor;
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::record::{DeletedRecord, LineCommentRecord};
use pullyard_local_forge::repositories::RepositoryEntry;
use pullyard_local_forge::reviews::Rejection;
use pullyard_local_forge::{events, pulls};

pub(crate) async fn delete(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, id): (u64, u64),
) -> Result<(), Rejection> {
    let pull = pulls::find(entry, number).await?.ok_or(Rejection::NotFound)?.record;
    if pull.notes.iter().any(|note| note.id == id) {
        return delete_note(shared, entry, actor, (number, id)).await;
    }
    delete_line_comment(shared, entry, actor, (number, id)).await
}

fn check_own(author: u64, actor: &Actor) -> Result<(), Rejection> {
    match author == actor.account.id {
        true => Ok(()),
        false => Err(Rejection::Forbidden("You can only delete your own comments")),
    }
}

async fn delete_note(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, id): (u64, u64),
) -> Result<(), Rejection> {
    let changed = pulls::update_record(shared, entry, number, |pull| {
        let note = pull.notes.iter().find(|note| note.id == id).cloned().ok_or(Rejection::NotFound)?;
        check_own(note.author.id, actor)?;
        let deleted = DeletedRecord {
            id,
            parent: pull.parents.get(&id).copied(),
            author: note.author.clone(),
            created_at: note.created_at.clone(),
            updated_at: shared.clock.now_unique(),
            line: None,
        };
        pull.notes.retain(|known| known.id != id);
        pull.deleted.push(deleted);
        Ok::<_, Rejection>(note)
    });
    let (note, pull) = changed.await?.ok_or(Rejection::NotFound)?;
    events::publish_issue_comment(shared, entry, actor, &pull, &note, ("deleted", json!({}))).await;
    Ok(())
}

async fn delete_line_comment(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, id): (u64, u64),
) -> Result<(), Rejection> {
    let changed = pulls::update_record(shared, entry, number, |pull| {
        let comment = pull.comments.iter().find(|comment| comment.id == id).cloned().ok_or(Rejection::NotFound)?;
        check_own(comment.author.id, actor)?;
        let deleted = DeletedRecord {
            id,
            parent: pull.parents.get(&id).copied().or(comment.in_reply_to),
            author: comment.author.clone(),
            created_at: comment.created_at.clone(),
            updated_at: shared.clock.now_unique(),
            line: Some(LineCommentRecord { body: String::new(), ..comment.clone() }),
        };
        pull.comments.retain(|known| known.id != id);
        pull.deleted.push(deleted);
        Ok::<_, Rejection>(comment)
    });
    let (comment, pull) = changed.await?.ok_or(Rejection::NotFound)?;
    events::publish_line_comment(shared, entry, actor, &pull, &comment, ("deleted", json!({}))).await;
    Ok(())
}
