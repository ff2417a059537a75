//! Finds signs of mistakes in a change: undone commits, unfinished merges, conflict markers.

use crate::git::agent_state::AgentState;
use crate::git::workspace::{Workspace, is_folder};
use crate::git::{Git, GitCall, GitError};
use pullyard_domain::review::published::work_notes::WorkWarning;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// Time limit, because a repository can make git work for very long.
const LIMIT: Duration = Duration::from_secs(30);
/// Limit for reading a file with conflict markers. Units: bytes.
const MAX_READ_BYTES: u64 = 16 * 1024 * 1024;
/// Files with conflict markers that are read. A hundred names are enough for a person.
const MAX_CANDIDATES: usize = 1_000;
const MARKER_MESSAGE: &str = ": leftover conflict marker";
/// Without these settings, `git diff --check` also reports white space.
const NO_WHITE_SPACE_CHECKS: &str =
    "core.whitespace=-blank-at-eol,-blank-at-eof,-space-before-tab,-indent-with-non-tab,-tab-in-indent,cr-at-eol";

/// Returns `Incomplete` instead of an error, because the change is usable without its warnings.
pub(crate) async fn find_warnings(
    git: &Git,
    workspace: &Workspace,
    state: &AgentState,
    change: (&str, &str),
) -> Vec<WorkWarning> {
    find_warnings_within(LIMIT, git, (workspace, state), change).await
}

pub(super) async fn find_warnings_within(
    limit: Duration,
    git: &Git,
    (workspace, state): (&Workspace, &AgentState),
    (start, tree): (&str, &str),
) -> Vec<WorkWarning> {
    let (repository, mut warnings) = (workspace.repository(), Vec::new());
    let find = async {
        let changes = list_changes(git, &repository, start, tree).await?;
        let changed: BTreeSet<&[u8]> = changes.iter().map(|change| change.path.as_slice()).collect();
        let unmerged = state.entries().filter(|entry| entry.is_unmerged && changed.contains(entry.path.as_slice()));
        let unmerged: BTreeSet<String> = unmerged.map(|entry| to_text(&entry.path)).collect();
        let paths = |paths: BTreeSet<String>| Some(paths.into_iter().collect::<Vec<_>>()).filter(|all| !all.is_empty());
        warnings.extend(paths(unmerged).map(|paths| WorkWarning::Unmerged { paths }));
        let markers = find_conflict_markers(git, &repository, start, tree).await?;
        warnings.extend(paths(markers).map(|paths| WorkWarning::ConflictMarkers { paths }));
        // Last, because it reads the agent's objects.
        warnings.extend(find_undone_commits(git, workspace, state, start, &changes).await?);
        Ok::<_, GitError>(())
    };
    let reason = match timeout(limit, find).await {
        Ok(Ok(())) => return warnings,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "there was no time".to_owned(),
    };
    tracing::warn!("cannot check the change for all warnings: {reason}");
    warnings.push(WorkWarning::Incomplete);
    warnings
}

/// A path's entries in two trees, as mode and object.
struct Change {
    path: Vec<u8>,
    before: [String; 2],
    after: [String; 2],
}

async fn list_changes(git: &Git, repository: &Path, from: &str, to: &str) -> Result<Vec<Change>, GitError> {
    let args = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--end-of-options", from, to, "--"];
    let output = git.run(GitCall::new(args).repository(repository)).await?;
    let mut fields = output.split(|byte| *byte == 0);
    let mut changes = Vec::new();
    while let (Some(head), Some(path)) = (fields.next(), fields.next()) {
        let head = to_text(head);
        let words: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
        if let [before_mode, after_mode, before, after, ..] = words.as_slice() {
            let entry = |mode: &str, object: &str| [mode.to_owned(), object.to_owned()];
            let (before, after) = (entry(before_mode, before), entry(after_mode, after));
            changes.push(Change { path: path.to_vec(), before, after });
        }
    }
    Ok(changes)
}

/// Finds files that the change returns to their content before the commits of the start which HEAD lacks.
/// A HEAD with other commits and the same content, such as after a squash, undoes nothing.
async fn find_undone_commits(
    git: &Git,
    workspace: &Workspace,
    state: &AgentState,
    start: &str,
    changes: &[Change],
) -> Result<Option<WorkWarning>, GitError> {
    let repository = workspace.repository();
    let Some(head) = state.head.as_deref().filter(|head| *head != start) else { return Ok(None) };
    // The agent's own commits are only in its repository.
    let objects = workspace.tree().join(".git/objects");
    let merge_base = GitCall::new(["merge-base", start, head]).repository(&repository);
    let merge_base = if is_folder(&objects) { merge_base.objects(&objects) } else { merge_base };
    let base = match git.run_for_line(merge_base).await {
        Ok(base) if base != start => base,
        Ok(_) | Err(GitError::Failed { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let since_base = list_changes(git, &repository, &base, start).await?;
    let before: HashMap<&[u8], &[String; 2]> =
        since_base.iter().map(|change| (change.path.as_slice(), &change.before)).collect();
    let undone = changes.iter().filter(|change| before.get(change.path.as_slice()) == Some(&&change.after));
    let paths: Vec<String> = undone.map(|change| to_text(&change.path)).collect();
    if paths.is_empty() {
        return Ok(None);
    }
    let count = GitCall::new(["rev-list", "--count", &format!("{base}..{start}")]).repository(&repository);
    let commits = git.run_for_line(count).await?.parse().unwrap_or(1);
    Ok(Some(WorkWarning::UndoneCommits { commits, paths }))
}

async fn find_conflict_markers(
    git: &Git,
    repository: &Path,
    start: &str,
    tree: &str,
) -> Result<BTreeSet<String>, GitError> {
    let check = ["-c", NO_WHITE_SPACE_CHECKS, "diff", "--check", "--no-renames", "--no-ext-diff", "--no-textconv"];
    let check = check.into_iter().chain(["--no-color", "--end-of-options", start, tree, "--"]);
    let output = match git.run(GitCall::new(check).repository(repository).max_output(MAX_READ_BYTES)).await {
        Err(GitError::Failed { stdout, .. }) => stdout,
        other => return other.map(|_| BTreeSet::new()),
    };
    let lines = output.lines().filter_map(|line| line.strip_suffix(MARKER_MESSAGE)?.rsplit_once(':'));
    let candidates: BTreeSet<String> = lines.map(|(path, _)| path.to_owned()).take(MAX_CANDIDATES).collect();
    let mut paths = BTreeSet::new();
    for path in candidates {
        // Git's check also reports a heading of `=======`.
        let blob = format!("{tree}:{path}");
        let call = GitCall::new(["cat-file", "blob", &blob]).repository(repository).max_output(MAX_READ_BYTES);
        match git.run(call).await {
            Ok(content) if has_conflict_markers(&content) => drop(paths.insert(path)),
            Ok(_) | Err(GitError::Failed { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(paths)
}

fn has_conflict_markers(content: &[u8]) -> bool {
    let mut lines = content.split(|byte| *byte == b'\n');
    let markers = [&b"<<<<<<< "[..], b"=======", b">>>>>>> "];
    markers.iter().all(|marker| lines.any(|line| line.starts_with(marker)))
}

fn to_text(path: &[u8]) -> String {
    OsStr::from_bytes(path).to_string_lossy().into_owned()
}
