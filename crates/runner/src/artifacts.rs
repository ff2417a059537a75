//! What the attempt leaves behind: each thing is a file of the attempt first, and is uploaded from there beside
//! everything else, one at a time.
//!
//! Nothing of it fails a job: what can't be kept is told in the log, and in the job's where people look for it. What is
//! in an artifact is made where it comes from: the agent's output in `record`, the patch in `patch`.

mod body;
pub(crate) mod record;
mod upload;
pub(crate) mod uploads;

use crate::git::workspace::disk::private_dirs;
use pullyard_domain::artifact::{Kind, LARGEST, MOST};
use pullyard_domain::id::{ArtifactName, Sha256Hex};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::timeout;

/// Places that are left for what there is little of: the patch, the record, the last word and a checkpoint come late.
const SPARED: usize = 8;
/// How large things may be together of which there are many: the largest of the others fit beside them. Units: bytes.
const LARGEST_OF_MANY: u64 = 64 << 20;
/// The most of a reason that is said. Units: characters.
const LONGEST_REASON: usize = 200;

/// A file that is to be kept.
#[derive(Debug)]
struct Kept {
    kind: Kind,
    name: ArtifactName,
    path: PathBuf,
}

#[derive(Debug)]
enum Handed {
    In(Kept),
    /// This is said in the job's log, of what is not.
    Not(String),
}

impl Handed {
    fn is_checkpoint(&self) -> bool {
        matches!(self, Self::In(kept) if kept.kind == Kind::Checkpoint)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    Own,
    OneOfMany,
}

/// What is taken of all that an attempt may keep.
#[derive(Default)]
struct Taken {
    places: usize,
    /// By things of which there are many.
    bytes_of_many: u64,
}

impl Taken {
    /// Takes a place.
    ///
    /// Errors: why there is none.
    fn take(&mut self, rank: Rank, size: u64) -> Result<(), &'static str> {
        if size > LARGEST {
            return Err("it is too large");
        }
        let most = match rank {
            Rank::Own => MOST,
            Rank::OneOfMany => MOST - SPARED,
        };
        if self.places >= most {
            return Err("there are too many artifacts");
        }
        if rank == Rank::OneOfMany {
            let bytes = self.bytes_of_many.saturating_add(size);
            if bytes > LARGEST_OF_MANY {
                return Err("all outputs together are too large");
            }
            self.bytes_of_many = bytes;
        }
        self.places += 1;
        Ok(())
    }
}

#[derive(Clone)]
pub(crate) struct Artifacts(Arc<Shared>);

struct Shared {
    /// Known once the attempt has a workspace; nothing is kept before.
    folder: OnceLock<PathBuf>,
    /// Never more than [`MOST`] wait for an upload, and what waits is a path: the bytes are on disk.
    handed_in: UnboundedSender<Handed>,
    /// The newest last word of the agent.
    last_word: Mutex<Option<PathBuf>>,
    taken: Mutex<Taken>,
    /// So many were handed in, ever, or are to be told of.
    count: AtomicUsize,
    /// So many are done with, one way or the other.
    done: watch::Sender<usize>,
    /// So many checkpoints were handed in and are not done with.
    checkpoints: AtomicUsize,
    /// The upload of the last one that is done with failed.
    lost_checkpoint: AtomicBool,
}

/// Whether people, or the next attempt, look for things of this kind by themselves. Of a check its result says
/// whether its output is kept.
fn is_looked_for(kind: Kind) -> bool {
    match kind {
        Kind::Patch | Kind::FinalMessage | Kind::AgentOutput | Kind::Checkpoint => true,
        Kind::SetupOutput | Kind::CheckOutput | Kind::ProviderPayload => false,
    }
}

fn not_kept(name: &str, why: &str) -> String {
    format!("{name} is not kept: {why}.")
}

/// Of a checkpoint: nobody goes on from what the agent did, for this reason.
fn work_not_kept(because: &str) -> String {
    format!("What the agent did so far is not kept, because {because}.")
}

impl Artifacts {
    /// None yet, and what is handed in.
    fn new() -> (Self, UnboundedReceiver<Handed>) {
        let (handed_in, waiting) = unbounded_channel();
        let shared = Shared {
            folder: OnceLock::new(),
            last_word: Mutex::default(),
            handed_in,
            taken: Mutex::default(),
            count: AtomicUsize::new(0),
            done: watch::Sender::new(0),
            checkpoints: AtomicUsize::new(0),
            lost_checkpoint: AtomicBool::new(false),
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

    /// Waits until everything that was handed in is done with, for at most this long. Gives what is to be told where a
    /// checkpoint is not.
    pub(crate) async fn flush(&self, limit: Duration) -> Option<String> {
        let wanted = self.0.count.load(Ordering::Relaxed);
        let mut done = self.0.done.subscribe();
        let waited = timeout(limit, done.wait_for(|done| *done >= wanted)).await;
        if waited.is_ok() {
            return None;
        }
        tracing::warn!("some artifacts could not be uploaded before the end");
        let is_lost = self.0.checkpoints.load(Ordering::Relaxed) > 0;
        is_lost.then(|| work_not_kept("there was no time to upload it"))
    }

    /// Whether every checkpoint is done with, and the newest was not kept.
    pub(crate) fn has_lost_checkpoint(&self) -> bool {
        self.0.checkpoints.load(Ordering::Acquire) == 0 && self.0.lost_checkpoint.load(Ordering::Relaxed)
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
                self.not_kept(kind, name, &format!("it could not be written: {error}"));
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
        self.hand_in_as(kind, name, if kind == Kind::CheckOutput { Rank::OneOfMany } else { Rank::Own })
    }

    /// The same of an output that stands beside the record.
    fn hand_in_beside(&self, name: &str) -> bool {
        self.hand_in_as(Kind::AgentOutput, name, Rank::OneOfMany)
    }

    /// Hands in a checkpoint once more whose upload failed. It has its place.
    pub(crate) fn hand_in_again(&self, name: &str) -> bool {
        let (Some(path), Ok(name)) = (self.file(name), ArtifactName::new(name)) else { return false };
        self.hand_over(Handed::In(Kept { kind: Kind::Checkpoint, name, path }))
    }

    fn hand_in_as(&self, kind: Kind, name: &str, rank: Rank) -> bool {
        let (Some(path), Ok(artifact)) = (self.file(name), ArtifactName::new(name)) else { return false };
        let size = match fs::metadata(&path).map(|about| about.len()) {
            Ok(0) | Err(_) => return false,
            Ok(size) => size,
        };
        let taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner).take(rank, size);
        match taken {
            Ok(()) => self.hand_over(Handed::In(Kept { kind, name: artifact, path })),
            // Who makes a checkpoint says that there is none.
            Err(why) if rank == Rank::Own && kind != Kind::Checkpoint => {
                self.not_kept(kind, name, why);
                false
            }
            Err(why) => {
                tracing::warn!(name, size, "an artifact was not kept: {why}");
                false
            }
        }
    }

    /// Tells that something can't be kept, in the job's log where it is looked for. It may be told by whoever holds the
    /// record: nothing is recorded before this is over.
    pub(crate) fn not_kept(&self, kind: Kind, name: &str, why: &str) {
        tracing::warn!(name, "an artifact was not kept: {why}");
        if is_looked_for(kind) {
            self.hand_over(Handed::Not(not_kept(name, why)));
        }
    }

    fn hand_over(&self, handed: Handed) -> bool {
        if handed.is_checkpoint() {
            self.0.checkpoints.fetch_add(1, Ordering::Relaxed);
        }
        self.0.count.fetch_add(1, Ordering::Relaxed);
        // The receiver lives as long as the attempt does.
        self.0.handed_in.send(handed).is_ok()
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

    pub(super) fn artifacts() -> (tempfile::TempDir, Artifacts, UnboundedReceiver<Handed>) {
        let dir = tempfile::tempdir().unwrap();
        let (artifacts, waiting) = Artifacts::new();
        (dir, artifacts, waiting)
    }

    /// The names of what is to be uploaded by now, and what is said of the rest.
    pub(super) fn handed(waiting: &mut UnboundedReceiver<Handed>) -> (Vec<String>, Vec<String>) {
        let (mut names, mut said) = (Vec::new(), Vec::new());
        while let Ok(handed) = waiting.try_recv() {
            match handed {
                Handed::In(kept) => names.push(kept.name.to_string()),
                Handed::Not(words) => said.push(words),
            }
        }
        (names, said)
    }

    #[test]
    fn nothing_is_kept_before_there_is_a_folder_nor_of_what_says_nothing() {
        let (dir, artifacts, mut waiting) = artifacts();
        artifacts.keep(Kind::FinalMessage, "early.md", "too early");
        artifacts.open(dir.path().join("artifacts")).unwrap();
        artifacts.keep(Kind::FinalMessage, "empty.md", " \n");
        artifacts.keep(Kind::FinalMessage, "final-message.md", "Done.");
        assert_eq!(handed(&mut waiting), (vec!["final-message.md".to_owned()], Vec::new()));
    }

    #[test]
    fn outputs_of_checks_and_of_tools_leave_places_for_what_comes_after_them() {
        for beside in [false, true] {
            let (dir, artifacts, mut waiting) = artifacts();
            artifacts.open(dir.path().to_owned()).unwrap();
            for number in 0..MOST + 5 {
                let name = format!("output-{number}.txt");
                if beside {
                    fs::write(dir.path().join(&name), "ok").unwrap();
                    artifacts.hand_in_beside(&name);
                } else {
                    artifacts.keep(Kind::CheckOutput, &name, "ok");
                }
            }
            let (names, said) = handed(&mut waiting);
            assert_eq!((names.len(), said), (MOST - SPARED, Vec::new()));
            let late = [Kind::AgentOutput, Kind::FinalMessage, Kind::Patch, Kind::Checkpoint];
            for kind in late {
                assert!(artifacts.keep(kind, kind.as_str(), "x"), "{kind:?}");
            }
            assert_eq!(handed(&mut waiting).0, late.map(|kind| kind.as_str().to_owned()));
        }
    }

    #[test]
    fn a_checkpoint_that_is_handed_in_again_takes_no_second_place() {
        let (dir, artifacts, mut waiting) = artifacts();
        artifacts.open(dir.path().to_owned()).unwrap();
        assert!(artifacts.keep(Kind::Checkpoint, "checkpoint.tar.zst", "x"));
        for number in 1..MOST {
            assert!(artifacts.keep(Kind::AgentOutput, &format!("{number}.jsonl"), "x"), "{number}");
        }
        assert!(artifacts.hand_in_again("checkpoint.tar.zst"), "every place is taken, one by itself");
        assert!(!artifacts.keep(Kind::Checkpoint, "checkpoint-2.tar.zst", "x"));
        let (names, _) = handed(&mut waiting);
        assert_eq!((names.len(), names.last().map(String::as_str)), (MOST + 1, Some("checkpoint.tar.zst")));
    }

    #[test]
    fn outputs_of_checks_and_of_tools_leave_bytes_for_what_comes_after_them() {
        let (dir, artifacts, mut waiting) = artifacts();
        artifacts.open(dir.path().to_owned()).unwrap();
        let file = |name: &str, size| {
            File::create(dir.path().join(name)).unwrap().set_len(size).unwrap();
        };
        for (name, size, taken) in [("1.txt", LARGEST_OF_MANY - 9, true), ("2.txt", 10, false), ("3.txt", 9, true)] {
            file(name, size);
            assert_eq!(artifacts.hand_in_beside(name), taken, "{name}");
        }
        assert!(!artifacts.keep(Kind::CheckOutput, "check-1.txt", "x"), "they share the room");
        file("agent-output.jsonl", LARGEST);
        assert!(artifacts.hand_in(Kind::AgentOutput, "agent-output.jsonl"));
        assert_eq!(handed(&mut waiting).0, ["1.txt", "3.txt", "agent-output.jsonl"]);
        // With the largest record, patch and checkpoint it is what all may be together.
        assert_eq!(3 * LARGEST + LARGEST_OF_MANY, pullyard_domain::artifact::LARGEST_TOGETHER);
    }

    #[test]
    fn what_people_look_for_is_not_left_out_without_a_word() {
        let (dir, artifacts, mut waiting) = artifacts();
        artifacts.open(dir.path().to_owned()).unwrap();
        for number in 0..MOST {
            assert!(artifacts.keep(Kind::Patch, &format!("changes-{number}.patch"), "x"), "{number}");
        }
        let full = [Kind::Patch, Kind::FinalMessage, Kind::AgentOutput, Kind::CheckOutput, Kind::Checkpoint];
        for kind in full {
            assert!(!artifacts.keep(kind, kind.as_str(), "x"), "{kind:?}");
        }
        let (names, said) = handed(&mut waiting);
        assert_eq!(names.len(), MOST);
        let because = "is not kept: there are too many artifacts.";
        assert_eq!(said, ["patch", "final_message", "agent_output"].map(|name| format!("{name} {because}")));
        artifacts.not_kept(Kind::Checkpoint, "checkpoint.tar.zst", "the bucket is away");
        artifacts.not_kept(Kind::ProviderPayload, "provider-payload.txt", "the bucket is away");
        assert_eq!(handed(&mut waiting).1, ["checkpoint.tar.zst is not kept: the bucket is away."]);
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
        let mut said = Vec::new();
        while let Ok(handed) = waiting.try_recv() {
            if let Handed::Not(words) = handed {
                said.push(words);
            }
            artifacts.0.done.send_modify(|done| *done += 1);
        }
        assert_eq!(said, ["larger.txt is not kept: it is too large."]);
        let flushed = timeout(Duration::from_secs(120), artifacts.flush(Duration::from_secs(3_600)));
        assert!(flushed.await.is_ok(), "it waits for what nobody uploads");
    }

    #[tokio::test]
    async fn of_a_checkpoint_that_there_is_no_time_to_upload_it_is_told_and_of_nothing_else() {
        let (dir, artifacts, _waiting) = artifacts();
        artifacts.open(dir.path().to_owned()).unwrap();
        artifacts.keep(Kind::CheckOutput, "check-1.txt", "ok");
        assert_eq!(artifacts.flush(Duration::ZERO).await, None);
        artifacts.keep(Kind::Checkpoint, "checkpoint.tar.zst", "a session");
        let told = artifacts.flush(Duration::ZERO).await;
        let expected = "What the agent did so far is not kept, because there was no time to upload it.";
        assert_eq!(told.as_deref(), Some(expected));
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
