//! The phase `preparing`: access, agent, mirror, target, worktree.

use crate::Options;
use crate::agent::environment::Environment;
use crate::agent::given::Given;
use crate::agent::{self, Chosen};
use crate::api::attempt::Attempt;
use crate::api::retry::while_away;
use crate::artifacts::record::{RawCapture, Record};
use crate::checkpoint::take::{Earlier, Found, may_bind};
use crate::git::Fault;
use crate::git::target::{self, Target};
use crate::git::workspace::disk::private_dirs;
use crate::git::workspace::mirror::Mirror;
use crate::git::workspace::{Checkout, Workspace};
use crate::secrets::access::{self, Access};
use crate::stop::Stop;
use pullyard_domain::agent::AUTO;
use pullyard_domain::checks::JobCommands;
use pullyard_domain::failure::Failure;
use pullyard_forge::{Forge, PullRequest};
use pullyard_protocol::attempt::{Assignment, Phase};
use pullyard_protocol::event::EventKind;
use std::path::PathBuf;
use std::time::Duration;

/// Time limit for retrying reads from the forge. Covers a restart of the forge.
const SOURCE_AWAY: Duration = Duration::from_secs(20);

pub(crate) struct Prepared<'a> {
    pub(crate) access: Access,
    pub(crate) chosen: Chosen,
    pub(crate) given: Given,
    pub(crate) mirror: Mirror,
    pub(crate) target: Target,
    /// The checkpoint of an earlier attempt, not restored yet.
    pub(super) found: Found,
    pub(crate) workspace: &'a Workspace,
}

pub(super) async fn prepare<'a>(
    this: &Attempt<'_>,
    options: &Options,
    workspace: &'a mut Option<Workspace>,
) -> Result<Prepared<'a>, Stop> {
    let Assignment { job, attempt, repository, commands, agent, checkpoint, adopts, .. } = this.assignment;
    this.begin(Phase::Preparing).await?;
    // The policy may have changed since the commands were set.
    if let Some(command) = commands.as_ref().and_then(JobCommands::first_disallowed) {
        return Err(Failure::CommandNotAllowed { command: command.to_owned() }.into());
    }
    let mut access = access::ask(this).await?;
    let auth = Workspace::root_in(&options.work_dir, job, *attempt).join("auth.json");
    let given = Given::new(std::mem::take(&mut access.model), auth);
    let failed = |error: std::io::Error| Failure::WorkspaceFailed { reason: error.to_string() };
    let mut earlier = None;
    if agent.capability == AUTO && *checkpoint && !adopts {
        // With agent `auto`, only the checkpoint shows which agent worked.
        let made = workspace.insert(Workspace::make(&work_dir(options)?, job, *attempt).await.map_err(failed)?);
        earlier = Some(Earlier::get(this, made, options.bucket_away).await?);
    }
    let chosen = match *adopts {
        // No agent starts, so none must be installed.
        true => Chosen::Command,
        // Before the fetch, so that a missing agent fails at once.
        false => {
            let left_by = earlier.as_ref().and_then(Earlier::agent);
            agent::choose(this.assignment, left_by, &Environment::of(&|name| this.reads(&given, name))).await?
        }
    };
    let Access { git, forge, .. } = &access;
    let open = pull_request_to_work_on(this, forge).await?;
    let work_dir = work_dir(options)?;
    let of_source = |fault: Fault| fault.of_source(&repository.forge_name(), &repository.name);
    let is_away = |failure: &Failure| matches!(failure, Failure::SourceUnreachable { .. });
    let mirror =
        while_away(SOURCE_AWAY, is_away, async || Mirror::fetched(git, &work_dir).await.map_err(of_source)).await?;
    let target = target::choose(git, forge, &mirror, this.assignment, open).await;
    if let Err(Stop::Failed(Failure::NothingPushed {})) = &target {
        this.events
            .add(crate::api::said::Said::words(EventKind::Log, "No commit of an earlier attempt is on the branch."));
    }
    let mut target = target?;
    let workspace: &Workspace = match workspace {
        Some(made) => made,
        None => workspace.insert(Workspace::make(&work_dir, job, *attempt).await.map_err(failed)?),
    };
    let earlier = match earlier {
        Some(earlier) => earlier,
        // Pushed work needs no checkpoint.
        None if target.adopted.is_some() => Earlier::none(),
        None => Earlier::get(this, workspace, options.bucket_away).await?,
    };
    let found = Found::look(this, (git, &mirror), earlier, &chosen, &mut target).await?;
    let at = Checkout { branch: &target.branch, start: &target.start, base: (&target.base_branch, &target.base) };
    this.artifacts.open(workspace.artifacts()).map_err(failed)?;
    let raw = if options.raw_capture { RawCapture::On } else { RawCapture::Off };
    this.events.record(Record::begin(this.artifacts, raw));
    workspace.check_out(git, &mirror, at).await.map_err(|fault| fault.of_workspace())?;
    Ok(Prepared { access, chosen, given, mirror, target, found, workspace })
}

/// The absolute folder of all attempts, because git runs in other folders.
fn work_dir(options: &Options) -> Result<PathBuf, Failure> {
    let failed = |error: std::io::Error| Failure::WorkspaceFailed { reason: error.to_string() };
    private_dirs(&options.work_dir).map_err(failed)?;
    options.work_dir.canonicalize().map_err(failed)
}

async fn pull_request_to_work_on(this: &Attempt<'_>, forge: &Forge) -> Result<Option<PullRequest>, Stop> {
    let Assignment { repository, revises, continues, .. } = this.assignment;
    let look = async || match (revises, continues) {
        (Some(revises), _) => target::revised_pull_request(forge, repository, revises).await.map(Some),
        (None, Some(continues)) => target::open_pull_request(forge, repository, continues).await,
        (None, None) => Ok(None),
    };
    let is_away = |stop: &Stop| matches!(stop, Stop::Failed(Failure::SourceUnreachable { .. }));
    while_away(SOURCE_AWAY, is_away, look).await
}

/// Replaces `WorkspaceFailed` for a job that must resume its session, because a retry would start a new session.
pub(super) fn keeps_session(this: &Attempt<'_>, stop: Stop) -> Stop {
    match stop {
        Stop::Failed(Failure::WorkspaceFailed { reason }) if may_bind(this) => {
            Failure::SessionUnreachable { reason }.into()
        }
        stop => stop,
    }
}
