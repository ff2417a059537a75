//! Opens the pull request of a step's own branch, and merges the pull request of a run or of a step.

use super::{find_step, load_plan, load_run};
use crate::attempt::link_late_pull_request;
use crate::forge::{forge_client, merging_client};
use crate::requester::Requester;
use crate::{Context, Error};
use pullyard_domain::job::{Job, JobResult, PushedCommit};
use pullyard_domain::kinds::prompt::LinkOptions;
use pullyard_domain::review::pull_request::MergeMethod;
use pullyard_domain::run::{Run, RunState};
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::id::RunId;
use pullyard_forge::{Error as ForgeError, NewPullRequest, PullRequestState};
use pullyard_store::{RunWrite, Write};

/// Opens the pull request of a done step with a branch of its own, into the base of the run.
/// Writes: PR if absent; then RUN and JOB if `rev` is unchanged.
/// Idempotent: a repeat returns the run, or after a crash finds the pull request by its branch.
/// Errors: `NotFound` (run, step, job, repository); `Denied`; `Forge`; `Contended`.
pub async fn create_step_pull_request(ctx: &Context, id: &RunId, step: &str, by: &Requester) -> Result<Run, Error> {
    let (plan, mut rounds) = (load_plan(ctx, id).await?.plan, ctx.retries(id));
    loop {
        let run = load_run(ctx, id).await?;
        let job = run.own_branch_job(&plan, find_step(&run, step)?).map_err(Error::Denied)?;
        let job = ctx.load_job(job).await?;
        if job.result.is_some() {
            return Ok(run);
        }
        let Some(pushed) = &job.pushed else {
            return Err(Error::Denied(Denial::NothingPushed { step: step.to_owned(), run: run.id }));
        };
        let result = Box::pin(find_or_create(ctx, step, &job, pushed)).await?;
        let (number, next) = (result.number, run.with_pull_request(step, &result.url));
        let job = Job { result: Some(result), ..job };
        // A link without the other write does no harm, and the repeat finds it.
        Box::pin(link_late_pull_request(ctx, &job)).await?;
        let write = RunWrite { run: &next, noted: &[job], created: &[], charge: None, notice: None, group: None };
        if ctx.store.move_run(&write).await? == Write::Applied {
            tracing::info!(run = %id, step, caller = by.id, number, "pull request opened");
            return Ok(next);
        }
        rounds.backoff().await?;
    }
}

async fn find_or_create(ctx: &Context, step: &str, job: &Job, pushed: &PushedCommit) -> Result<JobResult, Error> {
    let context = ctx.load_context_of(job).await?;
    let repository = ctx.store.load_repository(&job.project, &job.integration, job.repository).await?;
    let repository = repository.ok_or_else(|| Error::not_found("repository", context.repository_name()))?;
    let integration = ctx.load_integration(&repository.integration).await?;
    let forge = forge_client(ctx, &integration, &repository).await?;
    if !forge.has_branch(repository.name.as_str(), &pushed.branch).await? {
        let branch = pushed.branch.clone();
        return Err(Error::Denied(Denial::BranchGone { branch, repo: repository.name }));
    }
    let options = LinkOptions { pages: ctx.pages_url_for(&integration), revises_on_review: false };
    let (title, body) = context.pull_request(&job.id, &options);
    let draft = context.step.as_ref().is_some_and(|step| step.is_draft);
    let mut new = NewPullRequest { title, body, head: pushed.branch.clone(), base: context.base, draft };
    let mut opened = forge.find_or_create_pull_request(repository.name.as_str(), &new).await;
    if new.draft && opened.as_ref().is_err_and(ForgeError::refuses_draft) {
        // As the pull request of the run.
        new.draft = false;
        opened = forge.find_or_create_pull_request(repository.name.as_str(), &new).await;
    }
    let pull = match opened {
        Err(ForgeError::Refused { reason }) => {
            return Err(Error::Denied(Denial::NotOpenedByForge { step: step.to_owned(), reason: reason.into() }));
        }
        pull => pull?,
    };
    let PushedCommit { branch, head, files, insertions, deletions } = pushed.clone();
    Ok(JobResult { branch, head, number: pull.number, url: pull.url, files, insertions, deletions, replies: None })
}

/// Merges the pull request of an ended run, or that of a step, if its head is still the commit that the run pushed.
/// `step`: merges the pull request of this step's own branch instead of the run's.
/// Without a method, the forge uses its default. Its rules decide about checks and approvals.
/// Idempotent: a merged pull request is a success.
/// Errors: `NotFound` (run, step, job, repository); `Denied`; `Forge`.
pub async fn merge_run_pull_request(
    ctx: &Context,
    id: &RunId,
    (step, method): (Option<&str>, Option<MergeMethod>),
    by: &Requester,
) -> Result<Run, Error> {
    let (run, frozen) = (load_run(ctx, id).await?, load_plan(ctx, id).await?);
    if run.state == RunState::Running {
        return Err(Error::Denied(Denial::RunNotOver { run: run.id }));
    }
    let (result, missing) = match step {
        None => (run.result.clone(), Denial::NoPullRequest { run: run.id.clone() }),
        Some(step) => {
            let job = run.own_branch_job(&frozen.plan, find_step(&run, step)?).map_err(Error::Denied)?;
            let missing = Denial::NotOpened { step: step.to_owned(), run: run.id.clone() };
            (ctx.load_job(job).await?.result, missing)
        }
    };
    let Some(result) = result else { return Err(Error::Denied(missing)) };
    let (first, number) = (&frozen.repository, result.number);
    let repository = ctx.store.load_repository(&run.project, &first.integration, first.id).await?;
    let repository = repository.ok_or_else(|| Error::not_found("repository", &first.name))?;
    let integration = ctx.load_integration(&repository.integration).await?;
    let forge = merging_client(ctx, &integration, &repository).await?;
    let name = repository.name.as_str();
    let found = forge.pull_request(name, number).await?;
    let pr = format!("{name}#{number}");
    match found.state {
        PullRequestState::Merged => return Ok(run),
        PullRequestState::Closed => return Err(Error::Denied(Denial::PullRequestClosed { pr })),
        PullRequestState::Open if !found.is_at(&result.head) => {
            return Err(Error::Denied(Denial::HeadMoved { pr, run: run.id }));
        }
        PullRequestState::Open => {}
    }
    match forge.merge(name, number, &result.head, method).await {
        Err(ForgeError::Refused { reason }) => Err(Error::Denied(Denial::NotMerged { pr, reason: reason.into() })),
        merged => {
            merged?;
            tracing::info!(run = %id, caller = by.id, number, "pull request merged");
            Ok(run)
        }
    }
}
