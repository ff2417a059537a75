//! Runs the phase `preparing`: access, agent, mirror, target, worktree.

use crate::RunJob;
use crate::agent;
use crate::agent::environment::Environment;
use crate::agent::model_keys::ModelKeys;
use crate::api::forge_wait::{ForgeFault, ForgeWait, Outage};
use crate::artifacts::output_recorder::OutputRecorder;
use crate::attempt::Attempt;
use crate::checkpoint::restore::{CheckpointPlan, EarlierCheckpoint, may_require_session};
use crate::disk_limit;
use crate::git::GitError;
use crate::git::target;
use crate::git::workspace::disk::create_private_dirs;
use crate::git::workspace::mirror::Mirror;
use crate::git::workspace::{Checkout, Workspace};
use crate::job::deliver::step::{reporting_step, store_patches};
use crate::job::preparation::Preparation;
use crate::secrets::access::{self, ForgeAccess};
use crate::stop::Stop;
use pullyard_domain::agent::AUTO;
use pullyard_domain::agent::checks::JobCommands;
use pullyard_domain::job::Publishes;
use pullyard_domain::text::failure::Failure;
use pullyard_forge::{Forge, PullRequest};
use pullyard_protocol::attempt::{Assignment, Phase};
use std::io;
use std::path::PathBuf;

pub(super) async fn prepare<'a>(
    attempt: &Attempt<'_>,
    options: &RunJob,
    workspace: &'a mut Option<Workspace>,
) -> Result<Preparation<'a>, Stop> {
    let Assignment { job, attempt: number, kind, repository, commands, agent, checkpoint, .. } = attempt.assignment;
    attempt.report_phase(Phase::Preparing).await?;
    // Before any cost.
    disk_limit::check_reserve(create_work_dir(options)?).await?;
    // The policy may have changed since the commands were set.
    if let Some(command) = commands.as_ref().and_then(JobCommands::first_disallowed) {
        return Err(Failure::CommandNotAllowed { command: command.to_owned() }.into());
    }
    let mut forge_wait = ForgeWait::new(attempt, Phase::Preparing, attempt.forge_away);
    let to_failure = target::unreachable(repository);
    let request = access::request_access(attempt);
    let mut access = forge_wait.watch("there is no token of the forge yet", to_failure, request).await?;
    let auth = Workspace::root_path(&options.work_dir, job, *number).join("auth.json");
    let model_keys = ModelKeys::new(std::mem::take(&mut access.model_credentials), auth);
    let mut earlier = None;
    let has_checkout = kind.spec().checkout;
    if agent.capability == AUTO && *checkpoint && has_checkout {
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
    let open = forge_wait.retry(to_failure, async || get_open_pull_request(attempt, forge).await).await?;
    let work_dir = create_work_dir(options)?;
    let base = target::base_branch(attempt.assignment, open.as_ref());
    let head = open.as_ref().map_or(&attempt.assignment.branch, |pull| &pull.head_branch);
    // Earlier attempts and reviews name commits.
    let since = attempt.assignment.revises.as_ref().and_then(|revises| revises.since.as_ref());
    let has_patches = attempt.assignment.step.as_ref().is_some_and(|step| !step.patches.is_empty());
    let needs_history = *checkpoint || has_patches || since.is_some();
    let fetch = async || {
        let load =
            async |depth| Mirror::fetch(git, &work_dir, depth).await.map_err(|error| to_fetch_fault(attempt, &error));
        let mirror = load(if needs_history { 0 } else { options.clone_depth }).await?;
        target::check_base_branch((git, &mirror), forge, repository, base).await?;
        if mirror.joins(git, head, base).await? { Ok(mirror) } else { load(0).await }
    };
    let mirror = match has_checkout {
        true => forge_wait.retry(to_failure, fetch).await?,
        false => {
            let new = workspace.insert(Workspace::create(&work_dir, job, *number).await?);
            Mirror::create_empty(git, new.root(), base).await?
        }
    };
    let mut target = match kind.spec().publishes {
        Publishes::Change => target::choose_target(git, &mirror, attempt.assignment, open).await?,
        Publishes::Review => target::reviewed_target(git, &mirror, attempt.assignment, open).await?,
        // A step of a run reads the branch of the run.
        Publishes::Nothing if attempt.assignment.branch != attempt.assignment.base => {
            target::reviewed_target(git, &mirror, attempt.assignment, open).await?
        }
        Publishes::Nothing => target::base_target(git, &mirror, &attempt.assignment.base, repository).await?,
    };
    let workspace: &Workspace = match workspace {
        Some(existing) => existing,
        None => workspace.insert(Workspace::create(&work_dir, job, *number).await?),
    };
    let earlier = match earlier {
        Some(earlier) => earlier,
        // Pushed work needs at most its output.
        None if target.adopted_commit.is_some() && reporting_step(attempt).is_none() => EarlierCheckpoint::NotExpected,
        // An analysis reads the forge again, so an earlier session does not fit.
        None if !has_checkout => EarlierCheckpoint::NotExpected,
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
    workspace.check_out_or_renew(git, &mirror, &work_dir, checkout).await?;
    if target.adopted_commit.is_none() && checkpoint_plan.finished().is_none() {
        store_patches(attempt, (git, &mirror), workspace).await?;
    }
    Ok(Preparation { access, agent: agent_choice, model_keys, mirror, target, checkpoint: checkpoint_plan, workspace })
}

/// The absolute folder of all attempts, because git runs in other folders.
fn create_work_dir(options: &RunJob) -> io::Result<PathBuf> {
    create_private_dirs(&options.work_dir)?;
    options.work_dir.canonicalize()
}

fn to_fetch_fault(attempt: &Attempt<'_>, error: &GitError) -> ForgeFault {
    let repository = &attempt.assignment.repository;
    match error.to_source_failure(&repository.forge_name(), &repository.name) {
        Failure::SourceUnreachable { reason, .. } => ForgeFault::Away(Outage::from(reason.0)),
        failure => failure.into(),
    }
}

/// Verifies that the forge accepts the changes of a job that makes some, and loads the open pull request that the job changes.
async fn get_open_pull_request(attempt: &Attempt<'_>, forge: &Forge) -> Result<Option<PullRequest>, ForgeFault> {
    let Assignment { kind, repository, revises, continues, .. } = attempt.assignment;
    if kind.spec().publishes == Publishes::Change {
        target::check_writable(forge, repository).await?;
    }
    match (revises, continues) {
        (Some(revises), _) => target::get_revised_pull_request(forge, repository, revises).await.map(Some),
        (None, Some(continues)) => target::get_open_pull_request(forge, repository, continues).await,
        (None, None) => Ok(None),
    }
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
