//! Creates and edits comments on a whole pull request; only Bitbucket has replies to them.

use std::sync::Arc;

use serde_json::json;

use crate::{
    access::Actor,
    events,
    pulls::{self},
    record::{NoteRecord, Pull},
    repositories::Entry,
    reviews::{Objection, touched},
    shared::Shared,
};

pub async fn write(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    number: u64,
    body: String,
) -> Result<(NoteRecord, Box<Pull>), Objection> {
    write_below(shared, entry, actor, (number, None), body).await
}

pub async fn write_below(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    (number, parent): (u64, Option<u64>),
    body: String,
) -> Result<(NoteRecord, Box<Pull>), Objection> {
    let (id, author, now) = (shared.ids.next()?, actor.account.clone(), shared.clock.moment());
    let note = NoteRecord { id, author, body, created_at: now.clone(), updated_at: now };
    let changed = pulls::touch(shared, entry, number, |pull| {
        pull.parents.extend(parent.map(|parent| (id, parent)));
        pull.notes.push(note.clone());
        Ok::<_, Objection>(())
    });
    let ((), pull) = touched(changed.await?)?;
    events::note(shared, entry, actor, &pull, &note, ("created", json!({}))).await;
    Ok((note, pull))
}

pub async fn reword(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    (number, id): (u64, u64),
    body: String,
) -> Result<(NoteRecord, Box<Pull>), Objection> {
    let changed = pulls::touch(shared, entry, number, |pull| {
        let note = pull.notes.iter_mut().find(|note| note.id == id).ok_or(Objection::NotFound)?;
        if note.author.id != actor.account.id {
            return Err(Objection::Forbidden("You can only change your own comments"));
        }
        let before = std::mem::replace(&mut note.body, body);
        note.updated_at = shared.clock.moment();
        Ok((note.clone(), before))
    });
    let ((note, before), pull) = touched(changed.await?)?;
    let more = json!({ "changes": { "body": { "from": before } } });
    events::note(shared, entry, actor, &pull, &note, ("edited", more)).await;
    Ok((note, pull))
}
