//! Routes for the runner of one attempt.

use axum::Json;
use axum::extract::State;
use pullyard_control::attempt as control;
use pullyard_control::{Context, Error};
use pullyard_domain::failure::Failure;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{self as domain, AgentReport, End, JobResult, JobStatus};
use pullyard_domain::project::Resume as Policy;
use pullyard_domain::prompt::review::ReviewContext;
use pullyard_entry::{Leased, Problem, Query, Starting, Strict, limits, strict};
use pullyard_protocol::attempt as wire;
use pullyard_protocol::attempt::{
    Agent, AssignedRepository, AssignedTicket, Assignment, CheckpointAnswer, Continues, Credentials,
    CredentialsRequest, EventsAnswer, EventsRequest, FinishAnswer, FinishOutcome, FinishRequest, InputsAnswer, Limits,
    ModelCredential, Phase, PullRequestText, Resume, RevisedComment, RevisedReview, Revises, StartRequest,
    StatusAnswer, StatusRequest, YieldAnswer, YieldOutcome, YieldRequest,
};

const HEARTBEAT_SECS: u64 = 10;
const MOST_EVENTS: usize = 1_000;
/// The table sorts numbers of at most ten digits.
const LAST_EVENT: u64 = 1_000_000_000;

pub(crate) async fn start(
    State(ctx): State<Context>,
    Starting(bootstrap): Starting,
    Strict(request): Strict<StartRequest>,
) -> Result<Json<Assignment>, Problem> {
    limits::start(&request)?;
    let made = control::start(&ctx, &bootstrap, request.claim_id, request.instance, request.task).await?;
    let (job, context) = (made.job, made.context);
    let (title, body) = context.pull_request(&job.id, &made.isolation);
    let adopts = job.adopts.is_some();
    Ok(Json(Assignment {
        resume: resume_on_the_wire(&job, made.inputs).filter(|_| !adopts),
        requires_session: job.policy.resume == Policy::Require && !adopts,
        checkpoint: (job.attempt > 1 || job.retry_of.is_some()) && !adopts,
        adopts,
        prompt: context.prompt(),
        ticket: context.ticket.map(|(key, text)| AssignedTicket { key, title: text.title, url: text.url }),
        repository: AssignedRepository {
            forge: made.integration.kind,
            api_url: made.integration.api_url,
            name: context.repository.name,
            clone_url: context.repository.clone_url,
        },
        base: context.base,
        branch: job.branch,
        revises: job.revises.map(|revises| revises_on_the_wire(revises, context.review.as_ref(), made.retries)),
        continues: job.continues.map(|earlier| Continues { number: earlier.number, branch: earlier.branch }),
        agent: agent_on_the_wire(context.repository.agent),
        pull_request: PullRequestText { title, body },
        commands: context.commands.filter(|_| !adopts),
        author: context.author,
        limits: limits_on_the_wire(&job.policy),
        heartbeat_secs: HEARTBEAT_SECS,
        lease: made.lease,
        job: job.id,
        attempt: job.attempt,
        kind: job.kind,
    }))
}

fn resume_on_the_wire(job: &domain::Job, inputs: Vec<domain::Input>) -> Option<Resume> {
    if job.session.is_none() && inputs.is_empty() {
        return None;
    }
    let session = job.session.as_ref();
    Some(Resume {
        agent: session.map(|session| session.agent.clone()),
        session: session.and_then(|session| session.id.clone()),
        read: session.map_or(0, |session| session.inputs),
        policy: job.policy.resume,
        inputs: inputs.into_iter().map(input_on_the_wire).collect(),
    })
}

fn input_on_the_wire(input: domain::Input) -> wire::Input {
    wire::Input { seq: input.seq, by: input.by, question: input.question, text: input.text }
}

fn agent_on_the_wire(agent: pullyard_domain::agent::Agent) -> Agent {
    Agent { capability: agent.capability, command: agent.command, model: agent.model }
}

fn limits_on_the_wire(policy: &domain::JobPolicy) -> Limits {
    Limits {
        wall_secs: policy.wall_secs,
        stall_secs: policy.stall_secs,
        cost_usd_micros: policy.cost_usd_micros,
        turns: policy.turns,
        disk_mib: policy.disk_mib,
    }
}

/// Only comments of the prompt, so that the agent answers no other.
fn revises_on_the_wire(
    revises: domain::RevisedPullRequest,
    review: Option<&ReviewContext>,
    retries: Vec<JobId>,
) -> Revises {
    let reviews = review.map(|context| context.reviews.as_slice()).unwrap_or_default();
    let told = review.map(ReviewContext::included_comments).unwrap_or_default();
    let comments = told.into_iter().map(|comment| RevisedComment {
        id: comment.id,
        thread: comment.thread,
        path: comment.path.clone(),
        line: comment.line,
    });
    Revises {
        number: revises.number,
        url: review.map(|context| context.pull_request.url.clone()).unwrap_or_default(),
        branch: revises.branch,
        head: revises.head,
        reviews: reviews.iter().map(|one| RevisedReview { id: one.id, author: one.author.clone() }).collect(),
        comments: comments.collect(),
        retries,
    }
}

pub(crate) async fn status(
    State(ctx): State<Context>,
    Leased(fence): Leased,
    Strict(request): Strict<StatusRequest>,
) -> Result<Json<StatusAnswer>, Problem> {
    let to = match request.status {
        Phase::Preparing => JobStatus::Preparing,
        Phase::Executing => JobStatus::Executing,
        Phase::Syncing => JobStatus::Syncing,
    };
    let answer = control::progress(&ctx, &fence, to, request.inputs).await?;
    let push_for_secs = answer.push_for.map(|left| left.as_secs());
    Ok(Json(StatusAnswer { want: answer.want, push_for_secs, goes_on: answer.goes_on }))
}

pub(crate) async fn events(
    State(ctx): State<Context>,
    Leased(fence): Leased,
    Strict(batch): Strict<EventsRequest, { strict::LARGEST_BATCH }>,
) -> Result<Json<EventsAnswer>, Problem> {
    check(&batch)?;
    let heard = control::record_events(&ctx, &fence, (batch.first_seq, &batch.events), batch.inputs).await?;
    let send_every_ms = u64::try_from(heard.send_every.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(EventsAnswer {
        next_seq: heard.next,
        want: heard.want,
        inputs: heard.inputs,
        watched: heard.watched,
        send_every_ms,
    }))
}

fn check(batch: &EventsRequest) -> Result<(), Problem> {
    if !(1..=LAST_EVENT).contains(&batch.first_seq) {
        return Err(Problem::unreadable("/first_seq", "numbers begin at 1 and end at 1000000000"));
    }
    if batch.events.len() > MOST_EVENTS {
        return Err(Problem::unreadable("/events", "a batch holds at most 1000 events"));
    }
    let wrong = (batch.first_seq..).zip(&batch.events).position(|(expected, event)| event.seq != expected);
    match wrong {
        Some(at) => Err(Problem::unreadable(format!("/events/{at}/seq"), "numbers follow one another from first_seq")),
        None => Ok(()),
    }
}

pub(crate) async fn credentials(
    State(ctx): State<Context>,
    Leased(fence): Leased,
    Strict(CredentialsRequest {}): Strict<CredentialsRequest>,
) -> Result<Json<Credentials>, Problem> {
    let control::Credentials { forge_token, expires_in, model, signing_key } =
        control::credentials(&ctx, &fence).await?;
    let expires_in_secs = expires_in.map(|expires_in| expires_in.as_secs());
    let model = model.into_iter().map(|(key, value)| ModelCredential { key, value: value.to_string() }).collect();
    let signing_key = signing_key.map(|key| key.to_string());
    Ok(Json(Credentials { forge_token: forge_token.to_string(), expires_in_secs, model, signing_key }))
}

/// Selects inputs.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct InputsQuery {
    /// Only inputs after this number.
    #[serde(default)]
    after: u32,
}

pub(crate) async fn inputs(
    State(ctx): State<Context>,
    Leased(fence): Leased,
    Query(InputsQuery { after }): Query<InputsQuery>,
) -> Result<Json<InputsAnswer>, Problem> {
    let inputs = control::inputs(&ctx, &fence, after).await?;
    Ok(Json(InputsAnswer { inputs: inputs.into_iter().map(input_on_the_wire).collect() }))
}

pub(crate) async fn checkpoint(
    State(ctx): State<Context>,
    Leased(fence): Leased,
) -> Result<Json<CheckpointAnswer>, Problem> {
    let left = control::checkpoint(&ctx, &fence).await?;
    let checkpoint = left.checkpoint.map(|found| wire::Checkpoint {
        job: found.job,
        attempt: found.attempt,
        size_bytes: found.artifact.size_bytes,
        sha256: found.artifact.sha256,
        get_url: found.address,
    });
    let missing =
        left.missing.map(|lost| wire::MissingCheckpoint { job: lost.job, attempt: lost.attempt, why: lost.why });
    Ok(Json(CheckpointAnswer { checkpoint, missing }))
}

pub(crate) async fn give_back(
    State(ctx): State<Context>,
    Leased(fence): Leased,
    Strict(request): Strict<YieldRequest>,
) -> Result<Json<YieldAnswer>, Problem> {
    let rest = match (request.outcome, request.question) {
        (YieldOutcome::Asks, Some(question)) if !question.trim().is_empty() => {
            domain::Suspension::Question { question }
        }
        (YieldOutcome::Asks, _) => return Err(no_question("a question needs a text")),
        (YieldOutcome::Paused, None) => domain::Suspension::Pause,
        (YieldOutcome::Paused, Some(_)) => return Err(no_question("a paused attempt has no question")),
    };
    let (agent, session, inputs) = (request.agent, request.session, request.inputs);
    let yielded = domain::SuspendReport { id: request.yield_id, suspension: rest, agent, session, inputs };
    let (spent_usd_micros, work) = (request.spent_usd_micros, request.work.map(AgentReport::clipped));
    let gives = control::GivesBack { yielded, spent_usd_micros, work };
    let (status, goes_on) = match control::give_back(&ctx, &fence, &gives).await? {
        control::GaveBack::Over(status) => (status, false),
        control::GaveBack::NewerInput => (JobStatus::Executing, true),
    };
    Ok(Json(YieldAnswer { status, goes_on }))
}

fn no_question(fault: &str) -> Problem {
    Error::Invalid { pointer: "/question", fault: fault.into() }.into()
}

pub(crate) async fn finish(
    State(ctx): State<Context>,
    Leased(fence): Leased,
    Strict(request): Strict<FinishRequest>,
) -> Result<Json<FinishAnswer>, Problem> {
    let end = end_of(&request)?;
    let work = request.work.map(AgentReport::clipped);
    let finish = control::Finish { id: request.finish_id, end, spent_usd_micros: request.spent_usd_micros, work };
    let status = control::finish(&ctx, &fence, &finish).await?;
    Ok(Json(FinishAnswer { status }))
}

fn end_of(request: &FinishRequest) -> Result<End, Problem> {
    let result = request.result.as_ref().map(result).transpose()?;
    let failure = request.failure.clone().map(Failure::clipped);
    match (request.outcome, result, failure) {
        (FinishOutcome::Completed, Some(result), None) => Ok(End::Completed(result)),
        (FinishOutcome::Completed, None, _) => Err(Problem::unreadable("/result", "a completed attempt has a result")),
        (FinishOutcome::Failed, result, Some(failure)) => Ok(End::Failed(failure, result)),
        (FinishOutcome::Failed, _, None) => Err(Problem::unreadable("/failure", "a failed attempt has a failure")),
        (FinishOutcome::Cancelled, None, None) => Ok(End::Cancelled),
        (FinishOutcome::Cancelled, Some(_), _) => {
            Err(Problem::unreadable("/result", "a cancelled attempt has no result"))
        }
        (_, _, Some(_)) => Err(Problem::unreadable("/failure", "only a failed attempt has a failure")),
    }
}

/// Bounds the result, because it is stored in the job's item and shown on pages.
fn result(result: &wire::FinishResult) -> Result<JobResult, Error> {
    let invalid = |pointer, fault: &str| Err(Error::Invalid { pointer, fault: fault.into() });
    let hex = matches!(result.head.len(), 40 | 64) && result.head.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hex {
        return invalid("/result/head", "use 40 or 64 hex digits");
    }
    if result.branch.is_empty() || result.branch.len() > 255 || result.branch.chars().any(char::is_control) {
        return invalid("/result/branch", "use a branch name of at most 255 bytes");
    }
    let url = &result.pull_request.url;
    if url.len() > 500
        || !(url.starts_with("https://") || url.starts_with("http://"))
        || url.chars().any(char::is_control)
    {
        return invalid("/result/pull_request/url", "use an http address of at most 500 bytes");
    }
    Ok(JobResult {
        branch: result.branch.clone(),
        head: result.head.clone(),
        number: result.pull_request.number,
        url: url.clone(),
        files: result.files,
        insertions: result.insertions,
        deletions: result.deletions,
        replies: result.replies,
    })
}
