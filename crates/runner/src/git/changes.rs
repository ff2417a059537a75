//! Lists the files of the worktree that differ from the runner's index.
//! Git compares the form that it would store. A stored file of another form, such as one with old line endings, then
//! looks changed although nothing touched it. Such files are compared with the bytes that a checkout writes.

use crate::git::workspace::disk::{create_private_dir, run_blocking};
use crate::git::workspace::{Workspace, remove_entry};
use crate::git::{Git, GitCall, GitError};
use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Number of files that are checked out at once for a comparison.
const BATCH_SIZE: usize = 4_096;
/// The mode of a file that is not in the worktree.
const REMOVED: &[u8] = b"000000";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangedPath {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: ChangeKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// A file that the index does not have.
    New,
    /// A file of the index with another content or kind.
    Content,
    /// A file of the index that was removed, or has only another mode: `MODE OBJECT` for `update-index --index-info`.
    Entry(Vec<u8>),
}

impl ChangedPath {
    pub(crate) fn is_removal(&self) -> bool {
        matches!(&self.kind, ChangeKind::Entry(entry) if entry.starts_with(REMOVED))
    }
}

/// Lists all changes except ignored new files, without duplicates.
/// Requires `Workspace::reset_repository`.
/// Writes: the times of unchanged files in the runner's index.
pub(crate) async fn list_changes(git: &Git, workspace: &Workspace) -> Result<Vec<ChangedPath>, GitError> {
    let (tree, repository) = (workspace.tree(), workspace.repository());
    let run = async |args: &[&str]| git.run(GitCall::new(args).repository(&repository).tree(&tree)).await;
    // `diff-files` reports each file with another time.
    run(&["update-index", "-q", "--refresh"]).await?;
    let output = run(&["diff-files", "--raw", "-z", "--no-renames", "--ignore-submodules=all"]).await?;
    let entries = parse_entries(&output);
    let candidates: Vec<&[u8]> = entries.iter().filter(|entry| entry.may_be_untouched()).map(|it| it.path).collect();
    let mut same = HashSet::new();
    for batch in candidates.chunks(BATCH_SIZE) {
        same.extend(find_same_content(git, workspace, batch).await?);
    }
    let mut changes = Vec::new();
    for Entry { old_mode, new_mode, object, path } in entries {
        let kind = match same.contains(path) {
            true if old_mode == new_mode => continue,
            is_same if is_same || new_mode == REMOVED => ChangeKind::Entry([new_mode, object].join(&b' ')),
            _ => ChangeKind::Content,
        };
        changes.push(ChangedPath { path: path.to_owned(), kind });
    }
    let new = run(&["ls-files", "-z", "--others", "--exclude-standard"]).await?;
    let new = new.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    changes.extend(new.map(|path| ChangedPath { path: path.to_owned(), kind: ChangeKind::New }));
    Ok(changes)
}

/// The ignored files and folders of the worktree. A folder ends with a slash and stands for its content.
/// Requires `Workspace::reset_repository`.
pub(crate) async fn list_ignored(git: &Git, workspace: &Workspace) -> Result<BTreeSet<Vec<u8>>, GitError> {
    let (tree, repository) = (workspace.tree(), workspace.repository());
    let args = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"];
    let output = git.run(GitCall::new(args).repository(&repository).tree(&tree)).await?;
    Ok(output.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect())
}

#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    old_mode: &'a [u8],
    new_mode: &'a [u8],
    object: &'a [u8],
    path: &'a [u8],
}

impl Entry<'_> {
    fn may_be_untouched(&self) -> bool {
        let is_file = |mode: &[u8]| mode.starts_with(b"100");
        is_file(self.old_mode) && is_file(self.new_mode)
    }
}

/// Parses the output of `git diff-files --raw -z`.
fn parse_entries(output: &[u8]) -> Vec<Entry<'_>> {
    let mut fields = output.split(|byte| *byte == 0);
    let mut entries = Vec::new();
    while let (Some(head), Some(path)) = (fields.next(), fields.next()) {
        let mut words = head.strip_prefix(b":").unwrap_or(head).split(|byte| *byte == b' ');
        let (Some(old_mode), Some(new_mode), Some(object)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        entries.push(Entry { old_mode, new_mode, object, path });
    }
    entries
}

/// The files of the worktree with exactly the bytes that a checkout of the index writes.
async fn find_same_content<'a>(
    git: &Git,
    workspace: &Workspace,
    paths: &[&'a [u8]],
) -> Result<HashSet<&'a [u8]>, GitError> {
    let (tree, repository, folder) = (workspace.tree(), workspace.repository(), workspace.comparison());
    create_private_dir(&folder)?;
    // In an empty folder, git finds the attributes of the index, with which the files were checked out.
    let checkout = GitCall::new(["checkout-index", "--quiet", "--force", "-z", "--stdin"]);
    let input = paths.join(&0u8);
    let result = git.run(checkout.repository(&repository).tree(&folder).input(&input)).await;
    let owned: Vec<Vec<u8>> = paths.iter().map(|path| path.to_vec()).collect();
    let compare = move || {
        let is_same = |path: &Vec<u8>| {
            let path = Path::new(OsStr::from_bytes(path));
            has_same_bytes(&folder.join(path), &tree.join(path))
        };
        let same = owned.iter().map(is_same).collect::<Vec<bool>>();
        remove_entry(&folder).map(|()| same)
    };
    let same = run_blocking(compare).await?;
    result?;
    Ok(paths.iter().zip(same).filter(|(_, is_same)| *is_same).map(|(path, _)| *path).collect())
}

/// False for links, and on an error: git then reads the file and reports the error.
fn has_same_bytes(a: &Path, b: &Path) -> bool {
    let is_file = |path: &Path| fs::symlink_metadata(path).ok().filter(Metadata::is_file);
    let (Some(a_metadata), Some(b_metadata)) = (is_file(a), is_file(b)) else { return false };
    a_metadata.len() == b_metadata.len() && compare_content(a, b).unwrap_or(false)
}

fn compare_content(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (BufReader::new(File::open(a)?), BufReader::new(File::open(b)?));
    loop {
        let (left, right) = (a.fill_buf()?, b.fill_buf()?);
        let length = left.len().min(right.len());
        if length == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        if left.get(..length) != right.get(..length) {
            return Ok(false);
        }
        a.consume(length);
        b.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::commit;
    use crate::git::test_world::{TestRepository, TestWork};
    use crate::git::tree_state::TreeState;
    use crate::git::work;
    use crate::stop::Stop;
    use pullyard_domain::text::failure::Failure;

    const ATTRIBUTES: &[u8] = b"*.txt text\n*.bat text eol=crlf\n*.c ident\n*.u working-tree-encoding=UTF-16\n\
                                *.16 working-tree-encoding=UTF-16LE\n";
    /// Files that git would store in another form today.
    const OLD_FILES: [(&str, &str, &[u8]); 7] = [
        ("crlf.txt", "100644", b"a\r\nb\r\n"),
        ("sub/run.bat", "100755", b"a\r\nb\r\n"),
        ("mixed.bat", "100644", b"a\nb\r\n"),
        ("id.c", "100644", b"/* $Id: old$ */\n"),
        ("no-bom.u", "100644", b"h\xff\xfe"),
        ("wide.16", "100644", b"h\0i\0"),
        ("lf.txt", "100644", b"a\nb\n"),
    ];

    async fn check_out_old_files() -> TestWork {
        let repository = TestRepository::create().await;
        repository.commit(&OLD_FILES).await;
        repository.commit(&[(".gitattributes", "100644", ATTRIBUTES)]).await;
        repository.check_out().await
    }

    fn touch_old_files(work: &TestWork) {
        work.touch_all(&OLD_FILES.map(|(path, ..)| path));
        work.set_mode("sub/run.bat", 0o755);
    }

    async fn is_changed(work: &TestWork) -> bool {
        let (start, kind) = (&work.target.start_commit, work.assignment.kind);
        work::is_changed(work.git(), &work.workspace, start, kind).await.unwrap()
    }

    #[tokio::test]
    async fn untouched_files_of_an_old_form_are_no_change() {
        let work = check_out_old_files().await;
        for _ in 0..2 {
            assert!(matches!(work.write_tree().await, Err(Stop::Failure(Failure::NoChanges { .. }))));
            assert!(!is_changed(&work).await);
            touch_old_files(&work);
        }
        assert!(!work.workspace.comparison().exists());
    }

    #[tokio::test]
    async fn commit_has_only_files_that_the_agent_changed() {
        let work = check_out_old_files().await;
        touch_old_files(&work);
        work.write("new.txt", "new\r\n");
        work.write("lf.txt", "a\nB\n");
        std::fs::remove_file(work.path("mixed.bat")).unwrap();
        let tree = work.write_tree().await.unwrap();
        assert_eq!(work.changes_of(&tree).await, ["M 100644 lf.txt", "D 000000 mixed.bat", "A 100644 new.txt"]);
        // The next round undoes everything.
        commit::restore_tree(work.git(), &work.workspace, &tree).await.unwrap();
        work.write("mixed.bat", "a\r\nb\r\n");
        work.write("lf.txt", "a\nb\n");
        std::fs::remove_file(work.path("new.txt")).unwrap();
        touch_old_files(&work);
        assert!(matches!(work.write_tree().await, Err(Stop::Failure(Failure::NoChanges { .. }))));
    }

    #[tokio::test]
    async fn edit_of_an_old_file_that_is_undone_is_no_change() {
        let work = check_out_old_files().await;
        work.write("crlf.txt", "a\r\nB\r\n");
        let tree = work.write_tree().await.unwrap();
        assert_eq!(work.changes_of(&tree).await, ["M 100644 crlf.txt"]);
        work.write("crlf.txt", "a\r\nb\r\n");
        assert!(matches!(work.write_tree().await, Err(Stop::Failure(Failure::NoChanges { .. }))));
    }

    #[tokio::test]
    async fn new_attributes_do_not_rewrite_untouched_files() {
        let repository = TestRepository::create().await;
        repository.commit(&OLD_FILES).await;
        let work = repository.check_out().await;
        work.write(".gitattributes", ATTRIBUTES);
        touch_old_files(&work);
        let tree = work.write_tree().await.unwrap();
        assert_eq!(work.changes_of(&tree).await, ["A 100644 .gitattributes"]);
    }

    #[tokio::test]
    async fn mode_change_keeps_the_old_content() {
        let work = check_out_old_files().await;
        touch_old_files(&work);
        work.set_mode("crlf.txt", 0o755);
        work.set_mode("sub/run.bat", 0o644);
        let tree = work.write_tree().await.unwrap();
        assert_eq!(work.changes_of(&tree).await, ["M 100755 crlf.txt", "M 100644 sub/run.bat"]);
        let call = GitCall::new(["cat-file", "blob", &format!("{tree}:crlf.txt")]);
        let content = work.git().run(call.repository(&work.workspace.repository())).await.unwrap();
        assert_eq!(content, b"a\r\nb\r\n");
    }

    #[tokio::test]
    async fn files_links_and_folders_that_replace_each_other_are_staged() {
        let repository = TestRepository::create().await;
        let files = ["dir/a", "dir/b", "file", "link/a", "link/b", "z/a"].map(|path| (path, "100644", &b"x\n"[..]));
        repository.commit(&files).await;
        let work = repository.check_out().await;
        for folder in ["dir", "link"] {
            std::fs::remove_dir_all(work.path(folder)).unwrap();
        }
        work.write("dir", "a file");
        std::fs::remove_file(work.path("file")).unwrap();
        work.write("file/a", "in a folder");
        // Through the link, git could see the old files.
        std::os::unix::fs::symlink("z", work.path("link")).unwrap();
        let tree = work.write_tree().await.unwrap();
        let expected = [
            "A 100644 dir",
            "D 000000 dir/a",
            "D 000000 dir/b",
            "D 000000 file",
            "A 100644 file/a",
            "A 120000 link",
            "D 000000 link/a",
            "D 000000 link/b",
        ];
        assert_eq!(work.changes_of(&tree).await, expected);
    }

    #[tokio::test]
    async fn check_that_rewrites_the_same_bytes_changes_no_file() {
        let work = check_out_old_files().await;
        work.write("new.txt", "new\n");
        work.write_tree().await.unwrap();
        let load = async || TreeState::load(work.git(), &work.workspace).await.unwrap();
        let before = load().await;
        touch_old_files(&work);
        work.touch_all(&["new.txt"]);
        assert_eq!(load().await.describe_changes(&before), None);
        work.write("crlf.txt", "a\nb\r\n");
        work.write("mixed.bat", "a\nc\r\n");
        assert_eq!(load().await.describe_changes(&before).as_deref(), Some("`crlf.txt`, `mixed.bat`"));
    }
}
