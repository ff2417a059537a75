//! What the forge remembers of one repository, as a JSON file beside it, replaced atomically.
//! Branches and commits are not here: git is asked for them each time.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::AsyncWriteExt as _;

use crate::{Error, access::Role, users::Account};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RepositoryRecord {
    pub(crate) id: u64,
    pub(crate) full_name: String,
    pub(crate) default_branch: String,
    pub(crate) next_number: u64,
    pub(crate) pulls: Vec<PullRecord>,
    // What follows came later: a folder of an older forge has none of it.
    #[serde(default)]
    pub(crate) roles: BTreeMap<u64, Role>,
    #[serde(default)]
    pub(crate) labels: Vec<LabelRecord>,
    #[serde(default)]
    pub(crate) statuses: Vec<StatusRecord>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PullRecord {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) head: String,
    pub(crate) base: String,
    pub(crate) state: PullState,
    pub(crate) draft: bool,
    /// The last known commits, for when a branch is gone or the pull request is closed.
    pub(crate) head_sha: String,
    pub(crate) base_sha: String,
    pub(crate) author_id: u64,
    pub(crate) author: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) closed_at: Option<String>,
    #[serde(default)]
    pub(crate) merged: Option<MergeRecord>,
    /// Names of labels of the repository.
    #[serde(default)]
    pub(crate) labels: Vec<String>,
    /// Who was asked for a review and has not given one since.
    #[serde(default)]
    pub(crate) requested: Vec<u64>,
    #[serde(default)]
    pub(crate) reviews: Vec<ReviewRecord>,
    /// Comments on lines, of all reviews.
    #[serde(default)]
    pub(crate) comments: Vec<LineCommentRecord>,
    /// Comments on the whole.
    #[serde(default)]
    pub(crate) notes: Vec<NoteRecord>,
    /// Who resolved which thread; a thread is known by its first comment.
    #[serde(default)]
    pub(crate) resolved: BTreeMap<u64, Account>,
    /// Its branch is in this other repository, as far as the API tells.
    #[serde(default)]
    pub(crate) fork: Option<u64>,
    /// Who was asked and has given a review since: Bitbucket keeps them among the reviewers.
    #[serde(default)]
    pub(crate) answered: Vec<u64>,
    /// Which comment answers which, where only Bitbucket has that: a comment on the whole, or one that is an answer.
    #[serde(default)]
    pub(crate) parents: BTreeMap<u64, u64>,
    /// Comments that were taken away: Bitbucket still tells that they were there.
    #[serde(default)]
    pub(crate) deleted: Vec<DeletedRecord>,
}

impl PullRecord {
    /// Somebody gave a review: whoever was asked for one is asked no more.
    pub(crate) fn take_answer(&mut self, of: u64) {
        if self.requested.contains(&of) && !self.answered.contains(&of) {
            self.answered.push(of);
        }
        self.requested.retain(|asked| *asked != of);
    }

    /// Somebody's last approval or request for changes, unless it was dismissed.
    pub(crate) fn verdict_of(&self, account: u64) -> Option<&ReviewRecord> {
        let verdicts = self.reviews.iter().filter(|review| review.author.id == account && review.verdict().is_some());
        let last = verdicts.max_by(|one, other| one.submitted_at.cmp(&other.submitted_at));
        last.filter(|review| review.state != ReviewState::Dismissed)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MergeRecord {
    pub(crate) at: String,
    pub(crate) by: Account,
    /// The commit that brought it into the base branch.
    pub(crate) sha: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LabelRecord {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) color: String,
    pub(crate) description: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StatusRecord {
    pub(crate) id: u64,
    pub(crate) sha: String,
    pub(crate) state: String,
    pub(crate) context: String,
    pub(crate) description: Option<String>,
    pub(crate) target_url: Option<String>,
    pub(crate) creator: Account,
    pub(crate) created_at: String,
    /// What Bitbucket shows in the key's place. GitHub has only the context, which is that key.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The branch that whoever said it on Bitbucket named.
    #[serde(default)]
    pub(crate) refname: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReviewRecord {
    pub(crate) id: u64,
    pub(crate) author: Account,
    pub(crate) body: String,
    pub(crate) state: ReviewState,
    /// The head that was reviewed.
    pub(crate) commit: String,
    /// None while it is pending: then only its author sees it.
    pub(crate) submitted_at: Option<String>,
    pub(crate) updated_at: String,
    /// What it was before it was dismissed.
    #[serde(default)]
    pub(crate) dismissed: Option<ReviewState>,
}

impl ReviewRecord {
    /// The approval or request for changes that it is, or was before it was dismissed.
    pub(crate) fn verdict(&self) -> Option<ReviewState> {
        match self.state {
            ReviewState::Approved | ReviewState::ChangesRequested => Some(self.state),
            // A folder of an older forge does not know what it was.
            ReviewState::Dismissed => Some(self.dismissed.unwrap_or(ReviewState::ChangesRequested)),
            ReviewState::Pending | ReviewState::Commented => None,
        }
    }

    pub(crate) fn dismiss(&mut self, now: String) {
        self.dismissed = Some(self.state);
        self.state = ReviewState::Dismissed;
        self.updated_at = now;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReviewState {
    Pending,
    Commented,
    ChangesRequested,
    Approved,
    Dismissed,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LineCommentRecord {
    pub(crate) id: u64,
    pub(crate) review: u64,
    pub(crate) in_reply_to: Option<u64>,
    pub(crate) author: Account,
    pub(crate) body: String,
    pub(crate) path: String,
    pub(crate) side: Side,
    /// Null once a push changed the lines: the comment is outdated.
    pub(crate) line: Option<u64>,
    pub(crate) start_line: Option<u64>,
    pub(crate) original_line: u64,
    pub(crate) original_start_line: Option<u64>,
    pub(crate) position: Option<u64>,
    pub(crate) original_position: u64,
    pub(crate) diff_hunk: String,
    /// The newest commit that the lines are still in.
    pub(crate) commit: String,
    pub(crate) original_commit: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

impl LineCommentRecord {
    /// The first comment of its thread.
    pub(crate) fn thread(&self) -> u64 {
        self.in_reply_to.unwrap_or(self.id)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Side {
    Left,
    Right,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Left => "LEFT",
            Self::Right => "RIGHT",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NoteRecord {
    pub(crate) id: u64,
    pub(crate) author: Account,
    pub(crate) body: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// A comment without its words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeletedRecord {
    pub(crate) id: u64,
    /// The comment that it answered.
    pub(crate) parent: Option<u64>,
    pub(crate) author: Account,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    /// Where it was, if it was on a line.
    pub(crate) line: Option<LineCommentRecord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PullState {
    Open,
    Closed,
}

/// Reads a record of any kind.
pub(crate) async fn load<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bytes = tokio::fs::read(path).await.map_err(Error::storage(path))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::RecordUnreadable { path: path.to_owned(), source })
}

/// Writes: the record as a whole; a crash leaves either the old or the new one.
pub(crate) async fn save<T: Serialize>(record: &T, path: &Path) -> Result<(), Error> {
    let bytes = serde_json::to_vec_pretty(record)
        .map_err(|source| Error::RecordUnreadable { path: path.to_owned(), source })?;
    let draft = draft_of(path);
    let mut file = tokio::fs::File::create(&draft).await.map_err(Error::storage(&draft))?;
    file.write_all(&bytes).await.map_err(Error::storage(&draft))?;
    file.sync_all().await.map_err(Error::storage(&draft))?;
    drop(file);
    tokio::fs::rename(&draft, path).await.map_err(Error::storage(path))
}

impl RepositoryRecord {
    /// What is said about a commit now, newest first: of each context the last word.
    pub(crate) fn newest_statuses(&self, sha: &str) -> Vec<&StatusRecord> {
        let mut newest: Vec<&StatusRecord> = Vec::new();
        for status in self.statuses.iter().rev().filter(|status| status.sha == sha) {
            if newest.iter().all(|known| known.context != status.context) {
                newest.push(status);
            }
        }
        newest
    }

    /// Writes: the record as a whole, only if there is none. Two writers at once: one of them wins.
    pub(crate) fn save_if_absent(&self, path: &Path) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|source| Error::RecordUnreadable { path: path.to_owned(), source })?;
        let mut draft = draft_of(path).into_os_string();
        draft.push(format!(".{}", self.id));
        let draft = PathBuf::from(draft);
        let written = write_synced(&draft, &bytes).and_then(|()| match std::fs::hard_link(&draft, path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        });
        let _ = std::fs::remove_file(&draft);
        written.map_err(Error::storage(path))
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create_new(path)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

fn draft_of(path: &Path) -> PathBuf {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    draft.into()
}
