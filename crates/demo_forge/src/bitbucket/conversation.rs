//! The routes of a pull request's comments: reading, writing, answering and rewording them.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    body::{self, Content},
    caller::Caller,
    comments::{self, Kept},
    paging::Paging,
    pull_requests,
    refusal::Refusal,
    repositories::Part,
};
use crate::{
    access::{Actor, Need},
    events,
    forge::Shared,
    pulls::{self, Pull, Touched},
    record::{NoteRecord, PullRecord, Side},
    repositories::Entry,
    reviews::{self, At, NewComment},
};

type One = Path<(String, String, String, String)>;

#[derive(Deserialize)]
struct Sent {
    content: Option<Content>,
    parent: Option<Parent>,
    inline: Option<Inline>,
}

#[derive(Deserialize)]
struct Parent {
    id: u64,
}

#[derive(Deserialize)]
struct Inline {
    path: String,
    to: Option<u64>,
    from: Option<u64>,
}

impl Sent {
    fn words(&mut self) -> Result<String, Refusal> {
        let words = self.content.take().and_then(|content| content.raw);
        let words = words.ok_or_else(|| Refusal::missing("content"))?;
        if words.trim().is_empty() { Err(Refusal::field("content", "This field may not be blank.")) } else { Ok(words) }
    }
}

/// The comment of this id as somebody sees it.
fn told(shared: &Shared, entry: &Entry, pull: &PullRecord, viewer: u64, id: u64) -> Result<Json<Value>, Refusal> {
    let all = comments::of(pull, Some(viewer));
    let comment = all.iter().find(|comment| comment.id == id).ok_or_else(Refusal::no_comment)?;
    Ok(Json(comments::shown(shared, entry, pull, comment)))
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): Part,
    paging: Paging,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_READ).await?;
    let pull = pull_requests::find(&shared, &entry, &number).await?.record;
    let all = comments::of(&pull, Some(actor.account.id));
    Ok(paging.answer(&shared, all.iter().map(|comment| comments::shown(&shared, &entry, &pull, comment)).collect()))
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number, id)): One,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_READ).await?;
    let pull = pull_requests::find(&shared, &entry, &number).await?.record;
    told(&shared, &entry, &pull, actor.account.id, parse(&id)?)
}

/// A comment on the whole, a comment on a line, or an answer to either.
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): Part,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_WRITE).await?;
    let mut sent: Sent = body::read(&body)?;
    let words = sent.words()?;
    let pull = pull_requests::find(&shared, &entry, &number).await?;
    let number = pull.record.number;
    let (id, pull) = match (sent.parent, sent.inline) {
        (Some(parent), _) => match thread_of(&pull.record, actor.account.id, parent.id)? {
            Some(first) => {
                let of = (number, first, parent.id);
                let (comment, pull) = reviews::reply_to(&shared, &entry, &actor, of, words).await?;
                (comment.id, pull)
            }
            None => note(&shared, &entry, &actor, number, (Some(parent.id), words)).await?,
        },
        (None, Some(inline)) => {
            let new = NewComment { at: place(&inline)?, path: inline.path, body: words, start_line: None };
            let at = (number, pull.head_sha);
            let (comment, pull) = reviews::comment(&shared, &entry, &actor, at, new).await?;
            (comment.id, pull)
        }
        (None, None) => note(&shared, &entry, &actor, number, (None, words)).await?,
    };
    let told = told(&shared, &entry, &pull.record, actor.account.id, id)?;
    Ok((StatusCode::CREATED, told).into_response())
}

/// The thread of comments on lines that this comment is in, if it is in one.
fn thread_of(pull: &PullRecord, viewer: u64, id: u64) -> Result<Option<u64>, Refusal> {
    let all = comments::of(pull, Some(viewer));
    let comment = all.iter().find(|comment| comment.id == id).ok_or_else(Refusal::no_comment)?;
    Ok(comment.thread())
}

/// `to` is a line of the new file, `from` one of the old one. Comments on a whole file are not kept here.
fn place(inline: &Inline) -> Result<At, Refusal> {
    match (inline.to, inline.from) {
        (Some(line), _) => Ok(At::Line(Side::Right, line)),
        (None, Some(line)) => Ok(At::Line(Side::Left, line)),
        (None, None) => Err(Refusal::field("inline", "the demo forge takes comments on lines only")),
    }
}

async fn note(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    number: u64,
    (parent, body): (Option<u64>, String),
) -> Result<(u64, Box<Pull>), Refusal> {
    let (id, author, now) = (shared.ids.next()?, actor.account.clone(), shared.clock.now());
    let note = NoteRecord { id, parent, author, body, created_at: now.clone(), updated_at: now };
    let changed = pulls::touch(shared, entry, number, |pull| {
        pull.notes.push(note.clone());
        Ok::<_, Refusal>(())
    });
    let ((), pull) = done(changed.await?)?;
    events::note(shared, entry, actor, &pull, &note, ("created", json!({}))).await;
    Ok((id, pull))
}

fn done<T>(touched: Touched<T>) -> Result<(T, Box<Pull>), Refusal> {
    match touched {
        Touched::Done(value, pull) => Ok((value, pull)),
        Touched::Missing => Err(Refusal::no_pull_request()),
    }
}

/// Rewords a comment of one's own.
pub(super) async fn edit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number, id)): One,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_WRITE).await?;
    let words = body::read::<Sent>(&body)?.words()?;
    let (pull, id) = (pull_requests::find(&shared, &entry, &number).await?.record, parse(&id)?);
    let (number, viewer) = (pull.number, actor.account.id);
    let all = comments::of(&pull, Some(viewer));
    let comment = all.iter().find(|comment| comment.id == id).ok_or_else(Refusal::no_comment)?;
    if comment.author.id != viewer {
        return Err(Refusal::forbidden("You do not have permission to edit this comment."));
    }
    let changed = match comment.kept {
        Kept::Summary => reviews::edit(&shared, &entry, &actor, (number, id), words).await?.1,
        Kept::Note => reword_note(&shared, &entry, &actor, (number, id), words).await?,
        Kept::Line => reword_line(&shared, &entry, &actor, (number, id), words).await?,
    };
    told(&shared, &entry, &changed.record, viewer, id)
}

async fn reword_note(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    (number, id): (u64, u64),
    words: String,
) -> Result<Box<Pull>, Refusal> {
    let changed = pulls::touch(shared, entry, number, |pull| {
        let note = pull.notes.iter_mut().find(|note| note.id == id).ok_or_else(Refusal::no_comment)?;
        let before = std::mem::replace(&mut note.body, words);
        note.updated_at = shared.clock.now();
        Ok::<_, Refusal>((note.clone(), before))
    });
    let ((note, before), pull) = done(changed.await?)?;
    let more = json!({ "changes": { "body": { "from": before } } });
    events::note(shared, entry, actor, &pull, &note, ("edited", more)).await;
    Ok(pull)
}

async fn reword_line(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    (number, id): (u64, u64),
    words: String,
) -> Result<Box<Pull>, Refusal> {
    let changed = pulls::touch(shared, entry, number, |pull| {
        let comment = pull.comments.iter_mut().find(|comment| comment.id == id).ok_or_else(Refusal::no_comment)?;
        let before = std::mem::replace(&mut comment.body, words);
        comment.updated_at = shared.clock.now();
        Ok::<_, Refusal>((comment.clone(), before))
    });
    let ((comment, before), pull) = done(changed.await?)?;
    let more = json!({ "changes": { "body": { "from": before } } });
    events::line_comment(shared, entry, actor, &pull, &comment, ("edited", more)).await;
    Ok(pull)
}

fn parse(id: &str) -> Result<u64, Refusal> {
    id.parse().map_err(|_| Refusal::no_comment())
}
