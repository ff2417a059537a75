//! Stores and finds repositories; paths come only from names that were validated at creation.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::{Mutex, RwLock};

use crate::{
    Error,
    branches::read_branches,
    git::Git,
    ids::FIRST_ID,
    names::{self, FullName},
    record::{self, RepositoryRecord},
};

#[derive(Debug)]
pub struct RepositoryEntry {
    pub id: u64,
    pub default_branch: String,
    pub owner: String,
    pub name: String,
    pub git_dir: PathBuf,
    pub record_path: PathBuf,
    /// Locked while a pull request is checked and stored, so that concurrent callers cannot create two.
    pub record: Mutex<RepositoryRecord>,
}

impl RepositoryEntry {
    /// Errors: `InvalidName` for the name in the record.
    pub fn new(dir: &Path, record: RepositoryRecord) -> Result<Self, Error> {
        let FullName { owner, name } = FullName::parse(&record.full_name)?;
        Ok(Self {
            id: record.id,
            default_branch: record.default_branch.clone(),
            git_dir: dir.join(&owner).join(format!("{name}.git")),
            record_path: dir.join(&owner).join(format!("{name}.json")),
            owner,
            name,
            record: Mutex::new(record),
        })
    }

    pub fn key(&self) -> String {
        names::lookup_key(&self.owner, &self.name)
    }

    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    pub async fn save(&self, current: &mut RepositoryRecord, changed: RepositoryRecord) -> Result<(), Error> {
        record::save(&changed, &self.record_path).await?;
        *current = changed;
        Ok(())
    }
}

#[derive(Debug)]
pub struct Repositories {
    dir: PathBuf,
    git: Arc<Git>,
    /// By [`RepositoryEntry::key`].
    pub entries: RwLock<BTreeMap<String, Arc<RepositoryEntry>>>,
}

impl Repositories {
    pub async fn load(dir: &Path, git: Arc<Git>) -> Result<Self, Error> {
        let repositories = Self { dir: dir.to_owned(), git, entries: RwLock::default() };
        repositories.discover().await?;
        Ok(repositories)
    }

    async fn discover(&self) -> Result<(), Error> {
        let dir = &self.dir;
        for owner in list_children(dir).await? {
            if !owner.is_dir() {
                continue;
            }
            for path in list_children(&owner).await? {
                if path.extension().is_none_or(|extension| extension != "json") {
                    continue;
                }
                let entry = RepositoryEntry::new(dir, record::load(&path).await?)?;
                // An interrupted creation leaves a record without a repository.
                if entry.record_path == path && entry.git_dir.is_dir() {
                    // Keep an existing entry, because its lock may be held.
                    self.entries.write().await.entry(entry.key()).or_insert_with(|| Arc::new(entry));
                }
            }
        }
        Ok(())
    }

    pub async fn find(&self, owner: &str, name: &str) -> Option<Arc<RepositoryEntry>> {
        let key = names::lookup_key(owner, name);
        let existing = self.entries.read().await.get(&key).cloned();
        if existing.is_some() {
            return existing;
        }
        self.reload().await;
        self.entries.read().await.get(&key).cloned()
    }

    pub async fn list(&self) -> Vec<Arc<RepositoryEntry>> {
        self.reload().await;
        self.entries.read().await.values().cloned().collect()
    }

    async fn reload(&self) {
        if let Err(error) = self.discover().await {
            tracing::warn!(error = %error, "forge folder not reloaded: {error}");
        }
    }

    pub async fn by_id(&self, id: u64) -> Option<Arc<RepositoryEntry>> {
        self.entries.read().await.values().find(|entry| entry.id == id).cloned()
    }

    pub async fn create(
        &self,
        full_name: &str,
        default_branch: &str,
        files: &[(&str, &str, bool)],
    ) -> Result<Arc<RepositoryEntry>, Error> {
        let mut entries = self.entries.write().await;
        let id = entries.values().map(|entry| entry.id + 1).max().unwrap_or(FIRST_ID);
        let record = RepositoryRecord {
            id,
            full_name: full_name.to_owned(),
            default_branch: default_branch.to_owned(),
            next_number: 1,
            ..RepositoryRecord::default()
        };
        let entry = RepositoryEntry::new(&self.dir, record.clone())?;
        if entries.contains_key(&entry.key()) {
            return Err(Error::RepositoryExists { full_name: full_name.to_owned() });
        }
        let first_commit = fast_import(default_branch, None, (FIRST_COMMITTER, "First commit"), files);

        // Build under another name and rename last: an interrupted creation is then not served and can be repeated.
        let draft = self.dir.join(&entry.owner).join(format!("{}.new", entry.name));
        if draft.exists() {
            tokio::fs::remove_dir_all(&draft).await.map_err(Error::storage(&draft))?;
        }
        tokio::fs::create_dir_all(&draft).await.map_err(Error::storage(&draft))?;
        let initial_branch = format!("--initial-branch={default_branch}");
        let init = ["init", "--bare", "--quiet", "--template=", &initial_branch];
        self.git.run(&draft, &init).await?;
        let import = ["fast-import", "--quiet", "--done", "--date-format=raw"];
        self.git.run_with_stdin(&draft, &import, &first_commit).await?;
        record::save(&record, &entry.record_path).await?;
        tokio::fs::rename(&draft, &entry.git_dir).await.map_err(Error::storage(&entry.git_dir))?;

        let entry = Arc::new(entry);
        entries.insert(entry.key(), entry.clone());
        Ok(entry)
    }
}

/// Fixed, so that the first commit of a demo always has the same id.
const FIRST_COMMITTER: &str = "Demo Forge <demo-forge@localhost> 1767225600 +0000";

/// The input of `git fast-import` for one commit.
fn fast_import(
    branch: &str,
    parent: Option<&str>,
    (committer, message): (&str, &str),
    files: &[(&str, &str, bool)],
) -> Vec<u8> {
    let mut stream = format!("commit refs/heads/{branch}\ncommitter {committer}\ndata {}\n{message}\n", message.len());
    if let Some(parent) = parent {
        stream.push_str(&format!("from {parent}\n"));
    }
    for (path, contents, executable) in files {
        let mode = if *executable { "100755" } else { "100644" };
        stream.push_str(&format!("M {mode} inline {path}\ndata {}\n{contents}\n", contents.len()));
    }
    stream.push_str("done\n");
    stream.into_bytes()
}

pub async fn commit(
    git: &Git,
    git_dir: &Path,
    (branch, from): (&str, &str),
    login: &str,
    files: &[(&str, &str, bool)],
) -> Result<(), Error> {
    let branches = read_branches(git_dir).await?;
    let parent = branches.get(branch).or_else(|| branches.get(from)).map(String::as_str);
    let message = format!("Change {}", files.iter().map(|(path, ..)| *path).collect::<Vec<_>>().join(", "));
    let committer = format!("{login} <{login}@localhost> now");
    let stream = fast_import(branch, parent, (&committer, &message), files);
    git.run_with_stdin(git_dir, &["fast-import", "--quiet", "--done", "--date-format=now"], &stream).await
}

async fn list_children(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut listing = tokio::fs::read_dir(dir).await.map_err(Error::storage(dir))?;
    let mut paths = Vec::new();
    while let Some(child) = listing.next_entry().await.map_err(Error::storage(dir))? {
        paths.push(child.path());
    }
    Ok(paths)
}
