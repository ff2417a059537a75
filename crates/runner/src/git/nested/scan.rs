//! Finds repositories inside the agent's tree, and removes files on which git would block.

use super::{ExcludedRepository, classify_git_dir};
use crate::git::workspace::disk::run_blocking;
use crate::git::workspace::{Workspace, remove_entry};
use crate::git::{Git, GitCall, GitError};
use pullyard_domain::review::published::nested_repository::{NestedAction, NestedKind, OuterState, decide_action};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The submodules, from the output of `git ls-files --stage -z`.
pub(crate) fn parse_submodules(index_entries: &[u8]) -> HashSet<PathBuf> {
    let entries = index_entries.split(|byte| *byte == 0).filter(|entry| entry.starts_with(b"160000 "));
    entries.filter_map(parse_path).map(|path| PathBuf::from(OsStr::from_bytes(path))).collect()
}

fn parse_path(entry: &[u8]) -> Option<&[u8]> {
    entry.splitn(2, |byte| *byte == b'\t').nth(1)
}

/// The tracked files and all folders above them, from the output of `git ls-files --stage -z`.
fn tracked_paths(index_entries: &[u8]) -> HashSet<&[u8]> {
    let mut paths = HashSet::new();
    for path in index_entries.split(|byte| *byte == 0).filter_map(parse_path) {
        let mut next = Some(path);
        while let Some(ancestor) = next.filter(|path| paths.insert(*path)) {
            next = ancestor.iter().rposition(|byte| *byte == b'/').and_then(|end| ancestor.get(..end));
        }
    }
    paths
}

pub(crate) async fn prepare_tree(workspace: &Workspace) -> Result<(), GitError> {
    let root = workspace.tree();
    run_blocking(move || walk_tree(&root, &HashSet::new())).await?;
    Ok(())
}

/// Makes a submodule's files readable, and removes files on which git would block.
pub(crate) fn prepare_folder(folder: &Path) -> std::io::Result<()> {
    walk_tree(folder, &HashSet::new()).map(drop)
}

/// Removes the `.git` of repositories inside the tree whose files belong to the work. Otherwise git would record a link
/// to an unknown commit, or run there with that repository's settings. Returns the submodules, and the folders to
/// exclude.
pub(crate) async fn remove_nested_git_dirs(
    git: &Git,
    workspace: &Workspace,
) -> Result<(HashSet<PathBuf>, Vec<ExcludedRepository>), GitError> {
    let (root, repository) = (workspace.tree(), workspace.repository());
    let index_entries = git.run(GitCall::new(["ls-files", "--stage", "-z"]).repository(&repository)).await?;
    let submodules = parse_submodules(&index_entries);
    let skip = submodules.clone();
    let walk = run_blocking(move || {
        let git_dirs = walk_tree(&root, &skip)?;
        let kinds = git_dirs.iter().map(|path| classify_git_dir(&root.join(path))).collect::<Vec<_>>();
        Ok((git_dirs, kinds))
    });
    let (git_dirs, kinds) = walk.await?;
    let ignored = list_ignored_paths(git, workspace, &git_dirs).await?;
    let tracked = if git_dirs.is_empty() { HashSet::new() } else { tracked_paths(&index_entries) };
    let repositories = git_dirs.into_iter().zip(kinds).filter_map(|(git, kind)| {
        let folder = git.parent()?;
        let has_files = tracked.contains(folder.as_os_str().as_bytes());
        let outer = OuterState { has_files, is_ignored: ignored.contains(folder) };
        Some(NestedRepository { git, kind, outer })
    });
    let (excluded, removed) = partition_repositories(repositories.collect());
    let root = workspace.tree();
    run_blocking(move || removed.iter().try_for_each(|path| remove_entry(&root.join(path)))).await?;
    Ok((submodules, excluded))
}

struct NestedRepository {
    git: PathBuf,
    kind: Option<NestedKind>,
    outer: OuterState,
}

/// Separates the folders to exclude, each with all repositories inside, from those whose `.git` is removed.
fn partition_repositories(mut repositories: Vec<NestedRepository>) -> (Vec<ExcludedRepository>, Vec<PathBuf>) {
    repositories.sort_by(|a, b| a.git.parent().cmp(&b.git.parent()));
    let (mut excluded, mut removed) = (Vec::<ExcludedRepository>::new(), Vec::new());
    for NestedRepository { git, kind, outer } in repositories {
        let folder = git.parent().unwrap_or(Path::new(""));
        // Each folder precedes its content, so only the last excluded folder can contain this one.
        if excluded.last().is_some_and(|repository| folder.starts_with(&repository.folder)) {
            continue;
        }
        match decide_action(kind, outer) {
            NestedAction::Exclude(kind) => {
                excluded.push(ExcludedRepository { folder: folder.to_owned(), kind, is_ignored: outer.is_ignored });
            }
            NestedAction::CommitFiles => removed.push(git),
            NestedAction::Ignore => {}
        }
    }
    (excluded, removed)
}

/// The parent folders of these `.git` entries that the project's repository ignores.
async fn list_ignored_paths(
    git: &Git,
    workspace: &Workspace,
    git_dirs: &[PathBuf],
) -> Result<HashSet<PathBuf>, GitError> {
    let mut query = Vec::new();
    for folder in git_dirs.iter().filter_map(|path| path.parent()) {
        // Without the prefix, git could read a name as a pattern.
        query.extend_from_slice(b"./");
        query.extend_from_slice(folder.as_os_str().as_bytes());
        query.push(0);
    }
    if query.is_empty() {
        return Ok(HashSet::new());
    }
    let (tree, repository) = (workspace.tree(), workspace.repository());
    let call = GitCall::new(["check-ignore", "-z", "--stdin"]).repository(&repository).tree(&tree).input(&query);
    match git.run(call).await {
        Ok(output) => {
            let paths = output.split(|byte| *byte == 0).filter_map(|path| path.strip_prefix(b"./"));
            Ok(paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect())
        }
        // Git also exits with an error if no path is ignored. If git failed, no path counts as ignored.
        Err(GitError::Failed { .. }) => Ok(HashSet::new()),
        Err(error) => Err(error),
    }
}

/// Finds the repositories inside the tree by their `.git`, also in other repositories and in ignored folders. Makes
/// everything readable, because git omits unreadable folders. Removes pipes, sockets and devices, which block git.
/// Errors: `InvalidFilename` for a folder that is too deep.
fn walk_tree(tree: &Path, skip: &HashSet<PathBuf>) -> std::io::Result<Vec<PathBuf>> {
    let (mut folders, mut git_dirs) = (vec![PathBuf::new()], Vec::new());
    while let Some(folder) = folders.pop() {
        let dir = tree.join(&folder);
        make_readable(&dir);
        let listing = match std::fs::read_dir(&dir) {
            Ok(listing) => listing,
            Err(error) if error.kind() == ErrorKind::InvalidFilename => return Err(path_too_long(&folder)),
            Err(error) => {
                // The folder belongs to another user, so it contains no work of the agent.
                tracing::warn!(error = %error, "cannot read a folder of the worktree: {error}");
                continue;
            }
        };
        for entry in listing {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            // Some file systems ignore case.
            let is_git = entry.file_name().as_bytes().eq_ignore_ascii_case(b".git");
            let is_own = is_git && folder.as_os_str().is_empty();
            if is_git && !is_own {
                git_dirs.push(path.clone());
            }
            if kind.is_dir() {
                // The agent's own repository. The runner's git does not read it.
                let is_own_git = is_own && entry.file_name() == ".git";
                if !is_own_git && !skip.contains(&path) {
                    folders.push(path);
                }
            } else if kind.is_file() {
                make_readable(&entry.path());
            } else if !kind.is_symlink() {
                match std::fs::remove_file(entry.path()) {
                    Err(error) if error.kind() == ErrorKind::InvalidFilename => return Err(path_too_long(&path)),
                    removed => drop(removed),
                }
            }
        }
    }
    Ok(git_dirs)
}

/// An error whose text is the beginning of the path.
fn path_too_long(path: &Path) -> std::io::Error {
    let beginning: PathBuf = path.components().take(3).collect();
    std::io::Error::new(ErrorKind::InvalidFilename, beginning.join("…").to_string_lossy())
}

/// The beginning of the first path that is too long; `None` if there is none.
pub(crate) fn find_too_long_path(tree: &Path) -> Option<String> {
    let error = walk_tree(tree, &HashSet::new()).err().filter(|error| error.kind() == ErrorKind::InvalidFilename)?;
    Some(error.to_string())
}

fn make_readable(path: &Path) {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return };
    let (needed, mode_bits) = match metadata.is_dir() {
        true => (0o500, 0o700),
        false if metadata.is_file() => (0o400, 0o400),
        false => return,
    };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & needed != needed {
        // Files of other users cannot be changed; reading them fails later.
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode | mode_bits));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_folders_are_searched_and_links_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let [tree, outside] = ["tree", "outside"].map(|name| dir.path().join(name));
        for folder in [&tree.join("closed/inner/.git"), &tree.join("sub/.git"), &outside.join("x/.git")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        for file in ["sub/a", "unreadable"] {
            std::fs::write(tree.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(&outside, tree.join("link")).unwrap();
        nix::unistd::mkfifo(&tree.join("closed/.gitignore"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mode = |folder: &str| std::fs::metadata(tree.join(folder)).unwrap().permissions().mode() & 0o777;
        for (path, mode) in [("closed/inner", 0o600), ("closed", 0o000), ("unreadable", 0o010), ("sub/a", 0o200)] {
            std::fs::set_permissions(tree.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o300)).unwrap();
        let found = walk_tree(&tree, &HashSet::from(["sub".into()])).unwrap();
        assert_eq!(found, [PathBuf::from("closed/inner/.git")], "the submodule's repository is not listed");
        assert_eq!([mode("closed"), mode("closed/inner")], [0o700, 0o700]);
        assert_eq!([mode("unreadable"), mode("sub/a")], [0o410, 0o200]);
        assert!(!tree.join("closed/.gitignore").exists());
        let metadata = std::fs::symlink_metadata(&outside).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o300, "folders behind a link stay unchanged");
        std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn repository_inside_an_excluded_folder_is_not_listed() {
        use NestedKind::{Clone, Worktree};
        let repository = |folder: &str, kind, is_ignored| NestedRepository {
            git: PathBuf::from(folder).join(".git"),
            kind,
            outer: OuterState { has_files: false, is_ignored },
        };
        let (excluded, removed) = partition_repositories(vec![
            repository("a/in/it", None, false),
            repository("a.b", None, false),
            repository("begun/copy", Some(Clone), false),
            repository("begun", None, false),
            repository("a", Some(Clone), false),
            repository("made/deps", Some(Clone), true),
            repository("made/tree", Some(Worktree), true),
            repository("a/copy", Some(Worktree), false),
        ]);
        let excluded: Vec<_> =
            excluded.iter().map(|repository| (repository.folder.to_str().unwrap(), repository.kind)).collect();
        assert_eq!(excluded, [("a", Clone), ("begun/copy", Clone), ("made/tree", Worktree)]);
        assert_eq!(removed, ["a.b/.git", "begun/.git"].map(PathBuf::from));
    }

    #[test]
    fn git_folder_in_any_letter_case_is_searched() {
        let dir = tempfile::tempdir().unwrap();
        for folder in [".GIT/x/.git", "a/.Git/y", "a/.git/z"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for pipe in [".GIT/x/.git/HEAD", "a/.Git/y/.gitignore", "a/.git/z/.gitignore"] {
            nix::unistd::mkfifo(&dir.path().join(pipe), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        let found: HashSet<_> = walk_tree(dir.path(), &HashSet::new()).unwrap().into_iter().collect();
        // On a case-insensitive file system, `a/.Git` and `a/.git` are the same folder.
        assert!(found.contains(Path::new("a/.git")) || found.contains(Path::new("a/.Git")), "{found:?}");
        let pipes = [".GIT/x/.git/HEAD", "a/.Git/y/.gitignore", "a/.git/z/.gitignore"];
        assert_eq!(pipes.map(|path| dir.path().join(path).exists()), [false; 3]);
    }

    #[test]
    fn too_deep_folders_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, next) = (dir.path().join("tree"), dir.path().join("next"));
        let chain: PathBuf = ["deep"; 100].iter().collect();
        std::fs::create_dir(&tree).unwrap();
        for _ in 0..9 {
            std::fs::create_dir_all(next.join(&chain)).unwrap();
            std::fs::rename(&tree, next.join(&chain).join("deep")).unwrap();
            std::fs::rename(&next, &tree).unwrap();
        }
        let error = walk_tree(&tree, &HashSet::new()).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::InvalidFilename, "deep/deep/deep/…"));
        let failure = GitError::Disk(error).to_workspace_failure();
        assert_eq!(
            (failure.code(), find_too_long_path(&tree).as_deref()),
            ("paths_too_long", Some("deep/deep/deep/…"))
        );
        remove_entry(&tree).unwrap();
    }

    #[test]
    fn folders_of_tracked_files_and_submodules_are_parsed() {
        let index_entries = b"100644 aaaa 0\tvendor/lib/a b.txt\x00100644 aaaa 0\tvendor/lib/c\x00\
                       100755 bbbb 0\tvendor/library\x00160000 cccc 0\tsub\0";
        let found = tracked_paths(index_entries);
        for (path, is_tracked) in [
            ("vendor/lib", true),
            ("vendor", true),
            // A folder may have replaced this file.
            ("vendor/library", true),
            ("vendor/lib/c", true),
            ("vendor/li", false),
            ("lib", false),
            ("", false),
        ] {
            assert_eq!(found.contains(path.as_bytes()), is_tracked, "{path}");
        }
        assert_eq!(tracked_paths(b""), HashSet::new());
        assert_eq!(parse_submodules(index_entries), HashSet::from([PathBuf::from("sub")]));
    }

    #[test]
    fn pipes_and_sockets_are_removed_and_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        for name in [".gitignore", "a/.gitattributes"] {
            nix::unistd::mkfifo(&dir.path().join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        std::fs::write(dir.path().join("a/.gitignore"), "made\n").unwrap();
        std::fs::create_dir(dir.path().join("a/.git")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("a/.git/HEAD"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(dir.path().join("a/socket")).unwrap();
        assert_eq!(walk_tree(dir.path(), &HashSet::new()).unwrap(), [PathBuf::from("a/.git")]);
        drop(socket);
        let names = [".gitignore", "a/.gitattributes", "a/.git/HEAD", "a/socket", "a/.gitignore"];
        assert_eq!(names.map(|name| dir.path().join(name).exists()), [false, false, false, false, true]);
    }
}
