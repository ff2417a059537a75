//! The ledger of a project: deliveries and their decisions.

pub(crate) mod detail;

use crate::board::ticket_url;
use crate::frame::Tab;
use crate::prelude::*;
use pullyard_control::DeliveryList;
use pullyard_domain::review::delivery::{Delivery, Source};
use pullyard_domain::review::listing::{DeliveryFilter, PullRequestFilter};
use pullyard_domain::text::decision::{Reason, Verdict};
use pullyard_protocol::pull_request::{PULL_REQUEST_NAME_HELP, PullRequestName};
use std::collections::BTreeSet;

const PAGE_SIZE: usize = 50;

/// The `verdict` of an address that shows ignored events too.
const ALL: &str = "all";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DeliveryQuery {
    project: Option<ProjectId>,
    verdict: String,
    code: String,
    ticket: String,
    pull_request: String,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "decisions.html")]
struct Decisions {
    frame: Frame,
    form: DeliveryQuery,
    tabs: Vec<Tab>,
    fault: Option<Fault>,
    filtered: bool,
    /// The ignored events that this page leaves out, and the address that shows them.
    hidden: Option<(String, String)>,
    days: Vec<Day>,
    /// The day of the oldest entry read, if there are older ones.
    back_to: Option<String>,
    has_newer: bool,
    newest: String,
    next: Option<String>,
    refresh: u32,
}

struct Day {
    date: String,
    rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) pill: Pill,
    pub(crate) description: SafeText,
    pub(crate) pull_request: Option<(Option<String>, SafeText)>,
    pub(crate) ticket: Option<(String, SafeText)>,
    pub(crate) source: &'static str,
    pub(crate) job: Option<(String, String)>,
    pub(crate) when: TimeLabel,
    pub(crate) sentence: SafeText,
    address: String,
    date: String,
}

pub(crate) async fn list(visit: PageContext, Query(query): Query<DeliveryQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project.clone()).await? else {
        return Ok(redirect_to_start());
    };
    let (list, fault) = match query.filter() {
        Ok(filter) => {
            let after = query.after.as_deref();
            (control::list_deliveries(&visit.ctx, &project.id, &filter, after, PAGE_SIZE).await?, None)
        }
        Err(fault) => {
            (DeliveryList { deliveries: Vec::new(), next: None, oldest_read: None, unmatched: 0 }, Some(fault))
        }
    };
    let now = visit.ctx.clock.now();
    let address = query.to_url(&project.id);
    let rows = list.deliveries.iter().map(|delivery| Row::new(&visit.ctx, delivery, now));
    let page = Decisions {
        frame: visit.frame(&format!("Decisions of {}", project.name), "decisions", Some(&project.id)),
        tabs: query.tabs(&project.id),
        fault,
        filtered: query.is_narrowed() || !matches!(query.verdict.as_str(), "" | ALL),
        hidden: (query.hides_ignored() && list.unmatched > 0).then(|| {
            let all = DeliveryQuery { verdict: ALL.to_owned(), ..DeliveryQuery::default() };
            (labels::format_count(list.unmatched, "ignored event"), all.to_url(&project.id))
        }),
        days: group_by_day(rows),
        back_to: list.next.as_ref().and(list.oldest_read).map(Timestamp::day),
        has_newer: query.after.is_some(),
        next: list.next.map(|next| format!("{address}&after={next}")),
        newest: address,
        refresh: labels::refresh_ms(false),
        form: query,
    };
    Ok(render_form(page.fault.as_ref(), &page))
}

fn group_by_day(rows: impl Iterator<Item = Row>) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for row in rows {
        match days.last_mut() {
            Some(day) if day.date == row.date => day.rows.push(row),
            _ => days.push(Day { date: row.date.clone(), rows: vec![row] }),
        }
    }
    days
}

impl DeliveryQuery {
    fn tabs(&self, project: &ProjectId) -> Vec<Tab> {
        let current = if self.is_narrowed() && self.verdict.is_empty() { ALL } else { &self.verdict };
        let tab = |verdict: &str, name| Tab {
            name,
            address: Self { verdict: verdict.to_owned(), ..self.clone() }.to_url(project),
            is_current: current == verdict,
        };
        let verdicts = Verdict::ALL.map(|verdict| tab(verdict.as_str(), labels::verdict(verdict).word));
        let unfiltered = (!self.is_narrowed()).then(|| tab("", "Without ignored"));
        unfiltered.into_iter().chain([tab(ALL, "All")]).chain(verdicts).collect()
    }

    fn is_narrowed(&self) -> bool {
        [&self.code, &self.ticket, &self.pull_request].into_iter().any(|field| non_empty(field).is_some())
    }

    /// Most events of a busy project are ignored ones, so only a filter or a choice shows them.
    fn hides_ignored(&self) -> bool {
        self.verdict.is_empty() && !self.is_narrowed()
    }

    fn to_query(&self) -> String {
        text::format_query(&[
            ("verdict", &self.verdict),
            ("code", &self.code),
            ("ticket", &self.ticket),
            ("pull_request", &self.pull_request),
        ])
    }

    fn to_url(&self, project: &ProjectId) -> String {
        format!("/decisions?project={project}{}", self.to_query())
    }

    fn filter(&self) -> Result<DeliveryFilter, Fault> {
        let verdict = |name: String| {
            let verdict = Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == name);
            verdict.ok_or_else(|| Fault::of_field("verdict", "unknown verdict"))
        };
        let code = |code: String| {
            let exists = Reason::rows().iter().any(|row| row.code == code);
            exists.then_some(code).ok_or_else(|| Fault::of_field("reason", "unknown code"))
        };
        let pull_request = |text: String| {
            let name =
                PullRequestName::parse(&text).ok_or_else(|| Fault::of_field("pull request", PULL_REQUEST_NAME_HELP))?;
            Ok::<_, Fault>(PullRequestFilter { repository: name.repository, number: name.number })
        };
        let verdicts = match non_empty(&self.verdict) {
            None if self.hides_ignored() => Verdict::ALL.into_iter().filter(|it| *it != Verdict::Ignored).collect(),
            Some(name) if name != ALL => [verdict(name)?].into(),
            _ => BTreeSet::new(),
        };
        Ok(DeliveryFilter {
            verdicts,
            codes: non_empty(&self.code).map(code).transpose()?.into_iter().collect(),
            ticket: parse_optional_id("ticket", &self.ticket)?,
            pull_request: non_empty(&self.pull_request).map(pull_request).transpose()?,
            since: None,
            until: None,
        })
    }
}

impl Row {
    pub(crate) fn new(ctx: &Context, delivery: &Delivery, now: Timestamp) -> Self {
        let review = delivery.review.as_ref();
        let ticket = delivery.ticket.as_ref().filter(|_| review.is_none());
        Self {
            pill: labels::verdict(delivery.reason.verdict()),
            description: line(&describe_delivery(delivery)),
            pull_request: review.map(|review| {
                let address = labels::pull_request_address(ctx, &review.pull_request, &review.url);
                (address, line(&review.label))
            }),
            ticket: ticket.map(|key| (ticket_url(&delivery.project, key), line(key.as_str()))),
            source: delivery.source.label(),
            job: delivery.job.as_ref().map(|job| (format!("/jobs/{job}"), job.short())),
            when: labels::format_time(delivery.at, now),
            sentence: line(&delivery.reason.sentence()),
            address: format!("/decisions/{}?project={}", delivery.id, delivery.project),
            date: delivery.at.day(),
        }
    }
}

fn describe_delivery(delivery: &Delivery) -> String {
    match (&delivery.review, delivery.source) {
        (Some(_), Source::Automatic) => "Automatic review of".into(),
        (Some(review), _) if review.facts.as_ref().is_some_and(|facts| facts.agent_review.is_some()) => {
            format!("{} requested a review of", review.author)
        }
        (Some(review), Source::Person) => format!("{} requested a revision of", review.author),
        (Some(review), _) if review.review.is_some() => format!("{} reviewed", review.author),
        (Some(_), _) => "Update of".into(),
        (None, Source::Person) if delivery.ticket.is_none() => "Job requested by prompt".into(),
        (None, Source::Person) => "Job requested for".into(),
        (None, Source::Submission) => format!("Submission {}", delivery.event),
        (None, Source::Schedule) => "Time of a schedule".into(),
        (None, source) => match source.tracker() {
            Some(tracker) => tracker.ledger_phrase.into(),
            None => format!("Event {}", delivery.event),
        },
    }
}
