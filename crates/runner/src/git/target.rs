//! Where the work goes: which branch, from which commit, and what the forge's branch must be when it is
//! pushed. Fetching is in `workspace`; nothing is written here.

use crate::git::trailers::JOB_TRAILER;
use crate::git::workspace::mirror::Mirror;
use crate::git::{self, Call, Fault, Git};
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::JobId;
use pullyard_forge::{Forge, PullRequest, PullRequestState};
use pullyard_protocol::attempt::{AssignedRepository, Assignment, Continues, Revises};
use std::path::Path;

/// How many of a branch's newest commits may hide an attempt's: more are not pushed while a job is repeated.
const LOOKED_AT: u32 = 200;

#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The branch that is pushed.
    pub(crate) branch: String,
    /// The commit that the work starts from.
    pub(crate) start: String,
    /// The branch it goes to, and its commit.
    pub(crate) base_branch: String,
    pub(crate) base: String,
    /// Where the forge's branch must be for the push; nowhere for a new one.
    pub(crate) expected: Option<String>,
    /// The open pull request that this goes on with; where people have merged what is adopted, that one.
    pub(crate) pull_request: Option<PullRequest>,
    /// An earlier attempt of this job pushed this commit and died: there is nothing left to do for an agent.
    /// Others may have pushed on top of it.
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

/// The pull request to revise, as it is now.
///
/// Errors: `PullRequestClosed`, `BranchDeleted`, `PushRejected` for a fork: before anybody works for nothing.
pub(crate) async fn revised_pull_request(
    forge: &Forge,
    repository: &AssignedRepository,
    revises: &Revises,
) -> Result<PullRequest, Stop> {
    let name = repository.name.as_str();
    let failed = |error| of_forge(&error, repository);
    let pull = forge.pull_request(name, revises.number).await.map_err(failed)?;
    let closed =
        |state: &str| Failure::PullRequestClosed { pr: format!("{name}#{}", pull.number), state: state.into() };
    match pull.state {
        PullRequestState::Open => {}
        PullRequestState::Closed => return Err(closed("closed").into()),
        PullRequestState::Merged => return Err(closed("merged").into()),
    }
    // A branch of the same name here is another branch, and perhaps the one that everything is merged into.
    let here = forge.repository(name).await.map_err(failed)?.id;
    if pull.head_repository.is_some_and(|id| id != here) {
        let reason = "the branch of the pull request is in another repository".into();
        return Err(Failure::PushRejected { forge: repository.forge_name(), reason }.into());
    }
    if pull.head_repository.is_none() {
        return Err(Failure::BranchDeleted { branch: pull.head_branch }.into());
    }
    Ok(pull)
}

/// The failure that a forge's refusal to be read is.
fn of_forge(error: &pullyard_forge::Error, repository: &AssignedRepository) -> Failure {
    use pullyard_forge::Error;
    let (forge, repo) = (repository.forge_name(), repository.name.clone());
    match error {
        Error::NotFound { .. } => Failure::SourceNotFound { repo },
        Error::Settings { .. } | Error::Denied { .. } | Error::Forbidden { .. } => {
            Failure::SourceDenied { forge, repo }
        }
        other => Failure::SourceUnreachable { repo, reason: other.to_string() },
    }
}

/// Decides from what was fetched. The forge is asked where that says that people have merged the work.
pub(crate) async fn choose(
    git: &Git,
    forge: &Forge,
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
    // People may point a pull request at another branch than the one it was made for.
    let revised = open.as_ref().filter(|_| assignment.revises.is_some());
    let base_branch = revised.map_or(&assignment.base, |pull| &pull.base_branch).clone();
    let missing = || Failure::BaseBranchMissing { repo: repo.clone(), branch: base_branch.clone() };
    if !git::is_branch_name(git, &base_branch).await.map_err(workspace_failed)? {
        return Err(missing().into());
    }
    // An empty repository has no branch at all.
    let base = mirror.branch(git, &base_branch).await.map_err(workspace_failed)?.ok_or_else(missing)?;
    let head = mirror.branch(git, &branch).await.map_err(workspace_failed)?;
    for pushed_to in pushed_to(&branch, assignment) {
        let head = match pushed_to == branch {
            true => head.clone(),
            false => head_of(git, mirror, pushed_to).await.map_err(workspace_failed)?,
        };
        let Some(head) = head else { continue };
        let ours = commit_of_job(git, mirror.dir(), &head, &base, &assignment.job).await.map_err(workspace_failed)?;
        if let Some(ours) = ours {
            return Ok(Target {
                // Whether there is one of another branch is asked once more when it is pushed.
                pull_request: open.filter(|_| pushed_to == branch),
                branch: pushed_to.to_owned(),
                start: head.clone(),
                base_branch,
                base,
                expected: Some(head),
                adopted: Some(ours),
            });
        }
    }
    if assignment.adopts {
        // Between the two it is no more once people have merged it.
        let merged = newest_of_job(git, mirror.dir(), &[base.as_str()], &assignment.job).await;
        if let Some(ours) = merged.map_err(workspace_failed)? {
            let Some(pull) = merged_pull_request(forge, assignment).await? else {
                let (pr, state) = (format!("What an earlier attempt pushed to `{branch}`"), "merged".into());
                return Err(Failure::PullRequestClosed { pr, state }.into());
            };
            // What it changed shows against the commit before it.
            let before = git::commit_of(git, mirror.dir(), &format!("{ours}^")).await.map_err(workspace_failed)?;
            return Ok(Target {
                branch: assignment.branch.clone(),
                start: ours.clone(),
                base_branch,
                base: before.unwrap_or(base),
                expected: Some(ours.clone()),
                pull_request: Some(pull),
                adopted: Some(ours),
            });
        }
        // Whoever made the branch that may be there. The control plane knows how that attempt was lost.
        return Err(Failure::NothingPushed {}.into());
    }
    let start = match (&head, &open) {
        (Some(head), Some(_)) => head.clone(),
        (None, Some(_)) => return Err(Failure::BranchDeleted { branch }.into()),
        // Refused now, before an agent works for nothing: the push would be.
        (Some(_), None) => return Err(Failure::BranchTaken { branch }.into()),
        (None, None) => base.clone(),
    };
    Ok(Target { branch, start, base_branch, base, expected: head, pull_request: open, adopted: None })
}

/// The pull request of the job's own branch that people have merged. One that the job goes on with is linked already.
async fn merged_pull_request(forge: &Forge, assignment: &Assignment) -> Result<Option<PullRequest>, Stop> {
    if assignment.revises.is_some() {
        return Ok(None);
    }
    let repository = &assignment.repository;
    let found = forge.merged_pull_request(repository.name.as_str(), &assignment.branch).await;
    found.map_err(|error| of_forge(&error, repository).into())
}

/// The branches that an earlier attempt of this job may have pushed to, the one first that this one would. People may have
/// closed or reopened the pull request that the job goes on with between the two, and each attempt goes by what is open
/// when it begins.
fn pushed_to<'a>(branch: &'a str, assignment: &'a Assignment) -> impl Iterator<Item = &'a str> {
    let own = (assignment.revises.is_none()).then_some(assignment.branch.as_str());
    let continued = assignment.continues.as_ref().map(|continues| continues.branch.as_str());
    let others = [own, continued.filter(|continued| Some(*continued) != own)];
    std::iter::once(branch).chain(others.into_iter().flatten().filter(move |other| *other != branch))
}

/// Where another branch is at the forge, if it is there and can be.
async fn head_of(git: &Git, mirror: &Mirror, branch: &str) -> Result<Option<String>, Fault> {
    if git::is_branch_name(git, branch).await? { mirror.branch(git, branch).await } else { Ok(None) }
}

/// The newest commit between `base` and `head` that an attempt of this job made: it says so in its trailer.
/// Others may have pushed since, so it need not stand at the head.
pub(crate) async fn commit_of_job(
    git: &Git,
    repository: &Path,
    head: &str,
    base: &str,
    job: &JobId,
) -> Result<Option<String>, Fault> {
    let not = format!("^{base}");
    newest_of_job(git, repository, &[head, not.as_str()], job).await
}

/// The newest commit of these revisions that an attempt of this job made.
async fn newest_of_job(git: &Git, repository: &Path, revisions: &[&str], job: &JobId) -> Result<Option<String>, Fault> {
    let format = format!("--format=%H %(trailers:key={JOB_TRAILER},valueonly,separator=%x20)");
    let most = format!("--max-count={LOOKED_AT}");
    let log = ["log", most.as_str(), format.as_str(), "--end-of-options"];
    let call = Call::new(log.iter().chain(revisions)).repository(repository);
    let said = git.line(call).await?;
    let is_ours = |trailer: &str| trailer.split('/').next() == Some(job.as_str());
    let found = said.lines().find_map(|line| {
        let (commit, trailers) = line.split_once(' ')?;
        trailers.split_whitespace().any(is_ours).then(|| commit.to_owned())
    });
    Ok(found)
}
