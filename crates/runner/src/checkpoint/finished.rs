//! Decides whether the finished work of an earlier attempt, or of a retried job, is published without an agent.
//! A checkpoint has finished work if its attempt created the commit and could not publish it. This attempt creates the
//! commit again, with the trailer of its job, unless the forge has it already.

use super::content::{CheckpointMetadata, FinishedWork};
use crate::attempt::Attempt;
use crate::git::target::{Target, find_job_commit};
use crate::git::workspace::mirror::Mirror;
use crate::git::{Git, GitError};
use crate::hash::sha256_hex;

/// Whether the work is current: the prompt is unchanged, and the agent had read the newest message.
pub(super) fn is_current(attempt: &Attempt<'_>, metadata: &CheckpointMetadata, work: &FinishedWork) -> bool {
    let inputs = attempt.assignment.resume.as_ref().map(|resume| resume.inputs.as_slice()).unwrap_or_default();
    let newest = inputs.iter().map(|input| input.seq).max().unwrap_or(0);
    metadata.task == sha256_hex(&attempt.assignment.prompt) && newest <= work.read
}

/// Sets the target to the branch of the finished work, and adopts its commit if the forge has it. Without
/// a pull request, the checkpoint's branch must be in the same folder as the job's own (`pullyard/PROJECT/`), because
/// the bucket's content is not trusted.
pub(super) async fn set_target(
    attempt: &Attempt<'_>,
    (git, mirror): (&Git, &Mirror),
    metadata: &CheckpointMetadata,
    target: &mut Target,
) -> Result<(), GitError> {
    let folder = |branch: &str| branch.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let is_new = target.pull_request.is_none();
    if is_new && folder(&metadata.branch) != folder(&target.branch) {
        return Ok(());
    }
    let branch = if is_new { metadata.branch.clone() } else { target.branch.clone() };
    let Some(head) = mirror.branch(git, &branch).await? else {
        target.branch = branch;
        return Ok(());
    };
    for job in metadata.job.iter().chain([&attempt.assignment.job]) {
        let base = if is_new { &target.base_commit } else { &metadata.start };
        if let Some(commit) = find_job_commit(git, mirror.dir(), &head, base, job).await? {
            *target = Target {
                branch,
                start_commit: head.clone(),
                expected_head: Some(head),
                adopted_commit: Some(commit),
                adopted_job: Some(job.clone()),
                ..target.clone()
            };
            return Ok(());
        }
    }
    // The branch has other work, so a new pull request uses the job's own branch.
    Ok(())
}
