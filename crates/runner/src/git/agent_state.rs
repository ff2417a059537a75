//! Reads the state in which the agent left its own repository, or a submodule: HEAD and index.
//! The agent controls these files, so git never runs there. Their content is read without following links, and git
//! reads a copy of the index with the runner's settings.

use crate::git::nested::read_regular_file;
use crate::git::workspace::disk::{run_blocking, write_private_file};
use crate::git::workspace::{Workspace, is_folder, remove_entry, remove_special_files};
use crate::git::{Git, GitCall, GitError};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const MAX_INDEX_BYTES: u64 = 256 * 1024 * 1024;
const MAX_REF_BYTES: u64 = 16 * 1024 * 1024;
pub(crate) const SUBMODULE_MODE: &str = "160000";

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AgentState {
    /// The commit of HEAD, whose objects may be only in the agent's repository.
    pub(crate) head: Option<String>,
    /// `None` if it cannot be read, or if there is none.
    pub(crate) entries: Option<Vec<AgentEntry>>,
    /// There is an index that git cannot read, such as a part of a split one. Removed files may be hidden ones.
    pub(crate) is_index_unreadable: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AgentEntry {
    pub(crate) path: Vec<u8>,
    pub(crate) mode: String,
    pub(crate) object: String,
    pub(crate) is_unmerged: bool,
    /// The agent's git must not read the file: sparse checkout, `skip-worktree` or `assume-unchanged`.
    pub(crate) is_hidden: bool,
}

impl AgentState {
    /// Errors: none. A repository that cannot be read has no state.
    /// Writes: removes pipes and links from the agent's objects, because git would block on them.
    pub(crate) async fn load(git: &Git, workspace: &Workspace) -> Self {
        let git_dir = workspace.tree().join(".git");
        let head = git_dir.clone();
        let read = run_blocking(move || {
            if is_folder(&head) {
                remove_special_files(&head.join("objects"))?;
            }
            Ok(read_head(&head))
        });
        let head = read.await.unwrap_or_default();
        let repository = workspace.repository();
        let list = async |index: &Path| {
            let call = GitCall::new(["ls-files", "-v", "--stage", "-z"]).repository(&repository).index(index);
            // A sparse index names trees, which may be only in the agent's repository.
            let objects = git_dir.join("objects");
            let call = if is_folder(&objects) { call.objects(&objects) } else { call };
            git.run(call.reject_errors()).await
        };
        match with_index_copy(workspace, &git_dir, list).await {
            Ok(output) => {
                let entries = output.map(|output| parse_entries(&output));
                Self { head, entries, is_index_unreadable: false }
            }
            Err(error) => {
                tracing::warn!(error = %error, "cannot read the agent's index: {error}");
                Self { head, entries: None, is_index_unreadable: true }
            }
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &AgentEntry> {
        self.entries.iter().flatten()
    }
}

/// Runs a call of git with a copy of an index; `None` without an index.
pub(crate) async fn with_index_copy<T>(
    workspace: &Workspace,
    git_dir: &Path,
    run: impl AsyncFnOnce(&Path) -> Result<T, GitError>,
) -> Result<Option<T>, GitError> {
    let (index, copy) = (git_dir.join("index"), workspace.repository().join("index-of-agent"));
    let (is_repository, to) = (is_folder(git_dir), copy.clone());
    let copied = run_blocking(move || {
        let modified = index.symlink_metadata().and_then(|metadata| metadata.modified());
        let Some(content) = read_regular_file(&index, MAX_INDEX_BYTES).filter(|_| is_repository) else {
            return Ok(false);
        };
        write_private_file(&to, &content)?;
        // Git reads a file that is as new as the index, because its size and time may hide a change.
        File::options().write(true).open(&to)?.set_modified(modified?)?;
        Ok(true)
    });
    if !copied.await? {
        return Ok(None);
    }
    let result = run(&copy).await;
    remove_entry(&copy)?;
    result.map(Some)
}

/// Parses the output of `git ls-files -v --stage -z`.
pub(crate) fn parse_entries(output: &[u8]) -> Vec<AgentEntry> {
    let parse = |entry: &[u8]| {
        let end = entry.iter().position(|byte| *byte == b'\t')?;
        let head = String::from_utf8_lossy(entry.get(..end)?).into_owned();
        let mut words = head.split(' ');
        let (tag, mode, object, stage) = (words.next()?, words.next()?, words.next()?, words.next()?);
        Some(AgentEntry {
            path: entry.get(end + 1..)?.to_vec(),
            mode: mode.to_owned(),
            object: object.to_owned(),
            is_unmerged: stage != "0",
            is_hidden: tag == "S" || tag.chars().all(|c| c.is_ascii_lowercase()),
        })
    };
    output.split(|byte| *byte == 0).filter_map(parse).collect()
}

/// The commit of a repository's HEAD, from its files.
pub(crate) fn read_head(git_dir: &Path) -> Option<String> {
    let read = |name: &str| {
        let content = read_regular_file(&git_dir.join(name), MAX_REF_BYTES)?;
        Some(String::from_utf8_lossy(&content).into_owned())
    };
    let to_id = |text: &str| Some(text.trim().to_owned()).filter(|id| is_object_id(id));
    let head = is_folder(git_dir).then(|| read("HEAD")).flatten()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else { return to_id(&head) };
    if !name.starts_with("refs/") || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return None;
    }
    if let Some(id) = read(name).and_then(|content| to_id(&content)) {
        return Some(id);
    }
    let packed = read("packed-refs")?;
    packed
        .lines()
        .find_map(|line| line.split_once(' ').filter(|(_, other)| *other == name).and_then(|(id, _)| to_id(id)))
}

fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The repository of a submodule's folder; `None` if it has none. A `.git` file may lead only into the worktree's own
/// repository.
pub(crate) fn find_submodule_repository(tree: &Path, folder: &Path) -> Option<PathBuf> {
    let git = tree.join(folder).join(".git");
    if is_folder(&git) {
        return Some(git);
    }
    let content = read_regular_file(&git, MAX_REF_BYTES)?;
    let target = content.strip_prefix(b"gitdir: ")?.trim_ascii_end();
    let target = tree.join(folder).join(OsStr::from_bytes(target)).canonicalize().ok()?;
    target.starts_with(tree.join(".git")).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn head_is_read_from_loose_and_packed_refs_only() {
        let dir = tempfile::tempdir().unwrap();
        let git_dir = dir.path().join("git");
        fs::create_dir_all(git_dir.join("refs/heads")).unwrap();
        let (first, second) = ("1".repeat(40), "2".repeat(40));
        fs::write(git_dir.join("refs/heads/loose"), format!("{first}\n")).unwrap();
        fs::write(git_dir.join("packed-refs"), format!("# pack-refs\n{second} refs/heads/packed\n")).unwrap();
        fs::write(dir.path().join("outside"), &first).unwrap();
        for (head, expected) in [
            ("ref: refs/heads/loose\n", Some(&first)),
            ("ref: refs/heads/packed\n", Some(&second)),
            (second.as_str(), Some(&second)),
            ("ref: refs/heads/none\n", None),
            ("ref: refs/../../outside\n", None),
            ("ref: ../outside\n", None),
            ("planted", None),
        ] {
            fs::write(git_dir.join("HEAD"), head).unwrap();
            assert_eq!(read_head(&git_dir).as_ref(), expected, "{head}");
        }
        fs::remove_file(git_dir.join("HEAD")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("outside"), git_dir.join("HEAD")).unwrap();
        assert_eq!(read_head(&git_dir), None);
    }

    #[test]
    fn entries_have_flags_and_stages() {
        let output = b"H 100644 aa 0\ta b\0S 100644 aa 0\ts\0h 100755 aa 0\tu\0s 100644 aa 0\tsu\0M 100644 aa 2\tm\0";
        let entries: Vec<_> = parse_entries(output)
            .into_iter()
            .map(|entry| (String::from_utf8(entry.path).unwrap(), entry.is_hidden, entry.is_unmerged))
            .collect();
        let expected =
            [("a b", false, false), ("s", true, false), ("u", true, false), ("su", true, false), ("m", false, true)];
        assert_eq!(entries, expected.map(|(path, hidden, unmerged)| (path.to_owned(), hidden, unmerged)));
    }

    #[test]
    fn submodule_file_leads_only_into_the_own_repository() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let tree = root.join("tree");
        for folder in [tree.join(".git/modules/lib"), tree.join("lib"), root.join("other")] {
            fs::create_dir_all(folder).unwrap();
        }
        for (target, expected) in [
            ("../.git/modules/lib", Some(tree.join(".git/modules/lib"))),
            ("../../other", None),
            ("../.git/modules/none", None),
        ] {
            fs::write(tree.join("lib/.git"), format!("gitdir: {target}\n")).unwrap();
            assert_eq!(find_submodule_repository(&tree, Path::new("lib")), expected, "{target}");
        }
    }
}
