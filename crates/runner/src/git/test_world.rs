//! A repository with a mirror and a checked-out worktree, for tests of the work that an agent leaves.

use crate::git::commit;
use crate::git::target::Target;
use crate::git::workspace::{Checkout, Mirror, Workspace};
use crate::git::{Git, GitCall, branch_ref, init_bare};
use crate::stop::Stop;
use pullyard_protocol::attempt::Assignment;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

pub(crate) struct TestRepository {
    pub(crate) dir: TempDir,
    pub(crate) git: Git,
    pub(crate) source: PathBuf,
}

/// A file of a commit: path, mode and content.
pub(crate) type TestFile<'a> = (&'a str, &'a str, &'a [u8]);

impl TestRepository {
    pub(crate) async fn create() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source.git");
        let git = Git::local(&format!("file://{}", source.display()));
        init_bare(&git, source.clone()).await.unwrap();
        Self { dir, git, source }
    }

    pub(crate) async fn run(&self, args: &[&str], input: &[u8]) -> String {
        let call = GitCall::new(args).repository(&self.source).input(input).with_identity();
        self.git.run_for_line(call).await.unwrap()
    }

    /// Commits exactly these bytes to `main`, next to the files that it has.
    pub(crate) async fn commit(&self, files: &[TestFile<'_>]) -> String {
        let mut entries = Vec::new();
        for (path, mode, content) in files {
            let blob = match *mode {
                "160000" => String::from_utf8_lossy(content).into_owned(),
                _ => self.run(&["hash-object", "-w", "--stdin"], content).await,
            };
            entries.extend(format!("{mode} {blob}\t{path}\0").into_bytes());
        }
        self.run(&["update-index", "-z", "--index-info"], &entries).await;
        let tree = self.run(&["write-tree"], b"").await;
        let parent =
            self.git.run_for_line(GitCall::new(["rev-parse", "-q", "--verify", "main"]).repository(&self.source));
        let parent = parent.await.ok();
        let parents = parent.iter().flat_map(|parent| ["-p", parent.as_str()]);
        let args: Vec<&str> = ["commit-tree", tree.as_str(), "-m", "files"].into_iter().chain(parents).collect();
        let commit = self.run(&args, b"").await;
        self.run(&["update-ref", &branch_ref("main"), &commit], b"").await;
        commit
    }

    /// Checks `main` out as the first attempt of a job.
    pub(crate) async fn check_out(self) -> TestWork {
        let assignment = assignment();
        let work_dir = self.dir.path().canonicalize().unwrap().join("work");
        let mirror = Mirror::fetch(&self.git, &work_dir, 0).await.unwrap();
        let start = mirror.branch(&self.git, "main").await.unwrap().unwrap();
        let workspace = Workspace::create(&work_dir, &assignment.job, 1).await.unwrap();
        let checkout = Checkout { branch: "b", start: &start, base: ("main", &start) };
        workspace.check_out(&self.git, &mirror, checkout).await.unwrap();
        let target = Target {
            adopted_job: None,
            branch: "b".into(),
            start_commit: start.clone(),
            base_branch: "main".into(),
            base_commit: start,
            expected_head: None,
            pull_request: None,
            adopted_commit: None,
        };
        TestWork { repository: self, workspace, target, assignment }
    }
}

pub(crate) struct TestWork {
    pub(crate) repository: TestRepository,
    pub(crate) workspace: Workspace,
    pub(crate) target: Target,
    pub(crate) assignment: Assignment,
}

impl TestWork {
    pub(crate) fn git(&self) -> &Git {
        &self.repository.git
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.workspace.tree().join(path)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn set_mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Runs git as the agent does, in its own repository.
    pub(crate) fn agent_git(&self, args: &[&str]) -> String {
        let output = std::process::Command::new("git")
            .args(["-c", "protocol.file.allow=always"])
            .args(args)
            .current_dir(self.workspace.tree())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Writes the same bytes again, so that git must read each file.
    pub(crate) fn touch_all(&self, paths: &[&str]) {
        for path in paths {
            let content = fs::read(self.path(path)).unwrap();
            fs::remove_file(self.path(path)).unwrap();
            fs::write(self.path(path), content).unwrap();
        }
    }

    pub(crate) async fn write_tree(&self) -> Result<String, Stop> {
        commit::write_tree(self.git(), &self.workspace, &self.target, &self.assignment).await
    }

    /// The changes of a tree since the start, one line each: mode, status and path.
    pub(crate) async fn changes_of(&self, tree: &str) -> Vec<String> {
        let args = ["diff-tree", "-r", "--raw", "--no-renames", &self.target.start_commit, tree];
        let call = GitCall::new(args);
        let repository = self.workspace.repository();
        let output = self.git().run_for_line(call.repository(&repository)).await.unwrap();
        let describe = |line: &str| {
            let (head, path) = line.split_once('\t').unwrap();
            let words: Vec<&str> = head.split(' ').collect();
            format!("{} {} {path}", words[4], words[1])
        };
        output.lines().map(describe).collect()
    }
}

pub(crate) fn assignment() -> Assignment {
    serde_json::from_value(serde_json::json!({
        "job": format!("job_{}", "a".repeat(26)), "attempt": 1, "lease": "pyl_x", "kind": "implement", "ticket": null,
        "repository": { "forge": "github", "api_url": "http://x", "name": "acme/app", "clone_url": "x" },
        "base": "main", "branch": "b", "continues": null, "prompt": "Do it.",
        "agent": { "capability": "command", "command": [] },
        "pull_request": { "title": "t", "body": "b" },
        "limits": { "wall_secs": 600, "stall_secs": 300 }, "heartbeat_secs": 1,
    }))
    .unwrap()
}
