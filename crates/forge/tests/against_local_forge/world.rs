//! A local forge for each test, and git as a runner calls it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use crate::prelude::*;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use pullyard_fake_forge::FakeForge;
use pullyard_forge::{Actor, NewPullRequest};
use pullyard_local_forge::{LocalForge, Options, Repository, User};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::TcpListener, process::Command};

pub(crate) const TOKEN: &str = "ghs_12345_eyJ-test.token-with_dots";
pub(crate) const USER_ID: u64 = 9_007_199_254_740_995;
pub(crate) const REPOSITORY: &str = "acme/app";
pub(crate) const FILES: &[(&str, &str, bool)] =
    &[("README.md", "# App\n", false), ("bin/run me.sh", "#!/bin/sh\necho hi\n", true)];

use crate::exchanges;

/// Much longer than any call takes; ends a test that hangs.
const GIT_LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct World {
    pub(crate) demo: LocalForge,
    api_url: String,
    pub(crate) repository: Repository,
    pub(crate) dir: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let demo = start(&dir.path().join("forge")).await;
        let repository = demo.create_repository(REPOSITORY, "main", FILES).await.unwrap();
        let api_url = exchanges::start_recording_proxy(&demo.api_url()).await;
        Self { demo, api_url, repository, dir }
    }

    pub(crate) fn forge(&self) -> Forge {
        self.forge_with(TOKEN)
    }

    pub(crate) fn forge_with(&self, token: &str) -> Forge {
        forge_at(&self.api_url, token)
    }

    pub(crate) async fn clone(&self, name: &str) -> Worktree {
        let worktree = Worktree { path: self.dir.path().join(name) };
        let target = worktree.path.display().to_string();
        let output = git(self.dir.path(), &["clone", "-q", &self.repository.clone_url, &target]).await;
        assert_success(&output);
        worktree
    }

    pub(crate) async fn push_branch(&self, branch: &str) -> String {
        let worktree = self.clone(&format!("worktree-{}", branch.replace('/', "-"))).await;
        worktree.commit(branch, "change.txt", branch.as_bytes()).await;
        assert_success(&worktree.git(&["push", "-q", "origin", branch]).await);
        worktree.head().await
    }

    /// Empty for a branch that does not exist.
    pub(crate) async fn branch_head(&self, branch: &str) -> String {
        let name = format!("refs/heads/{branch}");
        let output = git(self.dir.path(), &["ls-remote", &self.repository.clone_url, &name]).await;
        assert_success(&output);
        String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap_or_default().to_owned()
    }
}

pub(crate) async fn start(dir: &Path) -> LocalForge {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let user = User { login: "pullyard-bot".to_owned(), id: USER_ID, token: TOKEN.to_owned() };
    let options =
        Options { dir: dir.to_owned(), listener, users: vec![user], pages: None, extension: FakeForge::extension() };
    LocalForge::start(options).await.unwrap()
}

pub(crate) fn forge_at(api_url: &str, token: &str) -> Forge {
    let endpoint = Endpoint::new(api_url);
    Forge::GitHub(GitHub::new(endpoint, Token::new(token)).unwrap())
}

pub(crate) fn actor(login: &str) -> Actor {
    Actor { id: 1, login: login.to_owned(), is_bot: false }
}

pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

pub(crate) async fn call_api(method: &str, address: String, token: &str, body: Value) -> Value {
    let request = http().request(method.parse().unwrap(), address).bearer_auth(token).json(&body);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let body: Value = answer.json().await.unwrap();
    assert!(status.is_success(), "{status}: {body}");
    body
}

pub(crate) fn new_pull_request(head: &str) -> NewPullRequest {
    NewPullRequest {
        title: format!("Add {head}"),
        body: "What and why.".to_owned(),
        head: head.to_owned(),
        base: "main".to_owned(),
        draft: false,
    }
}

pub(crate) struct Worktree {
    pub(crate) path: PathBuf,
}

impl Worktree {
    pub(crate) async fn git(&self, args: &[&str]) -> Output {
        git(&self.path, args).await
    }

    pub(crate) async fn commit(&self, branch: &str, file: &str, contents: &[u8]) {
        std::fs::write(self.path.join(file), contents).unwrap();
        for args in [
            &["checkout", "-q", "-B", branch][..],
            &["add", "--all"],
            &["commit", "-q", "-m", &format!("Change {file} on {branch}")],
        ] {
            assert_success(&self.git(args).await);
        }
    }

    pub(crate) async fn head(&self) -> String {
        let output = self.git(&["rev-parse", "HEAD"]).await;
        assert_success(&output);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

pub(crate) async fn git(dir: &Path, args: &[&str]) -> Output {
    git_as(dir, Some(TOKEN), args, b"").await
}

/// Without the host's configuration, the token only in a header.
pub(crate) async fn git_as(dir: &Path, token: Option<&str>, args: &[&str], input: &[u8]) -> Output {
    let config = dir.join(".no-gitconfig");
    let mut command = Command::new("git");
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("GIT_CONFIG_GLOBAL", &config)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_TRACE_CURL", "1")
        .env("GIT_TRACE_CURL_NO_DATA", "1")
        .env("GIT_TRACE_PACKET", "1")
        .env("HOME", dir)
        .env("LC_ALL", "C");
    if let Some(token) = token {
        let basic = BASE64_STANDARD.encode(format!("x-access-token:{token}"));
        command.args(["-c", &format!("http.extraHeader=Authorization: Basic {basic}")]);
    }
    let mut child = command
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (written, output) = tokio::join!(
        async move { stdin.write_all(input).await },
        tokio::time::timeout(GIT_LIMIT, child.wait_with_output()),
    );
    written.unwrap();
    output.unwrap().unwrap()
}

pub(crate) fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
