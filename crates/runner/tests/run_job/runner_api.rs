//! A scripted control plane for a self-hosted runner, and the daemon under test. It gives each claim its job, records
//! every call, and fails on request.

use crate::api::{broken, problem};
use crate::prelude::*;
use axum::body::Bytes;
use axum::extract::Path;
use axum::routing::{get, post};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use pullyard_domain::text::id::OrderId;
use pullyard_protocol::runner::{
    ClaimRequest, HeartbeatOrder, HeartbeatRequest, OrderKind, OrderReport, OrderState, RegisterRequest,
};
use pullyard_protocol::version::PROTOCOL;
use std::collections::{HashMap, VecDeque};
use std::path::{Path as FilePath, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) const TOKEN: &str = "rnt_a3f8c1d9e4b7a3f8c1d9e4b7a3f8c1d9e4b7a3f8c1d9e4b7a3f8c1d9e4b7a3f8";
pub(crate) const MAILBOX: &str = "http://127.0.0.1:9/000000000000/wake-a";
const WAIT_LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) route: &'static str,
    pub(crate) body: Value,
}

impl Call {
    pub(crate) fn active(&self) -> BTreeSet<String> {
        self.body["active"].as_array().unwrap().iter().map(|job| job.as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn has_flag(&self, field: &str) -> bool {
        self.body[field] == json!(true)
    }
}

#[derive(Default)]
pub(crate) struct Script {
    pub(crate) jobs: VecDeque<JobId>,
    pub(crate) lost_answers: HashMap<&'static str, u32>,
    pub(crate) refusals: HashMap<&'static str, (u16, &'static str)>,
    pub(crate) drain: bool,
    /// Ends with the report of the runner.
    pub(crate) order: Option<HeartbeatOrder>,
    /// The protocol that the server speaks; this runner's if `None`.
    pub(crate) protocol: Option<u32>,
    /// The only name that the token allows.
    pub(crate) only_name: Option<&'static str>,
    /// The token is for all projects.
    pub(crate) serves_all: bool,
    /// The release that the control plane names; 0.1.0 if `None`.
    pub(crate) version: Option<&'static str>,
    /// The server knows no orders, and refuses their fields.
    pub(crate) is_older: bool,
    /// The instance of each runner, and whether it is online.
    pub(crate) runners: BTreeMap<String, (String, bool)>,
    /// How many of the next claims are spent: their job has ended.
    pub(crate) claims_to_spend: u32,
    /// The next answers of the mailbox, a status and a text; without more it waits. `None`: there is no mailbox.
    pub(crate) mailbox: Option<VecDeque<(u16, String)>>,
    /// The pause before the next claim, 30 if absent.
    pub(crate) poll_ms: Option<u64>,
    spent_claims: BTreeSet<String>,
    claimed_jobs: BTreeMap<String, JobId>,
}

struct ServerState {
    script: Mutex<Script>,
    calls: watch::Sender<Vec<Call>>,
}

#[derive(Clone)]
pub(crate) struct RunnerApi {
    inner: Arc<ServerState>,
}

impl RunnerApi {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::new(ServerState { script: Mutex::default(), calls: watch::Sender::new(Vec::new()) }) }
    }

    pub(crate) fn routes(&self) -> Router {
        Router::new()
            .route("/v1/runners", post(register))
            .route("/v1/runners/{runner}/{route}", post(handle_runner_call))
            .route("/v1/wake", get(wake))
            .route("/v1/version", get(version))
            .route("/v1/tokens/self", get(own_token))
            .with_state(self.inner.clone())
    }

    pub(crate) fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.inner.script.lock().unwrap());
    }

    pub(crate) fn add_jobs(&self, jobs: &[JobId]) {
        self.script(|script| script.jobs.extend(jobs.iter().cloned()));
    }

    pub(crate) fn answer_mailbox(&self, status: u16, text: &str) {
        self.script(|script| script.mailbox.as_mut().unwrap().push_back((status, text.to_owned())));
    }

    pub(crate) async fn wait_for_calls(&self, route: &str, count: usize) {
        self.wait_for(|calls| calls.iter().filter(|call| call.route == route).count() >= count).await;
    }

    pub(crate) fn calls(&self, route: &str) -> Vec<Call> {
        self.inner.calls.borrow().iter().filter(|call| call.route == route).cloned().collect()
    }

    pub(crate) fn last_call(&self, route: &str) -> Call {
        self.calls(route).pop().unwrap()
    }

    pub(crate) async fn wait_for(&self, seen: impl Fn(&[Call]) -> bool) {
        let mut calls = self.inner.calls.subscribe();
        let wait = calls.wait_for(|calls| seen(calls));
        timeout(WAIT_LIMIT, wait).await.unwrap().unwrap();
    }

    pub(crate) async fn wait_for_next_call(&self, route: &str) -> Call {
        let of = |calls: &[Call]| calls.iter().filter(|call| call.route == route).count();
        let before = of(&self.inner.calls.borrow());
        self.wait_for(|calls| of(calls) > before).await;
        self.last_call(route)
    }

    pub(crate) async fn wait_for_active_jobs(&self, jobs: &[&JobId]) {
        let jobs: BTreeSet<String> = jobs.iter().map(|job| job.to_string()).collect();
        let has_jobs = |call: &Call| call.route == "heartbeat" && call.active() == jobs;
        self.wait_for(|calls| calls.iter().rev().find(|call| call.route == "heartbeat").is_some_and(has_jobs)).await;
    }

    pub(crate) fn order(&self, id: &str, version: Option<&str>) {
        let kind = if version.is_some() { OrderKind::Update } else { OrderKind::Restart };
        let (id, version) = (OrderId::new(id).unwrap(), version.map(str::to_owned));
        self.script(|script| {
            script.order = Some(HeartbeatOrder { id, kind: Some(kind), version, state: Some(OrderState::Wanted) })
        });
    }

    /// Waits until the order has ended, and returns the report.
    pub(crate) async fn wait_for_order(&self, id: &str) -> OrderReport {
        let find = |calls: &[Call]| {
            let mut reports =
                calls.iter().filter_map(|call| serde_json::from_value::<OrderReport>(call.body["order"].clone()).ok());
            let is_end = |report: &OrderReport| report.id.as_str() == id && report.state != OrderState::Accepted;
            reports.rfind(is_end)
        };
        self.wait_for(|calls| find(calls).is_some()).await;
        find(&self.inner.calls.borrow()).unwrap()
    }

    pub(crate) async fn wait_for_draining(&self) {
        self.wait_for(|calls| calls.iter().any(|call| call.route == "heartbeat" && call.has_flag("draining"))).await;
    }

    pub(crate) fn has_signed_off(&self) -> bool {
        self.inner.calls.borrow().last().is_some_and(|call| call.route == "heartbeat" && call.has_flag("last"))
    }
}

pub(crate) fn job(letter: &str) -> JobId {
    JobId::new(format!("job_{}", letter.repeat(26))).unwrap()
}

async fn register(State(inner): State<Arc<ServerState>>, headers: HeaderMap, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let route = if request["check_only"] == json!(true) { "check" } else { "register" };
    record_and_respond(&inner, route, &headers, &body)
}

async fn handle_runner_call(
    State(inner): State<Arc<ServerState>>,
    Path((runner, route)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert_eq!(runner, runner_id());
    let route = if route == "claim" { "claim" } else { "heartbeat" };
    record_and_respond(&inner, route, &headers, &body)
}

async fn wake(State(inner): State<Arc<ServerState>>, headers: HeaderMap) -> Response {
    let mailbox = headers["pullyard-mailbox"].to_str().unwrap();
    inner.calls.send_modify(|calls| calls.push(Call { route: "wake", body: json!({ "mailbox": mailbox }) }));
    loop {
        let next = inner.script.lock().unwrap().mailbox.as_mut().unwrap().pop_front();
        if let Some((status, text)) = next {
            return (StatusCode::from_u16(status).unwrap(), text).into_response();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn version(State(inner): State<Arc<ServerState>>) -> Response {
    let script = inner.script.lock().unwrap();
    let (version, protocol) = (script.version.unwrap_or("0.1.0"), script.protocol.unwrap_or(PROTOCOL));
    axum::Json(json!({ "version": version, "commit": "unknown", "protocol": protocol })).into_response()
}

async fn own_token(State(inner): State<Arc<ServerState>>, headers: HeaderMap) -> Response {
    if headers.get("authorization").is_none_or(|value| value != &format!("Bearer {TOKEN}")) {
        return problem(401, "unauthorized");
    }
    let script = inner.script.lock().unwrap();
    let projects = if script.serves_all { Value::Null } else { json!(["acme", "shop"]) };
    let token = json!({
        "id": "a".repeat(16), "name": "kite", "kind": "runner", "prefix": "rnt_a3f8", "scopes": [],
        "projects": projects, "runner": script.only_name, "created": null, "created_by": null, "last_used": null,
        "expires_at": null, "state": "active",
    });
    axum::Json(token).into_response()
}

fn runner_id() -> String {
    format!("rnr_{}", "k".repeat(26))
}

fn record_and_respond(inner: &ServerState, route: &'static str, headers: &HeaderMap, body: &[u8]) -> Response {
    let body: Value = serde_json::from_slice(body).unwrap();
    let answer = respond(inner, route, headers, &body);
    inner.calls.send_modify(|calls| calls.push(Call { route, body }));
    answer
}

fn respond(inner: &ServerState, route: &'static str, headers: &HeaderMap, body: &Value) -> Response {
    if headers.get("authorization").is_none_or(|value| value != &format!("Bearer {TOKEN}")) {
        return problem(401, "unauthorized");
    }
    let mut script = inner.script.lock().unwrap();
    if let Some((status, code)) = script.refusals.get(route) {
        return problem(*status, code);
    }
    let unknown_field = match route {
        "register" => "updates",
        _ => "order",
    };
    if script.is_older && body.get(unknown_field).is_some() {
        let detail = format!("`/{unknown_field}`: unknown field.");
        let problem = json!({ "type": "about:blank", "title": "Bad request", "status": 400, "code": "body_unreadable",
            "detail": detail, "pointer": format!("/{unknown_field}") });
        return (StatusCode::BAD_REQUEST, axum::Json(problem)).into_response();
    }
    let answer = match route {
        "check" | "register" => {
            let request: RegisterRequest = serde_json::from_value(body.clone()).unwrap();
            let instance = request.instance.to_string();
            match script.runners.get(&request.name) {
                Some((present, is_online)) if request.check_only && *present != instance => {
                    return problem(409, if *is_online { "runner_live" } else { "name_used" });
                }
                _ if request.check_only => {}
                _ => drop(script.runners.insert(request.name.clone(), (instance, true))),
            }
            json!({ "runner": runner_id(), "heartbeat_idle_secs": 2, "heartbeat_busy_secs": 1,
                    "offline_after_secs": 90, "poll_ms": 30,
                    "mailbox": script.mailbox.as_ref().map(|_| MAILBOX) })
        }
        "heartbeat" => {
            let request: HeartbeatRequest = serde_json::from_value(body.clone()).unwrap();
            if let Some(report) = request.order
                && let Some(order) = script.order.take_if(|order| order.id == report.id)
                && report.state == OrderState::Accepted
            {
                script.order = Some(HeartbeatOrder { state: Some(OrderState::Accepted), ..order });
            }
            json!({ "next_secs": 1, "drain": script.drain, "order": script.order })
        }
        _ => {
            let request: ClaimRequest = serde_json::from_value(body.clone()).unwrap();
            let claim = request.claim_id.to_string();
            let is_new = !script.claimed_jobs.contains_key(&claim) && !script.spent_claims.contains(&claim);
            if is_new && script.claims_to_spend > 0 {
                script.claims_to_spend -= 1;
                script.spent_claims.insert(claim.clone());
            }
            let is_spent = script.spent_claims.contains(&claim);
            if is_new
                && !is_spent
                && let Some(job) = script.jobs.pop_front()
            {
                script.claimed_jobs.insert(claim.clone(), job);
            }
            let job = script.claimed_jobs.get(&claim);
            let job = job.map(|job| json!({ "job": job, "attempt": 1, "bootstrap": crate::api::BOOTSTRAP }));
            json!({ "job": job, "spent": is_spent, "poll_ms": script.poll_ms.unwrap_or(30) })
        }
    };
    if let Some(remaining) = script.lost_answers.get_mut(route).filter(|remaining| **remaining > 0) {
        *remaining -= 1;
        return broken();
    }
    axum::Json(answer).into_response()
}

pub(crate) struct DaemonMachine {
    pub(crate) dir: TempDir,
    pub(crate) runner_api: RunnerApi,
    pub(crate) url: String,
    script: PathBuf,
}

/// Records its pid and waits until the file `go` exists or SIGTERM arrives.
pub(crate) const WAIT_FOR_GO_JOB: &str =
    "echo $$ > $HOME/pid-$PULLYARD_JOB.draft; mv $HOME/pid-$PULLYARD_JOB.draft $HOME/pid-$PULLYARD_JOB
    trap 'exit 143' TERM; while [ ! -e $HOME/go ]; do sleep 0.05; done";

impl DaemonMachine {
    pub(crate) async fn with_job_script(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runner_api = RunnerApi::new();
        let url = serve(runner_api.routes()).await;
        let path = dir.path().join("run-job.sh");
        pullyard_test_script::write_script(&path, script);
        Self { dir, runner_api, url, script: path }
    }

    pub(crate) fn work_dir(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn daemon(&self) -> Daemon {
        self.daemon_with(|_| ())
    }

    pub(crate) fn daemon_args(&self, args: &[&str]) -> Daemon {
        self.daemon_with(|command| {
            command.args(args);
        })
    }

    /// `pullyard-runner start`, with three slots unless changed.
    pub(crate) fn daemon_with(&self, change: impl FnOnce(&mut Command)) -> Daemon {
        Daemon::start(self.dir.path(), &self.url, |command| {
            command.arg("--run-job").arg(&self.script);
            change(command);
        })
    }

    pub(crate) async fn pid_of(&self, job: &JobId) -> i32 {
        let path = self.dir.path().join(format!("pid-{job}"));
        wait_for_file(&path).await.trim().parse().unwrap()
    }

    pub(crate) fn release_jobs(&self) {
        std::fs::write(self.dir.path().join("go"), "").unwrap();
    }
}

pub(crate) async fn wait_for_file(path: &FilePath) -> String {
    let look = async {
        loop {
            match std::fs::read_to_string(path) {
                Ok(text) => break text,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    timeout(WAIT_LIMIT, look).await.unwrap_or_else(|_| panic!("{} never appeared", path.display()))
}

pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    pub(crate) fn start(home: &FilePath, url: &str, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pullyard-runner"));
        command
            .arg("start")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home)
            .env("RUNNER_SERVER_URL", url)
            .env("RUNNER_TOKEN", TOKEN)
            .env("RUNNER_NAME", "kite")
            .env("RUNNER_MAX_CONCURRENT_JOBS", "3")
            .env("PULLYARD_WORK_DIR", home.join("work"))
            .env("PULLYARD_ISOLATION", "none")
            .env("PULLYARD_STOP_GRACE_SECS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        change(&mut command);
        std::fs::create_dir_all(home.join("work")).unwrap();
        Self { child: command.spawn().unwrap() }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id().unwrap()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub(crate) async fn wait_for_exit(self) -> (Option<i32>, String) {
        let output = timeout(WAIT_LIMIT, self.child.wait_with_output()).await.unwrap().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        for secret in [TOKEN, crate::api::BOOTSTRAP] {
            assert!(!log.contains(secret), "a secret is in the log: {log}");
        }
        (output.status.code(), log)
    }
}
