//! Restores a checkpoint: the work in a fresh worktree on the same commit, and the session for the agent.
//! If a part is missing, the agent starts a new session and the log says why. A job that requires the session fails.

use super::archive;
use super::available::AvailableCheckpoint;
use super::content::{
    CheckpointMetadata, FINISHED_FILE, FORMAT, FinishedWork, MAX_FINISHED_BYTES, MAX_METADATA_BYTES, METADATA_FILE,
    OUTPUT_COPY, PATCH_FILE, REPLIES_FILE, SESSION_FOLDER,
};
use super::download::download_checkpoint;
use super::finished;
use super::loss::SessionLoss;
use super::state::RestoredSession;
use super::writes_output;
use crate::agent::AgentChoice;
use crate::agent::session::AgentSession;
use crate::attempt::Attempt;
use crate::git::target::{Target, find_job_commit};
use crate::git::workspace::Workspace;
use crate::git::workspace::disk::create_private_dirs;
use crate::git::workspace::mirror::Mirror;
use crate::git::{self, Git, GitCall, GitError};
use crate::hash::sha256_hex;
use crate::output;
use crate::publish::replies;
use crate::stop::Stop;
use pullyard_domain::agent::AUTO;
use pullyard_domain::job::{AgentWrites, JobKind, Publishes};
use pullyard_domain::text::truncate;
use serde_json::error::Category;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

const UNPACK_FOLDER: &str = "earlier";
const MAX_PATH_CHARS: usize = 500;
const MAX_AGENT_NAME_CHARS: usize = 48;

pub(crate) enum EarlierCheckpoint {
    NotExpected,
    Lost(SessionLoss),
    Available(Box<AvailableCheckpoint>),
}

pub(crate) struct CheckpointPlan {
    state: EarlierCheckpoint,
    requires_session: bool,
}

#[derive(Debug, Default)]
pub(crate) struct RestoredWork {
    pub(crate) session: Option<RestoredSession>,
    pub(crate) has_work: bool,
}

impl EarlierCheckpoint {
    /// Fetches the checkpoint and reads its description. `bucket_away` is how long an unreachable bucket is retried.
    /// Writes: the attempt's folder.
    pub(crate) async fn download(
        attempt: &Attempt<'_>,
        workspace: &Workspace,
        bucket_away: Duration,
    ) -> Result<Self, Stop> {
        let is_expected = is_expected(attempt);
        let is_usable = attempt.assignment.kind != JobKind::Resolve;
        if !is_usable || !(attempt.assignment.checkpoint || is_expected) {
            return Ok(Self::NotExpected);
        }
        let (packed, folder) = (workspace.root().join("earlier.tar.zst"), workspace.root().join(UNPACK_FOLDER));
        let number = match download_checkpoint(attempt, &packed, bucket_away).await? {
            Ok(Some(number)) => number,
            Ok(None) if !is_expected => return Ok(Self::NotExpected),
            Ok(None) => return Ok(Self::Lost(SessionLoss::NotStored("no part of it was stored".into()))),
            Err(loss) => return Ok(Self::Lost(loss)),
        };
        let to = folder.clone();
        let result = tokio::task::spawn_blocking(move || read_archive(&packed, &to)).await;
        Ok(match result.map_err(|error| SessionLoss::Unreadable(error.to_string())).flatten() {
            Ok((metadata, finished)) => {
                let attempt = number;
                let available = AvailableCheckpoint { metadata, folder, attempt, finished, session_loss: None };
                Self::Available(Box::new(available))
            }
            Err(loss) => Self::Lost(loss),
        })
    }

    pub(crate) fn agent(&self) -> Option<&str> {
        match self {
            Self::Available(available) => Some(&available.metadata.agent),
            Self::NotExpected | Self::Lost(_) => None,
        }
    }
}

fn is_expected(attempt: &Attempt<'_>) -> bool {
    attempt.assignment.resume.as_ref().is_some_and(|resume| resume.agent.is_some())
}

/// Whether the job may require the session while the checkpoint is unknown.
pub(crate) fn may_require_session(attempt: &Attempt<'_>) -> bool {
    let (assignment, is_expected) = (attempt.assignment, is_expected(attempt));
    let may_have_session = assignment.checkpoint && assignment.agent.capability != "command";
    assignment.fails_without_session() && (is_expected || may_have_session)
}

impl CheckpointPlan {
    /// Examines the checkpoint before the setup, and sets the target to the commit of its work.
    /// Errors: `SessionLost` and `SessionUnreachable` if a required session is known to be unavailable.
    pub(crate) async fn prepare(
        attempt: &Attempt<'_>,
        (git, mirror): (&Git, &Mirror),
        earlier: EarlierCheckpoint,
        agent: &AgentChoice,
        target: &mut Target,
    ) -> Result<Self, Stop> {
        let (assignment, is_expected) = (attempt.assignment, is_expected(attempt));
        let requires_session = |session: bool| assignment.fails_without_session() && (is_expected || session);
        let plan =
            |state, session| Self { state, requires_session: requires_session(session) }.fail_if_session_lost(attempt);
        let is_pushed = target.adopted_commit.is_some();
        // An unreadable checkpoint may contain a session.
        let may_have_session = matches!(agent, AgentChoice::Installed(_));
        let mut available = match earlier {
            EarlierCheckpoint::Lost(loss) if !is_pushed => {
                return plan(EarlierCheckpoint::Lost(loss), may_have_session);
            }
            // Pushed work needs only its output.
            EarlierCheckpoint::Available(available) if !is_pushed || writes_output(attempt) => available,
            _ => return plan(EarlierCheckpoint::NotExpected, false),
        };
        let is_current = |work: &FinishedWork| finished::is_current(attempt, &available.metadata, work);
        available.finished = available.finished.take().filter(is_current);
        if is_pushed {
            return plan(EarlierCheckpoint::Available(available), false);
        }
        if available.finished.is_some() && set_target_start(git, mirror, &available.metadata, target).await? {
            finished::set_target(attempt, (git, mirror), &available.metadata, target).await?;
            return plan(EarlierCheckpoint::Available(available), false);
        }
        available.finished = None;
        let metadata = &available.metadata;
        let mut session = metadata.session.is_some();
        if metadata.agent != agent.capability() {
            // A job that names its agent does not require another agent's session.
            session &= assignment.agent.capability == AUTO;
            available.session_loss = Some(SessionLoss::OtherAgent(truncate(&metadata.agent, MAX_AGENT_NAME_CHARS)));
        } else if !session && may_have_session {
            available.session_loss = Some(SessionLoss::NotStored("no session was stored".into()));
        }
        let has_patch = available.folder.join(PATCH_FILE).exists();
        if has_patch && was_pushed(git, mirror, &available.metadata, target).await? {
            // The agent already begins with the pushed work.
            return plan(EarlierCheckpoint::Lost(SessionLoss::DoesNotFit("it was pushed".into())), false);
        }
        // The stored session and output of a review are about the commit that it began with, so that one is reviewed.
        let begins_there = has_patch || assignment.kind.spec().publishes == Publishes::Review;
        if begins_there && !set_target_start(git, mirror, &available.metadata, target).await? {
            let reason = "the commit that it started from is no longer on the branch";
            return plan(EarlierCheckpoint::Lost(SessionLoss::DoesNotFit(reason.into())), session);
        }
        plan(EarlierCheckpoint::Available(available), session)
    }

    fn fail_if_session_lost(self, attempt: &Attempt<'_>) -> Result<Self, Stop> {
        let (loss, available) = match &self.state {
            EarlierCheckpoint::NotExpected => (None, None),
            EarlierCheckpoint::Lost(loss) => (Some(loss), None),
            EarlierCheckpoint::Available(available) => (available.session_loss.as_ref(), Some(available.as_ref())),
        };
        match loss.filter(|_| self.requires_session) {
            Some(loss) => Err(loss.fail_job(attempt, &agent_suffix(attempt, available))),
            None => Ok(self),
        }
    }

    /// The checkpoint whose work is published without an agent.
    pub(crate) fn finished(&self) -> Option<(&AvailableCheckpoint, &FinishedWork)> {
        match &self.state {
            EarlierCheckpoint::Available(available) => Some((available, available.finished.as_ref()?)),
            EarlierCheckpoint::NotExpected | EarlierCheckpoint::Lost(_) => None,
        }
    }

    /// Restores work and session, and logs the result. The worktree must be set up.
    /// Errors: `SessionLost` and `SessionUnreachable` if the job requires a session that does not fit.
    pub(crate) async fn restore(
        &self,
        attempt: &Attempt<'_>,
        git: &Git,
        workspace: &Workspace,
    ) -> Result<RestoredWork, Stop> {
        let (work, loss, available) = match &self.state {
            EarlierCheckpoint::NotExpected => return Ok(RestoredWork::default()),
            EarlierCheckpoint::Lost(loss) => (RestoredWork::default(), Some(loss.clone()), None),
            EarlierCheckpoint::Available(available) => match restore_work(attempt, git, workspace, available).await {
                Ok(work) => (work, available.session_loss.clone(), Some(available.as_ref())),
                Err(loss) => (RestoredWork::default(), Some(loss), Some(available.as_ref())),
            },
        };
        let owner = agent_suffix(attempt, available);
        let log = |text| attempt.events.log(text);
        match loss {
            None => {
                let number = available.map_or(0, |available| available.attempt);
                let with = match (&work.session, work.has_work) {
                    (Some(_), _) => "in the session of",
                    (None, true) => "from the work of",
                    (None, false) => "after",
                };
                log(format!("Continuing {with} attempt {number}."));
            }
            Some(loss) => {
                if self.requires_session {
                    return Err(loss.fail_job(attempt, &owner));
                }
                let reason = loss.reason();
                let suffix = if work.has_work { ", with the work done so far" } else { "" };
                log(format!(
                    "The earlier session{owner} cannot be resumed, because {reason}; the agent starts a new one{suffix}."
                ));
            }
        }
        Ok(work)
    }
}

fn agent_suffix(attempt: &Attempt<'_>, available: Option<&AvailableCheckpoint>) -> String {
    let requested = attempt.assignment.resume.as_ref().and_then(|resume| resume.agent.as_ref());
    let agent = available.map(|available| &available.metadata.agent).or(requested);
    agent.map_or_else(String::new, |agent| format!(" of `{}`", truncate(agent, MAX_AGENT_NAME_CHARS)))
}

/// The description, and the finished work if it is readable.
fn read_archive(packed: &Path, folder: &Path) -> Result<(CheckpointMetadata, Option<FinishedWork>), SessionLoss> {
    create_private_dirs(folder)?;
    archive::unpack(packed, folder)?;
    let _ = fs::remove_file(packed);
    let read = |name: &str, limit: u64| {
        let mut text = String::new();
        File::open(folder.join(name))?.take(limit).read_to_string(&mut text).map(|_| text)
    };
    let text = read(METADATA_FILE, MAX_METADATA_BYTES)?;
    let metadata: serde_json::Value = serde_json::from_str(&text).map_err(parse_failure)?;
    if metadata.get("format").and_then(serde_json::Value::as_u64) != Some(u64::from(FORMAT)) {
        return Err(SessionLoss::Unreadable("a newer runner kept it".into()));
    }
    // Parse the text itself, so that an error has a position.
    let metadata = serde_json::from_str(&text).map_err(parse_failure)?;
    let finished = read(FINISHED_FILE, MAX_FINISHED_BYTES).ok().and_then(|text| serde_json::from_str(&text).ok());
    Ok((metadata, finished.filter(|_| folder.join(PATCH_FILE).exists())))
}

/// Describes a parse error by its position. The error's own message would quote content from an agent's machine.
fn parse_failure(error: serde_json::Error) -> SessionLoss {
    let cause = match error.classify() {
        Category::Io => "it breaks",
        Category::Syntax => "it is no JSON",
        Category::Data => "a value is not what it should be",
        Category::Eof => "it ends too early",
    };
    SessionLoss::Unreadable(format!("`{METADATA_FILE}`: {cause}, at line {}, column {}", error.line(), error.column()))
}

/// Whether the branch already has the work, because an attempt of an earlier job died between push and finish.
async fn was_pushed(git: &Git, mirror: &Mirror, metadata: &CheckpointMetadata, target: &Target) -> Result<bool, Stop> {
    let (Some(job), Some(_)) = (&metadata.job, &target.pull_request) else { return Ok(false) };
    if !commit_exists(git, mirror, &metadata.start).await? {
        return Ok(false);
    }
    Ok(find_job_commit(git, mirror.dir(), &target.start_commit, &metadata.start, job).await?.is_some())
}

async fn commit_exists(git: &Git, mirror: &Mirror, commit: &str) -> Result<bool, Stop> {
    let is_id = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id {
        return Ok(false);
    }
    Ok(git::resolve_commit(git, mirror.dir(), commit).await?.as_deref() == Some(commit))
}

/// Sets the target to the work's commit; `false` if it is unreachable. The push rebases if the branch moved since.
async fn set_target_start(
    git: &Git,
    mirror: &Mirror,
    metadata: &CheckpointMetadata,
    target: &mut Target,
) -> Result<bool, Stop> {
    let start = metadata.start.as_str();
    if *start == target.start_commit {
        return Ok(true);
    }
    if !commit_exists(git, mirror, start).await? {
        return Ok(false);
    }
    if target.pull_request.is_some() {
        if metadata.branch != target.branch {
            return Ok(false);
        }
        target.expected_head = Some(start.to_owned());
    } else {
        // A commit that was removed from the branch must not return with the restored commit. A step's own branch may
        // start at another branch than the base.
        let call = GitCall::new(["merge-base", "--is-ancestor", start, &target.start_commit]).repository(mirror.dir());
        match git.run(call).await {
            Ok(_) => {}
            Err(GitError::Failed { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    target.start_commit = start.to_owned();
    Ok(true)
}

/// Restores the answer that the agent wrote. Not after the loss of its session: an old answer could pass for the new
/// agent's.
fn restore_output(attempt: &Attempt<'_>, folder: &Path, tree: &Path) {
    if writes_output(attempt)
        && let Ok(text) = fs::read_to_string(folder.join(OUTPUT_COPY))
        && let Err(error) = output::restore_file(tree, &text)
    {
        tracing::warn!(error = %error, "cannot restore the agent's output: {error}");
    }
}

async fn restore_work(
    attempt: &Attempt<'_>,
    git: &Git,
    workspace: &Workspace,
    available: &AvailableCheckpoint,
) -> Result<RestoredWork, SessionLoss> {
    let AvailableCheckpoint { metadata, folder, session_loss: loss, .. } = available;
    let (tree, repository, patch) = (workspace.tree(), workspace.repository(), folder.join(PATCH_FILE));
    let has_work = patch.exists();
    if has_work {
        // `git apply` changes all files or none, only in the worktree, and runs no program.
        let args = ["apply", "--binary", "--whitespace=nowarn", "--"].map(Into::into);
        let args = args.into_iter().chain([patch.into_os_string()]);
        let result = git.run(GitCall::new(args).repository(&repository).tree(&tree)).await;
        result.map_err(|error| match error.is_local() {
            true => SessionLoss::Unreachable(error.reason()),
            false => SessionLoss::DoesNotFit(error.reason()),
        })?;
    }
    if attempt.assignment.revises.is_some()
        && let Ok(text) = fs::read_to_string(folder.join(REPLIES_FILE))
        && let Err(error) = replies::restore_replies_file(&tree, &text)
    {
        tracing::warn!(error = %error, "cannot restore the agent's replies to reviewers: {error}");
    }
    let Some(id) = metadata.session.clone().filter(|_| loss.is_none()) else {
        // A new agent that changes files gives its own answer.
        if loss.is_none() && attempt.assignment.kind.spec().writes == AgentWrites::OutputFile {
            restore_output(attempt, folder, &tree);
        }
        return Ok(RestoredWork { session: None, has_work });
    };
    let (home, agent, from, session) =
        (workspace.home(), metadata.agent.clone(), folder.join(SESSION_FOLDER), id.clone());
    let worktree = tree.clone();
    let restore = tokio::task::spawn_blocking(move || {
        let invalid = || SessionLoss::Unreadable("its files are not a session's".into());
        let session = AgentSession::new(&agent, (&home, &worktree), &session).ok_or_else(invalid)?;
        restore_session(&session, &from, "").map_err(SessionLoss::from)
    });
    restore.await.map_err(|error| SessionLoss::Unreadable(error.to_string())).flatten()?;
    restore_output(attempt, folder, &tree);
    let session = RestoredSession {
        id,
        read_inputs: metadata.read,
        tokens: metadata.tokens,
        former_worktree: truncate(&metadata.tree, MAX_PATH_CHARS),
        same_task: metadata.task == sha256_hex(&attempt.assignment.prompt),
    };
    Ok(RestoredWork { session: Some(session), has_work })
}

fn restore_session(session: &AgentSession<'_>, from: &Path, subfolder: &str) -> io::Result<()> {
    for entry in fs::read_dir(from.join(subfolder))? {
        let entry = entry?;
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "its files are not a session's");
        let name = entry.file_name().to_str().map(|name| format!("{subfolder}{name}")).ok_or_else(invalid)?;
        if entry.file_type()?.is_dir() {
            restore_session(session, from, &format!("{name}/"))?;
            continue;
        }
        let to = session.path_for(&name).ok_or_else(invalid)?;
        create_private_dirs(to.parent().unwrap_or(&to))?;
        fs::rename(entry.path(), to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn disk_error_keeps_the_session_and_bad_content_loses_it() {
        let failure_of = |errno: Errno| SessionLoss::from(io::Error::from_raw_os_error(errno as i32)).to_failure();
        for errno in [Errno::ENOSPC, Errno::EDQUOT, Errno::EROFS, Errno::EIO, Errno::EMFILE] {
            assert_eq!(failure_of(errno).code(), "session_unreachable", "{errno}");
        }
        for errno in [Errno::EEXIST, Errno::ENOENT, Errno::ENOTDIR, Errno::EISDIR] {
            assert_eq!(failure_of(errno).code(), "session_lost", "{errno}");
        }
        let invalid = io::Error::new(io::ErrorKind::UnexpectedEof, "it ends too early");
        assert_eq!(SessionLoss::from(invalid).to_failure().code(), "session_lost");
    }
}
