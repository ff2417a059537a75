//! Maintains the mirror of a repository: a bare copy of its branches, shared by all attempts on the machine.
//! It has only objects, branches and tags. It is fetched under a lock and never garbage-collected. Attempts write
//! nothing to it; they only remove entries that an agent put among its objects. A power loss or a full disk may leave it
//! damaged; it is then replaced by a new one.

use super::disk::{create_private_dirs, open_lock_file, run_blocking, verify_in_place};
use super::remove;
use super::settings::{self, load_shallow};
use crate::git::{self, Git, GitCall, GitError};
use crate::hash::sha256_hex;
use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::sleep;

const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);
const ALTERNATES: &str = "objects/info/alternates";

#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    dir: PathBuf,
}

impl Mirror {
    /// Fetches all branches and tags into the mirror. Waits without limit while another attempt fetches the same
    /// repository. Replaces a damaged mirror once.
    /// A new mirror gets only the newest `depth` commits of each branch, and no tags. Depth 0 fetches all commits, also
    /// those that the mirror lacks.
    /// Errors: `Disk` for local causes, otherwise the error of git.
    pub(crate) async fn fetch(git: &Git, work_dir: &Path, depth: u32) -> Result<Self, GitError> {
        Self::fetch_or_renew(git, work_dir, depth, None).await
    }

    /// Replaces the mirror after this error, which a damaged object caused.
    /// Errors: as in `fetch`; the error itself if it has another cause.
    pub(crate) async fn renew(git: &Git, work_dir: &Path, error: GitError) -> Result<Self, GitError> {
        if !error.is_damage() {
            return Err(error);
        }
        Self::fetch_or_renew(git, work_dir, 0, Some(error)).await
    }

    async fn fetch_or_renew(
        git: &Git,
        work_dir: &Path,
        depth: u32,
        damage: Option<GitError>,
    ) -> Result<Self, GitError> {
        let mirrors = work_dir.join("mirrors");
        create_private_dirs(&mirrors)?;
        let name = mirror_name(git.url());
        let lock = open_lock_file(&mirrors.join(format!("{name}.lock")))?;
        acquire_lock(&lock).await?;
        let dir = mirrors.join(format!("{name}.git"));
        let damage = match damage {
            Some(damage) => damage,
            None => match Self::update(git, dir.clone(), depth).await {
                Err(error) if error.is_damage() => error,
                result => return result,
            },
        };
        tracing::warn!(error = %damage, "the mirror `{name}.git` is damaged and is fetched anew: {damage}");
        // Other attempts borrow objects, so the old mirror stays until the new one is complete.
        let [new, old] = ["new", "old"].map(|state| mirrors.join(format!("{name}.{state}")));
        let to_remove = new.clone();
        run_blocking(move || remove::remove_entry(&to_remove)).await?;
        // An error about damage has its cause in the answer now, because a new mirror has nothing to be damaged.
        // Running attempts may need any commit of the old mirror.
        Self::update(git, new.clone(), 0).await?;
        let replace = move || {
            remove::remove_entry(&old)?;
            fs::rename(&dir, &old)?;
            fs::rename(&new, &dir)?;
            remove::remove_entry(&old)?;
            dir.canonicalize()
        };
        Ok(Self { dir: run_blocking(replace).await? })
    }

    /// A mirror for a job without a checkout: its only branch has one commit without files.
    pub(crate) async fn create_empty(git: &Git, root: &Path, branch: &str) -> Result<Self, GitError> {
        let dir = git::init_bare(git, root.join("empty.git")).await?;
        let run = async |call: GitCall<'_>| git.run_for_line(call.repository(&dir).with_identity()).await;
        let tree = run(GitCall::new(["mktree"]).input(b"")).await?;
        let commit = run(GitCall::new(["commit-tree", "-m", "No files", &tree])).await?;
        run(GitCall::new(["update-ref", &git::branch_ref(branch), &commit])).await?;
        Ok(Self { dir })
    }

    async fn update(git: &Git, dir: PathBuf, depth: u32) -> Result<Self, GitError> {
        // An agent that found the mirror may have replaced files that git reads by pipes, even its settings.
        let dir_to_clean = dir.clone();
        run_blocking(move || remove::remove_special_files(&dir_to_clean)).await?;
        // A repeated `init` repairs a repository if a killed process created it only in part.
        let dir = git::init_bare(git, dir).await?.canonicalize()?;
        let shallow = load_shallow(&dir);
        settings::reset(&dir, None, &shallow)?;
        remove_stale_locks(&dir);
        // Git does not fetch into a branch that a worktree uses, and an agent may have created one.
        for name in ["worktrees", ALTERNATES] {
            remove::remove_entry(&dir.join(name))?;
        }
        let is_shallow = !shallow.is_empty();
        let history = match depth {
            0 => is_shallow.then(|| "--unshallow".to_owned()),
            _ if is_shallow || !is_new(git, &dir).await? => None,
            depth => Some(format!("--depth={depth}")),
        };
        // The commits of all tags could be most of a history.
        let has_tags = depth == 0 || !is_shallow && history.is_none();
        let options = "fetch --quiet --prune --no-tags --no-write-fetch-head --no-recurse-submodules".split(' ');
        // An explicit list, because tags that git adds by itself are never moved or removed.
        let args = options.chain(history.as_deref()).chain(["--", git.url(), "+refs/heads/*:refs/heads/*"]);
        let args = args.chain(has_tags.then_some("+refs/tags/*:refs/tags/*"));
        git.run(GitCall::new(args).repository(&dir).with_forge_access()).await?;
        Ok(Self { dir })
    }

    /// Whether the mirror has all commits of one branch that are not on the other. Otherwise, git would compare and merge
    /// them from a wrong base.
    pub(crate) async fn joins(&self, git: &Git, one: &str, other: &str) -> Result<bool, GitError> {
        let (Some(one), Some(other)) = (self.branch(git, one).await?, self.branch(git, other).await?) else {
            return Ok(true);
        };
        let shallow = load_shallow(&self.dir);
        if shallow.is_empty() {
            return Ok(true);
        }
        let call = GitCall::new(["rev-list", &format!("{one}...{other}")]).repository(&self.dir);
        let (commits, shallow) = (git.run_for_line(call).await?, String::from_utf8_lossy(&shallow));
        let cut: HashSet<&str> = shallow.lines().collect();
        Ok(!commits.lines().any(|commit| cut.contains(commit)))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) async fn branch(&self, git: &Git, name: &str) -> Result<Option<String>, GitError> {
        // `show-ref` resolves no revision syntax: a name such as `main~1` is no branch.
        let call = GitCall::new(["show-ref", "--verify", "--hash", "--", &git::branch_ref(name)]);
        match git.run_for_line(call.repository(&self.dir)).await {
            Ok(commit) => Ok(Some(commit)),
            Err(GitError::Failed { stderr, .. }) if stderr.contains("not a valid ref") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A branch in the folder of this name.
    pub(crate) async fn branch_below(&self, git: &Git, name: &str) -> Result<Option<String>, GitError> {
        let pattern = format!("{}/", git::branch_ref(name));
        let args = ["for-each-ref", "--count=1", "--format=%(refname:strip=2)", &pattern];
        let branch = git.run_for_line(GitCall::new(args).repository(&self.dir)).await?;
        Ok((!branch.is_empty()).then_some(branch))
    }
}

/// Removes entries among a mirror's objects on which git would block, and the list of other object folders.
/// Errors: also if a link replaced the mirror or its objects.
pub(super) fn clean_objects(mirror: &Path) -> io::Result<()> {
    let objects = mirror.join("objects");
    verify_in_place(&objects)?;
    remove::remove_special_files(&objects)?;
    remove::remove_entry(&mirror.join(ALTERNATES))
}

async fn is_new(git: &Git, dir: &Path) -> Result<bool, GitError> {
    let call = GitCall::new(["for-each-ref", "--count=1"]).repository(dir);
    Ok(git.run(call).await?.is_empty())
}

fn mirror_name(url: &str) -> String {
    let hash = sha256_hex(url);
    hash.get(..32).unwrap_or(&hash).to_owned()
}

/// Polls, because a thread that blocks on a lock could not be stopped.
async fn acquire_lock(lock: &File) -> io::Result<()> {
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => sleep(LOCK_POLL_INTERVAL).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Removes git's own lock files. The caller holds the mirror's lock, so the processes that created them are dead.
fn remove_stale_locks(dir: &Path) {
    for name in ["packed-refs.lock", "HEAD.lock", "config.lock", "shallow.lock"] {
        let _ = fs::remove_file(dir.join(name));
    }
    let mut folders = vec![dir.join("refs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "lock") {
                let _ = fs::remove_file(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::test_world::TestRepository;
    use crate::git::workspace::{Checkout, Workspace};
    use std::os::unix::fs::PermissionsExt;

    fn empty_files(folder: &Path, is_damaged: &dyn Fn(&Path) -> bool) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                empty_files(&path, is_damaged);
            } else if is_damaged(&path) {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                fs::write(&path, "").unwrap();
            }
        }
    }

    #[tokio::test]
    async fn damaged_mirror_is_replaced_once() {
        let is_in = |folder: &'static str| move |path: &Path| path.to_string_lossy().contains(folder);
        type Damage = Box<dyn Fn(&Path) -> bool>;
        let kinds: [(&str, Damage); 4] = [
            ("all objects", Box::new(is_in("/objects/"))),
            ("branches", Box::new(is_in("/refs/heads/"))),
            ("HEAD", Box::new(|path| path.ends_with("HEAD"))),
            ("everything", Box::new(|_| true)),
        ];
        for (kind, is_damaged) in kinds {
            let repository = TestRepository::create().await;
            repository.commit(&[("a", "100644", b"1\n")]).await;
            let work_dir = repository.dir.path().canonicalize().unwrap().join("work");
            let mirror = Mirror::fetch(&repository.git, &work_dir, 0).await.unwrap();
            empty_files(mirror.dir(), &is_damaged);
            let newer = repository.commit(&[("a", "100644", b"2\n")]).await;
            let mirror = Mirror::fetch(&repository.git, &work_dir, 0).await.unwrap();
            assert_eq!(mirror.branch(&repository.git, "main").await.unwrap(), Some(newer), "{kind}");
            let count = fs::read_dir(work_dir.join("mirrors")).unwrap().count();
            assert_eq!(count, 2, "the mirror and its lock: {kind}");
        }
    }

    #[tokio::test]
    async fn damage_found_at_checkout_is_repaired() {
        let repository = TestRepository::create().await;
        let start = repository.commit(&[("a", "100644", b"1\n")]).await;
        let work_dir = repository.dir.path().canonicalize().unwrap().join("work");
        let mirror = Mirror::fetch(&repository.git, &work_dir, 0).await.unwrap();
        let blob = repository.run(&["rev-parse", "main:a"], b"").await;
        let (folder, name) = blob.split_at(2);
        empty_files(&mirror.dir().join("objects").join(folder), &|path| path.ends_with(name));
        let mirror = Mirror::fetch(&repository.git, &work_dir, 0).await.unwrap();
        let job = crate::git::test_world::assignment().job;
        let workspace = Workspace::create(&work_dir, &job, 1).await.unwrap();
        let checkout = Checkout { branch: "b", start: &start, base: ("main", &start) };
        assert!(workspace.check_out(&repository.git, &mirror, checkout).await.unwrap_err().is_damage());
        workspace.check_out_or_renew(&repository.git, &mirror, &work_dir, checkout).await.unwrap();
        assert_eq!(fs::read_to_string(workspace.tree().join("a")).unwrap(), "1\n");
    }

    #[tokio::test]
    async fn shallow_mirror_grows_and_is_completed_once() {
        let repository = TestRepository::create().await;
        let git = &repository.git;
        let first = repository.commit(&[("a", "100644", b"1\n")]).await;
        repository.run(&["tag", "v1", &first], b"").await;
        repository.commit(&[("a", "100644", b"2\n")]).await;
        let old = repository.run(&["commit-tree", "main^{tree}", "-p", &first, "-m", "old"], b"").await;
        repository.run(&["update-ref", "refs/heads/old", &old], b"").await;
        let work_dir = repository.dir.path().canonicalize().unwrap().join("work");
        let list = async |dir: &Path, name: &str| {
            let call = GitCall::new(["rev-list", "--count", name]).repository(dir);
            git.run_for_line(call).await.unwrap()
        };
        let mirror = Mirror::fetch(git, &work_dir, 1).await.unwrap();
        let dir = mirror.dir().to_owned();
        assert_eq!(list(&dir, "main").await, "1");
        let head = repository.commit(&[("a", "100644", b"3\n")]).await;
        let mirror = Mirror::fetch(git, &work_dir, 1).await.unwrap();
        assert_eq!((list(&dir, "main").await, mirror.joins(git, "old", "main").await.unwrap()), ("2".into(), false));
        // An attempt has the same history, also after a process planted another one.
        let job = crate::git::test_world::assignment().job;
        let workspace = Workspace::create(&work_dir, &job, 1).await.unwrap();
        let checkout = Checkout { branch: "b", start: &head, base: ("main", &head) };
        workspace.check_out(git, &mirror, checkout).await.unwrap();
        fs::write(workspace.repository().join("shallow"), format!("{head}\n")).unwrap();
        workspace.reset_repository().await.unwrap();
        for repository in [workspace.repository(), workspace.tree().join(".git")] {
            assert_eq!(list(&repository, "HEAD").await, "2");
        }
        let mirror = Mirror::fetch(git, &work_dir, 0).await.unwrap();
        assert_eq!((list(&dir, "v1").await, mirror.joins(git, "old", "main").await.unwrap()), ("1".into(), true));
        assert_eq!((list(&dir, "main").await, load_shallow(&dir)), ("3".into(), Vec::new()));
        Mirror::fetch(git, &work_dir, 1).await.unwrap();
        assert_eq!((list(&dir, "main").await, list(&workspace.repository(), "HEAD").await), ("3".into(), "2".into()));
    }

    #[tokio::test]
    async fn mirror_without_its_list_of_cut_commits_is_replaced() {
        let repository = TestRepository::create().await;
        repository.commit(&[("a", "100644", b"1\n")]).await;
        repository.commit(&[("a", "100644", b"2\n")]).await;
        let work_dir = repository.dir.path().canonicalize().unwrap().join("work");
        let mirror = Mirror::fetch(&repository.git, &work_dir, 1).await.unwrap();
        fs::remove_file(mirror.dir().join("shallow")).unwrap();
        let newer = repository.commit(&[("a", "100644", b"3\n")]).await;
        let mirror = Mirror::fetch(&repository.git, &work_dir, 1).await.unwrap();
        assert_eq!(mirror.branch(&repository.git, "main").await.unwrap(), Some(newer));
        let count = GitCall::new(["rev-list", "--count", "main"]).repository(mirror.dir());
        assert_eq!(repository.git.run_for_line(count).await.unwrap(), "3");
    }

    #[tokio::test]
    async fn mirror_of_a_damaged_source_is_not_blamed_on_the_forge() {
        let repository = TestRepository::create().await;
        repository.commit(&[("a", "100644", b"1\n")]).await;
        let work_dir = repository.dir.path().canonicalize().unwrap().join("work");
        let mirror = Mirror::fetch(&repository.git, &work_dir, 0).await.unwrap();
        empty_files(mirror.dir(), &|_| true);
        // The new mirror cannot be created either.
        let name = mirror_name(repository.git.url());
        fs::remove_dir_all(&repository.source).unwrap();
        let error = Mirror::fetch(&repository.git, &work_dir, 0).await.unwrap_err();
        let repo = pullyard_domain::text::id::RepositoryName::new("acme/app").unwrap();
        assert_eq!(error.to_source_failure("GitHub", &repo).code(), "source_not_found", "the true reason");
        assert!(mirror.dir().ends_with(format!("{name}.git")) && mirror.dir().exists());
    }

    #[tokio::test]
    async fn agent_sees_the_tags_of_its_history() {
        let repository = TestRepository::create().await;
        repository.commit(&[("a", "100644", b"1\n")]).await;
        repository.run(&["tag", "-a", "v1", "-m", "v1", "main"], b"").await;
        let other = repository.run(&["commit-tree", "main^{tree}", "-m", "other"], b"").await;
        repository.run(&["tag", "unreachable", &other], b"").await;
        repository.commit(&[("a", "100644", b"2\n")]).await;
        let work = repository.check_out().await;
        assert_eq!(work.agent_git(&["tag"]), "v1");
        assert!(work.agent_git(&["describe"]).starts_with("v1-1-g"));
        // A moved tag.
        let repository = work.repository;
        let moved = repository.run(&["rev-parse", "main"], b"").await;
        repository.run(&["tag", "-f", "v1", "main"], b"").await;
        let work_dir = repository.dir.path().canonicalize().unwrap().join("work");
        let mirror = Mirror::fetch(&repository.git, &work_dir, 0).await.unwrap();
        let tag = GitCall::new(["rev-parse", "refs/tags/v1"]).repository(mirror.dir());
        assert_eq!(repository.git.run_for_line(tag).await.unwrap(), moved);
    }

    #[tokio::test]
    async fn branch_is_found_by_its_exact_name_only() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::local("");
        let mirror = Mirror { dir: git::init_bare(&git, dir.path().join("git")).await.unwrap() };
        let run = async |args: &[&str]| {
            git.run_for_line(GitCall::new(args).repository(mirror.dir()).with_identity()).await.unwrap()
        };
        let tree = run(&["mktree"]).await;
        let commit = run(&["commit-tree", &tree, "-m", "base"]).await;
        for name in ["main", "pullyard/acme/app-17-1", "ü"] {
            run(&["update-ref", &git::branch_ref(name), &commit]).await;
            assert_eq!(mirror.branch(&git, name).await.unwrap().as_ref(), Some(&commit), "{name}");
        }
        for name in ["", "-x", "a b", "main~0", "main^{commit}", "@{-1}", "../heads/main", "ma*", "pullyard", "HEAD"] {
            assert_eq!(mirror.branch(&git, name).await.unwrap(), None, "{name}");
        }
        let below = async |name: &str| mirror.branch_below(&git, name).await.unwrap();
        assert_eq!(below("pullyard").await.as_deref(), Some("pullyard/acme/app-17-1"));
        for name in ["main", "pullyard/acme/app-17", "acme", ""] {
            assert_eq!(below(name).await, None, "{name}");
        }
    }
}
