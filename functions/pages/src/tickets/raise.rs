//! The form that raises the limits of a ticket, or of a pull request.

use super::page;
use super::{TicketQuery, load_place};
use crate::board::ticket_url;
use crate::prelude::*;
use pullyard_control::{LimitRaise, RaisedSubject};
use pullyard_domain::project::budget::parse_usd_micros;
use pullyard_domain::project::spending::DEFAULT_RAISE_TIME;
use pullyard_domain::text::id::TicketKey;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RaiseForm {
    /// Dollars; empty for none.
    usd: String,
    /// Jobs; empty for none.
    jobs: String,
    form_key: String,
}

pub(crate) async fn raise(
    visit: PageContext,
    Path(key): Path<TicketKey>,
    Query(query): Query<TicketQuery>,
    Form(form): Form<RaiseForm>,
) -> Result<Response, Fault> {
    let (project, key) = load_place(&visit, key, query).await?;
    match raise_limit(&visit, RaisedSubject::Ticket(project.id.clone(), key.clone()), &form).await {
        Ok(()) => Ok(redirect(&ticket_url(&project.id, &key))),
        Err(fault) => page::render_refusal(&visit, &project, &key, fault.for_form()?, None).await,
    }
}

pub(crate) async fn raise_limit(visit: &PageContext, subject: RaisedSubject, form: &RaiseForm) -> Result<(), Fault> {
    let usd_micros = match form.usd.trim() {
        "" => 0,
        usd => parse_usd_micros(usd).map_err(|fault| Fault::of_field("usd", &fault))?,
    };
    let jobs = match form.jobs.trim() {
        "" => 0,
        jobs => jobs.parse().map_err(|_| Fault::of_field("jobs", "use a number of jobs, such as 5"))?,
    };
    let raise = LimitRaise {
        subject,
        usd_micros,
        jobs,
        duration: DEFAULT_RAISE_TIME,
        right: visit.visitor.raise_right(),
        caller: visit.requester(),
        key: request_key(&form.form_key).map(|key| key.to_string()),
    };
    control::raise_limit(&visit.ctx, &raise).await?;
    Ok(())
}
