//! Runs an agent in a process namespace, if this machine supports one.
//! When the first process of a namespace ends, the kernel kills all others. This includes processes that left their
//! group and session, cleared their environment, or were just forked. Without a namespace, `orphans` searches for them.
//! When the runner dies, `parent_death_signal` kills the first process, or the agent if there is no namespace.
//! Source: pid_namespaces(7), unshare(1) of util-linux from 2.38 on (`--kill-child`, `--map-current-user`).

mod parent_death_signal;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use tokio::process::Command;
use tokio::sync::OnceCell;

const UNSHARE: &str = "unshare";
/// As root, and as another user, who needs a user namespace too. In it, no process gains rights with `sudo`.
const UNSHARE_ARGS: [&[&str]; 2] =
    [ROOT_ARGS, &["--user", "--map-current-user", "--pid", "--fork", "--kill-child", "--mount-proc"]];
const ROOT_ARGS: &[&str] = &["--pid", "--fork", "--kill-child", "--mount-proc"];
/// The first process of a namespace does not end by signals that it does not catch. A shell is therefore the first, and
/// waits for the agent. `exit` keeps the shell from becoming the agent. The shell's own messages are discarded.
const INIT_COMMAND: [&str; 3] = ["/bin/sh", "-c", "exec 3>&2 2>/dev/null; (exec \"$0\" \"$@\" 2>&3 3>&-); exit $?"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PidNamespace {
    unshare_args: Option<&'static [&'static str]>,
    has_death_signal: bool,
}

/// Whether agents run in a process namespace of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ProcessNamespace {
    #[default]
    Auto,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
    Unknown,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("an unknown exit code"),
        }
    }
}

impl PidNamespace {
    /// Determines what this machine supports; probed once per process.
    pub(crate) async fn detect(setting: ProcessNamespace) -> Self {
        static DETECTED: OnceCell<PidNamespace> = OnceCell::const_new();
        match setting {
            ProcessNamespace::Auto => *DETECTED.get_or_init(Self::probe).await,
            ProcessNamespace::Off => Self::without_namespace().await,
        }
    }

    async fn probe() -> Self {
        let no_namespace = Self::without_namespace().await;
        for args in UNSHARE_ARGS {
            let namespace = Self { unshare_args: Some(args), ..no_namespace };
            if namespace.is_usable().await {
                return namespace;
            }
        }
        tracing::info!("process namespaces are unavailable; the runner searches for leftover processes instead");
        no_namespace
    }

    async fn without_namespace() -> Self {
        Self { unshare_args: None, has_death_signal: parent_death_signal::is_available().await }
    }

    async fn is_usable(self) -> bool {
        let mut command = self.command(Path::new("/bin/sh"));
        // The parent must be process 1 of a new namespace. Otherwise no process would end with it.
        command.args(["-c", "[ \"$PPID\" = 1 ]"]);
        parent_death_signal::succeeds(command).await
    }

    /// A command that runs the program inside. Send signals to its group, because the leader may be another program.
    pub(crate) fn command(self, program: &Path) -> Command {
        let first = if self.unshare_args.is_some() { Path::new(UNSHARE) } else { program };
        let mut command = if self.has_death_signal { parent_death_signal::command(first) } else { Command::new(first) };
        if let Some(args) = self.unshare_args {
            command.args(args).arg("--").args(INIT_COMMAND).arg(program);
        }
        command
    }

    /// Whether another program waits for the program and reports how it ended.
    pub(crate) fn is_wrapped(self) -> bool {
        self.unshare_args.is_some()
    }
}

impl Exit {
    /// `is_wrapped`: another program waited for the program, and reports a signal as an exit code above 128.
    pub(crate) fn from_status(status: ExitStatus, is_wrapped: bool) -> Self {
        match (is_wrapped, status.code(), status.signal()) {
            (true, Some(code @ 129..=192), _) => Self::Signal(code - 128),
            (_, Some(code), _) => Exit::Code(code),
            (_, None, Some(signal)) => Exit::Signal(signal),
            (_, None, None) => Exit::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::group::Group;
    use std::process::Stdio;
    use std::time::Duration;
    use tokio::io::{AsyncBufReadExt, BufReader};

    async fn namespace_if_supported() -> Option<PidNamespace> {
        let namespace = PidNamespace::detect(ProcessNamespace::Auto).await;
        if namespace.unshare_args.is_none() {
            eprintln!("skipped: this machine makes no process namespaces");
        }
        namespace.unshare_args.is_some().then_some(namespace)
    }

    fn shell(namespace: PidNamespace, script: &str) -> tokio::process::Child {
        let mut command = namespace.command(Path::new("/bin/sh"));
        command.args(["-c", script]).stdout(Stdio::piped()).process_group(0).kill_on_drop(true);
        command.spawn().unwrap()
    }

    /// An unused user id. Not 65534, which the kernel shows for every unmapped user.
    const UNUSED_UID: &str = "65533";

    fn as_unprivileged(command: &Command) -> Command {
        let original = command.as_std();
        let mut unprivileged = Command::new("setpriv");
        unprivileged.args(["--reuid", UNUSED_UID, "--regid", UNUSED_UID, "--clear-groups", "--"]);
        unprivileged.arg(original.get_program()).args(original.get_args());
        unprivileged.current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
        unprivileged
    }

    /// A namespace created without root, if the test can change its user and the machine allows it.
    async fn unprivileged_namespace() -> Option<PidNamespace> {
        if !nix::unistd::Uid::effective().is_root() {
            eprintln!("skipped: only root can run something as somebody else");
            return None;
        }
        let mut original = Command::new(UNSHARE);
        original.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "/bin/sh", "-c", "exit 0"]);
        let status = as_unprivileged(&original).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("skipped: this machine lets nobody but root make namespaces");
            return None;
        }
        Some(PidNamespace { unshare_args: Some(UNSHARE_ARGS[1]), has_death_signal: false })
    }

    async fn run_unprivileged(namespace: PidNamespace, script: &str) -> Exit {
        let mut command = namespace.command(Path::new("/bin/sh"));
        command.args(["-c", script]);
        Exit::from_status(as_unprivileged(&command).status().await.unwrap(), namespace.is_wrapped())
    }

    fn is_running(mark: &str) -> bool {
        std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(mark)
        })
    }

    #[tokio::test]
    async fn exit_status_is_that_of_the_program() {
        let bare = PidNamespace { unshare_args: None, has_death_signal: false };
        let no_namespace = PidNamespace::detect(ProcessNamespace::Off).await;
        for namespace in [Some(bare), Some(no_namespace), namespace_if_supported().await].into_iter().flatten() {
            for (script, expected) in
                [("exit 7", Exit::Code(7)), ("exit 0", Exit::Code(0)), ("kill -9 $$", Exit::Signal(9))]
            {
                let status = shell(namespace, script).wait().await.unwrap();
                assert_eq!(Exit::from_status(status, namespace.is_wrapped()), expected, "{namespace:?}");
            }
        }
    }

    #[tokio::test]
    async fn detached_process_dies_with_the_program() {
        let Some(namespace) = namespace_if_supported().await else { return };
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready");
        let script = format!(
            "env -i PATH=$PATH setsid sh -c 'echo > {0}; while :; do sleep 0.1; done' >/dev/null &
             while [ ! -e {0} ]; do sleep 0.02; done; exit 0",
            ready.display()
        );
        let mut child = shell(namespace, &script);
        assert!(child.wait().await.unwrap().success());
        assert!(!is_running(ready.to_str().unwrap()));
    }

    #[tokio::test]
    async fn program_can_handle_sigterm() {
        let Some(namespace) = namespace_if_supported().await else { return };
        let mut child = shell(namespace, "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "ready");
        let mut group = Group::from_child(&child).unwrap();
        group.stop(&mut child, Duration::from_secs(20)).await.unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(9));
    }

    #[tokio::test]
    async fn unprivileged_user_gets_a_namespace_and_keeps_its_id() {
        let Some(namespace) = unprivileged_namespace().await else { return };
        let alone = format!("[ \"$PPID\" = 1 ] && [ \"$(id -u)\" = {UNUSED_UID} ] && exit 7");
        assert_eq!(run_unprivileged(namespace, &alone).await, Exit::Code(7));
        assert_eq!(run_unprivileged(namespace, "kill -9 $$").await, Exit::Signal(9));
    }

    #[tokio::test]
    async fn detached_process_of_an_unprivileged_program_dies() {
        let Some(namespace) = unprivileged_namespace().await else { return };
        let mark = format!("left-by-nobody-{}", std::process::id());
        // The background shell is ready when it closes the output.
        let script = format!(
            "said=$(env -i PATH=\"$PATH\" setsid sh -c 'echo ready; exec >/dev/null; sleep 600; :' {mark} &)
             [ \"$said\" = ready ]"
        );
        assert_eq!(run_unprivileged(namespace, &script).await, Exit::Code(0));
        assert!(!is_running(&mark));
    }
}
