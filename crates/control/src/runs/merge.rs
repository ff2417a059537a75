//! Merges the pull request of a run, or of one of its steps.

use super::{find_step, load_plan, load_run};
use crate::forge::merging_client;
use crate::{Context, Error};
use pullyard_domain::denial::Denial;
use pullyard_domain::id::RunId;
use pullyard_domain::pull_request::MergeMethod;
use pullyard_domain::run::{Run, RunState};
use pullyard_domain::text::truncate;
use pullyard_forge::{Error as ForgeError, PullRequestState};

const MAX_REASON_CHARS: usize = 200;

/// `step`: merges the pull request of this step's own branch. `method`: `None` for the forge's default.
#[derive(Clone, Copy, Debug)]
pub struct RunMerge<'a> {
    pub step: Option<&'a str>,
    pub method: Option<MergeMethod>,
}

/// Merges a pull request of an ended run if its head is still the commit that the run pushed.
/// Idempotent: a merged pull request is a success. The forge's rules decide about checks and approvals.
/// Errors: `NotFound` (run, step, job, repository); `Denied`; `Forge`.
pub async fn merge_run_pull_request(
    ctx: &Context,
    id: &RunId,
    RunMerge { step, method }: RunMerge<'_>,
    by: &str,
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
        Err(ForgeError::Refused { reason }) => Err(Error::Denied(Denial::NotMerged { pr, reason: quote(&reason) })),
        merged => {
            merged?;
            tracing::info!(run = %id, by, number, "pull request merged");
            Ok(run)
        }
    }
}

/// The forge's reason as part of a sentence.
pub(super) fn quote(reason: &str) -> String {
    truncate(reason.trim_end_matches('.'), MAX_REASON_CHARS)
}
