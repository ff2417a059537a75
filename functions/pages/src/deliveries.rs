//! The ledger of a project: deliveries and their decisions.

use crate::board::{NoProject, address_of};
use crate::fault::Fault;
use crate::form::given;
use crate::frame::{Frame, page};
use crate::text::{Text, encoded, line, web};
use crate::visit::Visit;
use crate::words::{self, Pill, When};
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use pullyard_control::{self as control, DeliveryList};
use pullyard_domain::decision::{Reason, Verdict};
use pullyard_domain::delivery::{Delivery, Source};
use pullyard_domain::id::{ProjectId, TicketKey};
use pullyard_domain::listing::{DeliveryFilter, PullRequestFilter};
use pullyard_domain::time::Timestamp;
use pullyard_entry::{Problem, Query};
use pullyard_protocol::pull::{PULL_REQUEST_NAMES, PullRequestName};
use serde::Deserialize;

const PAGE: usize = 50;

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Asked {
    project: Option<ProjectId>,
    #[serde(default)]
    verdict: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    ticket: String,
    #[serde(default)]
    pull_request: String,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct Deliveries {
    frame: Frame,
    project: String,
    form: Asked,
    verdicts: Vec<(&'static str, &'static str)>,
    fault: Option<Fault>,
    filtered: bool,
    rows: Vec<Row>,
    /// The day of the oldest entry read, if there are older ones.
    back_to: Option<String>,
    later: bool,
    newest: String,
    next: Option<String>,
    refresh: u32,
}

struct Row {
    pill: Pill,
    what: Text,
    pull_request: Option<(Option<String>, Text)>,
    ticket: Option<(String, Text)>,
    source: &'static str,
    job: Option<(String, String)>,
    when: When,
    sentence: Text,
    repeats: usize,
}

pub(crate) async fn list(visit: Visit, asked: Result<Query<Asked>, Problem>) -> Result<Response, Fault> {
    let Query(asked) = asked?;
    let Some(project) = visit.project(asked.project.clone()).await? else {
        return Ok(NoProject::of(&visit, "deliveries"));
    };
    let (list, fault) = match asked.filter() {
        Ok(filter) => {
            let after = asked.after.as_deref();
            (control::list_deliveries(&visit.ctx, &project.id, &filter, after, PAGE).await?, None)
        }
        Err(fault) => (DeliveryList { deliveries: Vec::new(), next: None, looked_back_to: None }, Some(fault)),
    };
    let now = visit.ctx.clock.now();
    let status = fault.as_ref().map_or(StatusCode::OK, |fault| fault.status);
    let address = asked.address(&project.id);
    let shown = Deliveries {
        frame: visit.frame(&format!("Deliveries of {}", project.name), "deliveries", Some(&project.id)),
        project: project.id.to_string(),
        verdicts: Verdict::ALL.map(|verdict| (verdict.as_str(), words::verdict(verdict).word)).into(),
        fault,
        filtered: asked.is_filtered(),
        rows: list.deliveries.iter().map(|delivery| Row::new(delivery, now)).collect(),
        back_to: list.next.as_ref().and(list.looked_back_to).map(Timestamp::day),
        later: asked.after.is_some(),
        next: list.next.map(|next| format!("{address}&after={next}")),
        newest: address,
        refresh: words::refresh(false),
        form: asked,
    };
    Ok(page(status, &shown))
}

impl Asked {
    fn is_filtered(&self) -> bool {
        [&self.verdict, &self.code, &self.ticket, &self.pull_request].iter().any(|field| given(field).is_some())
    }

    fn address(&self, project: &ProjectId) -> String {
        let mut address = format!("/deliveries?project={project}");
        let fields = [
            ("verdict", &self.verdict),
            ("code", &self.code),
            ("ticket", &self.ticket),
            ("pull_request", &self.pull_request),
        ];
        for (name, field) in fields {
            address.extend(given(field).map(|word| format!("&{name}={}", encoded(&word))));
        }
        address
    }

    fn filter(&self) -> Result<DeliveryFilter, Fault> {
        let wrong = |field: &str, fault: &str| {
            Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", &format!("The field {field}: {fault}."))
        };
        let verdict = |word: String| {
            let known = Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == word);
            known.ok_or_else(|| wrong("verdict", "unknown verdict"))
        };
        let code = |word: String| {
            let known = Reason::rows().iter().any(|row| row.code == word);
            known.then_some(word).ok_or_else(|| wrong("reason", "unknown code"))
        };
        let meant = |text: String| {
            let name = PullRequestName::parse(&text).ok_or_else(|| wrong("pull request", PULL_REQUEST_NAMES))?;
            Ok::<_, Fault>(PullRequestFilter { repository: name.repository, number: name.number })
        };
        let ticket = given(&self.ticket).map(TicketKey::new).transpose().map_err(|bad| wrong("ticket", bad.0))?;
        Ok(DeliveryFilter {
            verdicts: given(&self.verdict).map(verdict).transpose()?.into_iter().collect(),
            codes: given(&self.code).map(code).transpose()?.into_iter().collect(),
            ticket,
            pull_request: given(&self.pull_request).map(meant).transpose()?,
            since: None,
            until: None,
        })
    }
}

impl Row {
    fn new(delivery: &Delivery, now: Timestamp) -> Self {
        let review = delivery.review.as_ref();
        let ticket = delivery.ticket.as_ref().filter(|_| review.is_none());
        Self {
            pill: words::verdict(delivery.reason.verdict()),
            what: line(&what(delivery)),
            pull_request: review.map(|review| (web(&review.url), line(&review.label))),
            ticket: ticket.map(|key| (address_of(&delivery.project, key), line(key.as_str()))),
            source: words::source(delivery.source),
            job: delivery.job.as_ref().map(|job| (format!("/jobs/{job}"), job.short())),
            when: words::when(delivery.at, now),
            sentence: line(&delivery.reason.sentence()),
            repeats: delivery.seen.len(),
        }
    }
}

fn what(delivery: &Delivery) -> String {
    match (&delivery.review, delivery.source) {
        (Some(review), Source::Person) => format!("Revision requested by {} for", review.author),
        (Some(review), _) if review.review.is_some() => format!("Review by {} of", review.author),
        (Some(_), _) => "Update of".into(),
        (None, Source::Person) if delivery.ticket.is_none() => "Job requested by prompt".into(),
        (None, Source::Person) => "Job requested for".into(),
        (None, Source::Board) => "Move or edit of".into(),
        (None, Source::TicketTool) => "Event of".into(),
        (None, Source::Webhook | Source::Poll) => format!("Event {}", delivery.event),
    }
}
