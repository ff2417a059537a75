//! Stores and finds repositories; paths come only from names that were validated at creation.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock as Lock},
};

use tokio::sync::{Mutex, RwLock};

use crate::{
    Error,
    git::Git,
    names::{self, FullName},
    record::{self, RepositoryRecord},
};

/// Not representable as a double: a client that parses ids as floating point fails here, before it uses GitHub.
pub const FIRST_ID: u64 = 9_007_199_254_740_993;

#[derive(Debug)]
pub struct RepositoryEntry {
    pub id: u64,
    pub default_branch: String,
    paths: Lock<RepositoryPaths>,
    /// Locked while a pull request is checked and stored, so that concurrent callers cannot create two.
    pub record: Mutex<RepositoryRecord>,
}

#[derive(Clone, Debug)]
struct RepositoryPaths {
    owner: String,
    name: String,
    git_dir: PathBuf,
    record_path: PathBuf,
    deleted: bool,
}

impl RepositoryPaths {
    fn new(dir: &Path, name: FullName) -> Self {
        let FullName { owner, name } = name;
        Self {
            git_dir: dir.join(&owner).join(format!("{name}.git")),
            record_path: dir.join(&owner).join(format!("{name}.json")),
            owner,
            name,
            deleted: false,
        }
    }
}

impl RepositoryEntry {
    fn new(dir: &Path, name: FullName, record: RepositoryRecord) -> Self {
        Self {
            id: record.id,
            default_branch: record.default_branch.clone(),
            paths: Lock::new(RepositoryPaths::new(dir, name)),
            record: Mutex::new(record),
        }
    }

    fn paths(&self) -> RepositoryPaths {
        self.paths.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn owner(&self) -> String {
        self.paths().owner
    }

    pub fn name(&self) -> String {
        self.paths().name
    }

    pub fn git_dir(&self) -> PathBuf {
        self.paths().git_dir
    }

    pub fn full_name(&self) -> String {
        let RepositoryPaths { owner, name, .. } = self.paths();
        format!("{owner}/{name}")
    }

    pub async fn save(&self, current: &mut RepositoryRecord, changed: RepositoryRecord) -> Result<(), Error> {
        let place = self.paths();
        if place.deleted {
            return Err(Error::RepositoryMissing { full_name: format!("{}/{}", place.owner, place.name) });
        }
        record::save(&changed, &place.record_path).await?;
        *current = changed;
        Ok(())
    }
}

#[derive(Debug)]
pub struct Repositories {
    dir: PathBuf,
    git: Arc<Git>,
    entries: RwLock<BTreeMap<String, Arc<RepositoryEntry>>>,
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
                let record: RepositoryRecord = record::load(&path).await?;
                let name = FullName::parse(&record.full_name)?;
                let key = names::lookup_key(&name.owner, &name.name);
                let entry = RepositoryEntry::new(dir, name, record);
                // An interrupted creation leaves a record without a repository.
                let place = entry.paths();
                if place.record_path == path && place.git_dir.is_dir() {
                    // Keep an existing entry, because its lock may be held.
                    self.entries.write().await.entry(key).or_insert_with(|| Arc::new(entry));
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

    /// Writes: the new record; then moves the folder and deletes the old record. After an interruption one name is
    /// complete, and the other has no repository.
    pub async fn rename(&self, entry: &Arc<RepositoryEntry>, full_name: &str) -> Result<(), Error> {
        let name = FullName::parse(full_name)?;
        let key = names::lookup_key(&name.owner, &name.name);
        let mut entries = self.entries.write().await;
        if entries.get(&key).is_some_and(|existing| existing.id != entry.id) {
            return Err(Error::RepositoryExists { full_name: full_name.to_owned() });
        }
        let mut record = entry.record.lock().await;
        let old = entry.paths();
        if old.deleted {
            return Err(Error::RepositoryMissing { full_name: full_name.to_owned() });
        }
        let new = RepositoryPaths::new(&self.dir, name);
        if new.record_path == old.record_path {
            return Ok(());
        }
        let owner = self.dir.join(&new.owner);
        tokio::fs::create_dir_all(&owner).await.map_err(Error::storage(&owner))?;
        let changed = RepositoryRecord { full_name: full_name.to_owned(), ..record.clone() };
        record::save(&changed, &new.record_path).await?;
        tokio::fs::rename(&old.git_dir, &new.git_dir).await.map_err(Error::storage(&new.git_dir))?;
        tokio::fs::remove_file(&old.record_path).await.map_err(Error::storage(&old.record_path))?;
        *record = changed;
        entries.remove(&names::lookup_key(&old.owner, &old.name));
        *entry.paths.write().unwrap_or_else(PoisonError::into_inner) = new;
        entries.insert(key, entry.clone());
        Ok(())
    }

    /// Deletes only the link of a linked repository.
    pub async fn delete(&self, entry: &Arc<RepositoryEntry>) -> Result<(), Error> {
        let mut entries = self.entries.write().await;
        let _record = entry.record.lock().await;
        let place = entry.paths();
        if place.deleted {
            return Ok(());
        }
        // Delete the record first: without it the repository is not loaded again.
        tokio::fs::remove_file(&place.record_path).await.map_err(Error::storage(&place.record_path))?;
        entry.paths.write().unwrap_or_else(PoisonError::into_inner).deleted = true;
        entries.remove(&names::lookup_key(&place.owner, &place.name));
        let removed = if place.git_dir.is_symlink() {
            tokio::fs::remove_file(&place.git_dir).await
        } else {
            tokio::fs::remove_dir_all(&place.git_dir).await
        };
        removed.map_err(Error::storage(&place.git_dir))
    }

    pub async fn create(
        &self,
        full_name: &str,
        default_branch: &str,
        files: &[(&str, &str, bool)],
    ) -> Result<Arc<RepositoryEntry>, Error> {
        let name = FullName::parse(full_name)?;
        names::check_branch(default_branch)?;
        for (path, ..) in files {
            names::check_file(path)?;
        }
        let mut entries = self.entries.write().await;
        let key = names::lookup_key(&name.owner, &name.name);
        if entries.contains_key(&key) {
            return Err(Error::RepositoryExists { full_name: full_name.to_owned() });
        }
        let id = entries.values().map(|entry| entry.id + 1).max().unwrap_or(FIRST_ID);
        let record = RepositoryRecord {
            id,
            full_name: full_name.to_owned(),
            default_branch: default_branch.to_owned(),
            next_number: 1,
            ..RepositoryRecord::default()
        };
        let entry = RepositoryEntry::new(&self.dir, name, record.clone());

        // Build under another name and rename last: an interrupted creation is then not served and can be repeated.
        let place = entry.paths();
        let draft = self.dir.join(&place.owner).join(format!("{}.new", place.name));
        if draft.exists() {
            tokio::fs::remove_dir_all(&draft).await.map_err(Error::storage(&draft))?;
        }
        tokio::fs::create_dir_all(&draft).await.map_err(Error::storage(&draft))?;
        let initial_branch = format!("--initial-branch={default_branch}");
        let init = ["init", "--bare", "--quiet", "--template=", &initial_branch];
        self.git.run(Some(&draft), &init).await?;
        let first_commit = fast_import_stream(default_branch, files);
        let import = ["fast-import", "--quiet", "--done", "--date-format=raw"];
        self.git.run_with_stdin(&draft, &import, &first_commit).await?;
        record::save(&record, &place.record_path).await?;
        tokio::fs::rename(&draft, &place.git_dir).await.map_err(Error::storage(&place.git_dir))?;

        let entry = Arc::new(entry);
        entries.insert(key, entry.clone());
        Ok(entry)
    }
}

fn fast_import_stream(branch: &str, files: &[(&str, &str, bool)]) -> Vec<u8> {
    const MESSAGE: &str = "First commit";
    let mut stream = format!(
        "commit refs/heads/{branch}\n\
         committer Demo Forge <demo-forge@localhost> 1767225600 +0000\n\
         data {}\n{MESSAGE}\n",
        MESSAGE.len()
    );
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
    names::check_branch(branch)?;
    for (path, ..) in files {
        names::check_file(path)?;
    }
    let branches = git.branches(git_dir).await?;
    let parent = branches.get(branch).or_else(|| branches.get(from));
    let message = format!("Change {}", files.iter().map(|(path, ..)| *path).collect::<Vec<_>>().join(", "));
    let mut stream = format!("commit refs/heads/{branch}\ncommitter {login} <{login}@localhost> now\n");
    stream.push_str(&format!("data {}\n{message}\n", message.len()));
    if let Some(parent) = parent {
        stream.push_str(&format!("from {parent}\n"));
    }
    for (path, contents, executable) in files {
        let mode = if *executable { "100755" } else { "100644" };
        stream.push_str(&format!("M {mode} inline {path}\ndata {}\n{contents}\n", contents.len()));
    }
    stream.push_str("done\n");
    git.run_with_stdin(git_dir, &["fast-import", "--quiet", "--done", "--date-format=now"], stream.as_bytes()).await
}

async fn list_children(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut listing = tokio::fs::read_dir(dir).await.map_err(Error::storage(dir))?;
    let mut paths = Vec::new();
    while let Some(child) = listing.next_entry().await.map_err(Error::storage(dir))? {
        paths.push(child.path());
    }
    Ok(paths)
}
