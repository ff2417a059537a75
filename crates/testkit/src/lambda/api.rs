//! Lambda's Runtime API for one environment.
//! Owns the wire format and the freezing: after its answer a process is stopped until its next event, as on Lambda.
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::{FunctionConfig, MAX_ANSWER_BYTES, lock};
use pullyard_emulator::{ACCOUNT, REGION};

#[derive(Debug)]
pub(super) struct Invocation {
    event: Bytes,
    answer: oneshot::Sender<Result<Value, String>>,
    delivery_flag: DeliveryFlag,
}

#[derive(Clone, Debug, Default)]
pub(super) struct DeliveryFlag(Arc<AtomicBool>);

impl DeliveryFlag {
    pub(super) fn is_taken(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Invocation {
    pub(super) fn new(event: Bytes, answer: oneshot::Sender<Result<Value, String>>) -> (Self, DeliveryFlag) {
        let delivery_flag = DeliveryFlag::default();
        (Self { event, answer, delivery_flag: delivery_flag.clone() }, delivery_flag)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No event was requested yet.
    Starting,
    Waiting,
    /// Has an event, or still runs after its answer.
    Running,
    Failed(String),
}

pub(super) enum Init {
    Done,
    Failed(String),
}

#[derive(Debug)]
pub(super) struct Api {
    name: String,
    timeout: Duration,
    pid: AtomicU32,
    next: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    current: Mutex<Option<CurrentInvocation>>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug)]
struct CurrentInvocation {
    id: String,
    answer: oneshot::Sender<Result<Value, String>>,
}

impl Api {
    pub(super) fn new(deployed: &FunctionConfig, next: mpsc::Receiver<Invocation>) -> Self {
        Self {
            name: deployed.name.clone(),
            timeout: deployed.timeout,
            pid: AtomicU32::new(0),
            next: tokio::sync::Mutex::new(next),
            current: Mutex::default(),
            progress: watch::Sender::new(Progress::Starting),
        }
    }

    pub(super) fn set_process(&self, pid: u32) {
        self.pid.store(pid, Ordering::SeqCst);
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Waits until the process requests its first event or reports a failed start.
    pub(super) async fn wait_for_init(&self) -> Init {
        let mut progress = self.progress.subscribe();
        // Never closes: `self` owns the sender.
        match progress.wait_for(|progress| *progress != Progress::Starting).await.as_deref() {
            Ok(Progress::Failed(message)) => Init::Failed(message.clone()),
            _ => Init::Done,
        }
    }

    pub(super) async fn wait_until_idle(&self) {
        let mut progress = self.progress.subscribe();
        // Never closes: `self` owns the sender.
        let _changed = progress.wait_for(|progress| *progress == Progress::Waiting).await;
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next_invocation))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .layer(DefaultBodyLimit::max(2 * MAX_ANSWER_BYTES))
            .with_state(self)
    }

    fn forward_answer(&self, id: &str, answer: Result<Value, String>) -> bool {
        let current = lock(&self.current).take_if(|current| current.id == id);
        // The receiver is gone after a timeout.
        current.map(|current| current.answer.send(answer)).is_some()
    }
}

/// A process that is stopped until this value is dropped.
struct FrozenProcess(Option<Pid>);

impl FrozenProcess {
    fn freeze(pid: u32) -> Self {
        let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0).map(Pid::from_raw);
        Self(pid.filter(|pid| kill(*pid, Signal::SIGSTOP).is_ok()))
    }
}

impl Drop for FrozenProcess {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Fails only for a dead process.
            let _gone = kill(pid, Signal::SIGCONT);
        }
    }
}

async fn next_invocation(State(api): State<Arc<Api>>) -> Response {
    let mut coming = api.next.lock().await;
    // A request for the next event ends the current one; without an answer it fails.
    drop(lock(&api.current).take());
    let invocation = match coming.try_recv() {
        Ok(invocation) => Some(invocation),
        Err(_) => {
            let frozen = FrozenProcess::freeze(api.pid.load(Ordering::SeqCst));
            api.progress.send_replace(Progress::Waiting);
            let invocation = coming.recv().await;
            drop(frozen);
            invocation
        }
    };
    let Some(Invocation { event, answer, delivery_flag }) = invocation else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the environment ends").into_response();
    };
    api.progress.send_replace(Progress::Running);
    delivery_flag.0.store(true, Ordering::SeqCst);
    let id = format!("{:032x}", rand::random::<u128>());
    let headers = headers(&api, &id);
    *lock(&api.current) = Some(CurrentInvocation { id, answer });
    (headers, Body::from(event)).into_response()
}

fn headers(api: &Api, id: &str) -> HeaderMap {
    let timeout = i64::try_from(api.timeout.as_millis()).unwrap_or(i64::MAX);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let deadline = i64::try_from(now.as_millis()).unwrap_or(i64::MAX).saturating_add(timeout);
    let trace = format!("Root=1-{:08x}-{:024x}", now.as_secs(), rand::random::<u128>() >> 32);
    let fields = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", id.to_owned()),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{}", api.name)),
        ("lambda-runtime-trace-id", trace),
    ];
    let values = fields.into_iter().filter_map(|(name, value)| {
        Some((axum::http::HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
    });
    values.collect()
}

async fn response(State(api): State<Arc<Api>>, Path(id): Path<String>, body: Bytes) -> Response {
    if body.len() > MAX_ANSWER_BYTES {
        let size = body.len();
        let message = format!("an answer has at most {MAX_ANSWER_BYTES} bytes, not {size}");
        return match api.forward_answer(&id, Err(message.clone())) {
            true => error_response(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message),
            false => unknown_id_response(&id),
        };
    }
    let answer = match body.is_empty() {
        true => Ok(Value::Null),
        false => serde_json::from_slice(&body).map_err(|error| format!("the answer is no JSON: {error}")),
    };
    match api.forward_answer(&id, answer) {
        true => accepted_response(),
        false => unknown_id_response(&id),
    }
}

async fn error(State(api): State<Arc<Api>>, Path(id): Path<String>, body: Bytes) -> Response {
    match api.forward_answer(&id, Err(error_message(&body))) {
        true => accepted_response(),
        false => unknown_id_response(&id),
    }
}

async fn init_error(State(api): State<Arc<Api>>, body: Bytes) -> Response {
    api.progress.send_replace(Progress::Failed(error_message(&body)));
    accepted_response()
}

fn error_message(body: &[u8]) -> String {
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    let field = |name: &str| error.get(name).and_then(Value::as_str);
    field("errorMessage").or(field("errorType")).unwrap_or("an error without words").to_owned()
}

fn accepted_response() -> Response {
    (StatusCode::ACCEPTED, axum::Json(json!({ "status": "OK" }))).into_response()
}

fn unknown_id_response(id: &str) -> Response {
    error_response(StatusCode::BAD_REQUEST, "InvalidRequestID", &format!("nothing is asked under the id {id}"))
}

fn error_response(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, axum::Json(json!({ "errorType": kind, "errorMessage": message }))).into_response()
}
