//! A pseudo-terminal with `setup` in it, as an unprivileged user with a home of its own.

use crate::prelude::*;
use crate::runner_api::RunnerApi;
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, tcgetattr};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65_534;

/// A machine without systemd: `systemctl` is a script that records its arguments and starts the runner.
pub(super) struct SetupMachine {
    pub(super) home: TempDir,
    pub(super) runner_api: RunnerApi,
    pub(super) url: String,
}

const SYSTEMCTL: &str = "echo \"$*\" >> $HOME/systemctl.log
    if [ -e $HOME/fail-$2 ]; then exit 1; fi
    case \"$*\" in
    *MainPID*) cat $HOME/daemon.pid 2> /dev/null || echo 0 ;;
    *restart*)
        PATH=/usr/bin:/bin setsid $HOME/bin/pullyard-runner start --config $HOME/.config/pullyard-runner/runner.env > $HOME/daemon.log 2>&1 &
        echo $! > $HOME/daemon.pid ;;
    esac";

impl SetupMachine {
    pub(super) async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_pullyard-runner"));
        let copy = bin.join("pullyard-runner");
        fs::hard_link(program, &copy).or_else(|_| fs::copy(program, &copy).map(drop)).unwrap();
        pullyard_test_script::write_script(bin.join("systemctl"), SYSTEMCTL);
        pullyard_test_script::write_script(bin.join("claude"), "echo '2.1.330 (Claude Code)'");
        let runner_api = RunnerApi::new();
        runner_api.script(|script| script.version = Some("0.1.0"));
        let models = async |headers: HeaderMap| match headers.get("x-api-key") {
            Some(key) if key == "sk-good" => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        };
        let user = async |headers: HeaderMap| match headers.get("authorization") {
            Some(token) if token == "Bearer ghp_good" => {
                (StatusCode::OK, axum::Json(json!({ "id": 1, "login": "ana" })))
            }
            _ => (StatusCode::UNAUTHORIZED, axum::Json(json!({ "message": "Bad credentials" }))),
        };
        let routes = runner_api.routes().route("/v1/models", axum::routing::get(models));
        let url = serve(routes.route("/user", axum::routing::get(user))).await;
        let machine = Self { home, runner_api, url };
        machine.own(machine.home.path());
        machine.own(&bin);
        machine
    }

    /// Gives a file to the user of `setup`.
    pub(super) fn own(&self, path: &Path) {
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(super) fn env_file(&self) -> PathBuf {
        self.path(".config/pullyard-runner/runner.env")
    }

    pub(super) fn unit(&self) -> PathBuf {
        self.path(".config/systemd/user/pullyard-runner.service")
    }

    pub(super) fn write(&self, path: &Path, text: &str) {
        for folder in path.parent().unwrap().ancestors().take_while(|folder| *folder != self.home.path()) {
            fs::create_dir_all(folder).unwrap();
            self.own(folder);
        }
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        self.own(path);
    }

    pub(super) fn command(&self, args: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new("setsid");
        command
            .args(["--ctty", "--wait"])
            .arg(self.path("bin/pullyard-runner"))
            .args(args)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("HOME", self.home.path())
            .env("TMPDIR", self.home.path())
            .env("ANTHROPIC_BASE_URL", &self.url)
            .envs(variables.iter().copied())
            .current_dir("/")
            .kill_on_drop(true);
        if nix::unistd::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Without a terminal.
    pub(super) async fn run(&self, args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut command = self.command(args, variables);
        let setsid = std::mem::replace(&mut command, Command::new("env"));
        command.args(setsid.as_std().get_args().skip(2)).env_clear().current_dir("/");
        command.envs(setsid.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
        if nix::unistd::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = timeout(LIMIT, command.stdin(std::process::Stdio::null()).output()).await.unwrap().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text)
    }

    pub(super) fn terminal(&self, args: &[&str], variables: &[(&str, &str)]) -> Terminal {
        let pty = openpty(None, None).unwrap();
        let slave = || File::from(pty.slave.try_clone().unwrap());
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::fchown(&pty.slave, Some(NOBODY), None).unwrap();
        }
        let mut command = self.command(args, variables);
        let child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
        let (sender, screen) = watch::channel(String::new());
        let mut reader = File::from(pty.master.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(size @ 1..) = reader.read(&mut bytes) {
                sender.send_modify(|screen| screen.push_str(&String::from_utf8_lossy(&bytes[..size])));
            }
        });
        Terminal { master: File::from(pty.master), slave: File::from(pty.slave), child, screen, seen: 0 }
    }

    pub(super) fn stop_daemon(&self) {
        let pid: i32 = fs::read_to_string(self.path("daemon.pid")).unwrap().trim().parse().unwrap();
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM);
    }
}

pub(super) struct Terminal {
    master: File,
    slave: File,
    child: Child,
    screen: watch::Receiver<String>,
    seen: usize,
}

impl Terminal {
    /// Waits for a text after the last one.
    pub(super) async fn expect(&mut self, text: &str) {
        let seen = self.seen;
        let wait = self.screen.wait_for(|screen| screen[seen..].contains(text));
        let found = timeout(LIMIT, wait).await.map(|screen| screen.unwrap()[seen..].find(text).unwrap());
        match found {
            Ok(at) => self.seen += at + text.len(),
            Err(_) => panic!("`{text}` is missing in:\n{}", &self.screen.borrow()[seen..]),
        }
    }

    pub(super) fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Answers a question, and waits for the answer's result.
    pub(super) async fn answer(&mut self, question: &str, answer: &str, result: &str) {
        self.expect(question).await;
        self.send(&format!("{answer}\n"));
        self.expect(result).await;
    }

    /// The exit code, the screen, and whether the terminal shows typed characters.
    pub(super) async fn wait(mut self) -> (Option<i32>, String, bool) {
        let status = timeout(LIMIT, self.child.wait()).await.unwrap().unwrap();
        let echoes = tcgetattr(&self.slave).unwrap().local_flags.contains(LocalFlags::ECHO);
        // The text of the process precedes this mark.
        self.slave.write_all(b"END").unwrap();
        timeout(LIMIT, self.screen.wait_for(|screen| screen.ends_with("END"))).await.unwrap().unwrap();
        (status.code(), self.screen.borrow().clone(), echoes)
    }
}
