//! A terminal with somebody at it: a program's standard input and error are the one end of a pseudoterminal.

use nix::pty::openpty;
use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};

/// How long a program may take to say what is waited for, on a machine with much else to do.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) struct Terminal {
    program: Child,
    out: ChildStdout,
    keys: File,
    shown: Arc<Mutex<Vec<u8>>>,
    /// Reads what is shown until nobody is at the other end.
    reader: JoinHandle<()>,
    /// Up to where it was looked at.
    seen: usize,
}

impl Terminal {
    /// Starts the program at it; its standard output is a pipe.
    pub(super) fn of(command: &mut Command) -> Self {
        let pair = openpty(None, None).unwrap();
        let (input, talk) = (pair.slave.try_clone().unwrap(), pair.slave);
        command.stdin(Stdio::from(input)).stderr(Stdio::from(talk)).stdout(Stdio::piped());
        let mut program = command.spawn().unwrap();
        // The ends that it got are held by the command as well: without them, what it shows would never end.
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let out = program.stdout.take().unwrap();
        let keys = File::from(pair.master);
        let mut screen = keys.try_clone().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let kept = shown.clone();
        let reader = std::thread::spawn(move || {
            let mut some = [0; 4096];
            // Linux says an error, not an end, once nobody is at the other end.
            while let Ok(read @ 1..) = screen.read(&mut some) {
                kept.lock().unwrap().extend_from_slice(&some[..read]);
            }
        });
        Self { program, out, keys, shown, reader, seen: 0 }
    }

    /// Waits until it shows this, after what was waited for before.
    pub(super) async fn shows(&mut self, text: &str) {
        let waited = timeout(LIMIT, async {
            loop {
                let all = self.all();
                if let Some(at) = all.get(self.seen..).and_then(|rest| rest.find(text)) {
                    self.seen += at + text.len();
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(waited.await.is_ok(), "never shown: {text}\n{}", self.all());
    }

    pub(super) fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Sends the program a signal: a hang-up is what closing its terminal sends it.
    pub(super) async fn sends(&self, signal: &str) {
        let pid = self.program.id().unwrap().to_string();
        let sent = Command::new("/bin/kill").args([signal, pid.as_str()]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Its exit code, and its standard output. All that it showed is shown by then.
    pub(super) async fn ends(&mut self) -> (Option<i32>, String) {
        let mut out = String::new();
        timeout(LIMIT, self.out.read_to_string(&mut out)).await.expect("it goes on").unwrap();
        let status = timeout(LIMIT, self.program.wait()).await.expect("it goes on").unwrap();
        let read = timeout(LIMIT, async {
            while !self.reader.is_finished() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        read.await.expect("somebody is at its terminal still");
        (status.code(), out)
    }

    /// All that was shown.
    pub(super) fn all(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }
}
