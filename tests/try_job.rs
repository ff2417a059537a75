//! `pullyard try`, as somebody runs it who has set up nothing.

use pullyard_demo_forge::{DemoForge, Options, Repository, User};
use std::process::Output;
use tempfile::TempDir;
use tokio::process::Command;

const TOKEN: &str = "a-token-of-ana-0123";

/// A forge that is somebody else's, with a repository and a user.
struct Elsewhere {
    dir: TempDir,
    forge: DemoForge,
    repository: Repository,
}

impl Elsewhere {
    async fn begin(agent: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let user = User { login: "ana".into(), id: 11, token: TOKEN.into() };
        let options = Options { dir: dir.path().join("forge"), listener, users: vec![user] };
        let forge = DemoForge::start(options).await.unwrap();
        let files = [("agent.sh", agent, true), ("README.md", "# App\n", false)];
        let repository = forge.create_repository("acme/app", "main", &files).await.unwrap();
        Self { dir, forge, repository }
    }

    async fn tries(&self, words: &[&str], token: &str) -> Output {
        let temporary = self.dir.path().join("tmp");
        std::fs::create_dir_all(&temporary).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pullyard"));
        command
            .args(["try", "acme/app", "Write a greeting.", "--api-url", &self.forge.api_url()])
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir.path())
            .env("TMPDIR", &temporary)
            .env("GH_TOKEN", token);
        command.output().await.unwrap()
    }

    fn branches(&self) -> String {
        let mut git = std::process::Command::new("git");
        let listed = git.arg("-C").arg(&self.repository.git_dir).args(["branch", "--list"]).output();
        String::from_utf8(listed.unwrap().stdout).unwrap()
    }
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_on_somebodys_repository_ends_with_its_pull_request_and_leaves_nothing_here() {
    let elsewhere = Elsewhere::begin("#!/bin/sh\ncat > prompt.txt\necho thinking\n").await;
    let tried = elsewhere.tries(&["--yes", "--agent-command", "./agent.sh"], TOKEN).await;
    let (out, err) = (words(&tried.stdout), words(&tried.stderr));
    assert_eq!(tried.status.code(), Some(0), "{out}{err}");
    assert!(out.contains("thinking"), "{out}");
    assert!(out.trim_end().ends_with("/acme/app/pull/1"), "{out}");
    assert!(err.contains("works on acme/app as ana"), "{err}");
    assert!(elsewhere.branches().contains("pullyard/try/job-"), "{}", elsewhere.branches());
    assert!(!out.contains(TOKEN) && !err.contains(TOKEN), "{out}{err}");
    let left = std::fs::read_dir(elsewhere.dir.path().join("tmp")).unwrap().count();
    assert_eq!(left, 0, "its folder stayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_begins_without_a_yes_a_token_that_works_and_an_agent() {
    let elsewhere = Elsewhere::begin("#!/bin/sh\nexit 1\n").await;
    let check = async |said: &[&str], token: &str, code: i32, says: &str| {
        let tried = elsewhere.tries(said, token).await;
        let err = words(&tried.stderr);
        assert_eq!(tried.status.code(), Some(code), "{said:?}: {}{err}", words(&tried.stdout));
        assert!(err.contains(says), "{said:?}: {err}");
    };
    check(&["--agent-command", "./agent.sh"], TOKEN, 2, "add --yes").await;
    check(&["--yes", "--agent-command", "./agent.sh"], "wrong-token-0123", 1, "refused").await;
    check(&["--yes", "--agent", "codex"], TOKEN, 6, "not installed").await;
    check(&["--yes", "--agent", "command"], TOKEN, 2, "name a program").await;
    assert!(!elsewhere.branches().contains("pullyard/"), "{}", elsewhere.branches());
}
