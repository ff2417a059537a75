//! Restores a checkpoint: the work in a fresh worktree on the same commit, and the session for the agent.
//!
//! If a part is missing, the log reports it and the agent begins again. A job that requires the session fails instead.

use super::archive;
use super::fetch::fetch;
use super::lost::{Lost, of_file};
use super::{ABOUT, About, FORMAT, LARGEST_ABOUT, PATCH, REPLIES, SESSION, hash_of};
use crate::agent::Chosen;
use crate::agent::session::SessionOf;
use crate::agent::sign::Tokens;
use crate::api::attempt::Attempt;
use crate::api::said::Said;
use crate::git::target::{Target, commit_of_job};
use crate::git::workspace::Workspace;
use crate::git::workspace::disk::private_dirs;
use crate::git::workspace::mirror::Mirror;
use crate::git::{self, Call, Fault, Git};
use crate::publish::replies;
use crate::stop::Stop;
use pullyard_domain::agent::AUTO;
use pullyard_domain::text::truncate;
use pullyard_protocol::event::EventKind;
use serde_json::error::Category;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder for unpacking, below the attempt's.
const FOLDER: &str = "earlier";
/// Longest path in a message. Units: characters.
const LONGEST_PATH: usize = 500;
/// Longest agent name in a message. Units: characters.
const LONGEST_NAME: usize = 48;

/// The checkpoint of an earlier attempt, before agent and commit are known.
pub(crate) struct Earlier(Got);

enum Got {
    /// None was expected.
    Nothing,
    /// One was expected and is missing.
    Lost(Lost),
    There {
        about: Box<About>,
        folder: PathBuf,
        attempt: u32,
    },
}

pub(crate) struct Found {
    state: State,
    /// The job requires its session.
    bound: bool,
}

enum State {
    Nothing,
    Lost(Lost),
    There(Box<There>),
}

struct There {
    about: About,
    folder: PathBuf,
    attempt: u32,
    /// Its session cannot be resumed, but its work can be used.
    lost: Option<Lost>,
}

#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) session: Option<TakenSession>,
    pub(crate) has_work: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct TakenSession {
    pub(crate) id: String,
    /// How many of the job's inputs it has read.
    pub(crate) read: u32,
    pub(crate) tokens: Tokens,
    /// The worktree that the session mentions.
    pub(crate) tree: String,
    /// Whether its task is the current one.
    pub(crate) same_task: bool,
}

impl Earlier {
    pub(crate) fn none() -> Self {
        Self(Got::Nothing)
    }

    /// Fetches the checkpoint and reads its description. `away` is how long an unreachable bucket is retried.
    ///
    /// Writes: the attempt's folder.
    pub(crate) async fn get(this: &Attempt<'_>, workspace: &Workspace, away: Duration) -> Result<Self, Stop> {
        let expected = is_expected(this);
        if !(this.assignment.checkpoint || expected) {
            return Ok(Self(Got::Nothing));
        }
        let (packed, folder) = (workspace.root().join("earlier.tar.zst"), workspace.root().join(FOLDER));
        let attempt = match fetch(this, &packed, away).await? {
            Ok(Some(attempt)) => attempt,
            Ok(None) if !expected => return Ok(Self(Got::Nothing)),
            Ok(None) => return Ok(Self(Got::Lost(Lost::NotKept("nothing of it was kept".into())))),
            Err(lost) => return Ok(Self(Got::Lost(lost))),
        };
        let into = folder.clone();
        let read = tokio::task::spawn_blocking(move || read(&packed, &into)).await;
        Ok(Self(match read.map_err(|error| Lost::Unreadable(error.to_string())).flatten() {
            Ok(about) => Got::There { about: Box::new(about), folder, attempt },
            Err(lost) => Got::Lost(lost),
        }))
    }

    /// The agent that wrote the checkpoint.
    pub(crate) fn agent(&self) -> Option<&str> {
        match &self.0 {
            Got::There { about, .. } => Some(&about.agent),
            Got::Nothing | Got::Lost(_) => None,
        }
    }
}

/// Whether an earlier attempt yielded, so that a checkpoint must exist.
fn is_expected(this: &Attempt<'_>) -> bool {
    this.assignment.resume.as_ref().is_some_and(|resume| resume.agent.is_some())
}

/// Whether the job may require the session while the checkpoint is unknown.
pub(crate) fn may_bind(this: &Attempt<'_>) -> bool {
    let (assignment, expected) = (this.assignment, is_expected(this));
    let may_have_session = assignment.checkpoint && assignment.agent.capability != "command";
    assignment.fails_without_session() && (expected || may_have_session)
}

impl Found {
    /// Examines the checkpoint before the setup, and sets the target to the commit of its work.
    ///
    /// Errors: `SessionLost` and `SessionUnreachable` if a required session is known to be unavailable.
    pub(crate) async fn look(
        this: &Attempt<'_>,
        (git, mirror): (&Git, &Mirror),
        earlier: Earlier,
        chosen: &Chosen,
        target: &mut Target,
    ) -> Result<Self, Stop> {
        let (assignment, expected) = (this.assignment, is_expected(this));
        let binds = |session: bool| assignment.fails_without_session() && (expected || session);
        let found = |state, session| Self { state, bound: binds(session) }.unless_it_ends(this);
        // Work that an earlier attempt pushed is done.
        if target.adopted.is_some() {
            return found(State::Nothing, false);
        }
        // An unreadable checkpoint may contain a session.
        let may_have_session = matches!(chosen, Chosen::Known(_));
        let (about, folder, attempt) = match earlier.0 {
            Got::Nothing => return found(State::Nothing, false),
            Got::Lost(lost) => return found(State::Lost(lost), may_have_session),
            Got::There { about, folder, attempt } => (*about, folder, attempt),
        };
        let (mut lost, mut session) = (None, about.session.is_some());
        if about.agent != chosen.capability() {
            // A job that names its agent does not require another agent's session.
            session &= assignment.agent.capability == AUTO;
            lost = Some(Lost::OtherAgent(truncate(&about.agent, LONGEST_NAME)));
        } else if about.session.is_none() && !matches!(chosen, Chosen::Command) {
            lost = Some(Lost::NotKept("no session was kept".into()));
        }
        if folder.join(PATCH).exists() && was_pushed(git, mirror, &about, target).await? {
            // The agent already begins with the pushed work.
            return found(State::Lost(Lost::DoesNotFit("it was pushed".into())), false);
        }
        if folder.join(PATCH).exists() && !rebase(git, mirror, &about, target).await? {
            let gone = "the commit that it started from is gone from the branch";
            return found(State::Lost(Lost::DoesNotFit(gone.into())), session);
        }
        found(State::There(Box::new(There { about, folder, attempt, lost })), session)
    }

    /// Fails if the job requires its session and the session is lost.
    fn unless_it_ends(self, this: &Attempt<'_>) -> Result<Self, Stop> {
        let (lost, there) = match &self.state {
            State::Nothing => (None, None),
            State::Lost(lost) => (Some(lost), None),
            State::There(there) => (there.lost.as_ref(), Some(there.as_ref())),
        };
        match lost.filter(|_| self.bound) {
            Some(lost) => Err(lost.ends(this, &whose(this, there))),
            None => Ok(self),
        }
    }

    /// Restores work and session, and logs the result. The worktree must be set up.
    ///
    /// Errors: `SessionLost` and `SessionUnreachable` if the job requires a session that does not fit.
    pub(crate) async fn restore(&self, this: &Attempt<'_>, git: &Git, workspace: &Workspace) -> Result<Taken, Stop> {
        let (taken, lost, there) = match &self.state {
            State::Nothing => return Ok(Taken::default()),
            State::Lost(lost) => (Taken::default(), Some(lost.clone()), None),
            State::There(there) => match put_back(this, git, workspace, there).await {
                Ok(taken) => (taken, there.lost.clone(), Some(there.as_ref())),
                Err(lost) => (Taken::default(), Some(lost), Some(there.as_ref())),
            },
        };
        let whose = whose(this, there);
        let said = |words| this.events.add(Said::words(EventKind::Log, words));
        match lost {
            None => {
                let attempt = there.map_or(0, |there| there.attempt);
                let with = match (&taken.session, taken.has_work) {
                    (Some(_), _) => "in the session of",
                    (None, true) => "from the work of",
                    (None, false) => "after",
                };
                said(format!("Continuing {with} attempt {attempt}."));
            }
            Some(lost) => {
                if self.bound {
                    return Err(lost.ends(this, &whose));
                }
                let lost = lost.words();
                let work = if taken.has_work { ", with the work that it had done" } else { "" };
                said(format!(
                    "The earlier session{whose} can't be gone on with, because {lost}; the agent begins again{work}."
                ));
            }
        }
        Ok(taken)
    }
}

fn whose(this: &Attempt<'_>, there: Option<&There>) -> String {
    let asked = this.assignment.resume.as_ref().and_then(|resume| resume.agent.as_ref());
    let agent = there.map(|there| &there.about.agent).or(asked);
    agent.map_or_else(String::new, |agent| format!(" of `{}`", truncate(agent, LONGEST_NAME)))
}

fn read(packed: &Path, folder: &Path) -> Result<About, Lost> {
    let unreadable = |error: io::Error| of_file(&error);
    private_dirs(folder).map_err(unreadable)?;
    archive::unpack(packed, folder).map_err(|fault| match fault {
        archive::Fault::Io(error) => of_file(&error),
        fault => Lost::Unreadable(fault.to_string()),
    })?;
    let _ = fs::remove_file(packed);
    let mut text = String::new();
    let file = File::open(folder.join(ABOUT)).map_err(unreadable)?;
    file.take(LARGEST_ABOUT).read_to_string(&mut text).map_err(unreadable)?;
    let about: serde_json::Value = serde_json::from_str(&text).map_err(not_understood)?;
    if about.get("format").and_then(serde_json::Value::as_u64) != Some(u64::from(FORMAT)) {
        return Err(Lost::Unreadable("a newer runner kept it".into()));
    }
    // Parse the text itself, so that an error has a position.
    serde_json::from_str(&text).map_err(not_understood)
}

/// Describes a parse error by its position. The error's own message would quote content from an agent's machine.
fn not_understood(error: serde_json::Error) -> Lost {
    let wrong = match error.classify() {
        Category::Io => "it breaks",
        Category::Syntax => "it is no JSON",
        Category::Data => "a value is not what it should be",
        Category::Eof => "it ends too early",
    };
    Lost::Unreadable(format!("`{ABOUT}`: {wrong}, at line {}, column {}", error.line(), error.column()))
}

/// Whether the branch already has the work, because an attempt died between push and finish. It would not apply twice.
/// Pushes of this job are adopted earlier.
async fn was_pushed(git: &Git, mirror: &Mirror, about: &About, target: &Target) -> Result<bool, Stop> {
    let (Some(job), Some(_)) = (&about.job, &target.pull_request) else { return Ok(false) };
    let failed = |fault: Fault| Stop::Failed(fault.of_workspace());
    if !is_there(git, mirror, &about.start).await? {
        return Ok(false);
    }
    let found = commit_of_job(git, mirror.dir(), &target.start, &about.start, job).await;
    Ok(found.map_err(failed)?.is_some())
}

/// Whether the text names a commit of the repository.
async fn is_there(git: &Git, mirror: &Mirror, commit: &str) -> Result<bool, Stop> {
    let is_id = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id {
        return Ok(false);
    }
    let found = git::commit_of(git, mirror.dir(), commit).await;
    Ok(found.map_err(|fault| Stop::Failed(fault.of_workspace()))?.as_deref() == Some(commit))
}

/// Sets the target to the work's commit; `false` if it is unreachable. The push rebases if the branch moved since.
async fn rebase(git: &Git, mirror: &Mirror, about: &About, target: &mut Target) -> Result<bool, Stop> {
    let start = about.start.as_str();
    if *start == target.start {
        return Ok(true);
    }
    let failed = |fault: Fault| Stop::Failed(fault.of_workspace());
    if !is_there(git, mirror, start).await? {
        return Ok(false);
    }
    if target.pull_request.is_some() {
        if about.branch != target.branch {
            return Ok(false);
        }
        target.expected = Some(start.to_owned());
    } else {
        // A commit that was removed from the base branch must not return through our branch.
        let call = Call::new(["merge-base", "--is-ancestor", start, &target.base]).repository(mirror.dir());
        match git.run(call).await {
            Ok(_) => {}
            Err(Fault::Failed { .. }) => return Ok(false),
            Err(fault) => return Err(failed(fault)),
        }
    }
    target.start = start.to_owned();
    Ok(true)
}

async fn put_back(this: &Attempt<'_>, git: &Git, workspace: &Workspace, there: &There) -> Result<Taken, Lost> {
    let There { about, folder, lost, .. } = there;
    let (tree, repository, patch) = (workspace.tree(), workspace.repository(), folder.join(PATCH));
    let has_work = patch.exists();
    if has_work {
        // `git apply` changes all files or none, only in the worktree, and runs no program.
        let args = ["apply", "--binary", "--whitespace=nowarn", "--"].map(Into::into);
        let args = args.into_iter().chain([patch.into_os_string()]);
        let applied = git.run(Call::new(args).repository(&repository).tree(&tree)).await;
        applied.map_err(|fault| match fault.is_of_machine() {
            true => Lost::Unreachable(fault.reason()),
            false => Lost::DoesNotFit(fault.reason()),
        })?;
    }
    if this.assignment.revises.is_some()
        && let Ok(text) = fs::read_to_string(folder.join(REPLIES))
        && let Err(error) = replies::put_back(&tree, &text)
    {
        tracing::warn!(error = %error, "cannot restore the agent's replies to reviewers: {error}");
    }
    let Some(id) = about.session.clone().filter(|_| lost.is_none()) else {
        return Ok(Taken { session: None, has_work });
    };
    let (home, agent, from, session) = (workspace.home(), about.agent.clone(), folder.join(SESSION), id.clone());
    let now = tree.clone();
    let copied = tokio::task::spawn_blocking(move || {
        let odd = || Lost::Unreadable("its files are not a session's".into());
        let session = SessionOf::new(&agent, (&home, &now), &session).ok_or_else(odd)?;
        put_session_back(&session, &from, "").map_err(|error| of_file(&error))
    });
    copied.await.map_err(|error| Lost::Unreadable(error.to_string())).flatten()?;
    let session = TakenSession {
        id,
        read: about.read,
        tokens: about.tokens,
        tree: truncate(&about.tree, LONGEST_PATH),
        same_task: about.task == hash_of(&this.assignment.prompt),
    };
    Ok(Taken { session: Some(session), has_work })
}

/// Moves the session's files into the agent's home, which is still empty.
fn put_session_back(session: &SessionOf<'_>, from: &Path, below: &str) -> io::Result<()> {
    for entry in fs::read_dir(from.join(below))? {
        let entry = entry?;
        let odd = || io::Error::new(io::ErrorKind::InvalidData, "its files are not a session's");
        let name = entry.file_name().to_str().map(|name| format!("{below}{name}")).ok_or_else(odd)?;
        if entry.file_type()?.is_dir() {
            put_session_back(session, from, &format!("{name}/"))?;
            continue;
        }
        let to = session.place(&name).ok_or_else(odd)?;
        private_dirs(to.parent().unwrap_or(&to))?;
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
        let of_system = |errno: Errno| of_file(&io::Error::from_raw_os_error(errno as i32)).failure();
        for errno in [Errno::ENOSPC, Errno::EDQUOT, Errno::EROFS, Errno::EIO, Errno::EMFILE] {
            assert_eq!(of_system(errno).code(), "session_unreachable", "{errno}");
        }
        for errno in [Errno::EEXIST, Errno::ENOENT, Errno::ENOTDIR, Errno::EISDIR] {
            assert_eq!(of_system(errno).code(), "session_lost", "{errno}");
        }
        let odd = io::Error::new(io::ErrorKind::UnexpectedEof, "it ends too early");
        assert_eq!(of_file(&odd).failure().code(), "session_lost");
    }
}
