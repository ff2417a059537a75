//! Creates, seals and removes the folders of one attempt.
//!
//! The agent works in a tree with its own repository. The runner commits and pushes from a second repository, whose
//! place the agent does not know. Settings, hooks, commits and remotes in the agent's `.git` thus never reach commands
//! that have the forge's token. Both repositories borrow objects from the mirror.

mod aside;
pub(crate) mod disk;
mod kept;
pub(crate) mod mirror;
mod remove;

pub(crate) use mirror::Mirror;
pub(crate) use remove::entry as remove_entry;

use crate::git::nested;
use crate::git::{self, Call, Fault, Git};
use crate::options::Afterwards;
use crate::process::stray;
use aside::Aside;
use disk::{lock_file, on_disk, private_dirs, stands};
use kept::{Index, Kept};
use pullyard_domain::id::JobId;
use std::fs::{self, File};
use std::io::{self};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// This folder's path in the environment marks the processes of an attempt.
const TEMPORARY: &str = "tmp";
/// The runner's own repository. Its path marks git processes that outlived the runner.
const REPOSITORY: &str = "git";
/// Lock file: held while worktrees are created and stale ones are removed.
const MAKING: &str = ".making";
/// Lock file: held while the attempt of a worktree runs.
const LIVING: &str = "lock";

/// How often a busy folder is checked. Starting a process takes a few milliseconds.
const LOOKS: u32 = 5;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    outlived: AtomicBool,
    /// The state to which `seal` resets the runner's repository.
    kept: Mutex<Kept>,
    aside: Arc<Mutex<Aside>>,
    _living: File,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Checkout<'a> {
    pub(crate) branch: &'a str,
    /// The commit to check out.
    pub(crate) start: &'a str,
    pub(crate) base: (&'a str, &'a str),
}

impl Workspace {
    /// Creates the folders. First kills the processes of dead attempts and removes their folders.
    pub(crate) async fn make(work_dir: &Path, job: &JobId, attempt: u32) -> io::Result<Self> {
        let all = work_dir.join("worktrees");
        let folder = all.clone();
        let making = on_disk(move || {
            private_dirs(&folder)?;
            let making = lock_file(&folder.join(MAKING))?;
            making.lock().map(|()| making)
        });
        let _making = making.await?;
        let root = all.join(format!("{job}-{attempt}"));
        // A starting process inherits locks for a moment, even released ones. A busy folder may be free at the next
        // check.
        let mut looks_left = LOOKS;
        loop {
            remove_stale(&all).await;
            let root = root.clone();
            looks_left -= 1;
            match on_disk(move || Self::make_root(&root)).await {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy && looks_left > 0 => sleep(LOOK_AGAIN).await,
                made => return made,
            }
        }
    }

    fn make_root(root: &Path) -> io::Result<Self> {
        let busy = |why| io::Error::new(io::ErrorKind::ResourceBusy, why);
        private_dirs(root)?;
        let living = lock_file(&root.join(LIVING))?;
        living.try_lock().map_err(|_| busy("this attempt already runs on this machine"))?;
        // Folders are never reused.
        if fs::read_dir(root)?.flatten().any(|entry| entry.file_name() != LIVING) {
            return Err(busy("what an earlier process of this attempt left is still there"));
        }
        let workspace = Self {
            // Git and the agent run in other folders, so the path must be absolute.
            root: root.canonicalize()?,
            outlived: AtomicBool::new(false),
            kept: Mutex::new(Kept::default()),
            aside: Arc::default(),
            _living: living,
        };
        for dir in [workspace.tree(), workspace.home(), workspace.temporary()] {
            private_dirs(&dir)?;
        }
        Ok(workspace)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn root_in(work_dir: &Path, job: &JobId, attempt: u32) -> PathBuf {
        work_dir.join("worktrees").join(format!("{job}-{attempt}"))
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// The home folder for the project's commands. It contains no files of the agent.
    pub(crate) fn home_of_commands(&self) -> PathBuf {
        self.root.join("home-of-commands")
    }

    /// Excludes paths from the commit and from the agent's `git status`. `paths` is separated by zero bytes.
    pub(crate) async fn exclude(&self, paths: &[u8]) -> io::Result<()> {
        let lines = paths.split(|byte| *byte == 0).filter(|path| !path.is_empty()).flat_map(excluding);
        let lines: Vec<u8> = lines.collect();
        self.kept().exclude.clone_from(&lines);
        if lines.is_empty() {
            return Ok(());
        }
        // The repository's programs have run by now and may have created links here. Do not follow them.
        for dir in [self.repository(), self.tree().join(".git")] {
            if !git::is_folder(&dir).await {
                continue;
            }
            let info = dir.join("info");
            if !git::is_folder(&info).await {
                git::remove(&info).await?;
                tokio::fs::create_dir(&info).await?;
            }
            git::put(&info.join("exclude"), &lines).await?;
        }
        Ok(())
    }

    /// Kills the remaining processes of an attempt whose runner died.
    pub(crate) async fn kill_remains(work_dir: &Path, job: &JobId, attempt: u32) {
        // The attempt used the canonical path as its mark. Without the folder, it started no process.
        if let Ok(root) = Self::root_in(work_dir, job, attempt).canonicalize()
            && let Err(error) = stray::end_marked(&root.join(TEMPORARY), &root.join(REPOSITORY)).await
        {
            tracing::error!(error = %error, "failed to {error}");
        }
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join(TEMPORARY)
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.root.join(REPOSITORY)
    }

    pub(crate) async fn check_out(&self, git: &Git, mirror: &Mirror, at: Checkout<'_>) -> Result<(), Fault> {
        let (tree, repository) = (self.tree(), git::init_bare(git, self.repository()).await?);
        git::seal(&repository, Some(mirror.dir())).await.map_err(Fault::Disk)?;
        // The index stores the times of files. With it, git reads only touched files again, and reports no file as
        // changed that it would write differently today.
        let call = Call::new(["reset", "--hard", "--quiet", at.start]);
        git.run(Call::new(["update-ref", "--no-deref", "HEAD", at.start]).repository(&repository)).await?;
        git.run(call.repository(&repository).tree(&tree)).await?;
        self.give_repository(git, mirror, at).await?;
        self.pass_over_submodules(git).await?;
        {
            let mut kept = self.kept();
            kept.head = Some(at.start.to_owned());
            kept.mirror = Some(mirror.dir().to_owned());
        }
        self.remember().await.map_err(Fault::Disk)
    }

    /// Makes the runner's git skip submodules. An agent may have put repositories there: git would read them with their
    /// settings, and could block on pipes.
    async fn pass_over_submodules(&self, git: &Git) -> Result<(), Fault> {
        let (tree, repository) = (self.tree(), self.repository());
        let listed = git.run(Call::new(["ls-files", "--stage", "-z"]).repository(&repository)).await?;
        let mut paths = Vec::new();
        for path in nested::submodules(&listed) {
            paths.extend_from_slice(path.as_os_str().as_bytes());
            paths.push(0);
        }
        if paths.is_empty() {
            return Ok(());
        }
        let pass_over = Call::new(["update-index", "--skip-worktree", "-z", "--stdin"]).input(&paths);
        git.run(pass_over.repository(&repository).tree(&tree)).await.map(drop)
    }

    /// Resets the runner's repository to its state before foreign code ran: settings, HEAD, index and excludes. Each of
    /// them could hide work or name a program.
    ///
    /// Errors: `Disk`, also if the mirror or a folder of the attempt was replaced or is a link.
    pub(crate) async fn seal(&self, mirror: Option<&Mirror>) -> Result<(), Fault> {
        let sealed = async {
            let folders = [self.root.clone(), self.tree(), self.repository()];
            on_disk(move || folders.iter().try_for_each(|folder| stands(folder))).await?;
            let repository = self.repository();
            let kept = self.kept().clone();
            let mirror = mirror.map(Mirror::dir).or(kept.mirror.as_deref()).map(Path::to_owned);
            let (own, borrowed) = (repository.clone(), mirror.clone());
            let clean = move || {
                remove::odd(&own)?;
                borrowed.as_deref().map_or(Ok(()), mirror::clean_objects)
            };
            on_disk(clean).await?;
            git::seal(&repository, mirror.as_deref()).await?;
            on_disk(move || kept.put_back(&repository)).await
        };
        sealed.await.map_err(Fault::Disk)
    }

    /// Stores the index. Call this only if no foreign code ran since `seal`.
    pub(crate) async fn remember(&self) -> io::Result<()> {
        let repository = self.repository();
        let index = on_disk(move || Index::of(&repository)).await?;
        self.kept().index = index.map(Arc::new);
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the agent's repository: same files and history, no remote, no credentials, no hooks.
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

    /// Records that processes of the attempt could not be killed. Its folders then stay, so that the next attempt finds
    /// the processes.
    pub(crate) fn keep_for_the_next_look(&self) {
        self.outlived.store(true, Ordering::Relaxed);
    }

    pub(crate) async fn end(self, afterwards: Afterwards) {
        if self.outlived.load(Ordering::Relaxed) {
            let root = self.root.display();
            tracing::warn!(worktree = %root, "worktree kept, because it may still have processes");
            return;
        }
        if afterwards == Afterwards::Kept {
            if let Err(error) = self.put_left_out_back().await {
                tracing::warn!(error = %error, "cannot restore uncommitted files to the worktree: {error}");
            }
            tracing::info!(worktree = %self.root.display(), "worktree kept until the next run");
            return;
        }
        let root = self.root.clone();
        let removed = tokio::task::spawn_blocking(move || remove::tree(&root)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(error = %error, "cannot remove the worktree: {error}");
        }
    }
}

/// The line that makes git exclude exactly this path. Empty for a path with a line break.
fn excluding(path: &[u8]) -> Vec<u8> {
    if path.contains(&b'\n') {
        return Vec::new();
    }
    let mut line = vec![b'/'];
    for byte in path {
        if b"\\*?[ ".contains(byte) {
            line.push(b'\\');
        }
        line.push(*byte);
    }
    line.push(b'\n');
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

/// Removes the worktrees of dead runners, which no longer hold their lock. Kills their processes first: a surviving
/// agent would write files and call its model.
async fn remove_stale(all: &Path) {
    let all = all.to_owned();
    for (root, lock) in on_disk(move || stale(&all)).await.unwrap_or_default() {
        if let Err(error) = stray::end_marked(&root.join(TEMPORARY), &root.join(REPOSITORY)).await {
            // The processes may still write. The next attempt tries again.
            tracing::error!(error = %error, "failed to {error}");
            continue;
        }
        let removed = on_disk(move || remove::tree(&root)).await;
        // Until here, the lock prevents a second start of the same attempt.
        drop(lock);
        if let Err(error) = removed {
            tracing::warn!(error = %error, "cannot remove a stale worktree: {error}");
        }
    }
}

/// The folders of dead attempts, each with its lock held.
fn stale(all: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let dead = |entry: fs::DirEntry| {
        let root = entry.file_type().is_ok_and(|kind| kind.is_dir()).then(|| entry.path().canonicalize().ok())??;
        let lock = lock_file(&root.join(LIVING)).ok()?;
        lock.try_lock().ok().map(|()| (root, lock))
    };
    Ok(fs::read_dir(all)?.flatten().filter_map(dead).collect())
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
        let one = Workspace::make(dir.path(), &job("a"), 1).await.unwrap();
        let two = Workspace::make(dir.path(), &job("b"), 1).await.unwrap();
        assert!(Workspace::make(dir.path(), &job("a"), 1).await.is_err());
        fs::write(one.tree().join("dirty"), "").unwrap();
        let (living, dead) = (two.root.clone(), one.root.clone());
        drop(one);
        let three = Workspace::make(dir.path(), &job("a"), 1).await.unwrap();
        assert!(living.is_dir());
        assert_eq!(three.root, dead);
        assert!(!three.tree().join("dirty").exists());
        two.end(Afterwards::Removed).await;
        assert!(!living.exists());
        three.end(Afterwards::Kept).await;
        assert!(dead.is_dir());
    }

    #[test]
    fn existing_attempt_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("attempt");
        fs::create_dir_all(root.join("tree")).unwrap();
        let refused = Workspace::make_root(&root).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        assert!(refused.to_string().contains("is still there"), "{refused}");
    }

    #[tokio::test]
    async fn agent_home_is_outside_its_temporary_folder() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::make(dir.path(), &job("a"), 1).await.unwrap();
        // Codex refuses to create its helpers in a folder for temporary files.
        assert!(!workspace.home().starts_with(workspace.temporary()));
        workspace.end(Afterwards::Removed).await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn next_attempt_kills_processes_of_a_dead_one() {
        let dir = tempfile::tempdir().unwrap();
        let one = Workspace::make(dir.path(), &job("a"), 1).await.unwrap();
        let folder = one.root().to_owned();
        let mut command = tokio::process::Command::new("sleep");
        let child = command.arg("600").env("TMPDIR", one.temporary()).kill_on_drop(true).spawn().unwrap();
        let environ = format!("/proc/{}/environ", child.id().unwrap());
        // During exec, a process has no environment or that of the test.
        let mark = [&b"TMPDIR="[..], one.temporary().as_os_str().as_encoded_bytes()].concat();
        let is_marked = || fs::read(&environ).unwrap().split(|byte| *byte == 0).any(|variable| variable == mark);
        let begun = async {
            while !is_marked() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(120), begun).await.unwrap();
        one.keep_for_the_next_look();
        one.end(Afterwards::Removed).await;
        assert!(folder.is_dir());
        Workspace::make(dir.path(), &job("b"), 1).await.unwrap();
        // The folder stays while its processes may run.
        assert!(!folder.exists());
        // Dead processes have no environment.
        assert!(fs::read(&environ).unwrap_or_default().is_empty());
    }

    #[tokio::test]
    async fn seal_restores_index_head_and_exclude_file() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::make(dir.path(), &job("a"), 1).await.unwrap();
        let repository = git::init_bare(&Git::new("", ""), workspace.repository()).await.unwrap();
        let head = "1".repeat(40);
        workspace.kept().head = Some(head.clone());
        fs::write(repository.join("index"), "what git knows").unwrap();
        workspace.remember().await.unwrap();
        workspace.exclude(b"made.txt").await.unwrap();
        let files = ["index", "HEAD", "info/exclude"].map(|file| repository.join(file));
        let plants: [&dyn Fn(&Path); 4] = [
            &|file| fs::write(file, "planted").unwrap(),
            &|file| nix::unistd::mkfifo(file, nix::sys::stat::Mode::S_IRWXU).unwrap(),
            &|file| fs::create_dir(file).unwrap(),
            &|file| std::os::unix::fs::symlink("/dev/null", file).unwrap(),
        ];
        for plant in plants {
            for file in &files {
                fs::remove_file(file).unwrap();
                plant(file);
            }
            fs::write(repository.join("index.lock"), "").unwrap();
            let [packed, refs] = ["packed-refs", "refs"].map(|name| repository.join(name));
            remove::entry(&refs).unwrap();
            plant(&packed);
            plant(&refs);
            workspace.seal(None).await.unwrap();
            assert!(fs::symlink_metadata(&packed).is_err());
            assert!(fs::symlink_metadata(&refs).unwrap().is_dir() && fs::read_dir(&refs).unwrap().next().is_none());
            let found = files.each_ref().map(|file| fs::read_to_string(file).unwrap());
            assert_eq!(found, ["what git knows".to_owned(), format!("{head}\n"), "/made.txt\n".into()]);
            assert!(!repository.join("index.lock").exists());
        }
    }

    #[tokio::test]
    async fn seal_fails_if_a_folder_is_a_link_or_missing() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        let workspace = Workspace::make(dir.path(), &job("a"), 1).await.unwrap();
        let git = Git::new("", "");
        git::init_bare(&git, workspace.repository()).await.unwrap();
        workspace.seal(None).await.unwrap();
        for folder in [workspace.tree(), workspace.repository(), workspace.root().to_owned()] {
            fs::rename(&folder, &elsewhere).unwrap();
            std::os::unix::fs::symlink(&elsewhere, &folder).unwrap();
            let fault = workspace.seal(None).await.unwrap_err();
            assert!(fault.reason().ends_with("was taken away or leads elsewhere"), "{fault}");
            fs::remove_file(&folder).unwrap();
            assert!(workspace.seal(None).await.is_err(), "the folder is missing");
            fs::rename(&elsewhere, &folder).unwrap();
            workspace.seal(None).await.unwrap();
        }
    }

    #[tokio::test]
    async fn excluded_paths_match_literally() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::make(dir.path(), &job("a"), 1).await.unwrap();
        let git = Git::new("", "");
        let (tree, repository) = (workspace.tree(), git::init_bare(&git, workspace.repository()).await.unwrap());
        git::init_bare(&git, tree.join(".git")).await.unwrap();
        let out = ["a*", "b[1]", "c d ", "#e", "!f", "g\\h", "i?", "j/k"];
        fs::create_dir_all(tree.join("j")).unwrap();
        let stays = ["ax", "b1", "c d", "e", "f", "gh", "ii", "j/kk", "k"];
        out.iter().chain(&stays).for_each(|name| fs::write(tree.join(name), "").unwrap());
        workspace.exclude(out.join("\0").as_bytes()).await.unwrap();
        let listed = Call::new(["ls-files", "-z", "--others", "--exclude-standard"]);
        let listed = git.run(listed.repository(&repository).tree(&tree)).await.unwrap();
        let mut listed: Vec<_> = listed.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        listed.retain(|name| !name.is_empty());
        listed.sort();
        assert_eq!(listed, stays);
        let agents = fs::read(tree.join(".git/info/exclude")).unwrap();
        assert_eq!(agents, fs::read(repository.join("info/exclude")).unwrap(), "the agent's git shows the same");
        assert_eq!(excluding(b"two\nlines"), b"");
    }
}
