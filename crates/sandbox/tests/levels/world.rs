//! A job's folders, and commands in them.

use pullyard_sandbox::{Level, Ports, Running, Sandbox, Spec};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

pub(crate) const HELPER: &str = env!("CARGO_BIN_EXE_pullyard-sandbox");
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// Not of the range that jobs use.
const UNPRIVILEGED: &str = "1900900000";

pub(crate) fn has_bubblewrap() -> bool {
    let found = Path::new("/usr/bin/bwrap").exists();
    if !found {
        eprintln!("skipped: bubblewrap is not installed");
    }
    found
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A folder that every user can enter.
pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

pub(crate) struct Job {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) sandbox: Sandbox,
}

impl Job {
    pub(crate) fn new(level: Level) -> Self {
        let folder = folder();
        for name in ["work", "home", "cache"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("cache/crate"), "cached").unwrap();
        let sandbox = Sandbox::with_helper(level, HELPER.into()).unwrap();
        for name in ["work", "home"] {
            sandbox.chown_to_account(&folder.path().join(name)).unwrap();
        }
        Self { folder, sandbox }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A shell script.
    pub(crate) fn shell(&self, script: &str) -> Spec {
        let mut spec = Spec::new("/bin/sh", self.path("work"), self.path("home"));
        spec.args = vec!["-c".into(), script.into()];
        spec.read_only = vec![self.path("cache")];
        spec
    }

    pub(crate) fn start(&self, spec: &Spec, ports: Ports) -> (Child, Running) {
        let spawned = self.sandbox.prepare(spec, ports).unwrap().spawn(|mut command| {
            command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
        });
        let (mut child, start) = spawned.unwrap();
        match start.finish(LIMIT) {
            Ok(running) => (child, running),
            Err(error) => {
                child.kill().unwrap();
                panic!("{error}: {:?}", child.wait_with_output());
            }
        }
    }

    pub(crate) fn output(&self, spec: &Spec) -> Output {
        let (child, _running) = self.start(spec, Ports::none());
        child.wait_with_output().unwrap()
    }

    /// The standard output of a script that succeeds.
    pub(crate) fn read(&self, script: &str) -> String {
        let output = self.output(&self.shell(script));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The helper as an unprivileged user, with a folder of its own. `None` if this user is not root.
pub(crate) fn unprivileged(folder: &Path) -> Option<Command> {
    if !is_root() {
        eprintln!("skipped: only root can run something as another user");
        return None;
    }
    // The helper may be in a folder that only root can enter.
    let helper = folder.join("helper");
    // Another process copies it. A file that this process writes cannot be executed while a fork holds it open.
    assert!(Command::new("cp").arg(HELPER).arg(&helper).status().unwrap().success());
    fs::create_dir(folder.join("own")).unwrap();
    fs::set_permissions(folder.join("own"), Permissions::from_mode(0o777)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", UNPRIVILEGED, "--regid", UNPRIVILEGED, "--clear-groups", "--"]).arg(helper);
    command.current_dir("/").stdin(Stdio::null());
    Some(command)
}
