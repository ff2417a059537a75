//! Step 4: creates the first ticket.

use super::{Drafts, Failure, Machine, StartQuery, render, start_url};
use crate::fault::Fault;
use crate::form::{Form, request_key};
use crate::frame::redirect;
use crate::visit::PageContext;
use axum::Extension;
use axum::response::Response;
use pullyard_control::{self as control, NewTicket};
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{DeliveryId, TicketKey};
use pullyard_domain::project::Project;
use pullyard_entry::limits;
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TicketForm {
    project: String,
    pub(super) key: String,
    pub(super) title: String,
    pub(super) description: String,
    once: String,
}

/// Two clicks on one form create one ticket.
pub(super) async fn create(
    visit: PageContext,
    Extension(machine): Extension<Machine>,
    Form(form): Form<TicketForm>,
) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let project = visit.load_named_project(&form.project).await?;
    match create_ticket(&visit, &project, &form).await {
        Ok(delivery) => Ok(redirect(&format!("{}&said={delivery}", start_url(&project.id)))),
        Err(fault) => {
            let failure = Failure::of_step(4, fault)?;
            let query = StartQuery { project: Some(project.id), ..StartQuery::default() };
            let drafts = Drafts { ticket: form, ..Drafts::default() };
            render(&visit, machine.as_ref(), query, drafts, Some(failure)).await
        }
    }
}

async fn create_ticket(visit: &PageContext, project: &Project, form: &TicketForm) -> Result<DeliveryId, Fault> {
    let key = TicketKey::new(form.key.trim()).map_err(|bad| Fault::of_field("key", bad.0))?;
    let text = TicketText {
        title: form.title.trim().to_owned(),
        description: form.description.replace("\r\n", "\n"),
        labels: Default::default(),
        url: None,
        repository: None,
    };
    limits::check_new_ticket(&text.title, &text.description, None, &text.labels)?;
    let request = request_key(&form.once);
    let caller = visit.requester();
    let new = NewTicket { project: project.id.clone(), key: Some(key), text, status: None, caller, request };
    Ok(control::create_ticket(&visit.ctx, new).await?.delivery)
}
