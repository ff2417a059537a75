//! What the attempt leaves behind: each thing is a file of the attempt first, and is uploaded from there beside
//! everything else, one at a time.
//!
//! Nothing of it fails a job: what can't be kept is told in the log. What is in an artifact is made where it comes
//! from: the agent's output in `record`, the patch in `commit`.

mod body;
mod record;
mod upload;

pub(crate) use record::{RawCapture, Record};

use crate::workspace::private_dirs;
use pullyard_domain::artifact::{Kind, LARGEST, MOST};
use pullyard_domain::id::{ArtifactName, Sha256Hex};
use pullyard_protocol::client::AttemptClient;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// A file that is to be kept.
#[derive(Debug)]
struct Kept {
    kind: Kind,
    name: ArtifactName,
    path: PathBuf,
}

/// Where things are handed in; cheap to clone.
#[derive(Clone)]
pub(crate) struct Artifacts(Arc<Shared>);

struct Shared {
    /// Known once the attempt has a workspace; nothing is kept before.
    folder: OnceLock<PathBuf>,
    /// Never more than [`MOST`] wait, and what waits is a path: the bytes are on disk.
    handed_in: UnboundedSender<Kept>,
    /// The newest last word of the agent.
    last_word: Mutex<Option<PathBuf>>,
    /// So many were handed in, ever.
    count: AtomicUsize,
    /// So many are done with, one way or the other.
    done: watch::Sender<usize>,
}

/// The task that uploads; it ends when this is dropped.
pub(crate) struct Uploads {
    artifacts: Artifacts,
    _task: AbortOnDropHandle<()>,
}

impl Uploads {
    /// Begins to upload what is handed in.
    pub(crate) fn start(client: AttemptClient) -> Self {
        let (artifacts, waiting) = Artifacts::new();
        let task = tokio::spawn(one_by_one(client, waiting, artifacts.0.done.clone()));
        Self { artifacts, _task: AbortOnDropHandle::new(task) }
    }

    pub(crate) fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }
}

async fn one_by_one(client: AttemptClient, mut waiting: UnboundedReceiver<Kept>, done: watch::Sender<usize>) {
    let mut lost = false;
    while let Some(kept) = waiting.recv().await {
        if !lost {
            let (kind, name) = (kept.kind.as_str(), kept.name.clone());
            match upload::upload(&client, kept).await {
                Ok(()) => tracing::debug!(kind, name = %name, "an artifact was uploaded"),
                Err(failed) => {
                    // Whoever took the attempt over keeps its own.
                    lost = failed.is_for_all();
                    tracing::warn!(kind, name = %name, error = %failed, "an artifact was not kept: {failed}");
                }
            }
        }
        done.send_modify(|done| *done += 1);
    }
}

impl Artifacts {
    /// None yet, and what is handed in.
    fn new() -> (Self, UnboundedReceiver<Kept>) {
        let (handed_in, waiting) = unbounded_channel();
        let shared = Shared {
            folder: OnceLock::new(),
            last_word: Mutex::default(),
            handed_in,
            count: AtomicUsize::new(0),
            done: watch::Sender::new(0),
        };
        (Self(Arc::new(shared)), waiting)
    }

    /// From now on things are kept, in this folder of the attempt.
    pub(crate) fn open(&self, folder: PathBuf) -> io::Result<()> {
        private_dirs(&folder)?;
        // A second call would be our own mistake, and the first folder is as good.
        let _ = self.0.folder.set(folder);
        Ok(())
    }

    /// A file to write something into that is handed in later; none before anything is kept.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        self.0.folder.get().map(|folder| folder.join(name))
    }

    /// Waits until everything that was handed in is done with, for at most this long.
    pub(crate) async fn flush(&self, limit: Duration) {
        let wanted = self.0.count.load(Ordering::Relaxed);
        let mut done = self.0.done.subscribe();
        let waited = timeout(limit, done.wait_for(|done| *done >= wanted)).await;
        if waited.is_err() {
            tracing::warn!("some artifacts could not be uploaded before the end");
        }
    }

    /// Keeps these words, and says whether it does. Nothing is kept of what says nothing.
    pub(crate) fn keep(&self, kind: Kind, name: &str, words: &str) -> bool {
        let Some(path) = self.file(name).filter(|_| !words.trim().is_empty()) else { return false };
        match File::create(&path).and_then(|mut file| file.write_all(words.as_bytes())) {
            Ok(()) => {
                if kind == Kind::FinalMessage {
                    *self.0.last_word.lock().unwrap_or_else(PoisonError::into_inner) = Some(path);
                }
                self.hand_in(kind, name)
            }
            Err(error) => {
                tracing::warn!(name, error = %error, "an artifact could not be written: {error}");
                false
            }
        }
    }

    /// The agent's last word, once the record of what it said has ended: of the newest part that has one.
    pub(crate) async fn last_word(&self) -> Option<String> {
        let file = self.0.last_word.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        tokio::fs::read_to_string(file).await.ok()
    }

    /// Hands in a file of the folder. False when it is not kept: it is too large, there are too many, or nothing in
    /// it.
    pub(crate) fn hand_in(&self, kind: Kind, name: &str) -> bool {
        let (Some(path), Ok(artifact)) = (self.file(name), ArtifactName::new(name)) else { return false };
        match fs::metadata(&path).map(|about| about.len()) {
            Ok(1..=LARGEST) => {}
            Ok(0) | Err(_) => return false,
            Ok(size) => {
                tracing::warn!(name, size, "an artifact is too large to be kept");
                return false;
            }
        }
        if self.0.count.fetch_add(1, Ordering::Relaxed) >= MOST {
            self.0.count.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(name, "an artifact was not kept: there are too many");
            return false;
        }
        // The receiver lives as long as the attempt does.
        self.0.handed_in.send(Kept { kind, name: artifact, path }).is_ok()
    }
}

/// Size and hash of a file, read piece by piece.
fn measured(path: &Path) -> io::Result<(u64, Sha256Hex)> {
    let mut file = File::open(path)?;
    let (mut hash, mut size, mut piece) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        let read = file.read(&mut piece)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hash.update(bytes);
        size += read as u64;
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((size, Sha256Hex::new(hex).map_err(io::Error::other)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn artifacts() -> (tempfile::TempDir, Artifacts, UnboundedReceiver<Kept>) {
        let dir = tempfile::tempdir().unwrap();
        let (artifacts, waiting) = Artifacts::new();
        (dir, artifacts, waiting)
    }

    #[test]
    fn nothing_is_kept_before_there_is_a_folder_nor_of_what_says_nothing() {
        let (dir, artifacts, mut waiting) = artifacts();
        artifacts.keep(Kind::FinalMessage, "early.md", "too early");
        artifacts.open(dir.path().join("artifacts")).unwrap();
        artifacts.keep(Kind::FinalMessage, "empty.md", " \n");
        artifacts.keep(Kind::FinalMessage, "final-message.md", "Done.");
        assert_eq!(waiting.try_recv().unwrap().name.as_str(), "final-message.md");
        assert!(waiting.try_recv().is_err());
    }

    #[test]
    fn no_more_are_handed_in_than_an_attempt_may_keep() {
        let (dir, artifacts, mut waiting) = artifacts();
        artifacts.open(dir.path().to_owned()).unwrap();
        for number in 0..MOST + 5 {
            artifacts.keep(Kind::CheckOutput, &format!("check-{number}.txt"), "ok");
        }
        let mut count = 0;
        while waiting.try_recv().is_ok() {
            count += 1;
        }
        assert_eq!(count, MOST);
    }

    #[tokio::test]
    async fn what_is_too_large_or_too_much_is_not_taken_and_not_waited_for() {
        let (dir, artifacts, mut waiting) = artifacts();
        artifacts.open(dir.path().to_owned()).unwrap();
        for (name, size, taken) in [("larger.txt", LARGEST + 1, false), ("largest.txt", LARGEST, true)] {
            File::create(dir.path().join(name)).unwrap().set_len(size).unwrap();
            assert_eq!(artifacts.hand_in(Kind::AgentOutput, name), taken, "{name}");
        }
        for number in 0..MOST + 5 {
            artifacts.keep(Kind::CheckOutput, &format!("check-{number}.txt"), "ok");
        }
        while waiting.try_recv().is_ok() {
            artifacts.0.done.send_modify(|done| *done += 1);
        }
        let flushed = timeout(Duration::from_secs(120), artifacts.flush(Duration::from_secs(3_600)));
        assert!(flushed.await.is_ok(), "it waits for what nobody uploads");
    }

    #[test]
    fn a_file_is_measured_as_others_measure_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hello");
        fs::write(&path, "hello").unwrap();
        let (size, hash) = measured(&path).unwrap();
        assert_eq!(size, 5);
        assert_eq!(hash.as_str(), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    }
}
