//! The forms that add and edit a comment on a ticket's page.

use super::comment_list::CommentEdit;
use super::page::{self, TicketPage};
use super::{TicketQuery, load_place};
use crate::board::ticket_url;
use crate::prelude::*;
use pullyard_control::{AddedComment, CommentChange, NewComment};
use pullyard_domain::text::id::TicketKey;
use pullyard_protocol::ticket::WriteComment;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CommentForm {
    text: String,
    form_key: String,
}

pub(crate) async fn add(
    visit: PageContext,
    Path(key): Path<TicketKey>,
    Query(query): Query<TicketQuery>,
    Form(form): Form<CommentForm>,
) -> Result<Response, Fault> {
    let (project, key) = load_place(&visit, key, query).await?;
    match add_comment(&visit, &project, &key, &form).await {
        Ok(number) => Ok(redirect(&format!("{}#comment-{number}", ticket_url(&project.id, &key)))),
        Err(fault) => {
            let fault = fault.for_form()?;
            let page = page::load_page(&visit, &project, &key).await?;
            Ok(render_refusal(page, None, form, fault))
        }
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
        right: visit.visitor.raise_right(),
        request: request_key(&form.form_key),
    };
    let (AddedComment::New(comment) | AddedComment::Existing(comment)) = control::add_comment(&visit.ctx, new).await?;
    Ok(comment.number)
}

pub(crate) async fn edit(
    visit: PageContext,
    Path((key, number)): Path<(TicketKey, u32)>,
    Query(query): Query<TicketQuery>,
    Form(form): Form<CommentForm>,
) -> Result<Response, Fault> {
    let (project, key) = load_place(&visit, key, query).await?;
    match edit_comment(&visit, &project, &key, number, &form).await {
        Ok(()) => Ok(redirect(&format!("{}#comment-{number}", ticket_url(&project.id, &key)))),
        Err(fault) => {
            let fault = fault.for_form()?;
            // The page with this comment, even if it is old.
            let page = page::load_page_at(&visit, &project, &key, number.checked_add(1), Some(number)).await?;
            Ok(render_refusal(page, Some(number), form, fault))
        }
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
fn render_refusal(mut page: TicketPage, number: Option<u32>, typed: CommentForm, fault: Fault) -> Response {
    let status = fault.status;
    page.refresh = 0;
    let comments = &mut page.comments;
    let form = comments.rows.iter_mut().find(|row| Some(row.number) == number).and_then(|row| row.form.as_mut());
    match form {
        Some(form) => *form = CommentEdit { text: typed.text, fault: Some(fault) },
        None => (comments.typed, comments.fault) = (typed.text, Some(fault)),
    }
    render_page(status, &page)
}
