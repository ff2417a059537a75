//! A test world: a forge with a repository, a control plane with one assignment, and a work folder.

use crate::api::{Api, BOOTSTRAP};
use axum::Router;
use pullyard_domain::job::JobKind;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::{JobId, RepositoryName, TicketKey};
use pullyard_fake_forge::FakeForge;
use pullyard_forge::{Endpoint, Forge, GitHub, NewPullRequest, PullRequest, Token};
use pullyard_local_forge::{LocalForge, Options, Repository, User};
use pullyard_protocol::attempt::{
    Agent, AssignedRepository, AssignedTicket, Assignment, FinishOutcome, FinishRequest, Limits, PullRequestText,
};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub(crate) const TOKEN: &str = "forge-secret-5e0c";
pub(crate) const BRANCH: &str = "pullyard/acme/app-17-1";
/// An agent that prints `waiting`, and works once the file `go` exists.
pub(crate) const WAITING_AGENT: &str =
    "echo waiting; while [ ! -e @DIR@/go ]; do sleep 0.02; done; echo hello > greeting.txt";
/// The limit for every wait. Only a hang reaches it, even on a loaded machine.
const WAIT_LIMIT: Duration = Duration::from_secs(300);

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) forge: LocalForge,
    pub(crate) repository: Repository,
    pub(crate) api: Api,
}

pub(crate) struct RunResult {
    pub(crate) code: Option<i32>,
    pub(crate) log: String,
}

impl World {
    /// A world with this script as the repository's `agent.sh`; `@DIR@` is a folder outside the worktree.
    pub(crate) async fn with_agent(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let user = User { login: "pullyard-bot".into(), id: 7, token: TOKEN.into() };
        let options = Options {
            dir: dir.path().join("forge"),
            listener,
            users: vec![user],
            pages: None,
            extension: FakeForge::extension(),
        };
        let forge = LocalForge::start(options).await.unwrap();
        let outside = dir.path().join("outside");
        let script = format!("#!/bin/sh\n{}\n", script.replace("@DIR@", outside.to_str().unwrap()));
        let files = [("agent.sh", script.as_str(), true), ("README.md", "# App\n", false)];
        let repository = forge.create_repository("acme/app", "main", &files).await.unwrap();
        let assignment = Assignment {
            job: JobId::new(format!("job_{}", "7f2k".repeat(6) + "aa")).unwrap(),
            attempt: 1,
            lease: crate::api::LEASE.into(),
            kind: JobKind::Implement,
            ticket: Some(AssignedTicket { key: TicketKey::new("APP-17").unwrap(), title: "Greet".into(), url: None }),
            repository: AssignedRepository {
                forge: ForgeKind::GitHub,
                api_url: forge.api_url(),
                name: RepositoryName::new("acme/app").unwrap(),
                clone_url: repository.clone_url.clone(),
                account: None,
            },
            base: "main".into(),
            branch: BRANCH.into(),
            continues: None,
            analysis: None,
            revises: None,
            prompt: "Write a greeting.".into(),
            agent: Agent {
                capability: "command".into(),
                command: vec!["./agent.sh".into(), "--now".into()],
                model: None,
            },
            pull_request: PullRequestText { title: "APP-17: Greet".into(), body: "As asked.".into(), draft: false },
            limits: Limits { wall_secs: 600, stall_secs: 300, cost_usd_micros: None, turns: None },
            heartbeat_secs: 1,
            resume: None,
            commands: None,
            egress: Vec::new(),
            has_instructions: false,
            outcomes: Vec::new(),
            step: None,
            requires_session: false,
            checkpoint: false,
            author: None,
        };
        let api = Api::start(assignment, TOKEN).await;
        Self { dir, forge, repository, api }
    }

    pub(crate) fn outside_path(&self, name: &str) -> PathBuf {
        self.dir.path().join("outside").join(name)
    }

    pub(crate) fn work_dir(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn spawn(&self, change: impl FnOnce(&mut Command)) -> Child {
        let assignment = self.api.assignment();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pullyard-runner"));
        command
            .arg("run-job")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir.path())
            .env("PULLYARD_API_URL", &self.api.url)
            .env("PULLYARD_JOB", assignment.job.as_str())
            .env("PULLYARD_ATTEMPT", assignment.attempt.to_string())
            .env("PULLYARD_BOOTSTRAP", BOOTSTRAP)
            .env("PULLYARD_WORK_DIR", self.work_dir())
            .env("PULLYARD_ISOLATION", "none")
            .env("PULLYARD_STOP_GRACE_SECS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        change(&mut command);
        command.spawn().unwrap()
    }

    pub(crate) async fn run(&self) -> RunResult {
        self.run_with(|_| ()).await
    }

    pub(crate) async fn run_with(&self, change: impl FnOnce(&mut Command)) -> RunResult {
        wait_for_exit(self.spawn(change)).await
    }

    /// Runs the job with one more environment variable.
    pub(crate) async fn run_under(&self, name: &str, value: impl AsRef<OsStr>) -> RunResult {
        let set = |command: &mut Command| {
            command.env(name, value);
        };
        self.run_with(set).await
    }

    pub(crate) async fn completes(&self) -> FinishRequest {
        let ran = self.run().await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        let finish = self.api.only_finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?} {}", ran.log);
        finish
    }

    pub(crate) async fn failure(&self) -> Failure {
        let ran = self.run().await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        let finish = self.api.only_finish();
        finish.failure.unwrap_or_else(|| panic!("{:?} {}", finish.outcome, ran.log))
    }

    pub(crate) async fn fails(&self) -> &'static str {
        self.failure().await.code()
    }

    pub(crate) async fn pauses(&self) -> RunResult {
        let runner = self.spawn(|_| ());
        self.api.wait_for_text("waiting").await;
        self.api.change_script(|script| script.pause = true);
        let ran = wait_for_exit(runner).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        ran
    }

    /// Runs the job, and applies a change while the agent waits.
    pub(crate) async fn run_with_change<T>(&self, change: impl AsyncFnOnce() -> T) -> T {
        let runner = self.spawn(|_| ());
        self.api.wait_for_text("waiting").await;
        let changed = change().await;
        std::fs::write(self.outside_path("go"), "").unwrap();
        let ran = wait_for_exit(runner).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        changed
    }

    pub(crate) fn git(&self, args: &[&str]) -> Output {
        std::process::Command::new("git")
            .arg("--git-dir")
            .arg(&self.repository.git_dir)
            .args(args)
            .envs(["AUTHOR", "COMMITTER"].map(|role| (format!("GIT_{role}_NAME"), "Stranger")))
            .envs(["AUTHOR", "COMMITTER"].map(|role| (format!("GIT_{role}_EMAIL"), "s@example.com")))
            .output()
            .unwrap()
    }

    pub(crate) fn git_line(&self, args: &[&str]) -> String {
        let output = self.git(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn branch_head(&self, branch: &str) -> Option<String> {
        let reference = format!("refs/heads/{branch}");
        let output = self.git(&["rev-parse", "--verify", "--quiet", &reference]);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub(crate) fn file_at(&self, revision: &str, path: &str) -> Option<String> {
        let output = self.git(&["cat-file", "blob", &format!("{revision}:{path}")]);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Commits to a branch at the forge as a stranger, with the files of its parent.
    pub(crate) fn commit_on(&self, branch: &str, message: &str) -> String {
        let parent = self.branch_head(branch).or_else(|| self.branch_head("main")).unwrap();
        let tree = format!("{parent}^{{tree}}");
        let commit = self.git_line(&["commit-tree", &tree, "-p", &parent, "-m", message]);
        self.git_line(&["update-ref", &format!("refs/heads/{branch}"), &commit]);
        commit
    }

    pub(crate) fn forge_client(&self) -> Forge {
        let endpoint = Endpoint::new(self.forge.api_url());
        Forge::GitHub(GitHub::new(endpoint, Token::new(TOKEN)).unwrap())
    }

    pub(crate) async fn create_pull_request(&self, branch: &str) -> PullRequest {
        let (title, body) = ("Greet".into(), String::new());
        let new = NewPullRequest { title, body, head: branch.into(), base: "main".into(), draft: false };
        self.forge_client().create_pull_request(&self.repository.full_name, &new).await.unwrap()
    }

    pub(crate) async fn open_pull_request(&self, branch: &str) -> Option<PullRequest> {
        self.forge_client().open_pull_request(&self.repository.full_name, branch).await.unwrap()
    }

    /// All data sent by the runner with its destination: control plane, bucket or push.
    pub(crate) fn sent_data(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        for route in ["start", "status", "events", "artifacts", "yield", "finish"] {
            let calls = self.api.calls(route).into_iter();
            all.extend(calls.map(|call| (route.to_owned(), call.body.to_string().into_bytes())));
        }
        for name in self.api.calls("put").iter().filter_map(|call| call.body.as_str().map(str::to_owned)) {
            let content = self.api.bucket_object(&name).unwrap_or_default();
            // Archives are searched uncompressed.
            let content = if name.ends_with(".zst") { zstd::decode_all(content.as_slice()).unwrap() } else { content };
            all.push((name, content));
        }
        if self.branch_head(BRANCH).is_some() {
            let objects = self.git_line(&["rev-list", "--objects", "--no-object-names", &format!("main..{BRANCH}")]);
            all.extend(objects.lines().map(|object| {
                let kind = self.git_line(&["cat-file", "-t", object]);
                (format!("{kind} {object}"), self.git(&["cat-file", &kind, object]).stdout)
            }));
        }
        all
    }

    pub(crate) fn worktrees(&self) -> Vec<PathBuf> {
        entries(&self.work_dir().join("worktrees")).into_iter().filter(|path| path.is_dir()).collect()
    }

    /// Command lines of processes started by this world's agents.
    pub(crate) fn leftover_processes(&self) -> Vec<String> {
        let marks = ["outside", "work"].map(|name| self.dir.path().join(name).to_str().unwrap().to_owned());
        let read_text = |process: &Path, file: &str| {
            let bytes = std::fs::read(process.join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let processes = entries(Path::new("/proc")).into_iter();
        let marked = processes.filter(|process| {
            // Empty for zombies.
            let all = read_text(process, "cmdline") + &read_text(process, "environ");
            marks.iter().any(|mark| all.contains(mark))
        });
        marked.map(|process| read_text(&process, "cmdline")).collect()
    }

    pub(crate) fn outbox_files(&self) -> Vec<PathBuf> {
        entries(&self.work_dir().join("outbox"))
    }
}

/// Serves these routes on a port of their own; returns the address.
pub(crate) async fn serve(routes: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

pub(crate) async fn wait_for_exit(child: Child) -> RunResult {
    let output = timeout(WAIT_LIMIT, child.wait_with_output()).await.unwrap().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    for secret in [BOOTSTRAP, TOKEN, crate::api::LEASE] {
        assert!(!log.contains(secret), "a secret is in the log: {log}");
    }
    RunResult { code: output.status.code(), log }
}

pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = std::process::Command::new("ps").args(["-o", "stat=", "-p", pid.trim()]).output().unwrap();
    let stat = String::from_utf8_lossy(&stat.stdout);
    !stat.trim().is_empty() && !stat.trim().starts_with('Z')
}
