//! Reads files that an agent leaves in its worktree for users.
//! The worktree is not trusted, so links are not followed and sizes are limited.

use crate::git::workspace::Workspace;
use crate::git::{Git, GitCall, GitError};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use pullyard_domain::kinds::prompt::QUESTION_FILE;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A larger file is no question. Units: bytes.
const MAX_QUESTION_BYTES: u64 = 64 * 1024;

/// Whether the file is the agent's own. A file that the repository tracks is not.
pub(crate) async fn is_untracked(git: &Git, workspace: &Workspace, path: &str) -> bool {
    let is_tracked = is_tracked(git, workspace, path).await;
    let is_tracked = is_tracked.inspect_err(|error| {
        tracing::warn!(error = %error, "cannot see whether git tracks {path}: {error}");
    });
    is_tracked.is_ok_and(|is_tracked| !is_tracked)
}

pub(crate) async fn is_tracked(git: &Git, workspace: &Workspace, path: &str) -> Result<bool, GitError> {
    let (tree, repository) = (workspace.tree(), workspace.repository());
    workspace.reset_repository().await?;
    let pathspec = format!(":(top,literal){path}");
    let call = GitCall::new(["ls-files", "-z", "--", &pathspec]).repository(&repository).tree(&tree);
    Ok(!git.run(call).await?.is_empty())
}

pub(crate) fn read(tree: &Path, path: &str, max_bytes: u64) -> io::Result<String> {
    let (folder, name) = open_folder(tree, path)?;
    read_text(&folder, name, max_bytes)
}

/// The agent's question, if it left a question. The file is removed, so that the question is sent once.
pub(crate) async fn take_question(git: &Git, workspace: &Workspace) -> Option<String> {
    if !is_untracked(git, workspace, QUESTION_FILE).await {
        return None;
    }
    let tree = workspace.tree();
    let read = tokio::task::spawn_blocking(move || take_file(&tree, QUESTION_FILE, MAX_QUESTION_BYTES));
    match read.await.map_err(io::Error::from).flatten() {
        Ok(question) => Some(question.trim().to_owned()).filter(|question| !question.is_empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(error = %error, "cannot read the agent's question: {error}");
            None
        }
    }
}

fn take_file(tree: &Path, path: &str, max_bytes: u64) -> io::Result<String> {
    let (folder, name) = open_folder(tree, path)?;
    let text = read_text(&folder, name, max_bytes)?;
    unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir)?;
    Ok(text)
}

/// Opens the file's folder one step at a time, so that no link leads elsewhere.
fn open_folder<'a>(tree: &Path, path: &'a str) -> io::Result<(OwnedFd, &'a str)> {
    let (folder, name) = path.split_once('/').unwrap_or((".", path));
    let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_DIRECTORY;
    let tree = File::options().read(true).custom_flags(flags.bits()).open(tree)?;
    Ok((openat(&tree, folder, flags, Mode::empty())?, name))
}

fn read_text(folder: &OwnedFd, name: &str, max_bytes: u64) -> io::Result<String> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let file = File::from(openat(folder, name, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > max_bytes {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is no file of at most {max_bytes} bytes")));
    }
    let mut text = String::new();
    file.take(max_bytes).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    const FILE: &str = ".pullyard/question.md";
    const MAX_BYTES: u64 = 100;

    #[test]
    fn only_a_regular_file_of_the_worktree_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, secret) = (dir.path().join("tree"), dir.path().join("secret"));
        fs::create_dir_all(&tree).unwrap();
        fs::write(&secret, "{}").unwrap();
        let read = || read(&tree, FILE, MAX_BYTES);
        assert_eq!(read().unwrap_err().kind(), io::ErrorKind::NotFound);

        symlink(dir.path(), tree.join(".pullyard")).unwrap();
        fs::write(dir.path().join("question.md"), "{}").unwrap();
        assert!(read().is_err(), "a linked folder");
        fs::remove_file(tree.join(".pullyard")).unwrap();

        let file = tree.join(FILE);
        fs::create_dir(tree.join(".pullyard")).unwrap();
        symlink(&secret, &file).unwrap();
        assert!(read().is_err(), "a linked file");
        fs::remove_file(&file).unwrap();

        nix::unistd::mkfifo(&file, Mode::S_IRWXU).unwrap();
        assert!(read().is_err(), "a pipe without a writer");
        fs::remove_file(&file).unwrap();

        fs::write(&file, " ".repeat(MAX_BYTES as usize + 1)).unwrap();
        assert!(read().is_err(), "an oversized file");
        fs::write(&file, "{}").unwrap();
        assert_eq!(read().unwrap(), "{}");
        assert_eq!(take_file(&tree, FILE, MAX_BYTES).unwrap(), "{}");
        assert!(!file.exists() && secret.exists());

        fs::write(&file, "{}").unwrap();
        let link = dir.path().join("link");
        symlink(&tree, &link).unwrap();
        assert!(super::read(&link, FILE, MAX_BYTES).is_err(), "a linked tree");
    }
}
