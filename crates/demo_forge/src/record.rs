//! What the forge remembers of one repository, as a JSON file beside it, replaced atomically.
//! Branches and commits are not here: git is asked for them each time.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;

use crate::Error;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RepositoryRecord {
    pub(crate) id: u64,
    pub(crate) full_name: String,
    pub(crate) default_branch: String,
    pub(crate) next_number: u64,
    pub(crate) pulls: Vec<PullRecord>,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PullState {
    Open,
    Closed,
}

impl RepositoryRecord {
    pub(crate) async fn load(path: &Path) -> Result<Self, Error> {
        let bytes = tokio::fs::read(path).await.map_err(Error::storage(path))?;
        serde_json::from_slice(&bytes).map_err(|source| Error::RecordUnreadable { path: path.to_owned(), source })
    }

    /// Writes: the record as a whole; a crash leaves either the old or the new one.
    pub(crate) async fn save(&self, path: &Path) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|source| Error::RecordUnreadable { path: path.to_owned(), source })?;
        let draft = draft_of(path);
        let mut file = tokio::fs::File::create(&draft).await.map_err(Error::storage(&draft))?;
        file.write_all(&bytes).await.map_err(Error::storage(&draft))?;
        file.sync_all().await.map_err(Error::storage(&draft))?;
        drop(file);
        tokio::fs::rename(&draft, path).await.map_err(Error::storage(path))
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
