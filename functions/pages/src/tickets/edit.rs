//! Edits a ticket's text on its page.

use super::page::{self, EditForm};
use super::{TicketQuery, load_place};
use crate::board::ticket_url;
use crate::prelude::*;
use pullyard_control::{TextChanges, TicketEdit};
use pullyard_domain::text::id::TicketKey;
use pullyard_protocol::ticket::EditTicket;

pub(crate) async fn edit(
    visit: PageContext,
    Path(key): Path<TicketKey>,
    Query(query): Query<TicketQuery>,
    Form(form): Form<EditForm>,
) -> Result<Response, Fault> {
    let (project, key) = load_place(&visit, key, query).await?;
    match edit_ticket(&visit, &project, &key, &form).await {
        Ok(()) => Ok(redirect(&ticket_url(&project.id, &key))),
        Err(fault) => page::render_refusal(&visit, &project, &key, fault.for_form()?, Some(form)).await,
    }
}

async fn edit_ticket(visit: &PageContext, project: &Project, key: &TicketKey, form: &EditForm) -> Result<(), Fault> {
    let change = EditTicket {
        title: Some(form.title.trim().to_owned()),
        description: Some(form.description.replace("\r\n", "\n")),
        labels: Some(form.labels.split(',').filter_map(non_empty).collect()),
        repository: parse_optional_id("repository", &form.repository)?,
    };
    limits::check_edit(&change)?;
    let EditTicket { title, description, labels, repository } = change;
    let edit = TicketEdit {
        project: project.id.clone(),
        key: key.clone(),
        changes: TextChanges { title, description, labels, repository },
        based_on: non_empty(&form.based_on),
        caller: visit.requester(),
        request: request_key(&form.form_key),
    };
    control::edit_ticket(&visit.ctx, edit).await?;
    Ok(())
}
