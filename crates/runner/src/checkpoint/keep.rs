//! Makes a checkpoint when an attempt yields or breaks off, after its agent and all processes ended.

use super::archive::{self, LARGEST_UNPACKED};
use super::working::Known;
use super::{ABOUT, About, FORMAT, NAME, PATCH, REPLIES, SESSION, hash_of, transcript};
use crate::agent::session::SessionOf;
use crate::api::attempt::Attempt;
use crate::api::said::Said;
use crate::git::commit;
use crate::git::left_out;
use crate::git::patch::{self, Binaries, Lines};
use crate::git::workspace::Workspace;
use crate::git::workspace::disk::{private_dirs, private_file};
use crate::git::{Fault, Git};
use crate::inputs::orders::Order;
use crate::publish::leak;
use crate::publish::replies;
use crate::secrets::redact::Redactor;
use crate::stop::Stop;
use pullyard_domain::artifact::{ArtifactKind, MAX_SIZE_BYTES};
use pullyard_domain::failure::Failure;
use pullyard_domain::job::AgentReport;
use pullyard_protocol::event::EventKind;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// Time limit without time pressure.
pub(crate) const REST_LIMIT: Duration = Duration::from_secs(120);
/// Time limit after a failure. At the end of an attempt's time, the control plane waits a minute, uploads included.
pub(crate) const FAILED_LIMIT: Duration = Duration::from_secs(15);
/// Time limit after SIGTERM.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

enum Not {
    Nothing,
    /// An obstacle, as text that follows "because".
    Because(String),
}

impl From<io::Error> for Not {
    fn from(error: io::Error) -> Self {
        Self::Because(format!("it can't be written: {error}"))
    }
}

impl From<archive::Fault> for Not {
    fn from(fault: archive::Fault) -> Self {
        match fault {
            archive::Fault::TooLarge => too_large(),
            other => Self::Because(other.to_string()),
        }
    }
}

fn too_large() -> Not {
    let [packed, unpacked] = [MAX_SIZE_BYTES, LARGEST_UNPACKED].map(|bytes| bytes >> 20);
    Not::Because(format!("it is larger than {packed} MiB packed or {unpacked} MiB unpacked"))
}

/// Makes a checkpoint and hands it in, unless an urgent order arrives or the same work was handed in before. A
/// checkpoint whose upload failed is handed in again. If none can be made, an event reports why.
///
/// Writes: the attempt's own folders.
pub(crate) async fn keep(this: &Attempt<'_>, workspace: &Workspace, limit: Duration) {
    tokio::select! {
        biased;
        _ = this.orders.at_least(Order::Cancel) => {}
        () = keep_within(this, workspace, limit) => {}
    }
}

pub(crate) async fn keep_at_shutdown(this: &Attempt<'_>, workspace: &Workspace) {
    keep_within(this, workspace, SHUTDOWN_LIMIT).await;
}

async fn keep_within(this: &Attempt<'_>, workspace: &Workspace, limit: Duration) {
    if let Some(name) = this.working.kept() {
        // A second checkpoint of the same work could only replace an uploaded one.
        if this.artifacts.has_lost_checkpoint() {
            this.artifacts.hand_in_again(&name);
        }
        return;
    }
    let made = timeout(limit, make(this, workspace)).await;
    let because = match made {
        Ok(Ok(name)) => {
            if this.artifacts.hand_in(ArtifactKind::Checkpoint, &name) {
                this.working.keeps(name);
                return;
            }
            "there is no place for it".to_owned()
        }
        Ok(Err(Not::Nothing)) => return,
        Ok(Err(Not::Because(reason))) => reason,
        Err(_) => "there was no time for it".into(),
    };
    tracing::warn!("no checkpoint stored: {because}");
    let words = format!("What the agent did so far is not kept, because {because}.");
    this.events.add(Said::words(EventKind::Log, words));
}

async fn make(this: &Attempt<'_>, workspace: &Workspace) -> Result<String, Not> {
    this.learn_changed(workspace);
    let Some(work) = this.told().0 else { return Err(Not::Nothing) };
    let Some(known) = this.working.next() else { return Err(Not::Nothing) };
    let number = if known.made > 1 { format!("-{}", known.made) } else { String::new() };
    let name = format!("{NAME}{number}.tar.zst");
    let Some(file) = this.artifacts.file(&name) else { return Err(Not::Nothing) };
    let folder = workspace.root().join(format!("{NAME}{number}"));
    private_dirs(&folder)?;
    keep_work(this, workspace, &known, &folder).await?;
    let about = about(this, workspace, &known, &work);
    let session = about.session.clone();
    let (home, tree) = (workspace.home(), workspace.tree());
    let redactor = this.redactor.clone();
    let is_revision = this.assignment.revises.is_some();
    let pack = move || {
        let (mut about, mut without) = (about, None);
        if let Some(id) = session {
            let to = folder.join(SESSION);
            about.session = match copy_session(&work.agent, (&home, &tree), &id, &to, &redactor)? {
                Copied::Whole => Some(id),
                Copied::Nothing => None,
                // Store the work without the session.
                Copied::Sealed(fault) => {
                    fs::remove_dir_all(&to)?;
                    without = Some(fault);
                    None
                }
            };
        }
        if is_revision && let Ok(text) = replies::text_of_agent(&tree) {
            private_file(&folder.join(REPLIES), redactor.text(&text).as_bytes())?;
        }
        private_file(&folder.join(ABOUT), &serde_json::to_vec(&about).map_err(io::Error::from)?)?;
        let packed = archive::pack(&folder, &file, MAX_SIZE_BYTES);
        let _ = fs::remove_dir_all(&folder);
        packed?;
        Ok::<_, Not>(without)
    };
    if let Some(fault) = tokio::task::spawn_blocking(pack).await.map_err(io::Error::from)?? {
        tracing::warn!("session not stored: {fault}");
        let words = format!("The agent's session is not kept, because {fault}; its work is.");
        this.events.add(Said::words(EventKind::Log, words));
    }
    Ok(name)
}

fn about(this: &Attempt<'_>, workspace: &Workspace, known: &Known, work: &AgentReport) -> About {
    let before = known.before.as_ref();
    About {
        format: FORMAT,
        job: Some(this.assignment.job.clone()),
        agent: work.agent.clone(),
        session: work.session.clone().or_else(|| before.map(|(session, ..)| session.clone())),
        read: known.read(work.session.as_deref()),
        tokens: known.used(work, this.tally.tokens_of_session()),
        tree: workspace.tree().to_string_lossy().into_owned(),
        start: known.target.start.clone(),
        branch: known.target.branch.clone(),
        task: hash_of(&this.assignment.prompt),
    }
}

/// Stores the work as a patch against its start, if there is any.
async fn keep_work(this: &Attempt<'_>, workspace: &Workspace, known: &Known, folder: &Path) -> Result<(), Not> {
    // No command here talks to the forge.
    let git = Git::new(&this.assignment.repository.clone_url, "").without_secrets(&this.redactor);
    let (repository, start) = (workspace.repository(), known.target.start.as_str());
    let because = |what: &str| Not::Because(what.to_owned());
    let made = match &known.tree {
        // Checks have run since, and may have changed the repository's settings.
        Some(tree) => match workspace.seal(Some(&known.mirror)).await {
            Ok(()) => Ok(tree.clone()),
            Err(fault) => Err(Stop::Failed(fault.of_workspace())),
        },
        None => {
            let made = commit::tree(&git, workspace, &known.mirror, &known.target, this.assignment).await;
            // The checkpoint omits these folders as well.
            left_out::tell(this, workspace);
            made
        }
    };
    let tree = match made {
        Ok(tree) => tree,
        Err(Stop::Failed(Failure::NoChanges {})) => return Ok(()),
        Err(stop) => {
            tracing::warn!("cannot read the work folder: {stop:?}");
            return Err(because("the work folder can't be read"));
        }
    };
    if let Err(stop) = leak::look(&git, &repository, (start, &tree), &this.redactor).await {
        return Err(match stop {
            Stop::Failed(Failure::SecretInChange { path }) => {
                because(&format!("a secret of the job stands in `{path}`"))
            }
            _ => because("the work folder can't be read"),
        });
    }
    let (file, range) = (folder.join(PATCH), (start, tree.as_str()));
    let failed = |fault: Fault| Not::Because(format!("the work could not be read: {}", fault.reason()));
    if patch::changes_a_secret(&git, &repository, range, this.redactor.search()).await.map_err(failed)? {
        return Err(because("a secret of the job stands in what it changed"));
    }
    patch::write(&git, &repository, range, Binaries::Whole, &file).await.map_err(failed)?;
    if fs::metadata(&file)?.len() > LARGEST_UNPACKED {
        return Err(too_large());
    }
    // The patch must apply, so no secret can be removed, not even from lines around a change.
    let search = this.redactor.search();
    let has_one = tokio::task::spawn_blocking(move || patch::has_secret(&file, Lines::All, search));
    if has_one.await.map_err(io::Error::from)?? {
        return Err(because("a secret of the job stands in what it changed"));
    }
    Ok(())
}

enum Copied {
    Whole,
    Nothing,
    /// A secret is in content that cannot be changed.
    Sealed(transcript::Fault),
}

fn copy_session(agent: &str, at: (&Path, &Path), id: &str, folder: &Path, redactor: &Redactor) -> Result<Copied, Not> {
    let Some(session) = SessionOf::new(agent, at, id) else { return Ok(Copied::Nothing) };
    let unreadable = |error: io::Error| Not::Because(format!("the session can't be read: {error}"));
    let mut files = session.files().map_err(unreadable)?;
    // Skip names with a secret: the archive has names unchanged, and the agent would not find a renamed file.
    files.retain(|file| redactor.text(&file.name) == file.name.as_str());
    let mut left = LARGEST_UNPACKED;
    for file in &files {
        let to: PathBuf = folder.join(&file.name);
        if let Some(parent) = to.parent() {
            private_dirs(parent)?;
        }
        let size = match transcript::copy(&file.path, &to, redactor) {
            Ok(size) => size,
            Err(fault @ transcript::Fault::Sealed) => return Ok(Copied::Sealed(fault)),
            Err(transcript::Fault::TooLarge) => return Err(too_large()),
            Err(fault) => return Err(Not::Because(format!("the session can't be kept: {fault}"))),
        };
        left = left.checked_sub(size).ok_or_else(too_large)?;
    }
    Ok(if files.is_empty() { Copied::Nothing } else { Copied::Whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "7d0c0e0e-0f3c-4d55-9d2f-3f8a3d6c1a01";

    #[test]
    fn session_file_named_by_a_secret_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (home, to) = (dir.path().join("home"), dir.path().join("to"));
        let folder = home.join("claude/projects/-work-tree");
        for name in [format!("{ID}.jsonl"), format!("{ID}/planted-4711/a.jsonl"), format!("{ID}/subagents/a.jsonl")] {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "{}\n").unwrap();
        }
        let at = (home.as_path(), Path::new("/work/tree"));
        let redactor = Redactor::new(["planted-4711".to_owned()]);
        let copied = copy_session("claude_code", at, ID, &to, &redactor);
        assert!(matches!(copied, Ok(Copied::Whole)));
        let is_there = |name: &str| to.join(name).exists();
        assert!(is_there(&format!("{ID}.jsonl")) && is_there(&format!("{ID}/subagents/a.jsonl")));
        assert!(!is_there(&format!("{ID}/planted-4711")));
    }
}
