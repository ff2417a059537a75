//! Delivers an answer: of a job that publishes nothing, or of a run's step beside its change. Also the step's input.

use super::agent_output::{Loaded, produce_output};
use crate::agent_files::{is_tracked, is_untracked};
use crate::checkpoint::finished::FinishedWork;
use crate::git::patch::{self, Binaries};
use crate::git::workspace::Workspace;
use crate::git::workspace::disk::create_private_dirs;
use crate::git::workspace::mirror::Mirror;
use crate::git::{self, Git};
use crate::job::attempt::Attempt;
use crate::job::prepare::Preparation;
use crate::output;
use crate::stop::Stop;
use crate::{Isolation, RunJob};
use pullyard_domain::failure::Failure;
use pullyard_domain::output::{Answer, JobOutput, MAX_ANSWER_CHARS, OUTPUT_FILE, OutputFault};
use pullyard_domain::prompt::untrusted;
use pullyard_domain::run::{SpawnRequest, check_spawn_form};
use pullyard_domain::text::truncate_lines;
use pullyard_protocol::attempt::{AssignedPatch, AssignedStep};

/// Neither commits nor pushes. The output is the agent's output file, or else its last message.
pub(in crate::job) async fn read(
    attempt: &Attempt<'_>,
    options: &RunJob,
    isolation: Isolation,
    preparation: &Preparation<'_>,
) -> Result<JobOutput, Stop> {
    let load = async || load_output(attempt, preparation).await.map(Loaded::Complete);
    produce_output(attempt, options, isolation, preparation, load).await
}

/// Loads the output, without secrets and invisible characters. If the file is missing, the last message of an agent
/// with sessions is the answer, unless it has to choose an outcome. A command's last line is never an answer.
async fn load_output(attempt: &Attempt<'_>, preparation: &Preparation<'_>) -> Result<JobOutput, OutputFault> {
    let answer = match output::load::<Answer>(preparation.workspace, OUTPUT_FILE).await? {
        Some(answer) => answer,
        None if preparation.agent.has_sessions() && attempt.assignment.outcomes.is_empty() => {
            let message = clean(attempt, &attempt.artifacts.last_message().await.unwrap_or_default());
            let text = truncate_lines(&message, MAX_ANSWER_CHARS);
            if text.is_empty() {
                return Err(OutputFault::missing());
            }
            Answer { text, ..Answer::default() }
        }
        None => return Err(OutputFault::missing()),
    };
    check_answer(attempt, answer)
}

fn clean(attempt: &Attempt<'_>, text: &str) -> String {
    attempt.redactor.redact_text(&untrusted::remove_hidden(text)).into_owned()
}

/// Removes secrets and invisible characters from an answer, and checks its outcome and its added steps.
fn check_answer(attempt: &Attempt<'_>, answer: Answer) -> Result<JobOutput, OutputFault> {
    answer.check_outcome(&attempt.assignment.outcomes)?;
    let step = attempt.assignment.step.as_ref();
    let faults = match step.and_then(|step| Some((step.spawn.as_ref()?, &step.taken))) {
        Some((limits, taken)) => check_spawn_form(limits, taken, &answer.spawn),
        None if answer.spawn.is_empty() => Vec::new(),
        None => vec![OutputFault::new("/spawn", "this job can add no steps: leave it out")],
    };
    if let Some(fault) = faults.into_iter().next() {
        return Err(fault);
    }
    let clean_step = |step: SpawnRequest| SpawnRequest { prompt: clean(attempt, &step.prompt), ..step };
    let (text, spawn) = (clean(attempt, &answer.text), answer.spawn.into_iter().map(clean_step).collect());
    let output = JobOutput::Read(Answer { text, spawn, ..answer });
    output.check()?;
    Ok(output)
}

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
