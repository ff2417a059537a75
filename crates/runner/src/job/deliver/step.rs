//! The input and the output of a run's step: patches of earlier steps, and the answer of an agent that changes files.

use super::answer::check_answer;
use crate::agent_files::{is_tracked, is_untracked};
use crate::attempt::Attempt;
use crate::checkpoint::content::FinishedWork;
use crate::git::patch::{self, Binaries};
use crate::git::workspace::Workspace;
use crate::git::workspace::disk::create_private_dirs;
use crate::git::workspace::mirror::Mirror;
use crate::git::{self, Git};
use crate::job::preparation::Preparation;
use crate::output;
use crate::stop::Stop;
use pullyard_domain::review::output::{Answer, JobOutput, OUTPUT_FILE, OutputFault};
use pullyard_domain::text::failure::Failure;
use pullyard_protocol::attempt::{AssignedPatch, AssignedStep};

/// Stores the patches of earlier steps outside the worktree.
/// Errors: `InputMissing` if a commit is not in the mirror, which has all branches.
pub(in crate::job) async fn store_patches(
    attempt: &Attempt<'_>,
    (git, mirror): (&Git, &Mirror),
    workspace: &Workspace,
) -> Result<(), Stop> {
    let patches = attempt.assignment.step.iter().flat_map(|step| &step.patches);
    for AssignedPatch { step, file, branch, head } in patches {
        let missing = || Failure::InputMissing { step: step.clone(), branch: branch.clone() };
        let is_id = matches!(head.len(), 40 | 64) && head.bytes().all(|byte| byte.is_ascii_hexdigit());
        let parent = format!("{head}^");
        if !is_id || git::resolve_commit(git, mirror.dir(), &parent).await?.is_none() {
            return Err(missing().into());
        }
        let path = output::input_path(workspace, file).ok_or_else(missing)?;
        if let Some(folder) = path.parent() {
            create_private_dirs(folder)?;
        }
        // The branch of a step has one commit.
        patch::write(git, mirror.dir(), (&parent, head), Binaries::Full, &path).await?;
    }
    Ok(())
}

/// The step, if its agent writes an output in addition to its change.
pub(in crate::job) fn reporting_step<'a>(attempt: &'a Attempt<'_>) -> Option<&'a AssignedStep> {
    attempt.assignment.step.as_ref().filter(|step| step.reports)
}

/// Copies the input files into the worktree, before the checkpoint adds an output of the same agent.
/// Errors: `OutputTaken` if the repository has a file where the agent writes its output.
pub(in crate::job) async fn add_inputs(attempt: &Attempt<'_>, git: &Git, workspace: &Workspace) -> Result<(), Stop> {
    let reports = reporting_step(attempt).is_some();
    if reports && is_tracked(git, workspace, OUTPUT_FILE).await? {
        return Err(Failure::OutputTaken { path: OUTPUT_FILE.into() }.into());
    }
    Ok(output::add_inputs(workspace, reports)?)
}

/// The output that an earlier attempt stored with its finished work. The bucket's content is not trusted.
pub(in crate::job) fn finished_output(
    attempt: &Attempt<'_>,
    work: &FinishedWork,
) -> Result<Option<JobOutput>, OutputFault> {
    if reporting_step(attempt).is_none() {
        return Ok(None);
    }
    check_step_answer(attempt, work.output.clone().and_then(JobOutput::into_answer))
}

/// Loads the output of an agent that changes files.
pub(in crate::job) async fn load_step_output(
    attempt: &Attempt<'_>,
    Preparation { access, workspace, .. }: &Preparation<'_>,
) -> Result<Option<JobOutput>, OutputFault> {
    if !is_untracked(&access.git, workspace, OUTPUT_FILE).await {
        // An unnoticed list of steps would end the work of a manager.
        let fault = format!("the repository has a file `{OUTPUT_FILE}`, or git could not say");
        return Err(OutputFault::new("", fault));
    }
    check_step_answer(attempt, output::load(workspace, OUTPUT_FILE).await?)
}

/// A step without outcomes needs no answer.
fn check_step_answer(attempt: &Attempt<'_>, answer: Option<Answer>) -> Result<Option<JobOutput>, OutputFault> {
    match answer {
        Some(answer) => check_answer(attempt, answer).map(Some),
        None if attempt.assignment.outcomes.is_empty() => Ok(None),
        None => Err(OutputFault::missing()),
    }
}
