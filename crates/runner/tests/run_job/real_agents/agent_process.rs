//! Runs an agent's program and collects its output.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The limit for every wait. Only a hang reaches it, even on a loaded machine.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(300);
/// How long to read output after the program ended; a leftover process may hold the pipes open.
const READ_LIMIT: Duration = Duration::from_secs(10);

pub(crate) async fn wait_for_file(path: &Path) {
    wait_for_path(path, || path.exists()).await;
}

pub(crate) async fn wait_for_content(path: &Path) {
    wait_for_path(path, || path.metadata().is_ok_and(|about| about.len() > 0)).await;
}

async fn wait_for_path(path: &Path, is_there: impl Fn() -> bool) {
    let look = async {
        while !is_there() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(WAIT_LIMIT, look).await.unwrap_or_else(|_| panic!("{} never appeared", path.display()));
}

pub(crate) struct AgentProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    output: watch::Receiver<ProcessOutput>,
    reader: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct ProcessOutput {
    lines: Vec<String>,
    events: Vec<Value>,
}

#[derive(Debug)]
pub(crate) struct ProcessResult {
    pub(crate) lines: Vec<String>,
    pub(crate) events: Vec<Value>,
}

impl AgentProcess {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, output) = watch::channel(ProcessOutput::default());
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|output| {
                    output.lines.push(line.clone());
                    output.events.extend(serde_json::from_str::<Value>(&line).ok());
                });
            }
        });
        Self { stdin: child.stdin.take(), child, output, reader }
    }

    pub(crate) async fn send(&mut self, line: &Value) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }

    pub(crate) async fn send_user_message(&mut self, text: &str) {
        let content = json!([{ "type": "text", "text": text }]);
        self.send(&json!({ "type": "user", "message": { "role": "user", "content": content } })).await;
    }

    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    pub(crate) async fn wait_for(&mut self, kind: &str, times: usize) {
        let seen = |output: &ProcessOutput| output.events.iter().filter(|event| event["type"] == kind).count() >= times;
        let result = timeout(WAIT_LIMIT, self.output.wait_for(seen)).await.map(|result| result.is_ok());
        assert_eq!(result, Ok(true), "{kind} did not come {times} times: {:?}", self.output.borrow().events);
    }

    pub(crate) async fn wait_until(&mut self, description: &str, condition: impl Fn(&[Value]) -> bool) {
        let result = timeout(WAIT_LIMIT, self.output.wait_for(|output| condition(&output.events)))
            .await
            .map(|result| result.is_ok());
        assert_eq!(result, Ok(true), "{description}: {:?}", self.output.borrow().events);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()), signal).unwrap();
    }

    pub(crate) async fn wait_for_exit(mut self) -> ProcessResult {
        self.close_input();
        timeout(WAIT_LIMIT, self.child.wait()).await.unwrap().unwrap();
        let _ = timeout(READ_LIMIT, &mut self.reader).await;
        self.reader.abort();
        let ProcessOutput { lines, events } = self.output.borrow().clone();
        ProcessResult { lines, events }
    }
}

impl ProcessResult {
    pub(crate) fn events_of_type(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["type"] == kind).collect()
    }

    pub(crate) fn only_event(&self, kind: &str) -> &Value {
        let of = self.events_of_type(kind);
        assert_eq!(of.len(), 1, "{self:?}");
        of[0]
    }
}
