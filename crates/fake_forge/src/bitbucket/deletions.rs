//! Deletes the caller's own comments. Bitbucket still lists a deleted comment with its replies; GitHub's API drops it
//! and a thread that it started.

use std::sync::Arc;

use serde_json::json;

use pullyard_demo_forge::{
    access::Actor,
    events, pulls,
    record::{DeletedRecord, LineCommentRecord},
    repositories::Entry,
    reviews::{Objection, touched},
    shared::Shared,
};

pub(crate) async fn delete(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    (number, id): (u64, u64),
) -> Result<(), Objection> {
    let pull = pulls::find(shared, entry, number).await?.ok_or(Objection::NotFound)?.record;
    if pull.notes.iter().any(|note| note.id == id) {
        return on_the_whole(shared, entry, actor, (number, id)).await;
    }
    on_a_line(shared, entry, actor, (number, id)).await
}

fn check_own(author: u64, actor: &Actor) -> Result<(), Objection> {
    match author == actor.account.id {
        true => Ok(()),
        false => Err(Objection::Forbidden("You can only delete your own comments")),
    }
}

async fn on_the_whole(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    (number, id): (u64, u64),
) -> Result<(), Objection> {
    let changed = pulls::touch(shared, entry, number, |pull| {
        let note = pull.notes.iter().find(|note| note.id == id).cloned().ok_or(Objection::NotFound)?;
        check_own(note.author.id, actor)?;
        let deleted = DeletedRecord {
            id,
            parent: pull.parents.get(&id).copied(),
            author: note.author.clone(),
            created_at: note.created_at.clone(),
            updated_at: shared.clock.moment(),
            line: None,
        };
        pull.notes.retain(|known| known.id != id);
        pull.deleted.push(deleted);
        Ok::<_, Objection>(note)
    });
    let (note, pull) = touched(changed.await?)?;
    events::note(shared, entry, actor, &pull, &note, ("deleted", json!({}))).await;
    Ok(())
}

async fn on_a_line(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    (number, id): (u64, u64),
) -> Result<(), Objection> {
    let changed = pulls::touch(shared, entry, number, |pull| {
        let comment = pull.comments.iter().find(|comment| comment.id == id).cloned().ok_or(Objection::NotFound)?;
        check_own(comment.author.id, actor)?;
        let deleted = DeletedRecord {
            id,
            parent: pull.parents.get(&id).copied().or(comment.in_reply_to),
            author: comment.author.clone(),
            created_at: comment.created_at.clone(),
            updated_at: shared.clock.moment(),
            line: Some(LineCommentRecord { body: String::new(), ..comment.clone() }),
        };
        pull.comments.retain(|known| known.id != id);
        pull.deleted.push(deleted);
        Ok::<_, Objection>(comment)
    });
    let (comment, pull) = touched(changed.await?)?;
    events::line_comment(shared, entry, actor, &pull, &comment, ("deleted", json!({}))).await;
    Ok(())
}
