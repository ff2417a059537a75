//! The analyses of open pull requests and issues: a list of repositories, and the items of one.

use crate::frame::Tab;
use crate::prelude::*;
use crate::verdict::accepted_job;
use pullyard_control::StartAnalysis;
use pullyard_domain::project::Repository;
use pullyard_domain::review::analysis::{self, AnalysedItem, Analysis, AnalysisReport, ItemKind, Staleness};
use pullyard_domain::review::delivery::Source;
use pullyard_domain::text::id::RepositoryName;
use pullyard_domain::text::to_sentence;

#[derive(Template)]
#[template(path = "analyses.html")]
struct ListPage {
    frame: Frame,
    form_key: String,
    rows: Vec<(Repository, Analysis)>,
    now: Timestamp,
    refresh: u32,
}

#[derive(Template)]
#[template(path = "analysis.html")]
struct ItemsPage {
    frame: Frame,
    form_key: String,
    repository: Repository,
    analysis: Analysis,
    report: AnalysisReport,
    staleness: Option<Staleness>,
    now: Timestamp,
    refresh: u32,
}

#[derive(Deserialize)]
pub(crate) struct ItemsQuery {
    project: ProjectId,
    repository: RepositoryName,
    staleness: Option<Staleness>,
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
    let rows = control::list_analyses(&visit.ctx, &project.id).await?;
    let page = ListPage {
        frame: visit.frame(&format!("Analyses of {}", project.name), "analyses", Some(&project.id)),
        form_key: new_form_key(),
        refresh: labels::refresh_ms(rows.iter().any(|(_, analysis)| analysis.active_job.is_some())),
        rows,
        now: visit.ctx.clock.now(),
    };
    Ok(render_page(StatusCode::OK, &page))
}

pub(crate) async fn show(visit: PageContext, Query(query): Query<ItemsQuery>) -> Result<Response, Fault> {
    let project = visit.load_project(&query.project).await?;
    let (repository, analysis) = control::load_analysis(&visit.ctx, &project.id, &query.repository).await?;
    let page = ItemsPage {
        frame: visit.frame(&format!("Open work in {}", repository.name), "analyses", Some(&project.id)),
        form_key: new_form_key(),
        report: control::load_report(&visit.ctx, analysis.last.as_ref().map(|last| &last.job))
            .await?
            .unwrap_or_default(),
        staleness: query.staleness,
        now: visit.ctx.clock.now(),
        refresh: labels::refresh_ms(analysis.active_job.is_some()),
        repository,
        analysis,
    };
    Ok(render_page(StatusCode::OK, &page))
}

impl ItemsPage {
    fn tabs(&self) -> Vec<Tab> {
        let url = items_url(&self.repository.project, &self.repository.name);
        let all = Tab { name: "Any age", address: url.clone(), is_current: self.staleness.is_none() };
        let tab = |it: Staleness| Tab {
            name: it.label(),
            address: format!("{url}&staleness={}", it.as_str()),
            is_current: self.staleness == Some(it),
        };
        [all].into_iter().chain(Staleness::ALL.map(tab)).collect()
    }

    fn items(&self, kind: &ItemKind) -> Vec<&AnalysedItem> {
        let has_age = |item: &AnalysedItem| self.staleness.is_none_or(|it| it == item.signals.staleness(self.now));
        self.report.by_score().into_iter().filter(|item| item.kind == *kind && has_age(item)).collect()
    }
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
    let answer = control::start_analysis(&visit.ctx, &start).await?;
    Ok(redirect(&format!("/jobs/{}", accepted_job(&answer)?)))
}

/// The page of a repository's items.
pub(crate) fn items_url(project: &ProjectId, repository: &RepositoryName) -> String {
    format!("/analyses/items?project={project}&repository={}", percent_encode(repository.as_str()))
}

/// The sentence that replaces the button of an analysis.
pub(crate) fn agent_fault(repository: &Repository) -> Option<SafeText> {
    analysis::agent_fault(repository).map(|fault| line(&to_sentence(&fault.replace('`', ""))))
}

pub(crate) fn agent_url(repository: &Repository) -> String {
    let name = percent_encode(repository.name.as_str());
    format!("/setup/repositories/add?project={}&repository={name}", repository.project)
}
