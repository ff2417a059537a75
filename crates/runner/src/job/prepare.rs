//! Runs the phase `preparing`: access, agent, mirror, target, worktree.

use crate::RunJob;
use crate::agent::environment::Environment;
use crate::agent::model_keys::ModelKeys;
use crate::agent::{self, AgentChoice};
use crate::api::attempt::Attempt;
use crate::api::retry::retry_while_unreachable;
use crate::artifacts::output_recorder::OutputRecorder;
use crate::checkpoint::restore::{CheckpointPlan, EarlierCheckpoint, may_require_session};
use crate::git::GitError;
use crate::git::target::{self, Target};
use crate::git::workspace::disk::create_private_dirs;
use crate::git::workspace::mirror::Mirror;
use crate::git::workspace::{Checkout, Workspace};
use crate::secrets::access::{self, ForgeAccess};
use crate::stop::Stop;
use pullyard_domain::agent::AUTO;
use pullyard_domain::checks::JobCommands;
use pullyard_domain::failure::Failure;
use pullyard_forge::{Forge, PullRequest};
use pullyard_protocol::attempt::{Assignment, Phase};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Time limit for retrying reads from the forge. Covers a restart of the forge.
const FORGE_RETRY_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Preparation<'a> {
    pub(crate) access: ForgeAccess,
    pub(crate) agent: AgentChoice,
    pub(crate) model_keys: ModelKeys,
    pub(crate) mirror: Mirror,
    pub(crate) target: Target,
    pub(super) checkpoint: CheckpointPlan,
    pub(crate) workspace: &'a Workspace,
}

pub(super) async fn prepare<'a>(
    attempt: &Attempt<'_>,
    options: &RunJob,
    workspace: &'a mut Option<Workspace>,
) -> Result<Preparation<'a>, Stop> {
    let Assignment { job, attempt: number, repository, commands, agent, checkpoint, .. } = attempt.assignment;
    attempt.report_phase(Phase::Preparing).await?;
    // The policy may have changed since the commands were set.
    if let Some(command) = commands.as_ref().and_then(JobCommands::first_disallowed) {
        return Err(Failure::CommandNotAllowed { command: command.to_owned() }.into());
    }
    let mut access = access::request_access(attempt).await?;
    let auth = Workspace::root_path(&options.work_dir, job, *number).join("auth.json");
    let model_keys = ModelKeys::new(std::mem::take(&mut access.model_credentials), auth);
    let mut earlier = None;
    if agent.capability == AUTO && *checkpoint {
        // With agent `auto`, only the checkpoint shows which agent worked.
        let existing = workspace.insert(Workspace::create(&create_work_dir(options)?, job, *number).await?);
        earlier = Some(EarlierCheckpoint::download(attempt, existing, options.bucket_away).await?);
    }
    // Before the fetch, so that a missing agent fails at once.
    let earlier_agent = earlier.as_ref().and_then(EarlierCheckpoint::agent);
    let agent_choice = agent::choose_agent(
        attempt.assignment,
        earlier_agent,
        &Environment::from_fn(&|name| attempt.agent_variable(&model_keys, name)),
    )
    .await?;
    let ForgeAccess { git, forge, .. } = &access;
    let open = get_open_pull_request(attempt, forge).await?;
    let work_dir = create_work_dir(options)?;
    let to_failure = |error: GitError| error.to_source_failure(&repository.forge_name(), &repository.name);
    let is_unreachable = |failure: &Failure| matches!(failure, Failure::SourceUnreachable { .. });
    let mirror = retry_while_unreachable(FORGE_RETRY_TIMEOUT, is_unreachable, async || {
        Mirror::fetch(git, &work_dir).await.map_err(to_failure)
    })
    .await?;
    let mut target = target::choose_target(git, &mirror, attempt.assignment, open).await?;
    let workspace: &Workspace = match workspace {
        Some(existing) => existing,
        None => workspace.insert(Workspace::create(&work_dir, job, *number).await?),
    };
    let earlier = match earlier {
        Some(earlier) => earlier,
        // Pushed work needs no checkpoint.
        None if target.adopted_commit.is_some() => EarlierCheckpoint::NotExpected,
        None => EarlierCheckpoint::download(attempt, workspace, options.bucket_away).await?,
    };
    let checkpoint_plan = CheckpointPlan::prepare(attempt, (git, &mirror), earlier, &agent_choice, &mut target).await?;
    let checkout = Checkout {
        branch: &target.branch,
        start: &target.start_commit,
        base: (&target.base_branch, &target.base_commit),
    };
    attempt.artifacts.set_folder(workspace.artifacts())?;
    attempt.events.start_recording(OutputRecorder::begin(attempt.artifacts, options.raw_capture));
    workspace.check_out(git, &mirror, checkout).await?;
    Ok(Preparation { access, agent: agent_choice, model_keys, mirror, target, checkpoint: checkpoint_plan, workspace })
}

/// The absolute folder of all attempts, because git runs in other folders.
fn create_work_dir(options: &RunJob) -> io::Result<PathBuf> {
    create_private_dirs(&options.work_dir)?;
    options.work_dir.canonicalize()
}

async fn get_open_pull_request(attempt: &Attempt<'_>, forge: &Forge) -> Result<Option<PullRequest>, Stop> {
    let Assignment { repository, revises, continues, .. } = attempt.assignment;
    let get_pull_request = async || match (revises, continues) {
        (Some(revises), _) => target::get_revised_pull_request(forge, repository, revises).await.map(Some),
        (None, Some(continues)) => target::get_open_pull_request(forge, repository, continues).await,
        (None, None) => Ok(None),
    };
    let is_unreachable = |stop: &Stop| matches!(stop, Stop::Failure(Failure::SourceUnreachable { .. }));
    retry_while_unreachable(FORGE_RETRY_TIMEOUT, is_unreachable, get_pull_request).await
}

/// Replaces `WorkspaceFailed` for a job that must resume its session, because a retry would start a new session.
pub(super) fn preserve_session_on_failure(attempt: &Attempt<'_>, stop: Stop) -> Stop {
    match stop {
        Stop::Failure(Failure::WorkspaceFailed { reason }) if may_require_session(attempt) => {
            Failure::SessionUnreachable { reason }.into()
        }
        stop => stop,
    }
}
