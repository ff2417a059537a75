//! Lists the files of an agent's session, and maps them to another attempt, whose home and worktree differ.
//! Each agent resumes from these files alone, with other settings and in another folder (tested in
//! `tests/run_job/real_agents`).

use super::driver::SessionFiles;
use super::drivers::find_driver;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Ids become parts of paths, so they are checked. Units: bytes.
const MAX_ID_LENGTH: usize = 64;
/// Depth of folders: year, month, day and file, or nested folders of the session itself.
const MAX_DEPTH: u32 = 4;
const MAX_FILES: usize = 500;

#[derive(Clone, Copy, Debug)]
pub(crate) struct AgentSession<'a> {
    files: &'a SessionFiles,
    home: &'a Path,
    tree: &'a Path,
    id: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionFile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl<'a> AgentSession<'a> {
    /// `None` for an agent without known session files, and for an invalid id.
    pub(crate) fn new(agent: &str, (home, tree): (&'a Path, &'a Path), id: &'a str) -> Option<Self> {
        let files = &find_driver(agent)?.session;
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_valid = !id.is_empty() && id.len() <= MAX_ID_LENGTH && id.bytes().all(is_id);
        is_valid.then_some(Self { files, home, tree, id })
    }

    fn folders(&self) -> Vec<(&'static str, PathBuf)> {
        (self.files.folders)(self.tree, self.id)
    }

    fn is_session_file(&self, name: &str) -> bool {
        (self.files.is_file)(name, self.id)
    }

    pub(crate) fn path_for(&self, name: &str) -> Option<PathBuf> {
        let is_valid = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let folders = self.folders().into_iter().rev();
        let mut matches = folders.filter_map(|(prefix, folder)| Some((folder, name.strip_prefix(prefix)?)));
        let (folder, name) = matches.next().filter(|_| is_valid && self.is_session_file(name))?;
        Some(self.home.join(folder).join(name))
    }

    /// Lists the session's files without links and special files. Empty before the session begins.
    pub(crate) fn list_files(&self) -> io::Result<Vec<SessionFile>> {
        let mut files = Vec::new();
        for (prefix, folder) in self.folders() {
            let mut root = self.home.to_owned();
            // The agent may have replaced a folder.
            let is_folder = folder.iter().all(|part| {
                root.push(part);
                fs::symlink_metadata(&root).is_ok_and(|metadata| metadata.is_dir())
            });
            if is_folder {
                self.collect_files((&root, prefix), "", MAX_DEPTH, &mut files)?;
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    fn collect_files(
        &self,
        (root, prefix): (&Path, &str),
        subfolder: &str,
        depth: u32,
        files: &mut Vec<SessionFile>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(root.join(subfolder))?.flatten() {
            let Some(path) = entry.file_name().to_str().map(|name| format!("{subfolder}{name}")) else { continue };
            let (kind, name) = (entry.file_type()?, format!("{prefix}{path}"));
            if kind.is_dir() && depth > 1 && (self.files.is_folder)(&path, self.id) {
                self.collect_files((root, prefix), &format!("{path}/"), depth - 1, files)?;
            } else if kind.is_file() && self.is_session_file(&name) {
                if files.len() >= MAX_FILES {
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the session has too many files"));
                }
                files.push(SessionFile { name, path: entry.path() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "7d0c0e0e-0f3c-4d55-9d2f-3f8a3d6c1a01";

    struct Home(tempfile::TempDir);

    impl Home {
        fn with_files(files: &[&str]) -> Self {
            let home = tempfile::tempdir().unwrap();
            for file in files {
                let path = home.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, file).unwrap();
            }
            Self(home)
        }

        fn session_files(&self, agent: &str) -> Vec<String> {
            let session = AgentSession::new(agent, (self.0.path(), Path::new("/work/a.b_c/tree")), ID).unwrap();
            let files = session.list_files().unwrap();
            for file in &files {
                assert_eq!(session.path_for(&file.name).as_ref(), Some(&file.path), "the name maps back to its path");
            }
            files.into_iter().map(|file| file.name).collect()
        }
    }

    #[test]
    fn claude_code_session_is_found_by_worktree_and_id() {
        let folder = "claude/projects/-work-a-b-c-tree";
        let home = Home::with_files(&[
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
        assert_eq!(home.session_files("claude_code"), expected);
    }

    #[test]
    fn codex_session_is_found_by_day_and_id() {
        let name = format!("2026/11/21/rollout-2026-11-21T05-58-13-{ID}.jsonl");
        let other = "codex/sessions/2026/11/21/rollout-2026-11-21T05-58-13-other.jsonl";
        let home =
            Home::with_files(&[&format!("codex/sessions/{name}"), other, "codex/auth.json", "codex/config.toml"]);
        assert_eq!(home.session_files("codex"), [name]);
    }

    #[test]
    fn symlinks_are_no_part_of_a_session() {
        let home = Home::with_files(&["codex/sessions/2026/11/20/x", "secret.jsonl"]);
        let day = home.0.path().join("codex/sessions/2026/11/20");
        std::os::unix::fs::symlink(home.0.path().join("secret.jsonl"), day.join(format!("rollout-{ID}.jsonl")))
            .unwrap();
        assert_eq!(home.session_files("codex"), [""; 0]);
        let home = Home::with_files(&[&format!("elsewhere/sessions/2026/11/20/rollout-{ID}.jsonl")]);
        std::os::unix::fs::symlink(home.0.path().join("elsewhere"), home.0.path().join("codex")).unwrap();
        assert_eq!(home.session_files("codex"), [""; 0]);
    }

    #[test]
    fn restored_files_stay_inside_the_session() {
        let at = (Path::new("/home"), Path::new("/tree"));
        let claude = AgentSession::new("claude_code", at, ID).unwrap();
        let codex = AgentSession::new("codex", at, ID).unwrap();
        for name in [
            format!("{ID}/../../../settings.json"),
            "tasks/../x.json".into(),
            "../.claude.json".into(),
            format!("/{ID}.jsonl"),
            ID.into(),
        ] {
            assert_eq!(claude.path_for(&name), None, "{name}");
        }
        for name in ["auth.json".to_owned(), format!("../rollout-{ID}.jsonl"), format!("rollout-{ID}.jsonl/x")] {
            assert_eq!(codex.path_for(&name), None, "{name}");
        }
        for id in ["", "../x", "a/b", "a b", &"a".repeat(65)] {
            assert!(AgentSession::new("codex", at, id).is_none(), "{id}");
        }
        assert!(AgentSession::new("command", at, ID).is_none());
    }

    #[test]
    fn session_limits_files_depth_and_id_length() {
        let day = "codex/sessions/2026/11/21";
        let names: Vec<String> = (0..MAX_FILES).map(|n| format!("{day}/rollout-{n}-{ID}.jsonl")).collect();
        let home = Home::with_files(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(home.session_files("codex").len(), MAX_FILES);
        fs::write(home.0.path().join(day).join(format!("rollout-more-{ID}.jsonl")), "").unwrap();
        let session = AgentSession::new("codex", (home.0.path(), Path::new("/tree")), ID).unwrap();
        assert_eq!(session.list_files().unwrap_err().kind(), io::ErrorKind::FileTooLarge);

        let home = Home::with_files(&[&format!("{day}/deeper/rollout-{ID}.jsonl")]);
        assert_eq!(home.session_files("codex"), [""; 0]);
        let at = (Path::new("/home"), Path::new("/tree"));
        assert!(AgentSession::new("codex", at, &"a".repeat(MAX_ID_LENGTH)).is_some());
    }
}
