//! The folders of one attempt, and how its files get there.
//!
//! The agent works in a tree with a repository of its own. The runner commits and pushes from another
//! repository that the agent is never told of, so that nothing the agent writes into `.git` (settings,
//! hooks, commits, remotes) reaches the commands that carry the forge's token. Both borrow their objects
//! from the mirror. What is committed is decided in `commit`, where the work starts in `target`.

mod mirror;
mod remove;

pub(crate) use mirror::Mirror;

use crate::git::{self, Call, Fault, Git};
use crate::options::Afterwards;
use pullyard_domain::id::JobId;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Held while worktrees are made and stale ones removed.
const TEMPORARY: &str = "tmp";
const MAKING: &str = ".making";
/// Held as long as the attempt of a worktree lives.
const LIVING: &str = "lock";

/// The folders of one attempt; nobody else touches them while this is held.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    _living: File,
}

/// Where an attempt's tree starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checkout<'a> {
    /// The branch the work is on.
    pub(crate) branch: &'a str,
    /// The commit the tree shows.
    pub(crate) start: &'a str,
    /// The branch it is compared with, and its commit.
    pub(crate) base: (&'a str, &'a str),
}

impl Workspace {
    /// Makes the folders, after removing those of attempts that died.
    pub(crate) fn make(work_dir: &Path, job: &JobId, attempt: u32) -> io::Result<Self> {
        let all = work_dir.join("worktrees");
        private_dirs(&all)?;
        let making = lock_file(&all.join(MAKING))?;
        making.lock()?;
        remove_stale(&all);
        let root = all.join(format!("{job}-{attempt}"));
        private_dirs(&root)?;
        let living = lock_file(&root.join(LIVING))?;
        living
            .try_lock()
            .map_err(|_| io::Error::new(io::ErrorKind::ResourceBusy, "this attempt already runs on this machine"))?;
        let workspace = Self {
            // Git and the agent run in folders of their own.
            root: root.canonicalize()?,
            _living: living,
        };
        for dir in [workspace.tree(), workspace.home(), workspace.temporary()] {
            private_dirs(&dir)?;
        }
        Ok(workspace)
    }

    /// Everything of the attempt.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the folder of an attempt is, whether it is there or not.
    pub(crate) fn root_in(work_dir: &Path, job: &JobId, attempt: u32) -> PathBuf {
        work_dir.join("worktrees").join(format!("{job}-{attempt}"))
    }

    /// The files the agent works on.
    pub(crate) fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    /// The agent's home folder.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// Kills what an attempt left behind whose own process died: its agent, and whatever that started.
    pub(crate) async fn kill_remains(work_dir: &Path, job: &JobId, attempt: u32) {
        // As the attempt itself named it; without the folder nothing was ever started in it.
        if let Ok(root) = Self::root_in(work_dir, job, attempt).canonicalize() {
            if let Err(error) = crate::stray::end_marked(&root.join(TEMPORARY)).await {
                tracing::error!(error = %error, "failed to {error}");
            }
        }
    }

    /// The agent's folder for temporary files.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join(TEMPORARY)
    }

    /// The runner's own repository.
    pub(crate) fn repository(&self) -> PathBuf {
        self.root.join("git")
    }

    /// Fills the tree.
    pub(crate) async fn check_out(&self, git: &Git, mirror: &Mirror, at: Checkout<'_>) -> Result<(), Fault> {
        let (tree, repository) = (self.tree(), git::init_bare(git, self.repository()).await?);
        git::seal(&repository, Some(mirror.dir())).await.map_err(Fault::Disk)?;
        // The index remembers what each file looked like, so that only touched files are read again,
        // and files that git would write differently today are not changed by us.
        let call = Call::new(["reset", "--hard", "--quiet", at.start]);
        git.run(Call::new(["update-ref", "--no-deref", "HEAD", at.start]).repository(&repository)).await?;
        git.run(call.repository(&repository).tree(&tree)).await?;
        self.give_repository(git, mirror, at).await
    }

    /// The agent's repository: the same files and history, no remote, no credentials, no hooks.
    async fn give_repository(&self, git: &Git, mirror: &Mirror, at: Checkout<'_>) -> Result<(), Fault> {
        let dir = git::init_bare(git, self.tree().join(".git")).await?;
        git::seal(&dir, Some(mirror.dir())).await.map_err(Fault::Disk)?;
        let (base, base_commit) = at.base;
        let (branch, base) = (git::branch_ref(at.branch), format!("refs/remotes/origin/{base}"));
        let refs = format!("update {branch} {}\nupdate {base} {base_commit}\n", at.start);
        let update = Call::new(["update-ref", "--stdin"]).input(refs.as_bytes());
        git.run(update.repository(&dir)).await?;
        git.run(Call::new(["symbolic-ref", "HEAD", &branch]).repository(&dir)).await?;
        let write = async {
            tokio::fs::copy(self.repository().join("index"), dir.join("index")).await?;
            tokio::fs::write(dir.join("config"), AGENT_CONFIG).await
        };
        write.await.map_err(Fault::Disk)
    }

    /// Removes the folders, unless they shall be kept.
    pub(crate) async fn end(self, afterwards: Afterwards) {
        if afterwards == Afterwards::Kept {
            tracing::info!(worktree = %self.root.display(), "the worktree is kept until the next run");
            return;
        }
        let root = self.root.clone();
        let removed = tokio::task::spawn_blocking(move || remove::tree(&root)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(error = %error, "a worktree could not be removed: {error}");
        }
    }
}

/// An agent that commits, against its instructions, shall not stumble over it.
const AGENT_CONFIG: &str = "\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
[user]
\tname = Agent
\temail = agent@localhost
";

/// Folders that other users can't look into.
pub(crate) fn private_dirs(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// A new file that only this user can read, from its first byte on. What stands there goes.
pub(crate) fn private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)
}

/// A file that exists to be locked.
pub(crate) fn lock_file(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Removes the worktrees whose process is gone: their lock is free.
fn remove_stale(all: &Path) {
    let Ok(listing) = fs::read_dir(all) else {
        return;
    };
    for entry in listing.flatten() {
        let root = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let stale = lock_file(&root.join(LIVING)).is_ok_and(|lock| lock.try_lock().is_ok());
        if stale && let Err(error) = remove::tree(&root) {
            tracing::warn!(error = %error, "a stale worktree could not be removed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(letter: &str) -> JobId {
        JobId::new(format!("job_{}", letter.repeat(26))).unwrap()
    }

    #[tokio::test]
    async fn only_worktrees_of_dead_attempts_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let one = Workspace::make(dir.path(), &job("a"), 1).unwrap();
        let two = Workspace::make(dir.path(), &job("b"), 1).unwrap();
        assert!(Workspace::make(dir.path(), &job("a"), 1).is_err());
        fs::write(one.tree().join("dirty"), "").unwrap();
        let (living, dead) = (two.root.clone(), one.root.clone());
        drop(one);
        let three = Workspace::make(dir.path(), &job("a"), 1).unwrap();
        assert!(living.is_dir());
        assert_eq!(three.root, dead);
        assert!(!three.tree().join("dirty").exists());
        two.end(Afterwards::Removed).await;
        assert!(!living.exists());
        three.end(Afterwards::Kept).await;
        assert!(dead.is_dir());
    }
}
