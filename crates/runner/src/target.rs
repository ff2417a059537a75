//! Where the work goes: which branch, from which commit, and what the forge's branch must be when it is
//! pushed. Fetching is in `workspace`; nothing is written here.

use crate::commit::JOB_TRAILER;
use crate::git::{self, Call, Fault, Git};
use crate::stop::Stop;
use crate::workspace::Mirror;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::JobId;
use pullyard_forge::{Forge, PullRequest};
use pullyard_protocol::attempt::{AssignedRepository, Assignment, Continues};
use std::path::Path;

/// What the attempt makes its change of.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The branch that is pushed.
    pub(crate) branch: String,
    /// The commit that the work starts from.
    pub(crate) start: String,
    /// The commit of the base branch.
    pub(crate) base: String,
    /// Where the forge's branch must be for the push; nowhere for a new one.
    pub(crate) expected: Option<String>,
    /// The open pull request that this goes on with.
    pub(crate) pull_request: Option<PullRequest>,
    /// An earlier attempt of this job pushed its work and died: there is nothing left to do for an agent.
    pub(crate) adopted: Option<String>,
}

/// The pull request to go on with, if the forge says that it is open.
pub(crate) async fn open_pull_request(
    forge: &Forge,
    repository: &AssignedRepository,
    continues: &Continues,
) -> Result<Option<PullRequest>, Stop> {
    let found = forge.open_pull_request(repository.name.as_str(), &continues.branch).await;
    match found {
        Ok(found) => Ok(found.filter(|pull| pull.number == continues.number)),
        Err(error) => Err(of_forge(&error, repository).into()),
    }
}

/// The failure that a forge's refusal to be read is.
fn of_forge(error: &pullyard_forge::Error, repository: &AssignedRepository) -> Failure {
    use pullyard_forge::Error;
    let (forge, repo) = (repository.forge.words().to_owned(), repository.name.clone());
    match error {
        Error::NotFound { .. } => Failure::SourceNotFound { repo },
        Error::Settings { .. } | Error::Denied { .. } | Error::Forbidden { .. } => {
            Failure::SourceDenied { forge, repo }
        }
        other => Failure::SourceUnreachable { repo, reason: other.to_string() },
    }
}

/// Decides from what was fetched.
pub(crate) async fn choose(
    git: &Git,
    mirror: &Mirror,
    assignment: &Assignment,
    open: Option<PullRequest>,
) -> Result<Target, Stop> {
    let workspace_failed = |fault: Fault| Stop::Failed(fault.of_workspace());
    let repo = assignment.repository.name.clone();
    let branch = open.as_ref().map_or(&assignment.branch, |pull| &pull.head_branch).clone();
    if !git::is_branch_name(git, &branch).await.map_err(workspace_failed)? {
        let reason = format!("`{branch}` can't be a branch");
        return Err(Failure::WorkspaceFailed { reason }.into());
    }
    let missing = || Failure::BaseBranchMissing { repo: repo.clone(), branch: assignment.base.clone() };
    if !git::is_branch_name(git, &assignment.base).await.map_err(workspace_failed)? {
        return Err(missing().into());
    }
    // An empty repository has no branch at all.
    let base = mirror.branch(git, &assignment.base).await.map_err(workspace_failed)?.ok_or_else(missing)?;
    let head = mirror.branch(git, &branch).await.map_err(workspace_failed)?;
    let adopted = match &head {
        Some(head) if is_of_job(git, mirror.dir(), head, &assignment.job).await.map_err(workspace_failed)? => {
            Some(head.clone())
        }
        _ => None,
    };
    let start = match (&head, &open, &adopted) {
        (Some(head), Some(_), _) | (Some(head), _, Some(_)) => head.clone(),
        (None, Some(_), _) => return Err(Failure::BranchDeleted { branch }.into()),
        // Refused now, before an agent works for nothing: the push would be.
        (Some(_), None, None) => {
            let reason = format!("`{branch}` is already there, with somebody else's commit");
            return Err(Failure::PushRejected { forge: assignment.repository.forge.words().into(), reason }.into());
        }
        (None, None, _) => base.clone(),
    };
    Ok(Target { branch, start, base, expected: head, pull_request: open, adopted })
}

/// Whether a commit was made by an attempt of this job: it says so in its trailer.
pub(crate) async fn is_of_job(git: &Git, repository: &Path, commit: &str, job: &JobId) -> Result<bool, Fault> {
    let format = format!("--format=%(trailers:key={JOB_TRAILER},valueonly)");
    let call = Call::new(["log", "-1", &format, "--end-of-options", commit]).repository(repository);
    let said = git.line(call).await?;
    Ok(said.lines().any(|line| line.trim().split('/').next() == Some(job.as_str())))
}
