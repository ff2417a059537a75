//! Decides which changes of the worktree belong to the agent's work and which are excluded.

use crate::git::agent_state::AgentState;
use crate::git::changes::{ChangedPath, list_changes, list_ignored};
use crate::git::exclusions::Exclusions;
use crate::git::names::refused_prefix;
use crate::git::nested::scan::remove_nested_git_dirs;
use crate::git::submodules::find_submodule_changes;
use crate::git::workspace::Workspace;
use crate::git::{Git, GitCall, GitError};
use crate::stop::Stop;
use pullyard_domain::job::JobKind;
use pullyard_domain::review::published::work_notes::LeftOutReason;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub(crate) struct Work {
    pub(crate) changes: Vec<ChangedPath>,
    pub(crate) exclusions: Exclusions,
}

/// Whether there are changes to commit, found without writing a tree.
pub(crate) async fn is_changed(git: &Git, workspace: &Workspace, start: &str, kind: JobKind) -> Result<bool, Stop> {
    workspace.reset_repository().await?;
    let state = AgentState::load(git, workspace).await;
    Ok(!list_work(git, workspace, (start, kind), &state).await?.changes.is_empty())
}

/// Lists the changes since `start` that belong to the work, and the exclusions.
/// Requires `Workspace::reset_repository`.
/// Writes: the index of the runner's repository, which is `start` afterwards.
pub(crate) async fn list_work(
    git: &Git,
    workspace: &Workspace,
    (start, kind): (&str, JobKind),
    state: &AgentState,
) -> Result<Work, GitError> {
    let (tree, repository) = (workspace.tree(), workspace.repository());
    let (submodules, repositories) = remove_nested_git_dirs(git, workspace).await?;
    let has_submodules = !submodules.is_empty();
    let folders: HashSet<PathBuf> =
        repositories.iter().map(|repository| repository.folder.clone()).chain(submodules).collect();
    let is_own = |path: &Path| {
        let is_side_file = kind.spec().side_files.iter().any(|file| path.starts_with(file));
        // Exclude submodules: the agent controls their repositories, and git would run in them.
        !is_side_file && !path.ancestors().any(|folder| folders.contains(folder))
    };
    let mut exclusions = Exclusions { repositories, ..Exclusions::default() };
    // The index may have an earlier state of the work. A file that has the content of `start` again is no change.
    git.run(GitCall::new(["read-tree", "--reset", start]).repository(&repository).tree(&tree)).await?;
    // The agent's git removed these files from the disk, or its index ignores that they are missing.
    let hidden: HashSet<&[u8]> =
        state.entries().filter(|entry| entry.is_hidden).map(|entry| entry.path.as_slice()).collect();
    let mut changes = list_changes(git, workspace).await?;
    changes.retain(|change| {
        let path = Path::new(OsStr::from_bytes(&change.path));
        if !is_own(path) {
            return false;
        }
        if change.is_removal() {
            if state.is_index_unreadable {
                exclusions.add(LeftOutReason::UnclearRemoval, path.to_owned());
                return false;
            }
            return !hidden.contains(change.path.as_slice());
        }
        if let Some(prefix) = refused_prefix(path, tree.join(path).is_symlink()) {
            exclusions.add(LeftOutReason::RefusedName, prefix);
            return false;
        }
        if is_unreadable(&tree.join(path)) {
            exclusions.add(LeftOutReason::Unreadable, path.to_owned());
            return false;
        }
        true
    });
    let ignored = list_ignored(git, workspace).await?;
    let ignored_before = workspace.ignored_before();
    let mut new = ignored.difference(&ignored_before).peekable();
    while let Some(path) = new.next() {
        // Git may list a folder and its files.
        if path.ends_with(b"/") && new.peek().is_some_and(|next| next.starts_with(path)) {
            continue;
        }
        let path = Path::new(OsStr::from_bytes(path));
        let has_repository = exclusions.repositories.iter().any(|repository| repository.folder.starts_with(path));
        if is_own(path) && !has_repository {
            exclusions.add(LeftOutReason::Ignored, path.to_owned());
        }
    }
    if has_submodules {
        for (reason, path) in find_submodule_changes(git, workspace, state).await? {
            exclusions.add(reason, path);
        }
    }
    Ok(Work { changes, exclusions })
}

/// Git adds either all files or none, so it must not meet an unreadable one.
fn is_unreadable(file: &Path) -> bool {
    let is_file = file.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    is_file && File::open(file).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::test_world::{TestRepository, TestWork};
    use crate::git::warnings::find_warnings_within;
    use pullyard_domain::kinds::prompt::QUESTION_FILE;
    use pullyard_domain::review::published::work_notes::WorkWarning;
    use pullyard_domain::text::failure::Failure;
    use std::time::Duration;

    async fn check_out(commits: &[&[(&str, &str)]]) -> TestWork {
        let repository = TestRepository::create().await;
        for files in commits {
            let files: Vec<_> = files.iter().map(|(path, content)| (*path, "100644", content.as_bytes())).collect();
            repository.commit(&files).await;
        }
        repository.check_out().await
    }

    fn warnings(work: &TestWork) -> Vec<WorkWarning> {
        work.workspace.exclusions().warnings
    }

    fn left_out(work: &TestWork) -> Vec<(LeftOutReason, Vec<String>)> {
        let paths = work.workspace.exclusions().paths.into_iter();
        paths.map(|(reason, paths)| (reason, paths.iter().map(|path| path.display().to_string()).collect())).collect()
    }

    fn paths(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    const HISTORY: &[&[(&str, &str)]] = &[&[("a", "1\n"), ("b", "1\n")], &[("a", "2\n")], &[("c", "1\n")]];

    #[tokio::test]
    async fn change_that_undoes_commits_has_a_warning() {
        let undone = WorkWarning::UndoneCommits { commits: 2, paths: paths(&["a", "c"]) };
        for commands in [&[][..], &[&["add", "-A"][..], &["commit", "-qm", "on an old commit"]]] {
            let work = check_out(HISTORY).await;
            work.agent_git(&["checkout", "-q", "HEAD~2"]);
            work.write("b", "2\n");
            commands.iter().for_each(|args| drop(work.agent_git(args)));
            let tree = work.write_tree().await.unwrap();
            assert_eq!(work.changes_of(&tree).await, ["M 100644 a", "M 100644 b", "D 000000 c"]);
            assert_eq!(warnings(&work), std::slice::from_ref(&undone));
        }
    }

    #[tokio::test]
    async fn squashed_and_ordinary_commits_have_no_warning() {
        for reset in [&["status"][..], &["reset", "-q", "--soft", "HEAD~2"], &["checkout", "-q", "--orphan", "new"]] {
            let work = check_out(HISTORY).await;
            work.agent_git(reset);
            work.write("b", "2\n");
            work.agent_git(&["add", "-A"]);
            work.agent_git(&["commit", "-qm", "all"]);
            work.write_tree().await.unwrap();
            assert_eq!(warnings(&work), [], "{reset:?}");
        }
    }

    #[tokio::test]
    async fn unfinished_merge_and_its_markers_have_warnings() {
        let both =
            [WorkWarning::Unmerged { paths: paths(&["a"]) }, WorkWarning::ConflictMarkers { paths: paths(&["a"]) }];
        let merge: &[&[&str]] = &[&["checkout", "-q", "other"], &["merge", "b"]];
        let stash: &[&[&str]] = &[&["stash", "pop"]];
        for (end, commands) in [("merge", merge), ("stash", stash)] {
            let work = check_out(HISTORY).await;
            work.write("a", "3\n");
            if end == "merge" {
                work.agent_git(&["commit", "-qam", "ours"]);
                work.agent_git(&["checkout", "-q", "-b", "other", "HEAD~1"]);
            } else {
                work.agent_git(&["stash"]);
            }
            work.write("a", "4\n");
            work.agent_git(&["commit", "-qam", "theirs"]);
            commands.iter().for_each(|args| drop(work.agent_git(args)));
            work.write_tree().await.unwrap();
            assert_eq!(warnings(&work), both, "{end}");
            // The agent solves the conflict, but does not add the file.
            work.write("a", "5\n");
            work.write_tree().await.unwrap();
            assert_eq!(warnings(&work), [both[0].clone()], "{end}");
        }
    }

    #[tokio::test]
    async fn only_added_and_complete_conflict_markers_have_a_warning() {
        let conflict = "<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n";
        let work = check_out(&[&[("old.md", conflict), ("x y", "")]]).await;
        work.write("old.md", format!("{conflict}more \n"));
        work.write("heading.rst", "Summary\n=======\n\nHistory\n=======\n");
        work.write("x y", conflict);
        work.write_tree().await.unwrap();
        assert_eq!(warnings(&work), [WorkWarning::ConflictMarkers { paths: paths(&["x y"]) }]);
    }

    #[tokio::test]
    async fn pipe_in_the_agents_objects_hides_no_warning() {
        let work = check_out(HISTORY).await;
        let id = format!("ab{}", "c".repeat(38));
        let folder = work.path(".git/objects/ab");
        std::fs::create_dir_all(&folder).unwrap();
        nix::unistd::mkfifo(&folder.join(&id[2..]), nix::sys::stat::Mode::S_IRWXU).unwrap();
        work.write(".git/HEAD", &id);
        work.write("a", "<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n");
        let tree = work.write_tree().await.unwrap();
        let markers = WorkWarning::ConflictMarkers { paths: paths(&["a"]) };
        assert_eq!(warnings(&work), [markers]);
        let state = AgentState::load(work.git(), &work.workspace).await;
        let change = (work.target.start_commit.as_str(), tree.as_str());
        let found = find_warnings_within(Duration::ZERO, work.git(), (&work.workspace, &state), change).await;
        assert_eq!(found, [WorkWarning::Incomplete]);
    }

    #[tokio::test]
    async fn files_that_git_was_told_to_hide_stay_in_the_commit() {
        let work = check_out(&[&[("docs/a", "1\n"), ("src/b", "1\n"), ("c", "1\n"), ("d", "1\n"), ("e", "1\n")]]).await;
        work.agent_git(&["update-index", "--skip-worktree", "c"]);
        work.agent_git(&["update-index", "--assume-unchanged", "d"]);
        for file in ["c", "d", "e"] {
            std::fs::remove_file(work.path(file)).unwrap();
        }
        let tree = work.write_tree().await.unwrap();
        assert_eq!(work.changes_of(&tree).await, ["D 000000 e"]);
        let work = check_out(&[&[("docs/a", "1\n"), ("src/b", "1\n"), ("c", "1\n")]]).await;
        work.agent_git(&["sparse-checkout", "set", "docs"]);
        assert!(!work.path("src/b").exists(), "git removed the file");
        work.write("docs/a", "2\n");
        let tree = work.write_tree().await.unwrap();
        assert_eq!(work.changes_of(&tree).await, ["M 100644 docs/a"]);
    }

    #[tokio::test]
    async fn files_of_a_sparse_index_stay_in_the_commit() {
        let work = check_out(&[&[("docs/a", "1\n"), ("src/b", "1\n")]]).await;
        // The tree of `src` is only in the agent's repository.
        work.write("src/b", "2\n");
        work.agent_git(&["-c", "user.name=x", "-c", "user.email=x@x.test", "commit", "-qam", "agent"]);
        work.agent_git(&["sparse-checkout", "set", "--sparse-index", "docs"]);
        assert!(!work.path("src/b").exists(), "git removed the file");
        work.write("docs/a", "2\n");
        let tree = work.write_tree().await.unwrap();
        assert_eq!(work.changes_of(&tree).await, ["M 100644 docs/a"]);
        assert_eq!(left_out(&work), []);
    }

    #[tokio::test]
    async fn removals_are_left_out_when_the_index_is_unreadable() {
        let lose_tree: &[&[&str]] = &[&["sparse-checkout", "set", "--sparse-index", "docs"]];
        let split: &[&[&str]] =
            &[&["update-index", "--split-index"], &["sparse-checkout", "set", "--no-sparse-index", "docs"]];
        for commands in [lose_tree, split] {
            let work = check_out(&[&[("docs/a", "1\n"), ("src/b", "1\n")]]).await;
            work.write("src/b", "2\n");
            work.agent_git(&["-c", "user.name=x", "-c", "user.email=x@x.test", "commit", "-qam", "agent"]);
            commands.iter().for_each(|args| drop(work.agent_git(args)));
            assert!(!work.path("src/b").exists(), "git removed the file: {commands:?}");
            if commands.len() == 1 {
                let src = work.agent_git(&["rev-parse", "HEAD:src"]);
                std::fs::remove_file(work.path(&format!(".git/objects/{}/{}", &src[..2], &src[2..]))).unwrap();
            }
            work.write("docs/a", "2\n");
            let tree = work.write_tree().await.unwrap();
            assert_eq!(work.changes_of(&tree).await, ["M 100644 docs/a"], "{commands:?}");
            assert_eq!(left_out(&work), [(LeftOutReason::UnclearRemoval, paths(&["src/b"]))], "{commands:?}");
        }
    }

    #[tokio::test]
    async fn mode_that_was_set_only_in_the_index_is_committed() {
        let work = check_out(&[&[("a.sh", "1\n"), ("b.sh", "1\n"), ("c.sh", "1\n")]]).await;
        work.agent_git(&["update-index", "--chmod=+x", "a.sh"]);
        work.write("new.sh", "1\n");
        work.write("plain", "1\n");
        work.agent_git(&["add", "--chmod=+x", "new.sh"]);
        work.agent_git(&["add", "plain"]);
        // The index still has the old mode.
        work.set_mode("b.sh", 0o755);
        let tree = work.write_tree().await.unwrap();
        let expected = ["M 100755 a.sh", "M 100755 b.sh", "A 100755 new.sh", "A 100644 plain"];
        assert_eq!(work.changes_of(&tree).await, expected);
    }

    #[tokio::test]
    async fn ignored_files_are_named_if_the_agent_created_them() {
        let work = check_out(&[&[(".gitignore", "*.log\nbuild/\n.deps/\n")]]).await;
        work.write(".deps/x", "from setup");
        work.workspace.set_ignored_before(list_ignored(work.git(), &work.workspace).await.unwrap());
        for path in ["a.log", "sub/b.log", "build/out", ".deps/y", QUESTION_FILE] {
            work.write(path, "x");
        }
        assert!(matches!(work.write_tree().await, Err(Stop::Failure(Failure::NoChanges { .. }))));
        assert_eq!(left_out(&work), [(LeftOutReason::Ignored, paths(&["a.log", "build/", "sub/b.log"]))]);
    }

    async fn check_out_submodule() -> TestWork {
        let submodule = TestRepository::create().await;
        let commit = submodule.commit(&[("x.c", "100644", b"1\n")]).await;
        let repository = TestRepository::create().await;
        repository.commit(&[("a", "100644", b"1\n"), ("lib", "160000", commit.as_bytes())]).await;
        let work = repository.check_out().await;
        let source = format!("file://{}", submodule.source.display());
        std::fs::create_dir(work.path(".git/modules")).unwrap();
        work.agent_git(&["clone", "-q", "-b", "main", "--separate-git-dir=.git/modules/lib", &source, "lib"]);
        assert!(work.path("lib/x.c").exists());
        work
    }

    #[tokio::test]
    async fn changes_of_submodules_are_named() {
        let work = check_out_submodule().await;
        work.write("a", "2\n");
        work.write_tree().await.unwrap();
        assert_eq!(left_out(&work), [], "an unchanged submodule");
        work.write("lib/x.c", "2\n");
        work.write("lib/deep/new.c", "1\n");
        let tree = work.write_tree().await.unwrap();
        assert_eq!(work.changes_of(&tree).await, ["M 100644 a"]);
        let files = (LeftOutReason::SubmoduleFiles, paths(&["lib/deep/new.c", "lib/x.c"]));
        assert_eq!(left_out(&work), std::slice::from_ref(&files));
        for command in [&["checkout", "-q", "--orphan", "new"][..], &["commit", "-qm", "new"]] {
            work.agent_git(&[&["-C", "lib", "-c", "user.name=x", "-c", "user.email=x@x.test"], command].concat());
        }
        work.write_tree().await.unwrap();
        let commit = (LeftOutReason::SubmoduleCommit, paths(&["lib"]));
        assert_eq!(left_out(&work), [files, commit]);
    }

    #[tokio::test]
    async fn submodule_changes_in_the_index_or_without_a_repository_are_named() {
        let commit = "1".repeat(40);
        let other = format!("160000,{},lib", "2".repeat(40));
        for (command, expected) in [
            (&["status"][..], None),
            (&["update-index", "--cacheinfo", &other], Some(LeftOutReason::SubmoduleCommit)),
            (&["rm", "-q", "--cached", "lib"], Some(LeftOutReason::SubmoduleCommit)),
        ] {
            let repository = TestRepository::create().await;
            repository.commit(&[("a", "100644", b"1\n"), ("lib", "160000", commit.as_bytes())]).await;
            let work = repository.check_out().await;
            work.agent_git(command);
            work.write("a", "2\n");
            work.write("lib/x.c", "1\n");
            let tree = work.write_tree().await.unwrap();
            assert_eq!(work.changes_of(&tree).await, ["M 100644 a"]);
            let commit = expected.map(|reason| (reason, paths(&["lib"])));
            let files = (LeftOutReason::SubmoduleFiles, paths(&["lib/x.c"]));
            assert_eq!(left_out(&work), [files].into_iter().chain(commit).collect::<Vec<_>>(), "{command:?}");
        }
    }
}
