//! The record of a repository, a JSON file next to it; branches and commits are read from git.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::AsyncWriteExt as _;

use crate::{Error, role::Role, users::Account};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RepositoryRecord {
    pub id: u64,
    pub full_name: String,
    pub default_branch: String,
    pub next_number: u64,
    pub pulls: Vec<PullRecord>,
    pub roles: BTreeMap<u64, Role>,
    pub statuses: Vec<StatusRecord>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PullRecord {
    pub id: u64,
    pub number: u64,
    pub title: String,
    pub body: Option<String>,
    pub head: String,
    pub base: String,
    pub state: PullState,
    pub draft: bool,
    pub head_sha: String,
    pub base_sha: String,
    pub author_id: u64,
    pub author: String,
    pub created_at: String,
    pub updated_at: String,
    pub closed_at: Option<String>,
    pub merged: Option<MergeRecord>,
    pub requested: Vec<u64>,
    pub reviews: Vec<ReviewRecord>,
    pub comments: Vec<LineCommentRecord>,
    pub notes: Vec<IssueCommentRecord>,
    pub fork: Option<u64>,
    /// Reviewers who have reviewed; Bitbucket still lists them as reviewers.
    pub answered: Vec<u64>,
    /// Parents of Bitbucket's replies, which may answer a whole-pull-request comment or a reply.
    pub parents: BTreeMap<u64, u64>,
    /// Bitbucket still lists deleted comments.
    pub deleted: Vec<DeletedRecord>,
}

impl PullRecord {
    pub fn is_open(&self) -> bool {
        self.state == PullState::Open
    }

    /// The comment that an earlier request with the same key and content has created.
    pub fn find_note(&self, new: &IssueCommentRecord) -> Option<&IssueCommentRecord> {
        let content = |note: &IssueCommentRecord| (note.author.id, note.key.clone(), note.body.clone());
        self.notes.iter().find(|note| new.key.is_some() && content(note) == content(new))
    }

    pub fn complete_review_request(&mut self, of: u64) {
        if self.requested.contains(&of) && !self.answered.contains(&of) {
            self.answered.push(of);
        }
        self.requested.retain(|reviewer| *reviewer != of);
    }
}

#[derive(Clone, Debug)]
pub struct Pull {
    pub record: PullRecord,
    pub head_sha: String,
    pub base_sha: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MergeRecord {
    pub at: String,
    pub by: Account,
    pub sha: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusRecord {
    pub id: u64,
    pub sha: String,
    pub state: String,
    pub context: String,
    pub description: Option<String>,
    pub target_url: Option<String>,
    pub creator: Account,
    pub created_at: String,
    /// Bitbucket shows this name instead of the key; the key is GitHub's context.
    pub name: Option<String>,
    pub refname: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReviewRecord {
    pub id: u64,
    pub author: Account,
    pub body: String,
    pub state: ReviewState,
    pub commit: String,
    pub submitted_at: String,
    pub updated_at: String,
    pub dismissed: Option<ReviewState>,
    /// Makes a repeated request the same review.
    pub key: Option<String>,
}

impl ReviewRecord {
    pub fn verdict(&self) -> Option<ReviewState> {
        match self.state {
            ReviewState::Approved | ReviewState::ChangesRequested => Some(self.state),
            ReviewState::Dismissed => self.dismissed,
            ReviewState::Commented => None,
        }
    }

    pub fn dismiss(&mut self, now: String) {
        self.dismissed = Some(self.state);
        self.state = ReviewState::Dismissed;
        self.updated_at = now;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewState {
    Commented,
    ChangesRequested,
    Approved,
    Dismissed,
}

impl ReviewState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Commented => "commented",
            Self::ChangesRequested => "changes requested",
            Self::Approved => "approved",
            Self::Dismissed => "dismissed",
        }
    }
}

/// A version of a commented file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Side {
    Left,
    #[default]
    Right,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LineCommentRecord {
    pub id: u64,
    pub review: u64,
    pub in_reply_to: Option<u64>,
    pub author: Account,
    pub body: String,
    pub path: String,
    #[serde(default)]
    pub side: Side,
    /// `None` after a push changed the line.
    pub line: Option<u64>,
    /// The first of several lines.
    #[serde(default)]
    pub start_line: Option<u64>,
    pub original_line: u64,
    /// The newest commit that contains the line.
    pub commit: String,
    pub original_commit: String,
    pub created_at: String,
    pub updated_at: String,
}

impl LineCommentRecord {
    pub fn thread(&self) -> u64 {
        self.in_reply_to.unwrap_or(self.id)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssueCommentRecord {
    pub id: u64,
    pub author: Account,
    pub body: String,
    pub created_at: String,
    pub updated_at: String,
    /// Makes a repeated request the same comment.
    pub key: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeletedRecord {
    pub id: u64,
    pub parent: Option<u64>,
    pub author: Account,
    pub created_at: String,
    pub updated_at: String,
    pub line: Option<LineCommentRecord>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullState {
    #[default]
    Open,
    Closed,
}

pub async fn load<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bytes = tokio::fs::read(path).await.map_err(Error::storage(path))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::RecordUnreadable { path: path.to_owned(), source })
}

pub async fn save<T: Serialize>(record: &T, path: &Path) -> Result<(), Error> {
    let bytes = serde_json::to_vec_pretty(record)
        .map_err(|source| Error::RecordUnreadable { path: path.to_owned(), source })?;
    let draft = draft_path(path);
    let mut file = tokio::fs::File::create(&draft).await.map_err(Error::storage(&draft))?;
    file.write_all(&bytes).await.map_err(Error::storage(&draft))?;
    file.sync_all().await.map_err(Error::storage(&draft))?;
    drop(file);
    tokio::fs::rename(&draft, path).await.map_err(Error::storage(path))
}

impl RepositoryRecord {
    pub fn role_of(&self, id: u64) -> Role {
        self.roles.get(&id).copied().unwrap_or(Role::None)
    }

    pub fn newest_statuses(&self, sha: &str) -> Vec<&StatusRecord> {
        let mut newest: Vec<&StatusRecord> = Vec::new();
        for status in self.statuses.iter().rev().filter(|status| status.sha == sha) {
            if newest.iter().all(|existing| existing.context != status.context) {
                newest.push(status);
            }
        }
        newest
    }

    /// Writes: the record atomically, if absent; one concurrent writer wins.
    pub fn save_if_absent(&self, path: &Path) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|source| Error::RecordUnreadable { path: path.to_owned(), source })?;
        let mut draft = draft_path(path).into_os_string();
        draft.push(format!(".{}", self.id));
        let draft = PathBuf::from(draft);
        let result = write_and_sync(&draft, &bytes).and_then(|()| match std::fs::hard_link(&draft, path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        });
        let _ = std::fs::remove_file(&draft);
        result.map_err(Error::storage(path))
    }
}

fn write_and_sync(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create_new(path)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

fn draft_path(path: &Path) -> PathBuf {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    draft.into()
}
