//! Creates a job at a user's request: for a ticket, from a prompt, or both.

use crate::answer::{Answer, named_job};
use crate::facts::{load_repository_fact, load_repository_of_retry, load_spending_fact, load_usage_today};
use crate::jobs::new_job::{NewJob, write_new_job};
use crate::requester::{Requester, find_first_result, new_request};
use crate::{Clock, Context, Error};
use pullyard_domain::job::{Job, JobKind, KindSpec, Priority, Publishes};
use pullyard_domain::project::budget::DailyUsage;
use pullyard_domain::project::labels::check_labels;
use pullyard_domain::project::plan::{BRANCH_RULE, is_base, is_branch};
use pullyard_domain::project::spending::SpentOn;
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::review::delivery::{Delivery, Source};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, EventId, JobId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::ticket::event::TicketText;
use pullyard_domain::ticket::facts::RepositoryFact;
use pullyard_domain::ticket::guard::{decide_request, project_block};
use pullyard_domain::ticket::required_labels::required_labels;
use pullyard_store::{Request, Write};
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;

#[derive(Clone, Debug, Serialize)]
pub struct JobRequest {
    pub project: ProjectId,
    #[serde(skip_serializing_if = "is_default")]
    pub kind: JobKind,
    pub ticket: Option<TicketKey>,
    /// The prompt, in addition to the ticket's text or instead.
    pub instructions: Option<String>,
    pub repository: Option<RepositoryName>,
    pub base: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Labels of the runner.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_job_id")]
    pub retry_of: Option<Job>,
}

/// Skips the usual kind, so that the hash of a request is the one of older versions.
fn is_default(kind: &JobKind) -> bool {
    *kind == JobKind::default()
}

/// Serializes only the id, so that changes of the stored job do not change the hash of the request.
fn serialize_job_id<S: Serializer>(job: &Option<Job>, serializer: S) -> Result<S::Ok, S::Error> {
    job.as_ref().map(|job| &job.id).serialize(serializer)
}

/// Idempotent: with a key, by caller and key; the same request again returns `repeat` and the first job.
/// Errors: `NotFound` (project, ticket), `Invalid`, `KeyReused`, `Contended`.
pub async fn create_job(
    ctx: &Context,
    request: &JobRequest,
    caller: &Requester,
    key: Option<EventId>,
) -> Result<Answer, Error> {
    let key = new_request(caller.id.clone(), key, request, ctx.clock.now());
    check_base_branch(request)?;
    check_kind(request)?;
    let id = new_job_id(&ctx.clock);
    let mut rounds = ctx.retries(&id);
    loop {
        if let Some(first) = find_first_answer(ctx, key.as_ref()).await? {
            return Ok(first);
        }
        if let Some(answer) = decide_request_once(ctx, request, caller, &id, key.as_ref()).await? {
            // The guard may have refused because of the job that a concurrent call with this key created.
            let is_new = answer.job.as_ref() == Some(&id);
            let first = if is_new { None } else { find_first_answer(ctx, key.as_ref()).await? };
            return Ok(first.unwrap_or(answer));
        }
        // A write whose answer was lost looks like stale facts, so check whether it was applied.
        if ctx.store.load_job(&id).await?.is_some() {
            let reason = Reason::Accepted { job: id.clone() };
            return Ok(Answer { delivery: DeliveryId::for_request(&id), reason, job: Some(id) });
        }
        rounds.backoff().await?;
    }
}

fn check_base_branch(request: &JobRequest) -> Result<(), Error> {
    // The base of a retry may be the one of a pull request.
    let is_valid = |base: &str| if request.retry_of.is_some() { is_branch(base) } else { is_base(base) };
    if request.base.as_deref().is_none_or(is_valid) {
        Ok(())
    } else {
        Err(Error::Invalid { pointer: "/base", fault: BRANCH_RULE.into() })
    }
}

fn check_kind(request: &JobRequest) -> Result<(), Error> {
    let KindSpec { answers_reviews, publishes, checkout, .. } = request.kind.spec();
    let invalid = |pointer, fault: &str| Err(Error::Invalid { pointer, fault: fault.into() });
    if *answers_reviews {
        return invalid("/kind", "use `pullyard revise` to request a revision");
    }
    if request.kind.reviews() {
        return invalid("/kind", "use `pullyard review` or `pullyard resolve` for a pull request");
    }
    if !checkout {
        return invalid("/kind", "use `pullyard analyses run` to request an analysis");
    }
    if *publishes == Publishes::Nothing && request.ticket.is_some() {
        return invalid("/ticket", "a job of kind read has no ticket: write the question as the prompt");
    }
    Ok(())
}

/// Names the reason why no job may require the labels of the request. A retry repeats the labels of an accepted one.
fn check_request_labels(
    project: &Project,
    repository: &Repository,
    ticket: Option<&TicketText>,
    request: &JobRequest,
) -> Result<(), Error> {
    if request.retry_of.is_some() {
        return Ok(());
    }
    let checked = match project.settings.compute.uses_runners() {
        true => check_labels(&required_labels(&project.settings, repository, ticket, &request.labels)),
        false if request.labels.is_empty() => Ok(()),
        false => Err("tasks have no labels: `pullyard settings set compute=runners`, or request none".into()),
    };
    checked.map_err(|fault| Error::Invalid { pointer: "/labels", fault })
}

fn agent_pointer(field: &str) -> &'static str {
    if field == "model" { "/model" } else { "/agent" }
}

async fn decide_request_once(
    ctx: &Context,
    request: &JobRequest,
    caller: &Requester,
    id: &JobId,
    key: Option<&Request>,
) -> Result<Option<Answer>, Error> {
    let now = ctx.clock.now();
    let project = ctx.load_project(&request.project).await?;
    let ticket = match &request.ticket {
        None => None,
        Some(key) => {
            let (ticket, text) = tokio::try_join!(
                ctx.store.load_ticket(&project.id, key),
                ctx.store.load_ticket_text(&project.id, key)
            )?;
            let ticket = ticket.ok_or_else(|| Error::not_found("ticket", key))?;
            Some((ticket, text.map(|stored| stored.text).unwrap_or_default()))
        }
    };
    let name = request.repository.as_ref().or_else(|| ticket.as_ref().and_then(|(_, text)| text.repository.as_ref()));
    let fact = match &request.retry_of {
        Some(retried) => load_repository_of_retry(ctx, &project, retried, name).await?,
        None => load_repository_fact(ctx, &project, name).await?,
    };
    let today = load_usage_today(ctx, Some(&project), now).await?;
    let of = request.ticket.clone().map(SpentOn::Ticket);
    let spending = load_spending_fact(ctx, Some(&project), of, None, now).await?;
    let refusal = match &ticket {
        Some((ticket, _)) => decide_request(&project, ticket, &fact, &today, spending.as_ref()),
        None => decide_without_ticket(&project, &fact, &today, request)?,
    };
    let reason = refusal.unwrap_or_else(|| Reason::Accepted { job: id.clone() });
    let (delivery_id, event) = (DeliveryId::for_request(id), EventId::new(id.as_str())?);
    let delivery = Delivery {
        ticket: request.ticket.clone(),
        job: reason.created_job().cloned(),
        ..Delivery::new(delivery_id, project.id.clone(), Source::Person, event, now, reason.clone())
    };
    let write = match (&reason, fact) {
        (Reason::Accepted { .. }, RepositoryFact::Connected(mut repository)) => {
            repository.agent = repository
                .agent
                .with_job_choice(request.agent.as_deref(), request.model.as_deref())
                .map_err(|bad| Error::Invalid { pointer: agent_pointer(bad.field), fault: bad.message })?;
            check_request_labels(&project, &repository, ticket.as_ref().map(|(_, text)| text), request)?;
            let new = NewJob {
                ticket: ticket.as_ref().map(|(ticket, text)| (ticket, text)),
                instructions: request.instructions.clone(),
                base: request.base.clone(),
                labels: request.labels.clone(),
                priority: request.priority,
                retry_of: request.retry_of.as_ref(),
                ..NewJob::new(id.clone(), request.kind, (&project, &repository), now)
            };
            write_new_job(ctx, new, &delivery, key).await?
        }
        _ => ctx.store.record_delivery(&delivery).await?,
    };
    Ok(match write {
        Write::Stale => None,
        Write::Applied => {
            ctx.counters().count_decision(&reason);
            tracing::info!(project = %project.id, caller = caller.id, decision.reason = reason.code(), delivery = %delivery.id, "job request decided");
            Some(Answer { delivery: delivery.id, job: named_job(&reason), reason })
        }
    })
}

fn decide_without_ticket(
    project: &Project,
    fact: &RepositoryFact,
    today: &DailyUsage,
    request: &JobRequest,
) -> Result<Option<Reason>, Error> {
    if request.instructions.as_ref().is_none_or(|text| text.trim().is_empty()) {
        return Err(Error::Invalid { pointer: "/prompt", fault: "give a ticket or a prompt".into() });
    }
    if let Some(reason) = project_block(project, today) {
        return Ok(Some(reason));
    }
    match fact {
        RepositoryFact::NotNamed => Err(Error::Invalid {
            pointer: "/repository",
            fault: "give one, or set a default in the project's settings".into(),
        }),
        RepositoryFact::NotConnected(repo) => {
            Ok(Some(Reason::RepositoryNotIntegrated { repo: repo.clone(), project: project.id.clone() }))
        }
        RepositoryFact::Connected(_) => Ok(None),
    }
}

async fn find_first_answer(ctx: &Context, key: Option<&Request>) -> Result<Option<Answer>, Error> {
    let job: Option<JobId> = find_first_result(ctx, key).await?;
    let reason = Reason::Repeat { first: "accepted".into() };
    Ok(job.map(|job| Answer { delivery: DeliveryId::for_request(&job), reason, job: Some(job) }))
}

fn new_job_id(clock: &Clock) -> JobId {
    let id = format!("job_{}", clock.ulid());
    JobId::new(id).unwrap_or_else(|_| unreachable!("the prefix and 26 letters and digits"))
}
