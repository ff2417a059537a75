//! Creates a checkpoint when an attempt yields or breaks off, after its agent and all processes ended.

use super::archive::{self, MAX_UNPACKED_BYTES};
use super::content::{
    ARTIFACT_NAME, CheckpointMetadata, FINISHED_FILE, FORMAT, FinishedWork, METADATA_FILE, OUTPUT_COPY, PATCH_FILE,
    REPLIES_FILE, SESSION_FOLDER,
};
use super::state::{CarriedCheckpoint, CheckpointFacts};
use super::{transcript, writes_output};
use crate::agent::session::AgentSession;
use crate::artifacts::checkpoint_lost_message;
use crate::attempt::Attempt;
use crate::git::commit;
use crate::git::exclusion_report;
use crate::git::patch::{self, Binaries, Lines};
use crate::git::workspace::Workspace;
use crate::git::workspace::disk::{create_private_dirs, write_private_file};
use crate::git::{Git, GitError};
use crate::hash::sha256_hex;
use crate::inputs::orders::Order;
use crate::output;
use crate::publish::replies;
use crate::publish::secret_scan;
use crate::secrets::redact::Redactor;
use crate::stop::Stop;
use pullyard_domain::job::artifact::{ArtifactKind, MAX_SIZE_BYTES};
use pullyard_domain::job::{AgentReport, AgentWrites, JobKind};
use pullyard_domain::text::failure::Failure;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

pub(crate) const YIELD_TIMEOUT: Duration = Duration::from_secs(120);
/// Time limit after a failure. At the end of an attempt's time, the control plane waits a minute, uploads included.
pub(crate) const FAILURE_TIMEOUT: Duration = Duration::from_secs(15);
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

enum NoCheckpoint {
    NoWork,
    Reason(String),
}

impl From<io::Error> for NoCheckpoint {
    fn from(error: io::Error) -> Self {
        Self::Reason(match error.kind() {
            // `archive` has the whole reason.
            io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidData => error.to_string(),
            _ => format!("it can't be written: {error}"),
        })
    }
}

/// Creates and queues a checkpoint, unless the last one has the same work. A cancel or a more urgent order interrupts
/// it. Logs a failure.
/// Writes: the attempt's own folders.
pub(crate) async fn create_checkpoint(attempt: &Attempt<'_>, workspace: &Workspace, limit: Duration) {
    tokio::select! {
        biased;
        _ = attempt.orders.wait_at_least(Order::Cancel) => {}
        () = create_within(attempt, workspace, limit) => {}
    }
}

pub(crate) async fn create_checkpoint_at_shutdown(attempt: &Attempt<'_>, workspace: &Workspace) {
    create_within(attempt, workspace, SHUTDOWN_TIMEOUT).await;
}

async fn create_within(attempt: &Attempt<'_>, workspace: &Workspace, limit: Duration) {
    // A checkpoint has no findings, so each attempt starts with a new review.
    if attempt.assignment.kind == JobKind::Resolve {
        return;
    }
    // A second checkpoint of the same work could only replace an uploaded one.
    if attempt.checkpoint_state.has_checkpoint() {
        attempt.artifacts.repeat_lost_checkpoint();
        return;
    }
    let result = timeout(limit, write_archive(attempt, workspace)).await;
    let reason: String = match result {
        Ok(Ok(name)) => {
            if attempt.artifacts.queue_upload(ArtifactKind::Checkpoint, &name) {
                attempt.checkpoint_state.note_checkpoint();
                return;
            }
            "there is no place for it".into()
        }
        Ok(Err(NoCheckpoint::NoWork)) => return,
        Ok(Err(NoCheckpoint::Reason(reason))) => reason,
        Err(_) => "there was no time for it".into(),
    };
    tracing::warn!("no checkpoint stored: {reason}");
    attempt.events.log(checkpoint_lost_message(&reason));
}

async fn write_archive(attempt: &Attempt<'_>, workspace: &Workspace) -> Result<String, NoCheckpoint> {
    attempt.learn_current_tokens(workspace);
    let Some(facts) = attempt.checkpoint_state.next_checkpoint() else { return Err(NoCheckpoint::NoWork) };
    let number = if facts.checkpoint_count > 1 { format!("-{}", facts.checkpoint_count) } else { String::new() };
    let name = format!("{ARTIFACT_NAME}{number}.tar.zst");
    let Some(file) = attempt.artifacts.path_for(&name) else { return Err(NoCheckpoint::NoWork) };
    if let Some(CarriedCheckpoint { folder, metadata }) = facts.carried {
        let pack = move || {
            write_private_file(&folder.join(METADATA_FILE), &serde_json::to_vec(&metadata)?)?;
            archive::pack(&folder, &file, MAX_SIZE_BYTES)
        };
        tokio::task::spawn_blocking(pack).await.map_err(io::Error::from)??;
        return Ok(name);
    }
    let Some(work) = attempt.work_report().0 else { return Err(NoCheckpoint::NoWork) };
    let folder = workspace.root().join(format!("{ARTIFACT_NAME}{number}"));
    create_private_dirs(&folder)?;
    let writes = attempt.assignment.kind.spec().writes;
    // Of a job that reports, only the output file counts.
    if writes == AgentWrites::Tree {
        write_patch(attempt, workspace, &facts, &folder).await?;
    }
    let metadata = create_metadata(attempt, workspace, &facts, &work);
    if let Some(finished) = &facts.finished {
        let summary = attempt.artifacts.last_message().await;
        let summary = summary.map(|text| attempt.redactor.redact_text(&text).into_owned());
        let finished = FinishedWork { summary, ..finished.clone() };
        let content = serde_json::to_vec(&finished).map_err(io::Error::from)?;
        write_private_file(&folder.join(FINISHED_FILE), &content)?;
    }
    let session = metadata.session.clone();
    let (home, tree) = (workspace.home(), workspace.tree());
    let redactor = attempt.redactor.clone();
    let (is_revision, has_output) = (attempt.assignment.revises.is_some(), writes_output(attempt));
    let pack = move || {
        let (mut metadata, mut is_sealed) = (metadata, false);
        if let Some(id) = session {
            let to = folder.join(SESSION_FOLDER);
            metadata.session = match copy_session(&work.agent, (&home, &tree), &id, &to, &redactor)? {
                SessionCopy::Complete => Some(id),
                SessionCopy::None => None,
                SessionCopy::SecretInSealed => {
                    fs::remove_dir_all(&to)?;
                    is_sealed = true;
                    None
                }
            };
        }
        if is_revision && let Ok(text) = replies::read_replies_file(&tree) {
            write_private_file(&folder.join(REPLIES_FILE), redactor.redact_text(&text).as_bytes())?;
        }
        if has_output && let Ok(text) = output::read_file(&tree) {
            write_private_file(&folder.join(OUTPUT_COPY), redactor.redact_text(&text).as_bytes())?;
        }
        write_private_file(&folder.join(METADATA_FILE), &serde_json::to_vec(&metadata).map_err(io::Error::from)?)?;
        let pack_result = archive::pack(&folder, &file, MAX_SIZE_BYTES);
        let _ = fs::remove_dir_all(&folder);
        pack_result?;
        Ok::<_, NoCheckpoint>(is_sealed)
    };
    if tokio::task::spawn_blocking(pack).await.map_err(io::Error::from)?? {
        let reason = "the model's signed reasoning contains a secret and can't be redacted";
        tracing::warn!("session not stored: {reason}");
        attempt.events.log(format!("The agent's session is not kept, because {reason}; its work is."));
    }
    Ok(name)
}

fn create_metadata(
    attempt: &Attempt<'_>,
    workspace: &Workspace,
    facts: &CheckpointFacts,
    work: &AgentReport,
) -> CheckpointMetadata {
    CheckpointMetadata {
        format: FORMAT,
        job: Some(attempt.assignment.job.clone()),
        agent: work.agent.clone(),
        session: work.session.clone().or_else(|| facts.resumed_session.as_ref().map(|before| before.id.clone())),
        read: facts.session_inputs(work.session.as_deref()),
        tokens: facts.session_tokens(work, attempt.usage.session_tokens()),
        tree: workspace.tree().to_string_lossy().into_owned(),
        start: facts.target.start_commit.clone(),
        branch: facts.target.branch.clone(),
        task: sha256_hex(&attempt.assignment.prompt),
    }
}

async fn write_patch(
    attempt: &Attempt<'_>,
    workspace: &Workspace,
    facts: &CheckpointFacts,
    folder: &Path,
) -> Result<(), NoCheckpoint> {
    let git = Git::local(&attempt.assignment.repository.clone_url).with_redactor(&attempt.redactor);
    let (repository, start) = (workspace.repository(), facts.target.start_commit.as_str());
    let no_checkpoint = |reason: &str| NoCheckpoint::Reason(reason.to_owned());
    let result = match &facts.tree {
        // Nothing has run since the commit, and a push may be reading the repository's settings.
        Some(tree) if facts.finished.is_some() => Ok(tree.clone()),
        // Checks have run since, and may have changed the repository's settings.
        Some(tree) => workspace.reset_repository().await.map(|()| tree.clone()).map_err(Stop::from),
        None => {
            let result = commit::write_tree(&git, workspace, &facts.target, attempt.assignment).await;
            exclusion_report::report_exclusions(attempt, workspace);
            result
        }
    };
    let tree = match result {
        Ok(tree) => tree,
        Err(Stop::Failure(Failure::NoChanges { .. })) => return Ok(()),
        Err(stop) => {
            tracing::warn!("cannot read the work folder: {stop:?}");
            return Err(no_checkpoint("the work folder can't be read"));
        }
    };
    let (file, range) = (folder.join(PATCH_FILE), (start, tree.as_str()));
    // The patch must apply, so no secret can be removed, not even from lines around a change.
    if let Err(stop) = secret_scan::scan_change(&git, &repository, range, Lines::All, &attempt.redactor).await {
        return Err(match stop {
            Stop::Failure(Failure::SecretInChange { path }) => {
                no_checkpoint(&format!("the change of `{path}` contains a secret of the job"))
            }
            _ => no_checkpoint("the work folder can't be read"),
        });
    }
    let to_no_checkpoint =
        |error: GitError| NoCheckpoint::Reason(format!("the work could not be read: {}", error.reason()));
    patch::write(&git, &repository, range, Binaries::Full, &file).await.map_err(to_no_checkpoint)?;
    if fs::metadata(&file)?.len() > MAX_UNPACKED_BYTES {
        return Err(archive::too_large().into());
    }
    Ok(())
}

enum SessionCopy {
    Complete,
    None,
    /// A secret is in content that cannot be changed.
    SecretInSealed,
}

fn copy_session(
    agent: &str,
    at: (&Path, &Path),
    id: &str,
    folder: &Path,
    redactor: &Redactor,
) -> Result<SessionCopy, NoCheckpoint> {
    let Some(session) = AgentSession::new(agent, at, id) else { return Ok(SessionCopy::None) };
    let unusable = |error: io::Error| NoCheckpoint::Reason(format!("the session can't be kept: {error}"));
    let mut files = session.list_files().map_err(unusable)?;
    // Skip names with a secret: the archive has names unchanged, and the agent would not find a renamed file.
    files.retain(|file| redactor.redact_text(&file.name) == file.name.as_str());
    let mut remaining = MAX_UNPACKED_BYTES;
    for file in &files {
        let to: PathBuf = folder.join(&file.name);
        if let Some(parent) = to.parent() {
            create_private_dirs(parent)?;
        }
        let Some(size) = transcript::redact_copy(&file.path, &to, redactor).map_err(unusable)? else {
            return Ok(SessionCopy::SecretInSealed);
        };
        remaining = remaining.checked_sub(size).ok_or_else(archive::too_large)?;
    }
    Ok(if files.is_empty() { SessionCopy::None } else { SessionCopy::Complete })
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
        let copy = copy_session("claude_code", at, ID, &to, &redactor);
        assert!(matches!(copy, Ok(SessionCopy::Complete)));
        let exists = |name: &str| to.join(name).exists();
        assert!(exists(&format!("{ID}.jsonl")) && exists(&format!("{ID}/subagents/a.jsonl")));
        assert!(!exists(&format!("{ID}/planted-4711")));
    }
}
