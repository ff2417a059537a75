//! Tests how the build script finds the commit in a repository, a worktree and an archive.

use crate::commit::{self, SourceTree};
use crate::{COMMIT, LONG, UNKNOWN, VERSION, short_commit};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

#[track_caller]
fn git(folder: &Path, arguments: &[&str]) {
    let who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgSign=false"];
    let output = Command::new("git").arg("-C").arg(folder).args(who).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

fn init_repository(folder: &Path) {
    git(folder, &["init", "--quiet"]);
    std::fs::write(folder.join("build.rs"), "").unwrap();
    git(folder, &["add", "build.rs"]);
    git(folder, &["commit", "--quiet", "--message", "First"]);
}

fn modification_times(sources: &SourceTree) -> Vec<Option<SystemTime>> {
    sources.watched.iter().map(|path| path.metadata().and_then(|file| file.modified()).ok()).collect()
}

#[track_caller]
fn check_moves(folder: &Path) {
    let before = SourceTree::load(folder).unwrap();
    assert_eq!(before.commit.len(), 40, "{before:?}");
    let times = modification_times(&before);
    assert!(times.iter().all(Option::is_some), "{before:?}");
    std::fs::write(folder.join("more"), "").unwrap();
    git(folder, &["add", "more"]);
    assert_eq!(modification_times(&before), times, "only a change of HEAD reruns the build script");
    git(folder, &["commit", "--quiet", "--message", "Second"]);
    assert_ne!(modification_times(&before), times);
    assert_ne!(SourceTree::load(folder).unwrap().commit, before.commit);
}

#[test]
fn commit_follows_head_in_a_repository() {
    let folder = tempfile::tempdir().unwrap();
    init_repository(folder.path());
    check_moves(folder.path());
    git(folder.path(), &["checkout", "--quiet", "--detach"]);
    std::fs::remove_file(folder.path().join("more")).unwrap();
    git(folder.path(), &["add", "more"]);
    git(folder.path(), &["commit", "--quiet", "--message", "Third"]);
    check_moves(folder.path());
}

#[test]
fn commit_follows_head_in_a_worktree() {
    let folder = tempfile::tempdir().unwrap();
    let (main, other) = (folder.path().join("main"), folder.path().join("other"));
    std::fs::create_dir(&main).unwrap();
    init_repository(&main);
    git(&main, &["worktree", "add", "--quiet", "../other"]);
    check_moves(&other);
}

#[test]
fn commit_follows_the_branch_when_head_has_no_reflog() {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet"]);
    git(folder.path(), &["config", "core.logAllRefUpdates", "false"]);
    init_repository(folder.path());
    check_moves(folder.path());
}

#[test]
fn commit_is_unknown_in_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("build.rs"), "").unwrap();
    assert!(SourceTree::load(folder.path()).is_none());
    // Another project's repository that contains the archive.
    init_repository(folder.path());
    let archive = folder.path().join("pullyard");
    std::fs::create_dir(&archive).unwrap();
    std::fs::write(archive.join("build.rs"), "").unwrap();
    assert!(SourceTree::load(&archive).is_none());
    assert!(SourceTree::load(&folder.path().join("absent")).is_none());
}

#[test]
fn versions_name_the_release_and_twelve_characters() {
    assert_eq!(UNKNOWN, commit::UNKNOWN);
    assert_eq!(LONG, format!("{VERSION} ({})", short_commit(COMMIT)));
    assert_eq!(short_commit("0123456789abcdef"), "0123456789ab");
    assert_eq!(short_commit(UNKNOWN), "unknown");
}
