//! Detects changes by a step that must not change files: of the worktree, and of refs and hooks of its repository.

use crate::git::workspace::Workspace;
use crate::git::workspace::disk::run_blocking;
use crate::git::{Git, GitCall, GitError};
use pullyard_domain::prompt::untrusted::{remove_hidden, to_code_span};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Paths of the worktree's `.git` that lead git to other commits or programs.
const WATCHED: [&str; 5] = ["HEAD", "packed-refs", "config", "refs", "hooks"];
/// How much of such a file is compared, with its size. Units: bytes.
const COMPARED_BYTES: u64 = 64 * 1024;
const MAX_ENTRIES: usize = 10_000;
const MAX_REPORTED: usize = 3;
const LONGEST_PATH: usize = 200;

pub(crate) struct TreeState {
    /// Differences from the runner's index, which has the agent's work.
    changed: BTreeSet<Vec<u8>>,
    watched: BTreeMap<PathBuf, (u64, Vec<u8>)>,
    pub(crate) ignored: Vec<PathBuf>,
}

impl TreeState {
    /// Call it when no foreign code runs.
    pub(crate) async fn load(git: &Git, workspace: &Workspace) -> Result<Self, GitError> {
        workspace.reset_repository(None).await?;
        let (tree, repository) = (workspace.tree(), workspace.repository());
        let list = async |args: &[&str]| {
            let output = git.run(GitCall::new(args).repository(&repository).tree(&tree)).await?;
            Ok::<_, GitError>(
                output.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect(),
            )
        };
        let changed = list(&["ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard"]).await?;
        let ignored: BTreeSet<Vec<u8>> =
            list(&["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"]).await?;
        let folders = ignored.iter().filter_map(|path| path.strip_suffix(b"/"));
        let ignored = folders.map(|path| tree.join(OsStr::from_bytes(path))).collect();
        let own = tree.join(".git");
        let watched = run_blocking(move || read_watched(&own)).await?;
        Ok(Self { changed, watched, ignored })
    }

    /// Names up to three paths that differ from an earlier state, as Markdown.
    pub(crate) fn describe_changes(&self, earlier: &Self) -> Option<String> {
        let files =
            self.changed.symmetric_difference(&earlier.changed).map(|path| String::from_utf8_lossy(path).into());
        let differs = |path: &&PathBuf| self.watched.get(*path) != earlier.watched.get(*path);
        let all: BTreeSet<&PathBuf> = self.watched.keys().chain(earlier.watched.keys()).collect();
        let own = all.into_iter().filter(differs).map(|path| Path::new(".git").join(path).display().to_string());
        let paths: Vec<String> = files.chain(own).collect();
        let names: Vec<String> =
            paths.iter().take(MAX_REPORTED).map(|path| to_code_span(&remove_hidden(path), LONGEST_PATH)).collect();
        match paths.len().saturating_sub(MAX_REPORTED) {
            _ if paths.is_empty() => None,
            0 => Some(names.join(", ")),
            others => Some(format!("{} and {others} more", names.join(", "))),
        }
    }
}

/// Follows no link: an agent may have made one.
fn read_watched(own: &Path) -> io::Result<BTreeMap<PathBuf, (u64, Vec<u8>)>> {
    let mut watched = BTreeMap::new();
    let mut pending: Vec<PathBuf> = WATCHED.map(PathBuf::from).to_vec();
    let is_folder = fs::symlink_metadata(own).is_ok_and(|about| about.is_dir());
    while let Some(path) = pending.pop().filter(|_| is_folder && watched.len() < MAX_ENTRIES) {
        let full = own.join(&path);
        let Ok(about) = fs::symlink_metadata(&full) else { continue };
        let mut beginning = Vec::new();
        if about.is_dir() {
            for entry in fs::read_dir(&full)? {
                pending.push(path.join(entry?.file_name()));
            }
            continue;
        }
        if about.is_symlink() {
            beginning = fs::read_link(&full)?.into_os_string().into_encoded_bytes();
        } else if about.is_file() {
            File::open(&full)?.take(COMPARED_BYTES).read_to_end(&mut beginning)?;
        }
        watched.insert(path, (about.len(), beginning));
    }
    Ok(watched)
}
