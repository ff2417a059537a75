//! A terminal with somebody at it: a program's standard input, and its standard error or output, are the one end of a
//! pseudoterminal.

use nix::pty::openpty;
use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long a program may take to say what is waited for, on a machine with much else to do.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct Terminal {
    program: Child,
    /// What is not shown.
    out: Box<dyn AsyncRead + Send + Unpin>,
    keys: File,
    shown: Arc<Mutex<Vec<u8>>>,
    /// Reads what is shown until nobody is at the other end.
    reader: JoinHandle<()>,
    /// Up to where it was looked at.
    seen: usize,
}

impl Terminal {
    /// Starts the program at it; its standard output is a pipe.
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::start(command, false)
    }

    /// Starts the program at it; its standard error is a pipe.
    pub(crate) fn of_output(command: &mut Command) -> Self {
        Self::start(command, true)
    }

    fn start(command: &mut Command, shows_output: bool) -> Self {
        let pair = openpty(None, None).unwrap();
        let (input, shown) = (Stdio::from(pair.slave.try_clone().unwrap()), Stdio::from(pair.slave));
        let (out, err) = if shows_output { (shown, Stdio::piped()) } else { (Stdio::piped(), shown) };
        let mut program = command.stdin(input).stdout(out).stderr(err).spawn().unwrap();
        // The ends that it got are held by the command as well: without them, what it shows would never end.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let out: Box<dyn AsyncRead + Send + Unpin> = match (program.stdout.take(), program.stderr.take()) {
            (Some(out), _) => Box::new(out),
            (None, err) => Box::new(err.unwrap()),
        };
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
    pub(crate) async fn shows(&mut self, text: &str) {
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

    pub(crate) fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Sends the program a signal: a hang-up is what closing its terminal sends it.
    pub(crate) async fn sends(&self, signal: &str) {
        let pid = self.program.id().unwrap().to_string();
        let sent = Command::new("/bin/kill").args([signal, pid.as_str()]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Its exit code, and what is not shown. All that it showed is shown by then.
    pub(crate) async fn ends(&mut self) -> (Option<i32>, String) {
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
    pub(crate) fn all(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }
}
