//! Creates and edits comments on a whole pull request; only Bitbucket has replies to them.

use std::sync::Arc;

use serde_json::json;

use crate::{
    access::Actor,
    events,
    forge_state::Shared,
    pulls,
    record::{IssueCommentRecord, Pull},
    repositories::RepositoryEntry,
    reviews::Rejection,
};

pub struct NewNote {
    pub number: u64,
    /// Bitbucket's: the comment that this one answers.
    pub parent: Option<u64>,
    pub body: String,
    pub key: Option<String>,
}

/// Idempotent: by the key, if there is one.
pub async fn create(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    NewNote { number, parent, body, key }: NewNote,
) -> Result<(IssueCommentRecord, Box<Pull>), Rejection> {
    let (id, author, now) = (shared.ids.next()?, actor.account.clone(), shared.clock.now_unique());
    let note = IssueCommentRecord { id, author, body, created_at: now.clone(), updated_at: now, key };
    let changed = pulls::update_record(shared, entry, number, |pull| {
        if let Some(first) = pull.find_note(&note) {
            return Ok(Some(first.clone()));
        }
        pull.parents.extend(parent.map(|parent| (id, parent)));
        pull.notes.push(note.clone());
        Ok::<_, Rejection>(None)
    });
    let (first, pull) = changed.await?.ok_or(Rejection::NotFound)?;
    if let Some(first) = first {
        return Ok((first, pull));
    }
    events::publish_issue_comment(shared, entry, actor, &pull, &note, ("created", json!({}))).await;
    Ok((note, pull))
}

pub async fn edit_note(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, id): (u64, u64),
    body: String,
) -> Result<(IssueCommentRecord, Box<Pull>), Rejection> {
    let changed = pulls::update_record(shared, entry, number, |pull| {
        let note = pull.notes.iter_mut().find(|note| note.id == id).ok_or(Rejection::NotFound)?;
        if note.author.id != actor.account.id {
            return Err(Rejection::Forbidden("You can only change your own comments"));
        }
        let before = std::mem::replace(&mut note.body, body);
        note.updated_at = shared.clock.now_unique();
        Ok((note.clone(), before))
    });
    let ((note, before), pull) = changed.await?.ok_or(Rejection::NotFound)?;
    let more = json!({ "changes": { "body": { "from": before } } });
    events::publish_issue_comment(shared, entry, actor, &pull, &note, ("edited", more)).await;
    Ok((note, pull))
}
