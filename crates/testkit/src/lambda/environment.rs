//! One environment: a process of a function, from its start to its end.
//!
//! Owns the process, its time limit, and the result of an event whose process dies. `api` owns AWS's side of the wire.

use std::fmt;
use std::fs::File;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::FunctionConfig;
use super::api::{Api, Init, Invocation, Progress};
use pullyard_emulator::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// Time limit from the start of a process to its first request for an event.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for an answer that is in flight when its process ends.
const FINAL_ANSWER_TIMEOUT: Duration = Duration::from_millis(200);

/// The public view of an environment.
pub struct EnvironmentInfo {
    pub pid: u32,
    /// From the start of the process to its first request for an event.
    pub init: Duration,
    api: Arc<Api>,
}

impl fmt::Debug for EnvironmentInfo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = self.api.progress();
        out.debug_struct("Seen").field("pid", &self.pid).field("progress", &progress).finish_non_exhaustive()
    }
}

impl EnvironmentInfo {
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self.api.progress(), Progress::Running)
    }

    /// Waits until the process has requested its next event and is frozen.
    pub async fn wait_until_idle(&self) {
        self.api.wait_until_idle().await;
    }
}

/// A process that waits for events or handles one.
#[derive(Debug)]
pub(super) struct Environment {
    child: Child,
    events: mpsc::Sender<Invocation>,
    _server: Server,
    info: Arc<EnvironmentInfo>,
}

/// The server of an environment's Runtime API; dropping it ends the server.
#[derive(Debug)]
struct Server(AbortHandle);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The result of an event.
pub(super) enum RunResult {
    /// The function's answer or error message.
    Answered(Result<Value, String>),
    /// The process ended before it took the event.
    NotTaken,
    /// The process ended with the event.
    Lost(String),
}

impl Environment {
    /// Starts a process and waits for its first request for an event.
    pub(super) async fn start(deployed: &FunctionConfig) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let (events, next) = mpsc::channel(1);
        let api = Arc::new(Api::new(deployed, next));
        let routes = Arc::clone(&api).router();
        let server = Server(tokio::spawn(async move { axum::serve(listener, routes).await.ok() }).abort_handle());
        let begun = Instant::now();
        let child = spawn(deployed, &address.to_string()).map_err(|error| {
            format!("{} can't be started: {error}", deployed.command.first().map_or("nothing", String::as_str))
        })?;
        let pid = child.id().unwrap_or_default();
        api.set_process(pid);
        let mut starting = (child, server);
        let initialised = tokio::select! {
            biased;
            init = api.wait_for_init() => match init {
                Init::Done => Ok(()),
                Init::Failed(words) => Err(words),
            },
            ended = starting.0.wait() => Err(format!("the process ended ({}) before it asked for an event", exit_description(ended))),
            () = tokio::time::sleep(INIT_TIMEOUT) => Err(format!("the process asked for no event within {INIT_TIMEOUT:?}")),
        };
        let seen = Arc::new(EnvironmentInfo { pid, init: begun.elapsed(), api });
        let (child, server) = starting;
        let environment = Self { child, events, _server: server, info: seen };
        match initialised {
            Ok(()) => Ok(environment),
            Err(fault) => {
                environment.end().await;
                Err(format!("{} did not start: {fault}; see {}", deployed.name, deployed.log.display()))
            }
        }
    }

    pub(super) fn info(&self) -> &Arc<EnvironmentInfo> {
        &self.info
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None)) && !is_exiting(self.info.pid)
    }

    /// Runs one event within the function's time limit.
    pub(super) async fn run(&mut self, event: Bytes, deployed: &FunctionConfig) -> RunResult {
        let (answer, mut answered) = oneshot::channel();
        let (invocation, taken) = Invocation::new(event, answer);
        if self.events.send(invocation).await.is_err() {
            return RunResult::NotTaken;
        }
        let ended = tokio::select! {
            biased;
            answer = &mut answered => match answer {
                Ok(answer) => return RunResult::Answered(answer),
                Err(_) => "the process asked for another event without an answer".to_owned(),
            },
            ended = self.child.wait() => {
                match tokio::time::timeout(FINAL_ANSWER_TIMEOUT, &mut answered).await {
                    Ok(Ok(answer)) => return RunResult::Answered(answer),
                    _ if !taken.is_taken() => return RunResult::NotTaken,
                    _ => format!("the process ended ({}) before it answered", exit_description(ended)),
                }
            }
            () = tokio::time::sleep(deployed.timeout) => {
                format!("the task timed out after {:.2} seconds", deployed.timeout.as_secs_f64())
            }
        };
        self.kill().await;
        RunResult::Lost(ended)
    }

    /// Kills the process and closes its API.
    pub(super) async fn end(mut self) {
        self.kill().await;
    }

    async fn kill(&mut self) {
        // Fails only for a dead process.
        let _gone = self.child.kill().await;
    }
}

/// Whether a process is exiting. The main thread ends before the others, and `wait` returns only after the last one. An
/// event sent in between would be lost.
fn is_exiting(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, after)| after.trim_start().starts_with(['Z', 'X']))
}

fn exit_description(ended: std::io::Result<ExitStatus>) -> String {
    ended.map_or_else(|error| error.to_string(), |status| status.to_string())
}

/// Starts a process with Lambda's environment variables and none of this process.
///
/// The process has its own group, so that an interrupt from the keyboard reaches only the parent. If the parent dies,
/// the closed connection of the Runtime API ends the process.
fn spawn(deployed: &FunctionConfig, runtime_api: &str) -> std::io::Result<Child> {
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let (program, arguments) = deployed.command.split_first().ok_or_else(missing)?;
    let log = File::options().create(true).append(true).open(&deployed.log)?;
    let memory = deployed.memory_mb.to_string();
    let group = format!("/aws/lambda/{}", deployed.name);
    Command::new(program)
        .args(arguments)
        .env_clear()
        .envs([
            ("_HANDLER", deployed.handler.as_str()),
            ("AWS_LAMBDA_RUNTIME_API", runtime_api),
            ("AWS_LAMBDA_FUNCTION_NAME", &deployed.name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory),
            ("AWS_LAMBDA_LOG_GROUP_NAME", &group),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "local"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
            ("LANG", "en_US.UTF-8"),
            ("TZ", ":UTC"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ])
        .envs(deployed.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}
