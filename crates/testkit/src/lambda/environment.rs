//! Starts and kills the process of a Lambda function, and runs one event at a time in it.
//! `Runtime` in `lambda` calls it for each event. This module owns the process and its time limits; `api` serves the
//! Runtime API from which the process requests its events.

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
const FINAL_ANSWER_TIMEOUT: Duration = Duration::from_millis(200);

pub struct EnvironmentInfo {
    pub pid: u32,
    /// The time from the start of the process to its first request for an event.
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

pub(super) enum RunResult {
    /// The function's answer or error message.
    Answered(Result<Value, String>),
    /// The process exited before it received the event, so the event can run elsewhere.
    NotDelivered,
    Lost(String),
}

impl Environment {
    pub(super) async fn start(config: &FunctionConfig) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let (events, receiver) = mpsc::channel(1);
        let api = Arc::new(Api::new(config, receiver));
        let routes = Arc::clone(&api).router();
        let server = Server(tokio::spawn(async move { axum::serve(listener, routes).await.ok() }).abort_handle());
        let started_at = Instant::now();
        let mut child = spawn(config, &address.to_string()).map_err(|error| {
            format!("{} can't be started: {error}", config.command.first().map_or("nothing", String::as_str))
        })?;
        let pid = child.id().unwrap_or_default();
        api.set_process(pid);
        let init_result = tokio::select! {
            biased;
            init = api.wait_for_init() => match init {
                Init::Done => Ok(()),
                Init::Failed(message) => Err(message),
            },
            exit = child.wait() => Err(format!("the process ended ({}) before it asked for an event", exit_description(exit))),
            () = tokio::time::sleep(INIT_TIMEOUT) => Err(format!("the process asked for no event within {INIT_TIMEOUT:?}")),
        };
        let info = Arc::new(EnvironmentInfo { pid, init: started_at.elapsed(), api });
        let environment = Self { child, events, _server: server, info };
        match init_result {
            Ok(()) => Ok(environment),
            Err(fault) => {
                environment.end().await;
                Err(format!("{} did not start: {fault}; see {}", config.name, config.log.display()))
            }
        }
    }

    pub(super) fn info(&self) -> &Arc<EnvironmentInfo> {
        &self.info
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None)) && !is_exiting(self.info.pid)
    }

    pub(super) async fn run(&mut self, event: Bytes, config: &FunctionConfig) -> RunResult {
        let (sender, mut receiver) = oneshot::channel();
        let (invocation, taken_flag) = Invocation::new(event, sender);
        // Never fails: `self.info` holds the `Api` that owns the receiver.
        if self.events.send(invocation).await.is_err() {
            return RunResult::NotDelivered;
        }
        let failure = tokio::select! {
            // An answer wins over an exit or a timeout at the same moment.
            biased;
            answer = &mut receiver => match answer {
                Ok(answer) => return RunResult::Answered(answer),
                Err(_) => "the process asked for another event without an answer".to_owned(),
            },
            exit = self.child.wait() => {
                match tokio::time::timeout(FINAL_ANSWER_TIMEOUT, &mut receiver).await {
                    Ok(Ok(answer)) => return RunResult::Answered(answer),
                    _ if !taken_flag.is_taken() => return RunResult::NotDelivered,
                    _ => format!("the process ended ({}) before it answered", exit_description(exit)),
                }
            }
            () = tokio::time::sleep(config.timeout) => {
                format!("the task timed out after {:.2} seconds", config.timeout.as_secs_f64())
            }
        };
        self.kill().await;
        RunResult::Lost(failure)
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

/// Whether the main thread of a process has exited. `wait` returns only after the last thread has exited; an event that
/// is sent in between would be lost.
fn is_exiting(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, after)| after.trim_start().starts_with(['Z', 'X']))
}

fn exit_description(exit: std::io::Result<ExitStatus>) -> String {
    exit.map_or_else(|error| error.to_string(), |status| status.to_string())
}

/// Starts a process with Lambda's environment variables; it inherits none from this process.
///
/// The process has its own group, so that an interrupt from the keyboard reaches only the parent. If the parent dies,
/// the closed connection of the Runtime API ends the process.
fn spawn(config: &FunctionConfig, runtime_api: &str) -> std::io::Result<Child> {
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let (program, arguments) = config.command.split_first().ok_or_else(missing)?;
    let log = File::options().create(true).append(true).open(&config.log)?;
    let memory = config.memory_mb.to_string();
    let group = format!("/aws/lambda/{}", config.name);
    Command::new(program)
        .args(arguments)
        .env_clear()
        .envs([
            ("_HANDLER", config.handler.as_str()),
            ("AWS_LAMBDA_RUNTIME_API", runtime_api),
            ("AWS_LAMBDA_FUNCTION_NAME", &config.name),
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
        .envs(config.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}
