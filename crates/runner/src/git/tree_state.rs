//! Detects changes of the worktree by a step that must not change files.

use crate::git::Git;
use crate::git::changes::{list_changes, list_ignored};
use crate::git::workspace::Workspace;
use crate::stop::Stop;
use pullyard_domain::text::untrusted::{remove_hidden, to_code_span};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

const MAX_REPORTED: usize = 3;
const LONGEST_PATH: usize = 200;

pub(crate) struct TreeState {
    /// Differences from the runner's index, which has the agent's work.
    changes: BTreeSet<Vec<u8>>,
    pub(crate) ignored: Vec<PathBuf>,
}

impl TreeState {
    /// Call this only when no foreign code runs.
    pub(crate) async fn load(git: &Git, workspace: &Workspace) -> Result<Self, Stop> {
        workspace.reset_repository().await?;
        let tree = workspace.tree();
        let changes = list_changes(git, workspace).await?.into_iter().map(|change| change.path).collect();
        let ignored = list_ignored(git, workspace).await?;
        let folders = ignored.iter().filter_map(|path| path.strip_suffix(b"/"));
        let ignored = folders.map(|path| tree.join(OsStr::from_bytes(path))).collect();
        Ok(Self { changes, ignored })
    }

    /// Names up to three paths that differ from an earlier state, as Markdown.
    pub(crate) fn describe_changes(&self, earlier: &Self) -> Option<String> {
        let paths: Vec<&Vec<u8>> = self.changes.symmetric_difference(&earlier.changes).collect();
        let name = |path: &&Vec<u8>| to_code_span(&remove_hidden(&String::from_utf8_lossy(path)), LONGEST_PATH);
        let names: Vec<String> = paths.iter().take(MAX_REPORTED).map(name).collect();
        match paths.len().saturating_sub(MAX_REPORTED) {
            _ if paths.is_empty() => None,
            0 => Some(names.join(", ")),
            others => Some(format!("{} and {others} more", names.join(", "))),
        }
    }
}
