//! Stores artifacts of an attempt: writes each to a file, and uploads the files in the background, one at a time.
//! A lost artifact fails no job, and the log reports it. `output_recorder` writes the agent's output.

pub(crate) mod bucket;
pub(crate) mod output_recorder;
mod upload;
pub(crate) mod uploader;

use crate::git::workspace::disk::create_private_dirs;
use crate::hash::to_hex;
use pullyard_domain::job::artifact::{ArtifactKind, MAX_COUNT, MAX_SIZE_BYTES};
use pullyard_domain::text::id::{ArtifactName, Sha256Hex};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::timeout;

/// The complete events of an agent, one per line.
pub(crate) const AGENT_OUTPUT_FILE: &str = "agent-output.jsonl";
/// Places reserved for late artifacts: the patch, the record, the last message and a checkpoint.
const RESERVED_PLACES: usize = 8;
/// Limit for the outputs of all checks together, so that the other artifacts fit. Units: bytes.
const MAX_NUMEROUS_BYTES: u64 = 64 << 20;
const MAX_REASON_CHARS: usize = 200;

#[derive(Clone, Debug)]
struct PendingArtifact {
    kind: ArtifactKind,
    name: ArtifactName,
    path: PathBuf,
}

#[derive(Debug)]
enum QueueEntry {
    Upload(PendingArtifact),
    Message(String),
}

impl QueueEntry {
    fn is_checkpoint(&self) -> bool {
        matches!(self, Self::Upload(pending) if pending.kind == ArtifactKind::Checkpoint)
    }
}

#[derive(Default)]
struct UsedSpace {
    places: usize,
    numerous_bytes: u64,
}

impl UsedSpace {
    fn reserve(&mut self, is_numerous: bool, size: u64) -> Result<(), &'static str> {
        if size > MAX_SIZE_BYTES {
            return Err("it is too large");
        }
        let limit = if is_numerous { MAX_COUNT - RESERVED_PLACES } else { MAX_COUNT };
        if self.places >= limit {
            return Err("there are too many artifacts");
        }
        if is_numerous {
            let bytes = self.numerous_bytes.saturating_add(size);
            if bytes > MAX_NUMEROUS_BYTES {
                return Err("all outputs together are too large");
            }
            self.numerous_bytes = bytes;
        }
        self.places += 1;
        Ok(())
    }
}

#[derive(Clone)]
pub(crate) struct Artifacts(Arc<Shared>);

struct Shared {
    /// Set when the attempt has a workspace. No artifact is stored before.
    folder: OnceLock<PathBuf>,
    /// At most [`MAX_COUNT`] entries wait. They are paths, so the bytes are on disk.
    queue: UnboundedSender<QueueEntry>,
    last_message: Mutex<Option<PathBuf>>,
    used_space: Mutex<UsedSpace>,
    queued_count: AtomicUsize,
    finished_count: watch::Sender<usize>,
    pending_checkpoints: AtomicUsize,
    /// The last checkpoint, if its upload failed.
    lost_checkpoint: Mutex<Option<PendingArtifact>>,
}

/// Whether users or the next attempt look for this kind. A check's result itself shows whether its output is stored.
fn is_reported_kind(kind: ArtifactKind) -> bool {
    match kind {
        ArtifactKind::Patch | ArtifactKind::FinalMessage | ArtifactKind::AgentOutput | ArtifactKind::Checkpoint => true,
        ArtifactKind::SetupOutput | ArtifactKind::CheckOutput | ArtifactKind::ProviderPayload => false,
    }
}

fn not_stored_message(name: &str, reason: &str) -> String {
    format!("{name} is not kept: {reason}.")
}

pub(crate) fn checkpoint_lost_message(reason: &str) -> String {
    format!("What the agent did so far is not kept, because {reason}.")
}

impl Artifacts {
    fn new() -> (Self, UnboundedReceiver<QueueEntry>) {
        let (queue, entries) = unbounded_channel();
        let shared = Shared {
            folder: OnceLock::new(),
            last_message: Mutex::default(),
            queue,
            used_space: Mutex::default(),
            queued_count: AtomicUsize::new(0),
            finished_count: watch::Sender::new(0),
            pending_checkpoints: AtomicUsize::new(0),
            lost_checkpoint: Mutex::default(),
        };
        (Self(Arc::new(shared)), entries)
    }

    pub(crate) fn set_folder(&self, folder: PathBuf) -> io::Result<()> {
        create_private_dirs(&folder)?;
        let _ = self.0.folder.set(folder);
        Ok(())
    }

    pub(crate) fn path_for(&self, name: &str) -> Option<PathBuf> {
        self.0.folder.get().map(|folder| folder.join(name))
    }

    /// Waits for the uploads, within a limit. Returns a message if a checkpoint was not uploaded in time.
    pub(crate) async fn flush(&self, limit: Duration) -> Option<String> {
        let queued_count = self.0.queued_count.load(Ordering::Relaxed);
        let mut finished_count = self.0.finished_count.subscribe();
        if timeout(limit, finished_count.wait_for(|count| *count >= queued_count)).await.is_ok() {
            return None;
        }
        tracing::warn!("some artifacts were not uploaded in time");
        let is_lost = self.0.pending_checkpoints.load(Ordering::Relaxed) > 0;
        is_lost.then(|| checkpoint_lost_message("there was no time to upload it"))
    }

    pub(crate) fn store_text(&self, kind: ArtifactKind, name: &str, text: &str) -> bool {
        let Some(path) = self.path_for(name).filter(|_| !text.trim().is_empty()) else { return false };
        if let Err(error) = fs::write(&path, text) {
            self.log_skipped_artifact(kind, name, &format!("it could not be written: {error}"));
            return false;
        }
        if kind == ArtifactKind::FinalMessage {
            *self.0.last_message.lock().unwrap_or_else(PoisonError::into_inner) = Some(path);
        }
        self.queue_upload(kind, name)
    }

    pub(crate) async fn last_message(&self) -> Option<String> {
        let file = self.0.last_message.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        tokio::fs::read_to_string(file).await.ok()
    }

    /// Queues a file of the folder for upload. Returns false if the file is empty, too large or one too many.
    pub(crate) fn queue_upload(&self, kind: ArtifactKind, name: &str) -> bool {
        let is_numerous = kind == ArtifactKind::CheckOutput;
        let (Some(path), Ok(artifact)) = (self.path_for(name), ArtifactName::new(name)) else { return false };
        let size = match fs::metadata(&path).map(|metadata| metadata.len()) {
            Ok(0) | Err(_) => return false,
            Ok(size) => size,
        };
        let reservation = self.0.used_space.lock().unwrap_or_else(PoisonError::into_inner).reserve(is_numerous, size);
        match reservation {
            Ok(()) => self.push(QueueEntry::Upload(PendingArtifact { kind, name: artifact, path })),
            // The creator of a checkpoint reports its absence.
            Err(reason) if !is_numerous && kind != ArtifactKind::Checkpoint => {
                self.log_skipped_artifact(kind, name, reason);
                false
            }
            Err(reason) => {
                tracing::warn!(name, size, "artifact not stored: {reason}");
                false
            }
        }
    }

    /// Logs that a file is not stored, if users look for it. Adds no event: the caller may hold the record's lock.
    pub(crate) fn log_skipped_artifact(&self, kind: ArtifactKind, name: &str, cause: &str) {
        tracing::warn!(name, "artifact not stored: {cause}");
        if is_reported_kind(kind) {
            self.push(QueueEntry::Message(not_stored_message(name, cause)));
        }
    }

    /// Queues the last checkpoint again if its upload failed.
    pub(crate) fn repeat_lost_checkpoint(&self) {
        let lost = self.0.lost_checkpoint.lock().unwrap_or_else(PoisonError::into_inner).take();
        lost.map(|pending| self.push(QueueEntry::Upload(pending)));
    }

    fn push(&self, entry: QueueEntry) -> bool {
        if entry.is_checkpoint() {
            self.0.pending_checkpoints.fetch_add(1, Ordering::Relaxed);
        }
        self.0.queued_count.fetch_add(1, Ordering::Relaxed);
        // The receiver lives as long as the attempt.
        self.0.queue.send(entry).is_ok()
    }
}

fn size_and_hash(path: &Path) -> io::Result<(u64, Sha256Hex)> {
    let mut file = File::open(path)?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hash.update(bytes);
        size += read as u64;
    }
    Ok((size, Sha256Hex::new(to_hex(&hash.finalize())).map_err(io::Error::other)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn artifacts() -> (tempfile::TempDir, Artifacts, UnboundedReceiver<QueueEntry>) {
        let dir = tempfile::tempdir().unwrap();
        let (artifacts, queue_entries) = Artifacts::new();
        (dir, artifacts, queue_entries)
    }

    /// The names of the uploads so far, and the messages about skipped artifacts.
    pub(super) fn drain_uploads(queue_entries: &mut UnboundedReceiver<QueueEntry>) -> (Vec<String>, Vec<String>) {
        let (mut names, mut messages) = (Vec::new(), Vec::new());
        while let Ok(entry) = queue_entries.try_recv() {
            match entry {
                QueueEntry::Upload(artifact) => names.push(artifact.name.to_string()),
                QueueEntry::Message(message) => messages.push(message),
            }
        }
        (names, messages)
    }

    #[test]
    fn nothing_is_stored_without_a_folder_or_without_text() {
        let (dir, artifacts, mut queue_entries) = artifacts();
        artifacts.store_text(ArtifactKind::FinalMessage, "early.md", "too early");
        artifacts.set_folder(dir.path().join("artifacts")).unwrap();
        artifacts.store_text(ArtifactKind::FinalMessage, "empty.md", " \n");
        artifacts.store_text(ArtifactKind::FinalMessage, "final-message.md", "Done.");
        assert_eq!(drain_uploads(&mut queue_entries), (vec!["final-message.md".to_owned()], Vec::new()));
    }

    #[test]
    fn outputs_leave_slots_for_later_artifacts() {
        let (dir, artifacts, mut queue_entries) = artifacts();
        artifacts.set_folder(dir.path().to_owned()).unwrap();
        for number in 0..MAX_COUNT + 5 {
            artifacts.store_text(ArtifactKind::CheckOutput, &format!("check-{number}.txt"), "ok");
        }
        let (names, messages) = drain_uploads(&mut queue_entries);
        assert_eq!((names.len(), messages), (MAX_COUNT - RESERVED_PLACES, Vec::new()));
        let late =
            [ArtifactKind::AgentOutput, ArtifactKind::FinalMessage, ArtifactKind::Patch, ArtifactKind::Checkpoint];
        for kind in late {
            assert!(artifacts.store_text(kind, kind.as_str(), "x"), "{kind:?}");
        }
        assert_eq!(drain_uploads(&mut queue_entries).0, late.map(|kind| kind.as_str().to_owned()));
    }

    #[test]
    fn outputs_leave_bytes_for_later_artifacts() {
        let (dir, artifacts, mut queue_entries) = artifacts();
        artifacts.set_folder(dir.path().to_owned()).unwrap();
        let file = |name: &str, size| {
            File::create(dir.path().join(name)).unwrap().set_len(size).unwrap();
        };
        for (name, size, fits) in [("1.txt", MAX_NUMEROUS_BYTES - 9, true), ("2.txt", 10, false), ("3.txt", 9, true)] {
            file(name, size);
            assert_eq!(artifacts.queue_upload(ArtifactKind::CheckOutput, name), fits, "{name}");
        }
        file("agent-output.jsonl", MAX_SIZE_BYTES);
        assert!(artifacts.queue_upload(ArtifactKind::AgentOutput, "agent-output.jsonl"));
        assert_eq!(drain_uploads(&mut queue_entries).0, ["1.txt", "3.txt", "agent-output.jsonl"]);
        // With the largest record, patch and checkpoint this is the total limit.
        assert_eq!(3 * MAX_SIZE_BYTES + MAX_NUMEROUS_BYTES, pullyard_domain::job::artifact::MAX_TOTAL_BYTES);
    }

    #[test]
    fn skipped_artifacts_for_users_are_announced() {
        let (dir, artifacts, mut queue_entries) = artifacts();
        artifacts.set_folder(dir.path().to_owned()).unwrap();
        for number in 0..MAX_COUNT {
            assert!(artifacts.store_text(ArtifactKind::Patch, &format!("changes-{number}.patch"), "x"), "{number}");
        }
        let full = [
            ArtifactKind::Patch,
            ArtifactKind::FinalMessage,
            ArtifactKind::AgentOutput,
            ArtifactKind::CheckOutput,
            ArtifactKind::Checkpoint,
        ];
        for kind in full {
            assert!(!artifacts.store_text(kind, kind.as_str(), "x"), "{kind:?}");
        }
        let (names, messages) = drain_uploads(&mut queue_entries);
        assert_eq!(names.len(), MAX_COUNT);
        let reason = "is not kept: there are too many artifacts.";
        assert_eq!(messages, ["patch", "final_message", "agent_output"].map(|name| format!("{name} {reason}")));
        artifacts.log_skipped_artifact(ArtifactKind::Checkpoint, "checkpoint.tar.zst", "the bucket is away");
        artifacts.log_skipped_artifact(ArtifactKind::ProviderPayload, "provider-payload.txt", "the bucket is away");
        assert_eq!(drain_uploads(&mut queue_entries).1, ["checkpoint.tar.zst is not kept: the bucket is away."]);
    }

    #[tokio::test]
    async fn oversized_or_excess_artifacts_are_skipped() {
        let (dir, artifacts, mut queue_entries) = artifacts();
        artifacts.set_folder(dir.path().to_owned()).unwrap();
        for (name, size, fits) in [("larger.txt", MAX_SIZE_BYTES + 1, false), ("largest.txt", MAX_SIZE_BYTES, true)] {
            File::create(dir.path().join(name)).unwrap().set_len(size).unwrap();
            assert_eq!(artifacts.queue_upload(ArtifactKind::AgentOutput, name), fits, "{name}");
        }
        for number in 0..MAX_COUNT + 5 {
            artifacts.store_text(ArtifactKind::CheckOutput, &format!("check-{number}.txt"), "ok");
        }
        let mut messages = Vec::new();
        while let Ok(entry) = queue_entries.try_recv() {
            if let QueueEntry::Message(message) = entry {
                messages.push(message);
            }
            artifacts.0.finished_count.send_modify(|done| *done += 1);
        }
        assert_eq!(messages, ["larger.txt is not kept: it is too large."]);
        let flush = timeout(Duration::from_secs(120), artifacts.flush(Duration::from_secs(3_600)));
        assert!(flush.await.is_ok(), "waits for a skipped artifact");
    }

    #[tokio::test]
    async fn unfinished_checkpoint_upload_is_announced() {
        let (dir, artifacts, _waiting) = artifacts();
        artifacts.set_folder(dir.path().to_owned()).unwrap();
        artifacts.store_text(ArtifactKind::CheckOutput, "check-1.txt", "ok");
        assert_eq!(artifacts.flush(Duration::ZERO).await, None);
        artifacts.store_text(ArtifactKind::Checkpoint, "checkpoint.tar.zst", "a session");
        let message = artifacts.flush(Duration::ZERO).await;
        let expected = "What the agent did so far is not kept, because there was no time to upload it.";
        assert_eq!(message.as_deref(), Some(expected));
    }
}
