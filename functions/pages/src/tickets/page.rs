//! The page of a ticket: its text with the form that edits it, comments, jobs, moves and reviews.

use super::comment_list::{Comments, load_comments};
use crate::board::{Move, list_moves, list_statuses, move_url, pull_request, repository, ticket_url, title_or_key};
use crate::jobs::Row;
use crate::labels::PullRequestView;
use crate::markdown::{self, Below, SafeHtml};
use crate::prelude::*;
use crate::pulls::{self, Reviews};
use crate::verdict::{self, DecisionLine};
use pullyard_domain::text::id::{DeliveryId, TicketKey};
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::event::TicketText;
use pullyard_entry::resolve_ticket_key;

#[derive(Deserialize)]
pub(crate) struct TicketPageQuery {
    pub(super) project: Option<ProjectId>,
    key: Option<TicketKey>,
    decision: Option<DeliveryId>,
    edit: Option<String>,
    /// Present: the form that raises the limits is open.
    raise: Option<String>,
    /// Present: the menu of moves is open and offers places in the column.
    #[serde(rename = "move")]
    moves: Option<String>,
    /// The comment whose form is open.
    comment: Option<u32>,
    /// Shows the comments before this one.
    before: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditForm {
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) labels: String,
    #[serde(default)]
    pub(crate) repository: String,
    #[serde(default)]
    pub(crate) based_on: String,
    #[serde(default)]
    pub(crate) form_key: String,
}

impl EditForm {
    pub(super) fn of(text: &TicketText) -> Self {
        Self {
            title: text.title.clone(),
            description: text.description.clone(),
            labels: text.labels.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            repository: text.repository.as_ref().map(ToString::to_string).unwrap_or_default(),
            based_on: control::text_version(text),
            form_key: new_form_key(),
        }
    }
}

#[derive(Template)]
#[template(path = "ticket.html")]
pub(super) struct TicketPage {
    frame: Frame,
    key: SafeText,
    raw_key: String,
    address: String,
    move_address: String,
    edit_address: String,
    delete_address: String,
    decisions_address: String,
    raise_address: String,
    raise_is_open: bool,
    /// The use of the ticket's limits. `None` without limits.
    spending: Option<String>,
    title: SafeText,
    description: SafeHtml,
    status: SafeText,
    raw_status: String,
    pill: Option<Pill>,
    pull_request: Option<PullRequestView>,
    reviews: Option<Reviews>,
    pub(super) comments: Comments,
    repository: Option<SafeText>,
    source: Option<String>,
    tool: Option<SafeText>,
    labels: Vec<SafeText>,
    decision: Option<DecisionLine>,
    busy: bool,
    moves: Vec<Move>,
    /// Values of the move form's field `before`, with the labels of their buttons; `None` while the menu is closed.
    places: Option<Vec<(String, &'static str)>>,
    back: String,
    jobs: Vec<Row>,
    /// 0 after a refused form, because its address has no page to load again.
    pub(super) refresh: u32,
    form_key: String,
    form: EditForm,
    /// The form contains the raw text, so the page omits it while it is closed.
    form_is_open: bool,
    repositories: Vec<String>,
    fault: Option<Fault>,
}

pub(crate) async fn show(
    visit: PageContext,
    Path(key): Path<TicketKey>,
    Query(query): Query<TicketPageQuery>,
) -> Result<Response, Fault> {
    let key = resolve_ticket_key(key, query.key)?;
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    let mut page = load_page_at(&visit, &project, &key, query.before, query.comment).await?;
    page.decision = verdict::load_decision_line(&visit, &project.id, query.decision.as_ref()).await?;
    page.form_is_open = page.frame.may_work() && query.edit.is_some();
    page.raise_is_open = query.raise.is_some();
    if page.frame.may_work() && query.moves.is_some() {
        let column = control::load_column(&visit.ctx, &project.id, &page.raw_status).await?;
        page.places = Some(list_places(&column, &key));
        page.back = Some(visit.referrer()).filter(|from| from.starts_with("/board?")).unwrap_or(page.back);
    }
    Ok(render_page(StatusCode::OK, &page))
}

/// Renders the page after a refused form. `typed` is the content of the form that edits, if that form was refused.
pub(crate) async fn render_refusal(
    visit: &PageContext,
    project: &Project,
    key: &TicketKey,
    fault: Fault,
    typed: Option<EditForm>,
) -> Result<Response, Fault> {
    let mut page = load_page(visit, project, key).await?;
    let status = fault.status;
    page.refresh = 0;
    page.fault = Some(fault);
    page.form_is_open = typed.is_some();
    if let Some(typed) = typed {
        // The page shows the current text too, so saving again may replace it.
        page.form = EditForm { based_on: page.form.based_on, form_key: page.form.form_key, ..typed };
    }
    Ok(render_page(status, &page))
}

pub(super) async fn load_page(visit: &PageContext, project: &Project, key: &TicketKey) -> Result<TicketPage, Fault> {
    load_page_at(visit, project, key, None, None).await
}

pub(super) async fn load_page_at(
    visit: &PageContext,
    project: &Project,
    key: &TicketKey,
    before: Option<u32>,
    open: Option<u32>,
) -> Result<TicketPage, Fault> {
    let view = match control::ticket_view(&visit.ctx, &project.id, key).await {
        Err(Error::NotFound { .. }) => {
            return Err(Fault::not_found(&format!("There is no ticket {key} in project {}.", project.id)));
        }
        view => view?,
    };
    let (ticket, text) = (&view.ticket, &view.text);
    let jobs = control::list_jobs_of_ticket(&visit.ctx, ticket).await?;
    let own = &project.settings.statuses;
    let active = jobs.iter().find(|view| Some(&view.job.id) == ticket.active_job.as_ref());
    let badge = ticket.shown.badge.map(labels::badge);
    let repositories = visit.ctx.store.list_repositories(&project.id).await?;
    let address = ticket_url(&project.id, key);
    let spending = control::load_ticket_spending(&visit.ctx, project, key).await?;
    Ok(TicketPage {
        frame: visit.frame(&format!("{key} {}", text.title), "board", Some(&project.id)),
        key: line(key.as_str()),
        raw_key: key.to_string(),
        title: title_or_key(&view),
        description: markdown::render(&text.description, Below::Title),
        status: line(&ticket.status),
        raw_status: ticket.status.clone(),
        pill: active.map(|view| labels::job_pill(&view.job)).or(badge),
        pull_request: pull_request(&visit.ctx, &view),
        comments: load_comments(visit, ticket, &address, before, open).await?,
        reviews: pulls::load_reviews(visit, &project.settings, ticket).await?,
        repository: repository(&view, project).map(|name| line(name.as_str())),
        source: text.url.as_deref().and_then(http_url),
        tool: project.settings.tracker.as_ref().map(|tool| {
            match (ticket.tool(&project.settings), ticket.sync_note(&project.settings)) {
                (None, _) => line(&format!("Not in {}", tool.connection)),
                (Some(_), Some(note)) => line(&note),
                (Some(_), None) => line(&format!("Shown in {}", tool.connection)),
            }
        }),
        labels: text.labels.iter().map(|label| line(label)).collect(),
        decision: None,
        busy: ticket.active_job.is_some(),
        moves: list_moves(ticket, &list_statuses(own, std::iter::once(ticket)), own),
        places: None,
        back: address.clone(),
        jobs: jobs.iter().map(Row::new).collect(),
        refresh: labels::refresh_ms(ticket.active_job.is_some()),
        form_key: new_form_key(),
        form: EditForm::of(text),
        form_is_open: false,
        repositories: repositories.iter().map(|repository| repository.name.to_string()).collect(),
        fault: None,
        move_address: move_url(&project.id, key),
        edit_address: address.replacen('?', "/edit?", 1),
        raise_address: address.replacen('?', "/raise?", 1),
        raise_is_open: false,
        spending: spending.map(|view| view.spending.describe(&view.limits)),
        delete_address: format!("/setup{}", address.replacen('?', "/delete?", 1)),
        decisions_address: format!("/decisions?project={}&ticket={}", project.id, percent_encode(key.as_str())),
        address,
    })
}

/// Lists the places in its column to which a card may move, each as the key of the next card; empty for the end.
fn list_places(column: &[Ticket], key: &TicketKey) -> Vec<(String, &'static str)> {
    let Some(at) = column.iter().position(|ticket| ticket.key == *key) else { return Vec::new() };
    let key = |at: usize| column.get(at).map(|ticket| ticket.key.to_string()).unwrap_or_default();
    let top = (at > 1).then(|| (key(0), "Move to top"));
    let up = at.checked_sub(1).map(|previous| (key(previous), "Move up"));
    let down = (at + 1 < column.len()).then(|| (key(at + 2), "Move down"));
    let end = (at + 2 < column.len()).then(|| (String::new(), "Move to end"));
    [top, up, down, end].into_iter().flatten().collect()
}
