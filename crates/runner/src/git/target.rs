//! Chooses the branch, the start commit, and the head that the push expects.

use crate::api::forge_wait::{ForgeFault, Outage};
use crate::git::workspace::mirror::Mirror;
use crate::git::{Git, GitCall, GitError};
use crate::stop::Stop;
use pullyard_domain::text::Quoted;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::JobId;
use pullyard_forge::{Forge, PullRequest, PullRequestState};
use pullyard_protocol::attempt::{AssignedRepository, Assignment, ContinuedPullRequest, RevisedPullRequest};
use std::path::Path;
use std::time::Duration;

/// The trailer by which an attempt recognises its job's commits.
pub(crate) const JOB_TRAILER: &str = "Pullyard-Job";
const MAX_SEARCHED_COMMITS: u32 = 200;

#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) branch: String,
    pub(crate) start_commit: String,
    pub(crate) base_branch: String,
    pub(crate) base_commit: String,
    pub(crate) expected_head: Option<String>,
    /// The open pull request to continue.
    pub(crate) pull_request: Option<PullRequest>,
    /// The commit that an earlier attempt pushed before it died; no agent is needed. Users may have pushed on top.
    pub(crate) adopted_commit: Option<String>,
    /// The job of that commit, if this job retries it.
    pub(crate) adopted_job: Option<JobId>,
}

/// Verifies that nothing at the forge prevents every push. Errors that may concern the API alone are ignored, because
/// the fetch decides.
/// Errors: `PushRejected` for an archived repository; `Away`.
pub(crate) async fn check_writable(forge: &Forge, repository: &AssignedRepository) -> Result<(), ForgeFault> {
    match forge.repository(repository.name.as_str()).await {
        Ok(loaded) if loaded.archived => {
            let reason = format!("{} is archived, so it is read-only", repository.name).into();
            Err(Failure::PushRejected { forge: repository.forge_name(), reason }.into())
        }
        Ok(_) => Ok(()),
        Err(error) => match to_source_fault(&error, repository) {
            ForgeFault::Final(_) => Ok(()),
            fault => Err(fault),
        },
    }
}

/// Verifies that a fetch contains the base branch, which an answer of another program does not.
/// Errors: `BaseBranchMissing` if the forge's API confirms it; `Away`.
pub(crate) async fn check_base_branch(
    (git, mirror): (&Git, &Mirror),
    forge: &Forge,
    repository: &AssignedRepository,
    branch: &str,
) -> Result<(), ForgeFault> {
    if mirror.branch(git, branch).await?.is_some() {
        return Ok(());
    }
    match forge.has_branch(repository.name.as_str(), branch).await {
        Ok(false) => {
            Err(Failure::BaseBranchMissing { repo: repository.name.clone(), branch: branch.to_owned() }.into())
        }
        Ok(true) => Err(ForgeFault::Away(Outage::from(format!("its answer did not contain the branch {branch}")))),
        Err(error) => Err(to_source_fault(&error, repository)),
    }
}

/// The base branch: a user may have changed the one of the pull request that the job revises.
pub(crate) fn base_branch<'a>(assignment: &'a Assignment, open: Option<&'a PullRequest>) -> &'a str {
    let revised = open.filter(|_| assignment.revises.is_some());
    revised.map_or(&assignment.base, |pull| &pull.base_branch)
}

pub(crate) async fn get_open_pull_request(
    forge: &Forge,
    repository: &AssignedRepository,
    continues: &ContinuedPullRequest,
) -> Result<Option<PullRequest>, ForgeFault> {
    let answer = forge.open_pull_request(repository.name.as_str(), &continues.branch).await;
    match answer {
        Ok(answer) => Ok(answer.filter(|pull| pull.number == continues.number)),
        Err(error) => Err(to_source_fault(&error, repository)),
    }
}

/// The pull request to revise.
/// Errors: `PullRequestClosed`, `BranchDeleted`, `PushRejected` for a fork, before an agent works.
pub(crate) async fn get_revised_pull_request(
    forge: &Forge,
    repository: &AssignedRepository,
    revises: &RevisedPullRequest,
) -> Result<PullRequest, ForgeFault> {
    let name = repository.name.as_str();
    let to_fault = |error| to_source_fault(&error, repository);
    let pull = forge.pull_request(name, revises.number).await.map_err(to_fault)?;
    let closed =
        |state: &str| Failure::PullRequestClosed { pr: format!("{name}#{}", pull.number), state: state.into() };
    match pull.state {
        PullRequestState::Open => {}
        PullRequestState::Closed => return Err(closed("closed").into()),
        PullRequestState::Merged => return Err(closed("merged").into()),
    }
    // A branch with the same name in this repository is a different one, perhaps the default branch.
    let repository_id = forge.repository(name).await.map_err(to_fault)?.id;
    if pull.head_repository.is_some_and(|id| id != repository_id) {
        let reason = "the branch of the pull request is in another repository".into();
        return Err(Failure::PushRejected { forge: repository.forge_name(), reason }.into());
    }
    if pull.head_repository.is_none() {
        return Err(Failure::BranchDeleted { branch: pull.head_branch }.into());
    }
    Ok(pull)
}

pub(crate) fn to_source_fault(error: &pullyard_forge::Error, repository: &AssignedRepository) -> ForgeFault {
    use pullyard_forge::Error;
    let (forge, repo) = (repository.forge_name(), repository.name.clone());
    match error {
        Error::NotFound { .. } => Failure::SourceNotFound { repo }.into(),
        Error::Settings { reason: words }
        | Error::Denied { message: words, .. }
        | Error::Forbidden { message: words, .. } => {
            Failure::SourceDenied { forge, repo, reason: Quoted(Some(words.clone())) }.into()
        }
        other => {
            let retry_after = other.retry_after().unwrap_or(Duration::ZERO);
            ForgeFault::Away(Outage { reason: format!("failed to {other}"), retry_after })
        }
    }
}

/// The failure after too long a wait for the forge.
pub(crate) fn unreachable(repository: &AssignedRepository) -> impl Fn(String) -> Failure + Copy {
    |reason| Failure::SourceUnreachable { repo: repository.name.clone(), reason: reason.into() }
}

/// The target of a job that reviews: the newest commit of the pull request, which `open` is.
pub(crate) async fn reviewed_target(
    git: &Git,
    mirror: &Mirror,
    assignment: &Assignment,
    open: Option<PullRequest>,
) -> Result<Target, Stop> {
    let branch = open.as_ref().map_or(&assignment.branch, |pull| &pull.head_branch).clone();
    let base = base_branch(assignment, open.as_ref());
    let base_target = base_target(git, mirror, base, &assignment.repository).await?;
    let missing = || Failure::BranchDeleted { branch: branch.clone() };
    let start_commit = mirror.branch(git, &branch).await?.ok_or_else(missing)?;
    Ok(Target { branch, start_commit, pull_request: open, ..base_target })
}

/// The target of a job that only reads: its base branch.
pub(crate) async fn base_target(
    git: &Git,
    mirror: &Mirror,
    base: &str,
    repository: &AssignedRepository,
) -> Result<Target, Stop> {
    let missing = || Failure::BaseBranchMissing { repo: repository.name.clone(), branch: base.to_owned() };
    let commit = mirror.branch(git, base).await?.ok_or_else(missing)?;
    Ok(Target {
        branch: base.to_owned(),
        start_commit: commit.clone(),
        base_branch: base.to_owned(),
        base_commit: commit,
        expected_head: None,
        pull_request: None,
        adopted_commit: None,
        adopted_job: None,
    })
}

/// Chooses the target from fetched data. Adopts a commit that an earlier attempt pushed.
pub(crate) async fn choose_target(
    git: &Git,
    mirror: &Mirror,
    assignment: &Assignment,
    open: Option<PullRequest>,
) -> Result<Target, Stop> {
    let repo = assignment.repository.name.clone();
    let branch = open.as_ref().map_or(&assignment.branch, |pull| &pull.head_branch).clone();
    let base_branch = base_branch(assignment, open.as_ref()).to_owned();
    let missing = || Failure::BaseBranchMissing { repo: repo.clone(), branch: base_branch.clone() };
    let base = mirror.branch(git, &base_branch).await?.ok_or_else(missing)?;
    let head = mirror.branch(git, &branch).await?;
    for candidate in candidate_branches(&branch, assignment) {
        let head = match candidate == branch {
            true => head.clone(),
            false => mirror.branch(git, candidate).await?,
        };
        let Some(head) = head else { continue };
        let own_commit = find_job_commit(git, mirror.dir(), &head, &base, &assignment.job).await?;
        if let Some(own_commit) = own_commit {
            return Ok(Target {
                // For another branch, the push searches for its pull request again.
                pull_request: open.filter(|_| candidate == branch),
                branch: candidate.to_owned(),
                start_commit: head.clone(),
                base_branch,
                base_commit: base,
                expected_head: Some(head),
                adopted_commit: Some(own_commit),
                adopted_job: None,
            });
        }
    }
    let start = match (&head, &open) {
        (Some(head), Some(_)) => head.clone(),
        (None, Some(_)) => return Err(Failure::BranchDeleted { branch }.into()),
        // The pull request of a run's earlier step.
        (_, None) if assignment.continues.as_ref().is_some_and(|it| it.branch == branch) => {
            let pr = assignment.continues.as_ref().map(|it| format!("#{}", it.number)).unwrap_or_default();
            return Err(Failure::PullRequestClosed { pr, state: "closed or merged".into() }.into());
        }
        // The push would be refused, so fail before an agent works.
        (Some(_), None) => return Err(Failure::BranchTaken { branch }.into()),
        (None, None) => match find_blocking_branch(git, mirror, &branch).await? {
            Some(branch) => return Err(Failure::BranchTaken { branch }.into()),
            None => match assignment.step.as_ref().and_then(|step| step.starts_from.as_ref()) {
                Some(shared) => {
                    let missing = || Failure::BranchDeleted { branch: shared.clone() };
                    mirror.branch(git, shared).await?.ok_or_else(missing)?
                }
                None => base.clone(),
            },
        },
    };
    Ok(Target {
        branch,
        start_commit: start,
        base_branch,
        base_commit: base,
        expected_head: head,
        pull_request: open,
        adopted_commit: None,
        adopted_job: None,
    })
}

/// Finds a branch that excludes `branch`. Git stores branches like files, so `a` and `a/b` cannot both exist.
async fn find_blocking_branch(git: &Git, mirror: &Mirror, branch: &str) -> Result<Option<String>, GitError> {
    for above in branch.match_indices('/').filter_map(|(end, _)| branch.get(..end)) {
        if mirror.branch(git, above).await?.is_some() {
            return Ok(Some(above.to_owned()));
        }
    }
    mirror.branch_below(git, branch).await
}

/// The branches to which an earlier attempt of this job may have pushed, the current branch first. Each attempt uses
/// the pull request that is open when it starts, and users may close or reopen it between attempts.
fn candidate_branches<'a>(branch: &'a str, assignment: &'a Assignment) -> impl Iterator<Item = &'a str> {
    let own = (assignment.revises.is_none()).then_some(assignment.branch.as_str());
    let continued = assignment.continues.as_ref().map(|continues| continues.branch.as_str());
    let others = [own, continued.filter(|continued| Some(*continued) != own)];
    std::iter::once(branch).chain(others.into_iter().flatten().filter(move |other| *other != branch))
}

/// The newest commit between `base` and `head` of this job, by its trailer. Users may have pushed on top.
pub(crate) async fn find_job_commit(
    git: &Git,
    repository: &Path,
    head: &str,
    base: &str,
    job: &JobId,
) -> Result<Option<String>, GitError> {
    let excluded_base = format!("^{base}");
    let format = format!("--format=%H %(trailers:key={JOB_TRAILER},valueonly,separator=%x20)");
    let max_count = format!("--max-count={MAX_SEARCHED_COMMITS}");
    let log = ["log", max_count.as_str(), format.as_str(), "--end-of-options", head, excluded_base.as_str()];
    let output = git.run_for_line(GitCall::new(log).repository(repository)).await?;
    let is_ours = |trailer: &str| trailer.split('/').next() == Some(job.as_str());
    let commit = output.lines().find_map(|line| {
        let (commit, trailers) = line.split_once(' ')?;
        trailers.split_whitespace().any(is_ours).then(|| commit.to_owned())
    });
    Ok(commit)
}
