//! Runs a program on a pseudoterminal: its standard input, and its standard error or output.

use crate::prelude::*;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(300);

pub(crate) struct Terminal {
    program: Child,
    other_stream: Box<dyn AsyncRead + Send + Unpin>,
    input: File,
    /// The text on the terminal so far. The channel closes once no process has the terminal open.
    output: watch::Receiver<Vec<u8>>,
    /// The end of the text that was already matched.
    matched: usize,
}

impl Terminal {
    /// Its standard output is a pipe.
    pub(crate) fn open(command: &mut Command) -> Self {
        Self::start(command, false)
    }

    /// Its standard error is a pipe.
    pub(crate) fn start_with_output(command: &mut Command) -> Self {
        Self::start(command, true)
    }

    fn start(command: &mut Command, shows_output: bool) -> Self {
        let (master, slave) = open_pty();
        let (input, display) = (Stdio::from(slave.try_clone().unwrap()), Stdio::from(slave));
        let (out, err) = if shows_output { (display, Stdio::piped()) } else { (Stdio::piped(), display) };
        let mut program = command.stdin(input).stdout(out).stderr(err).spawn().unwrap();
        // The command holds copies of the terminal's ends, which would keep it open.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let out: Box<dyn AsyncRead + Send + Unpin> = match (program.stdout.take(), program.stderr.take()) {
            (Some(out), _) => Box::new(out),
            (None, err) => Box::new(err.unwrap()),
        };
        let keys = File::from(master);
        let mut screen = keys.try_clone().unwrap();
        let (sender, receiver) = watch::channel(Vec::new());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Linux returns an error, not an end of file, once no process has the terminal open.
            while let Ok(read @ 1..) = screen.read(&mut buffer) {
                sender.send_modify(|all: &mut Vec<u8>| all.extend_from_slice(&buffer[..read]));
            }
        });
        Self { program, other_stream: out, input: keys, output: receiver, matched: 0 }
    }

    pub(crate) async fn wait_for_text(&mut self, text: &str) {
        let from = self.matched;
        let end = |all: &[u8]| {
            let all = String::from_utf8_lossy(all);
            all.get(from..).and_then(|rest| rest.find(text)).map(|at| from + at + text.len())
        };
        let waited = timeout(LIMIT, self.output.wait_for(|all| end(all).is_some())).await;
        let is_shown = waited.is_ok_and(|found| found.is_ok());
        assert!(is_shown, "never shown: {text}\n{}", self.text());
        self.matched = end(&self.output.borrow()).unwrap();
    }

    pub(crate) fn write(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).unwrap();
    }

    /// Sends the program a signal; closing a terminal sends a hang-up.
    pub(crate) async fn signal(&self, signal: &str) {
        let pid = self.program.id().unwrap().to_string();
        let kill_status = Command::new("/bin/kill").args([signal, pid.as_str()]).status().await.unwrap();
        assert!(kill_status.success());
    }

    pub(crate) async fn wait(&mut self) -> (Option<i32>, String) {
        let mut out = String::new();
        timeout(LIMIT, self.other_stream.read_to_string(&mut out)).await.expect("the program does not end").unwrap();
        let status = timeout(LIMIT, self.program.wait()).await.expect("the program does not end").unwrap();
        let output_end = timeout(LIMIT, async { while self.output.changed().await.is_ok() {} });
        output_end.await.expect("a process still uses the terminal");
        (status.code(), out)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.borrow()).into_owned()
    }
}

/// Opens a terminal that other programs do not inherit. With `openpty`, a program that another test starts at this
/// moment keeps the terminal open.
#[cfg(target_os = "linux")]
fn open_pty() -> (OwnedFd, OwnedFd) {
    use nix::fcntl::OFlag;
    use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
    use std::os::unix::fs::OpenOptionsExt;
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let mut options = File::options();
    options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
    let slave = options.open(ptsname_r(&master).unwrap()).unwrap();
    (master.into(), slave.into())
}

#[cfg(not(target_os = "linux"))]
fn open_pty() -> (OwnedFd, OwnedFd) {
    let pair = nix::pty::openpty(None, None).unwrap();
    (pair.master, pair.slave)
}
