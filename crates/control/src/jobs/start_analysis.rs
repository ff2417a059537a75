//! Starts an analysis of a repository's pull requests and issues.

use crate::answer::Answer;
use crate::facts::load_usage_today;
use crate::jobs::new_job::{NewJob, write_new_job};
use crate::{Context, Error};
use pullyard_domain::job::{Job, JobKind};
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::review::analysis::{Analysis, AnalysisPlan, ItemKind, agent_fault};
use pullyard_domain::review::delivery::{Delivery, Source};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, EventId, IntegrationId, JobId, ProjectId};
use pullyard_domain::ticket::guard::project_block;
use pullyard_store::Write;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub struct StartAnalysis {
    pub project: ProjectId,
    pub integration: IntegrationId,
    pub repository: u64,
    /// `None`: everything that the forge has.
    pub what: Option<BTreeSet<ItemKind>>,
    /// Identifies the request within the repository, so that a repeat starts no second job.
    pub request: String,
    pub source: Source,
    /// The failed or cancelled analysis that it repeats.
    pub retry_of: Option<Job>,
}

/// Creates the job of an analysis. If one is running, the answer names that job.
/// Writes: JOB, ANALYSIS, DELIVERY and BUDGET in one transaction, and before them the context and the class.
/// Idempotent: by the request.
/// Errors: `NotFound` (project, repository, integration); `Invalid` for issues at a forge without them, and for an agent
/// that is a file of the repository; `KeyReused` if the request had other kinds of item; `Contended`.
pub async fn start_analysis(ctx: &Context, start: &StartAnalysis) -> Result<Answer, Error> {
    let id = JobId::for_analysis(&start.project, &start.integration, start.repository, &start.request);
    let mut rounds = ctx.retries(&id);
    loop {
        match Box::pin(start_once(ctx, start, &id)).await? {
            Some(result) => return Ok(result),
            None => rounds.backoff().await?,
        }
    }
}

/// `None` if the facts have changed since they were loaded.
async fn start_once(ctx: &Context, start: &StartAnalysis, id: &JobId) -> Result<Option<Answer>, Error> {
    let StartAnalysis { project, integration, repository, what, source, .. } = start;
    let now = ctx.clock.now();
    let (project, repository, integration, analysis) = tokio::try_join!(
        ctx.load_project(project),
        async { Ok(ctx.store.load_repository(project, integration, *repository).await?) },
        async { Ok(ctx.store.load_integration(integration).await?) },
        async { Ok(ctx.store.load_analysis(project, integration, *repository).await?) },
    )?;
    let repository = repository.ok_or_else(|| Error::not_found("repository", start.repository))?;
    let integration = integration.ok_or_else(|| Error::not_found("integration", &start.integration))?;
    let what = choose_items(what.as_ref(), integration.kind)?;
    if let Some(first) = ctx.store.load_job(id).await? {
        let context = ctx.store.load_context(id, &first.context).await?;
        let plan = context.and_then(|context| context.analysis);
        return match plan.is_none_or(|plan| plan.what == what) {
            true => Ok(Some(answer(Reason::Repeat { first: "accepted".into() }, first.id))),
            false => Err(Error::KeyReused),
        };
    }
    let repository = repository.resolve_agent(&project.settings);
    if let Some(fault) = agent_fault(&repository) {
        let fault = format!("{fault}, with `pullyard repos add {}`", repository.name);
        return Err(Error::Invalid { pointer: "/repository", fault });
    }
    let mut item = analysis.unwrap_or_else(|| Analysis::new(&repository));
    if let Some(active) = &item.active_job
        && let Some(job) = ctx.store.load_job(active).await?
        && !job.status.is_terminal()
    {
        return Ok(Some(answer(Reason::AnalysisRunning { job: job.id.clone() }, job.id)));
    }
    let today = load_usage_today(ctx, Some(&project), now).await?;
    let reason = project_block(&project, &today).unwrap_or_else(|| Reason::Accepted { job: id.clone() });
    let (delivery, event) = (DeliveryId::for_request(id), EventId::new(id.as_str())?);
    let delivery = Delivery {
        job: reason.created_job().cloned(),
        ..Delivery::new(delivery, project.id.clone(), *source, event, now, reason.clone())
    };
    if delivery.job.is_none() {
        let write = ctx.store.record_delivery(&delivery).await?;
        ctx.counters().count_decision(&reason);
        return Ok((write == Write::Applied).then_some(Answer { delivery: delivery.id, reason, job: None }));
    }
    item.active_job = Some(id.clone());
    let plan = AnalysisPlan {
        what,
        named: start.what.is_some(),
        cost_usd_micros: project.settings.analysis.cost_usd_micros,
        previous: item.last.as_ref().map(|last| last.job.clone()),
    };
    let new = NewJob {
        analysis: Some((plan, item)),
        retry_of: start.retry_of.as_ref(),
        ..NewJob::new(id.clone(), JobKind::Analysis, (&project, &repository), now)
    };
    let write = Box::pin(write_new_job(ctx, new, &delivery, None)).await?;
    if write == Write::Applied {
        ctx.counters().count_decision(&reason);
    }
    Ok((write == Write::Applied).then(|| answer(reason, id.clone())))
}

fn answer(reason: Reason, job: JobId) -> Answer {
    Answer { delivery: DeliveryId::for_request(&job), reason, job: Some(job) }
}

fn choose_items(what: Option<&BTreeSet<ItemKind>>, forge: ForgeKind) -> Result<BTreeSet<ItemKind>, Error> {
    let has_issues = forge.spec().has_issues;
    match what {
        Some(what) if what.is_empty() => {
            Err(Error::Invalid { pointer: "/what", fault: "name pulls, issues or both".into() })
        }
        Some(what) if what.contains(&ItemKind::Issues) && !has_issues => {
            let fault = format!("{} has no issues: leave them out", forge.label());
            Err(Error::Invalid { pointer: "/what", fault })
        }
        Some(what) => Ok(what.clone()),
        None => Ok(ItemKind::ALL.into_iter().filter(|kind| has_issues || *kind == ItemKind::Pulls).collect()),
    }
}
