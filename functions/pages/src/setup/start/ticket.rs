//! Step 4: creates the first ticket.

use super::{Drafts, Machine, render_failure, start_url};
use crate::prelude::*;
use crate::tickets::{TicketForm, create_ticket};
use axum::Extension;

/// Two clicks on one form create one ticket.
pub(super) async fn create(
    visit: PageContext,
    Extension(machine): Extension<Machine>,
    Form(form): Form<TicketForm>,
) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let project = visit.load_named_project(&form.project).await?;
    match create_ticket(&visit, &project, &form).await {
        Ok(delivery) => Ok(redirect(&format!("{}&decision={delivery}", start_url(&project.id)))),
        Err(fault) => {
            let drafts = Drafts { ticket: form, ..Drafts::default() };
            render_failure(&visit, machine, Some(project.id), drafts, (4, fault)).await
        }
    }
}
