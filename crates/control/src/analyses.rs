//! Lists a project's analyses, and loads the report of one.

use crate::{Context, Error};
use pullyard_domain::project::Repository;
use pullyard_domain::review::analysis::{Analysis, AnalysisReport};
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::text::id::{JobId, ProjectId, RepositoryName};

/// All repositories of the project by name, with their analyses.
pub async fn list_analyses(ctx: &Context, project: &ProjectId) -> Result<Vec<(Repository, Analysis)>, Error> {
    let (mut repositories, mut analyses) =
        tokio::try_join!(ctx.store.list_repositories(project), ctx.store.list_analyses(project))?;
    repositories.sort_by(|a, b| a.name.cmp(&b.name));
    let with_analysis = |repository: Repository| {
        let is_own = |analysis: &Analysis| {
            analysis.integration == repository.integration && analysis.repository == repository.id
        };
        let found = analyses.iter().position(is_own).map(|at| analyses.swap_remove(at));
        let analysis = found.unwrap_or_else(|| Analysis::new(&repository));
        (repository, analysis)
    };
    Ok(repositories.into_iter().map(with_analysis).collect())
}

/// Errors: `NotFound` for a repository that is not connected.
pub async fn load_analysis(
    ctx: &Context,
    project: &ProjectId,
    name: &RepositoryName,
) -> Result<(Repository, Analysis), Error> {
    let repository = ctx.store.load_repository_by_name(project, name).await?;
    let repository = repository.ok_or_else(|| Error::not_found("repository", name))?;
    let analysis = ctx.store.load_analysis(project, &repository.integration, repository.id).await?;
    let analysis = analysis.unwrap_or_else(|| Analysis::new(&repository));
    Ok((repository, analysis))
}

/// The report of an analysis that completed within 90 days.
pub async fn load_report(ctx: &Context, job: Option<&JobId>) -> Result<Option<AnalysisReport>, Error> {
    let Some(job) = job else { return Ok(None) };
    Ok(match ctx.store.load_output(job).await? {
        Some(JobOutput::Analysis(report)) => Some(report),
        Some(JobOutput::Read(_) | JobOutput::Review(_)) | None => None,
    })
}
