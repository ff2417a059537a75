//! Starts a run of a plan.

use super::group::{MAX_ROUNDS, join_group};
use crate::facts::load_repository_fact;
use crate::requester::{Requester, hash_request};
use crate::{Context, Error};
use pullyard_domain::project::Project;
use pullyard_domain::project::plan::{BRANCH_RULE, MAX_FILE_BYTES, ParameterKind, Plan, PlanFault, is_base, is_branch};
use pullyard_domain::project::template::{StartedBy, TemplateId};
use pullyard_domain::run::{FrozenPlan, Run};
use pullyard_domain::text::id::{EventId, ProjectId, RepositoryName, RunId, TemplateName};
use pullyard_domain::ticket::facts::RepositoryFact;
use pullyard_store::Write;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Serialize)]
pub struct RunSubmission {
    pub project: ProjectId,
    /// The plan as JSON; null for a template.
    pub plan: Value,
    /// Instead of a plan: a template, and the kind of start, which the template must allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<(TemplateName, StartedBy)>,
    pub params: BTreeMap<String, String>,
    /// Overrides the repository of the plan or the project.
    pub repository: Option<RepositoryName>,
    /// Overrides the base of the plan or the repository's default branch.
    pub base: Option<String>,
}

/// Identifies the request, so that a repeat starts no second run.
#[derive(Clone, Debug)]
pub enum RunKey {
    /// Chosen by the caller for this run, and shared by all callers of the project.
    Run(EventId),
    /// The caller's `Idempotency-Key`.
    Caller(EventId),
    /// The kind of a start without a user, and the id that its source gave it.
    Source(&'static str, String),
}

#[derive(Clone, Debug)]
pub struct Submitted {
    pub run: Run,
    /// An earlier request with the same key started it.
    pub is_repeat: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SubmitFault {
    /// With pointers of the request: `/plan/steps/3/needs/0`, `/params/task`, `/repository`.
    #[error("accept the plan: it has {} faults", .0.len())]
    Plan(Vec<PlanFault>),
    #[error(transparent)]
    Error(#[from] Error),
}

/// Checks a plan against its project, freezes it, and starts its run.
/// Writes: RUN and PLAN, if absent, and GROUP over `rev`.
/// Idempotent: by the key; a repeat returns the first run. Without a key, each call starts a run.
/// Errors: `Plan`; `NotFound` (project, template); `KeyReused` if the first request with the key was another; `Denied`
/// if too many runs of the group wait; `Contended`.
pub async fn submit_run(
    ctx: &Context,
    submission: &RunSubmission,
    caller: &Requester,
    key: Option<&RunKey>,
) -> Result<Submitted, SubmitFault> {
    let project = &submission.project;
    let id = match key {
        Some(RunKey::Run(key)) => RunId::for_request(project, "", key.as_str()),
        Some(RunKey::Caller(key)) => RunId::for_request(project, &caller.id, key.as_str()),
        Some(RunKey::Source(kind, key)) => RunId::for_request(project, kind, key),
        None => RunId::for_request(project, &caller.id, &ctx.clock.ulid()),
    };
    let content = hash_request(submission);
    if let Some(first) = find_first(ctx, &id, &content).await? {
        return Ok(first);
    }
    let frozen = freeze(ctx, submission).await?;
    let run = Run::new(id.clone(), project.clone(), &frozen.plan, caller.name.clone(), ctx.clock.now());
    let run = Run { name: frozen.title(), content: content.clone(), ..run };
    let mut rounds = ctx.retries(&id).up_to(MAX_ROUNDS);
    loop {
        let group = join_group(ctx, &run, &frozen.plan).await?;
        if ctx.store.create_run(&run, &frozen, group.as_ref()).await.map_err(Error::from)? == Write::Applied {
            break;
        }
        if let Some(first) = find_first(ctx, &id, &content).await? {
            return Ok(first);
        }
        rounds.backoff().await?;
    }
    tracing::info!(run = %id, project = %project, caller = caller.id, "run started");
    ctx.send_hints(ctx.wake_run(&id)).await;
    Ok(Submitted { run, is_repeat: false })
}

async fn find_first(ctx: &Context, id: &RunId, content: &str) -> Result<Option<Submitted>, Error> {
    match ctx.store.load_run(id).await? {
        Some(run) if run.content != content => Err(Error::KeyReused),
        first => Ok(first.map(|run| Submitted { run, is_repeat: true })),
    }
}

async fn freeze(ctx: &Context, submission: &RunSubmission) -> Result<FrozenPlan, SubmitFault> {
    let project = ctx.load_project(&submission.project).await?;
    let json = match &submission.template {
        Some((name, _)) => {
            ctx.load_template(&TemplateId { project: project.id.clone(), name: name.clone() }).await?.json()
        }
        None => submission.plan.clone(),
    };
    let mut plan = parse(&json)?;
    if let Some((name, start)) = &submission.template
        && !plan.allows(*start)
    {
        let start = start.as_str();
        let fault = format!("{name} is not started by {start}: add {start} to its `started_by`");
        return Err(fault_at("/template", fault));
    }
    let mut params = submission.params.clone();
    // The parameter gets the run's repository, because the prompts quote it.
    if let (Some(name), Some(repository)) = (plan.repository_parameter(), &submission.repository) {
        let given = params.insert(name.clone(), repository.to_string());
        if given.is_some_and(|given| !given.is_empty() && !given.eq_ignore_ascii_case(repository.as_str())) {
            let fault = format!("the run's repository is {repository}: leave this value out, or give the same");
            return Err(fault_at(format!("/params/{name}"), fault));
        }
    }
    let parameters = plan.fill_parameters(&params).map_err(|faults| SubmitFault::Plan(below("/params", faults)))?;
    let kind = |name: &String| plan.parameters.get(name).map(|of| of.kind);
    let others = parameters.iter().filter(|&(name, _)| kind(name) == Some(ParameterKind::Repository));
    let others = others.filter_map(|(name, value)| {
        let other = RepositoryName::new(value.as_str()).ok()?;
        (submission.repository.as_ref() != Some(&other)).then(|| (name.clone(), other))
    });
    let mut faults = check_repositories(ctx, &project, others.collect()).await?;
    let named = submission.repository.clone().or_else(|| plan_repository(&plan));
    let is_of_plan = submission.repository.is_none() && plan.repository.is_some();
    let at = if is_of_plan { "/plan/repository" } else { "/repository" };
    let repository = match load_repository_fact(ctx, &project, named.as_ref()).await? {
        RepositoryFact::Connected(repository) => *repository,
        _ if !faults.is_empty() => return Err(SubmitFault::Plan(faults)),
        RepositoryFact::NotNamed => {
            return Err(fault_at(at, "give a repository, or set a default in the project's settings"));
        }
        RepositoryFact::NotConnected(name) => return Err(fault_at(at, describe_unconnected(&name, &project))),
    };
    faults.extend(below("/plan", plan.check_for_project(&project.settings, Some(&repository))));
    let is_valid = submission.base.as_deref().is_none_or(is_base);
    let base = submission.base.clone().or_else(|| plan.base.clone());
    let base = base.unwrap_or_else(|| repository.default_branch.clone());
    if !is_valid || !is_branch(&base) {
        // `Plan::parse` and `fill_parameters` check the base of a plan.
        faults.push(PlanFault::new("/base", BRANCH_RULE));
    }
    match faults.is_empty() {
        true => Ok(FrozenPlan { plan, parameters, repository, base }),
        false => Err(SubmitFault::Plan(faults)),
    }
}

fn parse(json: &Value) -> Result<Plan, SubmitFault> {
    if serde_json::to_string(json).is_ok_and(|text| text.len() > MAX_FILE_BYTES) {
        return Err(fault_at("/plan", "a plan has at most 64 KiB"));
    }
    Plan::parse(json.clone()).map_err(|faults| SubmitFault::Plan(below("/plan", faults)))
}

/// Checks a plan that has no parameters yet. Each start checks it again.
/// Errors: `Plan`; `NotFound` (project).
pub async fn check_plan(ctx: &Context, project: &ProjectId, json: &Value) -> Result<(), SubmitFault> {
    let project = ctx.load_project(project).await?;
    let plan = parse(json)?;
    let (mut faults, mut repository) = (Vec::new(), None);
    match load_repository_fact(ctx, &project, plan_repository(&plan).as_ref()).await? {
        RepositoryFact::NotConnected(name) if plan.repository.is_some() => {
            faults.push(PlanFault::new("/repository", describe_unconnected(&name, &project)));
        }
        RepositoryFact::Connected(found) if plan.repository_parameter().is_none() => repository = Some(found),
        // The start names the repository.
        _ => {}
    }
    faults.extend(plan.check_for_project(&project.settings, repository.as_deref()));
    if faults.is_empty() { Ok(()) } else { Err(SubmitFault::Plan(below("/plan", faults))) }
}

fn plan_repository(plan: &Plan) -> Option<RepositoryName> {
    plan.repository.as_ref().and_then(|name| RepositoryName::new(name.as_str()).ok())
}

fn describe_unconnected(name: &RepositoryName, project: &Project) -> String {
    format!("{name} is not connected to {0}: `pullyard repos add {name} --project {0}`", project.id)
}

/// Finds parameters, given with their names, whose repository the project lacks.
async fn check_repositories(
    ctx: &Context,
    project: &Project,
    parameters: Vec<(String, RepositoryName)>,
) -> Result<Vec<PlanFault>, Error> {
    let mut faults = Vec::new();
    for (name, repository) in parameters {
        if ctx.store.load_repository_by_name(&project.id, &repository).await?.is_none() {
            faults.push(PlanFault::new(format!("/params/{name}"), describe_unconnected(&repository, project)));
        }
    }
    Ok(faults)
}

fn fault_at(pointer: impl Into<String>, fault: impl Into<String>) -> SubmitFault {
    SubmitFault::Plan(vec![PlanFault::new(pointer, fault)])
}

fn below(pointer: &str, faults: Vec<PlanFault>) -> Vec<PlanFault> {
    let moved = |fault: PlanFault| PlanFault { pointer: format!("{pointer}{}", fault.pointer), ..fault };
    faults.into_iter().map(moved).collect()
}
