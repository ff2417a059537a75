//! Comments on a ticket's page: the list, and the forms that add and edit one.

use super::page::{self, TicketPage};
use super::{TicketQuery, load_place};
use crate::board::ticket_url;
use crate::fault::Fault;
use crate::form::{Form, new_form_key, non_empty};
use crate::frame::{redirect, render_page};
use crate::labels::{TimeLabel, format_time};
use crate::markdown::{self, SafeHtml};
use crate::text::{SafeText, line};
use crate::visit::PageContext;
use axum::response::Response;
use pullyard_control::{self as control, AddedComment, CommentChange, NewComment};
use pullyard_domain::comment::Comment;
use pullyard_domain::id::{EventId, TicketKey};
use pullyard_domain::project::Project;
use pullyard_domain::ticket::Ticket;
use pullyard_entry::{Path, Problem, Query, limits};
use pullyard_protocol::ticket::WriteComment;
use serde::Deserialize;

/// One page of a ticket's comments.
pub(super) struct Comments {
    /// Oldest first.
    pub(super) rows: Vec<CommentRow>,
    /// Address with older comments.
    pub(super) older: Option<String>,
    /// Whether newer comments exist that are not on this page.
    pub(super) is_older_page: bool,
    pub(super) address: String,
    pub(super) once: String,
    /// Text of the refused form for a new comment.
    pub(super) typed: String,
    /// Refusal of the form for a new comment.
    pub(super) fault: Option<Fault>,
}

pub(super) struct CommentRow {
    pub(super) number: u32,
    pub(super) author: SafeText,
    pub(super) initial: char,
    pub(super) created: TimeLabel,
    pub(super) edited: Option<TimeLabel>,
    pub(super) html: SafeHtml,
    pub(super) links: Option<EditLinks>,
    pub(super) form: Option<CommentEdit>,
}

/// Addresses for the author and for admins.
pub(super) struct EditLinks {
    pub(super) open: String,
    pub(super) save: String,
    pub(super) delete: String,
}

/// The open form of one comment.
pub(super) struct CommentEdit {
    pub(super) text: String,
    pub(super) fault: Option<Fault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommentForm {
    #[serde(default)]
    text: String,
    #[serde(default)]
    once: String,
}

pub(super) async fn load_comments(
    visit: &PageContext,
    ticket: &Ticket,
    address: &str,
    before: Option<u32>,
    open: Option<u32>,
) -> Result<Comments, Fault> {
    let page = control::list_comments_of(&visit.ctx, ticket, before).await?;
    let shown = before.map(|before| format!("&before={before}")).unwrap_or_default();
    let row = |comment: &Comment| {
        let may_change = visit.visitor.may_run_jobs() && comment.deny_change(&visit.visitor.editor()).is_none();
        let (number, now) = (comment.number, visit.ctx.clock.now());
        CommentRow {
            number,
            author: line(&comment.author),
            initial: comment.author.chars().find(|c| c.is_alphanumeric()).unwrap_or('?'),
            created: format_time(comment.created, now),
            edited: comment.edited.map(|edited| format_time(edited, now)),
            html: markdown::render(&comment.text),
            links: may_change.then(|| EditLinks {
                open: format!("{address}{shown}&comment={number}#comment-{number}"),
                save: address.replacen('?', &format!("/comments/{number}/edit?"), 1),
                delete: format!("/setup{}", address.replacen('?', &format!("/comments/{number}/delete?"), 1)),
            }),
            form: (may_change && open == Some(number)).then(|| CommentEdit { text: comment.text.clone(), fault: None }),
        }
    };
    Ok(Comments {
        rows: page.comments.iter().rev().map(row).collect(),
        older: page.next.map(|before| format!("{address}&before={before}#comments")),
        is_older_page: before.is_some(),
        address: address.replacen('?', "/comments?", 1),
        once: new_form_key(),
        typed: String::new(),
        fault: None,
    })
}

pub(crate) async fn add(
    visit: PageContext,
    key: Result<Path<TicketKey>, Problem>,
    query: Result<Query<TicketQuery>, Problem>,
    Form(form): Form<CommentForm>,
) -> Result<Response, Fault> {
    let (project, key) = load_place(&visit, key, query).await?;
    match add_comment(&visit, &project, &key, &form).await {
        Ok(number) => Ok(redirect(&format!("{}#comment-{number}", ticket_url(&project.id, &key)))),
        Err(fault) if fault.status.is_client_error() => {
            let mut page = page::load_page(&visit, &project, &key).await?;
            refuse(&mut page, None, form, &fault);
            Ok(render_page(fault.status, &page))
        }
        Err(fault) => Err(fault),
    }
}

async fn add_comment(
    visit: &PageContext,
    project: &Project,
    key: &TicketKey,
    form: &CommentForm,
) -> Result<u32, Fault> {
    let new = NewComment {
        project: project.id.clone(),
        key: key.clone(),
        text: check_text(form)?,
        caller: visit.requester(),
        request: non_empty(&form.once).and_then(|once| EventId::new(once).ok()),
    };
    let (AddedComment::New(comment) | AddedComment::Existing(comment)) = control::add_comment(&visit.ctx, new).await?;
    Ok(comment.number)
}

pub(crate) async fn edit(
    visit: PageContext,
    names: Result<Path<(TicketKey, u32)>, Problem>,
    query: Result<Query<TicketQuery>, Problem>,
    Form(form): Form<CommentForm>,
) -> Result<Response, Fault> {
    let Path((key, number)) = names?;
    let (project, key) = load_place(&visit, Ok(Path(key)), query).await?;
    match edit_comment(&visit, &project, &key, number, &form).await {
        Ok(()) => Ok(redirect(&format!("{}#comment-{number}", ticket_url(&project.id, &key)))),
        Err(fault) if fault.status.is_client_error() => {
            // The page with this comment, even if it is old.
            let mut page = page::load_page_at(&visit, &project, &key, number.checked_add(1), Some(number)).await?;
            refuse(&mut page, Some(number), form, &fault);
            Ok(render_page(fault.status, &page))
        }
        Err(fault) => Err(fault),
    }
}

async fn edit_comment(
    visit: &PageContext,
    project: &Project,
    key: &TicketKey,
    number: u32,
    form: &CommentForm,
) -> Result<(), Fault> {
    let text = check_text(form)?;
    let editor = visit.visitor.editor();
    let change = CommentChange { project: project.id.clone(), key: key.clone(), number, editor };
    control::edit_comment(&visit.ctx, change, &text).await?;
    Ok(())
}

fn check_text(form: &CommentForm) -> Result<String, Fault> {
    let comment = WriteComment { text: form.text.replace("\r\n", "\n").trim_end().to_owned() };
    limits::check_comment(&comment)?;
    Ok(comment.text)
}

/// Shows the refused text in the form of its comment, or in the form for a new one.
fn refuse(page: &mut TicketPage, number: Option<u32>, typed: CommentForm, fault: &Fault) {
    let comments = &mut page.comments;
    let form = comments.rows.iter_mut().find(|row| Some(row.number) == number).and_then(|row| row.form.as_mut());
    match form {
        Some(form) => *form = CommentEdit { text: typed.text, fault: Some(fault.clone()) },
        None => (comments.typed, comments.fault) = (typed.text, Some(fault.clone())),
    }
}
