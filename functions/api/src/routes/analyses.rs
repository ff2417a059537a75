//! Starts and shows analyses of open pull requests and issues.

use crate::routes::prelude::*;
use crate::routes::pulls::to_response;
use pullyard_control::StartAnalysis;
use pullyard_domain::project::Repository;
use pullyard_domain::review::analysis::CompletedAnalysis;
use pullyard_domain::review::delivery::Source;
use pullyard_entry::openapi::RequestOutcome;
use pullyard_protocol::analysis::{
    Analysis, AnalysisItems, AnalysisList, AnalysisQuery, LastAnalysis, ListedItem, RequestAnalysis,
};
use pullyard_protocol::decision::Decision;

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct ProjectOnlyQuery {
    /// Project.
    project: ProjectId,
}

/// `201` for a new job, `200` for a repeat or if one runs, `409` with the code of the guard.
pub(crate) async fn request(
    caller: Caller<scope::Jobs>,
    IdempotencyKey(key): IdempotencyKey,
    StrictJson(request): StrictJson<RequestAnalysis>,
) -> Result<RequestOutcome<Decision>, Problem> {
    let RequestAnalysis { project, repository, what } = request;
    caller.authorize_project(&project)?;
    let (repository, _) = control::load_analysis(&caller.ctx, &project, &repository).await?;
    let key = key.map_or_else(|| caller.ctx.clock.ulid(), |key| key.to_string());
    let start = StartAnalysis {
        project,
        integration: repository.integration,
        repository: repository.id,
        what,
        request: format!("{} {key}", caller.requester().id),
        source: Source::Person,
        retry_of: None,
    };
    to_response(control::start_analysis(&caller.ctx, &start).await?)
}

pub(crate) async fn list(
    caller: Caller<scope::Read>,
    Query(query): Query<ProjectOnlyQuery>,
) -> Result<Json<AnalysisList>, Problem> {
    caller.authorize_project(&query.project)?;
    let analyses = control::list_analyses(&caller.ctx, &query.project).await?;
    Ok(Json(AnalysisList { analyses: analyses.into_iter().map(to_wire).collect() }))
}

pub(crate) async fn items(
    caller: Caller<scope::Read>,
    Query(query): Query<AnalysisQuery>,
) -> Result<Json<AnalysisItems>, Problem> {
    let AnalysisQuery { project, repository } = query;
    caller.authorize_project(&project)?;
    let (repository, analysis) = control::load_analysis(&caller.ctx, &project, &repository).await?;
    let report =
        control::load_report(&caller.ctx, analysis.last.as_ref().map(|last| &last.job)).await?.unwrap_or_default();
    let now = caller.ctx.clock.now();
    let items = report.by_score().into_iter().map(|item| ListedItem {
        score: item.signals.score(),
        staleness: item.signals.staleness(now),
        waiting_on: item.signals.waiting_on(),
        item: item.clone(),
    });
    Ok(Json(AnalysisItems { items: items.collect(), analysis: to_wire((repository, analysis)) }))
}

fn to_wire((repository, analysis): (Repository, pullyard_domain::review::analysis::Analysis)) -> Analysis {
    Analysis {
        project: repository.project,
        repository: repository.name,
        active_job: analysis.active_job,
        last: analysis.last.map(|CompletedAnalysis { job, at, spent_usd_micros, counts }| LastAnalysis {
            job,
            at,
            spent_usd_micros,
            counts,
        }),
        failed: analysis.failed,
    }
}
