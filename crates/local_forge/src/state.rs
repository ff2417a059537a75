//! The forge's record in one file: users and hooks.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::Mutex;

use crate::{Error, record, users::Member};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ForgeRecord {
    pub users: Vec<Member>,
    pub hooks: Vec<HookRecord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    Repository,
    Organization,
    Integration,
}

/// The API that created an object, which determines its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiKind {
    GitHub,
    Bitbucket,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRecord {
    pub id: u64,
    /// The only API that shows the hook.
    pub face: ApiKind,
    pub kind: TargetKind,
    pub target: u64,
    pub active: bool,
    pub events: Vec<String>,
    pub description: Option<String>,
    pub url: String,
    pub secret: Option<String>,
    pub content_type: String,
    pub insecure_ssl: String,
}

#[derive(Debug)]
pub struct State<R = ForgeRecord> {
    path: PathBuf,
    record: Mutex<R>,
}

impl<R: Clone + Default + Serialize + DeserializeOwned> State<R> {
    pub async fn load(dir: &Path, file: &str) -> Result<Self, Error> {
        let path = dir.join(file);
        let record = if path.exists() { record::load(&path).await? } else { R::default() };
        Ok(Self { path, record: Mutex::new(record) })
    }

    pub async fn read<T>(&self, read: impl FnOnce(&R) -> T) -> T {
        read(&*self.record.lock().await)
    }

    /// Writes: the record, only if `change` succeeds; it is on disk before it is visible.
    pub async fn update<T, E: From<Error>>(&self, change: impl FnOnce(&mut R) -> Result<T, E>) -> Result<T, E> {
        let mut record = self.record.lock().await;
        let mut changed = record.clone();
        let outcome = change(&mut changed)?;
        record::save(&changed, &self.path).await?;
        *record = changed;
        Ok(outcome)
    }
}
