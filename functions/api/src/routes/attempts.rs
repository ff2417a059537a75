//! Serves the calls of a runner about its attempt.

use crate::routes::prelude::*;
use axum::http::HeaderMap;
use pullyard_control::attempt as control;
use pullyard_domain::job::{self as domain, AgentReport, End, JobResult, JobStatus, PushedCommit};
use pullyard_domain::kinds::prompt::LinkOptions;
use pullyard_domain::kinds::prompt::review::ReviewContext;
use pullyard_domain::project::Resume as Policy;
use pullyard_domain::run::{NeedResult, PatchSource, StepContext};
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::JobId;
use pullyard_entry::{BootstrapCaller, LeaseCaller, strict};
use pullyard_protocol::attempt::{
    self as wire, Agent, AssignedRepository, AssignedTicket, Assignment, CheckpointAnswer, Credentials, EventsAnswer,
    EventsRequest, FinishAnswer, FinishOutcome, FinishRequest, InputsAnswer, Limits, ModelCredential, Phase,
    PullRequestText, ResumeState, RevisedComment, RevisedPullRequest, RevisedReview, StartRequest, StatusAnswer,
    StatusRequest, YieldAnswer, YieldReason, YieldRequest,
};
use pullyard_protocol::version::PROTOCOL;

const HEARTBEAT_SECS: u64 = 10;
const MAX_EVENTS: usize = 1_000;
/// The table sorts numbers of at most ten digits.
const MAX_SEQ: u64 = 1_000_000_000;

pub(crate) async fn start(
    State(ctx): State<Context>,
    BootstrapCaller(bootstrap): BootstrapCaller,
    headers: HeaderMap,
    StrictJson(request): StrictJson<StartRequest>,
) -> Result<Json<Assignment>, Problem> {
    limits::check_start(&request)?;
    let version = protocol_version(&headers);
    if version < PROTOCOL && !control::is_kind_known(&ctx, &bootstrap, version).await? {
        return Err(Problem::runner_too_old("This runner's protocol version is too old for a job of this kind."));
    }
    let start = control::start_attempt(&ctx, &bootstrap, request.claim_id, request.instance, request.task).await?;
    let (job, context) = (start.job, start.context);
    let cost_usd_micros = job.attempt_cost_limit();
    let pages = ctx.pages_url_for(&start.integration);
    let options = LinkOptions { pages, revises_on_review: start.revises_on_review };
    let (title, body) = context.pull_request(&job.id, &options);
    let draft = context.step.as_ref().is_some_and(|step| step.is_draft);
    Ok(Json(Assignment {
        resume: to_wire_resume(&job, start.inputs),
        requires_session: job.policy.resume == Policy::Require,
        checkpoint: job.attempt > 1 || job.retry_of.is_some(),
        prompt: context.prompt(),
        has_instructions: context.instructions.is_some(),
        outcomes: context.step.as_ref().map(|step| step.outcomes.clone()).unwrap_or_default(),
        step: context.step.map(to_wire_step),
        ticket: context.ticket.map(|(key, text)| AssignedTicket { key, title: text.title, url: text.url }),
        repository: AssignedRepository {
            forge: start.integration.kind,
            // The account of a runner's own token is unknown here.
            account: Some(start.integration.account.id).filter(|id| *id != 0 && !job.policy.uses_runner_token),
            api_url: start.integration.api_url,
            name: context.repository.name,
            clone_url: context.repository.clone_url,
        },
        base: context.base,
        branch: job.branch,
        revises: job.revises.map(|revises| {
            to_wire_revises(revises, (context.review.as_ref(), context.reviews.as_ref()), start.retried_jobs)
        }),
        analysis: context.analysis.map(|plan| wire::AssignedAnalysis {
            named: plan.named,
            now: ctx.clock.now(),
            what: plan.what,
            cost_usd_micros: plan.cost_usd_micros.saturating_sub(job.spent_usd_micros),
            previous: start.previous_report,
        }),
        continues: job.continues,
        agent: to_wire_agent(context.repository.agent),
        pull_request: PullRequestText { title, body, draft },
        commands: context.commands,
        egress: context.egress,
        author: context.author,
        limits: Limits {
            wall_secs: job.policy.wall_secs,
            stall_secs: job.policy.stall_secs,
            cost_usd_micros,
            turns: job.policy.turns,
        },
        heartbeat_secs: HEARTBEAT_SECS,
        lease: start.lease,
        job: job.id,
        attempt: job.attempt,
        kind: job.kind,
    }))
}

fn to_wire_step(step: StepContext) -> wire::AssignedStep {
    let patch = |need: NeedResult| {
        let file = need.patch_file();
        need.patch.map(|PatchSource { branch, head }| wire::AssignedPatch { step: need.name, file, branch, head })
    };
    wire::AssignedStep {
        reports: step.reports,
        may_change_nothing: step.may_change_nothing,
        spawn: step.spawn,
        taken: step.taken,
        has_own_branch: step.own_branch.is_some(),
        starts_from: step.starts_from.filter(|_| step.own_branch.is_some()),
        patches: step.needs.into_iter().filter_map(patch).collect(),
        parameters: step.parameters,
    }
}

fn to_wire_resume(job: &domain::Job, inputs: Vec<domain::Input>) -> Option<ResumeState> {
    if job.session.is_none() && inputs.is_empty() {
        return None;
    }
    let session = job.session.as_ref();
    Some(ResumeState {
        agent: session.map(|session| session.agent.clone()),
        session: session.and_then(|session| session.id.clone()),
        read: session.map_or(0, |session| session.inputs),
        policy: job.policy.resume,
        inputs: inputs.into_iter().map(to_wire_input).collect(),
    })
}

fn to_wire_input(input: domain::Input) -> wire::Input {
    wire::Input { seq: input.seq, by: input.by, question: input.question, text: input.text }
}

fn to_wire_agent(agent: pullyard_domain::agent::Agent) -> Agent {
    Agent { capability: agent.capability, command: agent.command, model: agent.model }
}

/// Contains only the comments of the prompt, so that the agent answers no other.
fn to_wire_revises(
    revises: domain::RevisedPullRequest,
    (review, under_review): (Option<&ReviewContext>, Option<&domain::PullRequestUnderReview>),
    retries: Vec<JobId>,
) -> RevisedPullRequest {
    let reviews = review.map(|context| context.reviews.as_slice()).unwrap_or_default();
    let included = review.map(ReviewContext::included_comments).unwrap_or_default();
    let comments = included.into_iter().map(|comment| RevisedComment {
        id: comment.id,
        thread: comment.thread,
        path: comment.path.clone(),
        line: comment.line,
    });
    let url = under_review.map(|pull_request| &pull_request.url).or(review.map(|context| &context.pull_request.url));
    RevisedPullRequest {
        number: revises.number,
        url: url.cloned().unwrap_or_default(),
        since: under_review.and_then(|pull_request| pull_request.since.clone()),
        branch: revises.branch,
        head: revises.head,
        reviews: reviews.iter().map(|review| RevisedReview { id: review.id, author: review.author.clone() }).collect(),
        comments: comments.collect(),
        retries,
    }
}

pub(crate) async fn status(
    State(ctx): State<Context>,
    LeaseCaller(fence): LeaseCaller,
    StrictJson(request): StrictJson<StatusRequest>,
) -> Result<Json<StatusAnswer>, Problem> {
    let to = match request.status {
        Phase::Preparing => JobStatus::Preparing,
        Phase::Executing => JobStatus::Executing,
        Phase::Syncing => JobStatus::Syncing,
    };
    let answer = control::set_phase(&ctx, &fence, to, request.inputs, request.waits_for.as_deref()).await?;
    let push_for_secs = answer.push_window.map(|window| window.as_secs());
    Ok(Json(StatusAnswer { want: answer.want, push_for_secs, has_unread_inputs: answer.has_unread_inputs }))
}

pub(crate) async fn events(
    State(ctx): State<Context>,
    LeaseCaller(fence): LeaseCaller,
    StrictJson(batch): StrictJson<EventsRequest, { strict::MAX_BATCH_BYTES }>,
) -> Result<Json<EventsAnswer>, Problem> {
    check_batch(&batch)?;
    let counts = control::BatchCounts { inputs: batch.inputs, spent_usd_micros: batch.spent_usd_micros };
    let answer = control::record_events(&ctx, &fence, (batch.first_seq, &batch.events), counts).await?;
    let send_every_ms = u64::try_from(answer.send_every.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(EventsAnswer {
        next_seq: answer.next_seq,
        want: answer.want,
        inputs: answer.inputs,
        watched: answer.is_watched,
        send_every_ms,
    }))
}

fn check_batch(batch: &EventsRequest) -> Result<(), Problem> {
    if !(1..=MAX_SEQ).contains(&batch.first_seq) {
        return Err(Problem::unreadable("/first_seq", "numbers begin at 1 and end at 1000000000"));
    }
    if batch.events.len() > MAX_EVENTS {
        return Err(Problem::unreadable("/events", "a batch holds at most 1000 events"));
    }
    let mismatch = (batch.first_seq..).zip(&batch.events).position(|(expected, event)| event.seq != expected);
    match mismatch {
        Some(at) => Err(Problem::unreadable(format!("/events/{at}/seq"), "numbers follow one another from first_seq")),
        None => Ok(()),
    }
}

pub(crate) async fn credentials(
    State(ctx): State<Context>,
    LeaseCaller(fence): LeaseCaller,
    StrictJson(NoFields {}): StrictJson<NoFields>,
) -> Result<Json<Credentials>, Problem> {
    let control::Credentials { forge_token, expires_in, model, signing_key } =
        control::issue_credentials(&ctx, &fence).await?;
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
    LeaseCaller(fence): LeaseCaller,
    Query(InputsQuery { after }): Query<InputsQuery>,
) -> Result<Json<InputsAnswer>, Problem> {
    let inputs = control::list_inputs(&ctx, &fence, after).await?;
    Ok(Json(InputsAnswer { inputs: inputs.into_iter().map(to_wire_input).collect() }))
}

pub(crate) async fn checkpoint(
    State(ctx): State<Context>,
    LeaseCaller(fence): LeaseCaller,
) -> Result<Json<CheckpointAnswer>, Problem> {
    let lookup = control::find_checkpoint(&ctx, &fence).await?;
    let checkpoint = lookup.checkpoint.map(|checkpoint| wire::Checkpoint {
        job: checkpoint.job,
        attempt: checkpoint.attempt,
        size_bytes: checkpoint.artifact.size_bytes,
        sha256: checkpoint.artifact.sha256,
        get_url: checkpoint.address,
    });
    let missing =
        lookup.missing.map(|lost| wire::MissingCheckpoint { job: lost.job, attempt: lost.attempt, why: lost.reason });
    Ok(Json(CheckpointAnswer { checkpoint, missing }))
}

pub(crate) async fn yield_job(
    State(ctx): State<Context>,
    LeaseCaller(fence): LeaseCaller,
    StrictJson(request): StrictJson<YieldRequest>,
) -> Result<Json<YieldAnswer>, Problem> {
    let suspension = match (request.outcome, request.question) {
        (YieldReason::Asks, Some(question)) if !question.trim().is_empty() => domain::Suspension::Question { question },
        (YieldReason::Asks, _) => return Err(question_error("a question needs a text")),
        (YieldReason::Paused, None) => domain::Suspension::Pause,
        (YieldReason::Paused, Some(_)) => return Err(question_error("a paused attempt has no question")),
    };
    let (agent, session, inputs) = (request.agent, request.session, request.inputs);
    let report = domain::SuspendReport { id: request.yield_id, suspension, agent, session, inputs };
    let (spent_usd_micros, work) = (request.spent_usd_micros, request.work.map(AgentReport::truncate_texts));
    let yield_report = control::YieldReport { report, spent_usd_micros, work };
    let (status, has_unread_inputs) = match control::yield_job(&ctx, &fence, &yield_report).await? {
        control::YieldOutcome::Yielded(status) => (status, false),
        control::YieldOutcome::NewerInput => (JobStatus::Executing, true),
    };
    Ok(Json(YieldAnswer { status, has_unread_inputs }))
}

fn question_error(fault: &str) -> Problem {
    Error::Invalid { pointer: "/question", fault: fault.into() }.into()
}

pub(crate) async fn finish(
    State(ctx): State<Context>,
    LeaseCaller(fence): LeaseCaller,
    StrictJson(request): StrictJson<FinishRequest, { 2 * strict::MAX_BODY_BYTES }>,
) -> Result<Json<FinishAnswer>, Problem> {
    let end = parse_end(&request)?;
    let FinishRequest { finish_id: id, spent_usd_micros, work, output, .. } = request;
    if let Some(fault) = output.as_ref().and_then(|output| output.check().err()) {
        return Err(Problem::unreadable(format!("/output{}", fault.pointer), &fault.fault));
    }
    let work = work.map(AgentReport::truncate_texts);
    let finish = control::Finish { id, end, spent_usd_micros, work, output };
    let status = control::finish_attempt(&ctx, &fence, &finish).await?;
    Ok(Json(FinishAnswer { status }))
}

fn parse_end(request: &FinishRequest) -> Result<End, Problem> {
    let (result, failure) = (request.result.as_ref(), request.failure.clone().map(Failure::clipped));
    if let (FinishOutcome::Completed, Some(result), None) = (request.outcome, result, &failure)
        && result.pull_request.is_none()
    {
        check_commit(result)?;
        let wire::FinishResult { branch, head, files, insertions, deletions, .. } = result.clone();
        return Ok(End::Pushed(PushedCommit { branch, head, files, insertions, deletions }));
    }
    let result = result.map(parse_result).transpose()?;
    match (request.outcome, result, failure) {
        (FinishOutcome::Completed, result, None) => Ok(End::Completed(result)),
        (FinishOutcome::Failed, result, Some(failure)) => Ok(End::Failed(failure, result)),
        (FinishOutcome::Failed, _, None) => Err(Problem::unreadable("/failure", "a failed attempt has a failure")),
        (FinishOutcome::Cancelled, None, None) => Ok(End::Cancelled),
        (FinishOutcome::Cancelled, Some(_), _) => {
            Err(Problem::unreadable("/result", "a cancelled attempt has no result"))
        }
        (_, _, Some(_)) => Err(Problem::unreadable("/failure", "only a failed attempt has a failure")),
    }
}

/// Bounds the branch and the commit.
fn check_commit(result: &wire::FinishResult) -> Result<(), Error> {
    let is_object_id = matches!(result.head.len(), 40 | 64) && result.head.bytes().all(|byte| byte.is_ascii_hexdigit());
    let branch = &result.branch;
    let is_branch = !branch.is_empty() && branch.len() <= 255 && !branch.chars().any(char::is_control);
    match (is_object_id, is_branch) {
        (false, _) => Err(Error::Invalid { pointer: "/result/head", fault: "use 40 or 64 hex digits".into() }),
        (_, false) => {
            Err(Error::Invalid { pointer: "/result/branch", fault: "use a branch name of at most 255 bytes".into() })
        }
        _ => Ok(()),
    }
}

/// Bounds the result, because it is stored in the job's item and shown on pages.
fn parse_result(result: &wire::FinishResult) -> Result<JobResult, Error> {
    let invalid = |pointer, fault: &str| Err(Error::Invalid { pointer, fault: fault.into() });
    check_commit(result)?;
    let Some(pull_request) = &result.pull_request else {
        return invalid("/result/pull_request", "a failed attempt with a result has a pull request");
    };
    let url = &pull_request.url;
    if url.len() > 500
        || !(url.starts_with("https://") || url.starts_with("http://"))
        || url.chars().any(char::is_control)
    {
        return invalid("/result/pull_request/url", "use an http address of at most 500 bytes");
    }
    Ok(JobResult {
        branch: result.branch.clone(),
        head: result.head.clone(),
        number: pull_request.number,
        url: url.clone(),
        files: result.files,
        insertions: result.insertions,
        deletions: result.deletions,
        replies: result.replies,
    })
}
