//! Names the files of a session of Claude Code, which are below the name of its work folder.

use crate::agent::driver::SessionFiles;
use std::path::{Path, PathBuf};

const TASK_PREFIX: &str = "tasks/";
/// Claude Code shortens longer names in its own way. Units: bytes.
const MAX_FOLDER_NAME: usize = 200;

pub(super) const SESSION: SessionFiles = SessionFiles { folders, is_file, is_folder: |path, id| path.starts_with(id) };

fn folders(tree: &Path, id: &str) -> Vec<(&'static str, PathBuf)> {
    vec![
        ("", Path::new("claude").join("projects").join(project_folder_name(tree))),
        (TASK_PREFIX, Path::new("claude").join("tasks").join(id)),
    ]
}

fn is_file(name: &str, id: &str) -> bool {
    let rest = name.strip_prefix(id);
    let task = name.strip_prefix(TASK_PREFIX).and_then(|task| task.strip_suffix(".json"));
    rest.is_some_and(|rest| rest == ".jsonl" || rest.starts_with('/'))
        || task.is_some_and(|task| task.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn project_folder_name(tree: &Path) -> String {
    let name = tree.to_string_lossy();
    let mut name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    name.truncate(MAX_FOLDER_NAME);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_worktree_path_is_cut_as_claude_code_does() {
        let tree = format!("/work/{}", "a.".repeat(MAX_FOLDER_NAME));
        let name = project_folder_name(Path::new(&tree));
        assert_eq!(name.len(), MAX_FOLDER_NAME);
        assert!(name.starts_with("-work-a-a-a-"), "{name}");
    }
}
