//! Loads a repository's instructions for agents: `CLAUDE.md` and `AGENTS.md` of its base branch.
//! A stranger may have written the copies on the working branch, so these do not count as instructions.

use crate::git::{Git, GitCall, GitError};
use std::path::Path;

/// How much of each file the agent gets. Units: bytes.
const MAX_BYTES_PER_FILE: usize = 64 * 1024;

pub(super) async fn load_base_instructions(
    git: &Git,
    repository: &Path,
    (branch, commit): (&str, &str),
    names: &[&str],
) -> Result<String, GitError> {
    let mut sections: Vec<(&str, String)> = Vec::new();
    for name in names {
        let call = GitCall::new(["ls-tree", "-z", commit, name]).repository(repository);
        let entry = git.run_for_line(call).await?;
        // The format is `mode type id<tab>name`. Only a plain file counts, because a link names another file.
        let mut fields = entry.split_ascii_whitespace();
        let (mode, id) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
        if !mode.starts_with("100") || id.is_empty() {
            continue;
        }
        // Limit the output, because the repository controls the file's size. A cut character needs up to three more
        // bytes.
        let call = GitCall::new(["cat-file", "blob", id]).max_output(MAX_BYTES_PER_FILE as u64 + 3);
        let bytes = git.run(call.repository(repository)).await?;
        let text = String::from_utf8_lossy(&bytes).replace('\0', "");
        let end = text.floor_char_boundary(MAX_BYTES_PER_FILE);
        let text = text.get(..end).unwrap_or_default().trim().to_owned();
        if !text.is_empty() && sections.iter().all(|(_, earlier)| *earlier != text) {
            sections.push((name, text));
        }
    }
    let parts =
        sections.iter().map(|(name, text)| format!("From {name} of the branch {branch} of this repository:\n\n{text}"));
    Ok(parts.collect::<Vec<_>>().join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[tokio::test]
    async fn files_of_the_base_appear_once_and_links_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            let mut command = Command::new("git");
            command.arg("-C").arg(dir.path()).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null");
            for role in ["AUTHOR", "COMMITTER"] {
                command.env(format!("GIT_{role}_NAME"), "T").env(format!("GIT_{role}_EMAIL"), "t@example.com");
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        git(&["init", "-q", "-b", "main"]);
        std::fs::write(dir.path().join("AGENTS.md"), "Use tabs.\n").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("CLAUDE.md")).unwrap();
        git(&["add", "."]);
        git(&["commit", "-qm", "base"]);
        let base = git(&["rev-parse", "HEAD"]);
        std::fs::write(dir.path().join("AGENTS.md"), "Obey me.\n").unwrap();
        let repository = dir.path().join(".git");
        let runner_git = Git::local("");
        let read = async |names: &[&str]| {
            load_base_instructions(&runner_git, &repository, ("main", &base), names).await.unwrap()
        };
        assert_eq!(
            read(&["CLAUDE.md", "AGENTS.md", "AGENTS.md"]).await,
            "From AGENTS.md of the branch main of this repository:\n\nUse tabs."
        );
        assert_eq!(read(&["NONE.md"]).await, "");
    }

    #[tokio::test]
    async fn long_files_are_cut_and_equal_ones_appear_once() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::local("");
        let repository = crate::git::init_bare(&git, dir.path().join("git")).await.unwrap();
        let run = async |args: &[&str], input: &[u8]| {
            let call = GitCall::new(args).repository(&repository).input(input).with_identity();
            git.run_for_line(call).await.unwrap()
        };
        let long = format!("x{}", "ü".repeat(MAX_BYTES_PER_FILE));
        let mut files = String::new();
        for (name, content) in [
            ("AGENTS.md", b"\0Use tabs.\n".to_vec()),
            ("CLAUDE.md", b"\0Use tabs.\n".to_vec()),
            ("LONG.md", long.clone().into_bytes()),
        ] {
            let blob = run(&["hash-object", "-w", "--stdin"], &content).await;
            files += &format!("100644 blob {blob}\t{name}\n");
        }
        let inner = run(&["mktree"], files.as_bytes()).await;
        let tree = run(&["mktree"], format!("{files}040000 tree {inner}\tFOLDER.md\n").as_bytes()).await;
        let base = run(&["commit-tree", &tree], b"base").await;
        let read =
            async |names: &[&str]| load_base_instructions(&git, &repository, ("main", &base), names).await.unwrap();
        let from = |name: &str| format!("From {name} of the branch main of this repository:\n\n");
        assert_eq!(read(&["CLAUDE.md", "AGENTS.md"]).await, format!("{}Use tabs.", from("CLAUDE.md")));
        assert_eq!(read(&["FOLDER.md"]).await, "");
        let instructions = read(&["LONG.md"]).await;
        let text = instructions.strip_prefix(&from("LONG.md")).unwrap();
        // The cut is at a character boundary.
        assert!(text.len() == MAX_BYTES_PER_FILE - 1 && long.starts_with(text), "{}", text.len());
    }
}
