//! Lists the files of an agent's session, and where they belong in another attempt, whose home and worktree differ.
//!
//! Claude Code looks for a session below the name of its work folder; Codex searches all days. Both resume from these
//! files alone, with other settings and in another folder (tested in `tests/agents`).

use super::installed::Known;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const TASKS: &str = "tasks/";
/// Ids become parts of paths, so they are checked. Units: bytes.
const LONGEST_ID: usize = 64;
/// Depth of folders: year, month, day and file, or nested folders of the session itself.
const DEEPEST: u32 = 4;
const MOST_FILES: usize = 500;
/// Claude Code shortens longer names in its own way. Units: bytes.
const LONGEST_FOLDER: usize = 200;

#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionOf<'a> {
    known: Known,
    home: &'a Path,
    tree: &'a Path,
    id: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionFile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl<'a> SessionOf<'a> {
    /// `None` for an agent without known session files, and for an invalid id.
    pub(crate) fn new(agent: &str, (home, tree): (&'a Path, &'a Path), id: &'a str) -> Option<Self> {
        let known = Known::ALL.into_iter().find(|known| known.capability() == agent)?;
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let plain = !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(is_id);
        plain.then_some(Self { known, home, tree, id })
    }

    /// The folders of the session's files below the home, each with the prefix of its names.
    fn folders(&self) -> Vec<(&'static str, PathBuf)> {
        match self.known {
            Known::ClaudeCode => vec![
                ("", Path::new("claude").join("projects").join(name_of(self.tree))),
                (TASKS, Path::new("claude").join("tasks").join(self.id)),
            ],
            Known::Codex => vec![("", Path::new("codex").join("sessions"))],
        }
    }

    /// Whether a file of this name belongs to the session.
    fn has(&self, name: &str) -> bool {
        match self.known {
            Known::ClaudeCode => {
                let rest = name.strip_prefix(self.id);
                let task = name.strip_prefix(TASKS).and_then(|task| task.strip_suffix(".json"));
                rest.is_some_and(|rest| rest == ".jsonl" || rest.starts_with('/'))
                    || task.is_some_and(|task| task.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            }
            Known::Codex => name.rsplit('/').next().is_some_and(|file| {
                file.strip_suffix(".jsonl").is_some_and(|file| file.starts_with("rollout-") && file.ends_with(self.id))
            }),
        }
    }

    /// The path for a file of this name; `None` if it does not belong to the session.
    pub(crate) fn place(&self, name: &str) -> Option<PathBuf> {
        let plain = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let folders = self.folders().into_iter().rev();
        let mut below = folders.filter_map(|(begins, folder)| Some((folder, name.strip_prefix(begins)?)));
        let (folder, name) = below.next().filter(|_| plain && self.has(name))?;
        Some(self.home.join(folder).join(name))
    }

    /// Lists the session's files without links and special files. Empty before the session begins.
    pub(crate) fn files(&self) -> io::Result<Vec<SessionFile>> {
        let mut files = Vec::new();
        for (begins, folder) in self.folders() {
            let mut root = self.home.to_owned();
            // The agent may have replaced a folder.
            let is_there = folder.iter().all(|part| {
                root.push(part);
                fs::symlink_metadata(&root).is_ok_and(|about| about.is_dir())
            });
            if is_there {
                self.look((&root, begins), "", DEEPEST, &mut files)?;
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    fn look(
        &self,
        (root, begins): (&Path, &str),
        below: &str,
        depth: u32,
        files: &mut Vec<SessionFile>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(root.join(below))?.flatten() {
            let Some(path) = entry.file_name().to_str().map(|name| format!("{below}{name}")) else { continue };
            let (kind, name) = (entry.file_type()?, format!("{begins}{path}"));
            if kind.is_dir() && depth > 1 && (self.known == Known::Codex || path.starts_with(self.id)) {
                self.look((root, begins), &format!("{path}/"), depth - 1, files)?;
            } else if kind.is_file() && self.has(&name) {
                if files.len() >= MOST_FILES {
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the session has too many files"));
                }
                files.push(SessionFile { name, path: entry.path() });
            }
        }
        Ok(())
    }
}

/// The folder name that Claude Code derives from the path of its work folder.
fn name_of(tree: &Path) -> String {
    let name = tree.to_string_lossy();
    let mut name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    name.truncate(LONGEST_FOLDER);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "7d0c0e0e-0f3c-4d55-9d2f-3f8a3d6c1a01";

    struct Home(tempfile::TempDir);

    impl Home {
        fn with(files: &[&str]) -> Self {
            let home = tempfile::tempdir().unwrap();
            for file in files {
                let path = home.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, file).unwrap();
            }
            Self(home)
        }

        fn names(&self, agent: &str) -> Vec<String> {
            let session = SessionOf::new(agent, (self.0.path(), Path::new("/work/a.b_c/tree")), ID).unwrap();
            let files = session.files().unwrap();
            for file in &files {
                assert_eq!(session.place(&file.name).as_ref(), Some(&file.path), "the name maps back to its path");
            }
            files.into_iter().map(|file| file.name).collect()
        }
    }

    #[test]
    fn claude_code_session_is_found_by_worktree_and_id() {
        let folder = "claude/projects/-work-a-b-c-tree";
        let home = Home::with(&[
            &format!("{folder}/{ID}.jsonl"),
            &format!("{folder}/{ID}/subagents/agent-1.jsonl"),
            &format!("claude/tasks/{ID}/1.json"),
            &format!("claude/tasks/{ID}/.lock"),
            "claude/tasks/other/1.json",
            &format!("{folder}/ffffffff-0f3c-4d55-9d2f-3f8a3d6c1a01.jsonl"),
            &format!("claude/projects/-elsewhere/{ID}.jsonl"),
            "claude/.claude.json",
            "claude/.credentials.json",
        ]);
        let expected = [format!("{ID}.jsonl"), format!("{ID}/subagents/agent-1.jsonl"), "tasks/1.json".into()];
        assert_eq!(home.names("claude_code"), expected);
    }

    #[test]
    fn codex_session_is_found_by_day_and_id() {
        let name = format!("2026/11/21/rollout-2026-11-21T05-58-13-{ID}.jsonl");
        let other = "codex/sessions/2026/11/21/rollout-2026-11-21T05-58-13-other.jsonl";
        let home = Home::with(&[&format!("codex/sessions/{name}"), other, "codex/auth.json", "codex/config.toml"]);
        assert_eq!(home.names("codex"), [name]);
    }

    #[test]
    fn symlinks_are_no_part_of_a_session() {
        let home = Home::with(&["codex/sessions/2026/11/20/x", "secret.jsonl"]);
        let day = home.0.path().join("codex/sessions/2026/11/20");
        std::os::unix::fs::symlink(home.0.path().join("secret.jsonl"), day.join(format!("rollout-{ID}.jsonl")))
            .unwrap();
        assert_eq!(home.names("codex"), [""; 0]);
        let home = Home::with(&[&format!("elsewhere/sessions/2026/11/20/rollout-{ID}.jsonl")]);
        std::os::unix::fs::symlink(home.0.path().join("elsewhere"), home.0.path().join("codex")).unwrap();
        assert_eq!(home.names("codex"), [""; 0]);
    }

    #[test]
    fn restored_files_stay_inside_the_session() {
        let at = (Path::new("/home"), Path::new("/tree"));
        let claude = SessionOf::new("claude_code", at, ID).unwrap();
        let codex = SessionOf::new("codex", at, ID).unwrap();
        for name in [
            format!("{ID}/../../../settings.json"),
            "tasks/../x.json".into(),
            "../.claude.json".into(),
            format!("/{ID}.jsonl"),
            ID.into(),
        ] {
            assert_eq!(claude.place(&name), None, "{name}");
        }
        for name in ["auth.json".to_owned(), format!("../rollout-{ID}.jsonl"), format!("rollout-{ID}.jsonl/x")] {
            assert_eq!(codex.place(&name), None, "{name}");
        }
        for id in ["", "../x", "a/b", "a b", &"a".repeat(65)] {
            assert!(SessionOf::new("codex", at, id).is_none(), "{id}");
        }
        assert!(SessionOf::new("command", at, ID).is_none());
    }

    #[test]
    fn session_limits_files_depth_and_id_length() {
        let day = "codex/sessions/2026/11/21";
        let names: Vec<String> = (0..MOST_FILES).map(|n| format!("{day}/rollout-{n}-{ID}.jsonl")).collect();
        let home = Home::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(home.names("codex").len(), MOST_FILES);
        fs::write(home.0.path().join(day).join(format!("rollout-more-{ID}.jsonl")), "").unwrap();
        let session = SessionOf::new("codex", (home.0.path(), Path::new("/tree")), ID).unwrap();
        assert_eq!(session.files().unwrap_err().kind(), io::ErrorKind::FileTooLarge);

        let home = Home::with(&[&format!("{day}/deeper/rollout-{ID}.jsonl")]);
        assert_eq!(home.names("codex"), [""; 0]);
        let at = (Path::new("/home"), Path::new("/tree"));
        assert!(SessionOf::new("codex", at, &"a".repeat(LONGEST_ID)).is_some());
    }

    #[test]
    fn long_worktree_path_is_cut_as_claude_code_does() {
        let tree = format!("/work/{}", "a.".repeat(LONGEST_FOLDER));
        let name = name_of(Path::new(&tree));
        assert_eq!(name.len(), LONGEST_FOLDER);
        assert!(name.starts_with("-work-a-a-a-"), "{name}");
    }
}
