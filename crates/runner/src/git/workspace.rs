//! Creates, resets and removes the folders of one attempt.
//! The agent works in a tree with its own repository. The runner commits and pushes from a second repository, whose
//! place the agent does not know. Settings, hooks, commits and remotes in the agent's `.git` thus never reach commands
//! that have the forge's token. Both repositories borrow objects from the mirror.

pub(crate) mod disk;
pub(crate) mod mirror;
mod remove;
mod settings;
mod snapshot;

pub(crate) use mirror::Mirror;
pub(crate) use remove::{is_folder, remove_entry, remove_special_files};

use crate::git::exclusions::Exclusions;
use crate::git::nested;
use crate::git::{self, Git, GitCall, GitError};
use crate::process::orphans;
use disk::{
    create_private_dir, create_private_dirs, open_lock_file, run_blocking, verify_in_place, write_private_file,
};
use pullyard_domain::review::published::work_notes::LeftOutReason;
use pullyard_domain::text::id::JobId;
use snapshot::{Index, RepositorySnapshot};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// This folder's path in the environment marks the processes of an attempt.
const TEMP_DIR: &str = "tmp";
/// The runner's own repository. Its path marks git processes that outlived the runner.
const REPOSITORY_DIR: &str = "git";
/// Lock file: held while worktrees are created and stale ones are removed.
const CREATION_LOCK: &str = ".making";
/// Lock file: held while the attempt of a worktree runs.
const ATTEMPT_LOCK: &str = "lock";

/// Number of tries for a busy folder. Starting a process takes a few milliseconds.
const BUSY_TRIES: u32 = 20;
const BUSY_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Limit of the arguments that name exceptions. Linux accepts 2 MiB of arguments.
const MAX_EXCEPTIONS_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    has_survivors: AtomicBool,
    snapshot: Mutex<RepositorySnapshot>,
    excluded: Mutex<ExclusionState>,
    _attempt_lock: File,
}

/// Work that is excluded from the commit, and the exclusions that were reported last.
#[derive(Debug, Default)]
struct ExclusionState {
    current: Exclusions,
    reported: Exclusions,
    /// Ignored files and folders from before the agent's work.
    ignored_before: BTreeSet<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Checkout<'a> {
    pub(crate) branch: &'a str,
    pub(crate) start: &'a str,
    pub(crate) base: (&'a str, &'a str),
}

impl Workspace {
    /// Creates the folders. First kills the processes of dead attempts and removes their folders.
    pub(crate) async fn create(work_dir: &Path, job: &JobId, attempt: u32) -> io::Result<Self> {
        let worktrees = work_dir.join("worktrees");
        let folder = worktrees.clone();
        let creation_lock = run_blocking(move || {
            create_private_dirs(&folder)?;
            let lock = open_lock_file(&folder.join(CREATION_LOCK))?;
            lock.lock().map(|()| lock)
        });
        let _creation_lock = creation_lock.await?;
        let root = Self::root_path(work_dir, job, attempt);
        // A starting process inherits locks for a moment, even released ones, so check a busy folder again.
        let mut tries_left = BUSY_TRIES;
        loop {
            remove_stale_worktrees(&worktrees).await;
            let root = root.clone();
            tries_left -= 1;
            match run_blocking(move || Self::create_root(&root)).await {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries_left > 0 => {
                    sleep(BUSY_RETRY_DELAY).await
                }
                result => return result,
            }
        }
    }

    fn create_root(root: &Path) -> io::Result<Self> {
        let busy = |reason| io::Error::new(io::ErrorKind::ResourceBusy, reason);
        create_private_dirs(root)?;
        let attempt_lock = open_lock_file(&root.join(ATTEMPT_LOCK))?;
        attempt_lock.try_lock().map_err(|_| busy("this attempt already runs on this machine"))?;
        if fs::read_dir(root)?.flatten().any(|entry| entry.file_name() != ATTEMPT_LOCK) {
            return Err(busy("what an earlier process of this attempt left is still there"));
        }
        let workspace = Self {
            // Git and the agent run in other folders, so the path must be absolute.
            root: root.canonicalize()?,
            has_survivors: AtomicBool::new(false),
            snapshot: Mutex::default(),
            excluded: Mutex::default(),
            _attempt_lock: attempt_lock,
        };
        for dir in [workspace.tree(), workspace.home(), workspace.temp_dir()] {
            create_private_dirs(&dir)?;
        }
        Ok(workspace)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn root_path(work_dir: &Path, job: &JobId, attempt: u32) -> PathBuf {
        work_dir.join("worktrees").join(format!("{job}-{attempt}"))
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    pub(crate) fn commands_home(&self) -> PathBuf {
        self.root.join("home-of-commands")
    }

    pub(crate) async fn exclude(&self, paths: &[u8]) -> io::Result<()> {
        // A line cannot contain a path with a line break.
        let paths = paths.split(|byte| *byte == 0).filter(|path| !path.is_empty() && !path.contains(&b'\n'));
        let lines: Vec<u8> = paths.flat_map(|path| [exclude_pattern(path), vec![b'\n']].concat()).collect();
        self.snapshot().exclude.clone_from(&lines);
        if lines.is_empty() {
            return Ok(());
        }
        // The repository's programs have run by now and may have created links here. Do not follow them.
        let folders = [self.repository(), self.tree().join(".git")];
        let write = move || {
            for dir in folders.iter().filter(|dir| is_folder(dir)) {
                create_private_dir(&dir.join("info"))?;
                write_private_file(&dir.join("info/exclude"), &lines)?;
            }
            Ok(())
        };
        run_blocking(write).await
    }

    /// Hides these paths and the paths of setup from `git status` in a check. The runner's own repository shows them.
    pub(crate) fn hide_in_tree(&self, paths: &[&str]) -> io::Result<()> {
        let dir = self.tree().join(".git");
        let mut lines = self.snapshot().exclude.clone();
        lines.extend(paths.iter().flat_map(|path| [exclude_pattern(path.as_bytes()), vec![b'\n']].concat()));
        if is_folder(&dir) {
            create_private_dir(&dir.join("info"))?;
            write_private_file(&dir.join("info/exclude"), &lines)?;
        }
        Ok(())
    }

    pub(crate) async fn kill_orphans(work_dir: &Path, job: &JobId, attempt: u32) {
        // The attempt used the canonical path as its mark. Without the folder, it started no process.
        if let Ok(root) = Self::root_path(work_dir, job, attempt).canonicalize()
            && let Err(error) = orphans::kill_marked_processes(&root.join(TEMP_DIR), &root.join(REPOSITORY_DIR)).await
        {
            tracing::error!(error = %error, "failed to {error}");
        }
    }

    pub(crate) fn temp_dir(&self) -> PathBuf {
        self.root.join(TEMP_DIR)
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    /// A temporary folder, where old versions of files are compared with the tree.
    pub(crate) fn comparison(&self) -> PathBuf {
        self.root.join("comparison")
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.root.join(REPOSITORY_DIR)
    }

    pub(crate) async fn check_out(&self, git: &Git, mirror: &Mirror, at: Checkout<'_>) -> Result<(), GitError> {
        let (tree, repository) = (self.tree(), git::init_bare(git, self.repository()).await?);
        let shallow = settings::load_shallow(mirror.dir());
        settings::reset(&repository, Some(mirror.dir()), &shallow)?;
        // With the index, git reads only touched files again, and reports no old line endings as changes.
        let call = GitCall::new(["reset", "--hard", "--quiet", at.start]);
        git.run(GitCall::new(["update-ref", "--no-deref", "HEAD", at.start]).repository(&repository)).await?;
        git.run(call.repository(&repository).tree(&tree)).await?;
        self.create_agent_repository(git, mirror, at, &shallow).await?;
        self.skip_submodules(git).await?;
        {
            let mut snapshot = self.snapshot();
            snapshot.head = Some(at.start.to_owned());
            snapshot.mirror = Some(mirror.dir().to_owned());
            snapshot.shallow = shallow;
        }
        Ok(self.snapshot_index().await?)
    }

    /// Like `check_out`, and replaces a damaged mirror once.
    pub(crate) async fn check_out_or_renew(
        &self,
        git: &Git,
        mirror: &Mirror,
        work_dir: &Path,
        at: Checkout<'_>,
    ) -> Result<(), GitError> {
        match self.check_out(git, mirror, at).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let mirror = Mirror::renew(git, work_dir, error).await?;
                self.check_out(git, &mirror, at).await
            }
        }
    }

    /// Makes the runner's git skip submodules, where an agent may have put repositories with settings of their own.
    async fn skip_submodules(&self, git: &Git) -> Result<(), GitError> {
        let (tree, repository) = (self.tree(), self.repository());
        let index_entries = git.run(GitCall::new(["ls-files", "--stage", "-z"]).repository(&repository)).await?;
        let submodules = nested::parse_submodules(&index_entries).into_iter();
        let paths: Vec<u8> = submodules.flat_map(|path| [path.as_os_str().as_bytes(), b"\0"].concat()).collect();
        if paths.is_empty() {
            return Ok(());
        }
        let skip = GitCall::new(["update-index", "--skip-worktree", "-z", "--stdin"]).input(&paths);
        git.run(skip.repository(&repository).tree(&tree)).await.map(drop)
    }

    /// Resets settings, HEAD, index and excludes, which foreign code may have changed to hide work or name a program.
    /// Errors: `Disk`, also if the mirror or a folder of the attempt was replaced or is a link.
    pub(crate) async fn reset_repository(&self) -> Result<(), GitError> {
        let (folders, repository) = ([self.root.clone(), self.tree(), self.repository()], self.repository());
        let snapshot = self.snapshot().clone();
        let reset = move || {
            folders.iter().try_for_each(|folder| verify_in_place(folder))?;
            remove::remove_special_files(&repository)?;
            snapshot.mirror.as_deref().map_or(Ok(()), mirror::clean_objects)?;
            settings::reset(&repository, snapshot.mirror.as_deref(), &snapshot.shallow)?;
            snapshot.restore(&repository)
        };
        Ok(run_blocking(reset).await?)
    }

    /// Stores the index. Call this only if no foreign code ran since `reset_repository`.
    pub(crate) async fn snapshot_index(&self) -> io::Result<()> {
        let repository = self.repository();
        let index = run_blocking(move || Index::load(&repository)).await?;
        self.snapshot().index = index.map(Arc::new);
        Ok(())
    }

    fn snapshot(&self) -> MutexGuard<'_, RepositorySnapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the agent's repository: same files, history and tags, no remote, no credentials, no hooks.
    async fn create_agent_repository(
        &self,
        git: &Git,
        mirror: &Mirror,
        at: Checkout<'_>,
        shallow: &[u8],
    ) -> Result<(), GitError> {
        let dir = git::init_bare(git, self.tree().join(".git")).await?;
        settings::reset(&dir, Some(mirror.dir()), shallow)?;
        let (base, base_commit) = at.base;
        let (branch, base) = (git::branch_ref(at.branch), format!("refs/remotes/origin/{base}"));
        let refs = format!("update {branch} {}\nupdate {base} {base_commit}\n", at.start);
        let update = GitCall::new(["update-ref", "--stdin"]).input(refs.as_bytes());
        git.run(update.repository(&dir)).await?;
        git.run(GitCall::new(["symbolic-ref", "HEAD", &branch]).repository(&dir)).await?;
        // Tags of other commits would tell the agent about branches that it cannot see.
        let tags = ["for-each-ref", "--format=%(objectname) %(refname)", "--merged", at.start, "refs/tags/"];
        let tags = git.run(GitCall::new(tags).repository(mirror.dir())).await?;
        tokio::fs::write(dir.join("packed-refs"), tags).await?;
        tokio::fs::copy(self.repository().join("index"), dir.join("index")).await?;
        Ok(tokio::fs::write(dir.join("config"), AGENT_CONFIG).await?)
    }

    pub(crate) fn set_exclusions(&self, exclusions: Exclusions) {
        self.lock_exclusions().current = exclusions;
    }

    pub(crate) fn set_ignored_before(&self, paths: BTreeSet<Vec<u8>>) {
        self.lock_exclusions().ignored_before = paths;
    }

    pub(crate) fn ignored_before(&self) -> BTreeSet<Vec<u8>> {
        self.lock_exclusions().ignored_before.clone()
    }

    pub(crate) fn exclusions(&self) -> Exclusions {
        self.lock_exclusions().current.clone()
    }

    /// Whether the exclusions changed since the last call. Each change is reported once.
    pub(crate) fn take_exclusion_change(&self) -> bool {
        let mut exclusions = self.lock_exclusions();
        let ExclusionState { current, reported, .. } = &mut *exclusions;
        std::mem::replace(reported, current.clone()) != *current
    }

    /// Options that make `git clean` spare the exclusions. It spares ignored files in any case.
    /// Arguments have a limit, so further files are removed: they are not in the commit either.
    pub(crate) fn clean_exceptions(&self) -> Vec<OsString> {
        let option = |path: &PathBuf| {
            let pattern = exclude_pattern(path.as_os_str().as_bytes());
            OsString::from_vec([b"--exclude=".as_slice(), &pattern].concat())
        };
        let exclusions = &self.lock_exclusions().current;
        let folders = exclusions.repositories.iter().map(|repository| &repository.folder);
        let reasons = [LeftOutReason::RefusedName, LeftOutReason::RefusedContent, LeftOutReason::Unreadable];
        let paths = reasons.iter().filter_map(|reason| exclusions.paths.get(reason)).flatten();
        let mut size_bytes = 0;
        let fits = |option: &OsString| {
            size_bytes += option.len();
            size_bytes <= MAX_EXCEPTIONS_BYTES
        };
        folders.chain(paths).map(option).take_while(fits).collect()
    }

    fn lock_exclusions(&self) -> MutexGuard<'_, ExclusionState> {
        self.excluded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that processes could not be killed. The folders then stay, so that the next attempt finds the processes.
    pub(crate) fn keep_for_orphan_cleanup(&self) {
        self.has_survivors.store(true, Ordering::Relaxed);
    }

    pub(crate) fn keep(self) {
        tracing::info!(worktree = %self.root.display(), "worktree kept until the next run");
    }

    pub(crate) async fn close(self) {
        if self.has_survivors.load(Ordering::Relaxed) {
            let root = self.root.display();
            tracing::warn!(worktree = %root, "worktree kept, because it may still have processes");
            return;
        }
        let root = self.root.clone();
        let result = tokio::task::spawn_blocking(move || remove::remove_tree(&root)).await;
        if let Ok(Err(error)) = result {
            tracing::warn!(error = %error, "cannot remove the worktree: {error}");
        }
    }
}

/// The pattern that makes git exclude exactly this path.
fn exclude_pattern(path: &[u8]) -> Vec<u8> {
    let mut line = vec![b'/'];
    for byte in path {
        if b"\\*?[ ".contains(byte) {
            line.push(b'\\');
        }
        line.push(*byte);
    }
    line
}

/// Without a user name and e-mail address, a commit by the agent would fail.
const AGENT_CONFIG: &str = "\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
[user]
\tname = Agent
\temail = agent@localhost
";

/// Removes the worktrees of dead runners, which no longer hold their lock. Kills their processes first.
async fn remove_stale_worktrees(worktrees: &Path) {
    let worktrees = worktrees.to_owned();
    for (root, lock) in run_blocking(move || list_stale(&worktrees)).await.unwrap_or_default() {
        if let Err(error) = orphans::kill_marked_processes(&root.join(TEMP_DIR), &root.join(REPOSITORY_DIR)).await {
            // The processes may still write. The next attempt tries again.
            tracing::error!(error = %error, "failed to {error}");
            continue;
        }
        let result = run_blocking(move || remove::remove_tree(&root)).await;
        // Until here, the lock prevents a second start of the same attempt.
        drop(lock);
        if let Err(error) = result {
            tracing::warn!(error = %error, "cannot remove a stale worktree: {error}");
        }
    }
}

fn list_stale(worktrees: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let lock_stale = |entry: fs::DirEntry| {
        let root = entry.file_type().is_ok_and(|kind| kind.is_dir()).then(|| entry.path().canonicalize().ok())??;
        let lock = open_lock_file(&root.join(ATTEMPT_LOCK)).ok()?;
        lock.try_lock().ok().map(|()| (root, lock))
    };
    Ok(fs::read_dir(worktrees)?.flatten().filter_map(lock_stale).collect())
}

#[cfg(test)]
mod tests;
