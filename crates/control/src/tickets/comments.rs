//! Comments of users on a ticket.

use crate::requester::{Requester, find_first_result, new_request};
use crate::tickets::raise_limit::{LimitRaise, RaisedSubject, raise_limit};
use crate::{Context, Error};
use pullyard_domain::project::spending::{DEFAULT_RAISE_TIME, RaiseAmount, RaiseRight};
use pullyard_domain::text::id::{EventId, ProjectId, TicketKey};
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::comment::{Comment, Editor};
use pullyard_store::{CommentCreation, Request, Write};

const PAGE_SIZE: u8 = 50;

#[derive(Clone, Debug)]
pub struct CommentPage {
    /// Newest first.
    pub comments: Vec<Comment>,
    /// The number before which older comments start.
    pub next: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct NewComment {
    pub project: ProjectId,
    pub key: TicketKey,
    pub text: String,
    pub caller: Requester,
    /// The caller's right to raise limits, which the first line of a comment may do.
    pub right: RaiseRight,
    pub request: Option<EventId>,
}

#[derive(Clone, Debug)]
pub enum AddedComment {
    New(Comment),
    /// By an earlier call with the same idempotency key.
    Existing(Comment),
}

#[derive(Clone, Debug)]
pub struct CommentChange {
    pub project: ProjectId,
    pub key: TicketKey,
    pub number: u32,
    pub editor: Editor,
}

/// Lists the comments with a number below `before`, or the newest ones.
/// Errors: `NotFound` (ticket).
pub async fn list_comments(
    ctx: &Context,
    project: &ProjectId,
    key: &TicketKey,
    before: Option<u32>,
) -> Result<CommentPage, Error> {
    let ticket = ctx.load_ticket(project, key).await?;
    list_comments_of(ctx, &ticket, before).await
}

/// Like `list_comments`, without a query for a ticket that never had a comment.
pub async fn list_comments_of(ctx: &Context, ticket: &Ticket, before: Option<u32>) -> Result<CommentPage, Error> {
    if ticket.last_comment.is_none() {
        return Ok(CommentPage { comments: Vec::new(), next: None });
    }
    let comments = ctx.store.list_comments(&ticket.project, &ticket.key, before, PAGE_SIZE).await?;
    let is_full = comments.len() == usize::from(PAGE_SIZE);
    let next = comments.last().map(|oldest| oldest.number).filter(|number| is_full && *number > 1);
    Ok(CommentPage { comments, next })
}

/// Adds a comment. `/pullyard raise 20` as its first line raises the ticket's limits first, so that a refused raise
/// leaves no comment.
/// Writes: see `raise_limit` and `Store::create_comment`.
/// Idempotent: with a key, by caller, project and key, for 24 hours: a repeat returns the first comment.
/// Errors: `NotFound` (ticket, or a comment that was deleted after an earlier call with the same key); `KeyReused`;
/// `Denied` if the ticket can get no more comments; `Invalid` for a refused raise; `Contended`.
pub async fn add_comment(ctx: &Context, new: NewComment) -> Result<AddedComment, Error> {
    raise_by_comment(ctx, &new).await?;
    let NewComment { project, key, text, caller, right: _, request } = new;
    let scope = format!("{} comments of {project}", caller.id);
    let request = new_request(scope, request, &(&key, &text), ctx.clock.now());
    let mut rounds = ctx.retries(&key);
    loop {
        if let Some(first) = find_first_comment(ctx, &project, &key, request.as_ref()).await? {
            return Ok(AddedComment::Existing(first));
        }
        let ticket = ctx.load_ticket(&project, &key).await?;
        let (ticket, number) = ticket.add_comment().map_err(Error::Denied)?;
        let comment = Comment {
            project: project.clone(),
            ticket: key.clone(),
            number,
            author_id: caller.id.clone(),
            author: caller.name.clone(),
            text: text.clone(),
            created: ctx.clock.now(),
            edited: None,
            rev: 0,
        };
        let creation = CommentCreation { ticket: &ticket, comment: &comment, request: request.as_ref() };
        if ctx.store.create_comment(&creation).await? == Write::Applied {
            tracing::info!(project = %project, ticket = %key, number, "comment added");
            return Ok(AddedComment::New(comment));
        }
        rounds.backoff().await?;
    }
}

async fn raise_by_comment(ctx: &Context, new: &NewComment) -> Result<(), Error> {
    let invalid = |fault| Error::Invalid { pointer: "/text", fault };
    let Some(amount) = RaiseAmount::parse_comment(&new.text) else { return Ok(()) };
    let RaiseAmount { usd_micros, jobs } = amount.map_err(invalid)?;
    let raise = LimitRaise {
        subject: RaisedSubject::Ticket(new.project.clone(), new.key.clone()),
        usd_micros,
        jobs,
        duration: DEFAULT_RAISE_TIME,
        right: new.right,
        caller: new.caller.clone(),
        key: new.request.as_ref().map(|key| format!("comment/{key}")),
    };
    match raise_limit(ctx, &raise).await {
        Err(Error::Invalid { fault, .. }) => Err(invalid(fault)),
        raised => raised.map(drop),
    }
}

/// Idempotent: an edit to the stored text changes nothing.
/// Errors: `NotFound` (comment); `Denied` unless the editor is the author or an admin; `Contended`.
pub async fn edit_comment(ctx: &Context, change: CommentChange, text: &str) -> Result<Comment, Error> {
    let mut rounds = ctx.retries(&change.key);
    loop {
        let comment = load_own_comment(ctx, &change).await?;
        let Some(edited) = comment.edit(text, ctx.clock.now()) else { return Ok(comment) };
        if ctx.store.update_comment(&edited).await? == Write::Applied {
            return Ok(edited);
        }
        rounds.backoff().await?;
    }
}

/// Idempotent: a repeat returns `NotFound`.
/// Errors: `NotFound` (comment); `Denied` unless the editor is the author or an admin; `Contended`.
pub async fn delete_comment(ctx: &Context, change: CommentChange) -> Result<(), Error> {
    let mut rounds = ctx.retries(&change.key);
    loop {
        let comment = load_own_comment(ctx, &change).await?;
        if ctx.store.delete_comments(&[comment]).await? == Write::Applied {
            tracing::info!(project = %change.project, ticket = %change.key, number = change.number, "comment deleted");
            return Ok(());
        }
        rounds.backoff().await?;
    }
}

async fn load_own_comment(ctx: &Context, change: &CommentChange) -> Result<Comment, Error> {
    let CommentChange { project, key, number, editor } = change;
    let comment = ctx.store.load_comment(project, key, *number).await?;
    let comment = comment.ok_or_else(|| comment_not_found(key, *number))?;
    Error::refuse_if(comment.deny_change(editor))?;
    Ok(comment)
}

async fn find_first_comment(
    ctx: &Context,
    project: &ProjectId,
    key: &TicketKey,
    request: Option<&Request>,
) -> Result<Option<Comment>, Error> {
    let Some(number) = find_first_result(ctx, request).await? else { return Ok(None) };
    let comment = ctx.store.load_comment(project, key, number).await?;
    comment.map(Some).ok_or_else(|| comment_not_found(key, number))
}

fn comment_not_found(key: &TicketKey, number: u32) -> Error {
    Error::NotFound { resource: "comment", name: format!("{number} of {key}") }
}
