//! The analyses of open pull requests and issues: a list of repositories, and the items of one.

use crate::frame::Tab;
use crate::prelude::*;
use crate::verdict::accepted_job;
use pullyard_control::StartAnalysis;
use pullyard_domain::analysis::{
    AnalysedItem, Analysis, ItemFilter, ItemKind, ItemSort, NOT_SUMMARISED, Risk, Staleness, WaitingOn,
};
use pullyard_domain::budget::format_usd;
use pullyard_domain::delivery::Source;
use pullyard_domain::id::{JobId, RepositoryName};
use pullyard_domain::project::Repository;

#[derive(Template)]
#[template(path = "analyses.html")]
struct ListPage {
    frame: Frame,
    project: String,
    may_work: bool,
    form_key: String,
    rows: Vec<AnalysisView>,
    refresh: u32,
}

#[derive(Template)]
#[template(path = "analysis.html")]
struct ItemsPage {
    frame: Frame,
    project: String,
    may_work: bool,
    form_key: String,
    row: AnalysisView,
    filters: Vec<(&'static str, Vec<Tab>)>,
    tables: Vec<ItemTable>,
    refresh: u32,
}

struct AnalysisView {
    name: SafeText,
    address: String,
    active_job: Option<JobId>,
    last: Option<LastView>,
    failed: Option<(JobId, SafeText)>,
}

struct LastView {
    job: JobId,
    when: TimeLabel,
    sentence: String,
    cost: String,
}

struct ItemTable {
    title: &'static str,
    as_of: Option<TimeLabel>,
    rows: Vec<ItemRow>,
}

struct ItemRow {
    number: u64,
    title: SafeText,
    address: Option<String>,
    summary: Option<(SafeText, SafeText)>,
    not_summarised: Option<&'static str>,
    risk: Option<(&'static str, &'static str)>,
    state: &'static str,
    tone: &'static str,
    waiting_on: &'static str,
    score: u32,
    last_at: TimeLabel,
}

#[derive(Clone, Deserialize)]
pub(crate) struct ItemsQuery {
    project: ProjectId,
    repository: RepositoryName,
    #[serde(default)]
    staleness: String,
    #[serde(default)]
    waiting_on: String,
    #[serde(default)]
    sort: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartForm {
    project: String,
    repository: RepositoryName,
    #[serde(default)]
    form_key: String,
}

pub(crate) async fn list(visit: PageContext, Query(query): Query<ProjectQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    let now = visit.ctx.clock.now();
    let analyses = control::list_analyses(&visit.ctx, &project.id).await?;
    let page = ListPage {
        frame: visit.frame(&format!("Analyses of {}", project.name), "analyses", Some(&project.id)),
        project: project.id.to_string(),
        may_work: visit.visitor.may_run_jobs(),
        form_key: new_form_key(),
        rows: analyses.iter().map(|(repository, analysis)| to_view(repository, analysis, now)).collect(),
        refresh: labels::refresh_ms(analyses.iter().any(|(_, analysis)| analysis.active_job.is_some())),
    };
    Ok(render_page(StatusCode::OK, &page))
}

pub(crate) async fn show(visit: PageContext, Query(query): Query<ItemsQuery>) -> Result<Response, Fault> {
    let project = visit.load_project(&query.project).await?;
    let (repository, analysis) = control::load_analysis(&visit.ctx, &project.id, &query.repository).await?;
    let report = control::load_report(&visit.ctx, &analysis).await?.unwrap_or_default();
    let now = visit.ctx.clock.now();
    let filter = |what| ItemFilter {
        what: Some(what),
        staleness: Staleness::ALL.into_iter().find(|it| it.as_str() == query.staleness),
        waiting_on: WaitingOn::ALL.into_iter().find(|it| it.as_str() == query.waiting_on),
        sort: ItemSort::ALL.into_iter().find(|it| it.as_str() == query.sort),
    };
    let table = |kind: &ItemKind| ItemTable {
        title: if *kind == ItemKind::Pulls { "Pull requests" } else { "Issues" },
        as_of: report.lists.get(kind).map(|list| labels::format_time(list.as_of, now)),
        rows: report.select(&filter(*kind), now).into_iter().map(|item| to_row(item, now)).collect(),
    };
    let page = ItemsPage {
        frame: visit.frame(&format!("Open work in {}", repository.name), "analyses", Some(&project.id)),
        project: project.id.to_string(),
        may_work: visit.visitor.may_run_jobs(),
        form_key: new_form_key(),
        filters: query.filters(),
        tables: report.lists.keys().map(table).collect(),
        refresh: labels::refresh_ms(analysis.active_job.is_some()),
        row: to_view(&repository, &analysis, now),
    };
    Ok(render_page(StatusCode::OK, &page))
}

pub(crate) async fn start(visit: PageContext, Form(form): Form<StartForm>) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let project = visit.load_named_project(&form.project).await?;
    let (repository, _) = control::load_analysis(&visit.ctx, &project.id, &form.repository).await?;
    let key = request_key(&form.form_key).map_or_else(new_form_key, |key| key.to_string());
    let start = StartAnalysis {
        project: project.id,
        integration: repository.integration,
        repository: repository.id,
        what: None,
        request: format!("{} {key}", visit.visitor.id),
        source: Source::Person,
        retry_of: None,
    };
    let answer = control::start_analysis(&visit.ctx, &start).await?.into_answer();
    Ok(redirect(&format!("/jobs/{}", accepted_job(&answer)?)))
}

/// The page of a repository's items.
pub(crate) fn items_url(project: &ProjectId, repository: &RepositoryName) -> String {
    format!("/analyses/items?project={project}&repository={}", percent_encode(repository.as_str()))
}

fn to_view(repository: &Repository, analysis: &Analysis, now: Timestamp) -> AnalysisView {
    AnalysisView {
        name: line(repository.name.as_str()),
        address: items_url(&repository.project, &repository.name),
        active_job: analysis.active_job.clone(),
        last: analysis.last.as_ref().map(|last| LastView {
            job: last.job.clone(),
            when: labels::format_time(last.at, now),
            sentence: last.counts.sentence(),
            cost: format_usd(last.spent_usd_micros),
        }),
        failed: analysis.failed.as_ref().map(|failed| (failed.job.clone(), line(&failed.sentence))),
    }
}

fn to_row(item: &AnalysedItem, now: Timestamp) -> ItemRow {
    let staleness = item.signals.staleness(now);
    ItemRow {
        number: item.number,
        title: line(&item.title),
        address: http_url(&item.url),
        summary: item.summary.as_ref().map(|summary| (line(&summary.text), line(&summary.next_step))),
        not_summarised: item.is_failed().then_some(NOT_SUMMARISED),
        risk: item.summary.as_ref().map(|summary| (summary.risk.as_str(), risk_tone(summary.risk))),
        state: staleness.label(),
        tone: if staleness == Staleness::Abandoned { "warn" } else { "" },
        waiting_on: item.signals.waiting_on().label(),
        score: item.signals.score(),
        last_at: labels::format_time(item.signals.last_at, now),
    }
}

fn risk_tone(risk: Risk) -> &'static str {
    match risk {
        Risk::High => "bad",
        Risk::Medium => "warn",
        Risk::Low => "",
    }
}

impl ItemsQuery {
    fn filters(&self) -> Vec<(&'static str, Vec<Tab>)> {
        let tab = |name, query: Self, is_current| Tab { name, address: query.to_url(), is_current };
        let staleness = Staleness::ALL.map(|it| (it.label(), it.as_str()));
        let waiting_on = WaitingOn::ALL.map(|it| (it.label(), it.as_str()));
        let ages = [("Any age", "")]
            .into_iter()
            .chain(staleness)
            .map(|(name, code)| tab(name, Self { staleness: code.into(), ..self.clone() }, self.staleness == code));
        let sides = [("Waits for anyone", "")]
            .into_iter()
            .chain(waiting_on)
            .map(|(name, code)| tab(name, Self { waiting_on: code.into(), ..self.clone() }, self.waiting_on == code));
        let sorts = [("By score", ""), ("By age", ItemSort::Age.as_str())]
            .into_iter()
            .map(|(name, code)| tab(name, Self { sort: code.into(), ..self.clone() }, self.sort == code));
        vec![("Age", ages.collect()), ("Waits for", sides.collect()), ("Order", sorts.collect())]
    }

    fn to_url(&self) -> String {
        let fields = [("staleness", &self.staleness), ("waiting_on", &self.waiting_on), ("sort", &self.sort)];
        format!("{}{}", items_url(&self.project, &self.repository), text::format_query(&fields))
    }
}
