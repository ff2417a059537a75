//! Finds changes of submodules, which the commit never contains.
//! The runner fetches no submodule, so it cannot know whether a commit that the agent chose exists for others.

use crate::git::agent_state::{
    AgentEntry, AgentState, SUBMODULE_MODE, find_submodule_repository, parse_entries, read_head, with_index_copy,
};
use crate::git::nested::scan::prepare_folder;
use crate::git::workspace::disk::run_blocking;
use crate::git::workspace::{Workspace, is_folder};
use crate::git::{Git, GitCall, GitError};
use pullyard_domain::review::published::work_notes::LeftOutReason;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Limit of the files that are listed for each submodule.
const MAX_FILES: usize = 100;

/// Requires an index that is the start of the work.
pub(crate) async fn find_submodule_changes(
    git: &Git,
    workspace: &Workspace,
    state: &AgentState,
) -> Result<Vec<(LeftOutReason, PathBuf)>, GitError> {
    let repository = workspace.repository();
    let own = git.run(GitCall::new(["ls-files", "-v", "--stage", "-z"]).repository(&repository)).await?;
    let mut changes = Vec::new();
    for submodule in parse_entries(&own).into_iter().filter(|entry| entry.mode == SUBMODULE_MODE) {
        let path = PathBuf::from(OsStr::from_bytes(&submodule.path));
        let (tree, folder) = (workspace.tree(), path.clone());
        let (git_dir, head) = run_blocking(move || {
            let git_dir = find_submodule_repository(&tree, &folder);
            let head = git_dir.as_deref().and_then(read_head);
            Ok((git_dir, head))
        })
        .await?;
        if is_moved(&submodule, state) || head.is_some_and(|head| head != submodule.object) {
            changes.push((LeftOutReason::SubmoduleCommit, path.clone()));
        }
        let files = list_changed_files(git, workspace, &path, git_dir.as_deref()).await?;
        changes.extend(files.into_iter().map(|file| (LeftOutReason::SubmoduleFiles, path.join(file))));
    }
    Ok(changes)
}

/// Whether the agent's index has another commit, or no submodule.
fn is_moved(submodule: &AgentEntry, state: &AgentState) -> bool {
    let is_same = |entry: &AgentEntry| {
        entry.path == submodule.path && entry.mode == SUBMODULE_MODE && entry.object == submodule.object
    };
    state.entries.as_ref().is_some_and(|entries| !entries.iter().any(is_same))
}

async fn list_changed_files(
    git: &Git,
    workspace: &Workspace,
    path: &Path,
    git_dir: Option<&Path>,
) -> Result<Vec<PathBuf>, GitError> {
    let (repository, folder) = (workspace.repository(), workspace.tree().join(path));
    // A link in the place of a parent would lead out of the worktree.
    let is_inside = || Some(folder.canonicalize().ok()? == workspace.tree().canonicalize().ok()?.join(path));
    if !is_folder(&folder) || is_inside() != Some(true) {
        return Ok(Vec::new());
    }
    let to_prepare = folder.clone();
    run_blocking(move || prepare_folder(&to_prepare)).await?;
    let list = async |index: &Path| {
        let args = ["ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-per-directory=.gitignore"];
        git.run(GitCall::new(args).repository(&repository).tree(&folder).index(index)).await
    };
    let output = match git_dir {
        Some(git_dir) => with_index_copy(workspace, git_dir, &list).await?,
        None => None,
    };
    let output = match output {
        Some(output) => output,
        // Without an index, all files are new.
        None => list(&repository.join("no-index")).await?,
    };
    let files = output.split(|byte| *byte == 0).filter(|file| !file.is_empty()).take(MAX_FILES);
    Ok(files.map(|file| PathBuf::from(OsStr::from_bytes(file))).collect())
}
