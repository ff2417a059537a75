//! Templates: stores the plans of a project and starts their runs.

use crate::requester::Requester;
use crate::runs::submit::{RunKey, RunSubmission, SubmitFault, check_plan, submit_run};
use crate::{Context, Error};
use pullyard_domain::project::plan::PlanFault;
use pullyard_domain::project::template::{StartedBy, Submission, Template, TemplateId};
use pullyard_domain::review::delivery::{Delivery, Source};
use pullyard_domain::text::Cause;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, EventId, ProjectId, RepositoryName, RunId, TemplateName};
use pullyard_store::Write;
use serde_json::Value;
use std::collections::BTreeMap;

const MAX_TEMPLATES: usize = 50;

/// Stores a template, or replaces its plan. Runs keep the plan with which they started.
/// Writes: TEMPLATE.
/// Idempotent: an equal plan changes nothing.
/// Errors: `Plan`, with pointers of the plan; `NotFound` (project); `Invalid` for one template too many; `Contended`.
pub async fn put_template(ctx: &Context, id: &TemplateId, plan: &Value, by: &str) -> Result<Template, SubmitFault> {
    check_plan(ctx, &id.project, plan).await?;
    let plan = plan.to_string();
    let mut rounds = ctx.retries(id);
    loop {
        let now = ctx.clock.now();
        let found = ctx.store.load_template(id).await.map_err(Error::from)?;
        let (created, rev) = match found {
            Some(found) if found.plan == plan => return Ok(found),
            Some(found) => (found.created, found.rev),
            None => (now, 0),
        };
        if rev == 0 && list_templates(ctx, &id.project).await?.len() >= MAX_TEMPLATES {
            let fault = format!("delete another template: a project has at most {MAX_TEMPLATES}");
            return Err(Error::Invalid { pointer: "/name", fault }.into());
        }
        let template = Template { id: id.clone(), plan: plan.clone(), by: by.to_owned(), created, changed: now, rev };
        if ctx.store.put_template(&template).await.map_err(Error::from)? == Write::Applied {
            return Ok(template);
        }
        rounds.backoff().await?;
    }
}

/// Deletes a template; its runs continue.
/// Writes: TEMPLATE deleted.
/// Idempotent: a repeat returns `NotFound`.
/// Errors: `NotFound`; `Contended`.
pub async fn delete_template(ctx: &Context, id: &TemplateId) -> Result<Template, Error> {
    let template = ctx.load_template(id).await?;
    match ctx.store.delete_template(&template).await? {
        Write::Applied => Ok(template),
        Write::Stale => Err(Error::Contended { subject: id.to_string() }),
    }
}

/// Errors: `NotFound`.
pub async fn load_template(ctx: &Context, id: &TemplateId) -> Result<Template, Error> {
    ctx.load_template(id).await
}

pub async fn list_templates(ctx: &Context, project: &ProjectId) -> Result<Vec<Template>, Error> {
    Ok(ctx.store.list_templates(project).await?)
}

/// A start of a template without a caller.
pub(crate) struct Start<'a> {
    pub(crate) project: &'a ProjectId,
    pub(crate) template: &'a TemplateName,
    pub(crate) kind: StartedBy,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) repository: Option<RepositoryName>,
    /// Identifies the start among starts of the same kind.
    pub(crate) key: String,
    /// Shown as the user who started the run.
    pub(crate) by: String,
}

impl Start<'_> {
    pub(crate) fn run_id(&self) -> RunId {
        RunId::for_request(self.project, self.kind.as_str(), &self.key)
    }
}

/// Starts a run for a schedule, a webhook or a program; or returns the first fault, with a pointer of the start.
/// Writes: RUN and PLAN, if absent.
/// Idempotent: by kind and key.
pub(crate) async fn start(ctx: &Context, start: Start<'_>) -> Result<Result<RunId, PlanFault>, Error> {
    let id = start.run_id();
    let caller = Requester { id: start.kind.as_str().to_owned(), name: start.by };
    let submission = RunSubmission {
        project: start.project.clone(),
        plan: Value::Null,
        template: Some((start.template.clone(), start.kind)),
        params: start.params,
        repository: start.repository,
        base: None,
    };
    let key = RunKey::Source(start.kind.as_str(), start.key);
    let fault = match Box::pin(submit_run(ctx, &submission, &caller, Some(&key))).await {
        Ok(submitted) => return Ok(Ok(submitted.run.id)),
        // The sender has no plan: it is the template's.
        Err(SubmitFault::Plan(faults)) => faults.into_iter().next().map(|fault| {
            if fault.pointer.starts_with("/plan") { PlanFault::new("/template", fault.to_string()) } else { fault }
        }),
        Err(SubmitFault::Error(Error::NotFound { resource: "template", name })) => {
            Some(PlanFault::new("/template", format!("there is no template {name}")))
        }
        // Its key is the event itself, although the template has other parameters by now.
        Err(SubmitFault::Error(Error::KeyReused)) if start.kind != StartedBy::Submission => return Ok(Ok(id)),
        Err(SubmitFault::Error(Error::KeyReused)) => {
            Some(PlanFault::new("/id", "an earlier start with this id had other content"))
        }
        // Its group is full.
        Err(SubmitFault::Error(Error::Denied(denial))) => {
            Some(PlanFault::new("", format!("{} {}", denial.sentence(), denial.help().trim_end_matches('.'))))
        }
        Err(SubmitFault::Error(error)) => return Err(error),
    };
    Ok(Err(fault.unwrap_or_else(|| PlanFault::new("", "the plan is refused"))))
}

/// Starts the run of a submission, or returns its first fault.
/// Writes: RUN and PLAN, if absent; DELIVERY.
/// Idempotent: by project and id.
pub async fn submit(ctx: &Context, submission: &Submission, by: &str) -> Result<Result<RunId, PlanFault>, Error> {
    let Submission { v, id, project, template, params } = submission;
    // Otherwise the ledger would list a project that does not exist.
    ctx.load_project(project).await?;
    let request = Start {
        project,
        template,
        kind: StartedBy::Submission,
        params: params.clone(),
        repository: None,
        key: id.to_string(),
        by: by.to_owned(),
    };
    let result = match v {
        1 => Box::pin(start(ctx, request)).await?,
        _ => Err(PlanFault::new("/v", "this version knows only 1")),
    };
    let is_of_message = |pointer: &str| ["/params", "/v", "/id"].iter().any(|field| pointer.starts_with(field));
    let reason = match &result {
        Ok(run) => Reason::RunStarted { run: run.clone() },
        Err(fault) if is_of_message(&fault.pointer) => unreadable(fault),
        Err(fault) => refusal(template, fault),
    };
    record(ctx, project, id, reason).await?;
    Ok(result)
}

/// Records the fault of a message that is no [`Submission`], but names a project and its own id.
/// Writes: DELIVERY.
/// Idempotent: by project and id.
/// Errors: `NotFound` (project).
pub async fn refuse_submission(
    ctx: &Context,
    project: &ProjectId,
    id: &EventId,
    fault: &PlanFault,
) -> Result<(), Error> {
    ctx.load_project(project).await?;
    record(ctx, project, id, unreadable(fault)).await
}

fn unreadable(PlanFault { pointer, fault }: &PlanFault) -> Reason {
    Reason::BodyUnreadable { pointer: pointer.clone(), fault: fault.clone() }
}

async fn record(ctx: &Context, project: &ProjectId, id: &EventId, reason: Reason) -> Result<(), Error> {
    let delivery = DeliveryId::for_start(project, "submission", id.as_str());
    ctx.counters().count_decision(&reason);
    let (now, reason) = (ctx.clock.now(), reason.clipped());
    let delivery = Delivery::new(delivery, project.clone(), Source::Submission, id.clone(), now, reason);
    ctx.store.record_delivery(&delivery).await?;
    Ok(())
}

/// The reason of a start that a template refused.
pub(crate) fn refusal(template: &TemplateName, fault: &PlanFault) -> Reason {
    let pointer = if fault.pointer.is_empty() { String::new() } else { format!("{}: ", fault.pointer) };
    Reason::TemplateRefused { template: template.clone(), fault: Cause(format!("{pointer}{}", fault.fault)) }
}
