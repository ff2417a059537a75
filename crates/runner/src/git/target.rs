//! Chooses the branch, the start commit, and the head that the push expects.

use crate::git::workspace::mirror::Mirror;
use crate::git::{Git, GitCall, GitError};
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::JobId;
use pullyard_forge::{Forge, PullRequest, PullRequestState};
use pullyard_protocol::attempt::{AssignedRepository, Assignment, ContinuedPullRequest, RevisedPullRequest};
use std::path::Path;

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
}

pub(crate) async fn get_open_pull_request(
    forge: &Forge,
    repository: &AssignedRepository,
    continues: &ContinuedPullRequest,
) -> Result<Option<PullRequest>, Stop> {
    let answer = forge.open_pull_request(repository.name.as_str(), &continues.branch).await;
    match answer {
        Ok(answer) => Ok(answer.filter(|pull| pull.number == continues.number)),
        Err(error) => Err(to_source_failure(&error, repository).into()),
    }
}

/// The pull request to revise.
/// Errors: `PullRequestClosed`, `BranchDeleted`, `PushRejected` for a fork, before an agent works.
pub(crate) async fn get_revised_pull_request(
    forge: &Forge,
    repository: &AssignedRepository,
    revises: &RevisedPullRequest,
) -> Result<PullRequest, Stop> {
    let name = repository.name.as_str();
    let to_failure = |error| to_source_failure(&error, repository);
    let pull = forge.pull_request(name, revises.number).await.map_err(to_failure)?;
    let closed =
        |state: &str| Failure::PullRequestClosed { pr: format!("{name}#{}", pull.number), state: state.into() };
    match pull.state {
        PullRequestState::Open => {}
        PullRequestState::Closed => return Err(closed("closed").into()),
        PullRequestState::Merged => return Err(closed("merged").into()),
    }
    // A branch with the same name in this repository is a different one, perhaps the default branch.
    let repository_id = forge.repository(name).await.map_err(to_failure)?.id;
    if pull.head_repository.is_some_and(|id| id != repository_id) {
        let reason = "the branch of the pull request is in another repository".into();
        return Err(Failure::PushRejected { forge: repository.forge_name(), reason }.into());
    }
    if pull.head_repository.is_none() {
        return Err(Failure::BranchDeleted { branch: pull.head_branch }.into());
    }
    Ok(pull)
}

fn to_source_failure(error: &pullyard_forge::Error, repository: &AssignedRepository) -> Failure {
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

/// Chooses the target from fetched data. Adopts a commit that an earlier attempt pushed.
pub(crate) async fn choose_target(
    git: &Git,
    mirror: &Mirror,
    assignment: &Assignment,
    open: Option<PullRequest>,
) -> Result<Target, Stop> {
    let repo = assignment.repository.name.clone();
    let branch = open.as_ref().map_or(&assignment.branch, |pull| &pull.head_branch).clone();
    // A user may have changed the base branch of the pull request.
    let revised = open.as_ref().filter(|_| assignment.revises.is_some());
    let base_branch = revised.map_or(&assignment.base, |pull| &pull.base_branch).clone();
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
            });
        }
    }
    let start = match (&head, &open) {
        (Some(head), Some(_)) => head.clone(),
        (None, Some(_)) => return Err(Failure::BranchDeleted { branch }.into()),
        // The push would be refused, so fail before an agent works.
        (Some(_), None) => return Err(Failure::BranchTaken { branch }.into()),
        (None, None) => base.clone(),
    };
    Ok(Target {
        branch,
        start_commit: start,
        base_branch,
        base_commit: base,
        expected_head: head,
        pull_request: open,
        adopted_commit: None,
    })
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
