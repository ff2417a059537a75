//! Adds changes to the runner's index. A path that git refuses does not lose the rest of the work.

use crate::git::agent_state::{AgentEntry, AgentState, parse_entries};
use crate::git::changes::{ChangeKind, ChangedPath};
use crate::git::names::is_settings_file;
use crate::git::workspace::{Workspace, is_folder};
use crate::git::{Git, GitCall, GitError};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time of failing calls in the search of refused paths: each takes several. Afterwards a failing batch is left out.
const SEARCH_LIMIT: Duration = Duration::from_secs(300);

/// Adds the changes to the index. Returns the paths that git cannot read or convert, which are not added.
pub(crate) async fn stage_changes(
    git: &Git,
    workspace: &Workspace,
    changes: &[ChangedPath],
) -> Result<Vec<PathBuf>, GitError> {
    stage_within(git, workspace, changes, SEARCH_LIMIT).await
}

async fn stage_within(
    git: &Git,
    workspace: &Workspace,
    changes: &[ChangedPath],
    limit: Duration,
) -> Result<Vec<PathBuf>, GitError> {
    let (tree, repository, mut searched) = (workspace.tree(), workspace.repository(), Duration::ZERO);
    let (mut entries, mut content) = (Vec::new(), Vec::new());
    for ChangedPath { path, kind } in changes {
        match kind {
            ChangeKind::New | ChangeKind::Content => content.push(path.as_slice()),
            ChangeKind::Entry(entry) => entries.extend([entry, &b"\t"[..], path, b"\0"].concat()),
        }
    }
    // Removed files first: a new file may have the name of their folder.
    let update = GitCall::new(["update-index", "-z", "--index-info"]).input(&entries);
    git.run(update.repository(&repository).tree(&tree)).await?;
    let (mut refused, mut batches) = (Vec::new(), vec![content]);
    while let Some(mut batch) = batches.pop() {
        // The paths may not fit into arguments, because the agent decides how many there are.
        let input: Vec<u8> = batch.iter().flat_map(|path| [path, &b"\0"[..]].concat()).collect();
        let update = GitCall::new(["update-index", "--add", "--remove", "--replace", "-z", "--stdin"]).input(&input);
        let start = Instant::now();
        match git.run(update.repository(&repository).tree(&tree)).await {
            Ok(_) => {}
            Err(error @ GitError::Failed { .. }) if !error.is_local() && searched >= limit => {
                tracing::warn!(error = %error, count = batch.len(), "changed paths are left out: {error}");
                refused.extend(batch.iter().map(|path| PathBuf::from(OsStr::from_bytes(path))));
            }
            Err(error @ GitError::Failed { .. }) if !error.is_local() => {
                searched += start.elapsed();
                // Git adds all paths or none.
                let rest = batch.split_off(batch.len() / 2);
                match rest.as_slice() {
                    [path] if batch.is_empty() => {
                        tracing::warn!(error = %error, "a changed path is left out: {error}");
                        refused.push(PathBuf::from(OsStr::from_bytes(path)));
                    }
                    _ => batches.extend([rest, batch]),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(refused)
}

/// Restores the files that a forge would refuse for their content, such as a `.gitmodules` with a forbidden address.
/// Returns their paths.
pub(crate) async fn unstage_refused_settings(
    git: &Git,
    workspace: &Workspace,
    start: &str,
    changes: &[ChangedPath],
) -> Result<Vec<PathBuf>, GitError> {
    let (tree, repository) = (workspace.tree(), workspace.repository());
    let mut refused = Vec::new();
    for change in changes.iter().filter(|change| !change.is_removal()) {
        let path = Path::new(OsStr::from_bytes(&change.path));
        if !is_settings_file(path) || !is_refused(git, &repository, path).await? {
            continue;
        }
        let listed = [OsStr::new("ls-tree"), "-z".as_ref(), start.as_ref(), "--".as_ref(), path.as_os_str()];
        let mut entry = git.run(GitCall::new(listed).repository(&repository)).await?;
        if entry.is_empty() {
            entry = [b"0 ", start.as_bytes(), b"\t", &change.path, b"\0"].concat();
        }
        let restore = GitCall::new(["update-index", "-z", "--index-info"]).input(&entry);
        git.run(restore.repository(&repository).tree(&tree)).await?;
        refused.push(path.to_owned());
    }
    Ok(refused)
}

/// Adds the modes that the agent set only in its index, as `git update-index --chmod` does. A mode that was changed on
/// the disk is newer. Requires staged changes.
pub(crate) async fn stage_modes(
    git: &Git,
    workspace: &Workspace,
    start: &str,
    state: &AgentState,
) -> Result<(), GitError> {
    let (tree, repository) = (workspace.tree(), workspace.repository());
    let list = async |args: &[&str]| git.run(GitCall::new(args).repository(&repository)).await;
    let staged = parse_entries(&list(&["ls-files", "-v", "--stage", "-z"]).await?);
    let staged: HashMap<&[u8], &AgentEntry> = staged.iter().map(|entry| (entry.path.as_slice(), entry)).collect();
    let is_file = |mode: &str| mode.starts_with("100");
    let changed = state.entries().filter(|entry| !entry.is_unmerged && is_file(&entry.mode)).filter_map(|entry| {
        let staged = staged.get(entry.path.as_slice()).filter(|staged| is_file(&staged.mode))?;
        (staged.mode != entry.mode).then_some((entry, *staged))
    });
    let changed: Vec<(&AgentEntry, &AgentEntry)> = changed.collect();
    if changed.is_empty() {
        return Ok(());
    }
    // The index of an agent that moved to an older commit has that commit's modes, not the agent's.
    if let Some(head) = state.head.as_deref().filter(|head| *head != start) {
        let objects = tree.join(".git/objects");
        let merge_base = GitCall::new(["merge-base", start, head]).repository(&repository);
        let merge_base = if is_folder(&objects) { merge_base.objects(&objects) } else { merge_base };
        if git.run_for_line(merge_base).await.ok().as_deref() != Some(start) {
            return Ok(());
        }
    }
    let before = list(&["ls-tree", "-r", "-z", start]).await?;
    let before: HashMap<&[u8], &[u8]> = before
        .split(|byte| *byte == 0)
        .filter_map(|entry| Some((entry.get(entry.iter().position(|byte| *byte == b'\t')? + 1..)?, entry)))
        .collect();
    let mut entries = Vec::new();
    for (entry, staged) in changed {
        let is_wanted = match before.get(entry.path.as_slice()) {
            Some(before) => before.starts_with(staged.mode.as_bytes()),
            None => entry.mode == "100755",
        };
        if is_wanted {
            let head = format!("{} {}\t", entry.mode, staged.object);
            entries.extend([head.as_bytes(), &entry.path, b"\0"].concat());
        }
    }
    let update = GitCall::new(["update-index", "-z", "--index-info"]).input(&entries);
    git.run(update.repository(&repository).tree(&tree)).await.map(drop)
}

/// Checks a file of the index as a forge does when it receives a push.
async fn is_refused(git: &Git, repository: &Path, path: &Path) -> Result<bool, GitError> {
    let run = async |args: &[&str], input: &[u8]| git.run(GitCall::new(args).input(input).repository(repository)).await;
    let mut pathspec = OsString::from(":(top,literal)");
    pathspec.push(path);
    let staged = [OsStr::new("ls-files"), "--stage".as_ref(), "-z".as_ref(), "--".as_ref(), &pathspec];
    let staged = git.run(GitCall::new(staged).repository(repository)).await?;
    let Some(blob) = staged.split(|byte| *byte == b' ').nth(1).filter(|_| staged.starts_with(b"100")) else {
        return Ok(false);
    };
    let name = path.file_name().unwrap_or_default().as_bytes();
    let entry = [b"100644 blob ", blob, b"\t", name, b"\0"].concat();
    let tree = run(&["mktree", "-z"], &entry).await?;
    let pack = run(&["pack-objects", "--quiet", "--stdout"], &[&tree, blob, b"\n"].concat()).await?;
    match run(&["index-pack", "--stdin", "--fsck-objects"], &pack).await {
        Ok(_) => Ok(false),
        Err(error @ GitError::Failed { .. }) if !error.is_local() => {
            tracing::warn!(error = %error, "a changed file is left out: {error}");
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::changes::list_changes;
    use crate::git::exclusion_report::explain_no_changes;
    use crate::git::test_world::{TestRepository, TestWork};
    use crate::stop::Stop;
    use pullyard_domain::review::published::work_notes::LeftOutReason::{self, RefusedContent, RefusedName};

    async fn check_out() -> TestWork {
        let repository = TestRepository::create().await;
        let modules = b"[submodule \"lib\"]\n\tpath = lib\n\turl = https://forge.test/lib\n";
        repository.commit(&[("a.txt", "100644", b"a\n"), (".gitmodules", "100644", modules)]).await;
        repository.check_out().await
    }

    fn left_out(work: &TestWork) -> Vec<(LeftOutReason, Vec<String>)> {
        let paths = work.workspace.exclusions().paths.into_iter();
        paths.map(|(reason, paths)| (reason, paths.iter().map(|path| path.display().to_string()).collect())).collect()
    }

    #[tokio::test]
    async fn refused_names_are_left_out_and_the_rest_is_committed() {
        let work = check_out().await;
        for path in
            [".GIT/a", ".GIT/b/c", "git~1", "x/.git./c", ".git /d", ".git::$INDEX_ALLOCATION/e", ".g\u{200c}it/f"]
        {
            work.write(path, "odd\n");
        }
        work.write("x/good.txt", "good\n");
        std::fs::remove_file(work.path(".gitmodules")).unwrap();
        std::os::unix::fs::symlink("a.txt", work.path(".gitmodules")).unwrap();
        let tree = work.write_tree().await.unwrap();
        assert_eq!(work.changes_of(&tree).await, ["A 100644 x/good.txt"]);
        let names = [".GIT", ".git ", ".git::$INDEX_ALLOCATION", ".gitmodules", ".g\u{200c}it", "git~1", "x/.git."];
        assert_eq!(left_out(&work), [(RefusedName, names.map(str::to_owned).to_vec())]);
    }

    #[tokio::test]
    async fn work_with_only_refused_names_names_them_in_the_failure() {
        let work = check_out().await;
        work.write("git~1", "odd\n");
        let stop = work.write_tree().await.unwrap_err();
        let notes = work.workspace.exclusions().to_notes(str::to_owned);
        let Stop::Failure(failure) = explain_no_changes(stop, &notes) else { panic!("no failure") };
        let sentence = "The agent finished without changing a file: \"names that git refuses: `git~1`\".";
        assert_eq!((failure.code(), failure.sentence().as_str()), ("no_changes", sentence));
    }

    #[tokio::test]
    async fn settings_that_a_forge_refuses_keep_their_old_content() {
        for settings in [
            "[submodule \"lib\"]\n\tpath = lib\n\turl = -x\n",
            "[submodule \"../lib\"]\n\tpath = lib\n\turl = https://forge.test/lib\n",
            "[submodule \"lib\"]\n\tpath = lib\n\turl = https://forge.test/%0ahost\n",
        ] {
            let work = check_out().await;
            work.write(".gitmodules", settings);
            work.write("sub[1]/.gitmodules", settings);
            work.write("sub[1]/.gitattributes", "*.txt ".repeat(1_000));
            work.write("a.txt", "b\n");
            let tree = work.write_tree().await.unwrap();
            assert_eq!(work.changes_of(&tree).await, ["M 100644 a.txt"], "{settings}");
            let paths = [".gitmodules", "sub[1]/.gitattributes", "sub[1]/.gitmodules"];
            assert_eq!(left_out(&work), [(RefusedContent, paths.map(str::to_owned).to_vec())]);
        }
        let work = check_out().await;
        work.write(".gitmodules", "[submodule \"lib\"]\n\tpath = lib\n\turl = https://forge.test/other\n");
        let tree = work.write_tree().await.unwrap();
        assert_eq!((work.changes_of(&tree).await, left_out(&work)), (vec!["M 100644 .gitmodules".to_owned()], vec![]));
    }

    #[tokio::test]
    async fn file_that_git_cannot_read_does_not_lose_the_others() {
        let work = check_out().await;
        // Git refuses a file beyond a link, and the runner adds the others.
        for number in 0..9 {
            work.write(&format!("new-{number}"), "new\n");
        }
        let mut changes = list_changes(work.git(), &work.workspace).await.unwrap();
        std::fs::remove_file(work.path("new-4")).unwrap();
        std::os::unix::fs::symlink("/dev", work.path("link")).unwrap();
        changes[4].path = b"link/null".to_vec();
        let refused = stage_changes(work.git(), &work.workspace, &changes).await.unwrap();
        assert_eq!(refused, [PathBuf::from("link/null")]);
        let staged = GitCall::new(["ls-files"]);
        let staged = work.git().run_for_line(staged.repository(&work.workspace.repository())).await.unwrap();
        assert_eq!(staged.lines().filter(|name| name.starts_with("new-")).count(), 8, "{staged}");
        let refused = stage_within(work.git(), &work.workspace, &changes, Duration::ZERO).await.unwrap();
        assert_eq!(refused.len(), changes.len(), "no time is left for the search");
    }

    #[tokio::test]
    async fn hundreds_of_unconvertible_files_do_not_lose_the_others() {
        let work = check_out().await;
        work.write(".gitattributes", "*.utf16 working-tree-encoding=UTF-16\n");
        work.write("good", "new\n");
        (0..150).for_each(|number| work.write(&format!("{number}.utf16"), "no mark"));
        let tree = work.write_tree().await.unwrap();
        assert_eq!(work.changes_of(&tree).await, ["A 100644 .gitattributes", "A 100644 good"]);
        let [(reason, paths)] = left_out(&work).try_into().unwrap();
        assert_eq!((reason, paths.len()), (LeftOutReason::Unreadable, 150));
    }
}
