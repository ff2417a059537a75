//! Sets up a repository, a scripted model, folders and a proxy for an agent's program. The end of a scene checks that
//! no process is left and no other host was called.

use crate::real_agents::agent_process::{AgentProcess, ProcessResult, wait_for_file};
use crate::real_agents::leftover_processes::{kill_leftovers, wait_for_leftovers};
use crate::real_agents::refusing_proxy::RefusingProxy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pullyard_demo_model::{DemoModel, Options, Outcome};
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::Command;

/// Has the length of a model's key; in base64 it takes two lines.
pub(crate) const KEY: &str =
    "sk-ant-api03-mOdElKeY91d2Vq8Zr1LxT0uYw5NfKdGhJ2mPbCsE7aRiOk3lXv9QnWt6My4HgDzBjUeFcIpSAoq8Zr1LxT0uYw5NfK-91AA";

/// Fragments by which the key is recognized: as plain text, in a URL (the same), and in base64 at any offset and with
/// line breaks.
pub(crate) fn key_fragments() -> Vec<String> {
    let mut forms = vec![KEY.to_owned()];
    for before in ["", "u", "us"] {
        let encoded = STANDARD.encode(format!("{before}{KEY}\n"));
        // The ends depend on neighbouring text; shorter fragments identify nothing.
        let own = &encoded[4..encoded.len() - 4];
        forms.extend((0..own.len() - FRAGMENT_CHARS + 1).map(|from| own[from..from + FRAGMENT_CHARS].to_owned()));
    }
    forms
}

/// Length of a base64 fragment. Units: characters.
const FRAGMENT_CHARS: usize = 19;

pub(crate) struct AgentFixture {
    pub(crate) dir: TempDir,
    pub(crate) model: DemoModel,
    pub(crate) refusing_proxy: RefusingProxy,
}

impl AgentFixture {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for folder in ["repository", "home", "config", "tmp"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let model = DemoModel::start(Options { listener }).await.unwrap();
        let scene = Self { dir, model, refusing_proxy: RefusingProxy::start().await };
        let git = std::process::Command::new("git").args(["init", "--quiet"]).current_dir(scene.repository()).status();
        assert!(git.unwrap().success());
        scene
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.dir.path().join("repository")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.repository().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) async fn wait_for_file(&self, path: &str) {
        wait_for_file(&self.repository().join(path)).await;
    }

    /// A command in the repository with a cleared environment and the proxy.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.repository())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir.path().join("home"))
            .env("TMPDIR", self.dir.path().join("tmp"))
            .env("HTTPS_PROXY", &self.refusing_proxy.url)
            .env("HTTP_PROXY", &self.refusing_proxy.url)
            .env("NO_PROXY", "127.0.0.1,localhost");
        command
    }

    pub(crate) async fn run(&self, command: Command) -> ProcessResult {
        let mut running = AgentProcess::start(command);
        running.close_input();
        running.wait_for_exit().await
    }

    pub(crate) fn check_end(self) {
        assert_eq!(wait_for_leftovers(self.dir.path(), 0), [], "a process still runs");
        assert_eq!(self.refusing_proxy.request_lines(), <[String; 0]>::default(), "an external call");
        let requests = self.model.requests();
        let strange = |outcome| matches!(outcome, Outcome::NotServed | Outcome::ScriptEmpty);
        assert!(!requests.iter().any(|request| strange(request.outcome)), "{requests:?}");
    }
}

impl Drop for AgentFixture {
    fn drop(&mut self) {
        kill_leftovers(self.dir.path());
    }
}

/// An address that refuses connections while this value is held; no other server can bind it.
pub(crate) struct ClosedPort {
    _socket: TcpSocket,
    pub(crate) url: String,
}

impl ClosedPort {
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        Self { _socket: socket, url }
    }
}

pub(crate) fn program(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} names no program: run .ci/agents"))
}
