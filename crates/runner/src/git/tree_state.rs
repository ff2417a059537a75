//! Detects changes of the worktree by a step that must not change files.

use crate::git::workspace::Workspace;
use crate::git::{Git, GitCall};
use crate::stop::Stop;
use pullyard_domain::prompt::untrusted::{remove_hidden, to_code_span};
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
        let (tree, repository) = (workspace.tree(), workspace.repository());
        let list = async |args: &[&str]| {
            let output = git.run(GitCall::new(args).repository(&repository).tree(&tree)).await?;
            Ok::<_, Stop>(output.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect())
        };
        let changes = list(&["ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard"]).await?;
        let ignored: BTreeSet<Vec<u8>> =
            list(&["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"]).await?;
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
